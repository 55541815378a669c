"""Runs calculated fields: values in, results out, in the unit of work that the values are in.

Limits: `WAITING_MAX` changes wait for a cell whose history is still being read.

Invariants:
* A cell's memory and the results that followed from it are in one unit of work: after a crash
  both are there or neither is.
* A field does not run on a message that it led to (§7, `Message.calculated_by`).
* Timers are set when the unit that asks for them is durable.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import trio

from appliance.fields.cell import (
    AlarmChange,
    Answers,
    Change,
    Effect,
    FieldError,
    Moment,
    NotYet,
    Reason,
    RelationChange,
    Result,
)
from appliance.fields.config import Field
from appliance.fields.debug import FieldDebugEvent, calculation
from appliance.fields.events import (
    FieldBroke,
    FieldCalculated,
    FieldFailed,
    FieldWaited,
)
from appliance.fields.index import Slot
from appliance.fields.outcome import SERIES, alarm_message, message_of, relate, save_at_once
from appliance.fields.results import foreseen, inputs_of
from appliance.fields.roster import Roster
from appliance.kernel.clock import Clock
from appliance.kernel.events import Emit
from appliance.model.errors import Retryable
from appliance.model.ids import EntityId
from appliance.model.message import Message
from appliance.model.telemetry import Value
from appliance.model.unit import StateWrite
from appliance.rules.alarms import store
from appliance.rules.overlay import UnitView
from appliance.rules.ports import CalculationInput, History, RuleServices
from appliance.rules.timers import Timers
from appliance.rules.values import telemetry_of
from appliance.rules.work import Work
from appliance.state.store import State

STATE_OWNER = "fields"
WAITING_MAX = 1_000
"""Changes kept for one cell that has not begun; reading its history takes milliseconds."""
T = TypeVar("T")
Process = Callable[[Message, Work], Awaitable[None] | None]
"""The rule engine's `process`."""


