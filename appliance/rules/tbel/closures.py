"""Pieces of running code that need nothing of the compiler, and small questions about the tree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from appliance.rules.tbel import access, ast
from appliance.rules.tbel.errors import TbelError
from appliance.rules.tbel.functions import FunctionValue
from appliance.rules.tbel.grouping import Code, Run, truth
from appliance.rules.tbel.kinds import PLAIN_TYPES, box, type_of
from appliance.rules.tbel.scope import Scope, storable
from appliance.rules.tbel.signatures import getter_of
from appliance.rules.tbel.values import (
    BigDecimal,
    BigInteger,
    Float,
    PlainList,
    TbMap,
    TbSet,
    wrap_int,
    wrap_long,
)


def put_back(scope: Scope, name: str, value: Any) -> Any:
    """Set a variable that is known to be there; returns the value."""
    owner = scope.owner(name)
    assert owner is not None
    owner.vars[name] = value if type(value) in PLAIN_TYPES else storable(value)
    return value


def store_run(name: str, run: Run, local: bool) -> Run:
    """Assign a variable; a function's local stays in the function's scope."""
    if local:

        def store_local(scope: Scope) -> Any:
            value = storable(run(scope))
            scope.home.vars[name] = value
            return value

        return store_local
    return lambda scope: scope.store(name, run(scope))


def joined(target: ast.Expression, operator: str, value: ast.Expression) -> ast.Expression:
    """`x += a ? b : c` means `x = x + a ? b : c`: the reference joins the texts."""
    if isinstance(value, ast.Chain):
        return ast.Chain(
            operands=(target, *value.operands), operators=(operator, *value.operators), at=value.at
        )
    return ast.Chain(operands=(target, value), operators=(operator,), at=value.at)


def known_type(type_name: str) -> str:
    """The compile-time type of a result; nothing is known of "void"."""
    return "Object" if type_name in ("void", "T") else type_name


def dotted_name(node: ast.Expression) -> str | None:
    """`a.b.c` as text, or None for anything else."""
    if isinstance(node, ast.Name):
        return node.name
    if isinstance(node, ast.Property):
        head = dotted_name(node.target)
        return None if head is None else f"{head}.{node.name}"
    return None


def getter_type(owner: str, name: str) -> str:
    """The compile-time type of `value.name`."""
    if owner.endswith("[]") and name == "length":
        return "Integer"
    method = getter_of(owner, name)
    return "Object" if method is None else known_type(method.returns)


def static_type(owner: str, value: Any) -> str:
    """The compile-time type of a constant such as Integer.MAX_VALUE."""
    primitive = {"Integer": "int", "Double": "double", "Long": "long", "Float": "float",
                 "Short": "short", "Byte": "byte", "Math": "double"}.get(owner)  # fmt: skip
    return primitive or type_of(value)


def null_safe(node: ast.Expression) -> bool:
    """Does the chain have a `.?` that lets it end in null?"""
    inner = getattr(node, "target", None)
    if getattr(node, "null_safe", False):
        return True
    return isinstance(inner, ast.Property | ast.Call | ast.Index) and null_safe(inner)


def property_run(target: Run, name: str, safe: bool) -> Run:
    """Read a property; plain keys of maps take the short way."""
    shadowed = getter_of("TbMap", name) is not None
    get = access.get_property

    def run(scope: Scope) -> Any:
        value = target(scope)
        if type(value) is TbMap and not shadowed:
            return value.get(name)
        if value is None and safe:
            return None
        return get(value, name, scope)

    return run


def function_call(name: str, runs: list[Run]) -> Run:
    """Call a function that the script defines, or one passed as an argument."""

    def run(scope: Scope) -> Any:
        owner = scope.owner(name)
        function = owner.vars[name] if owner is not None else None
        if not isinstance(function, FunctionValue):
            raise TbelError(f"null pointer or function not found: {name}")
        return function.call([run(scope) for run in runs])

    return run


def negative(operand: Code) -> Code:
    """`-x`; the reference fixes the kind of number where it knows it."""
    known, inner = operand.type, operand.run
    if known != "Object" and box(known) not in _SIGNERS:

        def refuse(scope: Scope) -> Any:
            raise TbelError(f"illegal use of '-': cannot be applied to: {known}")

        return Code(refuse, known)

    def run(scope: Scope) -> Any:
        value = inner(scope)
        if value is None:
            return None
        kind = type_of(value)
        signer = _SIGNERS.get(kind)
        if signer is None or (known != "Object" and kind != box(known)):
            raise TbelError(f"illegal use of '-': cannot be applied to: {kind}")
        return signer(value)

    return Code(run, known)


_SIGNERS: dict[str, Callable[[Any], Any]] = {
    "Integer": lambda v: wrap_int(-v),
    "Long": lambda v: wrap_long(-v),
    "Double": lambda v: -v,
    "Float": lambda v: Float(-v),
    "Short": lambda v: -int(v),
    "BigInteger": lambda v: BigInteger(-v),
    "BigDecimal": lambda v: BigDecimal(-v),
}


def inverted(inner: Run) -> Run:
    """`~x`."""

    def run(scope: Scope) -> Any:
        value = inner(scope)
        if type(value) is not int:
            raise TbelError(f"{type_of(value)} cannot be cast to class java.lang.Integer")
        return ~value

    return run


def projection_run(source: Run, item: Run, condition: Run | None, by_name: str | None) -> Run:
    """`(item in source if condition)`."""

    def run(scope: Scope) -> Any:
        values = source(scope)
        if not isinstance(values, list | TbSet):
            raise TbelError(f"was expecting a collection; but found {type_of(values)}")
        found, inner = PlainList(), Scope({}, scope, scope.state)
        for value in values:
            scope.state.budget.step()
            inner.vars["$"] = value
            if condition is not None and not truth(condition(inner)):
                continue
            if by_name is not None and scope.owner(by_name) is None:
                found.append(access.get_property(value, by_name, inner))
            else:
                found.append(item(inner))
        return found

    return run
