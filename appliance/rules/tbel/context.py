"""What the compiler knows about names while it goes through a script from top to bottom.

The compile-time type of a variable is that of the first value assigned to it; reading a name before
that makes it unknown for good. Inside functions plain locals have no type.
"""

from __future__ import annotations

from typing import Any

from appliance.rules.tbel import ast
from appliance.rules.tbel.families import FAMILIES, Warning_
from appliance.rules.tbel.lexer import Source


class Context:
    """Names of a script, or of a function in it.

    types: compile-time types. declared: names made with var or a type, seen so far.
    locals: None for the script; for a function the names that live in its own scope.
    """

    def __init__(self, source: Source, warnings: list[Warning_]) -> None:
        self.source = source
        self.warnings = warnings
        self.types: dict[str, str] = {}
        self.declared: set[str] = set()
        self.locals: frozenset[str] | None = None
        self.functions: set[str] = set()

    def inner(self, function: ast.Function) -> Context:
        """The context of a function that is defined here."""
        inner = Context(self.source, self.warnings)
        inner.types = dict(self.types)
        inner.functions = self.functions
        outer = self.declared if self.locals is None else self.declared | self.locals
        assigned = assigned_names(function.body)
        inner.locals = frozenset(function.parameters) | (assigned - outer)
        for name in inner.locals - set(function.parameters):
            inner.types[name] = "Object"
        return inner

    def read(self, name: str) -> str:
        """The type of a name that is read."""
        return self.types.setdefault(name, "Object")

    def assign(self, name: str, type_name: str) -> None:
        """A name is assigned a value of this type."""
        self.types.setdefault(name, type_name)

    def warn(self, family: str, offset: int) -> None:
        """Note that the script works here and fails on a server."""
        line, column = self.source.position(offset)
        self.warnings.append(Warning_(family, FAMILIES[family].sentence, line, column))


def assigned_names(node: Any) -> frozenset[str]:
    """All names that are assigned or declared anywhere in a part of the tree."""
    found: set[str] = set()
    _collect(node, found)
    return frozenset(found)


def _collect(node: Any, found: set[str]) -> None:
    if isinstance(node, tuple):
        for item in node:
            _collect(item, found)
        return
    if not isinstance(node, ast.Node) or isinstance(node, ast.Function):
        return
    if isinstance(node, ast.Assign) and isinstance(node.target, ast.Name):
        found.add(node.target.name)
    elif isinstance(node, ast.Declare):
        found.add(node.name)
    for field in node.__struct_fields__:
        _collect(getattr(node, field), found)
