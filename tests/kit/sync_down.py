"""What comes down from a cloud: the rows of spec/edge-protocol.md §2.5."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import trio

from appliance.extension.ports import SeriesQuery
from appliance.kernel.clock import wall_clock_ms
from appliance.model.ids import EntityId, new_uuid
from appliance.model.telemetry import Scope
from appliance.model.unit import Lane, OutboxEvent
from appliance.state.kinds import BY_NAME
from appliance.sync.messages import EntityUpdate, Request, Unknown
from appliance.sync.wire import encode_entry
from appliance.web.commands import RpcCommand
from tests.kit import sync_common as common
from tests.kit.pair import until
from tests.kit.phone import Phone
from tests.kit.sync_alarms import Alarms
from tests.kit.sync_common import Life
from tests.kit.sync_rows import ACTOR, Rows, Scene, attribute, body_of, gone, has

DOWN = Rows("down")
_SAVED = {
    "created": "saved on the cloud",
    "updated": "changed on the cloud",
    "deleted": "deleted on the cloud",
}
_EFFECT = {"created": "is there", "updated": "is changed", "deleted": "is gone"}


async def write(scene: Scene, kind: str, id: UUID, body: Any, action: str) -> None:
    """Save as the cloud's REST API does."""
    await scene.on_cloud(kind, id, body, action)


async def write_assigned(scene: Scene, kind: str, id: UUID, body: Any, action: str) -> None:
    """The same, and a new one is assigned to the edge; its deletion is an unassignment."""
    if action == "DELETED":
        entity = EntityId(kind, id)
        await scene.cloud.commands.unassign(scene.pair.edge_id, entity, ACTOR)
        return
    await scene.on_cloud(kind, id, body, action)
    if action == "ADDED":
        await scene.assign(EntityId(kind, id))


for _kind in sorted(common.FIELDS.keys() - {"DASHBOARD", "RULE_CHAIN", "ADMIN_SETTINGS"}):
    Life(_kind, common.plain(_kind), write, from_edge=False).enter(DOWN, _SAVED, _EFFECT)
Life("USER", common.user, write, from_edge=False).enter(DOWN, _SAVED, _EFFECT)
Life("CALCULATED_FIELD", common.calculated_field, write, from_edge=False).enter(
    DOWN, _SAVED, _EFFECT
)
_ASSIGNED = {**_SAVED, "created": "assigned to the edge", "deleted": "unassigned from the edge"}
for _kind, _make in (
    ("DASHBOARD", common.plain("DASHBOARD")),
    ("RULE_CHAIN", common.plain("RULE_CHAIN")),
    ("ASSET", common.asset),
    ("ENTITY_VIEW", common.view),
):
    Life(_kind, _make, write_assigned, from_edge=False).enter(DOWN, _ASSIGNED, _EFFECT)


# --- devices -------------------------------------------------------------------------------------


@DOWN.on("deviceUpdate", "created", "assigned to the edge", "its token opens a session")
async def device_created(scene: Scene) -> None:
    await scene.pair.add_device("Fan", "FAN")
    assert scene.edge.gate.authenticate_token("FAN") is not None


@DOWN.on("deviceUpdate", "updated", "changed on the cloud", "is changed")
async def device_updated(scene: Scene) -> None:
    body = scene.cloud.state.entity("DEVICE", scene.device.id)
    assert body is not None
    await scene.on_cloud("DEVICE", scene.device.id, {**body, "label": "West"}, "UPDATED")
    await has(scene.edge.state, "DEVICE", scene.device.id, {"label": "West"})


@DOWN.on(
    "deviceUpdate",
    "deleted",
    "unassigned from the edge, or deleted",
    "is gone with its credentials, attributes, alarms and relations",
)
async def device_deleted(scene: Scene) -> None:
    await scene.cloud.commands.unassign(scene.pair.edge_id, scene.device, ACTOR)
    await gone(scene.edge.state, "DEVICE", scene.device.id)
    assert scene.edge.gate.authenticate_token("PUMP") is None
    assert scene.edge.state.entity("DEVICE_CREDENTIALS", scene.device.id) is None


@DOWN.on("deviceCredentialsUpdate", "", "changed on the cloud", "only the new token works")
async def credentials_updated(scene: Scene) -> None:
    body = common.token(scene.device.id, "NEW")
    await scene.on_cloud("DEVICE_CREDENTIALS", scene.device.id, body, "CREDENTIALS_UPDATED")
    await until(lambda: scene.edge.gate.authenticate_token("NEW") is not None)
    assert scene.edge.gate.authenticate_token("PUMP") is None


@DOWN.on(
    "deviceCredentialsRequest",
    "",
    "asked by an old server",
    "the device's credentials go up",
)
async def credentials_asked(scene: Scene) -> None:
    scene.up.seen.clear()
    ack = await scene.up.say(Request("deviceCredentialsRequest", scene.device))
    assert ack.success
    await until(lambda: "deviceCredentialsUpdate" in _fields(scene))


