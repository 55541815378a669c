"""What the rules of alarms compare, old form (device profile) and new (calculated field) alike.

Comparisons of a value with a fixed one, and the hours in which a rule is active (spec §6.1).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from appliance.rules.node import NodeConfig
from appliance.rules.values import as_number

UNIT_MS = {"SECONDS": 1_000, "MINUTES": 60_000, "HOURS": 3_600_000, "DAYS": 86_400_000}
DAY_MS = 86_400_000
_OFFSET = re.compile(r"(?:UTC|GMT|UT)?([+-])(\d\d?)(?::?(\d\d)(?::?(\d\d))?)?", re.ASCII)
_FARTHEST = timedelta(hours=18)
LAST_MS = 253_402_000_000_000
"""Devices may send any time; the calendar ends with the year 9999."""


class ScheduleItem(NodeConfig, frozen=True, kw_only=True):
    """Hours of one weekday, 1 = Monday; milliseconds of the day."""

    enabled: bool = False
    day_of_week: int = 0
    starts_on: int = 0
    ends_on: int = 0


class Hours(NodeConfig, frozen=True, kw_only=True):
    """When a rule is active at all."""

    type: Literal["ANY_TIME", "SPECIFIC_TIME", "CUSTOM"] = "ANY_TIME"
    timezone: str = "UTC"
    days_of_week: list[int] = []
    starts_on: int = 0
    ends_on: int = 0
    items: list[ScheduleItem] = []

    def contain(self, ts: int) -> bool:
        """Whether a rule is active at ts, epoch milliseconds."""
        if self.type == "ANY_TIME":
            return True
        ts = min(ts, LAST_MS)
        moment = datetime.fromtimestamp(ts / 1000, zone_of(self.timezone))
        midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        of_day = ts - int(midnight.timestamp() * 1000)  # as it passed, also when clocks change
        today = moment.isoweekday()
        if self.type == "SPECIFIC_TIME":
            return today in self.days_of_week and within(of_day, self.starts_on, self.ends_on)
        item = next((item for item in self.items if item.day_of_week == today), ScheduleItem())
        return item.enabled and within(of_day, item.starts_on, item.ends_on)


def within(of_day: int, start: int, end: int) -> bool:
    """Whether a time of day lies between two others; an end of 0 is midnight, ends may wrap.

    No time lies between a time and itself.
    """
    end = end or DAY_MS
    if start <= end:
        return start <= of_day < end
    return of_day > start or 0 < of_day < end


def zone_of(name: str) -> tzinfo:
    """The named zone; UTC where this machine does not know it, so that rules keep working."""
    return known_zone(name) or UTC


@lru_cache(maxsize=256)
def known_zone(name: str) -> tzinfo | None:
    """The zone that Java means by a name: of a region, or so far from UTC (`+02:00`, `GMT-3`)."""
    offset = _OFFSET.fullmatch(name)
    if offset is not None:
        return _offset_zone(*(int(part or 0) for part in offset.group(2, 3, 4)), sign=offset[1])
    try:
        return UTC if name == "Z" else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # `Europe` is a folder
        return None


def _offset_zone(hours: int, minutes: int, seconds: int, *, sign: str) -> tzinfo | None:
    east = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    if minutes > 59 or seconds > 59 or east > _FARTHEST:
        return None
    return timezone(east if sign == "+" else -east)


def compare_numbers(operation: str, left: float | None, right: float | None) -> bool:
    """A NUMERIC predicate; false where either side is no number."""
    if left is None or right is None:
        return False
    match operation:
        case "EQUAL":
            return left == right
        case "NOT_EQUAL":
            return left != right
        case "GREATER":
            return left > right
        case "LESS":
            return left < right
        case "GREATER_OR_EQUAL":
            return left >= right
    return operation == "LESS_OR_EQUAL" and left <= right


def compare_texts(operation: str, left: str, right: str, ignore_case: bool) -> bool:
    """A STRING predicate; IN and NOT_IN take a list separated by commas."""
    if ignore_case:
        left, right = left.lower(), right.lower()
    match operation:
        case "EQUAL":
            return left == right
        case "NOT_EQUAL":
            return left != right
        case "STARTS_WITH":
            return left.startswith(right)
        case "ENDS_WITH":
            return left.endswith(right)
        case "CONTAINS":
            return right in left
        case "NOT_CONTAINS":
            return right not in left
    listed = left in _listed(right)
    return listed if operation == "IN" else not listed


def _listed(text: str) -> list[str]:
    """The parts of a list; quotes are taken off where all parts have the same."""
    parts = [part.strip() for part in text.split(",")]
    for quote in "'\"":
        if all(len(part) > 1 and part[0] == part[-1] == quote for part in parts):
            return [part[1:-1] for part in parts]
    return parts


def compare_booleans(operation: str, left: Any, right: Any) -> bool:
    """A BOOLEAN predicate: EQUAL or NOT_EQUAL."""
    same = as_boolean(left) == as_boolean(right)
    return same if operation == "EQUAL" else not same


def as_boolean(value: Any) -> bool:
    """A value as a truth: text where it says so, a number above 0, never JSON."""
    if isinstance(value, str):
        return value.lower() == "true"
    return isinstance(value, int | float) and value > 0


def comparable(value: Any) -> int | float | None:
    """A value as a number to compare: true is 1, false 0."""
    return int(value) if isinstance(value, bool) else as_number(value)
