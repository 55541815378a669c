"""Groups of a PE server: what an edge makes belongs in `[Edge] <name of edge> All`.

A group is an entity of kind ENTITY_GROUP; being in it is a relation `Contains` of group
FROM_ENTITY_GROUP, being assigned to an edge the same relation as for everything else. An edge
never hears of groups here: they only say on the cloud what came from where.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from appliance.model.ids import EntityId, created_time_ms, new_uuid
from appliance.model.unit import EntityWrite, Unit
from appliance.state.kinds import id_of, relation_key
from appliance.state.store import State

GROUPED = frozenset({"DEVICE", "ASSET", "ENTITY_VIEW", "DASHBOARD"})
KIND = "ENTITY_GROUP"


def group_name(edge_name: str) -> str:
    """The group of everything that an edge has."""
    return f"[Edge] {edge_name} All"


def into_group(state: State, edge: UUID, entity: EntityId, unit: Unit) -> None:
    """Put an entity into its edge's group of that type, which is made and assigned if missing."""
    if entity.type not in GROUPED:
        return
    body = state.entity("EDGE", edge) or {}
    group = _group(state, edge, entity.type, group_name(body.get("name") or ""), unit)
    relate(unit, EntityId(KIND, group), entity, "FROM_ENTITY_GROUP")


def out_of_groups(state: State, entity: EntityId, unit: Unit) -> None:
    """Take an entity out of every group."""
    for relation in state.relations_to(entity):
        if relation.group == "FROM_ENTITY_GROUP":
            unit.entities.append(EntityWrite("RELATION", relation.id, None))


def _group(state: State, edge: UUID, type: str, name: str, unit: Unit) -> UUID:
    made = (msgspec.json.decode(w.body) for w in unit.entities if w.kind == KIND and w.body)
    for body in (*state.entities(KIND), *made):
        found = id_of(body["id"])
        if found is not None and (body["name"], body["type"]) == (name, type):
            return found
    group = new_uuid()
    body = {
        "id": EntityId(KIND, group).to_json(),
        "createdTime": created_time_ms(group),
        "ownerId": EntityId("TENANT", state.tenant_id).to_json(),
        "type": type,
        "name": name,
        "edgeGroupAll": True,
        "additionalInfo": None,
    }
    unit.entities.append(EntityWrite(KIND, group, msgspec.json.encode(body)))
    relate(unit, EntityId("EDGE", edge), EntityId(KIND, group), "EDGE")
    return group


def relate(unit: Unit, source: EntityId, target: EntityId, group: str) -> None:
    """A relation `Contains` of that group."""
    body: dict[str, Any] = {
        "from": source.to_json(),
        "to": target.to_json(),
        "type": "Contains",
        "typeGroup": group,
        "additionalInfo": None,
        "version": None,
    }
    unit.entities.append(EntityWrite("RELATION", relation_key(body), msgspec.json.encode(body)))
