"""What the edge does when somebody changes something over REST (implements web.commands.Commands).

One unit per call: the change, the event that sends it up, and what the rule chain makes of it.
Attributes and alarms go up by themselves, also where the chain has no push node for them
(rule-engine §6.4 names that as a trap); where the chain pushed already, nothing is added.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
import trio

from appliance.access.tokens import Principal
from appliance.edge.link import CloudLink
from appliance.edge.policy import EdgePolicy
from appliance.edge.processor import Processor
from appliance.edge.services import EdgeServices
from appliance.edge.sessions import Sessions
from appliance.extension.ports import Storage
from appliance.kernel.clock import Clock
from appliance.model.errors import Permanent
from appliance.model.ids import EntityId, new_uuid
from appliance.model.message import Message
from appliance.model.telemetry import AttributeDelete, AttributeWrite, Scope, Series, Value
from appliance.model.unit import CLOUD, EntityWrite, Lane, OutboxEvent, Unit
from appliance.rules.ports import CalculationInput, RpcOutcome
from appliance.state.deleted import delete_for_good
from appliance.state.kinds import BY_NAME
from appliance.state.store import State
from appliance.sync.conflicts import other_names, under
from appliance.sync.incoming import Applied
from appliance.sync.telling import place_of, told_of
from appliance.web.commands import (
    Change,
    NotConnected,
    RpcCommand,
    refuse_what_is_late,
    refuse_what_is_needed,
    with_what_mirrors,
)
from appliance.web.heard import Heard
from appliance.web.rpc_forms import rpc_call

_OWNERS = {"DEVICE_CREDENTIALS": "DEVICE", "USER_CREDENTIALS": "USER"}
_SENT = frozenset(
    {"DEVICE", "ASSET", "ENTITY_VIEW", "DASHBOARD", "DEVICE_PROFILE", "ASSET_PROFILE"}
    | {"RULE_CHAIN", "TB_RESOURCE", "CALCULATED_FIELD", "AI_MODEL", "API_KEY", "USER"}
    | {"ALARM", "ALARM_COMMENT", "RELATION"}
)
"""Kinds that a server takes from an edge (edge-protocol §5.2); changes of others stay here."""
_NEVER_DELETED = frozenset({"DEVICE_PROFILE", "ASSET_PROFILE", "TB_RESOURCE"})
"""Kinds whose deletion a server refuses for ever (§11.8)."""


class EdgeCommands:
    """See Commands for each method."""

    def __init__(
        self,
        state: State,
        storage: Storage,
        processor: Processor,
        services: EdgeServices,
        sessions: Sessions,
        clock: Clock,
        link: CloudLink,
    ) -> None:
        self._state = state
        self._storage = storage
        self._processor = processor
        self._services = services
        self._sessions = sessions
        self._clock = clock
        self._heard = Heard(state, clock)
        self._link = link
        self._policy = EdgePolicy(state, clock)

    async def change(self, changes: Sequence[Change], actor: Principal) -> None:
        """See Commands. What the cloud took away meanwhile does not come back by a change."""
        refuse_what_is_late(self._state, changes)
        refuse_what_is_needed(self._state, changes)
        changes = list(with_what_mirrors(self._state, changes))
        unit = Unit()
        messages: list[Message] = []
        for change in changes:
            self._write(change, unit)
            unit.events += self._events(change)
            messages += self._heard.of_change(change, actor)
        told = self._services.tell_gateways(unit)
        try:
            await self._processor.commit(unit, messages)
        finally:  # what a full disk refused half-way is here already, and owed
            self._services.ask(told)
            self._end_sessions(changes)

    def _end_sessions(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.body is None and self._state.body(change.kind, change.id) is not None:
                continue  # refused as a whole: it has not gone
            if change.kind == "DEVICE_CREDENTIALS" and change.action == "CREDENTIALS_UPDATED":
                self._sessions.close(change.id, "credentials")
            elif change.kind == "DEVICE" and change.body is None:
                self._sessions.close(change.id, "deleted")
            elif change.kind == "RPC" and change.body is None:
                self._services.withdraw(change.id)

    def _write(self, change: Change, unit: Unit) -> None:
        if change.body is not None:
            body = msgspec.json.encode(change.body)
            unit.entities.append(EntityWrite(change.kind, change.id, body))
            return
        applied = Applied(unit=unit)
        if change.kind in BY_NAME:
            self._policy.remove(BY_NAME[change.kind], change.id, None, applied)
        else:
            unit.entities.append(EntityWrite(change.kind, change.id, None))

    def _events(self, change: Change) -> Iterator[OutboxEvent]:
        """The cloud events of a change (edge-protocol §5.2); none where nothing goes up."""
        owner = _OWNERS.get(change.kind)
        if (owner or change.kind) not in _SENT or (owner and change.action == "ADDED"):
            return  # credentials of a new device travel with it
        if change.body is None and change.kind in _NEVER_DELETED:
            return
        kind = owner or change.kind
        lane = Lane.PRIORITY if kind in ("ALARM", "ALARM_COMMENT") else Lane.ENTITY
        for entity, body in self._told(change, EntityId(kind, change.id)):
            yield OutboxEvent(CLOUD, lane, kind, change.action, entity, body)

    def _told(self, change: Change, entity: EntityId) -> Iterator[tuple[EntityId, bytes]]:
        """What an event names, and the body of what cannot be read when it is sent.

        Nothing of what has gone already: the cloud hears of that.
        """
        if change.kind not in ("RELATION", "ALARM", "ALARM_COMMENT"):
            yield entity, b""
            return
        stored = change.body or self._state.entity(change.kind, change.id)
        if stored is None:
            return
        if change.kind == "ALARM" and change.body is not None:
            yield entity, place_of(stored)
            return
        yield told_of(change.kind, stored, self._state) or entity, msgspec.json.encode(stored)
        for name in other_names(self._state, change.id) if change.kind == "ALARM" else ():
            yield EntityId("ALARM", name), msgspec.json.encode(under(name, stored))

    # --- data ---------------------------------------------------------------------------------

    async def save_attributes(
        self, entity: EntityId, scope: Scope, values: dict[str, Value], actor: Principal
    ) -> None:
        """See Commands."""
        now_ms = self._state.next_ms(entity, scope, values, self._clock())
        unit = Unit(attributes=[AttributeWrite(entity, scope, now_ms, values)])
        message = self._heard.message("ATTRIBUTES_UPDATED", entity, values, actor, scope, now_ms)
        body = {"kv": values, "ts": now_ms, "scope": scope.value}
        await self._commit_data(unit, message, "ATTRIBUTES_UPDATED", entity, body)
        if scope is Scope.SHARED:
            self._sessions.notify_attributes(entity.id, values, ())

    async def delete_attributes(
        self, entity: EntityId, scope: Scope, keys: Sequence[str], actor: Principal
    ) -> None:
        """See Commands."""
        now_ms = self._state.next_ms(entity, scope, keys, self._clock())
        unit = Unit()
        delete_for_good(unit, AttributeDelete(entity, scope, tuple(keys), now_ms))
        message = self._heard.message(
            "ATTRIBUTES_DELETED", entity, {"attributes": list(keys)}, actor, scope, now_ms
        )
        body = {"keys": list(keys), "ts": now_ms, "scope": scope.value}
        await self._commit_data(unit, message, "ATTRIBUTES_DELETED", entity, body)
        if scope is Scope.SHARED:
            self._sessions.notify_attributes(entity.id, {}, keys)

    async def _commit_data(
        self, unit: Unit, message: Message, action: str, entity: EntityId, body: Any
    ) -> None:
        """Commit with the chain's doing; the event is ours only where the chain made none."""
        own = OutboxEvent(CLOUD, Lane.DATA, entity.type, action, entity, msgspec.json.encode(body))
        await self._processor.commit(unit, [message], unless_pushed=own)

    async def save_telemetry(self, series: Sequence[Series], actor: Principal) -> None:
        """See Commands. Goes up if the chain pushes "Timeseries Updated", as on the reference."""
        message = self._heard.of_series(series, actor)
        await self._processor.commit(Unit(series=list(series)), [message])

    async def delete_series(
        self, entity: EntityId, keys: Sequence[str], start_ms: int, end_ms: int, actor: Principal
    ) -> None:
        """See Commands. Calculated fields hear of keys of which nothing is left."""
        await self._storage.delete_series(entity, keys, start_ms, end_ms)
        said = self._heard.of_deleted_series(entity, keys, start_ms, end_ms, actor)
        await self._processor.process([said])
        left = await self._storage.latest(entity, keys)
        gone = tuple(key for key in keys if key not in left)
        fields = self._services.fields
        if gone and fields is not None:
            change = CalculationInput(entity, None, self._clock(), {}, deleted=gone)
            self._processor.submit(partial(fields.take, [change]))

    # --- requests -----------------------------------------------------------------------------

    async def call_device(self, device: UUID, command: RpcCommand) -> Any:
        """See Commands."""
        outcome = await self._services.call_device(rpc_call(device, command))
        return outcome_or_error(outcome)

    async def queue_rpc(self, device: UUID, command: RpcCommand) -> UUID:
        """See Commands: kept, sent through the chain, its end written to it."""
        uuid = command.request_uuid or new_uuid()
        call = rpc_call(device, msgspec.structs.replace(command, request_uuid=uuid))
        await self._services.queue(call)
        return uuid

    # --- not here -----------------------------------------------------------------------------

    async def assign(self, edge: UUID, entity: EntityId, actor: Principal) -> None:
        """See Commands."""
        raise Permanent("Edges support disabled")

    async def unassign(self, edge: UUID, entity: EntityId, actor: Principal) -> None:
        """See Commands."""
        raise Permanent("Edges support disabled")

    async def sync_edge(self, edge: UUID) -> None:
        """See Commands: this edge asks its server for everything."""
        if self._state.entity("EDGE", edge) is None:
            raise Permanent("Edges support disabled")
        await self._link.request_full_sync()


def outcome_or_error(outcome: RpcOutcome) -> Any:
    """The device's answer. Raises NotConnected, trio.TooSlowError, Permanent."""
    match outcome.error:
        case None:
            return outcome.reply
        case "NO_ACTIVE_CONNECTION":
            raise NotConnected
        case "TIMEOUT":
            raise trio.TooSlowError
    raise Permanent(f"RPC failed: {outcome.error}", hint="does the chain have an RPC node?")
