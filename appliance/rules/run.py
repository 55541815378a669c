"""One message on its way: a work list of visits, drained by plain calls.

Where no node waits, a message goes through its chain without a single task switch. A node that
waits puts its coroutine aside; `finish` awaits these one after the other, and between them the
list is drained again. Depth is counted per path, as the reference counts it per message copy, so
a message split into a hundred parts is not a loop (§2.4).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING
from uuid import UUID

from appliance.model.message import Message
from appliance.rules.context import Context
from appliance.rules.debug import DebugEvent
from appliance.rules.events import RuleMessageFailed
from appliance.rules.messages import copied
from appliance.rules.node import FAILURE, NodeError
from appliance.rules.overlay import UnitView
from appliance.rules.work import Work

if TYPE_CHECKING:
    from appliance.rules.compile import CompiledChain, CompiledNode
    from appliance.rules.engine import RuleEngine

VISITS_MAX = 20_000
"""Visits that one message may cause in all. A message of the largest body that devices may send
(64 kB) split into its array elements and run through a few nodes stays below this."""
FOLLOW_UPS_MAX = 1_000
"""Messages that the effects of one message may cause."""
GENERATIONS_MAX = 20
"""How far effects may cause effects: a chain that hears of its own alarm and raises it again is
stopped within 10 ms, and no chain drawn on purpose reacts to itself twenty times over."""

Frame = tuple["CompiledNode", "Frame"] | None
"""The nodes that called into the present chain, innermost first."""


class Branch:
    """One path that fails on its own. node, message: where it began, and so where a retry does.

    node None: at the start of the originator's chain.
    """

    __slots__ = ("attempt", "message", "node", "stack")

    def __init__(
        self, node: CompiledNode | None, message: Message, stack: Frame = None, attempt: int = 0
    ) -> None:
        self.node = node
        self.message = message
        self.stack = stack
        self.attempt = attempt


class Run:
    """Everything one message causes, until nothing is left to do."""

    __slots__ = (
        "_follow_ups",
        "_generation",
        "_pending",
        "_siblings",
        "_view",
        "_visits",
        "engine",
        "waits",
        "work",
    )

    def __init__(self, engine: RuleEngine, work: Work) -> None:
        self.engine = engine
        self.work = work
        self.waits: list[
            tuple[CompiledNode | None, Message | None, Branch, int, Awaitable[None]]
        ] = []
        self._pending: deque[tuple[CompiledNode, Message, Branch, int]] = deque()
        self._view: UnitView | None = None
        self._visits = 0
        self._follow_ups = 0
        self._generation = 0
        self._siblings = 0

    @property
    def view(self) -> UnitView:
        """State with this run's own effects."""
        if self._view is None:
            self._view = UnitView(self.engine.state, self.work.unit)
        return self._view

    # entry ---------------------------------------------------------------------------------------
    def enter(self, message: Message, attempt: int = 0) -> None:
        """Put the message at the start of its originator's chain."""
        branch = Branch(None, message, None, attempt)
        chain = self.engine.chain_of(message)
        if chain is None:
            self._failed(None, message, branch, "there is no root rule chain")
        elif chain.first is not None:
            self._pending.append((chain.first, message, branch, 1))

    def enter_at(self, node: CompiledNode, message: Message, attempt: int) -> None:
        """Put the message before a node (a retry of a copy)."""
        self._pending.append((node, message, Branch(node, message, None, attempt), 1))

    def visit(
        self, node: CompiledNode, action: Callable[[Context], Awaitable[None] | None]
    ) -> None:
        """Let a node act by itself (timer, answer)."""
        branch = Branch(None, _NOTHING)
        try:
            waiting = action(Context(self, node, branch, 0))
        except Exception as error:  # noqa: BLE001 - a node must not take the engine down (§2.4)
            self._failed(node, None, branch, _text(error))
        else:
            if waiting is not None:
                self.waits.append((node, None, branch, 0, waiting))

    # the loop ------------------------------------------------------------------------------------
    def drain(self) -> None:
        """Visit nodes until all that is left waits."""
        pending = self._pending
        limit = self.engine.limits.executions_max
        while True:
            while pending:
                node, message, branch, depth = pending.popleft()
                self._visits += 1
                if depth > limit or self._visits > VISITS_MAX:
                    self._failed(node, message, branch, "too many rule node executions")
                    continue
                if node.debug is not None:
                    node.debug.record(DebugEvent(self.engine.clock(), "IN", message))
                try:
                    waiting = node.process(message, Context(self, node, branch, depth))
                except Exception as error:  # noqa: BLE001 - a node's fault is its Failure (§2.4)
                    self.tell(node, FAILURE, message, branch, depth, _text(error))
                else:
                    if waiting is not None:
                        self.waits.append((node, message, branch, depth, waiting))
            if self.waits or not self._next_follow_up():
                return

    def _next_follow_up(self) -> bool:
        follow_ups = self.work.follow_ups
        if not follow_ups:
            return False
        if self._siblings == 0:
            self._generation += 1
            self._siblings = len(follow_ups)
        message = follow_ups.pop(0)
        self._siblings -= 1
        self._follow_ups += 1
        if self._follow_ups > FOLLOW_UPS_MAX or self._generation > GENERATIONS_MAX:
            follow_ups.clear()
            self._siblings = 0
            self._failed(None, message, Branch(None, message), "effects cause effects for ever")
        else:
            self.enter(message)
        return True

    async def finish(self) -> None:
        """Await what waits, and drain, until nothing is left."""
        self.drain()
        while self.waits:
            node, message, branch, depth, waiting = self.waits[0]
            try:
                await waiting
            except Exception as error:  # noqa: BLE001 - a node's fault is its Failure (§2.4)
                if node is not None and message is not None:
                    self.tell(node, FAILURE, message, branch, depth, _text(error))
                else:
                    self._failed(node, message, branch, _text(error))
            self.waits.pop(0)
            self.drain()

    def abandon(self, reason: str) -> None:
        """Give up what still waits (the message's time is over)."""
        for node, message, branch, _, waiting in self.waits:
            close = getattr(waiting, "close", None)
            if close is not None:
                close()
            self._failed(node, message, branch, reason)
        self.waits.clear()
        self._pending.clear()

    def note(self, node: CompiledNode, message: Message, label: str) -> None:
        """Show in the debug events what is not a link: ACK, To Root Rule Chain."""
        if node.debug is not None:
            node.debug.record(DebugEvent(self.engine.clock(), "OUT", message, label))

    # routing -------------------------------------------------------------------------------------
    def tell(
        self,
        node: CompiledNode,
        label: str,
        message: Message,
        branch: Branch,
        depth: int,
        error: str | None,
    ) -> None:
        """See Context.tell."""
        if node.debug is not None:
            now = self.engine.clock()
            node.debug.record(DebugEvent(now, "OUT", message, label, error))
        targets = node.links.get(label) or node.links.get(label.lower())
        if not targets:
            if label.lower() == "failure":
                self._failed(node, message, branch, error or "Failure")
        elif len(targets) == 1:
            self._pending.append((targets[0], message, branch, depth + 1))
        else:
            for target in targets:
                copy = copied(message)
                own = Branch(target, copy, branch.stack)
                self._pending.append((target, copy, own, depth + 1))

    def reject(self, node: CompiledNode, message: Message, branch: Branch, error: str) -> None:
        """See Context.reject."""
        if node.debug is not None:
            now = self.engine.clock()
            node.debug.record(DebugEvent(now, "OUT", message, FAILURE, error))
        self._failed(node, message, branch, error)

    def call_chain(
        self, caller: CompiledNode, chain_id: UUID, message: Message, branch: Branch, depth: int
    ) -> None:
        """See Context.call_chain."""
        chain = self.engine.chain(chain_id)
        if chain is None:
            raise NodeError(f"rule chain {chain_id} is not on this edge")
        if any(frame_chain is chain for frame_chain in _chains(caller, branch.stack)):
            raise NodeError(f"rule chain {chain.name} calls itself")
        if chain.first is not None:
            inner = Branch(chain.first, message, (caller, branch.stack))
            self._pending.append((chain.first, message, inner, depth + 1))

    def return_to_caller(self, label: str, message: Message, branch: Branch, depth: int) -> bool:
        """See Context.return_to_caller."""
        if branch.stack is None:
            return False
        caller, outer = branch.stack
        own = Branch(branch.node, branch.message, outer, branch.attempt)
        self.tell(caller, label, message, own, depth, None)
        return True

    def enqueue(
        self, node: CompiledNode, label: str, message: Message, branch: Branch, depth: int
    ) -> None:
        """See Context.enqueue."""
        self.note(node, message, label)
        for target in node.links.get(label) or node.links.get(label.lower()) or ():
            own = Branch(target, message, branch.stack)
            self._pending.append((target, message, own, depth + 1))

    def _failed(
        self, node: CompiledNode | None, message: Message | None, branch: Branch, error: str
    ) -> None:
        if self.work.failure is None:
            self.work.failure = f"{node.chain.name} / {node.name}: {error}" if node else error
        self.engine.emit(
            RuleMessageFailed(
                chain=node.chain.name if node else "",
                node=node.name if node else "",
                type=message.type if message else "",
                error=error,
            )
        )
        if branch.message is not _NOTHING:
            self.engine.failed(branch, self.work)


def _chains(caller: CompiledNode, stack: Frame) -> Iterator[CompiledChain]:
    """The chains that a call would come from, innermost first."""
    yield caller.chain
    while stack is not None:
        yield stack[0].chain
        stack = stack[1]


def _text(error: Exception) -> str:
    return str(error) or type(error).__name__


_NOTHING: Message = None  # type: ignore[assignment] # a node acting by itself has no message
