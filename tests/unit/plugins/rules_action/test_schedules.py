"""When an alarm rule of a device profile is active."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from plugins.rules_action.profile_rules import Schedule

HOUR = 3_600_000


class Nothing:
    """A snapshot without anything, or with one dynamic value."""

    ts = 0

    def __init__(self, dynamic: Any = None) -> None:
        self._dynamic = dynamic

    def value(self, kind: str, key: str) -> Any:
        return None

    def dynamic(self, source: str, key: str, inherit: bool) -> Any:
        return self._dynamic


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("schedule", "moment", "active"),
    [
        ({"type": "ANY_TIME"}, "2026-11-21T03:00", True),
        ({"type": "SPECIFIC_TIME", "daysOfWeek": [6]}, "2026-11-21T03:00", True),
        ({"type": "SPECIFIC_TIME", "daysOfWeek": [7]}, "2026-11-21T03:00", False),
        (
            {"type": "SPECIFIC_TIME", "daysOfWeek": [6], "startsOn": 8 * HOUR, "endsOn": 9 * HOUR},
            "2026-11-21T08:59",
            True,
        ),
        (
            {"type": "SPECIFIC_TIME", "daysOfWeek": [6], "startsOn": 8 * HOUR, "endsOn": 9 * HOUR},
            "2026-11-21T09:00",
            False,
        ),
        (
            {"type": "SPECIFIC_TIME", "daysOfWeek": [6], "startsOn": 22 * HOUR, "endsOn": 6 * HOUR},
            "2026-11-21T03:00",
            True,
        ),
        (
            {"type": "SPECIFIC_TIME", "daysOfWeek": [6], "timezone": "Asia/Tokyo"},
            "2026-11-20T16:00",
            True,
        ),
        (
            {"type": "CUSTOM", "items": [{"enabled": True, "dayOfWeek": 6, "endsOn": HOUR}]},
            "2026-11-21T00:30",
            True,
        ),
        (
            {"type": "CUSTOM", "items": [{"enabled": False, "dayOfWeek": 6}]},
            "2026-11-21T00:30",
            False,
        ),
    ],
)
def test_a_schedule(schedule: dict[str, Any], moment: str, active: bool) -> None:
    parsed = msgspec.convert(schedule, Schedule)
    assert parsed.active(Nothing(), at(moment)) is active


def test_an_attribute_may_hold_the_schedule() -> None:
    source = {"sourceType": "CURRENT_DEVICE", "sourceAttribute": "s"}
    parsed = msgspec.convert({"type": "ANY_TIME", "dynamicValue": source}, Schedule)
    other = '{"type":"SPECIFIC_TIME","daysOfWeek":[7]}'
    assert not parsed.active(Nothing(other), at("2026-11-21T03:00"))
    assert parsed.active(Nothing("no schedule"), at("2026-11-21T03:00"))
