"""The audit log: who changed what, when, and whether it worked; as ThingsBoard's AuditLog objects.

Limits: the newest `entries_max` entries, 10,000 by default; a page reads them all, so a look costs
tens of milliseconds and no memory in between. What an entry says of the action is at most
`ACTION_DATA_BYTES_MAX`; beyond, only the entity's id is kept.

Entries are states of one owner in the storage, so they are in the journal and in DuckDB like
everything else. They are written after what they tell of: a crash in between loses the entry, not
the change. An entry that cannot be stored is counted, and what it tells of stands.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, ClassVar
from uuid import UUID

import msgspec
import trio

from appliance.access.tokens import Principal
from appliance.extension.ports import Storage
from appliance.kernel.events import Emit, Event
from appliance.model.errors import Permanent, Retryable
from appliance.model.ids import NULL_UUID, EntityId, created_time_ms, new_uuid
from appliance.model.unit import StateWrite, Unit
from appliance.state.kinds import id_of

OWNER = "audit"
ENTRIES_MAX = 10_000
ACTION_DATA_BYTES_MAX = 4_096


class AuditEntryLost(Event, frozen=True):
    """Something was done that the audit log does not tell of."""

    level: ClassVar[str] = "warning"
    text: ClassVar[str] = "{action} of {entity} is not in the audit log: {reason}"
    counters: ClassVar[dict[str, str]] = {"audit_entries_lost": ""}
    action: str
    entity: str
    reason: str


class Deed(msgspec.Struct, frozen=True):
    """One thing that somebody did, or tried.

    action: an ActionType name. data: the actionData of ThingsBoard for that action. body: the
    entity as it was before or is now, for its name and customer. failure: why it did not work.
    """

    action: str
    entity: EntityId
    data: dict[str, Any]
    body: dict[str, Any] = {}
    failure: str = ""


class AuditLog:
    """Writes and reads entries. entries_max 0 keeps none."""

    def __init__(self, storage: Storage, emit: Emit, entries_max: int = ENTRIES_MAX) -> None:
        self._storage = storage
        self._emit = emit
        self._entries_max = entries_max
        self._keys: deque[str] | None = None
        self._lock = trio.Lock()

    async def record(self, who: Principal, deeds: Iterable[Deed]) -> None:
        """Keep what somebody did; the oldest entries beyond the bound go."""
        deeds = list(deeds)
        if not self._entries_max or not deeds:
            return
        try:
            async with self._lock:
                await self._write([_entry(who, deed) for deed in deeds])
        except (Retryable, Permanent) as error:
            for deed in deeds:
                entity = str(deed.entity)
                self._emit(AuditEntryLost(action=deed.action, entity=entity, reason=str(error)))

    async def _write(self, entries: list[dict[str, Any]]) -> None:
        if self._keys is None:
            self._keys = deque(sorted(await self._storage.load_states(OWNER)))
        keys = [f"{entry['createdTime']:015d} {entry['id']['id']}" for entry in entries]
        states = [
            StateWrite(OWNER, key, msgspec.json.encode(entry))
            for key, entry in zip(keys, entries, strict=True)
        ]
        too_many = max(0, len(self._keys) + len(keys) - self._entries_max)
        gone = [self._keys[n] for n in range(min(too_many, len(self._keys)))]
        states += [StateWrite(OWNER, key, None) for key in gone]
        await self._storage.commit([Unit(states=states)])
        for _ in gone:
            self._keys.popleft()
        self._keys.extend(keys)

    async def entries(self) -> list[dict[str, Any]]:
        """All entries as AuditLog objects, newest first."""
        states = await self._storage.load_states(OWNER)
        return [msgspec.json.decode(states[key]) for key in sorted(states, reverse=True)]


def _entry(who: Principal, deed: Deed) -> dict[str, Any]:
    id = new_uuid()
    customer = id_of(deed.body.get("customerId")) or who.customer_id
    body = deed.body
    name = body.get("name") or body.get("title") or body.get("email") or body.get("type")
    return {
        "id": {"id": str(id)},
        "createdTime": created_time_ms(id),
        "tenantId": EntityId("TENANT", who.tenant_id).to_json(),
        "customerId": EntityId("CUSTOMER", customer).to_json(),
        "entityId": deed.entity.to_json(),
        "entityName": name or "N/A",
        "userId": EntityId("USER", who.user_id).to_json(),
        "userName": who.email,
        "actionType": deed.action,
        "actionData": _bounded(deed),
        "actionStatus": "FAILURE" if deed.failure else "SUCCESS",
        "actionFailureDetails": deed.failure,
    }


def _bounded(deed: Deed) -> dict[str, Any]:
    if len(msgspec.json.encode(deed.data)) <= ACTION_DATA_BYTES_MAX:
        return deed.data
    return {"entityId": str(deed.entity.id)}


def principal_of(user: dict[str, Any]) -> Principal:
    """A user who has no token yet, from their JSON."""
    return Principal(
        user_id=UUID(user["id"]["id"]),
        email=str(user.get("email")),
        authority=str(user.get("authority")),
        tenant_id=id_of(user.get("tenantId")) or NULL_UUID,
        customer_id=id_of(user.get("customerId")) or NULL_UUID,
        session_id="",
    )
