"""device profile (deprecated since 4.3): runs the alarm rules of device profiles (spec §6.1).

Every message of a device changes its snapshot, every rule that looks at a changed value is judged,
alarm messages leave before the message itself, and the message always goes on. The active alarm is
looked up in the state each time, so an alarm that somebody cleared is not taken for active.

Memory: about 1 kB a device with rules. Progress of rules outlives a restart only where
`persistAlarmRulesState` says so.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from functools import partial
from typing import Any

import msgspec

from appliance.model.errors import Retryable
from appliance.model.ids import EntityId
from appliance.model.message import Message
from appliance.model.telemetry import Scope
from appliance.rules.alarms import (
    SEVERITIES,
    Alarm,
    Propagation,
    changed,
    cleared,
    new_alarm,
    store,
)
from appliance.rules.attributes import deleted_keys
from appliance.rules.context import Context
from appliance.rules.entities import customer_of, fields_of, name_of
from appliance.rules.events import RuleNodeFaulted
from appliance.rules.messages import derived
from appliance.rules.node import PACKAGE, NodeConfig, NodeError, NodeFactory, NodeHandle
from appliance.rules.values import telemetry_of, typed_values
from appliance.state.view import StateView
from plugins.rules_action.profile_rules import (
    ProfileAlarm,
    Progress,
    Rule,
    Verdict,
    due_by_clock,
    judge,
)

TICK_MS = 60_000
TELEMETRY = frozenset(("POST_TELEMETRY_REQUEST", "TIMESERIES_UPDATED"))
ATTRIBUTES = frozenset(("POST_ATTRIBUTES_REQUEST", "ATTRIBUTES_UPDATED"))
STATE_EVENTS = frozenset(("ACTIVITY_EVENT", "INACTIVITY_EVENT"))
ENDED = frozenset(("ALARM_CLEAR", "ALARM_DELETE"))
ATTRIBUTE, SERIES, FIELD = "ATTRIBUTE", "TIME_SERIES", "ENTITY_FIELD"
CLEAR = "clear"
SOURCES = ("CURRENT_DEVICE", "CURRENT_CUSTOMER", "CURRENT_TENANT")
"""Where dynamic values come from; one that is inherited is looked for from there on."""

Key = tuple[str, str]
_progress_of = msgspec.json.Decoder(dict[str, Progress]).decode


class DeviceProfileConfig(NodeConfig, frozen=True, kw_only=True):
    """persist_alarm_rules_state: keep the rules' progress over a restart."""

    ignores_unknown = True

    persist_alarm_rules_state: bool = False
    fetch_alarm_rules_state_on_start: bool = False


class Device:
    """What the node knows of one device; its Snapshot."""

    def __init__(self, entity: EntityId, progress: dict[str, Progress]) -> None:
        self.entity = entity
        self.ts = 0
        self.values: dict[Key, Any] = {}
        self.progress = progress
        self.state: StateView | None = None

    def value(self, kind: str, key: str) -> Any:
        """See Snapshot."""
        if kind == FIELD and self.state is not None:
            return fields_of(self.state, self.entity).get(key)
        if kind == ATTRIBUTE and (kind, key) not in self.values:
            return self._attribute(self.entity, key, tuple(Scope))
        return self.values.get((kind, key))

    def dynamic(self, source: str, key: str, inherit: bool) -> Any:
        """See Snapshot."""
        if self.state is None:
            return None
        owners: list[EntityId | None] = [
            self.entity,
            customer_of(self.state, self.entity),
            EntityId("TENANT", self.state.tenant_id),
        ]
        if source not in SOURCES:
            return None
        first = SOURCES.index(source)
        for owner in owners[first:] if inherit else owners[first : first + 1]:
            if owner is None:
                continue
            if owner is self.entity:
                value = self.value(ATTRIBUTE, key)
            else:
                value = self._attribute(owner, key, (Scope.SERVER,))
            if value is not None:
                return value
        return None

    def of(self, alarm: ProfileAlarm, rule: str) -> Progress:
        """Progress of one rule."""
        return self.progress.setdefault(f"{alarm.alarm_type}/{rule}", Progress())

    def reset(self, alarm_type: str) -> None:
        """Start all rules of an alarm type over."""
        for name, progress in self.progress.items():
            if name.rpartition("/")[0] == alarm_type:
                progress.reset()

    def _attribute(self, owner: EntityId, key: str, scopes: tuple[Scope, ...]) -> Any:
        for scope in scopes:
            stored = self.state.attributes(owner, scope).get(key) if self.state else None
            if stored is not None:
                return stored.value
        return None


