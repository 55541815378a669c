"""An engine on a stage: real chains over a state, a history and a clock that is moved by hand.

What a role does for its engine is done here one task after the other: a message runs, its unit is
applied, the after-calls are made, what was submitted runs next. Time stands still until `advance`;
timers of nodes and fields fire as it moves. `appliance rules` rehearses on one, tests play on one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from appliance.kernel.events import Emit
from appliance.model.message import Message
from appliance.model.unit import Unit
from appliance.rules.compile import CompiledNode
from appliance.rules.engine import RuleEngine
from appliance.rules.node import NodeFactory
from appliance.rules.ports import CalculationInput, History, RuleServices, Task
from appliance.rules.work import Work
from appliance.state.store import State

TASKS_MAX = 100_000
"""Tasks that one moment may cause; a chain that feeds itself ends here."""


class Collected(RuleServices, Protocol):
    """Services that keep what is submitted instead of running it."""

    @property
    def tasks(self) -> list[Task]:
        """In order of submission."""
        ...


class Calculating(Protocol):
    """The part of calculated fields that a stage drives."""

    def calculate(self, values: CalculationInput, work: Work) -> None:
        """See RuleServices."""
        ...

    async def catch_up(self) -> None:
        """Begin the cells that are new."""
        ...


class Stage:
    """State, engine and time in one hand. fields: calculated fields, where some take part."""

    def __init__(
        self,
        factories: Mapping[str, NodeFactory[Any]],
        state: State,
        history: History,
        services: Collected,
        now_ms: int,
        emit: Emit,
    ) -> None:
        self.state = state
        self.now_ms = now_ms
        self.fields: Calculating | None = None
        self._factories = factories
        self._history = history
        self._collected = services
        self._emit = emit
        self.engine = self.new_engine()

    def new_engine(self) -> RuleEngine:
        """An engine without chains over what is here."""
        return RuleEngine(
            self.state,
            self._history,
            lambda: self.now_ms,
            self._emit,
            self._collected,
            self._factories,
        )

    def committed(self, unit: Unit) -> None:
        """A unit is durable; more than the state may want to know."""
        self.state.apply(unit)

    async def play(self, message: Message, at: CompiledNode | None = None) -> list[Work]:
        """Run a message through its originator's chain, or from a node on, and what it submits at
        once; the message's own work comes first."""
        if at is None:
            first = await self.do(lambda work: self.engine.process(message, work))
        else:
            first = await self.do(lambda work: self.engine.process_at(at, message, work))
        return [first, *await self.settle()]

    async def pass_to(self, to_ms: int) -> list[Work]:
        """Let time pass, timer by timer; the works that came of it."""
        works: list[Work] = []
        timers = self.engine.timers
        while (due := timers.next_due_ms()) is not None and due <= to_ms:
            self.now_ms = max(due, self.now_ms)
            timers.fire_due()
            works += await self.settle()
        self.now_ms = max(to_ms, self.now_ms)
        return works

    async def settle(self) -> list[Work]:
        """Run what was submitted, until nothing is left."""
        works: list[Work] = []
        while len(works) < TASKS_MAX:
            if self.fields is not None:
                await self.fields.catch_up()
            if not self._collected.tasks:
                break
            works.append(await self.do(self._collected.tasks.pop(0)))
        return works

    async def do(self, task: Task) -> Work:
        """Run one task, commit its unit, make its after-calls."""
        work = Work()
        waiting = task(work)
        if waiting is not None:
            await waiting
        self.committed(work.unit)
        for call in work.after:
            call()
        return work
