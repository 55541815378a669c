"""change originator: the same message in another entity's name."""

from __future__ import annotations

from typing import Any, Literal

from appliance.model.ids import EntityId
from appliance.model.message import Message
from appliance.rules.context import Context
from appliance.rules.entities import RelationsQuery, entity_named, owner_of, related
from appliance.rules.messages import with_originator
from appliance.rules.node import PACKAGE, NodeConfig, NodeError, NodeFactory, NodeHandle, require
from appliance.rules.patterns import Pattern
from appliance.state.kinds import entity_id_of

NAMED_TYPES = ("DEVICE", "ASSET", "ENTITY_VIEW", "EDGE", "USER")


class OriginatorConfig(NodeConfig, frozen=True, kw_only=True):
    """entity_name_pattern: for the source ENTITY."""

    originator_source: (
        Literal["CUSTOMER", "TENANT", "RELATED", "ALARM_ORIGINATOR", "ENTITY"] | None
    ) = None
    relations_query: RelationsQuery | None = None
    entity_type: str | None = None
    entity_name_pattern: str = ""


class ChangeOriginator:
    """change originator."""

    def __init__(self, config: OriginatorConfig, node: NodeHandle) -> None:
        self._source = config.originator_source
        require(self._source, "Originator source should be specified.")
        self._query = config.relations_query or RelationsQuery()
        if self._source == "RELATED":
            require(config.relations_query, "Relations query should be specified!")
        if self._source == "ENTITY":
            require(config.entity_type, "Entity type should be specified!")
            require(config.entity_name_pattern, "Name pattern should be specified!")
            require(
                config.entity_type in NAMED_TYPES, f"Unexpected entity type {config.entity_type}"
            )
        self._type = config.entity_type or ""
        self._name = Pattern(config.entity_name_pattern)

    def process(self, message: Message, ctx: Context) -> None:
        """Success from the new originator."""
        found = self._find(message, ctx)
        if found is None:
            raise NodeError("Failed to find new originator!")
        ctx.success(with_originator(message, found))

    def _find(self, message: Message, ctx: Context) -> EntityId | None:
        state, originator = ctx.state, message.originator
        match self._source:
            case "CUSTOMER":
                return owner_of(state, originator)
            case "TENANT":
                return EntityId("TENANT", state.tenant_id)
            case "RELATED":
                return next(related(state, originator, self._query), None)
            case "ALARM_ORIGINATOR":
                if originator.type != "ALARM":
                    raise NodeError(f"Unexpected originator EntityType {originator.type}")
                alarm: dict[str, Any] = state.entity("ALARM", originator.id) or {}
                return entity_id_of(alarm.get("originator"))
            case _:
                name = self._name.fill(message)
                entity = entity_named(state, self._type, name)
                if entity is None:
                    raise NodeError(f"Failed to find {self._type.lower()} with name '{name}'!")
                return entity


ORIGINATOR_NODES = (
    NodeFactory(
        PACKAGE + "transform.TbChangeOriginatorNode",
        "change originator",
        OriginatorConfig,
        ChangeOriginator,
    ),
)
