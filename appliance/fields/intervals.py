"""Aggregation intervals: where the one that holds a moment begins and ends (spec §7).

Calendar intervals follow the zone's clock, so a day may have 23 or 25 hours; an hour is always
3600 s. Custom intervals begin at each midnight of the zone, where the day's last one ends; those
longer than a day are counted from 1970-01-01. The offset moves all boundaries later.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo

from appliance.fields.cell import FieldError
from appliance.fields.config import Interval
from appliance.rules.conditions import DAY_MS, zone_of

HOUR_MS = 3_600_000
_FIRST = date(1970, 1, 1)


def bounds(interval: Interval, ts: int) -> tuple[int, int]:
    """(start, end) of the interval with start <= ts < end, epoch milliseconds.

    Raises FieldError for a time that the calendar does not know, as after the year 9999.
    """
    offset_ms = interval.offset_sec * 1000
    try:
        start, end = _plain_bounds(interval, ts - offset_ms)
    except (ValueError, OverflowError):
        raise FieldError(f"no interval is known for the time {ts}") from None
    return start + offset_ms, end + offset_ms


def _plain_bounds(interval: Interval, ts: int) -> tuple[int, int]:
    zone = zone_of(interval.tz)
    local = datetime.fromtimestamp(ts / 1000, zone)
    if interval.type == "CUSTOM":
        return _custom(interval.duration_sec * 1000, local.date(), zone, ts)
    if interval.type == "HOUR":
        past_ms = (local.minute * 60 + local.second) * 1000 + ts % 1000
        return ts - past_ms, ts - past_ms + HOUR_MS
    first, after = _days(interval.type, local.date())
    return _midnight(first, zone), _midnight(after, zone)


def _custom(length_ms: int, day: date, zone: tzinfo, ts: int) -> tuple[int, int]:
    first, after = day, day + timedelta(days=1)
    if length_ms % DAY_MS == 0:
        days = length_ms // DAY_MS
        first -= timedelta(days=(day - _FIRST).days % days)
        after = first + timedelta(days=days)
        return _midnight(first, zone), _midnight(after, zone)
    if length_ms > DAY_MS:
        start = _midnight(_FIRST, zone)
        start += (ts - start) // length_ms * length_ms
        return start, start + length_ms
    start = _midnight(first, zone)
    start += (ts - start) // length_ms * length_ms
    return start, min(start + length_ms, _midnight(after, zone))


def _days(type: str, day: date) -> tuple[date, date]:
    """The first day of the interval, and the first day after it."""
    if type == "DAY":
        return day, day + timedelta(days=1)
    if type in ("WEEK", "WEEK_SUN_SAT"):
        back = day.weekday() if type == "WEEK" else day.isoweekday() % 7
        first = day - timedelta(days=back)
        return first, first + timedelta(days=7)
    months = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}[type]
    month = (day.month - 1) // months * months
    after = month + months
    return date(day.year, month + 1, 1), date(day.year + after // 12, after % 12 + 1, 1)


def _midnight(day: date, zone: tzinfo) -> int:
    moment = datetime.combine(day, time(), zone).astimezone(UTC)
    return int(moment.timestamp() * 1000)
