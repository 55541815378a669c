"""What goes up from an edge: the rows of spec/edge-protocol.md §2.4."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import trio

from appliance.extension.ports import SeriesQuery
from appliance.kernel.clock import wall_clock_ms
from appliance.model.ids import EntityId, new_uuid
from appliance.model.telemetry import Scope
from appliance.model.unit import CLOUD, Lane, OutboxEvent, Unit
from appliance.sync.messages import EntityUpdate, Request, Unknown
from appliance.web.commands import RpcCommand
from tests.kit import sync_common as common
from tests.kit.pair import until
from tests.kit.phone import Phone
from tests.kit.sync_alarms import Alarms
from tests.kit.sync_common import Life
from tests.kit.sync_rows import ACTOR, Rows, Scene, attribute, body_of, has

UP = Rows("up")
_SAVED = {
    "created": "saved on the edge",
    "updated": "changed on the edge",
    "deleted": "deleted on the edge",
}
_EFFECT = {
    "created": "is there, assigned to the edge where that can be",
    "updated": "is changed",
    "deleted": "is gone",
}
_UNASSIGNED = {**_EFFECT, "deleted": "is unassigned from the edge and stays, as recorded (06c)"}
_NEVER_DELETED = {step: _SAVED[step] for step in ("created", "updated")}


async def write(scene: Scene, kind: str, id: UUID, body: Any, action: str) -> None:
    """Save as the edge's REST API does."""
    await scene.on_edge(kind, id, body, action)


class Assigned(Life):
    """The rows of a kind that belongs to edges: its end here is an unassignment there."""

    async def deleted(self, scene: Scene) -> None:
        """Its end arrives."""
        id, _ = await self.create(scene)
        edge = scene.pair.edge_id
        assert id in scene.cloud.edges.assigned(edge, self.kind)
        await write(scene, self.kind, id, None, "DELETED")
        await until(lambda: id not in scene.cloud.edges.assigned(edge, self.kind))
        assert scene.cloud.state.entity(self.kind, id) is not None


for _kind, _make in (
    ("AI_MODEL", common.plain("AI_MODEL")),
    ("API_KEY", common.plain("API_KEY")),
    ("USER", common.user),
    ("CALCULATED_FIELD", common.calculated_field),
):
    Life(_kind, _make, write, from_edge=True).enter(UP, _SAVED, _EFFECT)
for _kind in ("DEVICE_PROFILE", "ASSET_PROFILE", "TB_RESOURCE"):
    Life(_kind, common.plain(_kind), write, from_edge=True).enter(UP, _NEVER_DELETED, _EFFECT)
for _kind, _make in (
    ("DASHBOARD", common.plain("DASHBOARD")),
    ("RULE_CHAIN", common.plain("RULE_CHAIN")),
    ("ASSET", common.asset),
    ("ENTITY_VIEW", common.view),
):
    Assigned(_kind, _make, write, from_edge=True).enter(UP, _SAVED, _UNASSIGNED)


# --- devices -------------------------------------------------------------------------------------


async def _device(scene: Scene) -> tuple[UUID, dict[str, Any]]:
    id = new_uuid()
    body = common.device(scene.edge.state, id, "Valve")
    await scene.edge.commands.change(
        [
            common.change("DEVICE", id, body, "ADDED"),
            common.change("DEVICE_CREDENTIALS", id, common.token(id, "VALVE"), "ADDED"),
        ],
        ACTOR,
    )
    await has(scene.cloud.state, "DEVICE", id, {"name": "Valve"})
    return id, body


@UP.on(
    "deviceUpdate",
    "created",
    "made on the edge: REST, gateway, provisioning",
    "is there with its credentials, assigned to the edge",
)
async def device_created(scene: Scene) -> None:
    id, _ = await _device(scene)
    assert id in scene.cloud.edges.assigned(scene.pair.edge_id, "DEVICE")
    await has(scene.cloud.state, "DEVICE_CREDENTIALS", id, {"credentialsId": "VALVE"})


@UP.on("deviceUpdate", "updated", "changed on the edge", "is changed")
async def device_updated(scene: Scene) -> None:
    id, body = await _device(scene)
    await scene.on_edge("DEVICE", id, {**body, "label": "North"}, "UPDATED")
    await has(scene.cloud.state, "DEVICE", id, {"label": "North"})


@UP.on("deviceUpdate", "deleted", "deleted on the edge", _UNASSIGNED["deleted"])
async def device_deleted(scene: Scene) -> None:
    id, _ = await _device(scene)
    await scene.on_edge("DEVICE", id, None, "DELETED")
    edge = scene.pair.edge_id
    await until(lambda: id not in scene.cloud.edges.assigned(edge, "DEVICE"))
    assert scene.cloud.state.entity("DEVICE", id) is not None


