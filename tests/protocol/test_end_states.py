"""The end state of every recorded trace, whole: nothing lost, nothing left over, nothing changed.

Twice: against what the other side said, folded without our code (kit/said.py), for every trace and
every entity and attribute; and against everything that the reference's REST API answered afterwards
(`*.expect.json`), where a test sees to it that no answer is left out. Where we differ on purpose,
the difference stands here with its reason.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import bcrypt
import msgspec
import pytest
import trio

from appliance.cloud.calls import CallEnd
from appliance.edge.assembly import Edge
from appliance.extension.ports import SeriesQuery, Storage
from appliance.kernel.clock import wall_clock_ms
from appliance.model.ids import EntityId
from appliance.model.telemetry import Scope
from appliance.state.kinds import KINDS, id_of
from appliance.state.store import State
from appliance.sync.messages import Batch, EntityUpdate, Frame, RpcCall, UpdateKind
from appliance.testing.fake_transport import FakeTransport
from appliance.testing.memory_storage import MemoryStorage
from tests.kit.pair import running_cloud, running_edge, until
from tests.kit.phone import Phone
from tests.kit.recording import TRACES, PlayedServer, accepting, expected, frames, lines, names
from tests.kit.said import Said
from tests.protocol.test_recorded_edge import as_text, heard
from tests.protocol.test_recorded_server import played

SESSION = [name for name in names() if name[:2] <= "14"]
PUMP_1 = EntityId("DEVICE", UUID("4a6fd9f0-e598-11f1-9df8-51fc96047ddf"))
LOCAL_ATTRIBUTES = frozenset(
    {"active", "lastConnectTime", "lastDisconnectTime", "lastActivityTime", "inactivityAlarmTime"}
    | {"edgeSettings"}
)
"""Each side keeps these for itself: presence, and what the status page reads."""
SHOWN_BY_REST_ONLY = frozenset(
    {
        "version",
        "customerTitle",
        "customerIsPublic",
        "ownerName",
        "deviceProfileName",
        "active",
        "groups",
        "edgeName",
    }
)  # fmt: skip - names of one kind
OURS = {
    "RULE_CHAIN": {"type": "an edge stores CORE"},
    "DEVICE_PROFILE": {
        "defaultRuleChainId": "an edge's default chain is the server's default edge chain",
        "defaultEdgeRuleChainId": "it has none itself",
    },
    "ASSET_PROFILE": {
        "defaultRuleChainId": "as for devices",
        "defaultEdgeRuleChainId": "as for devices",
    },
}
"""Fields that an edge stores otherwise than they came (§7.5)."""


def before(trace: str) -> list[str]:
    """The traces that lead to the end state of this one, itself included."""
    if trace in SESSION:
        return SESSION[: SESSION.index(trace) + 1]
    return [name for name in names() if name[:2] == "20" and trace[:2] == "21"] + [trace]


def batches(traces: list[str], direction: str) -> list[Frame]:
    """Everything that one side said."""
    return [frame for frame in frames(lines(*traces), direction) if isinstance(frame, Batch)]


def plain(kind: str, body: dict[str, Any] | None) -> dict[str, Any]:
    """A body without its version and without what stands in OURS."""
    own = {"version", *OURS.get(kind, ())}
    return {key: value for key, value in (body or {}).items() if key not in own}


def stored(state: State, kind: str) -> dict[UUID, dict[str, Any]]:
    """All of one kind that a role has."""
    return {id: plain(kind, state.entity(kind, id)) for id in state.ids(kind)}


# --- whole, against what was said --------------------------------------------------------------


@pytest.mark.parametrize("trace", [n for n in names() if n[:2] not in ("15", "16")])
async def test_the_edge_has_exactly_what_the_server_said(trace: str) -> None:
    said = Said(batches(before(trace), "down"))
    async with played(*before(trace)) as (edge, _):
        for kind in KINDS:
            if kind.name != "EDGE":  # comes with the CONNECT, see test_recorded_server
                wanted = {id: plain(kind.name, b) for id, b in said.kind(kind.name).items()}
                assert wanted == stored(edge.state, kind.name), kind.name
        entities = {entity for entity, _, _ in said.attributes}
        entities |= {EntityId(kind, id) for kind, id in said.bodies}
        found = {
            (entity, scope.value, key): (value.ts, value.value)
            for entity in entities
            for scope in Scope
            for key, value in edge.state.attributes(entity, scope).items()
        }
        assert shared(said.attributes) == shared(found)


def shared(attributes: dict[Any, Any]) -> dict[Any, Any]:
    """Attributes that both sides have."""
    return {place: v for place, v in attributes.items() if place[2] not in LOCAL_ATTRIBUTES}


@pytest.mark.parametrize("trace", SESSION)
async def test_the_cloud_has_exactly_what_the_edge_said(trace: str) -> None:
    down, up = batches(before(trace), "down"), batches(before(trace), "up")
    said = Said([*map(lasting, down), *map(staying, up)])
    async with heard(*before(trace)) as (cloud, _, _):
        for kind in ("DEVICE", "DEVICE_CREDENTIALS", "ASSET", "ENTITY_VIEW", "DASHBOARD",
                     "CUSTOMER", "ALARM", "ALARM_COMMENT", "CALCULATED_FIELD"):  # fmt: skip
            wanted = {id: plain(kind, body) for id, body in said.kind(kind).items()}
            assert wanted == stored(cloud.state, kind), kind
        relations = {
            id: body
            for id, body in stored(cloud.state, "RELATION").items()
            if body["typeGroup"] == "COMMON" and body["type"] != "ManagedByEdge"
        }
        assert {id: plain("", b) for id, b in said.kind("RELATION").items()} == relations
        users = {body["email"] for body in said.kind("USER").values()}
        assert users <= {body["email"] for body in cloud.state.entities("USER")}


def lasting(frame: Frame) -> Frame:
    """What the server had when it said this; that it took something away does not end it."""
    return without(frame, lambda update: update.kind == UpdateKind.DELETED)


def staying(frame: Frame) -> Frame:
    """What an edge deletes of what can be assigned stays on the cloud, as recorded in 06c."""
    assigned = ("deviceUpdate", "assetUpdate", "entityViewUpdate", "dashboardUpdate")
    return without(frame, lambda u: u.kind == UpdateKind.DELETED and u.field in assigned)


def without(frame: Frame, drop: Callable[[EntityUpdate], bool]) -> Frame:
    """A batch without these entity messages."""
    assert isinstance(frame, Batch)
    kept = tuple(i for i in frame.items if not (isinstance(i, EntityUpdate) and drop(i)))
    return Batch(frame.id, kept)


# --- whole, against what REST answered -----------------------------------------------------------

EdgeCheck = Callable[[Edge, Any], Awaitable[None]]
CloudCheck = Callable[[Any, Storage, Any], Awaitable[None]]
ON_EDGE: dict[tuple[str, str], EdgeCheck] = {}
ON_CLOUD: dict[tuple[str, str], CloudCheck] = {}
ELSEWHERE = {
    ("04", "device_received"): "test_recorded_server: needs a device that listens",
    ("05", "device_received"): "test_requests_reach_the_device_as_recorded, below",
    ("05", "results"): "test_requests_end_as_recorded, below",
    ("12", "note"): "words",
    ("08", "edge_alarm_id"): "read by the check of server_alarms",
}
"""Answers that are compared in a test of their own."""


def on_edge(trace: str, *keys: str) -> Callable[[EdgeCheck], EdgeCheck]:
    """Enter a check of answers of the reference edge."""

    def enter(check: EdgeCheck) -> EdgeCheck:
        ON_EDGE.update({(trace, key): check for key in keys})
        return check

    return enter


def on_cloud(trace: str, *keys: str) -> Callable[[CloudCheck], CloudCheck]:
    """Enter a check of answers of the reference server."""

    def enter(check: CloudCheck) -> CloudCheck:
        ON_CLOUD.update({(trace, key): check for key in keys})
        return check

    return enter


def test_no_recorded_answer_is_left_out() -> None:
    recorded = {
        (path.name.split("-")[0], key)
        for path in TRACES.glob("*.expect.json")
        for key in msgspec.json.decode(path.read_bytes())
    }
    assert recorded == {*ON_EDGE, *ON_CLOUD, *ELSEWHERE}


@pytest.mark.parametrize(("trace", "key"), ON_EDGE)
async def test_the_edge_ends_as_the_reference_edge_did(trace: str, key: str) -> None:
    name = next(n for n in SESSION if n.startswith(f"{trace}-"))
    async with played(*before(name)) as (edge, _):
        await ON_EDGE[trace, key](edge, expected(name)[key])


@pytest.mark.parametrize(("trace", "key"), ON_CLOUD)
async def test_the_cloud_ends_as_the_reference_server_did(trace: str, key: str) -> None:
    name = next(n for n in SESSION if n.startswith(f"{trace}-"))
    twin = expected("06b-name-taken-on-the-server")["server"][0]  # made by REST, never told
    async with heard(*before(name), own=[twin]) as (cloud, _, storage):
        await ON_CLOUD[trace, key](cloud, storage, expected(name)[key])


def same(wanted: dict[str, Any], found: dict[str, Any] | None) -> None:
    """Equal but for nulls and for what only a REST layer adds."""

    def told(body: dict[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in body.items() if v is not None and k not in SHOWN_BY_REST_ONLY}

    assert found is not None
    assert told(wanted) == told(found)


def same_attributes(
    state: State, by_scope: dict[str, list[dict[str, Any]]], *not_here: str
) -> None:
    """Exactly these attributes of Pump 1, but for each side's own; not_here: see the caller."""
    for scope, rows in by_scope.items():
        found = {k: v.value for k, v in state.attributes(PUMP_1, Scope(scope)).items()}
        wanted = {row["key"]: row["value"] for row in rows}
        for values in (found, wanted):
            for key in (*LOCAL_ATTRIBUTES, *not_here):
                values.pop(key, None)
        assert wanted == found, scope