def _fields(scene: Scene) -> set[str]:
    return {item.field for item in scene.up.seen if isinstance(item, EntityUpdate)}


# --- data ----------------------------------------------------------------------------------------


@DOWN.on("entityData", "telemetry", "push to edge", "goes through the rule chain and is stored")
async def telemetry(scene: Scene) -> None:
    entry = encode_entry(1_700_000_000_000, {"level": 7})
    outbox = str(scene.pair.edge_id)
    event = OutboxEvent(outbox, Lane.DATA, "DEVICE", "TIMESERIES_UPDATED", scene.device, entry)
    await scene.cloud_event(event)
    found: dict[str, Any] = {}
    with trio.fail_after(10):
        while not found.get("level"):
            query = SeriesQuery(scene.device, ("level",), 0, 2**62)
            found = await scene.pair.edge_store.query_series(query)
            await trio.sleep(0.005)
    assert found["level"] == [(1_700_000_000_000, 7)]


@DOWN.on(
    "entityData",
    "attributes updated",
    "shared or server attribute saved on the cloud",
    "is stored, a shared one reaches the connected device",
)
async def attributes_updated(scene: Scene) -> None:
    phone = Phone(scene.edge, "PUMP")
    await scene.cloud.commands.save_attributes(scene.device, Scope.SHARED, {"limit": 21}, ACTOR)
    await scene.cloud.commands.save_attributes(scene.device, Scope.SERVER, {"site": "A"}, ACTOR)
    await attribute(scene.edge.state, scene.device, Scope.SERVER, "site")
    await until(lambda: phone.attributes_seen == [({"limit": 21}, [])])


@DOWN.on(
    "entityData",
    "attributes posted",
    "push to edge",
    "goes through the rule chain, which stores it",
)
async def attributes_posted(scene: Scene) -> None:
    body = {"kv": {"fw": "2"}, "scope": "CLIENT_SCOPE", "ts": wall_clock_ms()}
    await scene.cloud_event(_data(scene, "POST_ATTRIBUTES", body))
    await attribute(scene.edge.state, scene.device, Scope.CLIENT, "fw")


@DOWN.on(
    "entityData", "attributes deleted", "deleted on the cloud", "is gone, and the device is told"
)
async def attributes_deleted(scene: Scene) -> None:
    await attributes_updated(scene)
    phone = Phone(scene.edge, "PUMP")
    await scene.cloud.commands.delete_attributes(scene.device, Scope.SHARED, ["limit"], ACTOR)
    await until(lambda: not scene.edge.state.attributes(scene.device, Scope.SHARED))
    await until(lambda: phone.attributes_seen == [({}, ["limit"])])


def _data(scene: Scene, action: str, body: Any) -> OutboxEvent:
    encoded = msgspec.json.encode(body)
    outbox = str(scene.pair.edge_id)
    return OutboxEvent(outbox, Lane.DATA, "DEVICE", action, scene.device, encoded)


# --- rule chains, users, customers ---------------------------------------------------------------


@DOWN.on(
    "ruleChainMetadataUpdate", "created", "travels with its chain", "the chain runs these nodes"
)
async def metadata(scene: Scene) -> None:
    id = new_uuid()
    chain = body_of(scene.cloud.state, "RULE_CHAIN", id, **common.FIELDS["RULE_CHAIN"])
    await scene.on_cloud("RULE_CHAIN", id, chain, "ADDED")
    nodes = [{"type": "org.thingsboard.rule.engine.action.TbLogNode", "name": "Log"}]
    body = {"ruleChainId": chain["id"], "firstNodeIndex": 0, "nodes": nodes, "connections": []}
    await scene.on_cloud("RULE_CHAIN_METADATA", id, body, "UPDATED")
    await scene.assign(EntityId("RULE_CHAIN", id))
    await has(scene.edge.state, "RULE_CHAIN_METADATA", id, {"nodes": nodes})


@DOWN.on("userCredentialsUpdate", "", "password set on the cloud", "logs in on the edge, offline")
async def user_credentials(scene: Scene) -> None:
    id = new_uuid()
    user = common.user(scene, scene.cloud.state, id)
    await scene.on_cloud("USER", id, user, "ADDED")
    body = {"id": {"id": str(new_uuid())}, "userId": user["id"], "password": "$2a$10$hash"}
    await scene.on_cloud("USER_CREDENTIALS", id, body, "CREDENTIALS_UPDATED")
    await has(scene.edge.state, "USER_CREDENTIALS", id, {"password": "$2a$10$hash"})


async def _customer(scene: Scene) -> UUID:
    """A customer that the edge is given to."""
    id = new_uuid()
    body = body_of(scene.cloud.state, "CUSTOMER", id, title="Waterworks")
    await scene.on_cloud("CUSTOMER", id, body, "ADDED")
    edge = scene.cloud.state.entity("EDGE", scene.pair.edge_id)
    assert edge is not None
    edge = {**edge, "customerId": body["id"]}
    await scene.on_cloud("EDGE", scene.pair.edge_id, edge, "UPDATED")
    await has(scene.edge.state, "CUSTOMER", id, {"title": "Waterworks"})
    return id


