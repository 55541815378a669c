"""State as one message sees it: what is stored, and what its own unit of work will store.

A node behind a save node reads what was saved. Earlier messages are not in here: whoever calls
the engine applies a unit to the state before it gives the next message (see engine.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import msgspec

from appliance.extension.ports import AttributeValue
from appliance.model.ids import EntityId
from appliance.model.telemetry import AttributeWrite, Scope
from appliance.model.unit import EntityWrite, Unit
from appliance.state.view import Relation, StateView


class UnitView:
    """A StateView over another one and an uncommitted unit."""

    __slots__ = ("_base", "_unit", "tenant_id")

    def __init__(self, base: StateView, unit: Unit) -> None:
        self._base = base
        self._unit = unit
        self.tenant_id = base.tenant_id

    def entity(self, kind: str, id: UUID) -> dict[str, Any] | None:
        """See StateView."""
        for write in reversed(self._unit.entities):
            if write.id == id and write.kind == kind:
                return _parsed(write)
        return self._base.entity(kind, id)

    def by_name(self, kind: str, name: str) -> dict[str, Any] | None:
        """See StateView."""
        for write in reversed(self._unit.entities):
            body = _parsed(write) if write.kind == kind else None
            if body is not None and name in (body.get("name"), body.get("title")):
                return body
        return self._base.by_name(kind, name)

    def entities(self, kind: str) -> Iterable[dict[str, Any]]:
        """See StateView; uncommitted entities are not listed."""
        return self._base.entities(kind)

    def attributes(self, entity: EntityId, scope: Scope) -> Mapping[str, AttributeValue]:
        """See StateView."""
        stored = self._base.attributes(entity, scope)
        writes = [w for w in self._unit.attributes if w.scope == scope and w.entity == entity]
        if not writes:
            return stored
        merged = dict(stored)
        for write in writes:
            if isinstance(write, AttributeWrite):
                merged.update((k, AttributeValue(write.ts, v)) for k, v in write.values.items())
            else:
                for key in write.keys:
                    merged.pop(key, None)
        return merged

    def next_ms(self, entity: EntityId, scope: Scope, keys: Iterable[str], now_ms: int) -> int:
        """See StateView."""
        own = {w.ts + 1 for w in self._unit.attributes if (w.entity, w.scope) == (entity, scope)}
        return max(self._base.next_ms(entity, scope, keys, now_ms), *own, 0)

    def relations_from(self, entity: EntityId) -> Iterable[Relation]:
        """See StateView."""
        return self._base.relations_from(entity)

    def relations_to(self, entity: EntityId) -> Iterable[Relation]:
        """See StateView."""
        return self._base.relations_to(entity)

    def device_of_credentials(self, credentials_id: str) -> UUID | None:
        """See StateView."""
        return self._base.device_of_credentials(credentials_id)

    def active_alarm(self, originator: EntityId, type: str) -> dict[str, Any] | None:
        """See StateView."""
        stored = self._base.active_alarm(originator, type)
        for write in reversed(self._unit.entities):
            if write.kind != "ALARM":
                continue
            body = _parsed(write)
            if body is None or (body["type"] == type and _is(body["originator"], originator)):
                if body is not None and not body["cleared"]:
                    return body
                if stored is not None and stored["id"]["id"] == str(write.id):
                    return None
        return stored

    def profile_of(self, entity: EntityId) -> dict[str, Any] | None:
        """See StateView."""
        return self._base.profile_of(entity)


def _parsed(write: EntityWrite) -> dict[str, Any] | None:
    if write.body is None:
        return None
    body: dict[str, Any] = msgspec.json.decode(write.body)
    return body


def _is(reference: Mapping[str, str], entity: EntityId) -> bool:
    return reference["id"] == str(entity.id)