async def points_of(storage: Storage, entity: EntityId, key: str) -> list[tuple[int, Any]]:
    query = SeriesQuery(entity, (key,), 0, 2**62, limit=1000, ascending=True)
    return (await storage.query_series(query)).get(key, [])


@on_edge("02", "edge_device")
async def _(edge: Edge, wanted: Any) -> None:
    same(wanted, edge.state.entity("DEVICE", PUMP_1.id))


@on_edge("02", "edge_token")
async def _(edge: Edge, wanted: str) -> None:
    session = edge.gate.authenticate_token(wanted)
    assert session is not None
    assert session.device == PUMP_1


@on_edge("02", "edge_attributes")
@on_edge("04", "edge_attributes")
async def _(edge: Edge, wanted: Any) -> None:
    same_attributes(edge.state, wanted)


@on_edge("02", "server_edge_id")
async def _(edge: Edge, wanted: str) -> None:
    assert edge.state.ids("EDGE") == [UUID(wanted)]


@on_edge("04", "edge_latest")
async def _(edge: Edge, wanted: Any) -> None:
    """Nothing: the server's default chain does not push telemetry down."""
    latest = await edge.link._storage.latest(PUMP_1)
    assert dict.fromkeys(wanted) == {key: rows[0]["value"] for key, rows in wanted.items()}
    assert not set(wanted) & set(latest)


