"""What the cloud does when somebody changes something over REST (implements web.commands.Commands).

One unit per call: the change and an event for every edge that has the entity.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import msgspec
import trio

from appliance.access.tokens import Principal
from appliance.cloud.calls import Calls
from appliance.cloud.customers import taken_back
from appliance.cloud.registry import (
    Edges,
    attributes_deleted,
    attributes_updated,
    contains,
    event_for,
)
from appliance.cloud.rules import CloudRules
from appliance.cloud.service import EdgeService
from appliance.cloud.telling import Telling
from appliance.extension.ports import Storage
from appliance.kernel.clock import Clock
from appliance.model.errors import Permanent
from appliance.model.ids import EntityId, new_uuid
from appliance.model.message import Message
from appliance.model.telemetry import AttributeDelete, AttributeWrite, Scope, Series, Value
from appliance.model.unit import EntityWrite, Unit
from appliance.state.deleted import delete_for_good
from appliance.state.kinds import entity_id_of, id_of, relation_key
from appliance.state.owed import Owed
from appliance.state.store import State
from appliance.sync.conflicts import cascade
from appliance.web.commands import (
    Change,
    EdgeNotReady,
    NotConnected,
    RpcCommand,
    refuse_what_is_late,
    refuse_what_is_needed,
    with_what_mirrors,
)
from appliance.web.heard import Heard
from appliance.web.rpc_forms import rpc_call


class CloudCommands:
    """See Commands for each method."""

    def __init__(
        self,
        state: State,
        storage: Storage,
        owed: Owed,
        edges: Edges,
        service: EdgeService,
        calls: Calls,
        rules: CloudRules,
        clock: Clock,
    ) -> None:
        self._state = state
        self._storage = storage
        self._owed = owed
        self._edges = edges
        self._service = service
        self._calls = calls
        self._rules = rules
        self._telling = Telling(state, edges)
        self._clock = clock
        self._heard = Heard(state, clock)

    async def change(self, changes: Sequence[Change], actor: Principal) -> None:
        """See Commands."""
        async with self._changing() as (unit, messages):
            refuse_what_is_late(self._state, changes)
            refuse_what_is_needed(self._state, changes)
            for change in self._with_what_follows(changes):
                self._telling.tell(change, unit)
                self._write(change, unit)
                messages += self._heard.of_change(change, actor)
        for change in changes:
            session = self._service.sessions.get(change.id)
            if change.kind == "EDGE" and change.body is None and session is not None:
                await session.replace()  # a polite end keeps a real edge away (§3.7)

    def _with_what_follows(self, changes: Sequence[Change]) -> Iterator[Change]:
        for change in with_what_mirrors(self._state, changes):
            if change.kind == "CUSTOMER" and change.body is None:
                yield from taken_back(self._state, change.id)
            yield change

    def _write(self, change: Change, unit: Unit) -> None:
        body = None if change.body is None else msgspec.json.encode(change.body)
        unit.entities.append(EntityWrite(change.kind, change.id, body))
        if change.kind == "EDGE":
            self._root_chain(change, unit)
            self._configure(change, unit)
        if change.body is None:
            written = len(unit.entities)
            cascade(EntityId(change.kind, change.id), self._state, unit)
            for gone in unit.entities[written:]:
                if gone.kind == "USER":
                    self._edges.fan_out(unit, EntityId("USER", gone.id), "DELETED")

    def _root_chain(self, change: Change, unit: Unit) -> None:
        """An edge's root chain is assigned to it, and it learns which one it is (§8.4)."""
        chain = id_of((change.body or {}).get("rootRuleChainId"))
        before = id_of((self._state.entity("EDGE", change.id) or {}).get("rootRuleChainId"))
        if chain is None or chain == before:
            return
        entity = EntityId("RULE_CHAIN", chain)
        relation = contains(change.id, entity)
        encoded = msgspec.json.encode(relation)
        unit.entities.append(EntityWrite("RELATION", relation_key(relation), encoded))
        if before is not None:
            unit.events.append(event_for(change.id, entity, "UPDATED"))

    def _configure(self, change: Change, unit: Unit) -> None:
        """The edge hears what it is now, and of its customer (§7.1)."""
        known = self._state.entity("EDGE", change.id)
        if known is None or change.body is None:
            return
        edge = EntityId("EDGE", change.id)
        before, after = (id_of(body.get("customerId")) for body in (known, change.body))
        if after is not None and before != after:
            unit.events.append(event_for(change.id, EntityId("CUSTOMER", after), "ADDED"))
        unit.events.append(event_for(change.id, edge, "UPDATED"))
        if after is not None and before != after:
            for user in self._state.entities("USER"):
                own = id_of(user["id"])
                if own is not None and id_of(user.get("customerId")) == after:
                    unit.events.append(event_for(change.id, EntityId("USER", own), "ADDED"))
        if before is not None and before != after:
            unit.events.append(event_for(change.id, EntityId("CUSTOMER", before), "DELETED"))

    # --- data ---------------------------------------------------------------------------------

    async def save_attributes(
        self, entity: EntityId, scope: Scope, values: dict[str, Value], actor: Principal
    ) -> None:
        """See Commands."""
        async with self._changing() as (unit, messages):
            now_ms = self._state.next_ms(entity, scope, values, self._clock())
            unit.attributes.append(AttributeWrite(entity, scope, now_ms, values))
            for edge in self._edges.edges_with(entity):
                unit.events.append(attributes_updated(edge, entity, scope, now_ms, values))
            said = self._heard.message("ATTRIBUTES_UPDATED", entity, values, actor, scope, now_ms)
            messages.append(said)

    async def delete_attributes(
        self, entity: EntityId, scope: Scope, keys: Sequence[str], actor: Principal
    ) -> None:
        """See Commands."""
        async with self._changing() as (unit, messages):
            now_ms = self._state.next_ms(entity, scope, keys, self._clock())
            delete_for_good(unit, AttributeDelete(entity, scope, tuple(keys), now_ms))
            for edge in self._edges.edges_with(entity):
                unit.events.append(attributes_deleted(edge, entity, scope, now_ms, list(keys)))
            data = {"attributes": list(keys)}
            said = self._heard.message("ATTRIBUTES_DELETED", entity, data, actor, scope, now_ms)
            messages.append(said)

    async def save_telemetry(self, series: Sequence[Series], actor: Principal) -> None:
        """See Commands. Stays here unless a rule chain with a push-to-edge node says otherwise."""
        async with self._changing() as (unit, messages):
            unit.series += series
            messages.append(self._heard.of_series(series, actor))

    async def delete_series(
        self, entity: EntityId, keys: Sequence[str], start_ms: int, end_ms: int, actor: Principal
    ) -> None:
        """See Commands."""
        await self._storage.delete_series(entity, keys, start_ms, end_ms)
        said = self._heard.of_deleted_series(entity, keys, start_ms, end_ms, actor)
        self._rules.follow([said], [])

    # --- requests -----------------------------------------------------------------------------

    async def call_device(self, device: UUID, command: RpcCommand) -> Any:
        """See Commands."""
        edge = self._connected_edge(device)
        if edge is None:
            raise NotConnected
        uuid = command.request_uuid or new_uuid()
        call = rpc_call(device, msgspec.structs.replace(command, request_uuid=uuid))
        end = await self._calls.call(edge, call)
        match end.error:
            case None:
                return msgspec.json.decode(end.response) if end.response else None
            case "NO_ACTIVE_CONNECTION":
                raise NotConnected
            case "TIMEOUT":
                raise trio.TooSlowError
        raise Permanent(f"RPC failed on the edge: {end.error}")

    async def queue_rpc(self, device: UUID, command: RpcCommand) -> UUID:
        """See Commands."""
        edges = self._edges.edges_with(EntityId("DEVICE", device))
        if not edges:
            raise Permanent("the device is not assigned to an edge")
        uuid = command.request_uuid or new_uuid()
        call = rpc_call(device, msgspec.structs.replace(command, request_uuid=uuid))
        await self._calls.keep(edges[0], call)
        return uuid

    def _connected_edge(self, device: UUID) -> UUID | None:
        edges = self._edges.edges_with(EntityId("DEVICE", device))
        return next((edge for edge in edges if edge in self._service.sessions), None)

    # --- edges --------------------------------------------------------------------------------

    async def assign(self, edge: UUID, entity: EntityId, actor: Principal) -> None:
        """See Commands. Refused as a server does where the edge lacks what a view shows."""
        async with self._changing() as (unit, messages):
            known = self._state.entity(entity.type, entity.id)
            if known is None:
                raise Permanent(f"{entity} is not here any more")
            shown = entity_id_of(known.get("entityId"))
            if shown is not None and not self._edges.has(edge, shown):
                raise Permanent(
                    "Can't assign entity view to edge because related device/asset doesn't assigned"
                    " to edge!"
                )
            self._edges.assign(unit, edge, entity)
            messages += self._heard.of_edge(entity, edge, actor, assigned=True)

    async def unassign(self, edge: UUID, entity: EntityId, actor: Principal) -> None:
        """See Commands. Refused as a server does while the edge has a view of it."""
        async with self._changing() as (unit, messages):
            views = self._state.owned("ENTITY_VIEW", entity.id)
            if any(self._edges.has(edge, EntityId("ENTITY_VIEW", view)) for view in views):
                raise Permanent(
                    "Can't unassign device/asset from edge that is related to entity view and"
                    " entity view is assigned to edge!"
                )
            self._edges.unassign(unit, edge, entity)
            messages += self._heard.of_edge(entity, edge, actor, assigned=False)

    async def sync_edge(self, edge: UUID) -> None:
        """See Commands."""
        session = self._service.sessions.get(edge)
        if session is None:
            raise EdgeNotReady("Edge is not connected")
        if not await session.sync(full=True):
            raise EdgeNotReady("Sync process is active at the moment")

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[tuple[Unit, list[Message]]]:
        """A change: what it does and what the rules hear of it.

        It is made up of the state that it is committed on; the state follows the disk, and neither
        another change nor an edge comes in between.
        """
        unit, messages = Unit(), list[Message]()
        async with self._edges.changing():
            self._owed.refuse_while_owing()
            yield unit, messages
            with trio.CancelScope(shield=True):
                await self._storage.commit([unit])
                self._state.apply(unit)
        self._rules.follow(messages, unit.events)
