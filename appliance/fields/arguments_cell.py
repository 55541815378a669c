"""What the types that calculate from arguments have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from appliance.extension.ports import SeriesQuery
from appliance.fields.arguments import Arguments, Single, check_state
from appliance.fields.cell import Change, Effect, FieldError, Moment, NotYet, Reason
from appliance.fields.config import Argument, Field
from appliance.fields.sources import entities_of
from appliance.model.ids import EntityId
from appliance.model.telemetry import Scope, Value
from appliance.rules.values import decode_json, encode_json
from appliance.state.view import StateView


class Kept(msgspec.Struct):
    """A cell's memory. of: the configuration that it belongs to, as a checksum.

    singles: name -> [ts, value, is default]. memory: of the type's own.
    """

    of: int
    since_ms: int
    singles: dict[str, tuple[int, Any, bool]] = {}
    memory: Any = None


def read_kept(body: bytes) -> Kept:
    """What `saved` wrote."""
    return msgspec.convert(decode_json(body), Kept)


def belongs_to(field: Field, kept: bytes) -> bool:
    """Whether a cell of the field as it is now kept this."""
    try:
        return read_kept(kept).of == field.checksum
    except ValueError:
        return False


def kept_without(kept: bytes, old: Field, new: Field) -> bytes:
    """What a cell kept, for its field's new form: arguments that became others are forgotten."""
    before, after = (getattr(field.config, "arguments", {}) for field in (old, new))
    memory = read_kept(kept)
    singles = {
        name: single
        for name, single in memory.singles.items()
        if before.get(name) == after.get(name)
    }
    return encode_json(msgspec.structs.replace(memory, singles=singles))