@on_edge("06b", "edge")
async def _(edge: Edge, wanted: Any) -> None:
    """The device was made on the recorded edge; to ours the server only tells its new name."""
    for body in wanted:
        found = edge.state.entity("DEVICE", UUID(body["id"]["id"]))
        same(body, found)


@on_edge("08b", "edge_alarms")
async def _(edge: Edge, wanted: Any) -> None:
    assert wanted["data"] == list(edge.state.entities("ALARM"))


@on_edge("09", "edge_chains")
async def _(edge: Edge, wanted: Any) -> None:
    assert wanted == [[c["name"], c["root"]] for c in edge.state.entities("RULE_CHAIN")]


@on_edge("10", "edge_users")
async def _(edge: Edge, wanted: Any) -> None:
    found = {user["email"]: user for user in edge.state.entities("USER")}
    assert {user["email"] for user in wanted["data"]} == set(found)
    for user in wanted["data"]:
        same({**user, "name": None}, {**found[user["email"]], "name": None})


@on_edge("10", "edge_dashboards")
async def _(edge: Edge, wanted: Any) -> None:
    assert wanted == [dashboard["title"] for dashboard in edge.state.entities("DASHBOARD")]


@on_edge("10", "password_of_op")
async def _(edge: Edge, wanted: str) -> None:
    user = edge.state.by_name("USER", "op@plant.example")
    assert user is not None
    credentials = edge.state.entity("USER_CREDENTIALS", UUID(user["id"]["id"]))
    assert credentials is not None
    assert bcrypt.checkpw(wanted.encode(), credentials["password"].encode())


@on_edge("12", "edge_shared")
async def _(edge: Edge, wanted: Any) -> None:
    same_attributes(edge.state, {"SHARED_SCOPE": wanted})


