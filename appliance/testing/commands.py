"""Commands in memory: what the REST API is tested against.

Everything is committed to the given storage and applied to the given state, without rules and
without outbox events. What follows a deletion is not modelled but for credentials.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

import msgspec

from appliance.access.tokens import Principal
from appliance.extension.ports import Storage
from appliance.kernel.clock import Clock
from appliance.model.ids import EntityId, new_uuid
from appliance.model.telemetry import AttributeDelete, AttributeWrite, Scope, Series, Value
from appliance.model.unit import EntityWrite, Unit
from appliance.state.kinds import relation_key
from appliance.state.store import State
from appliance.web.commands import Change, EdgeNotReady, NotConnected, RpcCommand

Device = Callable[[RpcCommand], Awaitable[Any]]


class MemoryCommands:
    """A `Commands` (web/commands.py).

    changes: every Change taken, in order. devices: what answers requests; a device that is not
    there is not connected. connected_edges: those that `sync_edge` finds.
    """

    def __init__(self, storage: Storage, state: State, clock: Clock) -> None:
        self.changes: list[Change] = []
        self.devices: dict[UUID, Device] = {}
        self.connected_edges: set[UUID] = set()
        self._storage = storage
        self._state = state
        self._clock = clock

    async def change(self, changes: Sequence[Change], actor: Principal) -> None:
        """See `Commands`."""
        self.changes.extend(changes)
        unit = Unit()
        for change in changes:
            body = None if change.body is None else msgspec.json.encode(change.body)
            unit.entities.append(EntityWrite(change.kind, change.id, body))
            if change.kind == "DEVICE" and body is None:
                unit.entities.append(EntityWrite("DEVICE_CREDENTIALS", change.id, None))
        await self._commit(unit)

    async def save_attributes(
        self, entity: EntityId, scope: Scope, values: dict[str, Value], actor: Principal
    ) -> None:
        """See `Commands`."""
        write = AttributeWrite(entity, scope, self._clock(), values)
        await self._commit(Unit(attributes=[write]))

    async def delete_attributes(
        self, entity: EntityId, scope: Scope, keys: Sequence[str], actor: Principal
    ) -> None:
        """See `Commands`."""
        delete = AttributeDelete(entity, scope, tuple(keys), self._clock())
        await self._commit(Unit(attributes=[delete]))

    async def save_telemetry(self, series: Sequence[Series], actor: Principal) -> None:
        """See `Commands`."""
        await self._commit(Unit(series=list(series)))

    async def delete_series(
        self, entity: EntityId, keys: Sequence[str], start_ms: int, end_ms: int, actor: Principal
    ) -> None:
        """See `Commands`."""
        await self._storage.delete_series(entity, keys, start_ms, end_ms)

    async def call_device(self, device: UUID, command: RpcCommand) -> Any:
        """See `Commands`."""
        if device not in self.devices:
            raise NotConnected
        return await self.devices[device](command)

    async def queue_rpc(self, device: UUID, command: RpcCommand) -> UUID:
        """See `Commands`."""
        id = new_uuid()
        tenant = EntityId("TENANT", self._state.tenant_id).to_json()
        body = {
            "id": EntityId("RPC", id).to_json(),
            "createdTime": self._clock(),
            "tenantId": tenant,
            "deviceId": EntityId("DEVICE", device).to_json(),
            "expirationTime": command.expires_ms,
            "request": {
                "id": str(id),
                "tenantId": tenant,
                "deviceId": EntityId("DEVICE", device).to_json(),
                "oneway": command.oneway,
                "expirationTime": command.expires_ms,
                "body": {
                    "method": command.method,
                    "params": msgspec.json.encode(command.params).decode(),
                },
                "persisted": True,
                "retries": command.retries,
            },
            "response": None,
            "status": "QUEUED",
            "additionalInfo": command.additional_info,
        }
        await self._commit(Unit(entities=[EntityWrite("RPC", id, msgspec.json.encode(body))]))
        return id

    async def assign(self, edge: UUID, entity: EntityId, actor: Principal) -> None:
        """See `Commands`."""
        await self._relate(edge, entity, present=True)

    async def unassign(self, edge: UUID, entity: EntityId, actor: Principal) -> None:
        """See `Commands`."""
        await self._relate(edge, entity, present=False)

    async def sync_edge(self, edge: UUID) -> None:
        """See `Commands`."""
        if edge not in self.connected_edges:
            raise EdgeNotReady("Edge is not connected")

    async def _relate(self, edge: UUID, entity: EntityId, *, present: bool) -> None:
        body = {
            "from": EntityId("EDGE", edge).to_json(),
            "to": entity.to_json(),
            "type": "Contains",
            "typeGroup": "EDGE",
        }
        encoded = msgspec.json.encode(body) if present else None
        write = EntityWrite("RELATION", relation_key(body), encoded)
        await self._commit(Unit(entities=[write]))

    async def _commit(self, unit: Unit) -> None:
        await self._storage.commit([unit])
        self._state.apply(unit)
