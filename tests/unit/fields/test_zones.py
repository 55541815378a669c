"""Geofencing beyond the recorded cases."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.model.ids import EntityId
from appliance.model.telemetry import Scope
from appliance.state.kinds import relation_key
from tests.unit.fields.bench import Site

SQUARE = [[50.0, 30.0], [50.0, 31.0], [51.0, 31.0], [51.0, 30.0]]
INSIDE, OUTSIDE = {"lat": 50.5, "lon": 30.5}, {"lat": 52.0, "lon": 32.0}
BOTH = "REPORT_TRANSITION_EVENTS_AND_PRESENCE_STATUS"


def geofencing(strategy: str = BOTH, **zone: Any) -> dict[str, Any]:
    """A field with one group of zones, `z`."""
    return {
        "entityCoordinates": {"latitudeKeyName": "lat", "longitudeKeyName": "lon"},
        "zoneGroups": {"z": {"perimeterKeyName": "p", "reportStrategy": strategy, **zone}},
        "output": {"type": "TIME_SERIES"},
    }


def along(*types: str) -> dict[str, Any]:
    """Zones at the end of relations."""
    levels = [{"direction": "FROM", "relationType": type} for type in types]
    source = {"type": "RELATION_PATH_QUERY", "levels": levels}
    return {"refDynamicSourceConfiguration": source}


async def started() -> tuple[Site, EntityId]:
    """A site with a zone."""
    site = Site()
    await site.start()
    zone = site.bench.add("ASSET", {"name": "yard"})
    site.bench.put_attributes(zone, Scope.SERVER, {"p": SQUARE})
    return site, zone


async def drive(site: Site, *points: dict[str, Any]) -> None:
    """Points a second apart."""
    for point in points:
        await site.bench.later(1_000)
        await site.send(point)


async def relate(site: Site, source: EntityId, target: EntityId, type: str) -> None:
    """A relation comes from the cloud."""
    ends = {"from": source.to_json(), "to": target.to_json(), "type": type, "typeGroup": "COMMON"}
    await site.bench.write("RELATION", relation_key(ends), ends)


@pytest.mark.parametrize(
    ("strategy", "events", "statuses"),
    [
        (BOTH, ["ENTERED", "LEFT"], ["OUTSIDE", "INSIDE", "INSIDE", "OUTSIDE"]),
        ("REPORT_TRANSITION_EVENTS_ONLY", ["ENTERED", "LEFT"], []),
        ("REPORT_PRESENCE_STATUS_ONLY", [], ["OUTSIDE", "INSIDE", "INSIDE", "OUTSIDE"]),
    ],
)
async def test_what_a_group_tells(strategy: str, events: list[str], statuses: list[str]) -> None:
    site, zone = await started()
    await site.field("f", "GEOFENCING", geofencing(strategy, refEntityId=zone.to_json()))
    await drive(site, OUTSIDE, INSIDE, INSIDE, OUTSIDE)
    assert site.values("zEvent") == events
    assert site.values("zStatus") == statuses


async def test_a_group_without_a_zone_waits_for_one() -> None:
    site, zone = await started()
    await site.field("f", "GEOFENCING", geofencing(**along("Has", "Fenced")))
    hall = site.bench.add("ASSET", {"name": "hall"})
    await drive(site, INSIDE)
    assert site.values("zStatus") == []
    assert site.bench.events[-1].error == "Required arguments are missing: z"

    await relate(site, site.device, hall, "Has")
    await relate(site, hall, zone, "Fenced")
    assert site.values("zStatus") == ["INSIDE"]


async def test_results_may_be_attributes() -> None:
    site, zone = await started()
    field = geofencing(refEntityId=zone.to_json())
    field["output"] = {"type": "ATTRIBUTES", "scope": "SERVER_SCOPE"}
    await site.field("f", "GEOFENCING", field)
    await drive(site, OUTSIDE, INSIDE)
    assert site.server_attributes() == {"zEvent": "ENTERED", "zStatus": "INSIDE"}


@pytest.mark.parametrize("direction", ["FROM", "TO"])
async def test_a_relation_to_the_zone_comes_and_goes(direction: str) -> None:
    site, zone = await started()
    relation = {"relationType": "In", "direction": direction}
    more = {"createRelationsWithMatchedZones": True, **relation}
    await site.field("f", "GEOFENCING", geofencing(refEntityId=zone.to_json(), **more))
    source = site.device if direction == "FROM" else zone

    def there() -> int:
        return len(list(site.bench.state.relations_from(source)))

    await drive(site, INSIDE)
    assert there() == 1
    await drive(site, INSIDE, OUTSIDE)
    assert there() == 0


async def test_a_relation_that_does_not_fit_the_first_point_goes() -> None:
    site, zone = await started()
    await relate(site, site.device, zone, "In")
    more = {"createRelationsWithMatchedZones": True, "relationType": "In", "direction": "FROM"}
    await site.field("f", "GEOFENCING", geofencing(refEntityId=zone.to_json(), **more))
    await drive(site, OUTSIDE)
    assert list(site.bench.state.relations_from(site.device)) == []


async def test_an_older_point_is_not_looked_at() -> None:
    site, zone = await started()
    await site.field("f", "GEOFENCING", geofencing(refEntityId=zone.to_json()))
    await drive(site, INSIDE)
    await site.send(OUTSIDE, ts=site.bench.now_ms - 500)
    assert site.values("zStatus") == ["INSIDE"]


async def test_where_it_was_is_remembered_over_a_restart() -> None:
    site, zone = await started()
    await site.field("f", "GEOFENCING", geofencing(refEntityId=zone.to_json()))
    await drive(site, INSIDE)
    await site.restart()
    await drive(site, OUTSIDE)
    assert site.values("zEvent") == ["LEFT"]


async def test_the_zone_of_the_owner_changes_with_the_owner() -> None:
    site, _ = await started()
    customer = site.bench.add("CUSTOMER", {"title": "C"})
    site.bench.put_attributes(customer, Scope.SERVER, {"p": SQUARE})
    site.bench.put_attributes(site.bench.tenant, Scope.SERVER, {"p": [[0, 0], [0, 1], [1, 1]]})
    site.bench.state.tenant_id = site.bench.tenant.id
    owner = {"refDynamicSourceConfiguration": {"type": "CURRENT_OWNER"}}
    await site.field("f", "GEOFENCING", geofencing(**owner))
    await drive(site, INSIDE)
    assert site.values("zStatus") == ["OUTSIDE"]

    body = {**site.bench.state.entity("DEVICE", site.device.id), "customerId": customer.to_json()}
    await site.bench.write("DEVICE", site.device.id, body)
    await drive(site, {"lat": 50.6, "lon": 30.6})
    assert site.values("zStatus")[-1] == "INSIDE"
    assert site.values("zEvent") == []


@pytest.mark.parametrize(
    ("point", "error"),
    [
        ({"lat": "north", "lon": 30.5}, "Argument 'latitude' is not a number."),
        ({"lat": "50.5", "lon": 30.5}, ""),
    ],
)
async def test_coordinates_are_numbers(point: dict[str, Any], error: str) -> None:
    site, zone = await started()
    await site.field("f", "GEOFENCING", geofencing(refEntityId=zone.to_json()))
    await drive(site, point)
    assert getattr(site.bench.events[-1], "error", "") == error
