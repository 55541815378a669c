"""The way of a message: rule chain → unit of work → commit → what follows.

State and disk: a message must see what earlier messages did, durable or not, so a unit's changes
of entities and attributes enter the in-memory state before its commit. If storage then pushes
back, those changes are *owed* (state.owed), with the events that tell the cloud of them: nothing
new is taken meanwhile, and the device, which was told to wait, sends its message once more.
Telemetry changes no state and is never owed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import ClassVar, Protocol

import msgspec
import trio

from appliance.edge.fullsync import Origin
from appliance.edge.selection import Selection
from appliance.extension.ports import Storage
from appliance.kernel.events import Emit, Event
from appliance.model.errors import Retryable
from appliance.model.message import Message
from appliance.model.telemetry import AttributeWrite
from appliance.model.unit import EntityWrite, OutboxEvent, Unit
from appliance.rules.ports import CalculationInput, Task
from appliance.rules.work import Work
from appliance.state.owed import Owed
from appliance.state.store import State
from appliance.sync.packing import About

TASKS_MAX = 10_000
"""Tasks of the rule engine that may wait (branch copies, timers): 10 s of work at 1,000/s."""


class Engine(Protocol):
    """The part of the rule engine that is used here."""

    def process(self, message: Message, work: Work) -> Awaitable[None] | None:
        """Run the message and what it causes; None when done, else what finishes it."""
        ...


class Calculator(Protocol):
    """The part of the calculated fields that is used here."""

    async def take(self, inputs: Iterable[CalculationInput], work: Work) -> None:
        """Calculate for values that no chain brought, and run the results through theirs."""
        ...


class MessageFailed(Event, frozen=True):
    """A rule chain ended a message with a failure."""

    level: ClassVar[str] = "warning"
    text: ClassVar[str] = "{type} of {originator} failed in its rule chain: {reason}"
    counters: ClassVar[dict[str, str]] = {"failed_messages": ""}
    type: str
    originator: str
    reason: str


class MessagesProcessed(Event, frozen=True):
    """Messages went through their chains and what they caused is durable."""

    level: ClassVar[str] = "debug"
    text: ClassVar[str] = "{count} messages processed"
    counters: ClassVar[dict[str, str]] = {"processed_messages": "count"}
    count: int


class Processor:
    """Runs messages through the rule engine and commits what they cause; a Component."""

    def __init__(self, storage: Storage, state: State, emit: Emit) -> None:
        self.engine: Engine | None = None
        """Set once by the composition, which needs the processor to make the engine."""
        self.fields: Calculator | None = None
        """Set once by the composition too; None calculates nothing."""
        self.selection: Selection | None = None
        """What thins out the data that goes up; None lets everything through."""
        self.origin = Origin()
        """Which entities were made here; marked in the unit that makes them."""
        self._storage = storage
        self._state = state
        self._emit = emit
        self.changes = 0
        """Grows with every change of an entity made here; see `untold`."""
        self._untold: Counter[About] = Counter()
        self._owed = Owed(storage)
        self._refused: list[Work] = []
        """What of it was made here, oldest first."""
        self._submit, self._tasks = trio.open_memory_channel[Task](TASKS_MAX)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run submitted tasks and pay what is owed, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._owed.run)
            task_status.started()
            async for task in self._tasks:
                await self._owed.settled()
                await self._run_task(task)

    # --- messages -----------------------------------------------------------------------------

    async def process(self, messages: Sequence[Message]) -> None:
        """Return when everything that the messages caused is durable.

        Messages of one originator keep their order as far as their chains do not wait for
        something outside. Raises Retryable when storage pushes back: then their sender must send
        all of them again.
        """
        self._owed.refuse_while_owing()
        assert self.engine is not None
        done: list[Work] = []
        rests: list[tuple[Awaitable[None], Message, Work]] = []
        for message in messages:
            work = Work()
            rest = self.engine.process(message, work)
            if rest is None:
                self._end(message, work)
                done.append(work)
            else:
                rests.append((rest, message, work))
        if rests:
            await self._finish_all(done, rests)
        else:
            await self._commit(done)
        self._emit(MessagesProcessed(count=len(messages)))

    async def _finish_all(
        self, done: list[Work], rests: Sequence[tuple[Awaitable[None], Message, Work]]
    ) -> None:
        """Side by side, each to its end; then the first refusal of storage, if there was one."""
        refusals: list[Retryable] = []

        async def commit(works: Sequence[Work]) -> None:
            try:
                await self._commit(works)
            except Retryable as refusal:
                refusals.append(refusal)

        async def finish(rest: Awaitable[None], message: Message, work: Work) -> None:
            await rest
            self._end(message, work)
            await commit([work])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(commit, done)
            for each in rests:
                nursery.start_soon(finish, *each)
        if refusals:
            raise refusals[0]

    def through_chain(self, message: Message, work: Work) -> Awaitable[None] | None:
        """Run one message into a task's own work; for tasks that write and then tell."""
        assert self.engine is not None
        return self.engine.process(message, work)

    async def calculate(self, work: Work) -> None:
        """Let calculated fields see what a task or a request has written by itself so far."""
        inputs = list(_inputs(work.unit))
        if inputs and self.fields is not None:
            await self.fields.take(inputs, work)

    def _end(self, message: Message, work: Work) -> None:
        self._state.apply(work.unit)
        if work.failure is not None:
            self._emit(
                MessageFailed(
                    type=message.type, originator=str(message.originator), reason=work.failure
                )
            )

    # --- tasks of the rule engine -------------------------------------------------------------

    def submit(self, task: Task) -> None:
        """See rules.ports.RuleServices.submit."""
        try:
            self._submit.send_nowait(task)
        except trio.WouldBlock:
            raise Retryable(
                f"{TASKS_MAX} tasks of rule nodes wait already",
                hint="a rule chain produces messages faster than it handles them",
            ) from None

    async def _run_task(self, task: Task) -> None:
        work = Work()
        rest = task(work)
        if rest is not None:
            await rest
        self._state.apply(work.unit)
        try:
            await self._commit([work], whole=True)
        except Retryable:
            pass  # owed whole: nobody would submit it again

    # --- commits ------------------------------------------------------------------------------

    async def commit(
        self,
        unit: Unit,
        messages: Sequence[Message] = (),
        *,
        unless_pushed: OutboxEvent | None = None,
    ) -> None:
        """Commit a unit together with what it causes. Raises Retryable.

        messages: about the unit, for the chain. What calculated fields make of the unit's values
        comes after them. unless_pushed: an event to add where the chain made none itself.
        """
        self._owed.refuse_while_owing()
        with self._untold_until_durable([unit]):
            await self._commit_with(unit, messages, unless_pushed)

    async def _commit_with(
        self, unit: Unit, messages: Sequence[Message], unless_pushed: OutboxEvent | None
    ) -> None:
        work = Work()
        work.unit = unit
        self._state.apply(unit)
        written = list(_inputs(unit))
        for message in messages:
            before = _sizes(work.unit)
            rest = self.through_chain(message, work)
            if rest is not None:
                await rest
            self._state.apply(_since(work.unit, before))
        if unless_pushed is not None and not unit.events:
            unit.events.append(unless_pushed)
        if written and self.fields is not None:
            before = _sizes(work.unit)
            await self.fields.take(written, work)
            self._state.apply(_since(work.unit, before))
        await self._commit([work])

    async def commit_whole(self, unit: Unit) -> None:
        """Commit a unit that changes nothing here where it is refused. Raises Retryable."""
        await self._owed.attempt([unit])
        self._state.apply(unit)

    async def commit_received(self, units: Sequence[Unit]) -> None:
        """Commit what a peer sent and the state already has, however long storage pushes back.

        The peer gets no acknowledgement meanwhile.
        """
        await self._owed.commit(units)
        await self._calculate_received([each for unit in units for each in _inputs(unit)])

    async def _calculate_received(self, inputs: Sequence[CalculationInput]) -> None:
        """In a unit of its own: what was received is acknowledged without waiting for it."""
        fields = self.fields
        while inputs and fields is not None:
            try:
                self.submit(partial(fields.take, inputs))
                return
            except Retryable as error:
                await trio.sleep(error.retry_after_s)

    async def _commit(self, works: Sequence[Work], *, whole: bool = False) -> None:
        """Commit, then make the after-calls. whole: what is refused is owed with all it has."""
        units = [work.unit for work in works if work.unit]
        for unit in units:
            self.origin.note(unit)
        if self.selection is not None:
            for unit in units:
                self.selection.thin(unit)
        if units:
            try:
                with self._untold_until_durable(units):
                    await self._owed.attempt(units)
            except Retryable:
                if owed := works if whole else _changes_of_state(units):
                    self._refused += owed
                    self._owed.owe([work.unit for work in owed], partial(self._paid, owed))
                raise
        _follow(works)

    @contextmanager
    def _untold_until_durable(self, units: Sequence[Unit]) -> Iterator[None]:
        about = [_about(write) for unit in units for write in unit.entities]
        self.changes += len(about)
        self._untold.update(about)
        try:
            yield
        finally:
            self._untold.subtract(about)
            for each in about:
                if not self._untold[each]:
                    del self._untold[each]

    def untold(self) -> set[About]:
        """Entities changed here of which no outbox can tell yet: not durable, or owed."""
        refused = (write for work in self._refused for write in work.unit.entities)
        return {*self._untold, *map(_about, refused)}

    def _paid(self, works: Sequence[Work]) -> None:
        del self._refused[: len(works)]
        _follow(works)


