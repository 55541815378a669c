"""Which fields run where: follows the state and makes, renews and drops cells.

A cell that is new, or whose field or relations changed, is put into `fresh`: the engine reads its
history and lets it begin. Nothing here waits; the state's watchers are plain calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from appliance.fields.arguments_cell import belongs_to, kept_without
from appliance.fields.cell import Reason
from appliance.fields.check import check_shape
from appliance.fields.config import Field, read_field
from appliance.fields.debug import FieldLog
from appliance.fields.events import FieldLoaded, FieldRefused
from appliance.fields.index import Index, Key, Loaded, Slot, entities_of_owner
from appliance.fields.limits import limits_of
from appliance.fields.types import TYPES
from appliance.kernel.clock import Clock
from appliance.kernel.events import Emit
from appliance.kernel.wakeup import Wakeup
from appliance.model.errors import ConfigError
from appliance.model.ids import EntityId
from appliance.state.store import State

_AT = frozenset({"DEVICE", "ASSET", "CUSTOMER"})
"""Kinds of entities that have cells."""


class Roster:
    """Fields and cells as the state wants them.

    fresh: cells that wait to begin. gone: names of states that are no longer needed. changed: set
    when there is something for the engine to do.
    """

    def __init__(self, state: State, clock: Clock, emit: Emit, arm: Callable[[Slot], None]) -> None:
        """arm: sets a cell's timer; called for a cell that need not begin."""
        self.index = Index()
        self.fresh: dict[Key, Slot] = {}
        self.gone: list[str] = []
        self.changed = Wakeup()
        self.off: frozenset[str] = frozenset()
        """Types that are left to the cloud."""
        self._state = state
        self._clock = clock
        self._emit = emit
        self._arm = arm
        self._alarms: dict[UUID, Slot] = {}
        self._kept: dict[str, bytes] = {}
        self._relations_changed = False

    def load(self, kept: dict[str, bytes]) -> None:
        """Take up what was before a restart, and follow the state from now on."""
        self._kept = kept
        for body in self._state.entities("CALCULATED_FIELD"):
            self._load_field(body)
        self.gone += self._kept
        self._kept = {}
        self._state.watch(self._note)

    def follow_relations(self) -> None:
        """Look again whom each cell listens to, if relations have changed since."""
        if not self._relations_changed:
            return
        self._relations_changed = False
        for slot in self.index.slots.values():
            if self.index.follow(slot, self._state):
                self._renew(slot, Reason.CHANGED)

    def watch_alarm(self, id: UUID, slot: Slot) -> None:
        """Tell the cell when somebody changes this alarm."""
        self._alarms[id] = slot

    def is_current(self, slot: Slot) -> bool:
        """Whether the cell is still the one in its place."""
        return self.index.slots.get(slot.key) is slot

    def _note(self, kind: str, id: UUID, body: dict[str, Any] | None) -> None:
        if kind == "CALCULATED_FIELD":
            if body is None:
                self._drop_field(id)
            else:
                self._load_field(body)
        elif kind in _AT:
            self._attach(EntityId(kind, id))
        elif kind == "TENANT_PROFILE":
            for body in self._state.entities("CALCULATED_FIELD"):
                self._load_field(body)
        elif kind in ("RELATION", "TENANT"):
            self._relations_changed = bool(self.index.slots)
        elif kind == "ALARM" and id in self._alarms:
            self._notice_alarm(id, body)
        self.changed.set()

    def _load_field(self, body: dict[str, Any]) -> None:
        try:
            field = read_field(body, limits_of(self._state))
            old = self.index.fields.get(field.id)
            seen = None if old is None else old.debug
            debug = FieldLog.wanted(body.get("debugSettings"), seen)
            if old is not None and old.field == field:
                old.debug = debug
                return
            if field.type in self.off:
                raise ConfigError(f"fields of type {field.type} are left to the server")
            check_shape(field)
            cells = TYPES[field.type](field)
        except ConfigError as error:
            self._emit(FieldRefused(name=str(body.get("name")), reason=str(error)))
            self._drop_field(UUID(body["id"]["id"]))
            return
        self.index.put_field(Loaded(field, cells, debug))
        entities = entities_of_owner(field.owner, self._state)
        for slot in self.index.of_field(field.id):
            if slot.entity not in entities:
                self._drop(slot.key)
        for entity in entities:
            self._place(field.id, entity)
        self._emit(FieldLoaded(name=field.name, type=field.type, entities=len(entities)))

    def _drop_field(self, id: UUID) -> None:
        self.index.drop_field(id)
        for slot in self.index.of_field(id):
            self._drop(slot.key)

    def _attach(self, entity: EntityId) -> None:
        """Give an entity that is new or has changed the cells that it should have."""
        wanted = set()
        if self._state.entity(entity.type, entity.id) is not None:
            wanted = self.index.fields_at(entity, self._state)
        for slot in self.index.at(entity):
            if slot.field.id not in wanted:
                self._drop(slot.key)
            elif self.index.follow(slot, self._state):
                self._renew(slot, Reason.CHANGED)
        for id in wanted:
            if (id, entity) not in self.index.slots:
                self._place(id, entity)

    def _place(self, id: UUID, entity: EntityId) -> None:
        """Make a cell, from what it was before where it was already there."""
        loaded = self.index.fields[id]
        old = self.index.slots.get((id, entity))
        slot = self._made(loaded, entity, old)
        if old is not None and old.cancel is not None:
            old.cancel()
        self.index.put(slot, self._state)
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
        kept, because = self._kept_of(field, entity, old)
        slot = Slot(key, field, loaded.cells(entity, self._clock(), kept))
        slot.because, slot.written = because, kept
        return slot

    def _kept_of(
        self, field: Field, entity: EntityId, old: Slot | None
    ) -> tuple[bytes | None, Reason]:
        """What a cell takes over, and why it begins; nothing from a field of another type."""
        if old is not None and old.field.type == field.type:
            kept = kept_without(old.cell.saved(), old.field, field)
            return kept, Reason.RESTORED if _is_same(old.field, field) else Reason.CHANGED
        found = self._kept.pop(f"{field.id}/{entity.type}/{entity.id}", None)
        if found is None or not belongs_to(field, found):
            return None, Reason.BEGIN
        return found, Reason.RESTORED

    def _renew(self, slot: Slot, because: Reason) -> None:
        """Let the cell begin, or begin again, once its history is read."""
        slot.because = because
        if slot.waiting is None:
            slot.waiting = []
        self.fresh[slot.key] = slot
        self.changed.set()

    def _drop(self, key: Key) -> None:
        slot = self.index.drop(key)
        self.fresh.pop(key, None)
        if slot is not None:
            if slot.cancel is not None:
                slot.cancel()
            self._alarms.pop(getattr(slot.cell, "alarm_id", None) or key[0], None)
            self.gone.append(slot.name)

    def _notice_alarm(self, id: UUID, body: dict[str, Any] | None) -> None:
        """Somebody changed an alarm; its rules start over unless it was the cell itself."""
        notice = getattr(self._alarms[id].cell, "notice_alarm", None)
        if notice is not None:
            notice(body)
        if body is None or body.get("cleared"):
            del self._alarms[id]


def _is_same(old: Field, new: Field) -> bool:
    """Whether a field's new form calculates as the old one, so that it need not calculate again.

    The name matters to an alarm only: it is the alarm's type.
    """
    name = old.name if new.type == "ALARM" else new.name
    return (old.config, old.owner, name) == (new.config, new.owner, new.name)
