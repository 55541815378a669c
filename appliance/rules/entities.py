"""What nodes ask about entities: fields by name, owners, relations by query."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec

from appliance.model.ids import NULL_UUID, EntityId
from appliance.rules.node import NodeConfig, NodeError
from appliance.rules.values import java_text
from appliance.state.view import Relation, StateView

_CONTACT = ("email", "country", "state", "city", "address", "address2", "zip", "phone")
_FIELDS = {
    "DEVICE": ("name", "type", "label", "additionalInfo", "deviceProfileId", "customerId"),
    "ASSET": ("name", "type", "label", "additionalInfo", "assetProfileId", "customerId"),
    "ENTITY_VIEW": ("name", "type", "additionalInfo", "customerId"),
    "EDGE": ("name", "type", "label", "additionalInfo", "customerId"),
    "TENANT": ("title", "additionalInfo", *_CONTACT),
    "CUSTOMER": ("title", "additionalInfo", *_CONTACT),
    "USER": ("firstName", "lastName", "email", "phone", "additionalInfo", "customerId"),
    "ALARM": ("name", "type", "severity"),
    "RULE_CHAIN": ("name", "additionalInfo"),
}
_NAME_FIELD = {"TENANT": "title", "CUSTOMER": "title", "DASHBOARD": "title", "USER": "email"}


def fields_of(state: StateView, entity: EntityId) -> dict[str, str | None]:
    """Every field of the entity, as text; None where one that its type has is not set.

    `additionalInfo.<key>` is there for every key of the additional info, at any depth. Raises
    NodeError for an entity that is not on this edge or has no fields.
    """
    body = state.entity(entity.type, entity.id)
    names = _FIELDS.get(entity.type)
    if body is None or names is None:
        raise NodeError(f"{entity.type} {entity.id} is not on this edge")
    fields: dict[str, str | None] = {"id": str(entity.id)}
    fields["createdTime"] = str(body.get("createdTime") or 0)
    for name in dict.fromkeys((*names, *body)):
        if name not in fields:
            fields.update(_texts(name, body.get(name)))
    if "customerId" in names:
        fields["customerId"] = fields["customerId"] or str(NULL_UUID)
    fields["name"] = body.get(_NAME_FIELD.get(entity.type, "name"))
    return fields


def _texts(name: str, value: Any) -> Iterator[tuple[str, str | None]]:
    """A value as text, and each of its members by its path; an id is its UUID."""
    if isinstance(value, dict) and value.keys() == {"entityType", "id"}:
        yield name, value["id"]
        return
    yield name, None if value is None else java_text(value)
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(f"{name}.{key}", item)


def name_of(state: StateView, entity: EntityId) -> str | None:
    """The name (title, email) that people know, or None."""
    body = state.entity(entity.type, entity.id)
    return None if body is None else body.get(_NAME_FIELD.get(entity.type, "name"))


def customer_of(state: StateView, entity: EntityId) -> EntityId | None:
    """The customer that an entity belongs to; a customer belongs to itself."""
    if entity.type == "CUSTOMER":
        return entity
    body = state.entity(entity.type, entity.id) or {}
    reference = body.get("customerId")
    if not reference or reference["id"] == str(NULL_UUID):
        return None
    return EntityId("CUSTOMER", UUID(reference["id"]))


def owner_of(state: StateView, entity: EntityId) -> EntityId | None:
    """customer_of, for nodes that know only some types to belong to one. Raises NodeError."""
    if entity.type not in ("CUSTOMER", "USER", "ASSET", "DEVICE"):
        raise NodeError(f"Unexpected originator EntityType: {entity.type}")
    return customer_of(state, entity)


def entity_named(state: StateView, type: str, name: str) -> EntityId | None:
    """The entity of that type and name."""
    body = state.by_name(type, name)
    return None if body is None else EntityId(type, UUID(body["id"]["id"]))


def direction_of_v0(config: dict[str, Any], version: int) -> dict[str, Any]:
    """An upgrade from version 0, where a direction named the other entity's end of a relation."""
    turned = {"FROM": "TO", "TO": "FROM"}
    return {**config, "direction": turned.get(config.get("direction", ""), "FROM")}


EntityType = Annotated[str, msgspec.Meta(pattern="^[A-Z0-9_]+$")]
"""A name of any edition and version; one in other letters is none."""


class RelationFilter(NodeConfig, frozen=True, kw_only=True):
    """One alternative: a relation type and the entity types at its far end; empty = any."""

    relation_type: str | None = None
    entity_types: list[EntityType] = []
    negate: bool = False

    def accepts(self, relation: Relation, far: EntityId) -> bool:
        """Whether this filter lets the relation pass; to negate says nothing of any type."""
        if self.relation_type and (relation.type == self.relation_type) is self.negate:
            return False
        return not self.entity_types or far.type in self.entity_types


class RelationsQuery(NodeConfig, frozen=True, kw_only=True):
    """Walk relations from an entity; without a direction each message fails. max_level 0 =
    without end."""

    direction: Literal["FROM", "TO"] | None = None
    max_level: int = 1
    filters: list[RelationFilter] = []
    fetch_last_level_only: bool = False


def related(state: StateView, origin: EntityId, query: RelationsQuery) -> Iterator[EntityId]:
    """The entities that a query finds, nearest first, each once.

    Every relation is walked; the filters choose among what was met, so that a device is found
    behind an asset that no filter names (the last level, too, is chosen before they are asked).
    Raises NodeError for a query without a direction.
    """
    if query.direction is None:
        raise NodeError("the relations query has no direction")
    accepted = (
        far
        for relation, far in _walked(state, origin, query)
        if not query.filters or any(rule.accepts(relation, far) for rule in query.filters)
    )
    yield from dict.fromkeys(accepted)


def _walked(
    state: StateView, origin: EntityId, query: RelationsQuery
) -> Iterator[tuple[Relation, EntityId]]:
    """Relations met level by level; with fetch_last_level_only those of the deepest level, and
    those that lead to an entity from which nothing leads on."""
    seen, level, depth = {origin}, [origin], 0
    while level and (query.max_level <= 0 or depth < query.max_level):
        depth += 1
        met = [one for near in level for one in _steps(state, near, query) if one[1] != origin]
        if not query.fetch_last_level_only or depth == query.max_level:
            yield from met
        else:
            yield from (one for one in met if not any(_steps(state, one[1], query)))
        level = [far for far in dict.fromkeys(far for _, far in met) if far not in seen]
        seen.update(level)


def _steps(
    state: StateView, near: EntityId, query: RelationsQuery
) -> Iterator[tuple[Relation, EntityId]]:
    outward = query.direction == "FROM"
    for relation in state.relations_from(near) if outward else state.relations_to(near):
        if relation.group == "COMMON":
            yield relation, relation.target if outward else relation.source
