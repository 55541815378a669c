"""Debug events of calculated fields, and the tenant profile's limits."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from appliance.fields.debug import FieldDebugEvent
from appliance.model.ids import EntityId, new_uuid
from appliance.rules.debug import EVENTS_MAX
from tests.unit.fields.bench import Site, alarm, argument, numeric, simple

EVERYTHING = {"allEnabled": True}


async def watched(site: Site, type: str, configuration: dict[str, Any], **settings: Any) -> UUID:
    """A field with debug settings."""
    id = await site.field("watched", type, configuration)
    stored = site.bench.state.entity("CALCULATED_FIELD", id.id)
    assert stored is not None
    body = {**stored, "debugSettings": settings or EVERYTHING}
    await site.bench.write("CALCULATED_FIELD", id.id, body)
    return id.id


def events(site: Site, id: UUID) -> list[FieldDebugEvent]:
    return site.bench.fields.debug_events(id)


async def test_an_event_says_what_came_in_and_what_came_out() -> None:
    site = Site()
    await site.start()
    id = await watched(site, "SIMPLE", simple("a*2", "o", "a"))

    await site.send({"a": 4})
    await site.send({"a": "text"})

    good, bad = events(site, id)
    assert (good.entity, good.type) == (site.device, "POST_TELEMETRY_REQUEST")
    assert good.arguments["a"]["type"] == "SINGLE_VALUE"
    assert (good.arguments["a"]["value"], good.result, good.error) == (4, {"o": 8.0}, None)
    assert (bad.result, bad.error) == (None, "Argument 'a' is not a number.")
    assert bad.message is not None and bad.message != good.message


async def test_a_window_is_shown_with_its_points() -> None:
    site = Site()
    await site.start()
    rolling = argument("a", "TS_ROLLING", limit=5, timeWindow=60_000)
    script = {"arguments": {"a": rolling}, "expression": "return {'o': a.sum()};"}
    id = await watched(site, "SCRIPT", {**script, "output": {"type": "TIME_SERIES"}})

    await site.send({"a": 1})
    site.bench.now_ms += 1
    await site.send({"a": 2})

    shown = events(site, id)[-1].arguments["a"]
    assert shown["type"] == "TS_ROLLING"
    assert [point["value"] for point in shown["values"]] == [1.0, 2.0]
    assert shown["timeWindow"]["endTs"] - shown["timeWindow"]["startTs"] == 60_000


async def test_an_alarm_is_shown_with_what_happened_to_it() -> None:
    site = Site()
    await site.start()
    id = await watched(site, "ALARM", alarm(numeric("t", "GREATER", 50)))

    await site.send({"t": 20})
    await site.send({"t": 60})

    quiet, loud = events(site, id)
    assert quiet.result is None
    assert (loud.result["created"], loud.result["cleared"]) == (True, False)
    assert loud.result["alarm"]["severity"] == "MAJOR"


async def test_only_what_the_settings_ask_for_is_kept_and_not_without_end() -> None:
    site = Site()
    await site.start()
    id = await watched(site, "SIMPLE", simple("a*2", "o", "a"), failuresEnabled=True)
    for value in range(EVENTS_MAX + 10):
        site.bench.now_ms += 1
        await site.send({"a": value})
        await site.send({"a": "text"})

    kept = events(site, id)
    assert len(kept) == EVENTS_MAX
    assert all(event.error for event in kept)
    site.bench.fields.clear_debug_events(id, 0, kept[-2].ts)
    assert [event.id for event in events(site, id)] == [kept[-1].id]


async def test_a_field_that_is_not_in_debug_keeps_nothing() -> None:
    site = Site()
    await site.start()
    id = await site.field("quiet", "SIMPLE", simple("a*2", "o", "a"))
    await site.send({"a": 4})
    assert events(site, id.id) == []
    assert events(site, new_uuid()) == []


async def set_limits(site: Site, **configuration: int) -> None:
    """The tenant's profile comes from the cloud."""
    id = EntityId("TENANT_PROFILE", UUID(int=1))
    body = {"id": id.to_json(), "name": "p", "profileData": {"configuration": configuration}}
    await site.bench.write("TENANT_PROFILE", id.id, body)


async def test_the_tenant_profile_bounds_a_running_field_without_a_new_calculation() -> None:
    site = Site()
    await site.start()
    rolling = argument("a", "TS_ROLLING", limit=5, timeWindow=60_000)
    script = {"arguments": {"a": rolling}, "expression": "return {'o': a.count()};"}
    await site.field("count", "SCRIPT", {**script, "output": {"type": "TIME_SERIES"}})
    for value in range(3):
        site.bench.now_ms += 1
        await site.send({"a": value})
    assert site.values("o") == [1, 2, 3]

    await set_limits(site, maxDataPointsPerRollingArg=2)
    assert site.values("o") == [1, 2, 3]

    site.bench.now_ms += 1
    await site.send({"a": 9})
    assert site.values("o")[-1] == 2


@pytest.mark.parametrize(("kilobytes", "results"), [(1, 0), (4, 1), (0, 1)])
async def test_the_tenant_profile_says_how_large_a_value_may_be(
    kilobytes: int, results: int
) -> None:
    site = Site()
    await site.start()
    await set_limits(site, maxSingleValueArgumentSizeInKBytes=kilobytes)
    script = {"arguments": {"a": argument("a")}, "expression": "return {'o': a.length()};"}
    await site.field("length", "SCRIPT", {**script, "output": {"type": "TIME_SERIES"}})
    await site.send({"a": "x" * 3000})
    assert len(site.values("o")) == results
