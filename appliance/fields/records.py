"""What a script of a calculated field sees beside plain values: objects with a few getters (§7).

They may be kept in a map or list of the script. As JSON they are their fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from appliance.rules.tbel.errors import TbelError
from appliance.rules.tbel.signatures import java
from appliance.rules.tbel.values import FrozenMap, JavaArray, Long, Record, TbMap

SINGLE = "SINGLE_VALUE"
_COLUMNS = ("v1", "v2", "v3", "v4", "v5")
"""What a row of merged windows has by name; `values` has them all."""


class SingleArgument(Record):
    """One value: ts, value."""

    __slots__ = ()
    java_name = "TbelCfSingleValueArg"

    def as_json(self) -> Any:
        """See Record; an argument says its type."""
        return TbMap({"type": SINGLE, **self.fields})


class Point(Record):
    """Of a window: ts, value."""

    __slots__ = ()
    java_name = "TbelCfTsDoubleVal"


class Row(Record):
    """Of merged windows: ts, values, v1 and so on."""

    __slots__ = ()
    java_name = "TbelCfTsMultiDoubleVal"

    def as_json(self) -> Any:
        """See Record; the values once."""
        return TbMap({name: self.fields[name] for name in ("ts", "values")})


class TimeWindow(Record):
    """From startTs to before endTs."""

    __slots__ = ()
    java_name = "TbTimeWindow"


class FieldContext(Record):
    """The first argument of every script: latestTs, args."""

    __slots__ = ()
    java_name = "TbelCfCtx"


def point_of(ts: int, value: float) -> Point:
    """A point of a window."""
    return Point(ts=Long(ts), value=value)


def row_of(ts: int, values: Sequence[float]) -> Row:
    """A row of merged windows."""
    columns = zip(_COLUMNS, values, strict=False)
    return Row(ts=Long(ts), values=JavaArray("double", list(values)), **dict(columns))


def window_of(start_ms: int, end_ms: int) -> TimeWindow:
    """A time window."""
    return TimeWindow(startTs=Long(start_ms), endTs=Long(end_ms))


def context_of(latest_ts: int, args: Mapping[str, Any]) -> FieldContext:
    """The context of a run."""
    return FieldContext(latestTs=Long(latest_ts), args=FrozenMap(args))


def _getters(kind: type[Record], names: Iterable[str]) -> None:
    for name in names:
        java(kind.java_name, f"Object get{name[0].upper()}{name[1:]}()")(_getter(name))


def _getter(name: str) -> Callable[[Record], Any]:
    return lambda record: record.fields[name]


for _kind, _names in (
    (SingleArgument, ("ts", "value")),
    (Point, ("ts", "value")),
    (Row, ("ts", "values")),
    (TimeWindow, ("startTs", "endTs")),
    (FieldContext, ("latestTs", "args")),
):
    _getters(_kind, _names)


@java(SingleArgument.java_name, "String getType()")
def _type(argument: SingleArgument) -> str:
    return SINGLE


@java(TimeWindow.java_name, "boolean matches(long)")
def _matches(window: TimeWindow, ts: int) -> bool:
    return bool(window.fields["startTs"] <= ts < window.fields["endTs"])


def _column(number: int) -> Callable[[Row], float]:
    def get(row: Row) -> float:
        values: list[float] = row.fields["values"].items
        if number > len(values):
            present = f"There are {len(values)} values present."
            raise TbelError(f"Can't get value at index {number - 1}. {present}")
        return values[number - 1]

    return get


for _number, _name in enumerate(_COLUMNS, 1):
    java(Row.java_name, f"double get{_name.upper()}()")(_column(_number))
