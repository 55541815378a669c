"""Accepts edges: one session per edge, the last one wins (spec/edge-protocol.md §3.2, §3.4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import trio

from appliance.cloud.activity import Activity
from appliance.cloud.calls import Calls
from appliance.cloud.latest import LatestValues
from appliance.cloud.registry import ASSIGNABLE, Edges
from appliance.cloud.rules import CloudRules
from appliance.cloud.session import EdgeSession, refusal
from appliance.cloud.session_events import EdgeRefused
from appliance.cloud.sync import SyncPlan
from appliance.cloud.versions import NEWEST, fitting, version_of
from appliance.extension.ports import Link, LinkClosed, Storage, Transport
from appliance.kernel.clock import Clock
from appliance.kernel.events import Emit
from appliance.model.ids import EntityId
from appliance.model.telemetry import Scope
from appliance.state.owed import Owed
from appliance.state.store import State
from appliance.sync.mapping import Mapper
from appliance.sync.messages import Connect, Frame
from appliance.sync.outgoing import OutgoingLimits
from appliance.sync.sender import Sender

_OF_SOME_EDGES = frozenset({"CALCULATED_FIELD", "CUSTOMER", "USER"})
"""Kinds that an edge has for what they belong to."""
CONNECT_S = 30.0
"""A peer that says nothing for so long is not an edge."""


_OWNERS = {"DEVICE_CREDENTIALS": "DEVICE", "RULE_CHAIN_METADATA": "RULE_CHAIN"}


class ShownToEdge:
    """Entities as one edge shall see them (sync.mapping.Bodies)."""

    def __init__(self, state: State, edges: Edges, edge: UUID) -> None:
        self._state = state
        self._edges = edges
        self._edge = edge

    def shown(self, kind: str, id: UUID) -> dict[str, Any] | None:
        """See Bodies: a chain is root if it is *this* edge's root (§8.4).

        What is not assigned any more is not shown: the edge would take it for new.
        """
        owner = _OWNERS.get(kind, kind)
        if owner in ASSIGNABLE and not self._edges.has(self._edge, EntityId(owner, id)):
            return None
        body = self._state.entity(kind, id)
        if body is not None and kind == "EDGE":
            return {**body, "cloudType": self._edges.cloud_type}
        if body is not None and kind == "RULE_CHAIN":
            edge = self._state.entity("EDGE", self._edge) or {}
            root = edge.get("rootRuleChainId") or {}
            return {**body, "root": root.get("id") == str(id)}
        if body is None or (kind in _OF_SOME_EDGES and not self._is_for(EntityId(kind, id), body)):
            return None
        return fitting(kind, body, self._version())

    def _is_for(self, entity: EntityId, body: dict[str, Any]) -> bool:
        """Whether the edge is to have it: a sync may be stored behind the word that takes it."""
        return self._edge in self._edges.edges_with(entity, body)

    def is_known(self, kind: str, id: UUID) -> bool:
        """See Bodies: an alarm of the edge was found to be this one. Said to be new, and over by
        now, it would be another one there."""
        return kind == "ALARM" and any(self._state.owned("ALARM_ALIAS", id))

    def other_names(self, kind: str, id: UUID) -> Iterable[UUID]:
        """See Bodies: an edge hears of every alarm by our name."""
        return ()

    def deleted_ms(self, entity: EntityId, scope: Scope, key: str) -> int | None:
        """See Bodies: an edge may have got the entity anew meanwhile."""
        return self._state.deleted_ms(entity, scope, key)

    def _version(self) -> tuple[int, ...]:
        """The edge's, as it said itself when it connected last."""
        told = self._state.attributes(EntityId("EDGE", self._edge), Scope.SERVER)
        return version_of(told["edgeVersion"].value) if "edgeVersion" in told else NEWEST


class EdgeService:
    """The cloud's listening side; a Component."""

    def __init__(
        self,
        transport: Transport,
        storage: Storage,
        owed: Owed,
        state: State,
        edges: Edges,
        calls: Calls,
        rules: CloudRules,
        activity: Activity,
        limits: OutgoingLimits,
        clock: Clock,
        emit: Emit,
    ) -> None:
        self._transport = transport
        self._storage = storage
        self._owed = owed
        self._state = state
        self._edges = edges
        self._calls = calls
        self._rules = rules
        self._activity = activity
        self._limits = limits
        self._clock = clock
        self._emit = emit
        self._plan = SyncPlan(state, edges)
        self._latest = LatestValues(storage)
        self._planning: dict[UUID, trio.Lock] = {}
        self._senders: dict[UUID, Sender] = {}
        self.sessions: dict[UUID, EdgeSession] = {}
        self.kept: dict[UUID, Counter[str]] = {}
        """Per edge what came and is kept without being used, by field, since the start."""
        self.port = 0

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Accept edges until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._latest.run)
            nursery.start_soon(self._owed.run)
            await nursery.start(self._activity.run)
            self.port = await nursery.start(self._transport.serve, self._handle)
            task_status.started()

    async def _handle(self, link: Link) -> None:
        hello, rest = await self._hello(link)
        edge, answer = refusal(self._edges, hello)
        if edge is None or answer is not None:
            assert answer is not None
            await link.send([answer])
            self._emit(EdgeRefused(peer=link.peer, reason=answer.error))
            raise LinkClosed(answer.error, "UNKNOWN")
        old = self.sessions.get(edge)
        session = self.sessions[edge] = self._session(edge)
        try:
            if old is not None:
                await old.replace()
            await session.serve(link, hello, rest)
        finally:
            session.ended.set()
            if self.sessions.get(edge) is session:
                del self.sessions[edge]
                self._latest.forget(edge)

    async def _hello(self, link: Link) -> tuple[Connect, list[Frame]]:
        """The CONNECT; until it comes everything else is ignored (§3.2)."""
        with trio.move_on_after(CONNECT_S):
            while True:
                frames = list(await link.receive())
                for index, frame in enumerate(frames):
                    if isinstance(frame, Connect):
                        return frame, frames[index + 1 :]
        reason = f"no CONNECT within {CONNECT_S:g} s"
        self._emit(EdgeRefused(peer=link.peer, reason=reason))
        raise LinkClosed(reason, "DEADLINE_EXCEEDED")

    def _sender(self, edge: UUID) -> Sender:
        """One for all sessions of an edge: it remembers what broke their links."""
        if edge not in self._senders:
            itemize = Mapper(ShownToEdge(self._state, self._edges, edge)).items
            sender = Sender(self._storage, str(edge), itemize, self._limits, self._emit)
            self._senders[edge] = sender
        return self._senders[edge]

    def _session(self, edge: UUID) -> EdgeSession:
        return EdgeSession(
            edge,
            self._storage,
            self._owed,
            self._state,
            self._edges,
            self._plan,
            self._latest,
            self._activity,
            self._rules,
            self._calls,
            self._sender(edge),
            self._planning.setdefault(edge, trio.Lock()),
            self.kept.setdefault(edge, Counter()),
            self._clock,
            self._emit,
        )
