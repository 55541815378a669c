"""java.lang.Math. The order of the overloads is the order in which the reference tries them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

from appliance.rules import fdlibm
from appliance.rules.java_math import OF_DOUBLE, power, signum
from appliance.rules.tbel.arithmetic import truncated_quotient
from appliance.rules.tbel.errors import TbelError
from appliance.rules.tbel.signatures import java
from appliance.rules.tbel.values import (
    INT_MAX,
    INT_MIN,
    LONG_MAX,
    LONG_MIN,
    Long,
    saturate,
    to_float,
    wrap_int,
    wrap_long,
)


def _both(name: str, *signatures: str) -> Callable[[Callable[..., Any]], Any]:
    del name

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        for owner in ("Math", "StrictMath"):
            java(owner, *(f"static {s}" for s in signatures))(function)
        return function

    return register


def _overloads(name: str, count: int, function: Callable[..., Any]) -> None:
    """int, long, float, double versions of a function of one or two numbers."""
    for kind, make in (
        ("int", wrap_int),
        ("long", wrap_long),
        ("float", to_float),
        ("double", float),
    ):
        _register_kind(name, kind, count, function, make)


def _register_kind(
    name: str, kind: str, count: int, function: Callable[..., Any], make: Callable[[Any], Any]
) -> None:
    signature = f"{kind} {name}({','.join([kind] * count)})"
    _both(name, signature)(lambda *values: make(function(*values)))


def _largest(a: Any, b: Any) -> Any:
    return a if a != a or (a > b) or (a == b and math.copysign(1, a) > 0) else b


def _smallest(a: Any, b: Any) -> Any:
    return a if a != a or (a < b) or (a == b and math.copysign(1, a) < 0) else b


_overloads("abs", 1, abs)
_overloads("max", 2, _largest)
_overloads("min", 2, _smallest)


@_both("round", "long round(double)")
def _round(value: float) -> Long:
    if value != value or math.isinf(value):
        return Long(saturate(value, LONG_MIN, LONG_MAX))
    return Long(saturate(math.floor(value) + (1 if value - math.floor(value) >= 0.5 else 0),
                         LONG_MIN, LONG_MAX))  # fmt: skip


@_both("round", "int round(float)")
def _round_float(value: float) -> int:
    return saturate(int(_round(value)), INT_MIN, INT_MAX)


@_both("signum", "float signum(float)")
def _signum_float(value: float) -> Any:
    return to_float(value if value == 0 or value != value else math.copysign(1.0, value))


_both("signum", "double signum(double)")(signum)
for _name, _function in OF_DOUBLE.items():
    _both(_name, f"double {_name}(double)")(_function)
_both("pow", "double pow(double,double)")(power)
_both("atan2", "double atan2(double,double)")(fdlibm.atan2)
_both("hypot", "double hypot(double,double)")(fdlibm.hypot)
_both("IEEEremainder", "double IEEEremainder(double,double)")(math.remainder)
_both("random", "double random()")(random.random)


def _exact(name: str, function: Callable[..., int], count: int) -> None:
    for kind, low, high, make in (
        ("int", INT_MIN, INT_MAX, int), ("long", LONG_MIN, LONG_MAX, Long),
    ):  # fmt: skip
        _register_exact(name, kind, function, count, (low, high, make))


def _register_exact(
    name: str, kind: str, function: Callable[..., int], count: int, bounds: Any
) -> None:
    low, high, make = bounds

    def checked(*values: int) -> Any:
        result = function(*(int(v) for v in values))
        if not low <= result <= high:
            raise TbelError("integer overflow" if kind == "int" else "long overflow")
        return make(result)

    _both(name, f"{kind} {name}({','.join([kind] * count)})")(checked)


_exact("addExact", lambda a, b: a + b, 2)
_exact("subtractExact", lambda a, b: a - b, 2)
_exact("multiplyExact", lambda a, b: a * b, 2)
_exact("negateExact", lambda a: -a, 1)
_exact("absExact", abs, 1)
_exact("incrementExact", lambda a: a + 1, 1)
_exact("decrementExact", lambda a: a - 1, 1)


@_both("toIntExact", "int toIntExact(long)")
def _to_int_exact(value: int) -> int:
    if not INT_MIN <= value <= INT_MAX:
        raise TbelError("integer overflow")
    return int(value)


def _floor_div(left: int, right: int) -> int:
    truncated_quotient(left, right)
    return left // right


def _floor_mod(left: int, right: int) -> int:
    truncated_quotient(left, right)
    return left % right


for _kind, _make in (("int", wrap_int), ("long", wrap_long)):
    _register_kind("floorDiv", _kind, 2, _floor_div, _make)
    _register_kind("floorMod", _kind, 2, _floor_mod, _make)
_both("floorMod", "int floorMod(long,int)")(lambda left, right: wrap_int(_floor_mod(left, right)))