@DOWN.on("customerUpdate", "created", "the edge is assigned to the customer", "is there")
async def customer_created(scene: Scene) -> None:
    await _customer(scene)


@DOWN.on("customerUpdate", "updated", "changed on the cloud", "is changed; asks for its data again")
async def customer_updated(scene: Scene) -> None:
    id = await _customer(scene)
    body = body_of(scene.cloud.state, "CUSTOMER", id, title="Water Works")
    await scene.on_cloud("CUSTOMER", id, body, "UPDATED")
    await has(scene.edge.state, "CUSTOMER", id, {"title": "Water Works"})


@DOWN.on("customerUpdate", "deleted", "the edge is taken from the customer", "is gone")
async def customer_deleted(scene: Scene) -> None:
    id = await _customer(scene)
    edge = scene.cloud.state.entity("EDGE", scene.pair.edge_id)
    assert edge is not None
    await scene.on_cloud("EDGE", scene.pair.edge_id, {**edge, "customerId": None}, "UPDATED")
    await gone(scene.edge.state, "CUSTOMER", id)


@DOWN.on("edgeConfiguration", "", "the edge is changed on the cloud", "the edge knows itself so")
async def configuration(scene: Scene) -> None:
    edge = scene.cloud.state.entity("EDGE", scene.pair.edge_id)
    assert edge is not None
    await scene.on_cloud("EDGE", scene.pair.edge_id, {**edge, "name": "Plant 2"}, "UPDATED")
    await has(scene.edge.state, "EDGE", scene.pair.edge_id, {"name": "Plant 2"})


# --- alarms and relations ------------------------------------------------------------------------

_ALARMS = Alarms(from_edge=False)
_ALARMS.enter(
    DOWN,
    {**_SAVED, "created": "raised on the cloud"},
    {**_EFFECT, "created": "is there; an active one of the same type keeps its own id"},
)


# --- RPC -----------------------------------------------------------------------------------------


@DOWN.on(
    "deviceRpcCall", "request", "asked on the cloud", "the device is asked and its answer goes up"
)
async def rpc_request(scene: Scene) -> None:
    phone = Phone(scene.edge, "PUMP", answer={"value": 7})
    command = RpcCommand("get", {"pin": 1}, oneway=False, expires_ms=wall_clock_ms() + 30_000)
    async with phone.answering():
        answer = await scene.cloud.commands.call_device(scene.device.id, command)
    assert answer == {"value": 7}
    assert phone.requests == [("get", {"pin": 1})]


@DOWN.on("deviceRpcCall", "answer", "answer to a device's own request", "the device gets it")
async def rpc_answer(scene: Scene) -> None:
    assert "error" in await common.ask_server(scene)


# --- the whole -----------------------------------------------------------------------------------


@DOWN.on("syncCompleted", "", "at the end of a sync", "the edge reports the sync as done")
async def sync_completed(scene: Scene) -> None:
    scene.edge.link.status.last_sync_ms = None
    await scene.cloud.commands.sync_edge(scene.pair.edge_id)
    await until(lambda: scene.edge.link.status.last_sync_ms is not None)


async def _resynced(scene: Scene, kind: str) -> None:
    """Change one that every edge has and look at it after a full sync."""
    (id,) = scene.cloud.state.ids(kind)
    body = scene.cloud.state.entity(kind, id)
    assert body is not None
    await scene.on_cloud(kind, id, {**body, "additionalInfo": {"seen": True}}, "UPDATED")
    await has(scene.edge.state, kind, id, {"additionalInfo": {"seen": True}})
    scene.down.seen.clear()
    await sync_completed(scene)
    fields = {item.field for item in scene.down.seen if isinstance(item, EntityUpdate)}
    assert BY_NAME[kind].field in fields


@DOWN.on("tenantUpdate", "updated", "changed on the cloud; full sync", "is changed")
async def tenant(scene: Scene) -> None:
    await _resynced(scene, "TENANT")


@DOWN.on(
    "tenantProfileUpdate", "updated", "changed on the cloud; full sync", "limits of devices follow"
)
async def tenant_profile(scene: Scene) -> None:
    await _resynced(scene, "TENANT_PROFILE")


@DOWN.on("adminSettingsUpdate", "", "saved on the cloud; full sync", "is there")
async def admin_settings(scene: Scene) -> None:
    id = new_uuid()
    body = body_of(scene.cloud.state, "ADMIN_SETTINGS", id, **common.FIELDS["ADMIN_SETTINGS"])
    await scene.on_cloud("ADMIN_SETTINGS", id, body, "UPDATED")
    await has(scene.edge.state, "ADMIN_SETTINGS", id, {"key": "mail"})


@DOWN.on("unknown", "", "a field of a newer server", "is acknowledged, counted and shown")
async def unknown(scene: Scene) -> None:
    ack = await scene.up.say(Unknown(99, b"\x9a\x06\x03abc"))
    assert ack.success
    assert scene.edge.link.status.kept["field 99"] == 1
