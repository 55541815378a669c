"""Aggregates over values at hand (spec §7)."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.fields.cell import FieldError
from appliance.fields.config import Metric
from appliance.fields.numbers import rounded, total
from appliance.model.telemetry import Value
from appliance.rules.values import as_number, java_text, json_text


def aggregate(metric: Metric, values: Sequence[Value], decimals: int | None) -> Value | None:
    """The aggregate; None where there is none. Counts are integers, the rest doubles.

    Raises FieldError for a value that is no number, except in counts.
    """
    match metric.function:
        case None:
            return None
        case "COUNT":
            return len(values)
        case "COUNT_UNIQUE":
            return unique(values)
    numbers = [_number(value) for value in values]
    if not numbers:
        return None
    match metric.function:
        case "MIN":
            result = min(numbers)
        case "MAX":
            result = max(numbers)
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
    return json_text(value)


def _number(value: Value) -> float:
    number = as_number(value)
    if number is None:
        raise FieldError(f"Cannot parse value {java_text(value)}")
    return float(number)
