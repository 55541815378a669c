"""Rolling arguments as scripts see them: points, their statistics, and merging (spec §7).

Statistics skip NaN unless told otherwise. Merging joins several windows by time: a row has the
value of each window at that time or the last one before it; rows with a gap are left out unless
`ignoreNaN` is false, rows outside `timeWindow` where one is given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from operator import add
from typing import Any

from appliance.fields.records import Row, TimeWindow, point_of, row_of, window_of
from appliance.rules.tbel.errors import TbelError
from appliance.rules.tbel.signatures import java
from appliance.rules.tbel.values import PlainList
from appliance.rules.values import decode_json

ROLLING, ROWS = "TbelCfTsRollingArg", "TbelCfTsRollingData"


class RollingArgument:
    """A window of numbers. points: (ts, value), oldest first."""

    java_name = ROLLING
    storable = True

    def __init__(self, start_ms: int, end_ms: int, points: Sequence[tuple[int, float]]) -> None:
        self.start_ms = start_ms
        self.end_ms = end_ms
        self.points = points

    def elements(self) -> list[Any]:
        """What a script goes through."""
        return [point_of(ts, value) for ts, value in self.points]

    def as_json(self) -> Any:
        """What is stored of it, as the reference writes it."""
        return {"type": _type(self), "timeWindow": _time_window(self), "values": self.elements()}


class Rows:
    """Windows joined by time; each row has ts and v1, v2, …"""

    java_name = ROWS
    storable = True

    def __init__(self, start_ms: int, end_ms: int, rows: list[Row]) -> None:
        self.start_ms = start_ms
        self.end_ms = end_ms
        self.rows = rows

    def elements(self) -> list[Any]:
        """What a script goes through."""
        return self.rows

    def as_json(self) -> Any:
        """What is stored of it."""
        return {"timeWindow": _time_window(self), "values": self.elements()}


@java(ROLLING, "Object getTimeWindow()")
@java(ROWS, "Object getTimeWindow()")
def _time_window(data: RollingArgument | Rows) -> TimeWindow:
    return window_of(data.start_ms, data.end_ms)


@java(ROLLING, "String getType()")
def _type(data: RollingArgument) -> str:
    return "TS_ROLLING"


@java(ROLLING, "Object getValues()", "Object getValue()")
@java(ROWS, "Object getValues()")
def _values(data: RollingArgument | Rows) -> PlainList:
    return PlainList(data.elements())


@java(ROLLING, "int size()", "int getSize()")
@java(ROWS, "int size()", "int getSize()")
def _size(data: RollingArgument | Rows) -> int:
    return len(data.elements())


def _no_number() -> TbelError:
    return TbelError("Rolling argument values are empty.")


def _statistic(name: str, compute: Callable[[list[float]], float]) -> None:
    """Register a statistic: with NaN it is NaN unless it shall skip that."""

    def method(data: RollingArgument, ignore_nan: bool = True) -> float:
        if not data.points:
            raise _no_number()
        values = [value for _, value in data.points]
        if math.isnan(sum(values)):  # one is no number, or infinities of both signs
            numbers = [value for value in values if not math.isnan(value)]
            if len(numbers) < len(values) and not ignore_nan:
                return math.nan
            values = numbers
        return float(compute(values))

    java(ROLLING, f"double {name}()", f"double {name}(boolean)")(method)


def _total(values: Iterable[float]) -> float:
    """One after the other, as Java adds; `sum` of newer Pythons is more exact."""
    return reduce(add, values, 0.0)


def _extreme(choose: Callable[[list[float]], float]) -> Callable[[list[float]], float]:
    def compute(values: list[float]) -> float:
        if not values:
            raise _no_number()
        return choose(values)

    return compute


def _mean(values: list[float]) -> float:
    return _total(values) / len(values) if values else math.nan


def _deviation(values: list[float]) -> float:
    if not values:
        return math.nan
    mean = _mean(values)
    return math.sqrt(_total((value - mean) * (value - mean) for value in values) / len(values))


def _median(values: list[float]) -> float:
    ordered, half = sorted(values), len(values) // 2
    if len(values) % 2:
        return ordered[half]
    return (ordered[half - 1] + ordered[half]) / 2


for _name, _compute in (
    ("max", _extreme(max)),
    ("min", _extreme(min)),
    ("sum", _total),
    ("mean", _mean),
    ("avg", _mean),
    ("std", _deviation),
    ("median", _extreme(_median)),
):  # fmt: skip - a table
    _statistic(_name, _compute)


@java(ROLLING, "int count()", "int count(boolean)")
def _count(data: RollingArgument, ignore_nan: bool = True) -> int:
    return sum(not (ignore_nan and math.isnan(value)) for _, value in data.points)


@java(ROLLING, "double first()", "double first(boolean)")
def _first(data: RollingArgument, ignore_nan: bool = True) -> float:
    return _nearest(data.points, ignore_nan)


@java(ROLLING, "double last()", "double last(boolean)")
def _last(data: RollingArgument, ignore_nan: bool = True) -> float:
    return _nearest(list(reversed(data.points)), ignore_nan)


def _nearest(points: Iterable[tuple[int, float]], ignore_nan: bool) -> float:
    for _, value in points:
        if not (ignore_nan and math.isnan(value)):
            return value
    raise _no_number()


@java(ROLLING, "Object merge(Object)", "Object merge(Object,Map)")
def _merge(data: RollingArgument, other: Any, settings: Any = None) -> Rows:
    return _merge_all(data, [other], settings)


@java(ROLLING, "Object mergeAll(List)", "Object mergeAll(List,Map)")
def _merge_all(data: RollingArgument, others: Any, settings: Any = None) -> Rows:
    windows = [data, *others]
    if not all(isinstance(window, RollingArgument) for window in windows):
        raise TbelError("only rolling arguments can be merged")
    ignore_nan = str(settings.get("ignoreNaN", True)).lower() == "true" if settings else True
    given = settings.get("timeWindow") if settings else None
    start, end = _bounds_of(given, windows)
    now = [math.nan] * len(windows)
    points = [dict(window.points) for window in windows]
    rows = []
    for ts in sorted(set().union(*points)):
        now = [known.get(ts, last) for known, last in zip(points, now, strict=True)]
        is_in = given is None or start <= ts < end
        if is_in and not (ignore_nan and any(map(math.isnan, now))):
            rows.append(row_of(ts, now))
    return Rows(start, end, rows)


def _bounds_of(given: Any, windows: Sequence[RollingArgument]) -> tuple[int, int]:
    """The time window asked for, or the one that holds all windows."""
    if given is None:
        starts, ends = zip(*((each.start_ms, each.end_ms) for each in windows), strict=True)
        return min(starts), max(ends)
    try:
        given = given.fields if isinstance(given, TimeWindow) else _parsed(given)
        return int(given["startTs"]), int(given["endTs"])
    except (KeyError, TypeError, ValueError):
        raise TbelError("timeWindow must have startTs and endTs") from None


def _parsed(given: Any) -> Any:
    return decode_json(given) if isinstance(given, str) else given