class DeviceProfile:
    """device profile."""

    def __init__(self, config: DeviceProfileConfig, node: NodeHandle) -> None:
        self._persists = config.persist_alarm_rules_state
        self._node = node
        self._devices: dict[EntityId, Device] = {}
        self._rules: dict[str, tuple[Any, list[ProfileAlarm]]] = {}

    def start(self) -> None:
        """Begin to look at durations by the wall clock."""
        self._node.later(TICK_MS, self._tick)

    def process(self, message: Message, ctx: Context) -> Awaitable[None] | None:
        """Success for the message, after whatever alarms it causes."""
        originator = message.originator
        alarms = self._alarms_of(ctx.state, originator) if originator.type == "DEVICE" else ()
        if not alarms:
            ctx.success(message)
            return None
        device = self._devices.get(originator)
        if device is None:
            return self._first(message, list(alarms), ctx)
        self._judge(message, device, list(alarms), ctx)
        return None

    async def _first(self, message: Message, alarms: list[ProfileAlarm], ctx: Context) -> None:
        """The first message of a device: its latest values are read from history."""
        progress: dict[str, Progress] = {}
        kept = self._node.restored.get(str(message.originator.id))
        if kept is not None:
            progress = _progress_of(kept)
        device = Device(message.originator, progress)
        keys = {key for alarm in alarms for rule in alarm.rules() for key in rule.keys}
        series = [name for kind, name in keys if kind == SERIES]
        if series:
            points = await ctx.latest(message.originator, series)
            device.values.update(((SERIES, key), point[1]) for key, point in points.items())
        self._devices[message.originator] = device
        self._judge(message, device, alarms, ctx)

    def _alarms_of(self, state: StateView, device: EntityId) -> list[ProfileAlarm]:
        profile = state.profile_of(device)
        if profile is None:
            return []
        raw = (profile.get("profileData") or {}).get("alarms") or []
        known = self._rules.get(profile["id"]["id"])
        if known is not None and (known[0] is raw or known[0] == raw):
            return known[1]
        alarms = [alarm for one in raw if (alarm := self._parsed(one)) is not None]
        self._rules[profile["id"]["id"]] = (raw, alarms)
        return alarms

    def _parsed(self, raw: Any) -> ProfileAlarm | None:
        """A rule that cannot be read is left out and told once: data must go on all the same."""
        try:
            return msgspec.convert(_without_nulls(raw), ProfileAlarm, strict=False)
        except msgspec.ValidationError as error:
            reason = f"alarm rule left out: {error}"
            self._node.emit(RuleNodeFaulted(chain="", node=self._node.name, reason=reason))
            return None

    def _judge(
        self, message: Message, device: Device, alarms: list[ProfileAlarm], ctx: Context
    ) -> None:
        device.state = ctx.state
        for ts, changes in _changes(message, ctx.now()):
            device.ts = ts
            for key, value in changes.items():
                device.values[key] = value
            for alarm in alarms:
                self._judge_alarm(message, device, alarm, changes, ctx)
        if message.type in ENDED and isinstance(message.data, dict):
            device.reset(message.data.get("type") or "")
        if self._persists and device.progress:
            body = msgspec.json.encode(device.progress)
            ctx.save_state(str(device.entity.id), body)
        device.state = None
        ctx.success(message)

    def _judge_alarm(
        self,
        message: Message,
        device: Device,
        alarm: ProfileAlarm,
        changes: Mapping[Key, Any],
        ctx: Context,
    ) -> None:
        for severity in SEVERITIES:
            rule = alarm.create_rules.get(severity)
            if rule is None or not rule.keys & changes.keys():
                continue
            progress = device.of(alarm, severity)
            verdict = judge(rule, device, progress)
            if verdict is Verdict.FALSE:
                progress.reset()
            elif verdict is Verdict.TRUE:
                _raise_alarm(message, device, alarm, severity, rule, ctx)
                device.of(alarm, CLEAR).reset()
                return
        self._judge_clear(message, device, alarm, changes, ctx)

    def _judge_clear(
        self,
        message: Message,
        device: Device,
        alarm: ProfileAlarm,
        changes: Mapping[Key, Any],
        ctx: Context,
    ) -> None:
        rule = alarm.clear_rule
        if rule is None or not rule.keys & changes.keys():
            return
        active = ctx.state.active_alarm(device.entity, alarm.alarm_type)
        if active is None:
            return
        progress = device.of(alarm, CLEAR)
        verdict = judge(rule, device, progress)
        if verdict is Verdict.FALSE:
            progress.reset()
        elif verdict is Verdict.TRUE:
            _clear_alarm(message, device, alarm, rule, active, ctx)

    # durations by the wall clock -----------------------------------------------------------------
    def _tick(self) -> None:
        self._node.later(TICK_MS, self._tick)
        for device in self._devices.values():
            if any(progress.since_ts for progress in device.progress.values()):
                try:
                    self._node.resume(partial(self._look, device))
                except Retryable:
                    return  # the next tick looks again

    def _look(self, device: Device, ctx: Context) -> None:
        """Raise and clear what has been true for long enough without another message."""
        device.state, now = ctx.state, ctx.now()
        try:
            for alarm in self._alarms_of(ctx.state, device.entity):
                self._look_at(alarm, device, now, ctx)
        finally:
            device.state = None

    def _look_at(self, alarm: ProfileAlarm, device: Device, now: int, ctx: Context) -> None:
        active = ctx.state.active_alarm(device.entity, alarm.alarm_type)
        message = _clock_message(device, now, ctx)
        for severity in SEVERITIES:
            rule = alarm.create_rules.get(severity)
            if rule and due_by_clock(rule, device, device.of(alarm, severity), now):
                if active is None or _worse(severity, active["severity"]):
                    device.ts = now
                    _raise_alarm(message, device, alarm, severity, rule, ctx)
                return
        rule = alarm.clear_rule
        if active and rule and due_by_clock(rule, device, device.of(alarm, CLEAR), now):
            _clear_alarm(message, device, alarm, rule, active, ctx)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _changes(message: Message, now: int) -> list[tuple[int, dict[Key, Any]]]:
    """What a message changes, in order of time; None takes a value away."""
    kind = message.type
    if kind in STATE_EVENTS:
        kind = "ATTRIBUTES_UPDATED" if message.metadata.get("scope") else "TIMESERIES_UPDATED"
    try:
        if kind in TELEMETRY:
            entries = sorted(telemetry_of(message), key=lambda entry: entry[0])
            return [(ts, {(SERIES, k): v for k, v in values.items()}) for ts, values in entries]
        if kind in ATTRIBUTES:
            values = typed_values(message.data)
            return [(now, {(ATTRIBUTE, key): value for key, value in values.items()})]
    except NodeError:
        return []  # the save nodes say what is wrong with it
    if kind == "ATTRIBUTES_DELETED":
        return [(now, {(ATTRIBUTE, key): None for key in deleted_keys(message)})]
    return []


