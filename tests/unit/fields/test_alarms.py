"""Alarms of calculated fields beyond the recorded cases."""

from __future__ import annotations

from uuid import UUID

from appliance.rules.alarms import changed
from tests.unit.fields.bench import Site, alarm, argument, no_data, numeric


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
