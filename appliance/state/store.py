"""The state in memory: every entity's JSON as bytes, and the few indexes that calls need.

Size: a device with credentials costs about 2 kB, an attribute 200 bytes; 10,000 devices with ten
attributes each stay under 50 MB. Parsed bodies are cached up to `PARSED_MAX`, which holds every
device of a busy plant while a full sync of widgets passes through without evicting much.

Invariant: the state is a pure function of the units applied, in order. It never decides; who wins
(newest timestamp, same name under another id) is decided by the applier that made the unit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from sys import intern
from types import MappingProxyType
from typing import Any, Protocol
from uuid import UUID

import msgspec

from appliance.extension.ports import AttributeValue, Storage
from appliance.model.ids import NULL_UUID, EntityId
from appliance.model.telemetry import AttributeDelete, AttributeWrite, Scope
from appliance.model.unit import EntityWrite, Unit
from appliance.state.deleted import DELETED_MAX, OWNER, Place, outdated, recalled
from appliance.state.kinds import BY_NAME, OWNERS, entity_id_of, id_of
from appliance.state.view import Relation

PARSED_MAX = 1024
_NOTHING: Mapping[str, AttributeValue] = MappingProxyType({})

Watcher = Callable[[str, UUID, dict[str, Any] | None], None]
"""Told after an entity changed: (kind, id, new body or None)."""


class Stored(Protocol):
    """What a state is filled from; the part of Storage that a running appliance can give, too."""

    def load_entities(self) -> AsyncIterator[Sequence[EntityWrite]]:
        """See Storage."""
        ...

    def load_attributes(
        self,
    ) -> AsyncIterator[Sequence[tuple[EntityId, Scope, str, AttributeValue]]]:
        """See Storage."""
        ...


class State:
    """Implements StateView; see there for the reading half."""

    def __init__(self) -> None:
        self.tenant_id = NULL_UUID
        self._bodies: dict[str, dict[UUID, bytes]] = {}
        self._parsed: dict[tuple[str, UUID], dict[str, Any]] = {}
        self._names: dict[str, dict[str, UUID]] = {}
        self._uniques: dict[str, dict[str, UUID]] = {}
        self._owned: dict[str, dict[UUID, dict[UUID, None]]] = {kind: {} for kind in OWNERS}
        self._deleted: dict[tuple[EntityId, Scope, str], int] = {}
        self._attributes: dict[Scope, dict[EntityId, dict[str, AttributeValue]]]
        self._attributes = {scope: {} for scope in Scope}
        self._credentials: dict[str, UUID] = {}
        self._relations_from: dict[EntityId, dict[UUID, Relation]] = {}
        self._relations_to: dict[EntityId, dict[UUID, Relation]] = {}
        self._alarms: dict[tuple[UUID, str], dict[UUID, int]] = {}
        self._watchers: list[Watcher] = []

    async def load(self, storage: Stored) -> None:
        """Fill from storage; once, before anybody reads."""
        async for entities in storage.load_entities():
            for write in entities:
                self._write(write)
        async for attributes in storage.load_attributes():
            for entity, scope, key, value in attributes:
                self._scope(entity, scope)[key] = value

    async def recall_deleted(self, storage: Storage) -> None:
        """After `load`: the moments of deletions; what is not newer is not there."""
        states = await storage.load_states(OWNER)
        for place, ms in recalled(states).items():
            entity, scope, key = place
            stored = self.attributes(entity, scope).get(key)
            if stored is None or stored.ts <= ms:  # an older one that was written after it
                self._scope(entity, scope).pop(key, None)
                self._deleted[place] = ms
        if forgotten := outdated(states):
            await storage.commit([Unit(states=forgotten)])

    def watch(self, watcher: Watcher) -> None:
        """Call `watcher` after every entity change from now on. It must not wait or raise."""
        self._watchers.append(watcher)

    # --- writing ------------------------------------------------------------------------------

    def apply(self, unit: Unit) -> None:
        """Take over a unit's entities and attributes."""
        for write in unit.entities:
            self._write(write)
            self._tell(write)
        for change in unit.attributes:
            if isinstance(change, AttributeWrite):
                self._write_attributes(change)
            else:
                self._delete_attributes(change)

    def _tell(self, write: EntityWrite) -> None:
        for watcher in self._watchers:
            watcher(write.kind, write.id, self.entity(write.kind, write.id))

    def _write(self, write: EntityWrite) -> None:
        self._forget(write.kind, write.id)
        if write.body is None:
            self._bodies.get(write.kind, {}).pop(write.id, None)
            return
        self._bodies.setdefault(write.kind, {})[write.id] = write.body
        self._index(write.kind, write.id)

    def _index(self, kind: str, id: UUID) -> None:
        body = self._parse(kind, id)
        if name := _name(kind, body):
            self._names.setdefault(kind, {})[name] = id
        if unique := _unique(kind, body):
            self._uniques.setdefault(kind, {})[unique] = id
        if kind in OWNERS and (owner := id_of(body.get(OWNERS[kind]))) is not None:
            self._owned[kind].setdefault(owner, {})[id] = None
        if kind == "DEVICE_CREDENTIALS":
            self._credentials[_text(body, "credentialsId")] = id
        elif kind == "RELATION":
            self._index_relation(id, body)
        elif kind == "ALARM" and not body.get("cleared"):
            owner = id_of(body.get("originator"))
            if owner is not None:
                alarms = self._alarms.setdefault((owner, _text(body, "type")), {})
                alarms[id] = body.get("startTs") or 0
        elif kind == "TENANT":
            self.tenant_id = id

    def _index_relation(self, id: UUID, body: dict[str, Any]) -> None:
        source, target = entity_id_of(body.get("from")), entity_id_of(body.get("to"))
        if source is None or target is None:
            return
        relation = Relation(
            id,
            source,
            target,
            intern(_text(body, "type")),
            intern(body.get("typeGroup") or "COMMON"),
            body.get("additionalInfo"),
        )
        self._relations_from.setdefault(source, {})[id] = relation
        self._relations_to.setdefault(target, {})[id] = relation

    def _forget(self, kind: str, id: UUID) -> None:
        """Take the old body out of every index."""
        if id not in self._bodies.get(kind, {}):
            return
        old = self._parse(kind, id)
        self._parsed.pop((kind, id), None)
        names, name = self._names.get(kind, {}), _name(kind, old)
        if name and names.get(name) == id:
            del names[name]
        uniques, unique = self._uniques.get(kind, {}), _unique(kind, old)
        if unique and uniques.get(unique) == id:
            del uniques[unique]
        if kind in OWNERS:
            self._forget_owned(kind, id, id_of(old.get(OWNERS[kind])))
        if kind == "DEVICE_CREDENTIALS":
            if self._credentials.get(_text(old, "credentialsId")) == id:
                del self._credentials[_text(old, "credentialsId")]
        elif kind == "RELATION":
            self._forget_relation(id, old)
        elif kind == "ALARM":
            owner = id_of(old.get("originator"))
            if owner is not None:
                self._alarms.get((owner, _text(old, "type")), {}).pop(id, None)

    def _forget_owned(self, kind: str, id: UUID, owner: UUID | None) -> None:
        if owner is not None and owner in self._owned[kind]:
            self._owned[kind][owner].pop(id, None)
            if not self._owned[kind][owner]:
                del self._owned[kind][owner]

    def _forget_relation(self, id: UUID, old: dict[str, Any]) -> None:
        for end, index in (("from", self._relations_from), ("to", self._relations_to)):
            entity = entity_id_of(old.get(end))
            if entity is not None and entity in index:
                index[entity].pop(id, None)
                if not index[entity]:
                    del index[entity]

    def _write_attributes(self, write: AttributeWrite) -> None:
        scope = self._scope(write.entity, write.scope)
        for key, value in write.values.items():
            old = scope.get(key)
            if old is None or write.ts >= old.ts:  # as storage does: a restart changes nothing
                scope[intern(key)] = AttributeValue(write.ts, value)
                self._deleted.pop((write.entity, write.scope, key), None)

    def _delete_attributes(self, delete: AttributeDelete) -> None:
        scope = self._scope(delete.entity, delete.scope)
        for key in delete.keys:
            stored = scope.get(key)
            if stored is not None and 0 < delete.ts < stored.ts:
                continue  # as storage does
            scope.pop(key, None)
            self._deleted[delete.entity, delete.scope, key] = delete.ts
        while len(self._deleted) > DELETED_MAX:
            del self._deleted[next(iter(self._deleted))]

    def _scope(self, entity: EntityId, scope: Scope) -> dict[str, AttributeValue]:
        return self._attributes[scope].setdefault(entity, {})

    # --- reading: StateView -------------------------------------------------------------------

    def entity(self, kind: str, id: UUID) -> dict[str, Any] | None:
        """See StateView."""
        return self._parse(kind, id) if id in self._bodies.get(kind, {}) else None

    def body(self, kind: str, id: UUID) -> bytes | None:
        """The JSON text as stored, or None."""
        return self._bodies.get(kind, {}).get(id)

    def by_name(self, kind: str, name: str) -> dict[str, Any] | None:
        """See StateView."""
        id = self._names.get(kind, {}).get(name)
        return None if id is None else self.entity(kind, id)

    def by_unique(self, kind: str, value: str) -> dict[str, Any] | None:
        """The entity of that kind with that key (Kind.unique), or name where a kind has none."""
        if not BY_NAME[kind].unique:
            return self.by_name(kind, value)
        id = self._uniques.get(kind, {}).get(value)
        return None if id is None else self.entity(kind, id)

    def owned(self, kind: str, owner: UUID) -> Iterable[UUID]:
        """Ids of a kind (one of kinds.OWNERS) that belong to an entity, oldest first."""
        return list(self._owned[kind].get(owner, ()))

    def deleted_ms(self, entity: EntityId, scope: Scope, key: str) -> int | None:
        """When an attribute was deleted, if that is remembered and it is not back."""
        return self._deleted.get((entity, scope, key))

    def deletions(self) -> list[Place]:
        """Where the deletion of an attribute is remembered."""
        return list(self._deleted)

    def entities(self, kind: str) -> Iterable[dict[str, Any]]:
        """See StateView."""
        return [msgspec.json.decode(body) for body in self._bodies.get(kind, {}).values()]

    def ids(self, kind: str) -> list[UUID]:
        """All ids of a kind, in order of creation."""
        return list(self._bodies.get(kind, {}))

    def count(self, kind: str) -> int:
        """How many of a kind there are."""
        return len(self._bodies.get(kind, {}))

    def counts(self) -> dict[str, int]:
        """How many there are of every kind that has any."""
        return {kind: len(bodies) for kind, bodies in self._bodies.items() if bodies}

    def attributes(self, entity: EntityId, scope: Scope) -> Mapping[str, AttributeValue]:
        """See StateView."""
        return self._attributes[scope].get(entity, _NOTHING)

    def next_ms(self, entity: EntityId, scope: Scope, keys: Iterable[str], now_ms: int) -> int:
        """See StateView. A peer takes only what is strictly newer (§8.2); two changes may share a
        millisecond.
        """
        stored = self.attributes(entity, scope)
        last = [stored[key].ts for key in keys if key in stored]
        last += [self._deleted.get((entity, scope, key), 0) for key in keys]
        return max(now_ms, *(ts + 1 for ts in last)) if last else now_ms

    def device_of_credentials(self, credentials_id: str) -> UUID | None:
        """The device whose credentials have that id: a token, or a hash for MQTT_BASIC, X.509."""
        return self._credentials.get(credentials_id)

    def relations_from(self, entity: EntityId) -> Iterable[Relation]:
        """See StateView."""
        return list(self._relations_from.get(entity, {}).values())

    def relations_to(self, entity: EntityId) -> Iterable[Relation]:
        """See StateView."""
        return list(self._relations_to.get(entity, {}).values())

    def active_alarm(self, originator: EntityId, type: str) -> dict[str, Any] | None:
        """See StateView."""
        alarms = self._alarms.get((originator.id, type))
        if not alarms:
            return None
        return self.entity("ALARM", max(alarms, key=lambda id: (alarms[id], id)))

    def profile_of(self, entity: EntityId) -> dict[str, Any] | None:
        """See StateView."""
        kind = {"DEVICE": "DEVICE_PROFILE", "ASSET": "ASSET_PROFILE"}.get(entity.type)
        body = self.entity(entity.type, entity.id)
        if kind is None or body is None:
            return None
        field = "deviceProfileId" if entity.type == "DEVICE" else "assetProfileId"
        profile = id_of(body.get(field))
        return None if profile is None else self.entity(kind, profile)

    def _parse(self, kind: str, id: UUID) -> dict[str, Any]:
        parsed = self._parsed.get((kind, id))
        if parsed is None:
            if len(self._parsed) >= PARSED_MAX:
                self._parsed.clear()
            parsed = msgspec.json.decode(self._bodies[kind][id])
            self._parsed[(kind, id)] = parsed
        return parsed


def _name(kind: str, body: dict[str, Any]) -> str:
    """The entity's human name, or "" where its kind has none."""
    title = BY_NAME[kind].title if kind in BY_NAME else ""
    return _text(body, title) if title else ""


def _unique(kind: str, body: dict[str, Any]) -> str:
    """The entity's key within its tenant, or "" where that is its name."""
    field = BY_NAME[kind].unique if kind in BY_NAME else ""
    return _text(body, field) if field else ""


def _text(body: dict[str, Any], field: str) -> str:
    """A text field; "" for anything else: a body is kept as it came, whatever is in it."""
    value = body.get(field)
    return value if isinstance(value, str) else ""