@UP.on("deviceCredentialsUpdate", "", "changed on the edge", "is changed")
async def credentials(scene: Scene) -> None:
    body = common.token(scene.device.id, "NEW")
    await scene.on_edge("DEVICE_CREDENTIALS", scene.device.id, body, "CREDENTIALS_UPDATED")
    await has(scene.cloud.state, "DEVICE_CREDENTIALS", scene.device.id, {"credentialsId": "NEW"})


@UP.on("ruleChainMetadataUpdate", "created", "travels with its chain", "is there")
async def metadata(scene: Scene) -> None:
    id = new_uuid()
    chain = body_of(scene.edge.state, "RULE_CHAIN", id, **common.FIELDS["RULE_CHAIN"])
    nodes = [{"type": "org.thingsboard.rule.engine.action.TbLogNode", "name": "Log"}]
    body = {"ruleChainId": chain["id"], "firstNodeIndex": 0, "nodes": nodes, "connections": []}
    changes = [
        common.change("RULE_CHAIN", id, chain, "ADDED"),
        common.change("RULE_CHAIN_METADATA", id, body, "UPDATED"),
    ]
    await scene.edge.commands.change(changes, ACTOR)
    await has(scene.cloud.state, "RULE_CHAIN_METADATA", id, {"nodes": nodes})


@UP.on("userCredentialsUpdate", "", "password set on the edge", "is changed")
async def user_credentials(scene: Scene) -> None:
    (id, *_) = scene.edge.state.ids("USER")
    stored = scene.edge.state.entity("USER_CREDENTIALS", id)
    assert stored is not None
    changed = {**stored, "password": "$2a$10$other"}
    await scene.on_edge("USER_CREDENTIALS", id, changed, "CREDENTIALS_UPDATED")
    await has(scene.cloud.state, "USER_CREDENTIALS", id, {"password": "$2a$10$other"})


# --- data ----------------------------------------------------------------------------------------


@UP.on("entityData", "telemetry", "posted by a device", "is stored with its time and type")
async def telemetry(scene: Scene) -> None:
    session = scene.edge.gate.authenticate_token("PUMP")
    assert session is not None
    await scene.edge.gate.post_telemetry([(session, [(1_700_000_000_000, {"t": 20.5})])])
    found: dict[str, Any] = {}
    with trio.fail_after(10):
        while not found.get("t"):
            query = SeriesQuery(scene.device, ("t",), 0, 2**62)
            found = await scene.pair.cloud_store.query_series(query)
            await trio.sleep(0.005)
    assert found["t"] == [(1_700_000_000_000, 20.5)]


@UP.on("entityData", "attributes posted", "posted by a device", "is stored as client attribute")
async def attributes_posted(scene: Scene) -> None:
    session = scene.edge.gate.authenticate_token("PUMP")
    assert session is not None
    await scene.edge.gate.post_attributes(session, {"fw": "1"})
    await attribute(scene.cloud.state, scene.device, Scope.CLIENT, "fw")


@UP.on(
    "entityData",
    "attributes updated",
    "server or shared attribute saved on the edge",
    "is stored in the same scope, unless a newer one is there",
)
async def attributes_updated(scene: Scene) -> None:
    for scope in (Scope.SERVER, Scope.SHARED):
        await scene.edge.commands.save_attributes(scene.device, scope, {"x": scope.value}, ACTOR)
        await attribute(scene.cloud.state, scene.device, scope, "x")


@UP.on("entityData", "attributes deleted", "deleted on the edge", "is gone")
async def attributes_deleted(scene: Scene) -> None:
    await attributes_updated(scene)
    await scene.edge.commands.delete_attributes(scene.device, Scope.SHARED, ["x"], ACTOR)
    await until(lambda: not scene.cloud.state.attributes(scene.device, Scope.SHARED))


# --- alarms and relations ------------------------------------------------------------------------

_ALARMS = Alarms(from_edge=True)
_ALARMS.enter(
    UP,
    {**_SAVED, "created": "raised by a rule chain or over REST"},
    {**_EFFECT, "created": "is there; an active one of the same type keeps its own id"},
)


# --- RPC -----------------------------------------------------------------------------------------


@UP.on("deviceRpcCall", "request", "a device asks, its chain pushes it up", "is answered at once")
async def rpc_request(scene: Scene) -> None:
    assert await common.ask_server(scene)


@UP.on("deviceRpcCall", "answer", "a device answers the cloud", "the caller gets it")
async def rpc_answer(scene: Scene) -> None:
    phone = Phone(scene.edge, "PUMP", answer={"value": 7})
    command = RpcCommand("get", {}, oneway=False, expires_ms=wall_clock_ms() + 30_000)
    async with phone.answering():
        assert await scene.cloud.commands.call_device(scene.device.id, command) == {"value": 7}


