"""Aggregates per interval of time, beyond the recorded cases."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.fields.bench import Site, argument

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
HOURLY = {"type": "HOUR", "tz": "UTC"}
CUSTOM = {"type": "CUSTOM", "tz": "UTC", "durationSec": 60}


def aggregation(interval: dict[str, Any], *functions: str, **more: Any) -> dict[str, Any]:
    """An ENTITY_AGGREGATION over `t` with a metric for each function, by its name."""
    given = {"type": "key", "key": "t"}
    return {
        "arguments": {"t": argument("t")},
        "metrics": {name: {"function": name, "input": given} for name in functions},
        "interval": interval,
        "output": {"type": "TIME_SERIES"},
        **more,
    }


def points(site: Site, key: str) -> list[tuple[int, Any]]:
    """A key's history."""
    return sorted(site.bench.history.points.get(site.device, {}).get(key, {}).items())


async def started(configuration: dict[str, Any]) -> Site:
    """A site at the beginning of an hour and a field there."""
    site = Site()
    site.bench.now_ms = site.bench.now_ms // HOUR_MS * HOUR_MS
    await site.start()
    await site.field("a", "ENTITY_AGGREGATION", configuration)
    return site


@pytest.mark.parametrize(
    ("values", "results"),
    [
        ([1, 2, 5], {"MIN": 1.0, "MAX": 5.0, "SUM": 8.0, "AVG": 2.67, "COUNT": 3.0}),
        ([-1, -4], {"MIN": -4.0, "MAX": -1.0, "SUM": -5.0, "AVG": -2.5, "COUNT": 2.0}),
        ([0.1, 0.2], {"MIN": 0.1, "MAX": 0.2, "SUM": 0.3, "AVG": 0.15, "COUNT": 2.0}),
        ([], {}),
    ],
)
async def test_every_function_over_an_hour(values: list[Any], results: dict[str, Any]) -> None:
    functions = ("MIN", "MAX", "SUM", "AVG", "COUNT", "COUNT_UNIQUE")
    output = {"type": "TIME_SERIES", "decimalsByDefault": 2}
    site = await started(aggregation(HOURLY, *functions, output=output))
    start = site.bench.now_ms
    for value in values:
        await site.send({"t": value})
        await site.bench.later(MINUTE_MS)

    await site.bench.later(HOUR_MS)

    unique = {"COUNT_UNIQUE": float(len(values))} if values else {}
    for name in functions:
        expected = (results | unique).get(name)
        assert points(site, name) == ([] if expected is None else [(start, expected)])


async def test_the_intermediate_result_is_told_when_something_is_new() -> None:
    site = await started(aggregation(HOURLY, "SUM", produceIntermediateResult=True))
    start = site.bench.now_ms
    await site.bench.later(1)  # asked at once, and there was nothing
    await site.send({"t": 1})
    await site.bench.later(299_998)
    assert points(site, "SUM") == []
    await site.bench.later(1)
    assert points(site, "SUM") == [(start, 1.0)]

    events = len(site.bench.events)
    await site.bench.later(30 * MINUTE_MS)
    assert len(site.bench.events) == events, "nothing came, nothing is asked"

    await site.send({"t": 2})
    await site.bench.later(1)
    assert points(site, "SUM") == [(start, 3.0)]
    await site.send({"t": 4})
    await site.bench.later(HOUR_MS)
    assert points(site, "SUM") == [(start, 7.0)]


@pytest.mark.parametrize(
    ("wait_s", "after_s", "result"),
    [
        (59, 0, 2.0),  # with the first point
        (61, 0, -1.0),  # after it was said that there is none
        (61, 298, -1.0),
        (61, 300, 2.0),
    ],
)
async def test_the_first_intermediate_result_of_an_interval(
    wait_s: int, after_s: int, result: float
) -> None:
    configuration = aggregation(HOURLY, "SUM", produceIntermediateResult=True)
    configuration["metrics"]["SUM"]["defaultValue"] = -1
    site = await started(configuration)
    hour = site.bench.now_ms + HOUR_MS
    await site.bench.later(HOUR_MS + wait_s * 1000)
    await site.send({"t": 2})
    await site.bench.later(after_s * 1000)
    assert dict(points(site, "SUM"))[hour] == result


