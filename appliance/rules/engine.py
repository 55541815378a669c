"""The rule engine: which chain a message takes, in what order, and what outlives it.

Limits: a path is at most `executions_max` visits long; a message whose nodes wait is given up
after `message_timeout_s`.

Invariants:
* A message runs as plain calls unless one of its nodes waits.
* Messages of one originator are begun in the order of the `process` calls and never overlap.
  Nothing is promised across originators.
* Effects stay when a message fails later on: what a node saved is saved (§2.4).
* The caller applies a `work.unit` to the state before it gives the next message, so that a
  message sees what earlier ones did, whether already durable or not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping
from typing import Any
from uuid import UUID

import msgspec
import trio

from appliance.kernel.clock import Clock
from appliance.kernel.events import Emit
from appliance.model.ids import EntityId
from appliance.model.message import Message
from appliance.model.unit import StateWrite
from appliance.rules.compile import CompiledChain, CompiledNode, compile_chain
from appliance.rules.context import STATE_OWNER, Context
from appliance.rules.debug import DebugEvent, DebugLog
from appliance.rules.events import RuleChainLoaded
from appliance.rules.node import NodeFactory
from appliance.rules.ports import History, RuleServices
from appliance.rules.retry import Retries
from appliance.rules.run import Branch, Run
from appliance.rules.timers import Timers
from appliance.rules.work import Work
from appliance.state.view import StateView

EXECUTIONS_MAX = 500
"""Visits on one path where the tenant profile sets no limit; a loop is stopped within 10 ms."""


class RuleLimits(msgspec.Struct, frozen=True):
    """executions_max: visits on one path (the tenant profile's maxRuleNodeExecutionsPerMessage).

    message_timeout_s: time for all waiting nodes of one message together.
    """

    executions_max: int = EXECUTIONS_MAX
    message_timeout_s: float = 20.0


class Flight:
    """A message that is still under way; the next of its originator is behind it.

    Await it to finish it. One that nobody will await any more (its caller was cancelled) lets the
    next one go when it is dropped.
    """

    __slots__ = ("_before", "_done", "_engine", "_enter", "_originator", "_run")

    def __init__(
        self,
        engine: RuleEngine,
        run: Run,
        originator: UUID,
        enter: Callable[[], None] | None = None,
        before: trio.Event | None = None,
    ) -> None:
        self._engine = engine
        self._run = run
        self._originator = originator
        self._enter = enter
        self._before = before
        self._done = engine.tails()[originator] = trio.Event()

    def __await__(self) -> Generator[Any, Any, None]:
        return self._finish().__await__()

    async def _finish(self) -> None:
        try:
            if self._before is not None:
                await self._before.wait()
            if self._enter is not None:
                self._enter()
            await self._engine.finish_in_time(self._run)
        finally:
            self._land()

    def _land(self) -> None:
        self._done.set()
        tails = self._engine.tails()
        if tails.get(self._originator) is self._done:
            del tails[self._originator]

    def __del__(self) -> None:
        if not self._done.is_set():
            self._run.abandon("given up")
            self._land()


class RuleEngine:
    """Runs messages through rule chains. A Component: `run` drives the timers of nodes."""

    def __init__(
        self,
        state: StateView,
        storage: History,
        clock: Clock,
        emit: Emit,
        services: RuleServices,
        factories: Mapping[str, NodeFactory[Any]],
        limits: RuleLimits | None = None,
        *,
        announces: bool = True,
    ) -> None:
        """announces: whether entities changed by nodes go to the outbox towards a cloud."""
        self.state = state
        self.storage = storage
        self.clock = clock
        self.emit = emit
        self.services = services
        self.limits = limits or RuleLimits()
        self.announces = announces
        self.timers = Timers(clock)
        self.restored: dict[str, dict[str, bytes]] = {}
        self._factories = factories
        self._chains: dict[str, CompiledChain] = {}
        self._root: CompiledChain | None = None
        self._tails: dict[UUID, trio.Event] = {}
        self._retries = Retries(self)

    async def restore(self) -> None:
        """Read what nodes kept over the restart; once, before the first `load_chain`."""
        for key, body in (await self.storage.load_states(STATE_OWNER)).items():
            node, _, name = key.rpartition("/")
            self.restored.setdefault(node, {})[name] = body
        await self._retries.restore()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Fire timers until cancelled."""
        task_status.started()
        await self.timers.run()

    # chains --------------------------------------------------------------------------------------
    def load_chain(self, chain: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        """Compile a chain (RuleChain and RuleChainMetaData JSON) in place of its old form.

        A chain whose `root` is true becomes the root chain. Metadata without nodes leaves a
        chain that is already loaded as it is (§1.2). Messages under way finish in the old form.
        """
        chain_id = chain["id"]["id"]
        old = self._chains.get(chain_id)
        if old is not None and not metadata.get("nodes"):
            return
        self._follow_tenant_profile()
        compiled, new = compile_chain(self, chain, metadata, old, self._factories)
        self._chains[chain_id] = compiled
        if chain.get("root") or (old is not None and self._root is old):
            self._root = compiled
        kept = set(compiled.nodes)
        gone = [node for node in old.nodes if node not in kept] if old else []
        for node in gone:
            node.stop()
        for node in new:
            node.start()
        self._forget({node.key for node in gone} - {node.key for node in compiled.nodes})
        self.emit(
            RuleChainLoaded(
                name=compiled.name,
                nodes=len(compiled.nodes),
                kept=len(compiled.nodes) - len(new),
                refused=sum(node.refusal is not None for node in compiled.nodes),
            )
        )

    def _follow_tenant_profile(self) -> None:
        """Take the tenant profile's limit on executions; 0 there leaves ours, the loop guard."""
        for profile in self.state.entities("TENANT_PROFILE"):
            configuration = (profile.get("profileData") or {}).get("configuration") or {}
            limit = configuration.get("maxRuleNodeExecutionsPerMessage") or EXECUTIONS_MAX
            self.limits = msgspec.structs.replace(self.limits, executions_max=limit)

    def remove_chain(self, chain_id: UUID) -> None:
        """Stop and forget a chain; unknown ids are ignored."""
        chain = self._chains.pop(str(chain_id), None)
        if chain is None:
            return
        if self._root is chain:
            self._root = None
        for node in chain.nodes:
            node.stop()
        self._forget({node.key for node in chain.nodes})

    def keep(self, node_key: str, name: str, body: bytes | None) -> None:
        """Remember what a node saved, for the node that may take its place."""
        kept = self.restored.setdefault(node_key, {})
        if body is None:
            kept.pop(name, None)
        else:
            kept[name] = body

    def _forget(self, node_keys: set[str]) -> None:
        """Delete what nodes kept that are no more."""
        states = [
            StateWrite(STATE_OWNER, f"{key}/{name}", None)
            for key in node_keys
            for name in self.restored.pop(key, {})
        ]
        if states:
            self.services.submit(lambda work: work.unit.states.extend(states))

    def set_root(self, chain_id: UUID) -> None:
        """Make a loaded chain the root; unknown ids are ignored."""
        self._root = self._chains.get(str(chain_id), self._root)

    @property
    def root_id(self) -> UUID | None:
        """The root chain now."""
        return self._root.id if self._root is not None else None

    def chain(self, chain_id: UUID) -> CompiledChain | None:
        """A loaded chain."""
        return self._chains.get(str(chain_id))

    def chain_of(self, message: Message) -> CompiledChain | None:
        """The chain for a new message: its device's or asset's profile says which, else root."""
        return self.profile_chain_of(message.originator) or self._root

    def profile_chain_of(self, entity: EntityId) -> CompiledChain | None:
        """The loaded chain that a device's or asset's profile names."""
        if entity.type in ("DEVICE", "ASSET"):
            profile = self.state.profile_of(entity)
            if profile is not None:
                for key in ("defaultEdgeRuleChainId", "defaultRuleChainId"):
                    reference = profile.get(key)
                    if reference and (chain := self._chains.get(reference["id"])):
                        return chain
        return None

    def chains(self) -> list[CompiledChain]:
        """All loaded chains."""
        return list(self._chains.values())

    def nodes(self) -> list[CompiledNode]:
        """All nodes of all chains, for pages that show them."""
        return [node for chain in self._chains.values() for node in chain.nodes]

    def debug_events(self, node_id: UUID) -> list[DebugEvent]:
        """A node's debug events, oldest first; empty unless its debugSettings ask for some."""
        log = self._debug_log(node_id)
        return [] if log is None else log.events()

    def clear_debug_events(self, node_id: UUID, start_ms: int, end_ms: int) -> None:
        """Forget a node's debug events of an interval, both ends included."""
        log = self._debug_log(node_id)
        if log is not None:
            log.clear(start_ms, end_ms)

    def _debug_log(self, node_id: UUID) -> DebugLog[DebugEvent] | None:
        logs = (node.debug for node in self.nodes() if node.id == node_id)
        return next((log for log in logs if log is not None), None)

    # messages ------------------------------------------------------------------------------------
    def process(self, message: Message, work: Work) -> Awaitable[None] | None:
        """Run a message, and what its effects cause, into `work`.

        Returns None when all is done, else an awaitable that finishes it and that the caller
        must await (later messages of the originator wait for it). Then the caller commits
        `work.unit` and makes the calls in `work.after`. Never raises for what a node does:
        `work.failure` says what went wrong.
        """
        return self._begin(message, work, 0)

    def _begin(self, message: Message, work: Work, attempt: int) -> Awaitable[None] | None:
        tail = self._tails.get(message.originator.id)
        run = Run(self, work)
        if tail is None:
            run.enter(message, attempt)
            run.drain()
            if not run.waits:
                return None
            return Flight(self, run, message.originator.id)
        return Flight(self, run, message.originator.id, lambda: run.enter(message, attempt), tail)

    def process_at(
        self, node: CompiledNode, message: Message, work: Work, attempt: int = 0
    ) -> Awaitable[None] | None:
        """Run a message from a node on; as `process` otherwise, in no order."""
        run = Run(self, work)
        run.enter_at(node, message, attempt)
        run.drain()
        return self.finish_in_time(run) if run.waits else None

    def resume(
        self,
        node: CompiledNode,
        action: Callable[[Context], Awaitable[None] | None],
        work: Work,
    ) -> Awaitable[None] | None:
        """Run a node's own action into `work`; as `process` otherwise, in no order."""
        run = Run(self, work)
        run.visit(node, action)
        run.drain()
        return self.finish_in_time(run) if run.waits else None

    def tails(self) -> dict[UUID, trio.Event]:
        """Originators with a message under way, and the end of their last one."""
        return self._tails

    async def finish_in_time(self, run: Run) -> None:
        """Let what waits come to its end, or give it up."""
        with trio.move_on_after(self.limits.message_timeout_s) as scope:
            await run.finish()
        if scope.cancelled_caught:
            run.abandon(f"took longer than {self.limits.message_timeout_s:g} s")

    def process_again(
        self, message: Message, node_key: str, attempt: int, work: Work
    ) -> Awaitable[None] | None:
        """A retry: from the node of that key, or from the originator's chain; see retry.py."""
        node = next((one for one in self.nodes() if node_key and one.key == node_key), None)
        if node is not None:
            return self.process_at(node, message, work, attempt)
        return self._begin(message, work, attempt)

    def failed(self, branch: Branch, work: Work) -> None:
        """A branch of a message has failed; queues that retry take it from here (§2.5)."""
        self._retries.failed(branch, work)