# --- requests ------------------------------------------------------------------------------------

_FOLLOWS = "a device, asset, view, dashboard, customer, user or tenant comes down"


async def _asked(scene: Scene, action: str, answer: str) -> None:
    """Ask as the edge does, and see the answer come down."""
    scene.down.seen.clear()
    event = OutboxEvent(CLOUD, Lane.ENTITY, "DEVICE", action, scene.device)
    await scene.pair.edge_store.commit([Unit(events=[event])])
    await until(lambda: _came(scene, answer))


def _came(scene: Scene, field: str) -> bool:
    updates = (item for item in scene.down.seen if isinstance(item, EntityUpdate))
    return any(item.field == field for item in updates)


@UP.on("attributesRequest", "", _FOLLOWS, "its server and shared attributes come down")
async def attributes_request(scene: Scene) -> None:
    id, edge = scene.device, scene.edge.state
    for scope in (Scope.SERVER, Scope.SHARED):
        await scene.cloud.commands.save_attributes(id, scope, {"asked": 1}, ACTOR)
        await attribute(edge, id, scope, "asked")
    event = OutboxEvent(CLOUD, Lane.ENTITY, "DEVICE", "ATTRIBUTES_REQUEST", scene.device)
    scene.down.seen.clear()
    await scene.pair.edge_store.commit([Unit(events=[event])])
    await until(lambda: len(scene.down.seen) >= 2)


@UP.on("relationRequest", "", _FOLLOWS, "its relations of both directions come down")
async def relation_request(scene: Scene) -> None:
    await _ALARMS.relation(scene)
    await _asked(scene, "RELATION_REQUEST", "relationUpdate")


@UP.on("calculatedFieldRequest", "", "a device, asset, profile comes down", "its fields come down")
async def calculated_field_request(scene: Scene) -> None:
    field = Life("CALCULATED_FIELD", common.calculated_field, _on_cloud, from_edge=False)
    await field.create(scene)
    await _asked(scene, "CALCULATED_FIELD_REQUEST", "calculatedFieldUpdate")


async def _on_cloud(scene: Scene, kind: str, id: UUID, body: Any, action: str) -> None:
    await scene.on_cloud(kind, id, body, action)


_OLD = "asked by an old edge"


async def _old_request(scene: Scene, request: Request, answer: str) -> None:
    scene.down.seen.clear()
    assert (await scene.down.say(request)).success
    await until(lambda: _came(scene, answer))


@UP.on("ruleChainMetadataRequest", "", _OLD, "the chain's nodes come down")
async def metadata_request(scene: Scene) -> None:
    (chain, *_) = scene.cloud.edges.assigned(scene.pair.edge_id, "RULE_CHAIN")
    request = Request("ruleChainMetadataRequest", EntityId("RULE_CHAIN", chain))
    await _old_request(scene, request, "ruleChainMetadataUpdate")


@UP.on("userCredentialsRequest", "", _OLD, "the user's credentials come down")
async def user_credentials_request(scene: Scene) -> None:
    (user, *_) = scene.cloud.state.ids("USER")
    request = Request("userCredentialsRequest", EntityId("USER", user))
    await _old_request(scene, request, "userCredentialsUpdate")


@UP.on("deviceCredentialsRequest", "", _OLD, "the device's credentials come down")
async def device_credentials_request(scene: Scene) -> None:
    request = Request("deviceCredentialsRequest", scene.device)
    await _old_request(scene, request, "deviceCredentialsUpdate")


@UP.on("widgetBundleTypesRequest", "", _OLD, "the bundle with its widgets comes down")
async def widget_types_request(scene: Scene) -> None:
    bundle = Life("WIDGETS_BUNDLE", common.plain("WIDGETS_BUNDLE"), _on_cloud, from_edge=False)
    id, _ = await bundle.create(scene)
    request = Request("widgetBundleTypesRequest", EntityId("WIDGETS_BUNDLE", id))
    await _old_request(scene, request, "widgetsBundleUpdate")


@UP.on("entityViewsRequest", "", _OLD, "the entity's views come down")
async def entity_views_request(scene: Scene) -> None:
    id = new_uuid()
    body = common.view(scene, scene.cloud.state, id)
    await scene.on_cloud("ENTITY_VIEW", id, body, "ADDED")
    await scene.assign(EntityId("ENTITY_VIEW", id))
    await has(scene.edge.state, "ENTITY_VIEW", id)
    await _old_request(scene, Request("entityViewsRequest", scene.device), "entityViewUpdate")


@UP.on("unknown", "", "a field of a newer edge", "is acknowledged and counted")
async def unknown(scene: Scene) -> None:
    assert (await scene.down.say(Unknown(99, b"\x9a\x06\x03abc"))).success
