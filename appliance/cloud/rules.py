"""The rule engine on the cloud: the tenant's own chains, where there are any.

A new cloud has none, and needs none: what edges send is stored, and attributes reach the other
side, without rules. Chains of type CORE, made over REST, run in addition: over what edges send, and
over what people change. A node "push to edge" sends a message to the edges that have its
originator; what the cloud has told an edge by itself already is not said again, nor is a row stored
twice that a "save" node repeats. Calculated fields run on edges only.

A message from an edge runs before the edge's acknowledgement, and its effects are in the same unit.
Where a node waits for something outside, the message is finished on its own, so that the link does
not wait: then its effects are a unit of their own, and a crash in between loses them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar
from uuid import UUID

import msgspec
import trio

from appliance.cloud.calls import CallEnd, Calls
from appliance.cloud.registry import Edges, rpc_event
from appliance.cloud.telling import Telling
from appliance.extension.ports import Storage
from appliance.kernel.clock import Clock
from appliance.kernel.events import Emit, Event
from appliance.kernel.wakeup import Wakeup
from appliance.model.errors import Retryable
from appliance.model.ids import EntityId
from appliance.model.message import Message
from appliance.model.telemetry import Scope, Value
from appliance.model.unit import OutboxEvent, Unit
from appliance.rules.engine import RuleEngine
from appliance.rules.node import NodeFactory
from appliance.rules.ports import CalculationInput, RpcOutcome, RpcToDevice, Task
from appliance.rules.work import Work
from appliance.state.owed import Owed
from appliance.state.store import State
from appliance.sync.messages import RpcCall
from appliance.web.commands import RpcCommand
from appliance.web.rpc_forms import rpc_call

JOBS_MAX = 10_000
"""Messages and tasks that may wait for their turn: some seconds of work."""
UNFINISHED_MAX = 1_000
"""Messages whose nodes wait at once; beyond, the link that brings more waits, too."""

Job = Callable[[], Awaitable[None]]


class CloudRuleFailed(Event, frozen=True):
    """A message, or a chain, that the tenant's rules could not do anything with."""

    level: ClassVar[str] = "warning"
    text: ClassVar[str] = "rules: {what}: {reason}"
    counters: ClassVar[dict[str, str]] = {"cloud_rule_failures": ""}
    what: str
    reason: str


