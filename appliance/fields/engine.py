"""Runs calculated fields: values in, results out, in the unit of work that the values are in.

Limits: `WAITING_MAX` changes wait for a cell whose history is still being read.

Invariants:
* A cell's memory and the results that followed from it are in one unit of work: after a crash
  both are there or neither is.
* A field does not run on a message that it led to (§7, `Message.calculated_by`).
* Timers are set when the unit that asks for them is durable.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import trio

from appliance.fields.arguments_cell import checksum, kept_without, read_kept
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
from appliance.fields.check import check_shape
from appliance.fields.config import Field, read_field
from appliance.fields.events import (
    FieldBroke,
    FieldCalculated,
    FieldFailed,
    FieldLoaded,
    FieldRefused,
    FieldWaited,
)
from appliance.fields.index import Index, Key, Loaded, Slot, entities_of_owner
from appliance.fields.outcome import alarm_message, message_of, relate, save_at_once
from appliance.fields.types import TYPES
from appliance.kernel.clock import Clock
from appliance.kernel.events import Emit
from appliance.kernel.wakeup import Wakeup
from appliance.model.errors import ConfigError, Retryable
from appliance.model.ids import EntityId
from appliance.model.message import Message
from appliance.model.telemetry import Value
from appliance.model.unit import StateWrite
from appliance.rules.alarms import store
from appliance.rules.overlay import UnitView
from appliance.rules.ports import CalculationInput, History, RuleServices
from appliance.rules.timers import Timers
from appliance.rules.work import Work
from appliance.state.store import State

STATE_OWNER = "fields"
WAITING_MAX = 1_000
"""Changes kept for one cell that has not begun; reading its history takes milliseconds."""
_AT = frozenset({"DEVICE", "ASSET", "CUSTOMER"})
"""Kinds of entities that have cells."""

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
        self._index = Index()
        self._alarms: dict[UUID, Slot] = {}
        self._kept: dict[str, bytes] = {}
        self._fresh: dict[Key, Slot] = {}
        self._gone: list[str] = []
        self._relations_changed = False
        self._loaded = False
        self._wakeup = Wakeup()

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
                await self._wakeup.wait()

    async def load(self) -> None:
        """Take up what was before a restart, and follow the state from now on."""
        self._kept = await self._history.load_states(STATE_OWNER)
        for body in self._state.entities("CALCULATED_FIELD"):
            self._load_field(body)
        self._gone += self._kept
        self._kept = {}
        self._state.watch(self._note)
        self._loaded = True

    async def catch_up(self) -> None:
        """Begin the cells that are new. Raises Retryable when too many tasks wait."""
        if self._relations_changed:
            self._relations_changed = False
            for slot in self._index.slots.values():
                if self._index.follow(slot, self._state):
                    self._renew(slot, Reason.CHANGED)
        if self._gone:
            gone = list(self._gone)
            self._services.submit(partial(_forget, gone))
            self._gone = self._gone[len(gone) :]
        while self._fresh:
            key, slot = next(iter(self._fresh.items()))
            await self._read_history(slot)
            self._fresh.pop(key, None)

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

    # what is defined -----------------------------------------------------------------------------
    def _note(self, kind: str, id: UUID, body: dict[str, Any] | None) -> None:
        if kind == "CALCULATED_FIELD":
            if body is None:
                self._drop_field(id)
            else:
                self._load_field(body)
        elif kind in _AT:
            self._attach(EntityId(kind, id))
        elif kind in ("RELATION", "TENANT"):
            self._relations_changed = bool(self._index.slots)
        elif kind == "ALARM" and id in self._alarms:
            self._notice_alarm(id, body)
        self._wakeup.set()

    def _load_field(self, body: dict[str, Any]) -> None:
        try:
            field = read_field(body)
            old = self._index.fields.get(field.id)
            if old is not None and old.field == field:
                return
            check_shape(field)
            cells = TYPES[field.type](field)
        except ConfigError as error:
            self._emit(FieldRefused(name=str(body.get("name")), reason=str(error)))
            self._drop_field(UUID(body["id"]["id"]))
            return
        self._index.put_field(Loaded(field, cells))
        entities = entities_of_owner(field.owner, self._state)
        for slot in self._index.of_field(field.id):
            if slot.entity not in entities:
                self._drop(slot.key)
        for entity in entities:
            self._place(field.id, entity)
        self._emit(FieldLoaded(name=field.name, type=field.type, entities=len(entities)))

    def _drop_field(self, id: UUID) -> None:
        self._index.drop_field(id)
        for slot in self._index.of_field(id):
            self._drop(slot.key)

    def _attach(self, entity: EntityId) -> None:
        """Give an entity that is new or has changed the cells that it should have."""
        wanted = set()
        if self._state.entity(entity.type, entity.id) is not None:
            wanted = self._index.fields_at(entity, self._state)
        for slot in self._index.at(entity):
            if slot.field.id not in wanted:
                self._drop(slot.key)
            elif self._index.follow(slot, self._state):
                self._renew(slot, Reason.CHANGED)
        for id in wanted:
            if (id, entity) not in self._index.slots:
                self._place(id, entity)

    def _place(self, id: UUID, entity: EntityId) -> None:
        """Make a cell, from what it was before where it was already there."""
        loaded = self._index.fields[id]
        old = self._index.slots.get((id, entity))
        slot = self._made(loaded, entity, old)
        if old is not None and old.cancel is not None:
            old.cancel()
        self._index.put(slot, self._state)
        alarm = getattr(slot.cell, "alarm_id", None)
        if alarm is not None:
            self._alarms[alarm] = slot
        if self._wants_history(slot):
            self._renew(slot, slot.because)
        else:
            self._arm(slot)

    def _wants_history(self, slot: Slot) -> bool:
        """Whether the cell must begin first; one that was restored may know everything."""
        if slot.because is not Reason.RESTORED:
            return True
        cell, state = slot.cell, self._state
        return bool(
            cell.latest_wanted(state, slot.because)
            or cell.queries(state, self._clock(), slot.because)
        )

    def _made(self, loaded: Loaded, entity: EntityId, old: Slot | None) -> Slot:
        field, key = loaded.field, (loaded.field.id, entity)
        kept, because = None, Reason.BEGIN
        if old is not None:
            kept, because = kept_without(old.cell.saved(), old.field, field), Reason.CHANGED
        else:
            kept = self._kept.pop(f"{field.id}/{entity.type}/{entity.id}", None)
            if kept is not None:
                same = read_kept(kept).of == checksum(field)
                because = Reason.RESTORED if same else Reason.CHANGED
        slot = Slot(key, field, loaded.cells(entity, self._clock(), kept))
        slot.because, slot.written = because, kept
        return slot

    def _renew(self, slot: Slot, because: Reason) -> None:
        """Let the cell begin, or begin again, once its history is read."""
        slot.because = because
        if slot.waiting is None:
            slot.waiting = []
        self._fresh[slot.key] = slot
        self._wakeup.set()

    def _drop(self, key: Key) -> None:
        slot = self._index.drop(key)
        self._fresh.pop(key, None)
        if slot is not None:
            if slot.cancel is not None:
                slot.cancel()
            self._alarms.pop(getattr(slot.cell, "alarm_id", None) or key[0], None)
            self._gone.append(slot.name)

    def _notice_alarm(self, id: UUID, body: dict[str, Any] | None) -> None:
        """Somebody changed an alarm; its rules start over unless it was the cell itself."""
        notice = getattr(self._alarms[id].cell, "notice_alarm", None)
        if notice is not None:
            notice(body)
        if body is None or body.get("cleared"):
            del self._alarms[id]

    # values --------------------------------------------------------------------------------------
    def calculate(self, values: CalculationInput, work: Work) -> None:
        """See RuleServices; results join `work.follow_ups`."""
        if not self._index.listening(values.entity):
            return
        change = Change(values.entity, values.scope, ((values.ts, values.values),), values.deleted)
        self._feed(change, values.cause.calculated_by if values.cause else (), work)

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
            self._feed(change, (), work)
        await self._tell(work)

    def _feed(self, change: Change, by: tuple[UUID, ...], work: Work) -> None:
        for slot in self._index.listening(change.entity):
            if slot.field.id in by:
                continue
            if slot.waiting is not None:
                if len(slot.waiting) < WAITING_MAX:
                    slot.waiting.append(change)
                continue
            moment = self._moment(Reason.VALUES, work)
            changed = self._taken(slot, change, moment)
            if changed:
                now, view = moment.now_ms, moment.view
                self._calculate(slot, Moment(now, view, Reason.VALUES, changed), by, work)

    def _taken(self, slot: Slot, change: Change, moment: Moment) -> frozenset[str]:
        try:
            return _isolated(partial(slot.cell.feed, change, moment))
        except FieldError as error:
            self._fail(slot, error)
            return frozenset()

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
        """Start a cell with what history had and what came meanwhile."""
        waiting, slot.waiting = slot.waiting or [], None
        if self._index.slots.get(slot.key) is not slot:
            return
        moment = self._moment(slot.because, work, answers)
        changed: frozenset[str] = frozenset()
        try:
            _isolated(partial(slot.cell.begin, latest, moment))
        except FieldError as error:
            self._fail(slot, error)
        for change in waiting:
            changed |= self._taken(slot, change, moment)
        if slot.because is not Reason.RESTORED or changed:
            self._calculate(slot, moment, (), work)
        else:
            work.after.append(partial(self._arm, slot))
        await self._tell(work)

    # calculation ---------------------------------------------------------------------------------
    def _calculate(self, slot: Slot, moment: Moment, by: tuple[UUID, ...], work: Work) -> None:
        try:
            effects = _isolated(lambda: list(slot.cell.run(moment)))
            for effect in effects:
                self._apply(slot, effect, moment, by, work)
        except FieldError as error:
            self._fail(slot, error)
        else:
            slot.told = ""
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
            self._alarms[UUID(effect.alarm["id"]["id"])] = slot
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
        if output.strategy.type == "RULE_CHAIN":
            work.follow_ups.append(message)
            return
        change = save_at_once(output, message, moment.view, self._services, work)
        if change is not None:
            self._feed(change, message.calculated_by, work)

    def _fail(self, slot: Slot, error: FieldError) -> None:
        text = str(error)
        kind: type[FieldFailed | FieldWaited] = FieldFailed
        if isinstance(error, NotYet):
            kind = FieldWaited
        elif text != slot.told:
            kind, slot.told = FieldBroke, text
        field = slot.field
        self._emit(kind(name=field.name, type=field.type, entity=str(slot.entity), error=text))

    async def _tell(self, work: Work) -> None:
        """Run messages of a task of our own through their chains."""
        while work.follow_ups:
            rest = self._process(work.follow_ups.pop(0), work)
            if rest is not None:
                await rest

    # clock ---------------------------------------------------------------------------------------
    def _arm(self, slot: Slot) -> None:
        """Set the cell's timer, or take it away."""
        if self._index.slots.get(slot.key) is not slot:
            return
        now_ms = self._clock()
        due_ms = slot.cell.due_ms(now_ms)
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
        if self._index.slots.get(slot.key) is not slot or slot.waiting is not None:
            return
        queries = slot.cell.queries(self._state, self._clock(), Reason.CLOCK)
        try:
            answers = [await self._history.query_series(query) for query in queries]
        except Retryable as error:
            self._ring_later(slot, error)
            return
        self._calculate(slot, self._moment(Reason.CLOCK, work, answers), (), work)
        await self._tell(work)


def _isolated(call: Callable[[], T]) -> T:
    """What a cell does; whatever goes wrong in it is its own failure. Raises FieldError."""
    try:
        return call()
    except FieldError:
        raise
    except Exception as error:
        raise FieldError(f"{type(error).__name__}: {error}") from error


def _forget(names: list[str], work: Work) -> None:
    work.unit.states += [StateWrite(STATE_OWNER, name, None) for name in names]
