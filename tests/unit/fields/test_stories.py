"""Random stories: a restart changes nothing, and what fails is told in words of the field.

A story is values, attributes, time and restarts around one field of any type; the seed in a test's
name makes it again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from appliance.model.telemetry import Scope
from tests.unit.fields import test_alarms, test_intervals, test_related, test_zones
from tests.unit.fields.bench import Site, alarm, argument, compared, no_data, numeric, simple
from tests.unit.fields.test_results import save_attributes, script, window

STEPS = 25
KEYS = ("t", "u", "lat", "lon")
VALUES = (0, 1, 2.5, 7, 60, 50.5, 30.5, "x", "1e3", True, {"a": 1}, 1e300)
ODD_TIMES = (0, 10**15)
INTERNAL = re.compile(r"[A-Z]\w+Error: ")
"""How the engine tells of an exception that no cell foresaw."""

Configuration = dict[str, Any]


def any_alarm(random: Random) -> Configuration:
    """Two rules and a clear rule."""
    hot, silent = numeric("t", "GREATER", 5), no_data("t", 60)
    listed = compared("u", "STRING", "IN", "x, 7")
    dynamic = {"dynamicValueArgument": "u"}
    conditions = [
        {"type": "SIMPLE", "expression": random.choice([hot, silent, listed])},
        {"type": "DURATION", "unit": "SECONDS", "value": {"staticValue": 5}, "expression": hot},
        {"type": "DURATION", "unit": "MINUTES", "value": dynamic, "expression": hot},
        {
            "type": "REPEATING",
            "count": random.choice([{"staticValue": 2}, dynamic]),
            "expression": listed,
        },
        {
            "type": "SIMPLE",
            "expression": hot,
            "schedule": {"staticValue": test_alarms.hours(8, 20)},
        },
    ]  # fmt: skip - a table
    field = alarm(hot)
    field["arguments"]["u"] = argument("u", defaultValue=random.choice([None, "1", "x"]))
    severities = random.sample(["CRITICAL", "MAJOR", "MINOR"], 2)
    rules = [{"condition": random.choice(conditions), "alarmDetails": "${t}"} for _ in range(3)]
    return {
        **field,
        "createRules": dict(zip(severities, rules, strict=False)),
        "clearRule": rules[2],
    }


def any_simple(random: Random) -> Configuration:
    """Arithmetic of two arguments."""
    text = random.choice(["t+u", "t/u", "t%u", "sqrt(t)-u", "t^u", "log(t)*u"])
    return simple(text, "o", "t", "u", useLatestTs=random.random() < 0.5)


def any_script(random: Random) -> Configuration:
    """A window and a value."""
    texts = ("{'o': t.sum() + u}", "{'o': t.mean()}", "{'o': t}", "t.merge(t).values", "u")
    field = script(f"return {random.choice(texts)};")
    field["arguments"] = {"t": window("t", random.choice([5, 60])), "u": argument("u")}
    return field


def any_zones(random: Random) -> Configuration:
    """The zones along a relation."""
    more = {"createRelationsWithMatchedZones": random.random() < 0.5, "relationType": "In"}
    zones = test_zones.along("Contains")
    return test_zones.geofencing(**zones, **more, direction=random.choice(["FROM", "TO"]))


def any_propagation(random: Random) -> Configuration:
    """Arguments, or a script over them."""
    with_script = {"applyExpressionToResolvedArguments": True, "expression": "return {'s': t};"}
    return test_related.propagation(**random.choice([{}, with_script]))


def any_related(random: Random) -> Configuration:
    """All functions."""
    metrics = {
        name: random.choice(
            [test_related.metric(name), test_related.metric(name, filter="return u > 1;")]
        )
        for name in ("MIN", "MAX", "SUM", "AVG", "COUNT", "COUNT_UNIQUE")
    }
    return test_related.aggregation(metrics, useLatestTs=random.random() < 0.5)


def any_interval(random: Random) -> Configuration:
    """Some functions over some interval."""
    yearly = {"type": "YEAR", "tz": "Asia/Kolkata", "offsetSec": 77}
    interval = random.choice([test_intervals.CUSTOM, test_intervals.HOURLY, yearly])
    more = {"watermark": {"duration": 100}, "produceIntermediateResult": random.random() < 0.5}
    return test_intervals.aggregation(interval, "MIN", "SUM", "COUNT_UNIQUE", **more)


TYPES: dict[str, Callable[[Random], Configuration]] = {
    "SIMPLE": any_simple,
    "SCRIPT": any_script,
    "ALARM": any_alarm,
    "GEOFENCING": any_zones,
    "PROPAGATION": any_propagation,
    "RELATED_ENTITIES_AGGREGATION": any_related,
    "ENTITY_AGGREGATION": any_interval,
}


async def told(type: str, seed: int, *, restarts: bool, odd: bool = False) -> Site:
    """The story of a seed, with or without its restarts. odd: with times that make no sense."""
    random = Random(seed)
    site = Site()
    await site.start()
    child, zone = site.bench.add_device("child"), site.bench.add("ASSET", {"name": "zone"})
    site.bench.put_attributes(zone, Scope.SERVER, {"p": test_zones.SQUARE})
    for each in (child, zone):
        site.bench.relate(site.device, each)
    await site.field("f", type, TYPES[type](random))
    for _ in range(STEPS):
        what, entity = random.random(), random.choice([site.device, child])
        if what < 0.6:
            values = {key: random.choice(VALUES) for key in random.sample(KEYS, 2)}
            late = site.bench.now_ms - random.randrange(5_000)
            await site.send(values, entity, random.choice([None, late, *ODD_TIMES * odd]))
        elif what < 0.7:
            await save_attributes(site, Scope.SERVER, {"u": random.choice(VALUES)}, entity)
        elif what < 0.85:
            await site.bench.later(random.choice([1, 5_000, 61_000, 3_600_000]))
        elif restarts:
            await site.restart()
        await site.bench.later(7)
    return site


def outcome(site: Site) -> list[Any]:
    """Everything that a story left behind, but for ids."""
    fields = ("severity", "status", "startTs", "endTs", "details")
    alarms = [[alarm[key] for key in fields] for alarm in site.bench.state.entities("ALARM")]
    series = list(site.bench.history.points.values())
    return [series, alarms, site.server_attributes()]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("type", TYPES)
async def test_a_restart_changes_nothing(type: str, seed: int) -> None:
    undisturbed = await told(type, seed, restarts=False)
    restarted = await told(type, seed, restarts=True)
    assert str(outcome(undisturbed)) == str(outcome(restarted))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("type", TYPES)
async def test_nothing_fails_for_a_reason_that_nobody_foresaw(type: str, seed: int) -> None:
    site = await told(type, seed, restarts=True, odd=True)
    errors = [error for event in site.bench.events if (error := getattr(event, "error", None))]
    assert [error for error in errors if INTERNAL.match(str(error))] == []