@on_edge("12", "edge_forecast")
async def _(edge: Edge, wanted: Any) -> None:
    assert [row["value"] for row in wanted["forecast"]] == [None]
    assert await points_of(edge.link._storage, PUMP_1, "forecast") == []


@on_edge("12", "edge_devices")
async def _(edge: Edge, wanted: list[str]) -> None:
    """`Born offline` was made on the recorded edge, which ours is not."""
    names_here = sorted(device["name"] for device in edge.state.entities("DEVICE"))
    assert [name for name in wanted if name != "Born offline"] == names_here


@on_cloud("03b", "server_history")
async def _(_cloud: Any, storage: Storage, wanted: Any) -> None:
    """Of values of one millisecond the reference keeps any: its packs are in random order."""
    found = await points_of(storage, PUMP_1, "n")
    assert [point["ts"] for point in wanted["n"]] == [ts for ts, _ in found]


@on_cloud("03b", "server_latest")
async def _(_cloud: Any, storage: Storage, wanted: Any) -> None:
    latest = await storage.latest(PUMP_1)
    assert set(wanted) == set(latest)
    for key, rows in wanted.items():
        assert rows[0]["ts"] == latest[key][0], key
        if key != "n":
            assert as_text(rows[0]["value"]) == as_text(latest[key][1]), key


@on_cloud("03b", "server_client_attributes")
async def _(cloud: Any, _storage: Storage, wanted: Any) -> None:
    same_attributes(cloud.state, {"CLIENT_SCOPE": wanted})


@on_cloud("04b", "server_attributes")
async def _(cloud: Any, _storage: Storage, wanted: Any) -> None:
    """What was set on the server itself is in nothing that the edge said."""
    own = ("installed", "hours", "ratio", "limits", "schedule", "serial")
    same_attributes(cloud.state, wanted, *own)


@on_cloud("06", "server_device")
async def _(cloud: Any, _storage: Storage, wanted: Any) -> None:
    same(wanted, cloud.state.entity("DEVICE", UUID(wanted["id"]["id"])))


@on_cloud("06", "server_token")
async def _(cloud: Any, _storage: Storage, wanted: str) -> None:
    device = cloud.state.device_of_credentials(wanted)
    assert cloud.state.entity("DEVICE", device)["name"] == "Edge-made 2"


@on_cloud("06", "edge_devices_on_server")
async def _(cloud: Any, _storage: Storage, wanted: Any) -> None:
    """Pump 1 was assigned by REST, which no uplink tells."""
    assigned = cloud.edges.assigned(cloud.state.ids("EDGE")[0], "DEVICE")
    theirs = {UUID(body["id"]["id"]): body for body in wanted["data"]}
    assert set(theirs) - {PUMP_1.id} == set(assigned)
    for id, body in theirs.items():
        same(body, cloud.state.entity("DEVICE", id))


@on_cloud("06", "latest")
async def _(cloud: Any, storage: Storage, wanted: Any) -> None:
    device = cloud.state.by_name("DEVICE", "Edge-made 2")
    latest = await storage.latest(EntityId("DEVICE", UUID(device["id"]["id"])))
    found = {key: [(ts, as_text(value))] for key, (ts, value) in latest.items()}
    assert found == {
        key: [(row["ts"], as_text(row["value"])) for row in rows] for key, rows in wanted.items()
    }


@on_cloud("06b", "server")
async def _(cloud: Any, _storage: Storage, wanted: Any) -> None:
    """The same two devices; the letters that make the second name another one are random."""
    for body in wanted:
        found = cloud.state.entity("DEVICE", UUID(body["id"]["id"]))
        same({**body, "name": None}, {**found, "name": None})
        assert re.fullmatch(r"Twin(_[A-Za-z]{15})?", found["name"])
        assert ("_" in body["name"]) == ("_" in found["name"])


@on_cloud("06c", "server_has")
async def _(cloud: Any, _storage: Storage, wanted: bool) -> None:
    device = cloud.state.by_name("DEVICE", "Edge-made 2")
    assert (device is not None) == wanted
    assert not cloud.edges.has(cloud.state.ids("EDGE")[0], EntityId("DEVICE", id_of(device["id"])))


