"""Alarm rules as calculated fields beyond the recorded cases: values, units, hours."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.field_probe import T0, came, latest, window


def rule(*predicates: dict[str, Any], kind: str = "NUMERIC", **condition: Any) -> dict[str, Any]:
    """An alarm rule over argument a."""
    over_a = {"argument": "a", "valueType": kind, "predicates": list(predicates)}
    return {
        "condition": {
            "type": "SIMPLE",
            "expression": {"type": "SIMPLE", "filters": [over_a]},
            **condition,
        }
    }


def that(type: str, operation: str, value: Any, **more: Any) -> dict[str, Any]:
    """A predicate; value: given, or `{"dynamicValueArgument": …}`."""
    wanted = value if isinstance(value, dict) else {"staticValue": value}
    return {"type": type, "operation": operation, "value": wanted, **more}


POSITIVE = that("NUMERIC", "GREATER", 0)
OF_B = {"dynamicValueArgument": "b"}


async def raised(
    alarm_rule: dict[str, Any], *sends: dict[str, Any], **arguments: dict[str, Any]
) -> list[str]:
    """The states of the alarms that came of a rule."""
    configuration = {
        "arguments": {"a": latest("a"), **arguments},
        "createRules": {"MAJOR": alarm_rule},
    }
    case = await came("ALARM", configuration, *sends)
    return [alarm["status"] for alarm in case.bench.state.entities("ALARM")]


@pytest.mark.parametrize(
    ("value", "is_true"),
    [
        (-1, True),  # a number unless it is 0
        (0.5, True),
        (0, False),
        ("TRUE", True),
        ("yes", False),
        ([1], False),
    ],
)
async def test_what_is_true(value: Any, is_true: bool) -> None:
    found = await raised(rule(that("BOOLEAN", "EQUAL", True), kind="BOOLEAN"), {"a": value})
    assert bool(found) is is_true


@pytest.mark.parametrize(
    ("predicate", "value", "fires"),
    [
        (that("NUMERIC", "NOT_EQUAL", 5), "NaN", True),
        (that("NUMERIC", "GREATER", 5), "NaN", False),
        (that("NUMERIC", "GREATER", 1e300), "Infinity", True),
        (that("NUMERIC", "EQUAL", 1), True, True),
        (that("NUMERIC", "NOT_EQUAL", 5), "abc", False),
        (that("STRING", "EQUAL", "5"), 5, True),
        (that("STRING", "EQUAL", "1.0E10"), 1e10, True),
        (that("STRING", "CONTAINS", '"x":1'), {"x": 1}, True),
        (that("STRING", "IN", "a, b ,c"), "b", True),
        (that("STRING", "EQUAL", "ABC", ignoreCase=True), "abc", True),
    ],
)
async def test_what_a_predicate_makes_of_a_value(
    predicate: dict[str, Any], value: Any, fires: bool
) -> None:
    assert bool(await raised(rule(predicate, kind=predicate["type"]), {"a": value})) is fires


@pytest.mark.parametrize(
    ("given", "threshold", "repeats", "seconds"),
    [
        (3, True, True, True),
        (True, True, True, True),
        ("abc", False, False, False),
        ("NaN", False, False, False),
        ({"x": 1}, False, False, False),
    ],
)
async def test_what_an_argument_gives_to_a_rule(
    given: Any, threshold: bool, repeats: bool, seconds: bool
) -> None:
    sends: list[dict[str, Any]] = [{"b": given}, {"a": 4}, {"a": 4}, {"a": 4}, {"wait_s": 5}]
    for alarm_rule, fires in (
        (rule(that("NUMERIC", "GREATER", OF_B)), threshold),
        (rule(POSITIVE, type="REPEATING", count=OF_B), repeats),
        (rule(POSITIVE, type="DURATION", unit="SECONDS", value=OF_B), seconds),
    ):
        assert bool(await raised(alarm_rule, *sends, b=latest("b"))) is fires


@pytest.mark.parametrize(
    ("unit", "count", "fires"),
    [("MILLISECONDS", 1500, True), ("MICROSECONDS", 900, False), ("HOURS", 1, False)],
)
async def test_every_unit_of_javas_clock_is_one(unit: str, count: int, fires: bool) -> None:
    lasting = rule(POSITIVE, type="DURATION", unit=unit, value={"staticValue": count})
    assert bool(await raised(lasting, {"a": 1}, {"wait_s": 3})) is fires


TODAY = 3
"""The weekday of NOW_MS."""


@pytest.mark.parametrize(
    ("hours", "fires"),
    [
        ({"timezone": "GMT+1", "startsOn": 43_200_000, "endsOn": 46_800_000}, True),
        ({"timezone": "UTC+01:00", "startsOn": 43_200_000, "endsOn": 46_800_000}, True),
        ({"timezone": "-02:00", "startsOn": 32_400_000, "endsOn": 36_000_000}, True),
        ({"timezone": "-03:00", "startsOn": 32_400_000, "endsOn": 36_000_000}, False),
    ],
)
async def test_a_schedule_may_be_so_far_from_utc(hours: dict[str, Any], fires: bool) -> None:
    schedule = {"type": "SPECIFIC_TIME", "daysOfWeek": list(range(1, 8)), **hours}
    found = await raised(rule(POSITIVE, schedule={"staticValue": schedule}), {"a": 1})
    assert bool(found) is fires


async def test_the_first_hours_of_a_weekday_count() -> None:
    day = {"dayOfWeek": TODAY, "startsOn": 0, "endsOn": 0}
    items = [{**day, "enabled": False}, {**day, "enabled": True}]
    schedule = {"type": "CUSTOM", "timezone": "UTC", "items": items}
    assert not await raised(rule(POSITIVE, schedule={"staticValue": schedule}), {"a": 1})
    schedule["items"] = items[::-1]
    assert await raised(rule(POSITIVE, schedule={"staticValue": schedule}), {"a": 1})


SILENCE = {"type": "NO_DATA", "unit": "SECONDS", "duration": {"staticValue": 60}}


@pytest.mark.parametrize(("wait_s", "states"), [(30, ["ACTIVE_UNACK"]), (200, ["CLEARED_UNACK"])])
async def test_silence_clears_what_lasted(wait_s: int, states: list[str]) -> None:
    lasting = rule(POSITIVE, type="DURATION", unit="SECONDS", value={"staticValue": 5})
    configuration = {
        "arguments": {"a": latest("a")},
        "createRules": {"MAJOR": lasting},
        "clearRule": rule(SILENCE),
    }
    case = await came("ALARM", configuration, {"a": 1}, {"wait_s": 8}, {"wait_s": wait_s})
    assert [alarm["status"] for alarm in case.bench.state.entities("ALARM")] == states


@pytest.mark.parametrize(("threshold", "fires"), [("10", False), ("3", True)])
async def test_a_default_of_a_rule_yields_to_an_older_value(threshold: str, fires: bool) -> None:
    alarm_rule = rule(that("NUMERIC", "GREATER", OF_B))
    alarm = await raised(alarm_rule, {"a": 5}, b=latest("b", defaultValue=threshold))
    assert bool(alarm) is fires
    old = {"ts": T0, "values": {"b": 5}}
    assert not await raised(alarm_rule, old, {"a": 5}, b=latest("b", defaultValue=threshold))


async def test_an_alarm_rule_takes_no_window() -> None:
    condition = {"type": "SIMPLE", "expression": {"type": "TBEL", "expression": "return true;"}}
    assert await raised({"condition": condition}, {"a": 1})
    assert not await raised({"condition": condition}, {"a": 1}, w=window("a"))
