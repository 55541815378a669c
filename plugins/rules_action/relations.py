"""create relation, delete relation."""

from __future__ import annotations

from typing import Any, Literal

from appliance.model.ids import EntityId
from appliance.model.message import Message
from appliance.model.unit import EntityWrite
from appliance.rules.context import Context
from appliance.rules.entities import EntityType, direction_of_v0, entity_named
from appliance.rules.messages import with_originator
from appliance.rules.node import PACKAGE, NodeConfig, NodeError, NodeFactory, NodeHandle, require
from appliance.rules.patterns import Pattern
from appliance.rules.values import encode_json
from appliance.state.kinds import relation_key
from appliance.state.view import Relation

TYPES = ("TENANT", "CUSTOMER", "USER", "DASHBOARD", "ASSET", "DEVICE", "ENTITY_VIEW", "EDGE")


class RelationConfig(NodeConfig, frozen=True, kw_only=True):
    """direction FROM: the originator is the `from` end, else the `to` end. Type and name are
    patterns."""

    direction: Literal["FROM", "TO"] | None = None
    relation_type: str | None = None
    entity_type: EntityType | None = None
    entity_name_pattern: str | None = None
    entity_type_pattern: str | None = None


class CreateConfig(RelationConfig, frozen=True, kw_only=True):
    """remove_current_relations: of that type and direction, first."""

    create_entity_if_not_exists: bool = False
    remove_current_relations: bool = False
    change_originator_to_related_entity: bool = False


class DeleteConfig(RelationConfig, frozen=True, kw_only=True):
    """delete_for_single_entity: only the relation with the named entity."""

    delete_for_single_entity: bool = False


class _RelationNode:
    def __init__(self, config: RelationConfig) -> None:
        self._outward = config.direction == "FROM"
        self._type = Pattern(config.relation_type)
        self._far_type = config.entity_type or ""
        self._name = Pattern(config.entity_name_pattern)

    def _far(self, message: Message, ctx: Context) -> EntityId:
        if self._far_type == "TENANT":
            return EntityId("TENANT", ctx.state.tenant_id)
        name = self._name.fill(message)
        far = entity_named(ctx.state, self._far_type, name)
        if far is None:
            raise NodeError(f"{self._far_type.capitalize()} with name '{name}' doesn't exist!")
        return far

    def _existing(self, message: Message, ctx: Context, type: str) -> list[Relation]:
        near, state = message.originator, ctx.state
        found = state.relations_from(near) if self._outward else state.relations_to(near)
        return [one for one in found if one.type == type and one.group == "COMMON"]

    def _far_end(self, relation: Relation) -> EntityId:
        return relation.target if self._outward else relation.source

    def _remove(self, relation: Relation, ctx: Context) -> None:
        body = _body(relation.source, relation.target, relation.type)
        ctx.unit.entities.append(EntityWrite("RELATION", relation_key(body), None))
        ctx.announce(
            EntityId("RELATION", relation_key(body)), "RELATION_DELETED", encode_json(body)
        )


class CreateRelation(_RelationNode):
    """create relation."""

    def __init__(self, config: CreateConfig, node: NodeHandle) -> None:
        super().__init__(config)
        require(config.entity_type in TYPES, f"Unsupported entity type '{config.entity_type}'!")
        self._replace = config.remove_current_relations
        self._changes_originator = config.change_originator_to_related_entity

    def process(self, message: Message, ctx: Context) -> None:
        """Success; an entity that is not there fails."""
        type, far = self._type.fill(message), self._far(message, ctx)
        existing = self._existing(message, ctx, type)
        if self._replace:
            for relation in existing:
                if self._far_end(relation) != far:
                    self._remove(relation, ctx)
        if all(self._far_end(relation) != far for relation in existing):
            near = message.originator
            source, target = (near, far) if self._outward else (far, near)
            body = _body(source, target, type)
            key = relation_key(body)
            ctx.unit.entities.append(EntityWrite("RELATION", key, encode_json(body)))
            ctx.announce(EntityId("RELATION", key), "RELATION_ADD_OR_UPDATE", encode_json(body))
        ctx.success(with_originator(message, far) if self._changes_originator else message)


class DeleteRelation(_RelationNode):
    """delete relation."""

    def __init__(self, config: DeleteConfig, node: NodeHandle) -> None:
        super().__init__(config)
        self._single = config.delete_for_single_entity
        if self._single:
            require(config.entity_type in TYPES, f"Unsupported entity type '{config.entity_type}'!")

    def process(self, message: Message, ctx: Context) -> None:
        """Success, also when there was none."""
        far = self._far(message, ctx) if self._single else None
        for relation in self._existing(message, ctx, self._type.fill(message)):
            if far is None or self._far_end(relation) == far:
                self._remove(relation, ctx)
        ctx.success(message)


def _upgrade(config: dict[str, Any], version: int) -> dict[str, Any]:
    """The reference tells version 0 by the cache setting that it had."""
    return direction_of_v0(config, version) if "entityCacheExpiration" in config else config


def _body(source: EntityId, target: EntityId, type: str) -> dict[str, Any]:
    ends = {"from": source.to_json(), "to": target.to_json()}
    return {**ends, "type": type, "typeGroup": "COMMON", "additionalInfo": None}


RELATION_NODES = (
    NodeFactory(
        PACKAGE + "action.TbCreateRelationNode",
        "create relation",
        CreateConfig,
        CreateRelation,
        version=1,
        upgrade=_upgrade,
        note="never makes the other entity",
    ),
    NodeFactory(
        PACKAGE + "action.TbDeleteRelationNode",
        "delete relation",
        DeleteConfig,
        DeleteRelation,
        version=1,
        upgrade=_upgrade,
    ),
)
