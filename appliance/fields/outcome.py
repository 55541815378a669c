"""What comes of a result: a message through the rule chain, or values at once (spec §7).

RULE_CHAIN: a message as a device would send it, from the entity that the result is for; its
calculated_by names every field that led to it, and none of these runs on it again. IMMEDIATE:
series and attributes straight into the unit of work; the chain, and so the cloud, sees nothing.
"""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from appliance.fields.cell import AlarmChange, Change, FieldError, RelationChange
from appliance.fields.config import Field, Output
from appliance.fields.numbers import storable_data
from appliance.model.ids import EntityId, new_uuid
from appliance.model.message import Message
from appliance.model.telemetry import AttributeWrite, Scope, Series, lifetime_s
from appliance.model.unit import CLOUD, EntityWrite, Lane, OutboxEvent
from appliance.rules.attributes import changed_values
from appliance.rules.node import NodeError
from appliance.rules.ports import RuleServices
from appliance.rules.values import encode_json, telemetry_of, typed_values
from appliance.rules.work import Work
from appliance.state.kinds import relation_key
from appliance.state.view import StateView

SERIES, ATTRIBUTES = "POST_TELEMETRY_REQUEST", "POST_ATTRIBUTES_REQUEST"


def message_of(
    field: Field, target: EntityId, data: Any, now_ms: int, calculated_by: tuple[UUID, ...]
) -> Message | None:
    """The message that carries a result; None where there is nothing in it. Raises FieldError."""
    output = field.output
    assert output is not None
    data = storable_data(data)
    if not isinstance(data, dict | list) or not data:
        return None
    metadata = {"calculatedFieldName": field.name}
    type = SERIES
    if output.type == "ATTRIBUTES":
        type = ATTRIBUTES
        metadata["scope"] = _scope(output).value
        if isinstance(data, list):
            objects = [item for item in data if isinstance(item, dict)]
            data = {key: value for item in objects for key, value in item.items()}
    message = Message(
        new_uuid(), now_ms, type, target, data, metadata, calculated_by=(*calculated_by, field.id)
    )
    return message if _has_values(message) else None


def _has_values(message: Message) -> bool:
    """Whether the save nodes will find anything to save. Raises FieldError for what they refuse."""
    try:
        if message.type == ATTRIBUTES:
            return bool(typed_values(message.data))
        return any(values for _, values in telemetry_of(message))
    except NodeError as error:
        if str(error).startswith("Msg body is empty"):
            return False
        raise FieldError(str(error)) from None


def save_at_once(
    output: Output, message: Message, view: StateView, services: RuleServices, work: Work
) -> Change | None:
    """Do what IMMEDIATE asks for; the change to feed to other fields, where it asks for that."""
    if message.type == SERIES:
        return _save_series(output, message, work)
    return _save_attributes(output, message, view, services, work)


def _save_series(output: Output, message: Message, work: Work) -> Change | None:
    points = telemetry_of(message)
    strategy = output.strategy
    if strategy.save_time_series or strategy.save_latest:
        for ts, values in points:
            work.unit.series.append(
                Series(message.originator, ts, values, lifetime_s(strategy.ttl))
            )
    return Change(message.originator, None, points) if strategy.process_cfs else None


def _save_attributes(
    output: Output, message: Message, view: StateView, services: RuleServices, work: Work
) -> Change | None:
    entity, scope, strategy = message.originator, _scope(output), output.strategy
    values = typed_values(message.data)
    if strategy.update_attributes_only_on_value_change:
        values = changed_values(view.attributes(entity, scope), values)
    if not values:
        return None
    if strategy.save_attribute:
        work.unit.attributes.append(AttributeWrite(entity, scope, message.ts, values))
        if scope is Scope.SHARED:
            work.after.append(partial(services.notify_attributes, entity, scope, values, ()))
    if strategy.send_attributes_updated_notification:
        notice = Message(
            new_uuid(),
            message.ts,
            "ATTRIBUTES_UPDATED",
            entity,
            values,
            {"scope": scope.value},
            calculated_by=message.calculated_by,
        )
        work.follow_ups.append(notice)
    return Change(entity, scope, [(message.ts, values)]) if strategy.process_cfs else None


def alarm_message(
    field: Field, entity: EntityId, change: AlarmChange, now_ms: int, by: tuple[UUID, ...]
) -> Message:
    """What tells the rule chain of an alarm that changed (§6.2)."""
    return Message(
        new_uuid(),
        now_ms,
        change.type,
        entity,
        change.alarm,
        change.metadata,
        calculated_by=(*by, field.id),
    )


def relate(change: RelationChange, work: Work) -> None:
    """Write or delete a relation, here and on the cloud."""
    body = {
        "from": change.source.to_json(),
        "to": change.target.to_json(),
        "type": change.type,
        "typeGroup": "COMMON",
        "additionalInfo": None,
    }
    key, text = relation_key(body), encode_json(body)
    action = "RELATION_ADD_OR_UPDATE" if change.present else "RELATION_DELETED"
    work.unit.entities.append(EntityWrite("RELATION", key, text if change.present else None))
    told = OutboxEvent(CLOUD, Lane.ENTITY, "RELATION", action, EntityId("RELATION", key), text)
    work.unit.events.append(told)


def _scope(output: Output) -> Scope:
    try:
        return Scope(output.scope or "")
    except ValueError:
        raise FieldError("the output has no attribute scope") from None
