"""Debug events of calculated fields."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from appliance.fields.debug import FieldDebugEvent
from appliance.model.ids import new_uuid
from appliance.model.telemetry import Scope
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


async def test_the_intervals_that_got_values_or_were_calculated_are_shown() -> None:
    site = Site()
    await site.start()
    metrics = {"s": {"function": "SUM", "input": {"type": "key", "key": "x"}}}
    interval = {"type": "CUSTOM", "tz": "UTC", "durationSec": 60}
    output = {"type": "TIME_SERIES"}
    field = {"arguments": {"x": argument("t")}, "metrics": metrics, "interval": interval}
    id = await watched(site, "ENTITY_AGGREGATION", {**field, "output": output})
    now = site.bench.now_ms
    start = now // 60_000 * 60_000

    await site.send({"t": 5, "other": 1})
    await site.send({"other": 1})
    await site.bench.later(60_000)

    shown = {"intervalStartTs": start, "intervalEndTs": start + 60_000}
    came, calculated = events(site, id)
    touched = {"x": {"ts": now, "value": 5}}
    assert came.arguments == {"processedIntervals": [{**shown, "updatedArguments": touched}]}
    assert (calculated.type, calculated.arguments) == (
        "REEVALUATION_MSG",
        {"processedIntervals": [shown]},
    )
    assert calculated.result == [{"ts": start, "values": {"s": 5.0}}]


async def test_the_zones_of_a_group_are_shown_with_where_the_device_was_last() -> None:
    site = Site()
    await site.start()
    zone = site.bench.add("ASSET", {"name": "yard"})
    square = [[50.0, 30.0], [50.0, 31.0], [51.0, 31.0], [51.0, 30.0]]
    site.bench.put_attributes(zone, Scope.SERVER, {"p": square})
    group = {
        "refEntityId": zone.to_json(),
        "perimeterKeyName": "p",
        "reportStrategy": "REPORT_PRESENCE_STATUS_ONLY",
    }
    field = {
        "entityCoordinates": {"latitudeKeyName": "lat", "longitudeKeyName": "lon"},
        "zoneGroups": {"yard": group},
        "output": {"type": "TIME_SERIES"},
    }
    id = await watched(site, "GEOFENCING", field)

    for latitude in (52.0, 50.5):
        await site.send({"lat": latitude, "lon": 30.5})

    zones = [event.arguments["yard"]["value"][str(zone.id)] for event in events(site, id)]
    assert [each["lastPresence"] for each in zones] == ["OUTSIDE", "INSIDE"]
    assert zones[0]["perimeterDefinition"] == square
    assert zones[0]["zoneId"] == zone.to_json()


async def test_related_entities_are_shown_with_their_names_and_values() -> None:
    site = Site()
    await site.start()
    child = site.bench.add_device("D2")
    site.bench.relate(site.device, child)
    field = {
        "relation": {"direction": "FROM", "relationType": "Contains"},
        "arguments": {"t": argument("t"), "u": argument("u")},
        "metrics": {"n": {"function": "COUNT", "input": {"type": "key", "key": "t"}}},
        "output": {"type": "TIME_SERIES"},
    }
    id = await watched(site, "RELATED_ENTITIES_AGGREGATION", field)

    await site.send({"t": 5}, child)

    (shown,) = events(site, id)[-1].arguments["entitiesArguments"]
    assert shown["entity"] == {"id": child.to_json(), "name": "D2"}
    assert shown["entityArguments"]["t"]["value"] == 5
    assert shown["entityArguments"]["u"] == {"type": "SINGLE_VALUE", "ts": -1, "value": None}


async def test_the_targets_of_a_propagation_are_shown_and_its_result_once() -> None:
    site = Site()
    await site.start()
    for name in ("D2", "D3"):
        site.bench.relate(site.device, site.bench.add_device(name))
    field = {
        "relation": {"direction": "FROM", "relationType": "Contains"},
        "arguments": {"t": argument("t")},
        "output": {"type": "TIME_SERIES"},
    }
    id = await watched(site, "PROPAGATION", field)

    await site.send({"t": 5})

    (event,) = events(site, id)
    assert len(event.arguments["propagationCtx"]["value"]) == 2
    assert event.result == {"ts": site.bench.now_ms, "values": {"t": 5}}