class CloudRules:
    """Runs the tenant's chains; a Component, and the RuleServices of its engine."""

    def __init__(
        self,
        state: State,
        storage: Storage,
        owed: Owed,
        edges: Edges,
        calls: Calls,
        factories: Mapping[str, NodeFactory[Any]],
        clock: Clock,
        emit: Emit,
    ) -> None:
        self.engine = RuleEngine(state, storage, clock, emit, self, factories, announces=False)
        self._state = state
        self._owed = owed
        self._edges = edges
        self._calls = calls
        self._emit = emit
        self._telling = Telling(state, edges)
        self._changed: set[UUID] = set()
        self._wakeup = Wakeup()
        self._jobs_in, self._jobs = trio.open_memory_channel[Job](JOBS_MAX)
        self._unfinished = trio.CapacityLimiter(UNFINISHED_MAX)
        self._nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Load the chains, follow their changes and run what waits, until cancelled."""
        await self.engine.restore()
        for chain in self._state.ids("RULE_CHAIN"):
            self._load(chain)
        self._state.watch(self._note)
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._follow_chains)
            await nursery.start(self.engine.run)
            task_status.started()
            async for job in self._jobs:
                await job()

    # --- chains -------------------------------------------------------------------------------

    def _note(self, kind: str, id: UUID, body: dict[str, Any] | None) -> None:
        if kind in ("RULE_CHAIN", "RULE_CHAIN_METADATA"):
            self._changed.add(id)
            self._wakeup.set()

    async def _follow_chains(self) -> None:
        while True:
            await self._wakeup.wait()
            changed, self._changed = self._changed, set()
            for chain in changed:
                self._load(chain)

    def _load(self, id: UUID) -> None:
        """Chains of type EDGE are for edges; here only the tenant's own run."""
        chain = self._state.entity("RULE_CHAIN", id)
        metadata = self._state.entity("RULE_CHAIN_METADATA", id)
        if chain is None or chain.get("type") != "CORE":
            self.engine.remove_chain(id)
        elif metadata is not None:
            try:
                self.engine.load_chain(chain, metadata)
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                self._emit(CloudRuleFailed(what=f"chain {id} is none", reason=repr(error)))

    # --- messages -----------------------------------------------------------------------------

    @property
    def active(self) -> bool:
        """Whether there are any rules."""
        return bool(self.engine.chains())

    async def through(self, messages: Iterable[Message], unit: Unit) -> list[Callable[[], None]]:
        """Run messages about a unit that the state has; what they cause joins the unit.

        Returns what is to be called once the unit is durable.
        """
        after: list[Callable[[], None]] = []
        stored = {(series.entity, series.ts): series.values for series in unit.series}
        for message in messages:
            work = Work()
            rest = self.engine.process(message, work)
            if rest is not None:
                await self._finish_later(rest, message, work)
                continue
            self._ended(message, work)
            _merge(unit, work.unit, stored)
            after += work.after
        return after

    def follow(self, messages: Sequence[Message], said: Sequence[OutboxEvent]) -> None:
        """Run messages soon, about what is durable. said: what edges were told of it already."""
        if messages and self.active:
            try:
                self._jobs_in.send_nowait(partial(self._follow, messages, list(said)))
            except trio.WouldBlock:
                reason = f"{JOBS_MAX} others wait already"
                for message in messages:
                    self._emit(CloudRuleFailed(what=_name(message), reason=reason))

    async def _follow(self, messages: Sequence[Message], said: Sequence[OutboxEvent]) -> None:
        unit = Unit(events=list(said))
        after = await self.through(messages, unit)
        unit.events = unit.events[len(said) :]
        await self._commit(unit, after)

    async def _finish_later(self, rest: Awaitable[None], message: Message, work: Work) -> None:
        assert self._nursery is not None, "chains are loaded by run only"
        token = object()
        await self._unfinished.acquire_on_behalf_of(token)
        self._nursery.start_soon(self._finish, rest, message, work, token)

    async def _finish(
        self, rest: Awaitable[None], message: Message, work: Work, token: object
    ) -> None:
        try:
            await rest
            self._ended(message, work)
            await self._commit(work.unit, work.after)
        finally:
            self._unfinished.release_on_behalf_of(token)

    def _ended(self, message: Message, work: Work) -> None:
        """Tell the edges of what the rules changed, once where a push node did, too."""
        if work.failure is not None:
            self._emit(CloudRuleFailed(what=_name(message), reason=work.failure))
        self._take_over(work.unit)

    def _take_over(self, unit: Unit) -> None:
        pushed, unit.events = unit.events, []
        self._telling.tell_all(unit)
        unit.events += _unsaid(pushed, unit.events)
        self._state.apply(unit)

    async def _commit(self, unit: Unit, after: Iterable[Callable[[], None]]) -> None:
        if unit:
            await self._owed.commit([unit])
        for call in after:
            call()

    # --- what nodes ask of the role (rules.ports.RuleServices) ----------------------------------

    def submit(self, task: Task) -> None:
        """See RuleServices."""
        try:
            self._jobs_in.send_nowait(partial(self._run_task, task))
        except trio.WouldBlock:
            raise Retryable(f"{JOBS_MAX} tasks of rule nodes wait already") from None

    async def _run_task(self, task: Task) -> None:
        work = Work()
        rest = task(work)
        if rest is not None:
            await rest
        self._take_over(work.unit)
        await self._commit(work.unit, work.after)

    def rpc_to_device(self, request: RpcToDevice, done: Callable[[RpcOutcome], None]) -> None:
        """See RuleServices. Goes to the edge that has the device."""
        edges = self._edges.edges_with(request.device)
        if not edges or self._nursery is None:
            done(RpcOutcome(error="NO_ACTIVE_CONNECTION"))
            return
        self._nursery.start_soon(self._ask, edges[0], request, done)

    async def _ask(
        self, edge: UUID, request: RpcToDevice, done: Callable[[RpcOutcome], None]
    ) -> None:
        command = RpcCommand(
            method=request.method,
            params=request.params,
            oneway=request.oneway,
            expires_ms=request.expires_ms,
            request_uuid=request.request_uuid,
            retries=request.retries,
            additional_info=request.additional_info,
        )
        call = rpc_call(request.device.id, command)
        try:
            if request.persistent:
                await self._calls.keep(edge, call)
                done(RpcOutcome(reply={"rpcId": str(request.request_uuid)}))
            else:
                done(_outcome(await self._calls.call(edge, call), oneway=request.oneway))
        except Retryable as error:
            done(RpcOutcome(error=str(error)))

    def reply_to_device(
        self, device: EntityId, service_id: str, session_id: str, request_id: int, body: str
    ) -> None:
        """See RuleServices. Every edge that has the device is told; the one that asked knows."""
        answer = RpcCall(
            device.id,
            None,
            request_id,
            response=body,
            service_id=service_id,
            session_id=session_id,
        )
        unit = Unit(events=[rpc_event(edge, answer) for edge in self._edges.edges_with(device)])
        try:
            self._jobs_in.send_nowait(partial(self._commit, unit, ()))
        except trio.WouldBlock:
            reason = f"{JOBS_MAX} others wait already"
            self._emit(CloudRuleFailed(what=f"answer to {device}", reason=reason))

    def reply_to_rest(self, service_id: str, request_uuid: UUID, message: Message) -> None:
        """See RuleServices. No REST call waits for rules here."""

    def notify_attributes(
        self,
        entity: EntityId,
        scope: Scope,
        updated: Mapping[str, Value],
        deleted: Sequence[str],
    ) -> None:
        """See RuleServices. The edges are told, and tell the device."""

    def device_event(self, device: EntityId, event: str, ts: int) -> None:
        """See RuleServices. Edges say whether their devices are active."""

    def calculate(self, values: CalculationInput, work: Work) -> None:
        """See RuleServices. Edges calculate."""


