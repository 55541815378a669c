"""Commands that leave a trace: each call, done or refused, becomes entries of the audit log.

What an entry says is what ThingsBoard's says for that action, but for secrets: of credentials only
the type is told, and neither an edge's secret nor a password ever gets into the log.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import trio

from appliance.access.audit import AuditLog, Deed
from appliance.access.tokens import Principal
from appliance.model.errors import Permanent, Retryable
from appliance.model.ids import EntityId
from appliance.model.telemetry import Scope, Series, Value
from appliance.state.kinds import entity_id_of, id_of
from appliance.state.view import StateView
from appliance.web.commands import Change, Commands, NotConnected, RpcCommand

_OWNERS = {"DEVICE_CREDENTIALS": "DEVICE", "USER_CREDENTIALS": "USER"}
_SILENT = frozenset({"RULE_CHAIN_METADATA", "RPC"})
"""Kinds that change with another one, or whose change is none of an entity."""
_SECRETS = frozenset({"secret", "routingKey", "provisionDeviceKey", "provisionDeviceSecret"})
_LEFT_OUT = {"DASHBOARD": {"configuration"}}
_ONLY_ID = frozenset({"DELETED", "ALARM_DELETE", "DELETED_COMMENT"})


class AuditedCommands:
    """A `Commands` (web/commands.py) of one caller, over those of the role."""

    def __init__(
        self, commands: Commands, view: StateView, log: AuditLog, caller: Principal
    ) -> None:
        self._commands = commands
        self._view = view
        self._log = log
        self._caller = caller

    @asynccontextmanager
    async def _told(self, deeds: Sequence[Deed]) -> AsyncIterator[None]:
        """Record the deeds when the block ends, as failed where it raises."""
        failure = ""
        try:
            yield
        except (Permanent, Retryable) as error:
            failure = str(error)
            raise
        except NotConnected:
            failure = "NO_ACTIVE_CONNECTION"
            raise
        except trio.TooSlowError:
            failure = "TIMEOUT"
            raise
        finally:
            told = [Deed(d.action, d.entity, d.data, d.body, failure) for d in deeds]
            with trio.CancelScope(shield=True):
                await self._log.record(self._caller, told)

    def _deed(self, action: str, entity: EntityId, data: dict[str, Any]) -> Deed:
        body = self._view.entity(entity.type, entity.id) or {}
        return Deed(action, entity, {"entityId": str(entity.id), **data}, body)

    # --- changes ------------------------------------------------------------------------------

    async def change(self, changes: Sequence[Change], actor: Principal) -> None:
        """See Commands."""
        kinds = {change.kind for change in changes}
        deeds = [deed for change in changes for deed in self._deeds(change, kinds)]
        async with self._told(deeds):
            await self._commands.change(changes, actor)

    def _deeds(self, change: Change, kinds: set[str]) -> Iterator[Deed]:
        """What one change means to people; a change that another one brings along is not told."""
        body = change.body or self._view.entity(change.kind, change.id) or {}
        if change.kind in _SILENT:
            return
        if change.kind in _OWNERS:
            if change.action == "CREDENTIALS_UPDATED":
                entity = EntityId(_OWNERS[change.kind], change.id)
                shown = {"credentialsType": body.get("credentialsType", "PASSWORD")}
                yield self._deed(change.action, entity, {"credentials": shown})
        elif change.kind == "RELATION":
            for end in ("from", "to"):
                if (entity_id := entity_id_of(body.get(end))) is not None:
                    named = self._view.entity(entity_id.type, entity_id.id) or {}
                    yield Deed(change.action, entity_id, {"relation": body}, named)
        elif change.kind == "ALARM_COMMENT":
            if "ALARM" not in kinds:
                yield from self._about_alarm(change, {"comment": body.get("comment")})
        elif change.kind == "ALARM":
            yield from self._about_alarm(change, {"entity": body})
        else:
            yield self._about_entity(change, body)

    def _about_alarm(self, change: Change, data: dict[str, Any]) -> Iterator[Deed]:
        """Told of what the alarm is about, as ThingsBoard does."""
        stored = change.body or self._view.entity(change.kind, change.id) or {}
        alarm = stored
        if change.kind == "ALARM_COMMENT":
            alarm = self._view.entity("ALARM", id_of(stored.get("alarmId")) or change.id) or {}
        originator = entity_id_of(alarm.get("originator"))
        if originator is not None:
            only_id = {"entityId": str(change.id)}
            named = self._view.entity(originator.type, originator.id) or {}
            told = only_id if change.action in _ONLY_ID else data
            yield Deed(change.action, originator, told, named)

    def _about_entity(self, change: Change, body: dict[str, Any]) -> Deed:
        entity = EntityId(change.kind, change.id)
        data: dict[str, Any] = {"entityId": str(change.id)}
        if change.action == "ASSIGNED_TO_CUSTOMER":
            data |= self._customer("assigned", id_of(body.get("customerId")))
        elif change.action == "UNASSIGNED_FROM_CUSTOMER":
            before = self._view.entity(change.kind, change.id) or {}
            data |= self._customer("unassigned", id_of(before.get("customerId")))
        elif change.action not in _ONLY_ID:
            left_out = _SECRETS | _LEFT_OUT.get(change.kind, set())
            data = {"entity": {k: v for k, v in body.items() if k not in left_out}}
        return Deed(change.action, entity, data, body)

    def _customer(self, word: str, customer: UUID | None) -> dict[str, Any]:
        if customer is None:
            return {}
        title = (self._view.entity("CUSTOMER", customer) or {}).get("title")
        return {f"{word}CustomerId": str(customer), f"{word}CustomerName": title}

    async def assign(self, edge: UUID, entity: EntityId, actor: Principal) -> None:
        """See Commands."""
        deed = self._deed("ASSIGNED_TO_EDGE", entity, self._edge("assigned", edge))
        async with self._told([deed]):
            await self._commands.assign(edge, entity, actor)

    async def unassign(self, edge: UUID, entity: EntityId, actor: Principal) -> None:
        """See Commands."""
        deed = self._deed("UNASSIGNED_FROM_EDGE", entity, self._edge("unassigned", edge))
        async with self._told([deed]):
            await self._commands.unassign(edge, entity, actor)

    def _edge(self, word: str, edge: UUID) -> dict[str, Any]:
        name = (self._view.entity("EDGE", edge) or {}).get("name")
        return {f"{word}EdgeId": str(edge), f"{word}EdgeName": name}

    # --- data ---------------------------------------------------------------------------------

    async def save_attributes(
        self, entity: EntityId, scope: Scope, values: dict[str, Value], actor: Principal
    ) -> None:
        """See Commands."""
        data = {"scope": scope.value, "attributes": values}
        async with self._told([self._deed("ATTRIBUTES_UPDATED", entity, data)]):
            await self._commands.save_attributes(entity, scope, values, actor)

    async def delete_attributes(
        self, entity: EntityId, scope: Scope, keys: Sequence[str], actor: Principal
    ) -> None:
        """See Commands."""
        data = {"scope": scope.value, "attributes": list(keys)}
        async with self._told([self._deed("ATTRIBUTES_DELETED", entity, data)]):
            await self._commands.delete_attributes(entity, scope, keys, actor)

    async def save_telemetry(self, series: Sequence[Series], actor: Principal) -> None:
        """See Commands."""
        told = [{"ts": each.ts, "values": each.values} for each in series]
        deed = self._deed("TIMESERIES_UPDATED", series[0].entity, {"timeseries": told})
        async with self._told([deed]):
            await self._commands.save_telemetry(series, actor)

    async def delete_series(
        self, entity: EntityId, keys: Sequence[str], start_ms: int, end_ms: int, actor: Principal
    ) -> None:
        """See Commands."""
        data = {"timeseries": list(keys), "startTs": start_ms, "endTs": end_ms}
        async with self._told([self._deed("TIMESERIES_DELETED", entity, data)]):
            await self._commands.delete_series(entity, keys, start_ms, end_ms, actor)

    # --- requests -----------------------------------------------------------------------------

    async def call_device(self, device: UUID, command: RpcCommand) -> Any:
        """See Commands."""
        async with self._told([self._rpc(device, command)]):
            return await self._commands.call_device(device, command)

    async def queue_rpc(self, device: UUID, command: RpcCommand) -> UUID:
        """See Commands."""
        async with self._told([self._rpc(device, command)]):
            return await self._commands.queue_rpc(device, command)

    def _rpc(self, device: UUID, command: RpcCommand) -> Deed:
        data = {"oneWay": command.oneway, "method": command.method, "params": command.params}
        return self._deed("RPC_CALL", EntityId("DEVICE", device), data)

    async def sync_edge(self, edge: UUID) -> None:
        """See Commands. Changes nothing, so it is not told."""
        await self._commands.sync_edge(edge)