@on_cloud("08", "server_alarms")
async def _(cloud: Any, _storage: Storage, wanted: Any) -> None:
    assert wanted["data"] == list(cloud.state.entities("ALARM"))
    alarm = UUID(expected("08-alarms-from-edge")["edge_alarm_id"])
    assert cloud.state.entity("ALARM", alarm) is None


@on_cloud("12", "server_off")
async def _(_cloud: Any, storage: Storage, wanted: Any) -> None:
    found = await points_of(storage, PUMP_1, "off")
    assert [(p["ts"], p["value"]) for p in wanted] == [(ts, as_text(v)) for ts, v in found]


@on_cloud("12", "server_devices")
async def _(cloud: Any, _storage: Storage, wanted: list[str]) -> None:
    """Those of the server that the edge never had are not in the recording."""
    never = {name for name in wanted if re.search(r"Demo|Test Device|Thermostat|Pump 4", name)}
    found = sorted(device["name"].split("_")[0] for device in cloud.state.entities("DEVICE"))
    here = sorted(name.split("_")[0] for name in wanted if name not in never)
    assert here == [name for name in found if name in here]


@on_cloud("12", "born_offline_latest")
async def _(cloud: Any, storage: Storage, wanted: Any) -> None:
    device = cloud.state.by_name("DEVICE", "Born offline")
    latest = await storage.latest(EntityId("DEVICE", UUID(device["id"]["id"])))
    found = {key: [(ts, as_text(value))] for key, (ts, value) in latest.items()}
    assert found == {
        key: [(row["ts"], as_text(row["value"])) for row in rows] for key, rows in wanted.items()
    }


# --- requests ------------------------------------------------------------------------------------


def recorded_calls(direction: str) -> list[RpcCall]:
    """The requests, or the answers, of trace 05."""
    said = batches(["05-rpc"], direction)
    return [i for f in said if isinstance(f, Batch) for i in f.items if isinstance(i, RpcCall)]


async def test_requests_reach_the_device_as_recorded() -> None:
    first = batches(before("04b-uplink-attributes-set-on-edge"), "down")
    server = PlayedServer(accepting(lines(SESSION[0])), first)
    in_time_ms = min(call.expires_ms for call in recorded_calls("down")) - 1000
    async with running_edge(MemoryStorage(), server, clock=lambda: in_time_ms) as edge:
        await until(lambda: server.answered, 30.0)
        phone = Phone(edge, "TRACE_T1")
        server.say_more(batches(["05-rpc"], "down"))
        await until(lambda: len(phone.requests) >= 4)

    wanted = [msgspec.json.decode(text) for _, text in expected("05-rpc")["device_received"]]
    assert [(each["method"], each["params"]) for each in wanted] == phone.requests


async def test_requests_end_as_recorded() -> None:
    """But for the persistent one: the reference leaves it QUEUED, we know how it ended."""
    wanted = expected("05-rpc")["results"]
    storage = MemoryStorage()
    soon_ms = wall_clock_ms() + 60_000
    ends: dict[str, CallEnd] = {}
    async with running_cloud(storage, FakeTransport()) as cloud, trio.open_nursery() as nursery:
        (edge,) = cloud.state.ids("EDGE")

        async def call(asked: RpcCall) -> None:
            ends[asked.method or ""] = await cloud.calls.call(edge, asked)

        asked = [msgspec.structs.replace(c, expires_ms=soon_ms) for c in recorded_calls("down")]
        kept = [each for each in asked if each.persisted]
        for each in asked:
            if each.persisted:
                await cloud.calls.keep(edge, each)
            else:
                nursery.start_soon(call, each)
        await until(lambda: len(cloud.calls._waiting) == len(asked) - len(kept))
        for answer in recorded_calls("up"):
            await cloud.calls.from_edge(edge, answer)
        await until(lambda: len(ends) == len(asked) - len(kept))
        (record,) = cloud.state.entities("RPC")

    assert wanted["twoway"] == msgspec.json.decode(ends["getState"].response or "")
    assert wanted["oneway"] == msgspec.json.decode(ends["setPin"].response or "{}")
    assert wanted["noanswer"] == (ends["silent"].response or "")
    assert ends["silent"].error == "TIMEOUT"
    recorded = wanted["persistent_state"]
    assert wanted["persistent"] == {"rpcId": record["id"]["id"]}
    for field in ("id", "deviceId"):
        assert recorded[field] == record[field]
    assert record["status"] == recorded["status"] == "QUEUED"  # the device's answer never came up