def _outcome(end: CallEnd, *, oneway: bool) -> RpcOutcome:
    if end.error is not None:
        return RpcOutcome(error=end.error)
    return RpcOutcome(reply={} if oneway else msgspec.json.decode(end.response or "null"))


def _name(message: Message) -> str:
    return f"{message.type} of {message.originator}"


def _merge(unit: Unit, more: Unit, stored: Mapping[tuple[EntityId, int], dict[str, Value]]) -> None:
    """Add effects, but rows and events that are there already."""
    unit.series += [s for s in more.series if stored.get((s.entity, s.ts)) != s.values]
    unit.attributes += more.attributes
    unit.entities += more.entities
    unit.states += more.states
    unit.events += _unsaid(more.events, unit.events)


def _unsaid(events: Sequence[OutboxEvent], said: Sequence[OutboxEvent]) -> list[OutboxEvent]:
    if not events or not said:
        return list(events)
    known = {_meaning(event) for event in said}
    return [event for event in events if _meaning(event) not in known]


def _meaning(event: OutboxEvent) -> Hashable:
    """What an event says, whatever its time and the order of its members."""
    body: Hashable = event.body
    if event.action in ("ATTRIBUTES_UPDATED", "ATTRIBUTES_DELETED"):
        parsed = msgspec.json.decode(event.body)
        said = [parsed.get(name) for name in ("scope", "kv", "keys")]
        body = msgspec.json.encode(said, order="deterministic")
    return event.outbox, event.type, event.action, event.entity, body
