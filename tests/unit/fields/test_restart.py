"""What calculated fields remember when the process ends."""

from __future__ import annotations

from tests.unit.fields.bench import Site, alarm, argument, no_data, numeric, simple


async def started() -> Site:
    site = Site()
    await site.start()
    return site


async def test_single_values_are_there_after_a_restart() -> None:
    site = await started()
    await site.field("sum", "SIMPLE", simple("a+b", "o", "a", "b"))
    await site.send({"a": 1})

    await site.restart()
    assert site.values("o") == []
    await site.bench.later(1_000)
    await site.send({"b": 2})

    assert site.values("o") == [3.0]


async def test_a_restart_alone_calculates_nothing() -> None:
    site = await started()
    await site.field("double", "SIMPLE", simple("a*2", "o", "a"))
    await site.send({"a": 1})
    await site.bench.later(60_000)

    await site.restart()

    assert site.values("o") == [2.0]


async def test_a_rolling_window_is_read_again_from_history() -> None:
    site = await started()
    rolling = {"t": argument("t", "TS_ROLLING", limit=10, timeWindow=60_000)}
    script = {"arguments": rolling, "expression": "return {'s': t.sum()};"}
    await site.field("sum", "SCRIPT", {**script, "output": {"type": "TIME_SERIES"}})
    await site.send({"t": 1})
    await site.bench.later(1_000)

    await site.restart()
    await site.send({"t": 2})

    assert site.values("s") == [1.0, 3.0]


async def test_a_repeating_alarm_counts_on() -> None:
    site = await started()
    hot = alarm(numeric("t", "GREATER", 50), type="REPEATING", count={"staticValue": 3})
    await site.field("hot", "ALARM", hot)
    for value in (60, 61):
        await site.send({"t": value})
        await site.bench.later(1_000)

    await site.restart()
    assert site.alarms() == []
    await site.send({"t": 62})

    assert site.alarms() == ["MAJOR ACTIVE_UNACK"]


async def test_a_duration_goes_on_while_the_process_is_down() -> None:
    site = await started()
    hot = alarm(
        numeric("t", "GREATER", 50), type="DURATION", unit="MINUTES", value={"staticValue": 5}
    )
    await site.field("hot", "ALARM", hot)
    await site.send({"t": 60})
    await site.bench.later(60_000)

    await site.restart()
    await site.bench.later(3 * 60_000)
    assert site.alarms() == []
    await site.bench.later(60_000)

    assert site.alarms() == ["MAJOR ACTIVE_UNACK"]


async def test_silence_is_noticed_after_a_restart() -> None:
    site = await started()
    await site.field("silent", "ALARM", alarm(no_data("t", 90)))
    await site.send({"t": 1})

    await site.restart()
    await site.bench.later(80_000)
    assert site.alarms() == []
    await site.bench.later(10_000)

    assert site.alarms() == ["MAJOR ACTIVE_UNACK"]


async def test_an_interval_that_ended_while_the_process_was_down_is_made_up_for_once() -> None:
    site = await started()
    metrics = {"s": {"function": "SUM", "input": {"type": "key", "key": "t"}}}
    interval = {"type": "CUSTOM", "tz": "UTC", "durationSec": 60}
    aggregation = {
        "arguments": {"t": argument("t")},
        "metrics": metrics,
        "interval": interval,
        "output": {"type": "TIME_SERIES"},
    }
    await site.field("sum", "ENTITY_AGGREGATION", aggregation)
    await site.send({"t": 1})
    await site.send({"t": 2})
    site.bench.engine.timers._live.clear()
    site.bench.now_ms += 180_000

    await site.restart()
    await site.bench.later(1_000)
    assert site.values("s") == [2.0]
    await site.restart()
    await site.bench.later(1_000)

    assert site.values("s") == [2.0]


async def test_a_field_that_is_deleted_leaves_nothing_behind() -> None:
    site = await started()
    id = await site.field("double", "SIMPLE", simple("a*2", "o", "a"))
    await site.send({"a": 1})
    assert site.bench.history.states["fields"]

    await site.bench.write("CALCULATED_FIELD", id.id, None)

    assert site.bench.history.states["fields"] == {}
