"""Debug events of a calculated field, as ThingsBoard's UI shows them: what came in, what came out.

The newest 50 of a field whose debugSettings ask for them, over all its entities, in memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

import msgspec

from appliance.fields.cell import AlarmChange, Effect, Moment, Reason, Result
from appliance.fields.numbers import storable_data
from appliance.model.ids import EntityId, new_uuid
from appliance.model.message import Message
from appliance.rules.debug import DebugLog

_MESSAGES = {
    Reason.BEGIN: "INITIALIZED",
    Reason.RESTORED: "INITIALIZED",
    Reason.CHANGED: "UPDATED",
    Reason.CLOCK: "REEVALUATION_MSG",
}


class FieldDebugEvent(msgspec.Struct, frozen=True):
    """One calculation. message, type: what it was made for. result: None where it gave nothing."""

    ts: int
    entity: EntityId
    type: str | None
    message: UUID | None
    arguments: Any
    result: Any = None
    error: str | None = None
    id: UUID = msgspec.field(default_factory=new_uuid)


FieldLog = DebugLog[FieldDebugEvent]


def calculation(
    entity: EntityId,
    moment: Moment,
    cause: Message | None,
    arguments: Any,
    outcome: Iterable[Effect] | str,
) -> FieldDebugEvent:
    """The event of one calculation; outcome: its effects, or its error."""
    kind = _MESSAGES.get(moment.reason) or (cause.type if cause is not None else None)
    error = outcome if isinstance(outcome, str) else None
    return FieldDebugEvent(
        ts=moment.now_ms,
        entity=entity,
        type=kind,
        message=None if cause is None else cause.id,
        arguments=arguments or None,
        result=None if isinstance(outcome, str) else _shown(outcome),
        error=error,
    )


def _shown(effects: Iterable[Effect]) -> Any:
    """One result as it is, also where many entities get the same; several as a list."""
    results: list[Any] = []
    for effect in effects:
        shown = _result(effect)
        if shown is not None and shown not in results:
            results.append(shown)
    return results[0] if len(results) == 1 else results or None


def _result(effect: Effect) -> Any:
    if isinstance(effect, Result):
        return storable_data(effect.data)
    if not isinstance(effect, AlarmChange):
        return None
    return {
        "alarm": effect.alarm,
        "created": effect.type == "ALARM_CREATED",
        "updated": effect.type in ("ALARM_CREATED", "ALARM_UPDATED"),
        "severityUpdated": effect.type == "ALARM_SEVERITY_UPDATED",
        "cleared": effect.type == "ALARM_CLEAR",
        "conditionRepeats": effect.metadata.get("alarmConditionRepeats"),
        "conditionDuration": effect.metadata.get("alarmConditionDuration"),
    }