def _about(write: EntityWrite) -> About:
    return About(write.kind, write.id, gone=write.body is None)


def _follow(works: Sequence[Work]) -> None:
    for work in works:
        for call in work.after:
            call()


def _changes_of_state(units: Sequence[Unit]) -> list[Work]:
    """What the state has already and the disk has not; the cloud must hear of it all the same."""
    works = []
    for unit in units:
        if unit.attributes or unit.entities or unit.states:
            told = [event for event in unit.events if event.action != "TIMESERIES_UPDATED"]
            work = Work()
            work.unit = msgspec.structs.replace(unit, series=[], events=told)
            works.append(work)
    return works


def _inputs(unit: Unit) -> Iterator[CalculationInput]:
    """A unit's values as calculated fields take them."""
    for series in unit.series:
        yield CalculationInput(series.entity, None, series.ts, series.values)
    for change in unit.attributes:
        if isinstance(change, AttributeWrite):
            yield CalculationInput(change.entity, change.scope, change.ts, change.values)
        else:
            keys = change.keys
            yield CalculationInput(change.entity, change.scope, change.ts, {}, deleted=keys)


def _sizes(unit: Unit) -> tuple[int, int]:
    return len(unit.attributes), len(unit.entities)


def _since(unit: Unit, before: tuple[int, int]) -> Unit:
    """What was added to the unit's state changes since then."""
    attributes, entities = before
    return Unit(attributes=unit.attributes[attributes:], entities=unit.entities[entities:])
