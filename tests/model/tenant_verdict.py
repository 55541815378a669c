"""What must be true, once it is quiet, of what a tenant has besides what is assigned to an edge."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from appliance.model.ids import EntityId
from appliance.state.kinds import BY_NAME, OWNERS, id_of
from appliance.state.store import State
from tests.model.tenant_steps import GIVE_WAY
from tests.model.world import World

SAME = (
    "DEVICE_PROFILE",
    "ASSET_PROFILE",
    "CALCULATED_FIELD",
    "AI_MODEL",
    "TB_RESOURCE",
    "OTA_PACKAGE",
    "WIDGET_TYPE",
    "CUSTOMER",
    "USER",
)
_CHAINS = ("defaultRuleChainId", "defaultEdgeRuleChainId")


def check_tenant(world: World) -> None:
    """Look at everything."""
    edge, cloud = world.edge.state, world.cloud.state
    for kind in SAME:
        here, there = set(edge.ids(kind)), set(_expected(world, kind))
        assert here == there, (kind, "only here", here - there, "only there", there - here)
        for id in here:
            _same(world, EntityId(kind, id))
        _named_once(edge, kind)
        _named_once(cloud, kind)
    for thing in world.things:
        if thing.type in GIVE_WAY and len([t for t in world.things if t.type == thing.type]) > 1:
            continue
        if thing in world.kept and thing not in world.removed:
            assert edge.entity(thing.type, thing.id) is not None, f"{thing} was lost"
    for state in (edge, cloud):
        for kind in ("DEVICE_PROFILE", "ASSET_PROFILE"):
            assert sum(bool(body.get("default")) for body in state.entities(kind)) == 1, kind
        _nothing_refers_to_nothing(state, cloud)


def _expected(world: World, kind: str) -> list[UUID]:
    """What of a kind the edge must have."""
    cloud = world.cloud.state
    own = id_of((cloud.entity("EDGE", world.edge_id) or {}).get("customerId"))
    if kind == "CUSTOMER":
        return [own] if own is not None else []
    out = []
    for body in cloud.entities(kind):
        id = id_of(body["id"])
        assert id is not None
        if kind == "USER" and id_of(body.get("customerId")) not in (None, own):
            continue
        if kind == "CALCULATED_FIELD" and not _has(world, body["entityId"]):
            continue
        out.append(id)
    return out


def _has(world: World, owner: dict[str, str]) -> bool:
    return world.edge.state.entity(owner["entityType"], UUID(owner["id"])) is not None


def _same(world: World, entity: EntityId) -> None:
    edge, cloud = world.edge.state, world.cloud.state
    mine = _plain(entity.type, edge.entity(entity.type, entity.id), "defaultRuleChainId")
    theirs = _plain(entity.type, cloud.entity(entity.type, entity.id), "defaultEdgeRuleChainId")
    assert mine == theirs
    if entity.type == "USER":
        kind = "USER_CREDENTIALS"
        assert edge.entity(kind, entity.id) == cloud.entity(kind, entity.id)
    if entity in world.things:
        said = world.bodies[entity] | world.unsure
        if entity not in world.removed:
            said -= world.superseded
        assert mine["label"] in said, (mine["label"], said)


def _plain(kind: str, body: dict[str, Any] | None, chain: str) -> dict[str, Any]:
    """A body without what each side keeps for itself, the chain of the edge under one name."""
    plain = {key: value for key, value in (body or {}).items() if key != "version"}
    if kind.endswith("_PROFILE"):
        plain = {key: value for key, value in plain.items() if key not in _CHAINS}
        plain |= {"chain": (body or {}).get(chain)}
        plain["default"] = bool(plain.get("default"))
    return plain


def _named_once(state: State, kind: str) -> None:
    row = BY_NAME[kind]
    if kind in OWNERS or kind == "OTA_PACKAGE":
        return
    names = [body.get(row.unique or row.title) for body in state.entities(kind)]
    assert len(names) == len(set(names)), (kind, names)


def _nothing_refers_to_nothing(state: State, cloud: State) -> None:
    """Profiles are there; customers are, on the cloud: an edge has its own only."""
    for kind in ("DEVICE", "ASSET"):
        for body in state.entities(kind):
            profile = id_of(body.get(f"{kind.lower()}ProfileId"))
            assert profile is not None
            assert state.entity(f"{kind}_PROFILE", profile) is not None, (
                body["name"],
                "no profile",
            )
    for kind in ("DEVICE", "ASSET", "ENTITY_VIEW", "USER", "EDGE"):
        for body in cloud.entities(kind):
            customer = id_of(body.get("customerId"))
            assert customer is None or cloud.entity("CUSTOMER", customer), "no customer"
