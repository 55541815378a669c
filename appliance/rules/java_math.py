"""`java.lang.Math` on doubles: NaN and Infinity are results where Python raises."""

from __future__ import annotations

import math
from collections.abc import Callable

LONG_MIN, LONG_MAX = -(1 << 63), (1 << 63) - 1


def signum(value: float) -> float:
    """-1, 1, or the zero or NaN itself."""
    return value if value == 0 or value != value else math.copysign(1.0, value)


def get_exponent(value: float) -> float:
    """The unbiased exponent: -1023 of zero and of denormal numbers, 1024 of NaN and Infinity."""
    if not math.isfinite(value):
        return 1024.0
    return float(max(math.frexp(value)[1] - 1, -1023)) if value else -1023.0


def divided(left: float, right: float) -> float:
    """left / right."""
    if right == 0:
        if left == 0 or left != left or right != right:
            return math.nan
        return math.copysign(math.inf, left) * math.copysign(1.0, right)
    return left / right


def power(left: float, right: float) -> float:
    """Math.pow."""
    try:
        return math.pow(left, right)
    except OverflowError:
        odd = right == int(right) and int(right) % 2 == 1
        return -math.inf if left < 0 and odd else math.inf
    except ValueError:
        if left == 0:
            odd = right == int(right) and int(right) % 2 == 1
            return math.copysign(math.inf, left) if odd else math.inf
        return math.nan


def cut_to_long(value: float) -> int:
    """`(long) value`: the fraction is cut, NaN is 0, what is too large the outermost."""
    if math.isnan(value):
        return 0
    if math.isinf(value):
        return LONG_MAX if value > 0 else LONG_MIN
    return min(max(int(value), LONG_MIN), LONG_MAX)


def _rounding(function: Callable[[float], int]) -> Callable[[float], float]:
    def rounded(value: float) -> float:
        if not math.isfinite(value):
            return value
        return math.copysign(float(function(value)), value)

    return rounded


def _guard(function: Callable[[float], float]) -> Callable[[float], float]:
    def guarded(value: float) -> float:
        try:
            return function(value)
        except ValueError:
            return math.nan
        except OverflowError:
            return math.copysign(math.inf, value)

    return guarded


def _logarithm(function: Callable[[float], float], zero: float = 0.0) -> Callable[[float], float]:
    def guarded(value: float) -> float:
        if value == zero:
            return -math.inf
        return math.nan if value < zero else function(value)

    return guarded


def _cbrt(value: float) -> float:
    root = math.cbrt(value)
    nearest = float(round(root)) if math.isfinite(root) else root
    return nearest if nearest**3 == value else root


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


def _cosh(value: float) -> float:
    return _guard(math.cosh)(abs(value))


OF_DOUBLE: dict[str, Callable[[float], float]] = {
    "floor": _rounding(math.floor), "ceil": _rounding(math.ceil), "rint": _rounding(round),
    "sqrt": _guard(math.sqrt), "cbrt": _cbrt, "log": _logarithm(math.log),
    "log10": _logarithm(math.log10), "log1p": _logarithm(math.log1p, -1.0), "exp": _exp,
    "expm1": _guard(math.expm1), "sin": _guard(math.sin), "cos": _guard(math.cos),
    "tan": _guard(math.tan), "asin": _guard(math.asin), "acos": _guard(math.acos),
    "atan": math.atan, "sinh": _guard(math.sinh), "cosh": _cosh, "tanh": math.tanh,
    "toRadians": lambda v: v * 0.017453292519943295, "toDegrees": lambda v: v * 57.29577951308232,
    "ulp": math.ulp,
}  # fmt: skip
"""Functions of one argument by Java's names."""
