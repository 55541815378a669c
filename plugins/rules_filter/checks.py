"""check fields presence, alarm status filter, check relation presence."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from appliance.model.ids import NULL_UUID, EntityId
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


class CheckFieldsConfig(NodeConfig, frozen=True, kw_only=True):
    """Top-level keys; check_all_keys: all of both lists, else any of either."""

    message_names: list[str] = []
    metadata_names: list[str] = []
    check_all_keys: bool = False


class CheckFields:
    """check fields presence. A key whose value is null is present."""

    def __init__(self, config: CheckFieldsConfig, node: NodeHandle) -> None:
        self._config = config

    def process(self, message: Message, ctx: Context) -> None:
        """True or False; data that is no object fails."""
        data = message.data
        if not isinstance(data, dict):
            raise NodeError("Message body is not an object!")
        present = [name in data for name in self._config.message_names]
        present += [name in message.metadata for name in self._config.metadata_names]
        fits = all(present) if self._config.check_all_keys else any(present)
        ctx.tell(TRUE if fits else FALSE, message)


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
    """direction FROM: the originator is the relation's `from` end."""

    direction: Literal["FROM", "TO"] = "FROM"
    entity_type: str | None = None
    entity_id: UUID | None = None
    relation_type: str = ""
    check_for_single_entity: bool = False


class CheckRelation:
    """check relation presence."""

    def __init__(self, config: CheckRelationConfig, node: NodeHandle) -> None:
        self._outward = config.direction == "FROM"
        self._type = config.relation_type
        self._only: EntityId | None = None
        if config.check_for_single_entity:
            require(config.entity_type and config.entity_id, "Entity should be specified!")
            self._only = EntityId(config.entity_type or "", config.entity_id or NULL_UUID)

    def process(self, message: Message, ctx: Context) -> None:
        """True when there is such a relation."""
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