def _raise_alarm(
    message: Message, device: Device, alarm: ProfileAlarm, severity: str, rule: Rule, ctx: Context
) -> None:
    """Create the alarm or change the active one; a severity is raised, never lowered."""
    active = ctx.state.active_alarm(device.entity, alarm.alarm_type)
    progress = device.of(alarm, severity)
    metadata = dict(message.metadata)
    if rule.condition.spec.type == "REPEATING":
        metadata["alarmConditionRepeats"] = str(progress.count)
    elif rule.condition.spec.type == "DURATION":
        metadata["alarmConditionDuration"] = str(progress.duration_ms)
    if active is None:
        label, metadata["isNewAlarm"] = "Alarm Created", "true"
        new = _new(device, alarm, severity, rule, ctx)
    elif _worse(active["severity"], severity):
        return
    else:
        label, metadata["isExistingAlarm"] = "Alarm Updated", "true"
        if active["severity"] != severity:
            label, metadata["isSeverityUpdated"] = "Alarm Severity Updated", "true"
        details = rule.details(device, active.get("details"))
        new = changed(active, severity=severity, endTs=ctx.now(), details=details)
    store(ctx.unit, new)
    ctx.tell(label, derived(message, "ALARM", new, metadata))


def _clear_alarm(
    message: Message, device: Device, alarm: ProfileAlarm, rule: Rule, active: Alarm, ctx: Context
) -> None:
    device.reset(alarm.alarm_type)
    ended = cleared(active, ctx.now(), rule.details(device, active.get("details")))
    store(ctx.unit, ended)
    metadata = {**message.metadata, "isClearedAlarm": "true"}
    ctx.tell("Alarm Cleared", derived(message, "ALARM", ended, metadata))


def _new(device: Device, alarm: ProfileAlarm, severity: str, rule: Rule, ctx: Context) -> Alarm:
    propagation = Propagation(
        alarm.propagate,
        alarm.propagate_to_owner,
        alarm.propagate_to_tenant,
        tuple(alarm.propagate_relation_types or ()),
    )
    details = rule.details(device, {})
    return new_alarm(
        ctx.state,
        device.entity,
        alarm.alarm_type,
        severity,
        device.ts,
        device.ts,
        details,
        propagation,
    )


def _worse(one: str, other: str) -> bool:
    return other not in SEVERITIES or (
        one in SEVERITIES and SEVERITIES.index(one) < SEVERITIES.index(other)
    )


def _clock_message(device: Device, now: int, ctx: Context) -> Message:
    """What an alarm changed by the clock is derived from."""
    profile = ctx.state.profile_of(device.entity) or {}
    metadata = {
        "deviceName": name_of(ctx.state, device.entity) or "",
        "deviceType": profile.get("name") or "",
        "ts": str(now),
    }
    return Message(device.entity.id, now, "ALARM", device.entity, None, metadata)


PROFILE_NODES = (
    NodeFactory(
        PACKAGE + "profile.TbDeviceProfileNode",
        "device profile",
        DeviceProfileConfig,
        DeviceProfile,
        version=1,
        note="an alarm that was cleared outside of the rules is not updated but made anew",
    ),
)