async def test_an_intermediate_result_of_what_is_there_comes_at_once() -> None:
    site = Site()
    await site.start()
    await site.send({"t": 5})
    configuration = aggregation(HOURLY, "SUM", produceIntermediateResult=True)
    await site.field("a", "ENTITY_AGGREGATION", configuration)
    await site.bench.later(1)
    assert [value for _, value in points(site, "SUM")] == [5.0]


@pytest.mark.parametrize(
    ("watermark_s", "late_s", "result"), [(120, 119, 11.0), (120, 121, 1.0), (None, 30, 1.0)]
)
async def test_a_late_point_counts_while_the_watermark_takes_it(
    watermark_s: int | None, late_s: int, result: float
) -> None:
    more = {} if watermark_s is None else {"watermark": {"duration": watermark_s}}
    site = await started(aggregation(CUSTOM, "SUM", **more))
    start = site.bench.now_ms
    await site.send({"t": 1})
    await site.bench.later(MINUTE_MS + late_s * 1000)

    await site.send({"t": 10}, ts=start + 5)
    await site.bench.later(1)

    assert points(site, "SUM")[0] == (start, result)


async def test_an_offset_moves_what_belongs_together() -> None:
    site = await started(aggregation({**HOURLY, "offsetSec": 900}, "SUM"))
    start = site.bench.now_ms
    await site.send({"t": 1})
    await site.bench.later(15 * MINUTE_MS)
    await site.send({"t": 2})
    await site.bench.later(2 * HOUR_MS)
    quarter = 15 * MINUTE_MS
    assert points(site, "SUM") == [(start + quarter - HOUR_MS, 1.0), (start + quarter, 2.0)]


async def test_a_default_stands_for_an_empty_interval() -> None:
    field = aggregation(CUSTOM, "SUM", "COUNT")
    field["metrics"]["SUM"]["defaultValue"] = 0
    site = await started(field)
    start = site.bench.now_ms
    await site.bench.later(2 * MINUTE_MS + 10_000)
    assert points(site, "SUM") == [(start, 0.0), (start + MINUTE_MS, 0.0)]
    assert points(site, "COUNT") == []


async def test_another_interval_begins_now_and_not_with_the_past() -> None:
    site = await started(aggregation({"type": "DAY", "tz": "UTC"}, "SUM"))
    await site.bench.later(6 * HOUR_MS)
    start = site.bench.now_ms
    per_minute = aggregation(CUSTOM, "SUM")
    per_minute["metrics"]["SUM"]["defaultValue"] = -1
    await site.change(**per_minute)

    await site.bench.later(MINUTE_MS + 10_000)

    assert points(site, "SUM") == [(start, -1.0)]


async def test_other_metrics_leave_the_running_interval_as_it_is() -> None:
    site = await started(aggregation(CUSTOM, "SUM"))
    start = site.bench.now_ms
    await site.send({"t": 3})
    await site.bench.later(65_000)
    await site.change(**aggregation(CUSTOM, "MAX"))

    await site.bench.later(5_000)

    assert points(site, "MAX") == [(start, 3.0)]


async def test_a_time_beyond_the_calendar_is_told_and_harms_nobody() -> None:
    site = await started(aggregation(HOURLY, "SUM"))
    start = site.bench.now_ms
    await site.send({"t": 5}, ts=10**15)
    assert site.bench.events[-1].error == f"no interval is known for the time {10**15}"
    await site.send({"t": 1})
    await site.bench.later(2 * HOUR_MS)
    assert points(site, "SUM") == [(start, 1.0)]


async def test_a_device_that_delivers_a_day_late_does_not_have_it_counted_point_by_point() -> None:
    site = await started(aggregation(CUSTOM, "COUNT", watermark={"duration": 3_600}))
    start = site.bench.now_ms
    await site.bench.later(5 * MINUTE_MS)
    asked = []
    query = site.bench.history.query_series

    async def counted(given: Any) -> Any:
        asked.append(given)
        return await query(given)

    site.bench.history.query_series = counted
    for n in range(100):
        await site.send({"t": n}, ts=start + n * 2_000)
        await site.bench.later(100)
    await site.bench.later(2 * MINUTE_MS)

    assert [value for _, value in points(site, "COUNT")] == [30.0, 30.0, 30.0, 10.0]
    assert len(asked) < 15
