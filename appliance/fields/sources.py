"""Which entities a field's references mean at one entity (spec/rule-engine.md §7)."""

from __future__ import annotations

from appliance.fields.config import Level, Reference
from appliance.fields.limits import limits_of
from appliance.model.ids import EntityId
from appliance.rules.entities import customer_of
from appliance.state.view import StateView

REFERRED = frozenset({"DEVICE", "ASSET", "CUSTOMER", "TENANT"})
"""Kinds of entities that a field can refer to."""


def entities_of(reference: Reference, entity: EntityId, view: StateView) -> list[EntityId]:
    """The entities that a reference means for `entity`, its own where it names none."""
    fixed = reference.fixed
    if fixed is not None:
        return [fixed]
    dynamic = reference.ref_dynamic_source_configuration
    if dynamic is None:
        return [entity]
    if dynamic.type == "CURRENT_OWNER":
        return [owner_of(entity, view)]
    return along(dynamic.levels, entity, view)


def owner_of(entity: EntityId, view: StateView) -> EntityId:
    """The customer of an entity, or the tenant."""
    tenant = EntityId("TENANT", view.tenant_id)
    if entity.type == "CUSTOMER":
        return tenant
    return customer_of(view, entity) or tenant


def along(levels: list[Level], entity: EntityId, view: StateView) -> list[EntityId]:
    """The entities at the end of a path of relations, each once."""
    found = [entity]
    for level in levels:
        found = list(dict.fromkeys(far for near in found for far in related(level, near, view)))
    return found[: limits_of(view).related_max]


def related(level: Level, entity: EntityId, view: StateView) -> list[EntityId]:
    """The entities one step away that can have values of their own."""
    outward = level.direction == "FROM"
    relations = view.relations_from(entity) if outward else view.relations_to(entity)
    found = [
        relation.target if outward else relation.source
        for relation in relations
        if relation.type == level.relation_type and relation.group == "COMMON"
    ]
    return [far for far in found if far.type in REFERRED]
