"""An engine that nothing outlives: chains are tried on real state and history, effects are kept.

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
from appliance.rules.node import NodeConfig, NodeFactory
from appliance.rules.ports import CalculationInput, History, RpcOutcome, RpcToDevice, Task
from appliance.rules.stage import TASKS_MAX, Calculating, Stage
from appliance.rules.work import Work
from appliance.state.store import State


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
        self.fields: Calculating | None = None

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
        """See RuleServices."""
        if self.fields is not None:
            self.fields.calculate(values, work)

    def _note(self, kind: str, text: str) -> None:
        self.effects.append(Effect(kind, text))


class Rehearsal(Stage):
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
        self.services = Noted()
        self.calculated: Mapping[EntityId, set[str]] = {}
        """Series that calculated fields write, by entity; see `Fields.note_results`."""
        known = factories if outside else {t: _passed_over(f) for t, f in factories.items()}
        super().__init__(known, state, history, self.services, now_ms, ignore)

    def calculate_with(self, fields: Calculating) -> None:
        """Let calculated fields take part; they are loaded already."""
        self.fields = self.services.fields = fields

    def load(self, chain: ChainJson) -> CompiledChain:
        """Load a chain; it becomes the root chain where its `root` says so."""
        self.engine.load_chain(*chain)
        loaded = self.engine.chain(chain_id(chain))
        assert loaded is not None, "a chain that was just loaded is there"
        return loaded

    async def play_in(self, chain: CompiledChain, message: Message) -> list[Work]:
        """As `play`, in this chain, whatever the originator's profile or the root chain is."""
        return [Work()] if chain.first is None else await self.play(message, chain.first)


def _passed_over(factory: NodeFactory[Any]) -> NodeFactory[Any]:
    if not factory.outside:
        return factory
    return NodeFactory(factory.type, factory.name, NodeConfig, lambda config, node: PassedOver())
