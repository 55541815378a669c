"""Alarms of calculated fields beyond the recorded cases."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from appliance.rules.alarms import changed, cleared
from tests.unit.fields.bench import Site, alarm, argument, compared, no_data, numeric


async def test_silence_raises_an_alarm_and_the_next_value_clears_it() -> None:
    site = Site()
    await site.start()
    silent = alarm(no_data("t", 30))
    silent["clearRule"] = {
        "condition": {"type": "SIMPLE", "expression": numeric("t", "GREATER", 0)}
    }
    await site.field("silent", "ALARM", silent)
    await site.send({"t": 5})
    await site.bench.later(29_999)
    assert site.alarms() == []

    await site.bench.later(1)
    assert site.alarms() == ["MAJOR ACTIVE_UNACK"]
    await site.send({"t": 6})

    assert site.alarms() == ["MAJOR CLEARED_UNACK"]


async def test_a_value_in_time_puts_the_silence_off() -> None:
    site = Site()
    await site.start()
    await site.field("silent", "ALARM", alarm(no_data("t", 30)))
    for _ in range(5):
        await site.send({"t": 5})
        await site.bench.later(20_000)

    assert site.alarms() == []


async def test_an_alarm_of_the_clock_is_not_written_again_by_the_clock() -> None:
    site = Site()
    await site.start()
    hours = {"staticValue": {"type": "SPECIFIC_TIME", "timezone": "UTC", "startsOn": 0,
                             "endsOn": 0, "daysOfWeek": [1, 2, 3, 4, 5, 6, 7]}}  # fmt: skip
    await site.field("hot", "ALARM", alarm(numeric("t", "GREATER", 50), schedule=hours))
    await site.send({"t": 60})
    before = list(site.bench.state.entities("ALARM"))

    await site.bench.later(600_000)

    assert list(site.bench.state.entities("ALARM")) == before


async def test_a_schedule_in_an_attribute_is_followed() -> None:
    site = Site()
    await site.start()
    hot = alarm(numeric("t", "GREATER", 50), schedule={"dynamicValueArgument": "hours"})
    never = {"type": "SPECIFIC_TIME", "timezone": "UTC", "daysOfWeek": []}
    hot["arguments"]["hours"] = argument("hours", defaultValue='{"type":"ANY_TIME"}')
    await site.field("hot", "ALARM", hot)
    await site.send({"hours": never})
    await site.send({"t": 60})
    assert site.alarms() == []

    await site.bench.later(1_000)
    await site.send({"hours": {"type": "ANY_TIME"}})

    assert site.alarms() == ["MAJOR ACTIVE_UNACK"]


async def test_an_acknowledged_alarm_counts_from_the_start() -> None:
    site = Site()
    await site.start()
    hot = alarm(numeric("t", "GREATER", 50), type="REPEATING", count={"staticValue": 2})
    await site.field("hot", "ALARM", hot)
    await site.send({"t": 60})
    await site.send({"t": 61})
    body = next(iter(site.bench.state.entities("ALARM")))
    acknowledged = changed(body, acknowledged=True)
    await site.bench.write("ALARM", UUID(body["id"]["id"]), acknowledged)

    await site.bench.later(5_000)
    await site.send({"t": 62})
    first = next(iter(site.bench.state.entities("ALARM")))
    await site.send({"t": 63})
    second = next(iter(site.bench.state.entities("ALARM")))

    assert first["endTs"] == body["endTs"]
    assert second["endTs"] > body["endTs"]


async def test_the_chain_hears_of_every_change_of_an_alarm() -> None:
    site = Site()
    heard: list[tuple[str, str]] = []
    process = site.bench.engine.chain_of

    def listening(message):
        if message.type.startswith("ALARM"):
            flag = next(key for key in message.metadata if key.startswith("is"))
            heard.append((message.type, flag))
        return process(message)

    site.bench.engine.chain_of = listening
    await site.start()
    hot = alarm(numeric("t", "GREATER", 50))
    hot["createRules"]["CRITICAL"] = {
        "condition": {"type": "SIMPLE", "expression": numeric("t", "GREATER", 80)}
    }
    hot["clearRule"] = {"condition": {"type": "SIMPLE", "expression": numeric("t", "LESS", 10)}}
    await site.field("hot", "ALARM", hot)
    for value in (60, 61, 90, 70, 5):
        await site.send({"t": value})

    assert heard == [
        ("ALARM_CREATED", "isNewAlarm"),
        ("ALARM_UPDATED", "isExistingAlarm"),
        ("ALARM_SEVERITY_UPDATED", "isExistingAlarm"),
        ("ALARM_CLEAR", "isClearedAlarm"),
    ]


HOT = numeric("t", "GREATER", 50)
HOUR_MS = 3_600_000
EVERY_DAY = [1, 2, 3, 4, 5, 6, 7]


def hours(start: int, end: int, **more: Any) -> dict[str, Any]:
    """A schedule over hours of each day."""
    times = {"startsOn": start * HOUR_MS, "endsOn": end * HOUR_MS}
    return {"type": "SPECIFIC_TIME", "timezone": "UTC", "daysOfWeek": EVERY_DAY, **times, **more}


def hour_of(site: Site) -> int:
    """The hour of the day."""
    return site.bench.now_ms // HOUR_MS % 24


@pytest.mark.parametrize(
    ("expression", "values", "raised"),
    [
        (compared("t", "NUMERIC", "EQUAL", 1), [True], True),
        (compared("t", "NUMERIC", "GREATER", 50), ["6e1"], True),
        (compared("t", "NUMERIC", "LESS", 50), ["cold"], False),
        (compared("t", "NUMERIC", "NOT_EQUAL", 50), ["cold"], False),
        (compared("t", "BOOLEAN", "EQUAL", True), [2], True),
        (compared("t", "BOOLEAN", "EQUAL", True), ["TRUE"], True),
        (compared("t", "BOOLEAN", "EQUAL", True), [{"a": 1}], False),
        (compared("t", "STRING", "IN", "'on', 'hot'"), ["hot"], True),
        (compared("t", "STRING", "IN", "'on', hot"), ["on"], False),
        (compared("t", "STRING", "NOT_IN", "on, hot"), ["hot"], False),
        (compared("t", "STRING", "EQUAL", "60"), [60], True),
        ({"type": "TBEL", "expression": "return t > 50 && ctx.args.t.ts > 0;"}, [60], True),
    ],
)
async def test_what_makes_an_alarm(
    expression: dict[str, Any], values: list[Any], raised: bool
) -> None:
    site = Site()
    await site.start()
    await site.field("a", "ALARM", alarm(expression))
    for value in values:
        await site.send({"t": value})
    assert bool(site.alarms()) == raised


@pytest.mark.parametrize(
    "rule",
    [
        alarm(HOT, type="REPEATING", count={"staticValue": 0}),
        alarm(HOT, type="DURATION", unit="SECONDS", value={"staticValue": 0}),
        alarm(no_data("t", 0)),
        alarm(HOT, schedule={"staticValue": hours(8, 8)}),
        alarm(HOT, schedule={"staticValue": {**hours(0, 0), "daysOfWeek": []}}),
    ],
)
async def test_what_never_makes_an_alarm(rule: dict[str, Any]) -> None:
    site = Site()
    await site.start()
    await site.field("a", "ALARM", rule)
    for _ in range(3):
        await site.send({"t": 60})
        await site.bench.later(90_000)
    assert site.alarms() == []


async def test_a_filter_over_an_argument_that_is_not_there_is_an_error() -> None:
    site = Site()
    await site.start()
    other = numeric("unknown", "GREATER", 50)
    either = {**HOT, "filters": [*other["filters"], *HOT["filters"]], "operation": "OR"}
    await site.field("a", "ALARM", alarm(either))
    await site.send({"t": 60})
    assert site.alarms() == []
    assert site.bench.events[-1].error == "Argument 'unknown' is missing"


async def test_a_value_from_before_the_field_is_no_event_to_count() -> None:
    site = Site()
    await site.start()
    await site.send({"t": 60})
    once = alarm(HOT, type="REPEATING", count={"staticValue": 1})
    await site.field("a", "ALARM", once)
    assert site.alarms() == []
    await site.send({"t": 60})
    assert site.alarms() == ["MAJOR ACTIVE_UNACK"]


async def test_how_often_and_how_long_may_come_from_arguments() -> None:
    site = Site()
    await site.start()
    rule = alarm(HOT, type="REPEATING", count={"dynamicValueArgument": "n"})
    long = alarm(HOT, type="DURATION", unit="SECONDS", value={"dynamicValueArgument": "s"})
    rule["createRules"]["MINOR"] = long["createRules"]["MAJOR"]
    rule["arguments"] |= {
        "n": argument("n", defaultValue="3"),
        "s": argument("s", defaultValue="10"),
    }
    await site.field("a", "ALARM", rule)
    await site.send({"t": 60})
    await site.bench.later(9_999)
    assert site.alarms() == []
    await site.bench.later(1)
    assert site.alarms() == ["MINOR ACTIVE_UNACK"]
    await site.send({"n": 2})
    await site.send({"t": 70})
    assert site.alarms() == ["MAJOR ACTIVE_UNACK"]


async def test_a_schedule_is_asked_of_the_time_of_the_value() -> None:
    site = Site()
    await site.start()
    hour = hour_of(site)
    before = hours((hour - 2) % 24, (hour - 1) % 24)
    await site.field("a", "ALARM", alarm(HOT, schedule={"staticValue": before}))
    await site.send({"t": 60}, ts=site.bench.now_ms - 90 * 60_000)
    assert site.alarms() == ["MAJOR ACTIVE_UNACK"]


async def test_a_value_from_the_end_of_time_may_make_an_alarm() -> None:
    site = Site()
    await site.start()
    await site.field("a", "ALARM", alarm(HOT, schedule={"staticValue": hours(0, 0)}))
    await site.send({"t": 60}, ts=10**15)
    assert site.alarms() == ["MAJOR ACTIVE_UNACK"]


async def test_an_alarm_is_raised_when_its_hours_begin() -> None:
    site = Site()
    await site.start()
    hour = hour_of(site)
    items = [{"enabled": True, "dayOfWeek": day, "startsOn": (hour + 1) % 24 * HOUR_MS, "endsOn": 0}
             for day in EVERY_DAY]  # fmt: skip
    custom = {"type": "CUSTOM", "timezone": "UTC", "items": items}
    await site.field("a", "ALARM", alarm(HOT, schedule={"staticValue": custom}))
    await site.send({"t": 60})
    assert site.alarms() == []
    await site.bench.later(HOUR_MS + 60_000)
    assert site.alarms() == ["MAJOR ACTIVE_UNACK"]


@pytest.mark.parametrize(
    ("schedule", "raised"),
    [("{}", True), ('{"daysOfWeek":[1,2,3,4,5,6,7]}', True), ('{"items":[]}', False),
     ('{"hours":1}', False), ("always", False)],
)  # fmt: skip
async def test_a_schedule_of_an_argument_need_not_say_its_type(schedule: str, raised: bool) -> None:
    site = Site()
    await site.start()
    rule = alarm(HOT, schedule={"dynamicValueArgument": "hours"})
    rule["arguments"]["hours"] = argument("hours", defaultValue=schedule)
    await site.field("a", "ALARM", rule)
    await site.send({"t": 60})
    assert bool(site.alarms()) == raised


async def test_an_alarm_that_somebody_cleared_does_not_come_back_by_the_clock() -> None:
    site = Site()
    await site.start()
    rule = alarm(HOT)
    slow = alarm(numeric("t", "GREATER", 50), type="DURATION", value={"staticValue": 60})
    silent = alarm(no_data("t", 600))
    rule["createRules"] |= {
        "CRITICAL": silent["createRules"]["MAJOR"],
        "MINOR": slow["createRules"]["MAJOR"],
    }
    await site.field("a", "ALARM", rule)
    await site.send({"t": 60})
    body = next(iter(site.bench.state.entities("ALARM")))
    gone = cleared(body, site.bench.now_ms, {})
    await site.bench.write("ALARM", UUID(body["id"]["id"]), gone)

    await site.bench.later(599_999)
    assert site.alarms() == ["MAJOR CLEARED_UNACK"]
    await site.bench.later(1)
    assert site.alarms() == ["MAJOR CLEARED_UNACK", "CRITICAL ACTIVE_UNACK"]


async def test_an_alarm_is_cleared_when_its_clear_rule_has_lasted() -> None:
    site = Site()
    await site.start()
    rule, low = alarm(HOT), numeric("t", "LESS", 40)
    lasting = alarm(low, type="DURATION", unit="SECONDS", value={"staticValue": 10})
    rule["clearRule"] = lasting["createRules"]["MAJOR"]
    await site.field("a", "ALARM", rule)
    await site.send({"t": 60})
    await site.send({"t": 30})
    await site.bench.later(9_000)
    await site.send({"t": 60})
    await site.bench.later(1_000)
    await site.send({"t": 30})
    await site.bench.later(9_999)
    assert site.alarms() == ["MAJOR ACTIVE_UNACK"]
    await site.bench.later(1)
    assert site.alarms() == ["MAJOR CLEARED_UNACK"]


async def test_an_alarm_is_cleared_when_its_clear_rule_was_true_often_enough() -> None:
    site = Site()
    await site.start()
    rule, low = alarm(HOT), numeric("t", "LESS", 40)
    twice = alarm(low, type="REPEATING", count={"staticValue": 2})
    rule["clearRule"] = twice["createRules"]["MAJOR"]
    await site.field("a", "ALARM", rule)
    for value in (60, 30, 45, 30):
        await site.send({"t": value})
    assert site.alarms() == ["MAJOR ACTIVE_UNACK"]
    await site.send({"t": 30})
    assert site.alarms() == ["MAJOR CLEARED_UNACK"]


async def test_a_device_that_is_silent_gets_better_when_it_speaks() -> None:
    site = Site()
    await site.start()
    rule = alarm(no_data("t", 60))
    back = {"type": "TBEL", "expression": "return ctx.latestTs > 0;"}
    rule["clearRule"] = {"condition": {"type": "SIMPLE", "expression": back}}
    await site.field("a", "ALARM", rule)
    for _ in range(2):
        await site.send({"t": 1})
        await site.bench.later(61_000)
    assert site.alarms() == ["MAJOR CLEARED_UNACK", "MAJOR ACTIVE_UNACK"]


@pytest.mark.parametrize("seconds", ["Infinity", "NaN", "1e300", "-1"])
async def test_a_time_without_end_is_never_over_and_harms_nobody(seconds: str) -> None:
    site = Site()
    await site.start()
    dynamic = {"dynamicValueArgument": "s"}
    rule = alarm(HOT, type="DURATION", unit="DAYS", value=dynamic)
    silence = {"type": "NO_DATA", "unit": "DAYS", "duration": dynamic}
    silent = {"argument": "t", "valueType": "NUMERIC", "predicates": [silence]}
    minor = alarm({"type": "SIMPLE", "filters": [silent]})["createRules"]["MAJOR"]
    rule["createRules"]["MINOR"] = minor
    rule["arguments"]["s"] = argument("s", defaultValue=seconds)
    await site.field("a", "ALARM", rule)
    await site.send({"t": 60})
    await site.bench.later(100_000)
    await site.send({"t": 61})
    assert site.alarms() == []
