"""An engine that nothing outlives: chains are tried on real state and history, effects are kept.

Time is the rehearsal's own: it stands still until `advance`, and timers of nodes fire as it moves.
Nodes that speak with other systems (`NodeFactory.outside`) are passed over by Success unless
asked otherwise. What nodes kept in earlier runs of the appliance is not taken up: a rehearsal
begins with fresh nodes. A request to a device is noted and never answered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from appliance.extension.ports import SeriesQuery
from appliance.kernel.events import ignore
from appliance.model.errors import Retryable
from appliance.model.ids import EntityId
from appliance.model.message import Message
from appliance.model.telemetry import Scope, Value
from appliance.rules.chain_file import ChainJson, chain_id
from appliance.rules.compile import CompiledChain
from appliance.rules.context import Context
from appliance.rules.engine import RuleEngine
from appliance.rules.node import NodeConfig, NodeFactory
from appliance.rules.ports import CalculationInput, History, RpcOutcome, RpcToDevice, Task
from appliance.rules.work import Work
from appliance.state.store import State

TASKS_MAX = 100_000
"""Tasks that one moment may cause; a chain that feeds itself ends here."""


class Effect(msgspec.Struct, frozen=True):
    """Something that would have been done beside the unit of work."""

    kind: str
    text: str


class PassedOver:
    """Stands for a node that speaks with other systems."""

    def process(self, message: Message, ctx: Context) -> None:
        """Success, as if it had gone well."""
        ctx.success(message)


class NoHistory:
    """The history of an edge that has just been made."""

    async def load_states(self, owner: str) -> dict[str, bytes]:
        """See History."""
        return {}

    async def query_series(self, query: SeriesQuery) -> dict[str, list[tuple[int, Value]]]:
        """See History."""
        return {}

    async def latest(
        self, entity: EntityId, keys: Sequence[str] | None = None
    ) -> dict[str, tuple[int, Value]]:
        """See History."""
        return {}


class Noted:
    """RuleServices that notes effects and keeps tasks."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []
        self.effects: list[Effect] = []

    def submit(self, task: Task) -> None:
        """See RuleServices."""
        if len(self.tasks) >= TASKS_MAX:
            raise Retryable(f"{TASKS_MAX} tasks of rule nodes wait already")
        self.tasks.append(task)

    def rpc_to_device(self, request: RpcToDevice, done: Callable[[RpcOutcome], None]) -> None:
        """See RuleServices."""
        self._note("request to device", f"{request.device} {request.method}")

    def reply_to_device(
        self, device: EntityId, service_id: str, session_id: str, request_id: int, body: str
    ) -> None:
        """See RuleServices."""
        self._note("reply to device", f"{device} {body}")

    def reply_to_rest(self, service_id: str, request_uuid: UUID, message: Message) -> None:
        """See RuleServices."""
        self._note("reply to REST", str(request_uuid))

    def notify_attributes(
        self,
        entity: EntityId,
        scope: Scope,
        updated: Mapping[str, Value],
        deleted: Sequence[str],
    ) -> None:
        """See RuleServices."""
        self._note("attributes to device", f"{entity} {', '.join([*updated, *deleted])}")

    def device_event(self, device: EntityId, event: str, ts: int) -> None:
        """See RuleServices."""
        self._note("device event", f"{device} {event}")

    def calculate(self, values: CalculationInput, work: Work) -> None:
        """See RuleServices. Calculated fields are not rehearsed."""

    def _note(self, kind: str, text: str) -> None:
        self.effects.append(Effect(kind, text))


class Rehearsal:
    """Chains, a state that changes as messages run, and a clock that is moved by hand."""

    def __init__(
        self,
        factories: Mapping[str, NodeFactory[Any]],
        state: State,
        history: History,
        now_ms: int,
        *,
        outside: bool = False,
    ) -> None:
        """outside: let nodes speak with other systems."""
        self.state = state
        self.services = Noted()
        self.now_ms = now_ms
        known = factories if outside else {t: _passed_over(f) for t, f in factories.items()}
        self.engine = RuleEngine(state, history, lambda: self.now_ms, ignore, self.services, known)

    def load(self, chain: ChainJson) -> CompiledChain:
        """Load a chain; it becomes the root chain where its `root` says so."""
        self.engine.load_chain(*chain)
        loaded = self.engine.chain(chain_id(chain))
        assert loaded is not None, "a chain that was just loaded is there"
        return loaded

    async def run(self, message: Message) -> list[Work]:
        """Run a message, and what it submits at once; the message's own work comes first."""
        first = await self._do(lambda work: self.engine.process(message, work))
        return [first, *await self._settle()]

    async def run_in(self, chain: CompiledChain, message: Message) -> list[Work]:
        """As `run`, in this chain, whatever the originator's profile or the root chain is."""
        first = chain.first
        if first is None:
            return [Work()]
        work = await self._do(lambda work: self.engine.process_at(first, message, work))
        return [work, *await self._settle()]

    async def advance(self, to_ms: int) -> list[Work]:
        """Let time pass, timer by timer; the works that came of it."""
        works: list[Work] = []
        timers = self.engine.timers
        while (due := timers.next_due_ms()) is not None and due <= to_ms:
            self.now_ms = max(due, self.now_ms)
            timers.fire_due()
            works += await self._settle()
        self.now_ms = max(to_ms, self.now_ms)
        return works

    async def _settle(self) -> list[Work]:
        works: list[Work] = []
        while self.services.tasks and len(works) < TASKS_MAX:
            works.append(await self._do(self.services.tasks.pop(0)))
        return works

    async def _do(self, task: Task) -> Work:
        work = Work()
        waiting = task(work)
        if waiting is not None:
            await waiting
        self.state.apply(work.unit)
        for call in work.after:
            call()
        return work


def _passed_over(factory: NodeFactory[Any]) -> NodeFactory[Any]:
    if not factory.outside:
        return factory
    return NodeFactory(factory.type, factory.name, NodeConfig, lambda config, node: PassedOver())
