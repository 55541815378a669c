"""Points of a time range, aggregated by intervals of one length or by those of the calendar.

As the reference does it: aggregation without an interval gives the points themselves; an interval
below a second is one of a second; the first calendar interval begins where the range does; more
intervals than `INTERVALS_MAX` are refused. Aggregated points come oldest first, all of them,
whatever order and limit were asked for.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from appliance.extension.ports import SeriesQuery, Storage
from appliance.fields.config import Interval
from appliance.fields.intervals import bounds
from appliance.model.telemetry import Value
from appliance.web.errors import ApiError

INTERVALS_MAX = 700
"""ThingsBoard's TS_MAX_INTERVALS: more than a chart has pixels are a mistake."""
STEP_MS_MIN = 1_000
MILLISECONDS = "MILLISECONDS"
CALENDAR_TYPES = ("WEEK", "WEEK_ISO", "MONTH", "QUARTER")
_DAY_MS = 86_400_000
_LENGTH_MS = {
    "WEEK": 7 * _DAY_MS,
    "WEEK_ISO": 7 * _DAY_MS,
    "MONTH": 30 * _DAY_MS,
    "QUARTER": 90 * _DAY_MS,
}
"""By which the number of intervals is guessed."""
_CALENDAR_MS = range(-62_135_596_800_000, 253_402_300_800_000 - 92 * _DAY_MS)
"""The years 1 to 9999: what the calendar knows."""

Points = dict[str, list[tuple[int, Value]]]


class Calendar(msgspec.Struct, frozen=True):
    """Intervals by the calendar of a time zone. type: one of CALENDAR_TYPES; a week of type WEEK
    begins on Sunday."""

    type: str
    zone: str


async def read_series(storage: Storage, query: SeriesQuery, calendar: Calendar | None) -> Points:
    """The points of each key that has any. Raises ApiError 400 for too many intervals."""
    if query.agg == "NONE" or not (calendar or query.interval_ms):
        return await storage.query_series(msgspec.structs.replace(query, agg="NONE"))
    length_ms = _LENGTH_MS[calendar.type] if calendar else max(query.interval_ms, STEP_MS_MIN)
    count = (query.end_ms - query.start_ms) // length_ms
    if query.end_ms < query.start_ms or count > INTERVALS_MAX:
        raise ApiError(
            400,
            f"Incorrect TsKvQuery. Number of intervals is to high - {count}. Please increase "
            "'interval' parameter for your query or reduce the time range of the query.",
            plain=True,
        )
    end_ms = max(query.start_ms + 1, query.end_ms)
    whole = msgspec.structs.replace(query, end_ms=end_ms, interval_ms=length_ms, ascending=True)
    if calendar is None:
        return await storage.query_series(whole)
    found: Points = {}
    for start_ms, until_ms in _periods(calendar, query.start_ms, end_ms):
        period = msgspec.structs.replace(
            whole, start_ms=start_ms, end_ms=until_ms, interval_ms=until_ms - start_ms
        )
        for key, points in (await storage.query_series(period)).items():
            found.setdefault(key, []).extend(points)
    return found


def _periods(calendar: Calendar, start_ms: int, end_ms: int) -> Iterator[tuple[int, int]]:
    """The calendar's intervals within a range; the first and the last may be cut."""
    if start_ms not in _CALENDAR_MS or end_ms not in _CALENDAR_MS:
        raise ApiError(400, "The range is beyond the calendar", plain=True)
    type = {"WEEK": "WEEK_SUN_SAT", "WEEK_ISO": "WEEK"}.get(calendar.type, calendar.type)
    interval = msgspec.convert({"type": type, "tz": calendar.zone}, Interval)
    while start_ms < end_ms:
        until_ms = min(bounds(interval, start_ms)[1], end_ms)
        yield start_ms, until_ms
        start_ms = until_ms
