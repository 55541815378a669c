"""Methods by their Java signatures, and how a call picks one of several.

A method is registered with its signature as Java writes it, under the class that has it:

    @java("String", "int indexOf(String)", "int indexOf(String,int)")
    def _index_of(text, what, start=0): ...

Interfaces matter: a variable that holds an inline list has the compile-time type List, so only
what `java.util.List` declares has a known result type (`size()` is int, `push()` unknown).
The order of registration decides between overloads that fit equally well, as the order of
`Class.getMethods` does on the reference: `Math.max(1, 2.5)` takes the int one and is 2.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from appliance.rules.tbel.errors import TbelError
from appliance.rules.tbel.kinds import (
    BOXES,
    NUMBERS,
    assignable,
    box,
    convert,
    convertible,
    type_of,
)

_Function = TypeVar("_Function", bound=Callable[..., Any])
_SIGNATURE = re.compile(r"(static )?([\w\[\].]+) ([\w<>]+)\(([^)]*)\)")
_WIDENINGS = frozenset((
    ("Float", "double"), ("Long", "float"), ("Integer", "long"), ("Character", "int"),
    ("Short", "int"), ("Byte", "short"),
))  # fmt: skip


class Method(msgspec.Struct, frozen=True):
    """One overload. budget: the function wants the run's budget as its first argument."""

    owner: str
    name: str
    parameters: tuple[str, ...]
    varargs: bool
    returns: str
    static: bool
    function: Callable[..., Any]
    budget: bool

    def arguments(self, values: Sequence[Any]) -> list[Any]:
        """The values turned into what the parameters want; varargs spread."""
        if not self.varargs:
            return [convert(v, p) for v, p in zip(values, self.parameters, strict=True)]
        fixed = len(self.parameters) - 1
        rest = self.parameters[-1][:-2]
        head = [convert(v, p) for v, p in zip(values, self.parameters[:fixed], strict=False)]
        return head + [convert(v, rest) for v in values[fixed:]]


_PARENTS: dict[str, tuple[str, ...]] = {
    "TbList": ("List",), "FrozenList": ("List",), "ArrayList": ("List",), "List": ("Collection",),
    "TbSet": ("Set",), "FrozenSet": ("Set",), "Set": ("Collection",), "Collection": ("Object",),
    "TbMap": ("Map",), "FrozenMap": ("Map",), "Map": ("Object",), "Object": (),
    **dict.fromkeys(("Integer", "Long", "Double", "Float", "Short", "Byte"), ("Number",)),
}  # fmt: skip
_METHODS: dict[str, dict[str, list[Method]]] = {}
CONSTANTS: dict[str, dict[str, Any]] = {}
HELPERS = "TbUtils"


def java(owner: str, *signatures: str, budget: bool = False) -> Callable[[_Function], _Function]:
    """Register a function as one or more overloads of a class's method."""

    def register(function: _Function) -> _Function:
        for signature in signatures:
            match = _SIGNATURE.fullmatch(signature)
            assert match is not None, signature
            static, returns, name, parameters = match.groups()
            varargs = parameters.endswith("...")
            types = tuple(p.strip().replace("...", "[]") for p in parameters.split(",") if p)
            method = Method(
                owner, name, types, varargs, returns, bool(static), function, budget
            )  # fmt: skip
            _METHODS.setdefault(owner, {}).setdefault(name, []).append(method)
        return function

    return register


def helper(*signatures: str, budget: bool = False) -> Callable[[_Function], _Function]:
    """Register a helper that scripts call by its bare name."""
    return java(HELPERS, *(f"static {s}" for s in signatures), budget=budget)


def is_helper(name: str) -> bool:
    """Is there a helper of this name?"""
    return name in _METHODS.get(HELPERS, {})


@lru_cache(maxsize=2048)
def methods_of(owner: str, name: str) -> tuple[Method, ...]:
    """All overloads that a class has or inherits."""
    if owner in BOXES:
        return ()
    found = list(_METHODS.get(owner, {}).get(name, ()))
    if owner.endswith("[]"):
        parents: tuple[str, ...] = ("Object",)
    else:
        parents = _PARENTS.get(owner, ("Object",))
    for parent in parents:
        found.extend(m for m in methods_of(parent, name) if not _overridden(m, found))
    return tuple(found)


def _overridden(method: Method, found: list[Method]) -> bool:
    return any(m.parameters == method.parameters for m in found)


@lru_cache(maxsize=2048)
@lru_cache(maxsize=2048)
def getter_of(owner: str, name: str) -> Method | None:
    """The method that `value.name` calls: name(), getName() or isName() without arguments."""
    capital = name[:1].upper() + name[1:]
    for candidate in (f"get{capital}", f"is{capital}", name, f"get{name}"):
        for method in methods_of(owner, candidate):
            if not method.parameters:
                return method
    return None


def _fit(argument: str, parameter: str) -> int:
    """How well an argument's type fits a parameter; 0: not at all."""
    if argument == "null":
        return 0 if parameter in BOXES else 7
    if parameter == argument:
        return 8
    if BOXES.get(parameter) == argument:
        return 7
    if assignable(parameter, argument):
        return 6
    if (box(argument), parameter) in _WIDENINGS:
        return 5
    if argument in NUMBERS and box(parameter) in NUMBERS:
        return 4
    if argument != "Object" and assignable(box(parameter), box(argument)):
        return 3
    if convertible(parameter, argument):
        return 2 if parameter == "char" and argument == "String" else 1
    return 1 if parameter == "Object" else 0


def _score(method: Method, arguments: tuple[str, ...]) -> int:
    """How well the arguments fit the method; 0: not at all."""
    count, fixed = len(arguments), len(method.parameters)
    if (method.varargs and fixed - 1 > count) or (not method.varargs and fixed != count):
        return 0
    if not method.parameters:
        return 1
    total = 0
    for index, argument in enumerate(arguments):
        rest = method.varargs and index >= fixed - 1
        fit = _fit(argument, method.parameters[-1][:-2] if rest else method.parameters[index])
        if fit == 0:
            total = 0
            break
        total += fit
    return 3 if total == 0 and method.varargs and fixed - 1 == count else total


@lru_cache(maxsize=4096)
def choose(owner: str, name: str, arguments: tuple[str, ...], static: bool) -> Method | None:
    """The overload that fits the types best; the first of equals.

    static: only static methods count, the call is on the class.
    """
    best, best_score = None, 0
    for method in methods_of(owner, name):
        if static and not method.static:
            continue
        score = _score(method, arguments)
        if score > best_score:
            best, best_score = method, score
    return best


def no_method(owner: str, name: str, values: Sequence[Any]) -> TbelError:
    """The error for a method that is not there, to be raised."""
    kinds = ", ".join(type_of(v) for v in values)
    return TbelError(f"unable to resolve method: {owner}.{name}({kinds})")
