"""What rule chains hear of what people do over REST (spec/rule-engine.md §2.2, §2.3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import msgspec

from appliance.access.tokens import Principal
from appliance.kernel.clock import Clock
from appliance.model.ids import NULL_UUID, EntityId, new_uuid
from appliance.model.message import Message
from appliance.model.telemetry import Scope, Series
from appliance.state.kinds import entity_id_of, id_of
from appliance.state.store import State
from appliance.web.commands import Change

_TYPES = {
    "ADDED": "ENTITY_CREATED",
    "UPDATED": "ENTITY_UPDATED",
    "DELETED": "ENTITY_DELETED",
    "ASSIGNED_TO_CUSTOMER": "ENTITY_ASSIGNED",
    "UNASSIGNED_FROM_CUSTOMER": "ENTITY_UNASSIGNED",
    "ALARM_ACK": "ALARM_ACK",
    "ALARM_CLEAR": "ALARM_CLEAR",
    "ALARM_ASSIGNED": "ALARM_ASSIGNED",
    "ALARM_UNASSIGNED": "ALARM_UNASSIGNED",
    "ALARM_DELETE": "ALARM_DELETE",
    "ADDED_COMMENT": "COMMENT_CREATED",
    "UPDATED_COMMENT": "COMMENT_UPDATED",
    "RELATION_ADD_OR_UPDATE": "RELATION_ADD_OR_UPDATE",
    "RELATION_DELETED": "RELATION_DELETED",
}
_UNHEARD = frozenset({"DEVICE_CREDENTIALS", "USER_CREDENTIALS", "RULE_CHAIN_METADATA", "RPC"})
"""Kinds that change with another one, or of whose changes the reference says nothing."""
_CUSTOMERS = {"ASSIGNED_TO_CUSTOMER": "assigned", "UNASSIGNED_FROM_CUSTOMER": "unassigned"}


class Heard:
    """Messages about a person's deeds; the person is in their metadata."""

    def __init__(self, state: State, clock: Clock) -> None:
        self._state = state
        self._clock = clock

    def of_change(self, change: Change, actor: Principal) -> Iterator[Message]:
        """Of a change of an entity; to be asked before the state has it."""
        body = change.body or self._state.entity(change.kind, change.id)
        type = _TYPES.get(change.action)
        if type is None or body is None or change.kind in _UNHEARD:
            return
        if change.kind == "RELATION":
            ends = (entity_id_of(body.get(end)) for end in ("from", "to"))
            yield from (self.message(type, end, body, actor) for end in ends if end is not None)
        elif change.kind == "ALARM":
            yield from self._of_alarm(type, body, actor, {})
        elif change.kind == "ALARM_COMMENT":
            yield from self._of_comment(type, body, actor)
        else:
            entity = EntityId(change.kind, change.id)
            told = {**body, "configuration": ""} if change.kind == "DASHBOARD" else body
            about = _named(entity, body) | self._customer(change)
            yield self.message(type, entity, told, actor, about=about)

    def of_edge(
        self, entity: EntityId, edge: UUID, actor: Principal, *, assigned: bool
    ) -> Iterator[Message]:
        """Of an entity that is assigned to an edge, or no longer."""
        body = self._state.entity(entity.type, entity.id)
        if body is None:
            return
        name = (self._state.entity("EDGE", edge) or {}).get("name") or ""
        type = "ENTITY_ASSIGNED_TO_EDGE" if assigned else "ENTITY_UNASSIGNED_FROM_EDGE"
        word = "assigned" if assigned else "unassigned"
        about = _named(entity, body) | {f"{word}EdgeId": str(edge), f"{word}EdgeName": name}
        yield self.message(type, entity, body, actor, about=about)

    def of_series(self, series: Sequence[Series], actor: Principal) -> Message:
        """Of points of one entity; at least one."""
        told = [{"ts": each.ts, "values": each.values} for each in series]
        entity = series[0].entity
        return self.message("TIMESERIES_UPDATED", entity, {"timeseries": told}, actor)

    def of_deleted_series(
        self, entity: EntityId, keys: Sequence[str], start_ms: int, end_ms: int, actor: Principal
    ) -> Message:
        """Of points that are deleted."""
        data = {"timeseries": list(keys), "startTs": start_ms, "endTs": end_ms}
        return self.message("TIMESERIES_DELETED", entity, data, actor)

    def message(
        self,
        type: str,
        entity: EntityId,
        data: Any,
        actor: Principal,
        scope: Scope | None = None,
        ts: int | None = None,
        about: dict[str, str] | None = None,
    ) -> Message:
        """Of anything else. ts: epoch milliseconds; None = now. about: more metadata."""
        metadata = self._person(actor) | (about or {})
        if scope is not None:
            metadata["scope"] = scope.value
        moment = self._clock() if ts is None else ts
        return Message(new_uuid(), moment, type, entity, data, metadata)

    def _person(self, actor: Principal) -> dict[str, str]:
        out = {
            "userId": str(actor.user_id),
            "userName": actor.email,
            "userEmail": actor.email,
        }
        user = self._state.entity("USER", actor.user_id) or {}
        for name, key in (("firstName", "userFirstName"), ("lastName", "userLastName")):
            if user.get(name):
                out[key] = user[name]
        if actor.customer_id not in (None, NULL_UUID):
            out["customerId"] = str(actor.customer_id)
        return out

    def _of_alarm(
        self, type: str, alarm: dict[str, Any], actor: Principal, more: dict[str, str]
    ) -> Iterator[Message]:
        """Of an alarm, said of what it is about."""
        originator = entity_id_of(alarm.get("originator"))
        if originator is not None:
            about = _named(originator, {**alarm, "name": alarm.get("type")}) | more
            yield self.message(type, originator, alarm, actor, about=about)

    def _of_comment(
        self, type: str, comment: dict[str, Any], actor: Principal
    ) -> Iterator[Message]:
        """Of what a person says about an alarm; what the appliance says of a deed is not heard."""
        alarm_id = id_of(comment.get("alarmId"))
        alarm = alarm_id and self._state.entity("ALARM", alarm_id)
        if alarm and comment.get("type") != "SYSTEM":
            text = msgspec.json.encode(comment).decode()
            yield from self._of_alarm(type, alarm, actor, {"comment": text})

    def _customer(self, change: Change) -> dict[str, str]:
        """Who got it, or had it."""
        word = _CUSTOMERS.get(change.action)
        body = change.body if word == "assigned" else self._state.entity(change.kind, change.id)
        customer = id_of((body or {}).get("customerId"))
        if word is None or customer is None:
            return {}
        title = (self._state.entity("CUSTOMER", customer) or {}).get("title") or ""
        return {f"{word}CustomerId": str(customer), f"{word}CustomerName": title}


def _named(entity: EntityId, body: dict[str, Any]) -> dict[str, str]:
    """The metadata that every message about an entity has."""
    name = body.get("name") or body.get("title") or body.get("email") or ""
    out = {"entityName": name, "entityType": entity.type}
    if (customer := id_of(body.get("customerId"))) not in (None, NULL_UUID):
        out["customerId"] = str(customer)
    return out
