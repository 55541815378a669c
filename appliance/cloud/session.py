"""One connected edge: handshake, uplinks, its outbox (spec/edge-protocol.md §3.2, §6, §7).

An uplink is acknowledged when what it says is durable, in one unit per message; a refused one
changes nothing. Data about entities that are not here are acknowledged without effect, as on the
reference, because an edge would send them for ever; they are counted and shown. So is, by field,
what is kept here without being used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from uuid import UUID

import msgspec
import trio

from appliance.cloud.activity import Activity
from appliance.cloud.calls import Calls, question
from appliance.cloud.latest import LatestValues
from appliance.cloud.policy import ORDER, CloudPolicy
from appliance.cloud.registry import SENT_BY_EDGES, Edges, event_for, relation_event
from appliance.cloud.rules import CloudRules
from appliance.cloud.session_events import EdgeConnected, EdgeDisconnected, UplinkApplied
from appliance.cloud.sync import SyncPlan
from appliance.cloud.versions import EDGE_VERSIONS, UNRECOGNIZED
from appliance.extension.ports import Link, LinkClosed, Storage
from appliance.kernel.clock import Clock
from appliance.kernel.events import Emit
from appliance.model.errors import Permanent, Retryable, first_plain
from appliance.model.ids import EntityId, new_uuid
from appliance.model.message import Message
from appliance.model.telemetry import AttributeWrite, Scope, Series, Value
from appliance.model.unit import EntityWrite, Lane, Unit
from appliance.state.kinds import BY_FIELD, entity_id_of, id_of
from appliance.state.owed import Owed
from appliance.state.store import State
from appliance.sync.incoming import Applied, digest, telemetry_messages
from appliance.sync.mapping import edge_configuration
from appliance.sync.messages import (
    Ack,
    Batch,
    Connect,
    Connected,
    EdgeConfiguration,
    EntityUpdate,
    Frame,
    Item,
    RpcCall,
    SyncRequest,
)
from appliance.sync.packing import About
from appliance.sync.sender import Sender
from appliance.sync.telling import place_of
from appliance.sync.turns import in_turns

_OWNERS = {"DEVICE_CREDENTIALS": "DEVICE", "USER_CREDENTIALS": "USER"}
_SIGNS = ("POST_ATTRIBUTES_REQUEST", "ATTRIBUTES_UPDATED")
_LOOK_EVENTS = 1000
_LOOK_BYTES = 1_000_000
"""How much of the outbox to read at once when looking for a sync that still waits."""
SYNC_PIECE = 500
"""Events of a sync that are made durable together: a third of a megabyte in memory."""


class EdgeSession:
    """Serves one accepted edge until its link ends or another session takes its place."""

    def __init__(
        self,
        edge: UUID,
        storage: Storage,
        owed: Owed,
        state: State,
        edges: Edges,
        plan: SyncPlan,
        latest: LatestValues,
        activity: Activity,
        rules: CloudRules,
        calls: Calls,
        sender: Sender,
        planning: trio.Lock,
        kept: Counter[str],
        clock: Clock,
        emit: Emit,
    ) -> None:
        self.edge = edge
        self._kept = kept
        self.outbox = str(edge)
        self._storage = storage
        self._owed = owed
        self._state = state
        self._edges = edges
        self._plan = plan
        self._latest = latest
        self._activity = activity
        self._rules = rules
        self._calls = calls
        self._sender = sender
        self._clock = clock
        self._emit = emit
        self._policy = CloudPolicy(state, edges, edge, self._is_leaving, clock)
        self._scope = trio.CancelScope()
        self._planning = planning
        self._unheard: set[About] = set()
        self.replaced = False
        self.ended = trio.Event()
        self.peer = ""
        self.since_ms = clock()

    @property
    def latency_s(self) -> float | None:
        """Time of the last batch to its acknowledgement; None before the first."""
        return self._sender.latency_s or None

    @property
    def name(self) -> str:
        """The edge's name."""
        return str((self._state.entity("EDGE", self.edge) or {}).get("name", ""))

    async def replace(self) -> None:
        """End politely, for another session of this edge (last wins, §3.4); wait until it has."""
        self.replaced = True
        self._scope.cancel()
        await self.ended.wait()

    async def serve(self, link: Link, hello: Connect, rest: Sequence[Frame]) -> None:
        """Answer the CONNECT, then receive and send until the link ends."""
        self.peer = link.peer
        reason = "replaced by a newer session"
        try:
            with self._scope:
                await self._accept(link, hello)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._receive, link, rest)
                    nursery.start_soon(self._sender.run, link, hello.max_inbound_bytes)
        except* (LinkClosed, Retryable) as group:
            reason = str(first_plain(group))
        finally:
            with trio.CancelScope(shield=True):
                if not self.replaced:
                    gone: dict[str, Value] = {"active": False, "lastDisconnectTime": self._clock()}
                    await self._note(gone)
                    self._tell_rules("DISCONNECT_EVENT", gone)
            self._emit(EdgeDisconnected(name=self.name, reason=reason))
        if not self.replaced:
            raise LinkClosed(reason, "UNAVAILABLE")  # an edge stays away after OK (§3.7)

    async def _accept(self, link: Link, hello: Connect) -> None:
        await link.send([Connected(0, "", self.configuration(), link.inbound_bytes_max)])
        version = EDGE_VERSIONS.get(hello.version, UNRECOGNIZED)
        here: dict[str, Value] = {"active": True, "lastConnectTime": self._clock()}
        await self._note(here | {"edgeVersion": version})
        self._tell_rules("CONNECT_EVENT", here)
        self._emit(EdgeConnected(name=self.name, peer=link.peer))

    def _tell_rules(self, event: str, presence: dict[str, Value]) -> None:
        """The tenant's rules hear of an edge that comes or goes (§3.4)."""
        edge = EntityId("EDGE", self.edge)
        body = self._state.entity("EDGE", self.edge) or {}
        metadata = {"scope": Scope.SERVER.value}
        metadata |= {"edgeName": body.get("name") or "", "edgeType": body.get("type") or ""}
        message = Message(new_uuid(), self._clock(), event, edge, dict(presence), metadata)
        self._rules.follow([message], [])

    def configuration(self) -> EdgeConfiguration:
        """What the edge is told about itself (§2.3)."""
        body = self._state.entity("EDGE", self.edge)
        assert body is not None
        return edge_configuration(self.edge, {**body, "cloudType": self._edges.cloud_type})

    # --- receiving ----------------------------------------------------------------------------

    async def _receive(self, link: Link, frames: Sequence[Frame]) -> None:
        while True:
            for turn in in_turns(frames):
                match turn:
                    case list():
                        await self._answer(link, turn)
                    case Ack():
                        self._sender.on_ack(turn)
                    case SyncRequest(full=bool(full)):  # without a body it asks for nothing (§4.1)
                        await self.sync(full=full)
            frames = await link.receive()

    async def _answer(self, link: Link, batches: Sequence[Batch]) -> None:
        """Take batches and acknowledge them; what goes down before that was made before them."""
        async with self._sender.turn:
            await link.send(await self._take(batches))

    async def _take(self, batches: Sequence[Batch]) -> list[Ack]:
        """Make the batches durable, each whole or not at all; the acknowledgements in order."""
        acks: list[Ack] = []
        taken: list[Applied] = []
        after: list[Callable[[], None]] = []
        await self._look_around(batches)
        now_ms = self._clock()
        for batch in batches:
            try:
                applied = digest(batch.items, self._state, self._policy, now_ms, ORDER)
            except Permanent as error:
                acks.append(Ack(batch.id, False, str(error)))
                continue
            self._complete(applied)
            self._state.apply(applied.unit)
            if self._rules.active:
                after += await self._rules.through(self._messages(applied), applied.unit)
            taken.append(applied)
            acks.append(Ack(batch.id, True))
        await self._owed.commit([applied.unit for applied in taken])
        for call_after in after:
            call_after()
        for applied in taken:
            for call in applied.calls:
                if not self._asks_rules(call):
                    await self._calls.from_edge(self.edge, call)
            for request in applied.requests:
                if request.field == "attributesRequest":
                    self._latest.ask(self.edge, request.entity)
        self._report(taken)
        return acks

    async def _commit(self, units: Sequence[Unit]) -> None:
        while True:
            try:
                with trio.CancelScope(shield=True):
                    await self._storage.commit(units)
                return
            except Retryable as error:
                await trio.sleep(error.retry_after_s)

    def _complete(self, applied: Applied) -> None:
        """Store what a server's rule chain would store, and queue the answers to requests."""
        for entity, points in applied.telemetry:
            applied.unit.series += [Series(entity, ts, values) for ts, values in points]
        told_of = [entity for entity, _ in applied.telemetry]
        told_of += [message.originator for message in applied.messages if message.type in _SIGNS]
        applied.messages += self._activity.seen(told_of, applied.unit)
        self._last_word(applied.unit, applied.merged)
        for request in applied.requests:
            applied.unit.events.extend(self._plan.answer(self.edge, request))

    def _messages(self, applied: Applied) -> Iterator[Message]:
        yield from applied.messages
        for call in filter(self._asks_rules, applied.calls):
            yield question(self.edge, call, self._state, self._clock())
        for entity, points in applied.telemetry:
            yield from telemetry_messages(entity, points, self._state, "edge")

    def _asks_rules(self, call: RpcCall) -> bool:
        """Whether a device asks its server, and there are rules that may answer."""
        if call.method is None or call.device_id is None or not self._rules.active:
            return False
        return self._state.entity("DEVICE", call.device_id) is not None

    def _last_word(self, unit: Unit, merged: Sequence[EntityId]) -> None:
        """Where both sides spoke of an entity at once, say how it is now.

        Else each would keep what the other said. What still waits here needs no such care: it is
        read when it is sent. Of an alarm that the edge deleted, what was said just before may have
        brought it back there.
        """
        flying = self._sender.flying() if unit.entities else ()
        for write in list(unit.entities):
            if write.kind == "RELATION":
                if ("RELATION", write.id) in flying:
                    self._last_relation(write, unit)
                continue
            owner = _OWNERS.get(write.kind)
            entity = EntityId(owner or write.kind, write.id)
            spoken = entity.type in SENT_BY_EDGES and any(
                (kind, write.id) in flying for kind in (entity.type, write.kind)
            )
            over = write.kind == "ALARM" and write.body is None
            if (spoken and not (owner and write.body is None)) or over or entity in merged:
                lane = Lane.PRIORITY if write.kind == "ALARM" else Lane.ENTITY
                action = "DELETED" if write.body is None else "UPDATED"
                if owner:
                    action = "CREDENTIALS_UPDATED"
                body = self._place_of(write) if write.kind == "ALARM" else b""
                unit.events.append(event_for(self.edge, entity, action, body, lane))

    def _place_of(self, alarm: EntityWrite) -> bytes:
        """The body of an event about an alarm; of one that goes, all of it."""
        if alarm.body is None:
            return self._state.body("ALARM", alarm.id) or b""
        return place_of(msgspec.json.decode(alarm.body))

    async def _look_around(self, batches: Sequence[Batch]) -> None:
        """Know all that was changed here, and what of it the edge has yet to hear.

        The latter only where the edge speaks of what is not here: it is new, or was deleted.
        """
        while True:
            await self._edges.wait_settled()
            if not any(map(self._is_unknown, chain.from_iterable(b.items for b in batches))):
                self._unheard = set()
                return
            self._unheard = await self._sender.unheard()
            if not self._edges.is_changing:
                return

    def _is_unknown(self, item: Item) -> bool:
        if not isinstance(item, EntityUpdate) or item.id is None:
            return isinstance(item, EntityUpdate)
        kind = BY_FIELD.get(item.field)
        return kind is None or self._state.entity(kind.name, item.id) is None

    def _is_leaving(self, entity: EntityId) -> bool:
        """Whether the edge has yet to hear that an entity is gone."""
        return About(entity.type, entity.id, gone=True) in self._unheard

    def _last_relation(self, write: EntityWrite, unit: Unit) -> None:
        body = write.body or self._state.body("RELATION", write.id)
        relation = msgspec.json.decode(body) if body else {}
        source = entity_id_of(relation.get("from"))
        if body is None or source is None or relation.get("typeGroup", "COMMON") != "COMMON":
            return
        action = "RELATION_DELETED" if write.body is None else "RELATION_ADD_OR_UPDATE"
        unit.events.append(relation_event(self.edge, source, action, body))

    def _report(self, taken: Sequence[Applied]) -> None:
        entries = sum(len(points) for applied in taken for _, points in applied.telemetry)
        ignored = sum(len(applied.ignored) + len(applied.passed_over) for applied in taken)
        kept = [name for applied in taken for name in applied.kept]
        self._kept.update(kept)
        self._emit(
            UplinkApplied(
                name=self.name,
                messages=len(taken),
                entries=entries,
                ignored=ignored,
                kept=len(kept),
            )
        )

    # --- sync ---------------------------------------------------------------------------------

    async def sync(self, *, full: bool) -> bool:
        """Queue a sync; False if one still waits to be sent that serves for this one too.

        In pieces, so that memory does not grow with the plant. What a cut leaves half queued is
        harmless: its end is missing, and the edge asks again. One after another, also those of a
        session that has ended: what came in between would be missing in the later one.
        """
        async with self._planning:
            if await self._waits(full=full):
                return False
            events = self._plan.events(self.edge, full=full)
            while piece := list(islice(events, SYNC_PIECE)):
                await self._commit([Unit(events=piece)])
        return True

    async def _waits(self, *, full: bool) -> bool:
        """Whether the end of such a sync is still in the outbox; a full one serves for both."""
        after = None
        while events := await self._storage.pending(
            self.outbox, Lane.ENTITY, after, _LOOK_EVENTS, _LOOK_BYTES
        ):
            for event in events:
                if event.event.action == "SYNC_COMPLETED" and (not full or event.event.body):
                    return True
            after = events[-1].position
        return False

    async def _note(self, values: dict[str, Value]) -> None:
        """Connection attributes of the EDGE entity (§3.4)."""
        edge = EntityId("EDGE", self.edge)
        unit = Unit(attributes=[AttributeWrite(edge, Scope.SERVER, self._clock(), values)])
        self._state.apply(unit)
        try:
            await self._storage.commit([unit])
        except Retryable:
            pass  # a courtesy to the pages; the link itself must go on


def refusal(edges: Edges, hello: Connect) -> tuple[UUID | None, Connected | None]:
    """(edge, None) if the CONNECT is right, else (None, the answer) (§3.2)."""
    body = edges.by_routing_key(hello.routing_key)
    if body is None:
        text = f"Failed to find the edge! Routing key: {hello.routing_key}"
        return None, Connected(1, text, EdgeConfiguration(None, None, None))
    if body["secret"] != hello.secret:
        text = "Failed to validate the edge! The secret is wrong."
        return None, Connected(1, text, EdgeConfiguration(None, None, None))
    return id_of(body["id"]), None
