"""Binary operators as closures, with a short way for plain ints and doubles.

Measured (one core, Python 3.11): a comparison of two doubles takes 0.1 µs here and 1.2 µs through
`operate`. The short way is taken only where the codes allow what the values say: no compile-time
type on a side, or the boxed type of the value itself.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from sys import getrefcount
from typing import TYPE_CHECKING, Any

from appliance.rules.tbel.arithmetic import STRING, W_DOUBLE, W_INTEGER, operate
from appliance.rules.tbel.errors import TbelError
from appliance.rules.tbel.values import integer

if TYPE_CHECKING:
    from appliance.rules.tbel.grouping import Code, Run
    from appliance.rules.tbel.scope import Scope

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
    "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
_CALCULATE: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul,
}  # fmt: skip
_KINDS: dict[int, frozenset[type]] = {
    0: frozenset((int, float)), W_INTEGER: frozenset((int,)), W_DOUBLE: frozenset((float,)),
}  # fmt: skip
_TEXT_MAX = 4 * 1024 * 1024


def binary_code(op: str, left_code: int, left: Code, right_code: int, right: Code) -> Run:
    """A closure for `left op right` with the codes of `arithmetic.operate`."""
    plain = (0, W_INTEGER, W_DOUBLE)
    if op in _COMPARE and left_code in (0, STRING) and right_code in (0, STRING) and op in "==!=":
        return _equality(op, left_code, left.run, right_code, right.run)
    if op in _COMPARE and left_code in (0, W_INTEGER) and right_code in plain:
        return _comparison(op, left_code, left.run, right_code, right)
    if op in _CALCULATE and left_code in plain and right_code in plain:
        return _calculation(op, left_code, left.run, right_code, right.run)
    if op == "/" and left_code in plain and right_code in plain:
        return _division(left_code, left.run, right_code, right.run)
    return _general(op, left_code, left.run, right_code, right.run)


def _general(op: str, left_code: int, left: Run, right_code: int, right: Run) -> Run:
    def run(scope: Scope) -> Any:
        a = left(scope)
        value = operate(left_code, a, op, right_code, right(scope))
        if type(value) is str:
            count_text(scope, value, len(a) if type(a) is str and getrefcount(a) == _OURS else 0)
        return value

    return run


_OURS = 2
"""References to a text that only the code at hand knows: its variable, and the one who counts."""
HELD_ONCE = 3
"""References to a text that only one variable of the script holds besides. So whoever runs
statements holds no value of an earlier one."""


def count_text(scope: Scope, value: str, gone: int = 0) -> None:
    """Count a text that the script made; texts over 4 MB are refused.

    gone: the length of a text that went into it and is used no more.
    """
    if len(value) > 64:
        if len(value) > _TEXT_MAX:
            raise TbelError("Script memory overflow!")
        budget = scope.state.budget
        budget.copy(len(value))
        budget.grow(len(value) - gone)


def _comparison(op: str, left_code: int, left: Run, right_code: int, right: Code) -> Run:
    compare, right_run = _COMPARE[op], right.run
    if right.literal and type(right.value) in (int, float):
        constant = right.value

        def against_constant(scope: Scope) -> Any:
            a = left(scope)
            kind = type(a)
            if kind is int or (kind is float and left_code == 0):
                return compare(a, constant)
            return operate(left_code, a, op, right_code, constant)

        return against_constant

    def run(scope: Scope) -> Any:
        a, b = left(scope), right_run(scope)
        kind, other = type(a), type(b)
        if kind is int and other is int and right_code != W_DOUBLE:
            return compare(a, b)
        if kind in _PLAIN and other in _PLAIN and left_code == 0 == right_code:
            return compare(a, b)
        return operate(left_code, a, op, right_code, b)

    return run


def _equality(op: str, left_code: int, left: Run, right_code: int, right: Run) -> Run:
    compare = _COMPARE[op]

    def run(scope: Scope) -> Any:
        a, b = left(scope), right(scope)
        if type(a) is str and type(b) is str:
            return compare(a, b)
        if left_code == 0 == right_code and type(a) in _PLAIN and type(b) in _PLAIN:
            return compare(a, b)
        return operate(left_code, a, op, right_code, b)

    return run


_PLAIN = frozenset((int, float))


def quick_operate(op: str, left: Any, right: Any) -> Any:
    """`operate` without compile-time types, with the short way for two ints or two doubles."""
    calculate = _CALCULATE.get(op)
    if calculate is not None:
        kind = type(left)
        if kind is type(right):
            if kind is int:
                return integer(calculate(left, right))
            if kind is float:
                return calculate(left, right)
    return operate(0, left, op, 0, right)


def _calculation(op: str, left_code: int, left: Run, right_code: int, right: Run) -> Run:
    calculate = _CALCULATE[op]
    left_kinds, right_kinds = _KINDS[left_code], _KINDS[right_code]

    def run(scope: Scope) -> Any:
        a, b = left(scope), right(scope)
        kind, other = type(a), type(b)
        if kind in left_kinds and other in right_kinds:
            if kind is int and other is int:
                return integer(calculate(a, b))
            return calculate(a, b)
        value = operate(left_code, a, op, right_code, b)
        if type(value) is str:
            count_text(scope, value, len(a) if type(a) is str and getrefcount(a) == _OURS else 0)
        return value

    return run


def _division(left_code: int, left: Run, right_code: int, right: Run) -> Run:
    left_kinds, right_kinds = _KINDS[left_code], _KINDS[right_code]

    def run(scope: Scope) -> Any:
        a, b = left(scope), right(scope)
        if b and type(a) in left_kinds and type(b) in right_kinds:
            return a / b
        return operate(left_code, a, "/", right_code, b)

    return run
