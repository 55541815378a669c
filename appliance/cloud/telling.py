"""Which edges hear of a change made here, and how (spec/edge-protocol.md §7.1)."""

from __future__ import annotations

import msgspec

from appliance.cloud.registry import (
    Edges,
    attributes_deleted,
    attributes_updated,
    relation_event,
)
from appliance.model.ids import EntityId
from appliance.model.telemetry import AttributeDelete, AttributeWrite, Scope
from appliance.model.unit import Lane, OutboxEvent, Unit
from appliance.state.kinds import entity_id_of, id_of
from appliance.state.store import State
from appliance.sync.telling import place_of, told_of
from appliance.web.commands import Change

_OWNERS = {"DEVICE_CREDENTIALS": "DEVICE", "USER_CREDENTIALS": "USER"}
_ABOUT_ORIGINATOR = {"ALARM": "originator", "ALARM_COMMENT": "alarmId"}


class Telling:
    """Turns changes into events of every edge that has what changed."""

    def __init__(self, state: State, edges: Edges) -> None:
        self._state = state
        self._edges = edges

    def tell_all(self, unit: Unit) -> None:
        """Add the events of everything a unit changes; the state is still as it was before."""
        for write in unit.entities:
            known = self._state.body(write.kind, write.id) is not None
            body = None if write.body is None else msgspec.json.decode(write.body)
            action = "DELETED" if body is None else "UPDATED" if known else "ADDED"
            if write.kind == "RELATION":
                action = "RELATION_DELETED" if body is None else "RELATION_ADD_OR_UPDATE"
            self.tell(Change(write.kind, write.id, body, action), unit)
        for change in unit.attributes:
            if change.scope is not Scope.CLIENT:
                self._attributes(change, unit)

    def _attributes(self, change: AttributeWrite | AttributeDelete, unit: Unit) -> None:
        entity, scope, ts = change.entity, change.scope, change.ts
        for edge in self._edges.edges_with(entity):
            if isinstance(change, AttributeWrite):
                unit.events.append(attributes_updated(edge, entity, scope, ts, change.values))
            else:
                keys = list(change.keys)
                unit.events.append(attributes_deleted(edge, entity, scope, ts, keys))

    def tell(self, change: Change, unit: Unit) -> None:
        """Add the events of a change; the state is still as it was before."""
        if change.kind in _ABOUT_ORIGINATOR:
            self._about_alarm(change, unit)
        elif change.kind == "RELATION":
            self._about_relation(change, unit)
        elif change.kind != "EDGE" and change.action != "ADDED":
            entity = EntityId(_OWNERS.get(change.kind, change.kind), change.id)
            self._edges.fan_out(unit, entity, change.action)
        elif change.action == "ADDED" and change.kind not in _OWNERS:
            self._edges.fan_out(unit, EntityId(change.kind, change.id), "ADDED", change.body)

    def _about_alarm(self, change: Change, unit: Unit) -> None:
        stored = change.body or self._state.entity(change.kind, change.id) or {}
        alarm = stored
        if change.kind == "ALARM_COMMENT":
            alarm = self._state.entity("ALARM", id_of(stored.get("alarmId")) or change.id) or {}
        originator = entity_id_of(alarm.get("originator"))
        gone = change.body is None or change.kind == "ALARM_COMMENT"
        body = msgspec.json.encode(stored) if gone else place_of(stored)
        entity = told_of(change.kind, stored, self._state) or EntityId(change.kind, change.id)
        for edge in self._edges.edges_with(originator) if originator else ():
            event = OutboxEvent(str(edge), Lane.PRIORITY, change.kind, change.action, entity, body)
            unit.events.append(event)

    def _about_relation(self, change: Change, unit: Unit) -> None:
        stored = change.body or self._state.entity("RELATION", change.id) or {}
        if (stored.get("typeGroup") or "COMMON") != "COMMON":
            return
        ends = [entity_id_of(stored.get(end)) for end in ("from", "to")]
        edges = {edge for end in ends if end for edge in self._edges.edges_with(end)}
        body = msgspec.json.encode(stored)
        for edge in sorted(edges):
            assert ends[0] is not None
            unit.events.append(relation_event(edge, ends[0], change.action, body))
