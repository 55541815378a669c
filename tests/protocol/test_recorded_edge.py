"""Our cloud against the recorded edge: it understands every uplink and ends in the same state.

What was made on the reference server by REST is seeded from what that server then sent down.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import msgspec
import pytest
import trio

from appliance.cloud.assembly import Cloud, assemble_cloud
from appliance.cloud.registry import Edges
from appliance.extension.ports import Link, SeriesQuery, Storage
from appliance.kernel.clock import wall_clock_ms
from appliance.kernel.events import ignore
from appliance.model.ids import EntityId
from appliance.model.telemetry import Scope
from appliance.model.unit import EntityWrite, Unit
from appliance.state.kinds import BY_FIELD
from appliance.sync.messages import Ack, Batch, Connect, Frame, UpdateKind
from appliance.testing.fake_transport import FakeTransport
from appliance.testing.memory_storage import MemoryStorage
from tests.kit.pair import QUICK, commit, until
from tests.kit.recording import (
    PlayedEdge,
    accepting,
    entity_updates,
    expected,
    frames,
    lines,
    names,
)

SESSION = [name for name in names() if name[:2] <= "14"]
PUMP_1 = EntityId("DEVICE", UUID("4a6fd9f0-e598-11f1-9df8-51fc96047ddf"))


@asynccontextmanager
async def heard(
    *traces: str, own: Sequence[dict[str, Any]] = ()
) -> AsyncIterator[tuple[Cloud, PlayedEdge, Storage]]:
    """A cloud that has heard the edge's side of these traces and answered all of it.

    own: devices that it had before, of which the recording does not tell.
    """
    storage = MemoryStorage()
    cloud = assemble_cloud(storage, FakeTransport(), QUICK, wall_clock_ms, ignore)
    recorded = lines(*traces)
    uplinks = [f for f in frames(recorded, "up") if not isinstance(f, Ack)]
    if not isinstance(uplinks[0], Connect):
        uplinks = [first_connect(), *uplinks]
    edge = PlayedEdge(list(one_session(uplinks)))
    async with trio.open_nursery() as nursery:
        await nursery.start(cloud.keeper.run)
        await seed(cloud, storage, recorded_downlinks(*traces))
        for body in own:
            write = EntityWrite("DEVICE", UUID(body["id"]["id"]), msgspec.json.encode(body))
            await commit(cloud, storage, Unit(entities=[write]))
        nursery.start_soon(handle, cloud, edge)
        ids = {frame.id for frame in uplinks if isinstance(frame, Batch)}
        await until(lambda: ids <= set(edge.answers), 30.0)
        yield cloud, edge, storage
        nursery.cancel_scope.cancel()


async def handle(cloud: Cloud, edge: Link) -> None:
    await cloud.service._handle(edge)


def first_connect() -> Frame:
    return next(f for f in frames(lines(SESSION[0]), "up") if isinstance(f, Connect))


def one_session(uplinks: list[Frame]) -> list[Frame]:
    """Only the first CONNECT: the traces of a session follow one another on one link here."""
    return [uplinks[0], *(frame for frame in uplinks[1:] if not isinstance(frame, Connect))]


def recorded_downlinks(*traces: str) -> list[Frame]:
    return frames(lines(*traces), "down")


async def seed(cloud: Cloud, storage: Storage, downlinks: list[Frame]) -> None:
    """The edge itself, and every entity that the reference server had."""
    unit = Unit()
    configuration = accepting(lines(SESSION[0])).configuration
    assert configuration is not None
    assert configuration.edge_id is not None
    body = {
        "id": EntityId("EDGE", configuration.edge_id).to_json(),
        "tenantId": {"entityType": "TENANT", "id": str(configuration.tenant_id)},
        "customerId": {"entityType": "CUSTOMER", "id": str(configuration.customer_id)},
        "name": configuration.name,
        "type": configuration.type,
        "routingKey": configuration.routing_key,
        "secret": configuration.secret,
    }
    unit.entities.append(EntityWrite("EDGE", configuration.edge_id, msgspec.json.encode(body)))
    for update in entity_updates(downlinks):
        kind = BY_FIELD[update.field]
        if update.body and update.kind != UpdateKind.DELETED and kind.name != "TENANT":
            entity = msgspec.json.decode(update.body)
            id = update.id if kind.has_id and update.id else kind.key(entity)
            unit.entities.append(EntityWrite(kind.name, id, update.body.encode()))
    await commit(cloud, storage, unit)


@pytest.mark.parametrize("trace", SESSION)
async def test_every_uplink_of_the_recorded_edge_is_taken(trace: str) -> None:
    async with heard(*SESSION[: SESSION.index(trace) + 1]) as (_, edge, _):
        refused = {answer.error for answer in edge.answers.values() if not answer.success}

        assert set() == refused


async def test_the_recorded_edge_gets_a_whole_sync_and_its_requests_answered() -> None:
    async with heard("01-connect-and-initial-sync") as (_, edge, _):
        await until(edge.said_completed)

        kinds = {update.field for update in entity_updates(edge.downlinks)}
        assert {
            "tenantUpdate",
            "tenantProfileUpdate",
            "queueUpdate",
            "deviceProfileUpdate",
            "assetProfileUpdate",
            "userUpdate",
            "userCredentialsUpdate",
        } <= kinds


async def test_values_of_every_type_and_a_burst_are_kept_exactly() -> None:
    expect = expected("03b-uplink-burst-50")
    traces = [name for name in SESSION if name < "04"]
    async with heard(*traces) as (cloud, _, storage):
        latest = await storage.latest(PUMP_1)
        for key, points in expect["server_latest"].items():
            if key != "n":  # many of the burst share a millisecond, and the reference shuffles them
                assert as_text(points[0]["value"]) == as_text(latest[key][1]), key
        burst = SeriesQuery(PUMP_1, ("n",), 0, 2**62, limit=1000, ascending=True)
        kept = [ts for ts, _ in (await storage.query_series(burst))["n"]]
        assert [point["ts"] for point in expect["server_history"]["n"]] == kept
        client = cloud.state.attributes(PUMP_1, Scope.CLIENT)
        wanted = {row["key"]: row["value"] for row in expect["server_client_attributes"]}
        assert wanted == {key: client[key].value for key in wanted}


def as_text(value: Any) -> str:
    """REST gives values as text unless asked otherwise (device-and-rest-api §4.4)."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        return msgspec.json.encode(value).decode()
    return str(value)


