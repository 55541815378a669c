"""What lists, maps and sets have in common: limits, sorting, memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from appliance.rules.tbel.access import size_of
from appliance.rules.tbel.errors import TbelError
from appliance.rules.tbel.kinds import check_storable, parse_double
from appliance.rules.tbel.lib_strings import by_java_order
from appliance.rules.tbel.limits import Budget
from appliance.rules.tbel.signatures import java
from appliance.rules.tbel.text import to_text
from appliance.rules.tbel.values import (
    Byte,
    Float,
    FrozenList,
    FrozenMap,
    FrozenSet,
    Long,
    TbSet,
)


def check_writable(value: Any) -> None:
    """Refuse changes to what toUnmodifiable made."""
    if isinstance(value, FrozenList | FrozenMap | FrozenSet):
        raise TbelError("the collection is unmodifiable")


def check_index(index: int, size: int) -> None:
    """Refuse a place that is not there."""
    if not 0 <= index < size:
        raise TbelError(f"Index {index} out of bounds for length {size}")


def keep(budget: Budget, value: Any) -> None:
    """An element must be storable, and is counted."""
    check_storable(value)
    budget.grow(size_of(value) + 8)


def bounds(values: Any, start: int, end: int | None) -> tuple[int, int]:
    """Begin and end of a part; negative places count from the end."""
    size = len(values)
    first = 0 if start < -size else start + size if start < 0 else start
    if end is None:
        return first, size
    return first, 0 if end < -size else end + size if end < 0 else min(end, size)


def only_numbers(values: Any) -> bool:
    """Does every element print as a number?"""
    return all(_as_number(v) is not None for v in values)


def _as_number(value: Any) -> float | None:
    try:
        return parse_double(to_text(value))
    except TbelError:
        return None


def sort_key(values: Any) -> Callable[[Any], Any]:
    """Numbers by size where all are numbers, else by text."""
    if only_numbers(values):
        return lambda v: (lambda n: (n != n, n))(_as_number(v))
    return lambda v: by_java_order(to_text(v))


def in_order(values: Any, key: Callable[[Any], Any], ascending: bool) -> list[Any]:
    """Sorted; equal elements stay as they are in both directions."""
    return sorted(values, key=key, reverse=not ascending)


def keep_only(values: list[Any], passes: Callable[[Any], bool]) -> bool:
    """Drop the elements that do not pass; tells whether any did not."""
    check_writable(values)
    before = len(values)
    values[:] = [v for v in values if passes(v)]
    return len(values) != before


@java("TbList", "long memorySize()")
@java("TbMap", "long memorySize()")
@java("TbSet", "long memorySize()")
def memory_size(values: Any) -> Any:
    """What the reference counts for a collection: keys and values, by kind."""
    if isinstance(values, dict):
        return Long(sum(_memory(k) + _memory(v) for k, v in values.items()))
    extra = 4 * len(values) if isinstance(values, list) else 0
    return Long(extra + sum(_memory(v) for v in values))


def _memory(value: Any) -> int:
    if value is None:
        return 0
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, bool | Byte):
        return 1
    if isinstance(value, Long):
        return 8
    if isinstance(value, float) and not isinstance(value, Float):
        return 8
    if isinstance(value, list | dict | TbSet):
        return int(memory_size(value))
    return 4
