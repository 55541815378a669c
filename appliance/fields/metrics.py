"""Aggregates over values at hand (spec §7)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from appliance.fields.cell import FieldError
from appliance.fields.config import Metric
from appliance.fields.numbers import double_of, rounded, total
from appliance.model.telemetry import Value
from appliance.rules.values import java_text


def aggregate(metric: Metric, values: Sequence[Value], decimals: int | None) -> Value | None:
    """The aggregate; None where there is none. Counts are integers, the rest doubles.

    Raises FieldError for a value that is no number, except in counts.
    """
    match metric.function:
        case "COUNT":
            return len(values)
        case "COUNT_UNIQUE":
            return unique(values)
    numbers = [_number(value) for value in values]
    if not numbers:
        return None
    if not all(map(math.isfinite, numbers)) and metric.function not in ("MIN", "MAX"):
        raise FieldError("Infinite or NaN")
    ordered = [number for number in numbers if not math.isnan(number)] or numbers
    match metric.function:
        case "MIN":
            result = min(ordered)
        case "MAX":
            result = max(ordered)
        case "SUM":
            result = total(numbers)
        case _:
            result = total(numbers) / len(numbers)
    return rounded(result, decimals)


def unique(values: Sequence[Value]) -> int:
    """How many different values; 1 and 1.0 are the same."""
    return len({_identity(value) for value in values})


def _identity(value: Value) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(float(value))
    return java_text(value)


def _number(value: Value) -> float:
    number = None if isinstance(value, bool) else double_of(value)
    if number is None:
        raise FieldError(f"Cannot parse value {java_text(value)}")
    return number
