"""What alarm rules of device profiles compare, and what the clock raises and clears."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from appliance.model.ids import EntityId
from appliance.rules.conditions import within
from appliance.testing.rules import RuleBench
from plugins.rules_action import register_rule_nodes
from plugins.rules_action.profile_rules import Predicate

FACTORIES = register_rule_nodes().nodes
NODE = FACTORIES["org.thingsboard.rule.engine.profile.TbDeviceProfileNode"]
MINUTE_MS = 60_000


class Given:
    """A snapshot with one dynamic value."""

    ts = 0

    def __init__(self, dynamic: Any) -> None:
        self._dynamic = dynamic

    def value(self, kind: str, key: str) -> Any:
        return None

    def dynamic(self, source: str, key: str, inherit: bool) -> Any:
        return self._dynamic


@pytest.mark.parametrize(
    ("kind", "operation", "left", "right", "dynamic", "holds"),
    [
        ("NUMERIC", "EQUAL", True, 1, None, True),
        ("NUMERIC", "GREATER", "21.5", 20, None, True),
        ("NUMERIC", "GREATER", {"a": 1}, 0, None, False),
        ("NUMERIC", "LESS", 5, 1, "7", True),
        ("NUMERIC", "LESS", 5, 10, "no number", True),
        ("BOOLEAN", "EQUAL", -1, False, None, True),
        ("BOOLEAN", "EQUAL", 0.5, True, None, True),
        ("BOOLEAN", "NOT_EQUAL", {"a": 1}, True, None, True),
        ("BOOLEAN", "EQUAL", "TRUE", False, 3, True),
        ("STRING", "IN", "b", "a, b", None, True),
        ("STRING", "IN", "b", "'a', 'b'", None, True),
        ("STRING", "IN", "b", "'a', \"b\"", None, False),
        ("STRING", "NOT_IN", "b", '"a"', None, True),
        ("STRING", "EQUAL", 1e10, "1.0E10", None, True),
    ],
)
def test_a_predicate(
    kind: str, operation: str, left: Any, right: Any, dynamic: Any, holds: bool
) -> None:
    source = {"sourceType": "CURRENT_DEVICE", "sourceAttribute": "a"}
    value = {"defaultValue": right, "dynamicValue": source}
    raw = {"type": kind, "operation": operation, "value": value}
    assert msgspec.convert(raw, Predicate).holds(left, Given(dynamic)) is holds


@pytest.mark.parametrize(
    ("start", "end", "of_day", "inside"),
    [(5, 5, 5, False), (0, 0, 0, True), (5, 6, 5, True), (6, 5, 6, False), (6, 5, 0, False)],
)
def test_the_ends_of_an_active_time(start: int, end: int, of_day: int, inside: bool) -> None:
    assert within(of_day, start, end) is inside


def condition(operation: str, unit: str, length: Any) -> dict[str, Any]:
    threshold = {"type": "NUMERIC", "operation": operation, "value": {"defaultValue": 20}}
    key = {"type": "TIME_SERIES", "key": "t"}
    return {
        "condition": {
            "condition": [{"key": key, "valueType": "NUMERIC", "predicate": threshold}],
            "spec": {"type": "DURATION", "unit": unit, "predicate": length},
        }
    }


def site(length: Any) -> tuple[RuleBench, EntityId]:
    bench = RuleBench(FACTORIES)
    alarm = {
        "alarmType": "Hot",
        "createRules": {"MAJOR": condition("GREATER", "MINUTES", length)},
        "clearRule": condition("LESS", "MINUTES", length),
    }
    bench.add("DEVICE_PROFILE", {"name": "P", "profileData": {"alarms": [alarm]}})
    bench.load_node(NODE)
    return bench, bench.add_device("D", "P")


async def test_the_clock_raises_and_clears_what_has_lasted() -> None:
    bench, device = site({"defaultValue": 1})
    for value, is_cleared in ((21, False), (19, True)):
        await bench.send("POST_TELEMETRY_REQUEST", device, {"t": value})
        await bench.advance(3 * MINUTE_MS)
        (alarm,) = bench.state.entities("ALARM")
        assert alarm["cleared"] is is_cleared


async def test_a_duration_that_is_no_number_raises_nothing() -> None:
    source = {"sourceType": "CURRENT_DEVICE", "sourceAttribute": "a"}
    bench, device = site({"defaultValue": 1, "dynamicValue": source})
    await bench.send("POST_ATTRIBUTES_REQUEST", device, {"a": "soon"})
    for value in (21, 22):
        await bench.send("POST_TELEMETRY_REQUEST", device, {"t": value})
        await bench.advance(2 * MINUTE_MS)
    assert not list(bench.state.entities("ALARM"))
