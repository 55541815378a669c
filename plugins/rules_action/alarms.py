"""create alarm, clear alarm."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Literal

import msgspec

from appliance.model.ids import EntityId
from appliance.model.message import Message
from appliance.rules.alarms import (
    SEVERITIES,
    Alarm,
    Propagation,
    changed,
    cleared,
    new_alarm,
    store,
)
from appliance.rules.context import Context
from appliance.rules.messages import derived, transformed
from appliance.rules.node import (
    FALSE,
    PACKAGE,
    NodeConfig,
    NodeError,
    NodeFactory,
    NodeHandle,
    require,
)
from appliance.rules.patterns import Pattern
from appliance.rules.scripts import MESSAGE_ARGUMENTS, Script
from appliance.rules.values import json_text, whole_number
from appliance.state.kinds import entity_id_of


class DetailsConfig(NodeConfig, frozen=True, kw_only=True):
    """alarm_type: a pattern. The script makes the details; metadata.prevAlarmDetails has the old
    ones as text."""

    alarm_type: str | None = None
    script_lang: Literal["JS", "TBEL"] = "JS"
    alarm_details_build_js: str = ""
    alarm_details_build_tbel: str = ""

    def compile(self) -> Script:
        """The script that the language names. Raises ConfigError."""
        is_tbel = self.script_lang == "TBEL"
        text = self.alarm_details_build_tbel if is_tbel else self.alarm_details_build_js
        return Script(self.script_lang, text, MESSAGE_ARGUMENTS)


class CreateConfig(DetailsConfig, frozen=True, kw_only=True):
    """severity: a pattern where dynamic_severity. use_message_alarm_data: the message's data are
    the alarm; overwrite_alarm_details: but details from the script."""

    severity: str | None = None
    dynamic_severity: bool = False
    propagate: bool = False
    propagate_to_owner: bool = False
    propagate_to_tenant: bool = False
    relation_types: list[str] = []
    use_message_alarm_data: bool = False
    overwrite_alarm_details: bool = False


class Wanted(msgspec.Struct, frozen=True):
    """What the alarm shall be; the times are a new one's."""

    originator: EntityId
    type: str
    severity: str
    start_ms: int
    end_ms: int
    propagation: Propagation
    details: Any = None


class CreateAlarm:
    """create alarm: a new one, or a change of the active one of that type."""

    def __init__(self, config: CreateConfig, node: NodeHandle) -> None:
        if not config.dynamic_severity:
            require(
                config.severity in SEVERITIES, f"Incorrect Alarm Severity value: {config.severity}"
            )
        self._config = config
        self._node = node
        script = config.compile()
        scripted = not config.use_message_alarm_data or config.overwrite_alarm_details
        self._script: Script | None = script if scripted else None
        self._type = Pattern(config.alarm_type)
        self._severity = Pattern(config.severity)
        self._propagation = Propagation(
            config.propagate,
            config.propagate_to_owner,
            config.propagate_to_tenant,
            tuple(config.relation_types),
        )

    def process(self, message: Message, ctx: Context) -> Awaitable[None] | None:
        """Created or Updated, with the alarm as data."""
        wanted = self._wanted(message, ctx.now())
        old = ctx.state.active_alarm(message.originator, wanted.type)

        def save(details: Any) -> None:
            self._save(message, old, wanted, details, ctx)

        if self._script is None:
            save(wanted.details)
            return None
        arguments = (message.data, with_old_details(message, old), message.type)
        return self._script.then(arguments, save)

    def _wanted(self, message: Message, now: int) -> Wanted:
        if self._config.use_message_alarm_data:
            return _told(message, now)
        severity = self._severity.fill(message)
        if severity not in SEVERITIES:
            raise NodeError("Used incorrect pattern or Alarm Severity not included in message")
        kind, ts = self._type.fill(message), message.effective_ts
        return Wanted(message.originator, kind, severity, ts, ts, self._propagation)

    def _save(
        self, message: Message, old: Alarm | None, wanted: Wanted, details: Any, ctx: Context
    ) -> None:
        if old is None:
            alarm = new_alarm(
                ctx.state,
                wanted.originator,
                wanted.type,
                wanted.severity,
                wanted.start_ms,
                wanted.end_ms,
                details,
                wanted.propagation,
            )
        else:
            alarm = changed(
                old,
                severity=wanted.severity,
                endTs=ctx.now(),
                details=details,
                **wanted.propagation.fields(),
            )
        store(ctx.unit, alarm)
        cause = {"ruleNodeId": str(self._node.id)}
        event = "ENTITY_CREATED" if old is None else "ENTITY_UPDATED"
        ctx.follow_up(derived(message, event, alarm, cause))
        flag = "isNewAlarm" if old is None else "isExistingAlarm"
        metadata = {**message.metadata, flag: "true"}
        label = "Created" if old is None else "Updated"
        ctx.tell(label, transformed(message, "ALARM", alarm, metadata))


def _told(message: Message, now: int) -> Wanted:
    """The alarm that is the message's data; times that it leaves out are now. Raises NodeError."""
    data = message.data
    if not isinstance(data, dict) or data.get("severity") not in SEVERITIES:
        raise NodeError("Validation error: severity must not be null")
    if not isinstance(data.get("type"), str):
        raise NodeError("Validation error: type must not be null")
    start, end = (whole_number(data.get(name) or 0) for name in ("startTs", "endTs"))
    return Wanted(
        entity_id_of(data.get("originator")) or message.originator,
        data["type"],
        data["severity"],
        start or end or now,
        end or start or now,
        Propagation(
            data.get("propagate") is True,
            data.get("propagateToOwner") is True,
            data.get("propagateToTenant") is True,
            tuple(data.get("propagateRelationTypes") or ()),
        ),
        data.get("details"),
    )


class ClearAlarm:
    """clear alarm: the active one of that type, or the one that is the originator."""

    def __init__(self, config: DetailsConfig, node: NodeHandle) -> None:
        self._node = node
        self._type = Pattern(config.alarm_type)
        self._script = config.compile()

    def process(self, message: Message, ctx: Context) -> Awaitable[None] | None:
        """Cleared with the alarm as data, or False when nothing is active."""
        if message.originator.type == "ALARM":
            old = ctx.state.entity("ALARM", message.originator.id)
        else:
            old = ctx.state.active_alarm(message.originator, self._type.fill(message))
        if old is None or old.get("cleared"):
            ctx.tell(FALSE, message)
            return None

        def save(details: Any) -> None:
            alarm = cleared(old, ctx.now(), details)
            store(ctx.unit, alarm)
            cause = {"ruleNodeId": str(self._node.id)}
            ctx.follow_up(derived(message, "ALARM_CLEAR", alarm, cause))
            metadata = {**message.metadata, "isClearedAlarm": "true"}
            ctx.tell("Cleared", transformed(message, "ALARM", alarm, metadata))

        return self._script.then((message.data, with_old_details(message, old), message.type), save)


def with_old_details(message: Message, alarm: Alarm | None) -> dict[str, str]:
    """The metadata that a details script sees."""
    if alarm is None or alarm.get("details") is None:
        return message.metadata
    return {**message.metadata, "prevAlarmDetails": json_text(alarm["details"])}


ALARM_NODES = (
    NodeFactory(PACKAGE + "action.TbCreateAlarmNode", "create alarm", CreateConfig, CreateAlarm),
    NodeFactory(PACKAGE + "action.TbClearAlarmNode", "clear alarm", DetailsConfig, ClearAlarm),
)
