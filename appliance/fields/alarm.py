"""ALARM: raises, changes and clears an alarm whose type is the field's name (spec §6.2).

Create rules are judged worst first and the first that is true counts; the clear rule is judged
only when none is. An active alarm's severity is raised, never lowered. Whoever acknowledges,
clears or deletes the alarm makes the rules start over.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from appliance.fields.alarm_rules import Evidence, Progress, Rule, Verdict
from appliance.fields.arguments_cell import ArgumentsCell
from appliance.fields.cell import AlarmChange, Cells, Effect, FieldError, Moment, Reason
from appliance.fields.config import AlarmConfig, Field
from appliance.model.ids import EntityId
from appliance.rules.alarms import SEVERITIES, Alarm, Propagation, changed, cleared, new_alarm

CLEAR = "clear"


class Memory(msgspec.Struct):
    """What an alarm's cell keeps. progress: by severity, and of the clear rule.

    alarm, acknowledged: the alarm as the cell wrote it last.
    """

    progress: dict[str, Progress] = {}
    alarm: UUID | None = None
    acknowledged: bool = False


class AlarmCell(ArgumentsCell):
    """The alarm of one field at one entity. rules: by severity, worst first, and `CLEAR`."""

    def __init__(
        self,
        field: Field,
        config: AlarmConfig,
        rules: dict[str, Rule],
        entity: EntityId,
        since_ms: int,
        kept: bytes | None,
    ) -> None:
        self._config = config
        self._rules = rules
        self._state = Memory()
        super().__init__(field, config.arguments, entity, since_ms, kept)
        self.arguments.defaults_yield = True

    @property
    def alarm_id(self) -> UUID | None:
        """The alarm that the cell wrote last."""
        return self._state.alarm

    def notice_alarm(self, alarm: Alarm | None) -> None:
        """The alarm is now this, or gone; start over unless the cell itself wrote it so."""
        state = self._state
        if alarm is None or alarm.get("cleared"):
            state.alarm = None
        elif alarm.get("acknowledged") == state.acknowledged:
            return
        else:
            state.acknowledged = bool(alarm.get("acknowledged"))
        state.progress = {}

    # ArgumentsCell -------------------------------------------------------------------------------
    def memory(self) -> Any:
        """See ArgumentsCell."""
        return self._state

    def remember(self, memory: Any) -> None:
        """See ArgumentsCell."""
        self._state = msgspec.convert(memory, Memory)

    def calculate(self, moment: Moment) -> Iterable[Effect]:
        """See ArgumentsCell."""
        if self.arguments.windows:
            raise FieldError("Only single value arguments supported")
        evidence = self._evidence(moment.now_ms, moment.reason)
        active = moment.view.active_alarm(self.entity, self.field.name)
        for severity in SEVERITIES:
            if severity in self._rules and self._fires(severity, evidence):
                self._progress(CLEAR).reset()
                return self._raise(severity, active, evidence, moment)
        if active is not None and CLEAR in self._rules and self._fires(CLEAR, evidence):
            return [self._clear(active, evidence)]
        return []

    def due_ms(self, now_ms: int) -> int | None:
        """See Cell."""
        evidence = self._evidence(now_ms, Reason.CLOCK)
        times: list[int] = []
        for name, rule in self._rules.items():
            with suppress(FieldError):
                times += rule.due_times(evidence, self._progress(name))
        return min((due for due in times if due > now_ms), default=None)

    def _evidence(self, now_ms: int, reason: Reason) -> Evidence:
        is_event, by_clock = reason is Reason.VALUES, reason is Reason.CLOCK
        reevaluation_ms = self.field.limits.reevaluation_s * 1000
        return Evidence(self.arguments, now_ms, is_event, by_clock, reevaluation_ms)

    def _progress(self, name: str) -> Progress:
        return self._state.progress.setdefault(name, Progress())

    def _fires(self, name: str, evidence: Evidence) -> bool:
        progress = self._progress(name)
        verdict = self._rules[name].judge(evidence, progress)
        if verdict is Verdict.FALSE:
            progress.reset()
        return verdict is Verdict.TRUE

    # what becomes of the alarm -------------------------------------------------------------------
    def _raise(
        self, severity: str, active: Alarm | None, evidence: Evidence, moment: Moment
    ) -> list[Effect]:
        metadata = self._metadata(severity, evidence)
        rule = self._rules[severity]
        if active is None:
            alarm = self._new(severity, rule, evidence, moment)
            metadata["isNewAlarm"] = "true"
            return [self._written(alarm, "ALARM_CREATED", metadata)]
        worse = SEVERITIES.index(severity) - SEVERITIES.index(active["severity"])
        if worse > 0 or (worse == 0 and evidence.by_clock):
            return []
        details = rule.details(evidence, active.get("details"))
        alarm = changed(active, severity=severity, endTs=evidence.now_ms, details=details)
        metadata["isExistingAlarm"] = "true"
        if worse == 0:
            return [self._written(alarm, "ALARM_UPDATED", metadata)]
        metadata["isSeverityUpdated"] = "true"
        return [self._written(alarm, "ALARM_SEVERITY_UPDATED", metadata)]

    def _new(self, severity: str, rule: Rule, evidence: Evidence, moment: Moment) -> Alarm:
        config = self._config
        start = min(self.arguments.latest_ts(moment.now_ms), moment.now_ms)
        propagation = Propagation(
            config.propagate,
            config.propagate_to_owner,
            config.propagate_to_tenant,
            tuple(config.propagate_relation_types),
        )
        return new_alarm(
            moment.view,
            self.entity,
            self.field.name,
            severity,
            start,
            start,
            rule.details(evidence, {}),
            propagation,
        )

    def _clear(self, active: Alarm, evidence: Evidence) -> Effect:
        details = self._rules[CLEAR].details(evidence, active.get("details"))
        alarm = cleared(active, evidence.now_ms, details)
        metadata = {**self._metadata(CLEAR, evidence), "isClearedAlarm": "true"}
        self._state.progress = {}
        return self._written(alarm, "ALARM_CLEAR", metadata)

    def _written(self, alarm: Alarm, type: str, metadata: dict[str, str]) -> Effect:
        self._state.alarm = None if alarm["cleared"] else UUID(alarm["id"]["id"])
        self._state.acknowledged = alarm["acknowledged"]
        return AlarmChange(alarm, type, metadata)

    def _metadata(self, name: str, evidence: Evidence) -> dict[str, str]:
        progress, kind = self._progress(name), self._rules[name].config.condition.type
        if kind == "REPEATING":
            return {"alarmConditionRepeats": str(progress.count)}
        if kind == "DURATION":
            return {"alarmConditionDuration": str(evidence.now_ms - progress.since_ms)}
        return {}


def alarm_cells(field: Field) -> Cells:
    """Compile the rules once for all entities."""
    config = field.config
    assert isinstance(config, AlarmConfig)
    names = tuple(config.arguments)
    rules = {severity: Rule(rule, names) for severity, rule in config.create_rules.items()}
    compiled: dict[str, Rule] = {name: rules[name] for name in SEVERITIES if name in rules}
    if config.clear_rule is not None:
        compiled[CLEAR] = Rule(config.clear_rule, names)
    return partial(AlarmCell, field, config, compiled)