class Fields:
    """The calculated fields of all entities; a Component that reads the history of new cells."""

    def __init__(
        self,
        state: State,
        history: History,
        clock: Clock,
        emit: Emit,
        services: RuleServices,
        process: Process,
        timers: Timers,
    ) -> None:
        """process: runs a result's message through its chain. timers: run by somebody else."""
        self._state = state
        self._history = history
        self._clock = clock
        self._emit = emit
        self._services = services
        self._process = process
        self._timers = timers
        self._roster = Roster(state, clock, emit, self._arm)
        self._index = self._roster.index
        self._loaded = False
        self._results: dict[EntityId, set[str]] | None = None

    def leave(self, types: Iterable[str]) -> None:
        """Do not run fields of these types; before the start."""
        self._roster.off = frozenset(types)

    # life ----------------------------------------------------------------------------------------
    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Load every field, say started, then begin new cells until cancelled."""
        if not self._loaded:
            await self.load()
        task_status.started()
        while True:
            try:
                await self.catch_up()
            except Retryable as error:
                await trio.sleep(error.retry_after_s)
            else:
                await self._roster.changed.wait()

    async def load(self) -> None:
        """Take up what was before a restart, and follow the state from now on."""
        self._roster.load(await self._history.load_states(STATE_OWNER))
        self._loaded = True

    async def catch_up(self) -> None:
        """Begin the cells that are new. Raises Retryable when too many tasks wait."""
        roster = self._roster
        roster.follow_relations()
        if roster.gone:
            gone = list(roster.gone)
            self._services.submit(partial(_forget, gone))
            roster.gone = roster.gone[len(gone) :]
        while roster.fresh:
            key = next(iter(roster.fresh))
            slot = roster.fresh.pop(key)
            try:
                await self._read_history(slot)
            except BaseException:
                roster.fresh.setdefault(key, slot)
                raise

    async def _read_history(self, slot: Slot) -> None:
        latest = {
            source: await self._history.latest(source, sorted(keys))
            for source, keys in slot.cell.latest_wanted(self._state, slot.because).items()
        }
        queries = slot.cell.queries(self._state, self._clock(), slot.because)
        answers = [await self._history.query_series(query) for query in queries]
        self._services.submit(partial(self._begin, slot, latest, answers))

    @property
    def beginning(self) -> int:
        """How many cells wait for their history."""
        return sum(slot.waiting is not None for slot in self._index.slots.values())

    # values --------------------------------------------------------------------------------------
    def calculate(self, values: CalculationInput, work: Work) -> None:
        """See RuleServices; results join `work.follow_ups`."""
        if not self._index.listening(values.entity):
            return
        change = Change(values.entity, values.scope, ((values.ts, values.values),), values.deleted)
        self._feed(change, values.cause, work)

    async def take(self, inputs: Iterable[CalculationInput], work: Work) -> None:
        """Calculate for values that no chain brought, and run the results through theirs.

        The points of one entity and scope count as one change.
        """
        changes: dict[tuple[Any, ...], Change] = {}
        for each in inputs:
            place = (each.entity, each.scope)
            old = changes.get(place, Change(each.entity, each.scope, ()))
            points = [*old.points, (each.ts, each.values)]
            changes[place] = Change(*place, points, (*old.deleted, *each.deleted))
        for change in changes.values():
            self._feed(change, None, work)
        await self._tell(work)

    def _feed(self, change: Change, cause: Message | None, work: Work) -> None:
        by = _led_by(cause)
        for slot in self._index.listening(change.entity):
            if slot.field.id in by:
                continue
            if slot.waiting is None:
                self._take(slot, change, cause, work)
            elif len(slot.waiting) < WAITING_MAX:
                slot.waiting.append((change, cause))

    def _take(self, slot: Slot, change: Change, cause: Message | None, work: Work) -> None:
        moment = self._moment(Reason.VALUES, work)
        try:
            changed = _isolated(partial(slot.cell.feed, change, moment))
        except FieldError as error:
            self._fail(slot, error, moment, cause)
            return
        if changed:
            now, view = moment.now_ms, moment.view
            self._calculate(slot, Moment(now, view, Reason.VALUES, changed), cause, work)

    def _moment(self, reason: Reason, work: Work, answers: Answers = ()) -> Moment:
        view = UnitView(self._state, work.unit)
        return Moment(self._clock(), view, reason, frozenset(), answers)

    async def _begin(
        self,
        slot: Slot,
        latest: dict[EntityId, dict[str, tuple[int, Value]]],
        answers: Answers,
        work: Work,
    ) -> None:
        """Start a cell with what history had, then what came meanwhile, which history may have."""
        waiting, slot.waiting = slot.waiting or [], None
        if not self._roster.is_current(slot):
            return
        moment = self._moment(slot.because, work, answers)
        try:
            _isolated(partial(slot.cell.begin, latest, moment))
        except FieldError as error:
            self._fail(slot, error, moment, None)
        if slot.because is not Reason.RESTORED:
            self._calculate(slot, moment, None, work)
        for change, cause in waiting:
            self._take(slot, change, cause, work)
        work.after.append(partial(self._arm, slot))
        await self._tell(work)

    # calculation ---------------------------------------------------------------------------------
    def _calculate(self, slot: Slot, moment: Moment, cause: Message | None, work: Work) -> None:
        try:
            effects = _isolated(lambda: list(slot.cell.run(moment)))
            for effect in effects:
                self._apply(slot, effect, moment, _led_by(cause), work)
        except FieldError as error:
            self._fail(slot, error, moment, cause)
        else:
            slot.told = ""
            self._record(slot, moment, cause, effects)
            self._emit(
                FieldCalculated(
                    name=slot.field.name,
                    type=slot.field.type,
                    entity=str(slot.entity),
                    results=len(effects),
                )
            )
        saved = slot.cell.saved()
        if saved != slot.written:
            slot.written = saved
            work.unit.states.append(StateWrite(STATE_OWNER, slot.name, saved))
        work.after.append(partial(self._arm, slot))

    def _apply(
        self, slot: Slot, effect: Effect, moment: Moment, by: tuple[UUID, ...], work: Work
    ) -> None:
        if isinstance(effect, Result):
            self._deliver(slot.field, effect, moment, by, work)
        elif isinstance(effect, AlarmChange):
            store(work.unit, effect.alarm)
            self._roster.watch_alarm(UUID(effect.alarm["id"]["id"]), slot)
            told = alarm_message(slot.field, slot.entity, effect, moment.now_ms, by)
            work.follow_ups.append(told)
        elif isinstance(effect, RelationChange):
            relate(effect, work)

    def _deliver(
        self, field: Field, result: Result, moment: Moment, by: tuple[UUID, ...], work: Work
    ) -> None:
        message = message_of(field, result.target, result.data, moment.now_ms, by)
        output = field.output
        if message is None or output is None:
            return
        self._note(message)
        if output.strategy.type == "RULE_CHAIN":
            work.follow_ups.append(message)
            return
        change = save_at_once(output, message, moment.view, self._services, work)
        if change is not None:
            self._feed(change, message, work)

    def note_results(self) -> Mapping[EntityId, set[str]]:
        """The series that fields calculate, by entity; it grows as they do (see `results`)."""
        self._results = {
            entity: foreseen(slot.field for slot in self._index.at(entity))
            for entity in {slot.entity for slot in self._index.slots.values()}
        }
        return self._results

    def _note(self, message: Message) -> None:
        if self._results is None or message.type != SERIES:
            return
        keys = {key for _, values in telemetry_of(message) for key in values}
        for id in message.calculated_by:
            loaded = self._index.fields.get(id)
            keys -= set() if loaded is None else inputs_of(loaded.field)
        self._results.setdefault(message.originator, set()).update(keys)

    def _fail(self, slot: Slot, error: FieldError, moment: Moment, cause: Message | None) -> None:
        text = str(error)
        self._record(slot, moment, cause, text)
        kind: type[FieldFailed | FieldWaited] = FieldFailed
        if isinstance(error, NotYet):
            kind = FieldWaited
        elif text != slot.told:
            kind, slot.told = FieldBroke, text
        field = slot.field
        self._emit(kind(name=field.name, type=field.type, entity=str(slot.entity), error=text))

    def _record(
        self, slot: Slot, moment: Moment, cause: Message | None, outcome: Iterable[Effect] | str
    ) -> None:
        loaded = self._index.fields.get(slot.field.id)
        if loaded is not None and loaded.debug is not None:
            shown = slot.cell.shown(moment)
            loaded.debug.record(calculation(slot.entity, moment, cause, shown, outcome))

    def debug_events(self, field_id: UUID) -> list[FieldDebugEvent]:
        """A field's debug events, oldest first; empty unless its debugSettings ask for some."""
        loaded = self._index.fields.get(field_id)
        return [] if loaded is None or loaded.debug is None else loaded.debug.events()

    def clear_debug_events(self, field_id: UUID, start_ms: int, end_ms: int) -> None:
        """Forget a field's debug events of an interval, both ends included."""
        loaded = self._index.fields.get(field_id)
        if loaded is not None and loaded.debug is not None:
            loaded.debug.clear(start_ms, end_ms)

    async def _tell(self, work: Work) -> None:
        """Run messages of a task of our own through their chains."""
        while work.follow_ups:
            rest = self._process(work.follow_ups.pop(0), work)
            if rest is not None:
                await rest

    # clock ---------------------------------------------------------------------------------------
    def _arm(self, slot: Slot) -> None:
        """Set the cell's timer, or take it away."""
        if not self._roster.is_current(slot):
            return
        now_ms = self._clock()
        try:
            due_ms = _isolated(partial(slot.cell.due_ms, now_ms))
        except FieldError:
            due_ms = None
        if due_ms == slot.due_ms:
            return
        if slot.cancel is not None:
            slot.cancel()
        slot.due_ms, slot.cancel = due_ms, None
        if due_ms is not None:
            slot.cancel = self._timers.later(due_ms - now_ms, partial(self._ring, slot))

    def _ring(self, slot: Slot) -> None:
        slot.due_ms = slot.cancel = None
        try:
            self._services.submit(partial(self._tick, slot))
        except Retryable as error:
            self._ring_later(slot, error)

    def _ring_later(self, slot: Slot, error: Retryable) -> None:
        delay_ms = round(error.retry_after_s * 1000)
        slot.cancel = self._timers.later(delay_ms, partial(self._ring, slot))

    async def _tick(self, slot: Slot, work: Work) -> None:
        if not self._roster.is_current(slot) or slot.waiting is not None:
            return
        queries = slot.cell.queries(self._state, self._clock(), Reason.CLOCK)
        try:
            answers = [await self._history.query_series(query) for query in queries]
        except Retryable as error:
            self._ring_later(slot, error)
            return
        self._calculate(slot, self._moment(Reason.CLOCK, work, answers), None, work)
        await self._tell(work)


def _isolated(call: Callable[[], T]) -> T:
    """What a cell does; whatever goes wrong in it is its own failure. Raises FieldError."""
    try:
        return call()
    except FieldError:
        raise
    except Exception as error:
        raise FieldError(f"{type(error).__name__}: {error}") from error


def _led_by(cause: Message | None) -> tuple[UUID, ...]:
    """The fields that led to a message."""
    return () if cause is None else cause.calculated_by


def _forget(names: list[str], work: Work) -> None:
    work.unit.states += [StateWrite(STATE_OWNER, name, None) for name in names]
