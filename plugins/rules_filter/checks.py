"""check fields presence, alarm status filter, check relation presence."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal
from uuid import UUID

from appliance.model.errors import ConfigError
from appliance.model.ids import EntityId
from appliance.model.message import Message
from appliance.rules.alarms import status_of
from appliance.rules.context import Context
from appliance.rules.entities import direction_of_v0
from appliance.rules.node import (
    FALSE,
    PACKAGE,
    TRUE,
    NodeConfig,
    NodeError,
    NodeFactory,
    NodeHandle,
    require,
)

Quantifier = Callable[[Iterable[bool]], bool]


class CheckFieldsConfig(NodeConfig, frozen=True, kw_only=True):
    """Top-level keys; check_all_keys: all of both lists, else any of either."""

    message_names: list[str] | None = None
    metadata_names: list[str] | None = None
    check_all_keys: bool = False


class CheckFields:
    """check fields presence. A key whose value is null is present."""

    def __init__(self, config: CheckFieldsConfig, node: NodeHandle) -> None:
        self._config = config
        self._quantifier: Quantifier = all if config.check_all_keys else any

    def process(self, message: Message, ctx: Context) -> None:
        """True or False; data that is no object fails, if the data is asked at all."""
        config, quantifier = self._config, self._quantifier
        asked = ((config.message_names, message.data), (config.metadata_names, message.metadata))
        fits = quantifier(_has(quantifier, names, place) for names, place in asked)
        ctx.tell(TRUE if fits else FALSE, message)


def _has(quantifier: Quantifier, names: list[str] | None, place: Any) -> bool:
    if names is None:
        raise NodeError("the names of the fields are missing")
    if names and not isinstance(place, dict):
        raise NodeError("Message body is not an object!")
    return quantifier(name in place for name in names)


AlarmStatusName = Literal["ACTIVE_ACK", "ACTIVE_UNACK", "CLEARED_ACK", "CLEARED_UNACK"]


class AlarmStatusConfig(NodeConfig, frozen=True, kw_only=True):
    """alarm_status_list: the statuses that are True."""

    alarm_status_list: list[AlarmStatusName] = []


class AlarmStatus:
    """alarm status filter: looks at the stored alarm, not at the message's copy."""

    def __init__(self, config: AlarmStatusConfig, node: NodeHandle) -> None:
        require(config.alarm_status_list, "At least one alarm status should be specified!")
        self._wanted = frozenset(config.alarm_status_list)

    def process(self, message: Message, ctx: Context) -> None:
        """True when the alarm's status is listed."""
        alarm = ctx.state.entity("ALARM", _alarm_id(message.data))
        if alarm is None:
            raise NodeError("No such alarm found.")
        ctx.tell(TRUE if status_of(alarm) in self._wanted else FALSE, message)


def _alarm_id(data: Any) -> UUID:
    try:
        return UUID(str(data["id"]["id"]))
    except (KeyError, TypeError, ValueError):
        raise NodeError("the message holds no alarm") from None


class CheckRelationConfig(NodeConfig, frozen=True, kw_only=True):
    """direction FROM: the originator is the relation's `from` end, else its `to` end."""

    direction: str | None = None
    entity_type: str | None = None
    entity_id: str | None = None
    relation_type: str | None = None
    check_for_single_entity: bool = False


class CheckRelation:
    """check relation presence."""

    def __init__(self, config: CheckRelationConfig, node: NodeHandle) -> None:
        self._outward = config.direction == "FROM"
        self._type = config.relation_type
        self._only: EntityId | None = None
        if config.check_for_single_entity:
            require(config.entity_type and config.entity_id, "Entity should be specified!")
            self._only = EntityId(config.entity_type or "", _entity_id(config.entity_id or ""))

    def process(self, message: Message, ctx: Context) -> None:
        """True when there is such a relation."""
        if not self._type:
            raise NodeError("Incorrect relation type")
        state, originator = ctx.state, message.originator
        relations = (
            state.relations_from(originator) if self._outward else state.relations_to(originator)
        )
        found = any(
            relation.type == self._type
            and relation.group == "COMMON"
            and self._only in (None, relation.target if self._outward else relation.source)
            for relation in relations
        )
        ctx.tell(TRUE if found else FALSE, message)


def _entity_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ConfigError(f"Invalid UUID string: {text}") from None


CHECK_NODES = (
    NodeFactory(
        PACKAGE + "filter.TbCheckMessageNode",
        "check fields presence",
        CheckFieldsConfig,
        CheckFields,
    ),
    NodeFactory(
        PACKAGE + "filter.TbCheckAlarmStatusNode",
        "alarm status filter",
        AlarmStatusConfig,
        AlarmStatus,
    ),
    NodeFactory(
        PACKAGE + "filter.TbCheckRelationNode",
        "check relation presence",
        CheckRelationConfig,
        CheckRelation,
        version=1,
        upgrade=direction_of_v0,
    ),
)
