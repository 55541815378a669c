"""Calculated fields over REST: saved and refused as a server does, and their debug events."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest

from appliance.model.ids import new_uuid
from appliance.web.app import build_app
from tests.kit.rest_site import NoFigures, NoStatus, Site
from tests.unit.fields.bench import Site as FieldSite
from tests.unit.fields.bench import simple
from tests.unit.fields.test_debug import watched
from tests.unit.web.test_rest import Client


async def site_with_device() -> tuple[Client, dict[str, Any]]:
    client = Client(Site("cloud"))
    device = await client.new_device("pump")
    field = {
        "entityId": {"entityType": "DEVICE", "id": device},
        "type": "SIMPLE",
        "name": "double",
        "configuration": {"type": "SIMPLE", **simple("a*2", "o", "a")},
    }
    return client, field


async def test_a_field_is_saved_read_changed_listed_and_deleted() -> None:
    client, field = await site_with_device()
    status, saved = await client.ask("POST", "/api/calculatedField", field)
    assert (status, saved["name"], saved["version"]) == (200, "double", 1)
    path = f"/api/calculatedField/{saved['id']['id']}"
    assert await client.ask("GET", path) == (200, saved)

    status, changed = await client.ask("POST", "/api/calculatedField", {**saved, "name": "twice"})
    assert (status, changed["version"], changed["id"]) == (200, 2, saved["id"])
    status, _ = await client.ask("POST", "/api/calculatedField", {**saved, "name": "again"})
    assert status == 409

    of_device = f"/api/DEVICE/{field['entityId']['id']}/calculatedFields?pageSize=5&page=0"
    _, page = await client.ask("GET", of_device)
    assert [one["name"] for one in page["data"]] == ["twice"]
    _, page = await client.ask("GET", of_device + "&type=ALARM")
    assert page["totalElements"] == 0
    newer = f"/api/calculatedField/DEVICE/{field['entityId']['id']}?pageSize=5&page=0"
    assert await client.ask("GET", newer) == await client.ask("GET", of_device)
    _, page = await client.ask("GET", "/api/calculatedFields?pageSize=5&page=0&types=SIMPLE")
    assert [one["entityName"] for one in page["data"]] == ["pump"]

    assert (await client.ask("DELETE", path))[0] == 200
    assert (await client.ask("GET", path))[0] == 404


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": None}, "name must not be null"),
        ({"name": "x" * 256}, "length must be equal or less than 255"),
        ({"type": "MAGIC"}, "unknown type"),
        ({"configuration": None}, "configuration must not be null"),
        ({"entityId": None}, "entityId can't be empty"),
        ({"entityId": {"entityType": "DEVICE", "id": "no"}}, "entityId can't be empty"),
        ({"entityId": {"entityType": "DEVICE", "id": str(new_uuid())}}, "is not found"),
        ({"entityId": {"entityType": "USER", "id": str(new_uuid())}}, "permission"),
    ],
)
async def test_what_a_server_refuses_is_refused(changes: dict[str, Any], says: str) -> None:
    client, field = await site_with_device()
    status, answer = await client.ask("POST", "/api/calculatedField", field | changes)
    assert (status, says in answer["message"]) == (400, True), answer


async def test_the_limit_of_the_tenant_profile_holds() -> None:
    client, field = await site_with_device()
    configuration = {"maxCalculatedFieldsPerEntity": 1}
    body = {"name": "p", "profileData": {"configuration": configuration}}
    client.site.put("TENANT_PROFILE", new_uuid(), body)
    assert (await client.ask("POST", "/api/calculatedField", field))[0] == 200
    status, answer = await client.ask("POST", "/api/calculatedField", {**field, "name": "b"})
    assert (status, answer["message"]) == (400, "Calculated fields per entity limit reached!")


async def events_site() -> tuple[Client, UUID]:
    """A site whose one field, in debug, gave a result and then failed."""
    fields = FieldSite()
    await fields.start()
    id = await watched(fields, "SIMPLE", simple("a*2", "o", "a"))
    await fields.send({"a": 4})
    await fields.send({"a": "text"})
    site = Site("edge")
    body = fields.bench.state.entity("CALCULATED_FIELD", id)
    assert body is not None
    site.put("CALCULATED_FIELD", id, body)
    services = msgspec.structs.replace(site.services, field_debug=fields.bench.fields)
    site.app = build_app(services, NoStatus(), NoFigures())
    return Client(site), id


async def test_a_field_in_debug_shows_its_calculations_and_forgets_them_when_told() -> None:
    client, id = await events_site()
    path = f"/api/events/CALCULATED_FIELD/{id}"
    status, page = await client.ask("GET", f"{path}?pageSize=10&page=0")
    assert (status, page["totalElements"]) == (200, 2)
    failed, good = (event["body"] for event in page["data"])
    assert page["data"][0]["type"] == "DEBUG_CALCULATED_FIELD"
    assert (good["result"], "error" in good) == ('{"o":8.0}', False)
    assert failed["error"] == "Argument 'a' is not a number." and "result" not in failed
    assert '"value":"text"' in failed["arguments"]
    assert (await client.ask("GET", f"/api/calculatedField/{id}/debug")) == (200, failed)

    wanted = {"eventType": "DEBUG_CALCULATED_FIELD", "result": "8.0"}
    _, page = await client.ask("POST", f"{path}?pageSize=10&page=0", wanted)
    assert [event["body"] for event in page["data"]] == [good]

    assert (await client.ask("POST", f"{path}/clear"))[0] == 200
    _, page = await client.ask("GET", f"{path}/DEBUG_CALCULATED_FIELD?pageSize=10&page=0")
    assert page["totalElements"] == 0
    assert await client.ask("GET", f"/api/calculatedField/{id}/debug") == (200, "")


@pytest.mark.parametrize(
    ("expression", "output", "error"),
    [
        ("return {'o': t * 2, 'm': w.mean(), 'n': w.count()};", '{"o":43.0,"m":3.0,"n":2}', ""),
        ("return {'a': ctx.args.t.ts, 'l': ctx.latestTs};", '{"a":1700000000000,', ""),
        ("return {'s': w.timeWindow.startTs};", '{"s":1700000000000}', ""),
        ("return t.nope.nope;", "", "nope"),
        ("return (;", "", "does not compile"),
    ],
)
async def test_a_script_is_tried_with_the_arguments_given(
    expression: str, output: str, error: str
) -> None:
    arguments = {
        "t": {"type": "SINGLE_VALUE", "ts": 1_700_000_000_000, "value": 21.5},
        "w": {
            "type": "TS_ROLLING",
            "timeWindow": {"startTs": 1_700_000_000_000, "endTs": 1_700_000_060_000},
            "values": [
                {"ts": 1_700_000_002_000, "value": 4},
                {"ts": 1_700_000_001_000, "value": 2},
            ],
        },
    }
    path = "/api/calculatedField/testScript"
    body = {"expression": expression, "arguments": arguments}
    status, answer = await Client(Site("edge")).ask("POST", path, body)
    assert (status, output in answer["output"], error in answer["error"]) == (200, True, True)
    assert bool(answer["output"]) != bool(answer["error"])


async def test_a_script_test_without_a_script_is_refused() -> None:
    client = Client(Site("cloud"))
    assert (await client.ask("POST", "/api/calculatedField/testScript", {}))[0] == 400
