"""`java.lang.Math` on doubles: NaN and Infinity are results where Python raises."""

from __future__ import annotations

import math
from collections.abc import Callable

from appliance.rules import fdlibm

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
    if right != right or (math.isinf(right) and abs(left) == 1):
        return math.nan
    odd = math.isfinite(right) and right % 2 == 1
    try:
        return math.pow(left, right)
    except OverflowError:
        return -math.inf if left < 0 and odd else math.inf
    except ValueError:
        if left == 0:
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


def _log(value: float) -> float:
    if value == 0:
        return -math.inf
    return math.nan if value < 0 else math.log(value)


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


OF_DOUBLE: dict[str, Callable[[float], float]] = {
    "floor": _rounding(math.floor), "ceil": _rounding(math.ceil), "rint": _rounding(round),
    "sqrt": _guard(math.sqrt), "cbrt": fdlibm.cbrt, "log": _log, "log10": fdlibm.log10,
    "log1p": fdlibm.log1p, "exp": _exp, "expm1": fdlibm.expm1, "sin": _guard(math.sin),
    "cos": _guard(math.cos), "tan": _guard(math.tan), "asin": fdlibm.asin, "acos": fdlibm.acos,
    "atan": fdlibm.atan, "sinh": fdlibm.sinh, "cosh": fdlibm.cosh, "tanh": fdlibm.tanh,
    "toRadians": lambda v: v * 0.017453292519943295, "toDegrees": lambda v: v * 57.29577951308232,
    "ulp": math.ulp,
}  # fmt: skip
"""Functions of one argument by Java's names."""