async def test_attributes_set_and_deleted_on_the_edge_are_so_on_the_cloud() -> None:
    trace = "04b-uplink-attributes-set-on-edge"
    async with heard(*SESSION[: SESSION.index(trace) + 1]) as (cloud, _, _):
        server = cloud.state.attributes(PUMP_1, Scope.SERVER)
        rows = expected(trace)["server_attributes"]["SERVER_SCOPE"]
        wanted = {row["key"]: row["value"] for row in rows}

        assert wanted["edge note"] == server["edge note"].value
        assert "n" not in server


async def test_a_device_made_on_the_edge_is_the_edges_here_too() -> None:
    trace = "06-device-created-on-edge"
    expect = expected(trace)
    async with heard(*SESSION[: SESSION.index(trace) + 1]) as (cloud, _, storage):
        id = UUID(expect["server_device"]["id"]["id"])
        device = cloud.state.entity("DEVICE", id)
        assert device is not None
        assert expect["server_device"]["name"] == device["name"]
        assert expect["server_device"]["label"] == device["label"]
        credentials = cloud.state.entity("DEVICE_CREDENTIALS", id)
        assert credentials is not None
        assert expect["server_token"] == credentials["credentialsId"]
        edge_id = cloud.state.ids("EDGE")[0]
        assert id in Edges(cloud.state).assigned(edge_id, "DEVICE")
        latest = await storage.latest(EntityId("DEVICE", id))
        assert expect["latest"]["t"][0]["value"] == as_text(latest["t"][1])


async def test_a_taken_name_gets_another_here_and_the_edge_is_told() -> None:
    trace = "06b-name-taken-on-the-server"
    async with heard(*SESSION[: SESSION.index(trace) + 1]) as (cloud, _, _):
        here = [d["name"] for d in cloud.state.entities("DEVICE") if d["name"].startswith("Twin")]
        assert len(here) == len(set(here))
        assert {"Twin"} <= set(here)


async def test_a_device_deleted_on_the_edge_stays_here_without_the_edge() -> None:
    trace = "06c-device-deleted-on-edge"
    gone = [u for u in entity_updates(frames(lines(trace), "up")) if u.kind == UpdateKind.DELETED]
    assert gone
    async with heard(*SESSION[: SESSION.index(trace) + 1]) as (cloud, _, _):
        id = gone[0].id
        assert id is not None
        assert cloud.state.entity("DEVICE", id) is not None
        assert id not in Edges(cloud.state).assigned(cloud.state.ids("EDGE")[0], "DEVICE")


async def test_a_wrong_secret_and_an_unknown_key_are_told_and_the_stream_fails() -> None:
    for trace in ("15", "16"):
        name = next(n for n in names() if n.startswith(trace))
        said = next(f for f in frames(lines(name), "up") if isinstance(f, Connect))
        recorded = frames(lines(name), "down")
        storage = MemoryStorage()
        cloud = assemble_cloud(storage, FakeTransport(), QUICK, wall_clock_ms, ignore)
        async with trio.open_nursery() as nursery:
            await nursery.start(cloud.keeper.run)
            await seed(cloud, storage, [])
            edge = SilentEdge([said])
            with pytest.raises(Exception, match="UNKNOWN"):
                await cloud.service._handle(edge)
            nursery.cancel_scope.cancel()
        assert [frame.code for frame in recorded] == [frame.code for frame in edge.heard]


class SilentEdge(PlayedEdge):
    """Says its CONNECT and remembers the answer."""

    def __init__(self, uplinks: list[Frame]) -> None:
        super().__init__(uplinks)
        self.heard: list[Any] = []

    async def send(self, frames: Any) -> None:
        self.heard.extend(frames)