class ArgumentsCell:
    """A cell with named arguments; subclasses say what comes of them (see `Cell`)."""

    def __init__(
        self,
        field: Field,
        specs: Mapping[str, Argument],
        entity: EntityId,
        since_ms: int,
        kept: bytes | None,
    ) -> None:
        self.field = field
        self.entity = entity
        self.arguments = Arguments(specs, since_ms, field.limits)
        self._memory: Any = None
        if kept is not None:
            self._restore(read_kept(kept))

    # what a subclass says ------------------------------------------------------------------------
    def missing(self, moment: Moment) -> list[str]:
        """The arguments without which nothing is calculated: all that have no value."""
        return self.arguments.missing(moment.now_ms)

    def calculate(self, moment: Moment) -> Iterable[Effect]:
        """The effects of the arguments as they are now. Raises FieldError."""
        raise FieldError("this type calculates nothing")

    def memory(self) -> Any:
        """What the type itself must remember, as JSON."""
        return None

    def remember(self, memory: Any) -> None:
        """The other way."""

    # Cell ----------------------------------------------------------------------------------------
    def sources(self, view: StateView) -> set[EntityId]:
        """See Cell."""
        specs = self.arguments.specs.values()
        return {source for spec in specs for source in entities_of(spec, self.entity, view)}

    def latest_wanted(self, view: StateView, reason: Reason) -> Mapping[EntityId, set[str]]:
        """See Cell: nothing after a restart, for single values were kept."""
        wanted: dict[EntityId, set[str]] = {}
        if reason is Reason.RESTORED:
            return wanted
        for spec in self.arguments.specs.values():
            if spec.ref_entity_key.type == "TS_LATEST":
                for source in entities_of(spec, self.entity, view):
                    wanted.setdefault(source, set()).add(spec.ref_entity_key.key)
        return wanted

    def queries(self, view: StateView, now_ms: int, reason: Reason) -> list[SeriesQuery]:
        """See Cell: the windows of rolling arguments, at the beginning."""
        if reason is Reason.CLOCK:
            return []
        return [query for _, query in self._windows(view, now_ms)]

    def _windows(self, view: StateView, now_ms: int) -> Iterable[tuple[str, SeriesQuery]]:
        for name, window in self.arguments.windows.items():
            spec = self.arguments.specs[name]
            points = spec.points_max(self.field.limits)
            for source in entities_of(spec, self.entity, view):
                start = window.start_ms(now_ms)
                key = spec.ref_entity_key.key
                yield name, SeriesQuery(source, (key,), start, now_ms + 1, points)

    def begin(
        self, latest: Mapping[EntityId, Mapping[str, tuple[int, Value]]], moment: Moment
    ) -> None:
        """See Cell. What is there already takes the place of a default, however old it is."""
        for name, spec in self.arguments.specs.items():
            for source in entities_of(spec, self.entity, moment.view):
                found = self._found(spec, source, latest, moment.view)
                if found is not None:
                    self._begin_with(name, *found)
        windows = self._windows(moment.view, moment.now_ms)
        for (name, query), answer in zip(windows, moment.answers, strict=False):
            for ts, value in answer.get(query.keys[0], ()):
                self.arguments.take(name, ts, value)

    def _found(
        self,
        spec: Argument,
        source: EntityId,
        latest: Mapping[EntityId, Mapping[str, tuple[int, Value]]],
        view: StateView,
    ) -> tuple[int, Value] | None:
        key = spec.ref_entity_key
        if key.type == "TS_LATEST":
            return latest.get(source, {}).get(key.key)
        if key.type == "ATTRIBUTE":
            stored = view.attributes(source, scope_of(key.scope)).get(key.key)
            return None if stored is None else (stored.ts, stored.value)
        return None

    def _begin_with(self, name: str, ts: int, value: Value) -> None:
        old = self.arguments.singles.get(name)
        if old is not None and old.is_default:
            del self.arguments.singles[name]
        self.arguments.take(name, ts, value)

    def feed(self, change: Change, moment: Moment) -> frozenset[str]:
        """See Cell."""
        return frozenset(
            name
            for name, spec in self.arguments.specs.items()
            if self._listens(spec, change, moment.view) and self._take(name, spec, change, moment)
        )

    def _listens(self, spec: Argument, change: Change, view: StateView) -> bool:
        key = spec.ref_entity_key
        if (key.type == "ATTRIBUTE") != (change.scope is not None):
            return False
        if change.scope is not None and change.scope.value != key.scope:
            return False
        return change.entity in entities_of(spec, self.entity, view)

    def _take(self, name: str, spec: Argument, change: Change, moment: Moment) -> bool:
        key = spec.ref_entity_key.key
        took = False
        for ts, values in change.points:
            if key in values:
                took |= self.arguments.take(name, ts, values[key])
        if key in change.deleted:
            took |= self.arguments.forget(name, moment.now_ms)
        return took

    def run(self, moment: Moment) -> Iterable[Effect]:
        """See Cell."""
        self.refresh(moment.view)
        check_state(self.arguments.size_bytes, self.field.limits)
        missing = self.missing(moment)
        if missing:
            raise NotYet(f"Required arguments are missing: {', '.join(missing)}")
        return self.calculate(moment)

    def refresh(self, view: StateView) -> None:
        """Attributes may have changed beside the rule chain; the state always knows."""
        for name, spec in self.arguments.specs.items():
            if spec.ref_entity_key.type == "ATTRIBUTE":
                for source in entities_of(spec, self.entity, view):
                    found = self._found(spec, source, {}, view)
                    if found is not None:
                        self.arguments.take(name, *found)

    def due_ms(self, now_ms: int) -> int | None:
        """See Cell: nothing happens by the clock."""
        return None

    def saved(self) -> bytes:
        """See Cell. Points of rolling arguments are in history and are read from there."""
        singles = {
            name: (single.ts, single.value, single.is_default)
            for name, single in self.arguments.singles.items()
        }
        kept = Kept(self.field.checksum, self.arguments.since_ms, singles, self.memory())
        return encode_json(kept)

    def shown(self, moment: Moment) -> Any:
        """See Cell."""
        return self.arguments.shown(moment.now_ms)

    def _restore(self, kept: Kept) -> None:
        self.arguments.since_ms = kept.since_ms
        for name, (ts, value, is_default) in kept.singles.items():
            if name in self.arguments.specs and name not in self.arguments.windows:
                self.arguments.singles[name] = Single(ts, value, is_default)
        self.remember(kept.memory)


def scope_of(name: str | None) -> Scope:
    """An attribute scope by name. Raises FieldError."""
    try:
        return Scope(name or "")
    except ValueError:
        raise FieldError(f"Incorrect scope {name}") from None
