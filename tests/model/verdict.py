"""What must be true of both sides once it is quiet."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import trio

from appliance.cloud.sync import ACTIVITY_KEYS
from appliance.edge.adopt import REASON as ADOPTED
from appliance.extension.ports import SeriesQuery
from appliance.model.ids import EntityId
from appliance.model.telemetry import AttributeWrite, Scope
from appliance.model.unit import Lane
from appliance.state.store import State
from appliance.sync.conflicts import known_as
from tests.model.tenant_verdict import check_tenant
from tests.model.world import CLOUD_SIDE, EDGE_SIDE, World

KINDS = ("DEVICE", "ASSET", "ENTITY_VIEW", "DASHBOARD", "RULE_CHAIN")
QUIET_S = 120.0
_NOTHING = (0, 0, None)


async def judge(world: World) -> None:
    """Wait for quiet, then look at everything."""
    await world.settle()
    world.removed |= {view for view, shown in world.shown.items() if shown & world.removed}
    world.removed |= {field for field, owner in world.owners.items() if owner in world.removed}
    await _quiet(world)
    for side in world.sides.values():
        assert side.storage is not None
        assert [each for each in side.storage.quarantined() if each.reason != ADOPTED] == []
        side.order.check()
    _entities(world)
    if world.removed:
        # An attribute that the edge changed just before it lost the entity was still on its way up
        # when it got the entity back: it has it again with the next sync.
        world.wire.cut()
        await _quiet(world, crossing=True)
        await _quiet(world)
    check_tenant(world)
    _attributes(world)
    _alarms(world)
    _requests(world)
    await _history(world)


async def _quiet(world: World, *, crossing: bool = False) -> None:
    """Nothing is queued and nothing crosses any more."""
    before = _counts(world)
    await trio.sleep(QUIET_S)
    assert crossing or before == _counts(world), "something goes to and fro"


def _counts(world: World) -> list[int]:
    queued = [
        side.storage.depth(outbox, lane).accepted
        for side, outbox in world.outboxes()
        if side.storage is not None
        for lane in Lane
    ]
    return queued + [side.order.crossed for side in world.sides.values()]


# --- entities ------------------------------------------------------------------------------------


def _shared(world: World) -> list[EntityId]:
    """What the edge has of what was made, which is what the cloud assigns to it."""
    out = []
    for kind in KINDS:
        assigned = set(world.cloud.edges.assigned(world.edge_id, kind))
        assert set(world.edge.state.ids(kind)) == assigned, kind
        out += [EntityId(kind, id) for id in sorted(assigned)]
    return [entity for entity in out if entity in world.entities]


def _entities(world: World) -> None:
    edge, cloud = world.edge.state, world.cloud.state
    shared = _shared(world)
    for entity in shared:
        mine = _plain(edge.entity(entity.type, entity.id))
        assert mine == _plain(cloud.entity(entity.type, entity.id))
        if entity.type == "DEVICE":
            assert _same(edge, cloud, "DEVICE_CREDENTIALS", entity.id)
        said = world.bodies[entity] | world.unsure
        if entity not in world.removed:
            said -= world.superseded
        assert mine["label"] in said, (mine["label"], said)
        assert _relations(edge, entity, shared) == _relations(cloud, entity, shared)
    for entity in world.entities:
        if entity in world.kept - world.removed:
            assert edge.entity(entity.type, entity.id) is not None, f"{entity} was lost"


def _same(edge: State, cloud: State, kind: str, id: UUID) -> bool:
    return _plain(edge.entity(kind, id)) == _plain(cloud.entity(kind, id))


def _plain(body: dict[str, Any] | None) -> dict[str, Any]:
    """A body without what each side keeps for itself: a chain of type EDGE is CORE on the edge."""
    body = dict(body or {})
    body.pop("version", None)
    if body.get("type") == "EDGE":
        body["type"] = "CORE"
    return body


def _relations(
    state: State, entity: EntityId, among: list[EntityId]
) -> set[tuple[EntityId, EntityId]]:
    both = [*state.relations_from(entity), *state.relations_to(entity)]
    ends = {(r.source, r.target) for r in both if r.group == "COMMON" and r.type == "Uses"}
    return {(source, target) for source, target in ends if source in among and target in among}


# --- attributes ----------------------------------------------------------------------------------


def _attributes(world: World) -> None:
    """The same on both sides; and the newest of all that were ever written, or gone with it."""
    newest = _newest(world)
    for entity in _shared(world):
        for scope in Scope:
            mine, theirs = (
                {
                    key: (stored.ts, stored.value)
                    for key, stored in side.state.attributes(entity, scope).items()
                    if key not in ACTIVITY_KEYS
                }
                for side in world.sides.values()
            )
            if scope is Scope.CLIENT and entity in world.removed:
                continue  # goes with the device, and no server sends it down again
            assert mine == theirs, (entity, scope)
            if entity not in world.removed:
                wanted = newest.get((entity, scope), {})
                found = {key: value for key, (_, _, value) in wanted.items() if value is not None}
                assert found == {key: value for key, (_, value) in mine.items()}, (entity, scope)


def _newest(world: World) -> dict[tuple[EntityId, Scope], dict[str, tuple[int, int, Any]]]:
    """By entity and scope: key → (time, 1 if from the cloud, value or None for a deletion)."""
    out: dict[tuple[EntityId, Scope], dict[str, tuple[int, int, Any]]] = {}
    for rank, name in enumerate((EDGE_SIDE, CLOUD_SIDE)):
        for unit in world.sides[name].disk.units:
            for change in unit.attributes:
                here = out.setdefault((change.entity, change.scope), {})
                write = isinstance(change, AttributeWrite)
                for key in change.values if write else change.keys:
                    if key in ACTIVITY_KEYS:
                        continue
                    value = change.values[key] if write else None
                    if here.get(key, _NOTHING)[:2] <= (change.ts, rank):
                        here[key] = (change.ts, rank, value)
    return out


# --- alarms --------------------------------------------------------------------------------------


def _alarms(world: World) -> None:
    """The same alarms about everything shared, whatever their ids, with the same comments."""
    for entity in (each for each in _shared(world) if each not in world.removed):
        mine, theirs = (_alarms_of(side.state, entity) for side in world.sides.values())
        assert mine == theirs, entity
        for side in world.sides.values() if entity not in world.dismissed else ():
            for text, (about, alarm) in world.comments.items():
                if about == entity:
                    assert text in _comments_on(side.state, alarm), f"lost on the {side.name}"


def _alarms_of(state: State, entity: EntityId) -> set[tuple[str, bool, bool]]:
    """What they look like; that one of ours is two of theirs is possible (§6.2)."""
    bodies = (state.entity("ALARM", id) or {} for id in state.owned("ALARM", entity.id))
    return {(body["severity"], body["acknowledged"], body["cleared"]) for body in bodies}


def _comments_on(state: State, alarm: UUID) -> set[str]:
    """What was said about an alarm, whatever it is called here."""
    ids = state.owned("ALARM_COMMENT", known_as(state, alarm))
    comments = (state.entity("ALARM_COMMENT", id) for id in ids)
    return {comment["comment"]["text"] for comment in comments if comment}


# --- requests and history ------------------------------------------------------------------------


def _requests(world: World) -> None:
    for undisturbed, end in world.answers:
        assert not undisturbed or end == "answered", end
    for request, (device, params) in world.kept_requests.items():
        status = (world.cloud.state.entity("RPC", request) or {})["status"]
        if device not in world.removed:
            assert status == "SUCCESSFUL", f"a kept request was lost: {status}"
        assert status != "SUCCESSFUL" or world.heard[params], "nobody asked the device"
    lives = world.sides[EDGE_SIDE].lives  # a request may be heard again by an edge that died
    assert all(count <= lives for count in world.heard.values()), "a device was asked twice"


async def _history(world: World) -> None:
    """Every value that a device was told to be kept is on the cloud, once, in order."""
    storage = world.sides[CLOUD_SIDE].storage
    assert storage is not None
    for id, values in world.posted.items():
        if world.cloud.state.entity("DEVICE", id) is None:
            continue
        query = SeriesQuery(EntityId("DEVICE", id), ("n",), 0, 2**62, 10_000, ascending=True)
        found = (await storage.query_series(query)).get("n", [])
        assert all(ts == value for ts, value in found)
        assert set(values) <= {value for _, value in found}, f"values of {id} were lost"
