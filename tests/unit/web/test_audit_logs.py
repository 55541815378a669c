"""The audit log over REST: who did what, which page of it, and for how long it is kept."""

from __future__ import annotations

import json
from typing import Any

from appliance.access.audit import ENTRIES_MAX, OWNER, AuditEntryLost, AuditLog, Deed, principal_of
from appliance.kernel.events import Event
from appliance.model.errors import Retryable
from appliance.model.ids import EntityId, new_uuid
from appliance.testing.memory_storage import MemoryStorage
from tests.kit.rest_site import NOW, USER, USER_BODY, Site
from tests.unit.web.test_rest import NOWHERE, Client

LOGS = "/api/audit/logs"
PAGE = "?pageSize=50&page=0"
SOMEBODY = principal_of({**USER_BODY, "id": EntityId("USER", USER).to_json()})


async def entries(client: Client, path: str = LOGS, more: str = "") -> list[dict[str, Any]]:
    status, body = await client.ask("GET", f"{path}{PAGE}{more}")
    assert status == 200
    assert body["totalElements"] == len(body["data"])
    return list(body["data"])


async def test_a_change_is_told_with_who_what_and_how_it_ended() -> None:
    client = Client(Site("cloud"))
    device = await client.new_device("pump")
    (entry,) = await entries(client)
    assert entry["entityId"] == {"entityType": "DEVICE", "id": device}
    assert (entry["entityName"], entry["userName"]) == ("pump", USER_BODY["email"])
    assert (entry["actionType"], entry["actionStatus"]) == ("ADDED", "SUCCESS")
    assert entry["actionData"]["entity"]["name"] == "pump"
    assert entry["actionFailureDetails"] == ""


async def test_edges_get_and_lose_and_rpc_fails_and_all_of_it_is_told() -> None:
    client = Client(Site("cloud"))
    device = await client.new_device()
    _, edge = await client.ask("POST", "/api/edge", {"name": "North"})
    id = edge["id"]["id"]
    await client.ask("POST", f"/api/edge/{id}/device/{device}")
    await client.ask("POST", f"/api/rpc/twoway/{device}", {"method": "reset", "params": 1})
    await client.ask("DELETE", f"/api/edge/{id}/device/{device}")
    await client.ask("POST", f"/api/plugins/telemetry/DEVICE/{device}/SERVER_SCOPE", {"limit": 3})
    await client.ask("DELETE", f"/api/device/{device}")
    told = {e["actionType"]: e for e in await entries(client, f"{LOGS}/entity/DEVICE/{device}")}
    assert told["ASSIGNED_TO_EDGE"]["actionData"] == {
        "entityId": device,
        "assignedEdgeId": id,
        "assignedEdgeName": "North",
    }
    assert told["UNASSIGNED_FROM_EDGE"]["actionData"]["unassignedEdgeName"] == "North"
    assert told["RPC_CALL"]["actionStatus"] == "FAILURE"
    assert told["RPC_CALL"]["actionFailureDetails"] == "NO_ACTIVE_CONNECTION"
    assert told["ATTRIBUTES_UPDATED"]["actionData"]["attributes"] == {"limit": 3}
    assert told["DELETED"]["actionData"] == {"entityId": device}
    assert told["DELETED"]["entityName"] == "pump"


async def test_secrets_do_not_get_into_the_log() -> None:
    client = Client(Site("cloud"))
    device = await client.new_device()
    new = {"deviceId": {"id": device}, "credentialsType": "ACCESS_TOKEN", "credentialsId": "s3cr3t"}
    await client.ask("POST", "/api/device/credentials", new)
    await client.ask("POST", "/api/edge", {"name": "E", "routingKey": "k3y", "secret": "s3cr3t"})
    passwords = {"currentPassword": "tenant", "newPassword": "s3cr3t"}
    await client.ask("POST", "/api/auth/changePassword", passwords)
    told = await entries(client)
    assert {"CREDENTIALS_UPDATED", "ADDED"} <= {entry["actionType"] for entry in told}
    assert not any(word in json.dumps(told) for word in ("s3cr3t", "k3y", "$2a$"))


async def test_logins_are_told_failed_ones_too() -> None:
    site = Site("edge")
    client = Client(site)
    for password in ("tenant", "wrong"):
        body = json.dumps({"username": USER_BODY["email"], "password": password}).encode()
        await site.ask("POST", "/api/auth/login", body, None)
    await site.ask("POST", "/api/auth/login", b'{"username":"nobody","password":"x"}', None)
    failed, done = await entries(client, f"{LOGS}/user/{USER}", "&actionTypes=LOGIN")
    assert (failed["actionStatus"], done["actionStatus"]) == ("FAILURE", "SUCCESS")
    assert failed["actionFailureDetails"] == "Invalid username or password"
    assert "clientAddress" in done["actionData"]
    assert len(await entries(client)) == 2  # nobody is nobody's entry


async def test_pages_are_searched_filtered_and_sorted() -> None:
    client = Client(Site("cloud"))
    for name in ("beta", "alpha"):
        await client.new_device(name)
    await client.ask("POST", "/api/customer", {"title": "Customer"})
    assert [e["entityName"] for e in await entries(client)] == ["Customer", "alpha", "beta"]
    assert len(await entries(client, more="&textSearch=ALPH")) == 1
    assert len(await entries(client, more="&actionTypes=DELETED")) == 0
    by_type = await entries(client, more="&sortProperty=entityType&sortOrder=ASC")
    assert by_type[0]["entityId"]["entityType"] == "CUSTOMER"
    by_name = await entries(client, more="&sortProperty=entityName&sortOrder=ASC")
    assert [e["entityName"] for e in by_name] == ["alpha", "beta", "Customer"]
    assert await entries(client, f"{LOGS}/customer/{NOWHERE}") == []


async def test_the_oldest_entries_go() -> None:
    storage = MemoryStorage(clock=lambda: NOW)
    events: list[Event] = []
    for life in range(2):  # a restart changes nothing
        log = AuditLog(storage, events.append, entries_max=3)
        for number in range(4):
            deed = Deed("UPDATED", EntityId("DEVICE", new_uuid()), {"n": (life, number)})
            await log.record(SOMEBODY, [deed])
    kept = [entry["actionData"]["n"] for entry in await log.entries()]
    assert kept == [[1, 3], [1, 2], [1, 1]]
    assert len(await storage.load_states(OWNER)) == 3
    assert not events


async def test_a_long_tale_is_cut_to_the_id_and_a_full_disk_takes_only_the_entry() -> None:
    storage = MemoryStorage(clock=lambda: NOW)
    events: list[Event] = []
    log = AuditLog(storage, events.append, ENTRIES_MAX)
    device = EntityId("DEVICE", new_uuid())
    await log.record(SOMEBODY, [Deed("ADDED", device, {"entity": "x" * 5000})])
    assert (await log.entries())[0]["actionData"] == {"entityId": str(device.id)}

    class Full(MemoryStorage):
        async def commit(self, units: Any) -> int:
            raise Retryable("the disk is full")

    full = AuditLog(Full(clock=lambda: NOW), events.append)
    await full.record(SOMEBODY, [Deed("ADDED", device, {})])
    assert [type(event) for event in events] == [AuditEntryLost]
