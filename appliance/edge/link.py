"""The edge's connection to its cloud: connect, handshake, sync, receive, for ever.

States: disconnected → connecting → connected → (link ends) → reconnecting → …; for the waits see
reconnect.py.

After every reconnect a partial sync is asked for, and attributes of every device after it: that
is what a real edge loses without (traces 12 and 17).

A server never refuses a version, it calls it UNRECOGNIZED in an attribute of the edge, which the
edge asks for after every handshake; then the link is made anew with an older one. Tried once per
start from the configured version on, so that an upgraded server gets the newer one again.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from uuid import UUID

import msgspec
import trio

from appliance.edge.configuration import refusal
from appliance.edge.credentials import revoked
from appliance.edge.echo import told
from appliance.edge.fullsync import OWNER, FullSync, Origin, Unassigned, marked
from appliance.edge.identity import STATE_OWNER, Identity, Refused
from appliance.edge.link_events import (
    CloudConnected,
    CloudDisconnected,
    DownlinkApplied,
    DownlinkIgnored,
    DownlinkRefused,
    EntitiesUnassigned,
    SyncFinished,
    VersionLowered,
)
from appliance.edge.policy import ORDER, EdgePolicy, answers, request, retold
from appliance.edge.processor import Processor
from appliance.edge.reconnect import UNRECOGNIZED, V_3_9_0, Backoff, older_version
from appliance.edge.services import EdgeServices
from appliance.edge.sessions import Sessions
from appliance.extension.ports import Link, LinkClosed, Storage, Transport
from appliance.kernel.clock import Clock
from appliance.kernel.events import Emit
from appliance.model.errors import ConfigError, Permanent, Retryable, first_plain
from appliance.model.ids import EntityId
from appliance.model.message import Message
from appliance.model.unit import CLOUD, EntityWrite, Lane, StateWrite, Unit
from appliance.state.kinds import BY_NAME
from appliance.state.store import State
from appliance.sync.incoming import Applied, digest
from appliance.sync.messages import (
    Ack,
    Attributes,
    Batch,
    Connect,
    Connected,
    EdgeConfiguration,
    EdgeUpdate,
    Frame,
    Item,
    RpcCall,
    SyncRequest,
)
from appliance.sync.packing import About
from appliance.sync.sender import Sender
from appliance.sync.turns import in_turns
from appliance.sync.wire import decode_attributes

SHOWN_MAX = 10
CONNECTED_EVERY_S = 300.0
"""Far below any outage worth a full sync, far above what a disk would notice."""
HANDSHAKE_S = 20.0
"""A server answers a CONNECT within a second; a busy one within a few."""
VERSION_S = 10.0
"""What the server thinks of our version counts if it still says so after this time; an answer that
was on its way from the link before has been overtaken by then."""
REQUESTS_MAX = 1000
"""Follow-up requests that may wait; beyond, those of an earlier reconnect are still unanswered."""
_POLITE = " in good order (it stops, or another appliance has come with the same routing key)"


class LinkSettings(msgspec.Struct, frozen=True, kw_only=True):
    """See the configuration section [cloud]."""

    routing_key: str
    secret: str
    version: int = 13
    reconnect_interval_s: float = 3.0
    reconnect_interval_s_max: float = 60.0
    adopt: bool = False
    unassigned: Unassigned = "remove"
    full_sync_after_outage_s: float = 3600.0


class LinkStatus(msgspec.Struct):
    """For /status: what an operator asks first."""

    state: str = "disconnected"
    since_ms: int = 0
    peer: str = ""
    last_error: str = ""
    connects: int = 0
    syncing: bool = False
    last_sync_ms: int | None = None
    kept: dict[str, int] = {}
    """What came and is kept without being used, by field: how often since the start."""


class CloudLink:
    """Keeps the edge connected; a Component."""

    def __init__(
        self,
        settings: LinkSettings,
        transport: Transport,
        storage: Storage,
        state: State,
        processor: Processor,
        services: EdgeServices,
        sessions: Sessions,
        sender: Sender,
        clock: Clock,
        emit: Emit,
    ) -> None:
        self._settings = settings
        self._transport = transport
        self._storage = storage
        self._state = state
        self._processor = processor
        self._services = services
        self._sessions = sessions
        self._sender = sender
        self._clock = clock
        self._emit = emit
        self._policy = EdgePolicy(state, clock)
        self.status = LinkStatus()
        self._full = FullSync(settings.full_sync_after_outage_s)
        self.identity = Identity(
            storage, state, processor, sessions, self._full, clock, emit, adopts=settings.adopt
        )
        self._link: Link | None = None
        self._devices_before: list[UUID] = []
        self._version = settings.version
        self._version_told = ""
        self._connected_s = 0.0
        self._sync_began_s = 0.0
        self._sync_messages = 0

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Connect again and again until cancelled."""
        await self._restore()
        task_status.started()
        settings = self._settings
        backoff = Backoff(settings.reconnect_interval_s, settings.reconnect_interval_s_max)
        while True:
            error = await self._live()
            polite = isinstance(error, LinkClosed) and error.status == "OK"
            if self.status.state == "connected":
                backoff.accepted(trio.current_time() - self._connected_s, polite=polite)
            reason = f"{error}{_POLITE if polite else ''}"
            await self._lost(reason, backoff.wait_s(random.random()))

    async def _live(self) -> BaseException:
        """One link from its beginning to its end; what ended it."""
        self._enter("reconnecting" if self.status.connects else "connecting")
        try:
            async with self._transport.connect() as link:
                await self._serve(link)
        except* (LinkClosed, Retryable, ConfigError, Refused) as group:
            error = first_plain(group)
        return error

    async def drain(self) -> None:
        """Wait until everything durable has reached the cloud, or for ever while it is away."""
        while self.status.state == "connected" and any(
            self._storage.depth(CLOUD, lane).pending for lane in Lane
        ):
            await trio.sleep(0.05)

    async def _restore(self) -> None:
        self.identity.load(await self._storage.load_states(STATE_OWNER))
        self._full.load(await self._storage.load_states(OWNER))
        self._processor.origin.load(await self._storage.load_states(Origin.owner))

    def _enter(self, state: str) -> None:
        if self.status.state != state:
            self.status.state = state
            self.status.since_ms = self._clock()

    async def _lost(self, reason: str, wait_s: float) -> None:
        self.status.last_error = reason
        if self.status.state == "connected":
            await self.identity.note({"active": False, "lastDisconnectTime": self._clock()})
        self._enter("reconnecting")
        self._link = None
        self.status.syncing = False
        self._emit(CloudDisconnected(reason=reason, wait_s=wait_s))
        await trio.sleep(wait_s)

    # --- one link -----------------------------------------------------------------------------

    async def _serve(self, link: Link) -> None:
        connected, rest = await self._handshake(link)
        self.status.peer = link.peer
        self.status.connects += 1
        self._enter("connected")
        self._connected_s = trio.current_time()
        assert connected.configuration is not None
        await self.identity.adopt(connected.configuration)
        await self._configure(connected.configuration)
        now_ms = self._clock()
        await self._keep(self._full.connected(now_ms))
        await self.identity.note({"active": True, "lastConnectTime": now_ms})
        self._emit(CloudConnected(peer=link.peer, name=connected.configuration.name))
        self._link = link
        await self._request_sync(link)
        self._version_told = ""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._receive, link, rest)
            nursery.start_soon(self._sender.run, link, connected.max_inbound_bytes)
            nursery.start_soon(self._check_version)
            nursery.start_soon(self._stay_connected)

    async def _stay_connected(self) -> None:
        """Note now and then that the link is there, so that a crash does not hide an outage.

        A sync that fell silent for as long has died on the server, which then refuses another one
        until it is told to forget the first (§4.1).
        """
        while True:
            heard = self._sync_messages
            await trio.sleep(CONNECTED_EVERY_S)
            await self._keep(self._full.connected(self._clock()))
            if self.status.syncing and self._sync_messages == heard and self._link is not None:
                await self._link.send([SyncRequest(full=None)])
                await self._request_sync(self._link)

    async def _handshake(self, link: Link) -> tuple[Connected, Sequence[Frame]]:
        settings = self._settings
        limit = link.inbound_bytes_max
        hello = Connect(settings.routing_key, settings.secret, self._version, limit)
        with trio.move_on_after(HANDSHAKE_S):
            await link.send([hello])
            while True:
                frames = await link.receive()
                for index, frame in enumerate(frames):
                    if isinstance(frame, Connected):
                        if frame.code != 0 or frame.configuration is None:
                            raise Refused(refusal(frame))
                        return frame, frames[index + 1 :]
        raise Refused(f"{link.peer} did not answer the CONNECT within {HANDSHAKE_S:g} s")

    def _note_version(self, items: Sequence[Item]) -> None:
        """Whatever came last counts, be it old news to the state."""
        for item in items:
            if isinstance(item, Attributes) and item.entity.id == self.identity.edge_id:
                told = decode_attributes(item.values).get("edgeVersion", self._version_told)
                self._version_told = str(told)

    async def _check_version(self) -> None:
        """Again and again: a server answers behind its sync, which may take minutes."""
        before = ""
        while True:
            await trio.sleep(VERSION_S)
            older = older_version(self._version)
            if before == self._version_told == UNRECOGNIZED and older is not None:
                self._emit(VersionLowered(announced=self._version, next=older))
                self._version = older
                raise LinkClosed("to announce an older version")
            before = self._version_told

    async def _request_sync(self, link: Link) -> None:
        self.status.syncing = True
        self._sync_began_s = trio.current_time()
        self._sync_messages = 0
        self._devices_before = self._state.ids("DEVICE")
        self._full.begin()
        old = self._version <= V_3_9_0
        await link.send([SyncRequest(full=self._full.owed, required=old)])

    async def request_full_sync(self) -> None:
        """Ask the server for everything: now, after the sync that runs, or with the next link."""
        await self._keep(self._full.ask())
        try:
            await self._sync_if_owed()
        except LinkClosed:
            pass  # it is owed, and the next link asks for it

    async def _sync_if_owed(self) -> None:
        if self._full.owed and self._link is not None and not self.status.syncing:
            await self._request_sync(self._link)

    async def _keep(self, states: list[StateWrite]) -> None:
        if states:
            await self._processor.commit_received([Unit(states=states)])

    # --- receiving ----------------------------------------------------------------------------

    async def _receive(self, link: Link, frames: Sequence[Frame]) -> None:
        while True:
            for turn in in_turns(frames):
                match turn:
                    case list():
                        await self._take(link, turn)
                    case Ack():
                        self._sender.on_ack(turn)
                    case EdgeUpdate(configuration):
                        await self._configure(configuration)
            frames = await link.receive()

    async def _take(self, link: Link, batches: Sequence[Batch]) -> None:
        """Apply, make durable, tell rules and devices, acknowledge.

        Told before: should the link break now, what comes again is a repeat that nobody is told of.
        """
        applied: list[Applied] = []
        ended: list[tuple[UUID, str]] = []
        told_gateways: list[RpcCall] = []
        acks: list[Ack] = []
        self._policy.unheard = await self._unheard()
        for batch in batches:
            self._full.note(batch.items)
            try:
                one = digest(batch.items, self._state, self._policy, self._clock(), ORDER)
            except Permanent as error:
                self._emit(DownlinkRefused(reason=str(error)))
                acks.append(Ack(batch.id, False, str(error)))
                continue
            one.unit.events.extend(answers(one.requests))
            self._services.keep(one.calls, one.unit)
            one.unit.events.extend(retold(one, self._state))
            self._note_version(batch.items)
            ended += revoked(one.unit, self._state)
            told_gateways += self._services.tell_gateways(one.unit)
            self._processor.origin.came_down(one.unit, batch.items)
            self._state.apply(one.unit)
            applied.append(one)
            acks.append(Ack(batch.id, True))
        units = [one.unit for one in applied if one.unit]
        if units:
            await self._processor.commit_received(units)
        messages = [m for one in applied for m in await told(one, self._state, self._storage)]
        if messages:
            await self._run_messages(messages)
        for device, reason in ended:
            self._sessions.close(device, reason)
        for one in applied:
            self._tell(one)
        self._services.ask(told_gateways)
        await link.send(acks)
        for one in applied:
            await self._after(one)
        kept = sum(self._count_kept(one.kept) for one in applied)
        self._emit(DownlinkApplied(count=len(applied), kept=kept))

    async def _unheard(self) -> set[About]:
        """What was changed here and the cloud has not acknowledged, durable or not.

        What is durable is read; a change in the meantime might be found neither before nor there.
        """
        while True:
            changes, untold = self._processor.changes, self._processor.untold()
            unheard = await self._sender.unheard()
            if changes == self._processor.changes:
                return untold | unheard

    def _count_kept(self, names: Sequence[str]) -> int:
        for name in names:
            self.status.kept[name] = self.status.kept.get(name, 0) + 1
        return len(names)

    async def _run_messages(self, messages: Sequence[Message]) -> None:
        while True:
            try:
                await self._processor.process(messages)
                return
            except Retryable as error:
                await trio.sleep(error.retry_after_s)

    def _tell(self, applied: Applied) -> None:
        for notice in applied.notices:
            self._sessions.notify_attributes(notice.device.id, notice.updated, notice.deleted)
        for call in applied.calls:
            self._services.call_from_cloud(call)

    async def _after(self, applied: Applied) -> None:
        self._sync_messages += 1
        for what in (*applied.ignored, *applied.passed_over):
            self._emit(DownlinkIgnored(what=what))
        if applied.ignored:  # the server thinks that we have more than we do
            await self._keep(self._full.automatic(self._clock()))
            await self._sync_if_owed()
        if applied.configuration is not None:
            await self._reconfigure(applied.configuration)
        if applied.sync_completed:
            await self._sync_completed()

    async def _sync_completed(self) -> None:
        unit = Unit(states=self._full.complete())
        self._put_away(unit)
        tenant = EntityId("TENANT", self._state.tenant_id)
        unit.events.append(request(tenant, "ATTRIBUTES_REQUEST"))
        known = self.identity.configuration
        customer = known.customer_id if known else None
        if customer is not None and self._state.entity("CUSTOMER", customer) is not None:
            unit.events.append(request(EntityId("CUSTOMER", customer), "ATTRIBUTES_REQUEST"))
        if self._storage.depth(CLOUD, Lane.ENTITY).pending < REQUESTS_MAX:
            for device in self._devices_before:
                unit.events.append(request(EntityId("DEVICE", device), "ATTRIBUTES_REQUEST"))
        await self._processor.commit_received([unit])
        self.status.syncing = False
        self.status.last_sync_ms = self._clock()
        seconds = trio.current_time() - self._sync_began_s
        self._emit(SyncFinished(seconds=seconds, messages=self._sync_messages))
        await self._sync_if_owed()

    def _put_away(self, unit: Unit) -> None:
        """What the full sync showed to be unassigned goes, or is marked (§11.19)."""
        gone = self._full.unassigned(self._state, self._processor.origin)
        if not gone or self._settings.unassigned == "keep":
            return
        if self._settings.unassigned == "mark":
            for entity, body in marked(self._state, gone):
                unit.entities.append(EntityWrite(entity.type, entity.id, body))
        else:
            applied = Applied(unit=unit)
            for entity in gone:
                self._policy.remove(BY_NAME[entity.type], entity.id, None, applied)
        ended = list(revoked(unit, self._state))
        told_gateways = self._services.tell_gateways(unit)
        self._state.apply(unit)
        for device, reason in ended:
            self._sessions.close(device, reason)
        self._services.ask(told_gateways)
        shown = ", ".join(str(entity) for entity in gone[:SHOWN_MAX])
        self._emit(EntitiesUnassigned(count=len(gone), what=shown))

    async def _reconfigure(self, configuration: EdgeConfiguration) -> None:
        """A new customer brings what is his with a sync (§7.5)."""
        before = self.identity.configuration
        await self._configure(configuration)
        same = before is not None and before.customer_id == configuration.customer_id
        if not same and self._link is not None and not self.status.syncing:
            await self._request_sync(self._link)

    async def _configure(self, configuration: EdgeConfiguration) -> None:
        await self.identity.take(configuration, while_connected=self._link is not None)
