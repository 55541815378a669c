"""What one side of a recorded conversation said, folded into an end state, without any of our code.

Entities by kind and id as last said, attributes by newest time; a deletion takes along what has no
meaning without the entity. Compared with what a role made of the same conversation, this shows
whatever it lost, kept too long or changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from appliance.model.ids import EntityId
from appliance.state.kinds import BY_FIELD, relation_key
from appliance.sync.messages import (
    Attributes,
    AttributesDeleted,
    Batch,
    EntityUpdate,
    Frame,
    Item,
    UpdateKind,
)
from appliance.sync.wire import decode_attributes

COMPANIONS = {
    "DEVICE_CREDENTIALS": "deviceId",
    "USER_CREDENTIALS": "userId",
    "RULE_CHAIN_METADATA": "ruleChainId",
}  # fmt: skip - a small table
Bodies = dict[tuple[str, UUID], dict[str, Any]]


class Said:
    """The fold. attributes: (entity, scope, key) → (ts, value)."""

    def __init__(self, frames: Iterable[Frame]) -> None:
        self.bodies: Bodies = {}
        self.attributes: dict[tuple[EntityId, str, str], tuple[int, Any]] = {}
        for frame in frames:
            for item in frame.items if isinstance(frame, Batch) else ():
                self._take(item)

    def kind(self, name: str) -> dict[UUID, dict[str, Any]]:
        """All of one kind."""
        return {id: body for (kind, id), body in self.bodies.items() if kind == name}

    def _take(self, item: Item) -> None:
        match item:
            case EntityUpdate():
                self._entity(item)
            case Attributes():
                for key, value in decode_attributes(item.values).items():
                    place = (item.entity, item.scope or "SERVER_SCOPE", key)
                    if self.attributes.get(place, (-1, None))[0] < (item.ts or 0):
                        self.attributes[place] = (item.ts or 0, value)
            case AttributesDeleted():
                for key in item.keys:
                    self.attributes.pop((item.entity, item.scope or "SERVER_SCOPE", key), None)

    def _entity(self, item: EntityUpdate) -> None:
        kind = BY_FIELD[item.field].name
        body = json.loads(item.body) if item.body else None
        id = item.id or (UUID(_id(kind, body)) if body else None)
        assert id is not None
        if item.kind == UpdateKind.DELETED:
            self._gone(kind, id)
        elif body is not None:
            if item.widgets is not None:
                body["widgets"] = json.loads(item.widgets)
            self.bodies[kind, id] = body

    def _gone(self, kind: str, id: UUID) -> None:
        self.bodies.pop((kind, id), None)
        for (other, other_id), body in list(self.bodies.items()):
            owner = COMPANIONS.get(other) or {
                "ALARM": "originator",
                "ALARM_COMMENT": "alarmId",
                "ENTITY_VIEW": "entityId",
                "CALCULATED_FIELD": "entityId",
            }.get(other)  # fmt: skip - a small table
            ends = [body.get(owner)] if owner else [body.get("from"), body.get("to")]
            if any(end and end.get("id") == str(id) for end in ends):
                self._gone(other, other_id)
        for place in list(self.attributes):
            if place[0].id == id:
                del self.attributes[place]


def _id(kind: str, body: dict[str, Any]) -> str:
    if kind == "RELATION":
        return str(relation_key(body))
    return str(body[COMPANIONS.get(kind, "id")]["id"])
