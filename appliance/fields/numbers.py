"""Numbers of results: rounding, and their form on the way through a rule chain."""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from functools import reduce
from typing import Any

from appliance.fields.cell import FieldError
from appliance.model.telemetry import Value
from appliance.rules.conditions import comparable
from appliance.rules.tbel import TbelError
from appliance.rules.tbel.kinds import parse_double

_EXACT = Context(prec=700)
"""Digits enough for the largest double with as many decimals as the smallest has."""
LONG_MAX = (1 << 63) - 1
PLAIN_DOUBLE_MAX = 1e7
"""From here on Java writes a double with an exponent, and a whole one is then read as an integer;
so a stored 20000000 is an integer and a stored 42.0 is not."""


def double_of(value: Any) -> float | None:
    """A value as the reference calculates with it: 1 or 0 for a boolean, None for no number.

    Texts are read as Java reads them, NaN and Infinity too.
    """
    if isinstance(value, str):
        try:
            return parse_double(value)
        except TbelError:
            return None
    number = comparable(value)
    return None if number is None else float(number)


def total(numbers: Iterable[float]) -> float:
    """A sum of finite numbers without the noise of binary fractions: 0.1 and 0.2 are 0.3."""
    return float(reduce(_EXACT.add, (Decimal(repr(number)) for number in numbers), Decimal(0)))


def rounded(value: float, decimals: int | None) -> int | float:
    """A result with so many decimals, half away from zero; without any a 64-bit integer.

    Raises FieldError for NaN and Infinity, which cannot be rounded.
    """
    if decimals is None:
        return value
    if not math.isfinite(value):
        raise FieldError(f"{value} cannot be rounded")
    try:
        step = Decimal(1).scaleb(-decimals, _EXACT)
        exact = Decimal(repr(value)).quantize(step, ROUND_HALF_UP, _EXACT)
    except InvalidOperation:
        raise FieldError(f"{value} cannot have {decimals} decimals") from None
    return int(exact) if decimals == 0 and abs(exact) <= LONG_MAX else float(exact)


def storable(value: Any) -> Value:
    """A result's value as it is stored: NaN as text, whole doubles of 1e7 and more as integers."""
    if isinstance(value, float):
        if math.isnan(value):
            return "NaN"
        if math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
        if PLAIN_DOUBLE_MAX <= abs(value) <= LONG_MAX and value.is_integer():
            return int(value)
    stored: Value = value
    return stored


def storable_data(data: Any) -> Any:
    """The same for a whole result: an object, `{ts, values}`, or a list of either."""
    if isinstance(data, list):
        return [storable_data(item) for item in data]
    if not isinstance(data, dict):
        return data
    if "ts" in data and isinstance(data.get("values"), dict):
        return {**data, "values": storable_data(data["values"])}
    return {key: storable(value) for key, value in data.items() if value is not None}
