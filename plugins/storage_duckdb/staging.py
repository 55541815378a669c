"""Changes on their way into DuckDB: columns for what is much, folded rows for what is little.

Points are collected in packed columns (32 bytes each) that DuckDB reads in place as one Arrow
batch: the only way in that is fast enough without numpy or pyarrow. Text and JSON points, events
and state go in as lists. Entities and states keep the last write of the batch; attributes keep
one fold per key, because the newest ts wins and a delete forgets what was before it.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
import nanoarrow as na
from nanoarrow.c_array import c_array_from_buffers

from appliance.model.ids import EntityId
from appliance.model.telemetry import AttributeDelete, AttributeWrite, Series, Value
from appliance.model.unit import Lane, OutboxEvent, Unit
from appliance.sync.wire import decode_entry
from plugins.storage_duckdb.format import LaneFigures, Record
from plugins.storage_duckdb.records import (
    EVENT,
    TELEMETRY,
    TIMESERIES_UPDATED,
    UNIT,
    DeleteSeriesNote,
    DropNote,
    Note,
    QuarantineNote,
    Release,
    decode_note,
    decode_unit,
    encode_note,
    event_of_note,
    shared_event,
)

BOOLEAN, LONG, DOUBLE, STRING, JSON = range(5)
_ARROW_TYPES = {
    "i": na.int32(),
    "q": na.int64(),
    "b": na.int8(),
    "h": na.int16(),
    "d": na.float64(),
}
_POINT_COLUMNS = {
    "entity": "i", "key": "i", "ts": "q", "seq": "q", "idx": "h", "committed_ms": "q",
    "kind": "b", "long": "q", "double": "d", "ttl_s": "i",
}  # fmt: skip

AttributeKey = tuple[str, UUID, str, str]


class Change(msgspec.Struct):
    """One record as the database sees it: a unit with what it releases, or a note.

    telemetry: flags of the record if it had the telemetry form, which tell what it shares.
    """

    seq: int
    committed_ms: int
    unit: Unit | None = None
    releases: Sequence[Release] = ()
    note: Note | None = None
    telemetry: int = 0


def change_of(record: Record) -> Change:
    """A journal record, decoded."""
    if record.kind not in (TELEMETRY, UNIT):
        note = decode_note(record.kind, record.payload)
        return Change(record.seq, record.committed_ms, note=note)
    unit, releases = decode_unit(record.kind, record.payload)
    flags = record.payload[0] if record.kind == TELEMETRY else 0
    return Change(record.seq, record.committed_ms, unit, releases, None, flags)


class Numbers:
    """A dictionary table: name to small number, growing only."""

    def __init__(self, known: dict[Any, int]) -> None:
        self._known = known
        self.fresh: list[tuple[int, Any]] = []
        self._next = max(known.values(), default=0) + 1

    def find(self, name: Any) -> int | None:
        """Its number, or None if it was never seen."""
        return self._known.get(name)

    def get(self, name: Any) -> int:
        """Its number; a new name gets the next one."""
        number = self._known.get(name)
        if number is None:
            number = self._known[name] = self._next
            self._next += 1
            self.fresh.append((number, name))
        return number

    def forget_fresh(self) -> None:
        """The transaction that would have stored them failed."""
        for _, name in self.fresh:
            del self._known[name]
        self._next -= len(self.fresh)
        self.fresh.clear()


class Staging:
    """One batch for one transaction."""

    def __init__(self, entities: Numbers, keys: Numbers) -> None:
        self.entities, self.keys = entities, keys
        self.points: dict[str, array[Any]] = {
            name: array(code) for name, code in _POINT_COLUMNS.items()
        }
        self.texts: list[tuple[int, int, int, int, int, int, int, str, int]] = []
        self.events: list[tuple[Any, ...]] = []
        self.entity_writes: dict[tuple[str, UUID], bytes | None] = {}
        self.attributes: dict[AttributeKey, tuple[bool, int | None, str]] = {}
        self.states: dict[tuple[str, str], bytes | None] = {}
        self.lanes: dict[tuple[str, Lane], LaneFigures] = {}
        self.quarantines: list[QuarantineNote] = []
        self.releases: list[Release] = []
        self.gaps: list[DropNote] = []
        self.deletes: list[tuple[int, DeleteSeriesNote]] = []
        self.touched: list[tuple[EntityId, int, dict[str, Value]]] = []
        self.last_seq = 0
        self.records = 0

    def add(self, change: Change) -> None:
        """Take one record, in order of sequence."""
        self.last_seq = change.seq
        self.records += 1
        if change.unit is not None:
            self._add_unit(change, change.unit)
            self.releases.extend(change.releases)
        elif change.note is not None:
            self._add_note(change.seq, change.note)

    def arrow(self) -> Any:
        """The points as one Arrow batch, for DuckDB to scan."""
        children = [
            c_array_from_buffers(_ARROW_TYPES[column.typecode], len(column), [None, column])
            for column in self.points.values()
        ]
        schema = na.struct({n: _ARROW_TYPES[c.typecode] for n, c in self.points.items()})
        length = len(self.points["ts"])
        return ArrowBatch(c_array_from_buffers(schema, length, [None], children=children))

    def _add_unit(self, change: Change, unit: Unit) -> None:
        if change.telemetry:
            self._add_series(change, unit.series[0], 0 if change.telemetry & EVENT else -1)
            return
        merged = set()
        for series in unit.series:
            index = shared_event(series, unit.events)
            if index is None or index in merged:
                index = -1
            else:
                merged.add(index)
            self._add_series(change, series, index)
        for index, event in enumerate(unit.events):
            if index not in merged:
                self._add_event(change, index, event)
        for attributes in unit.attributes:
            self._add_attributes(attributes)
        for entity in unit.entities:
            self.entity_writes[entity.kind, entity.id] = entity.body
        for state in unit.states:
            self.states[state.owner, state.key] = state.body

    def _add_series(self, change: Change, series: Series, index: int) -> None:
        entity = self.entities.get((series.entity.type, series.entity.id))
        number = self.keys.get
        keys: list[int] = []
        kinds: list[int] = []
        longs: list[int] = []
        doubles: list[float] = []
        for key, value in series.values.items():
            kind = type(value)
            if kind is float:
                kinds.append(DOUBLE)
                doubles.append(value)  # type: ignore[arg-type]  # `kind` narrows it
                longs.append(0)
            elif kind is int or kind is bool:
                kinds.append(LONG if kind is int else BOOLEAN)
                longs.append(value)  # type: ignore[arg-type]  # as above
                doubles.append(0.0)
            else:
                text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
                self.texts.append((
                    entity, number(key), series.ts, change.seq, index, change.committed_ms,
                    STRING if kind is str else JSON, text, series.ttl_s,
                ))  # fmt: skip
                continue
            keys.append(number(key))
        self._extend(change, series, index, entity, (keys, kinds, longs, doubles))
        self.touched.append((series.entity, series.ts, series.values))

    def _extend(
        self,
        change: Change,
        series: Series,
        index: int,
        entity: int,
        rows: tuple[list[int], list[int], list[int], list[float]],
    ) -> None:
        keys, kinds, longs, doubles = rows
        points, count = self.points, len(keys)
        points["entity"].extend([entity] * count)
        points["key"].extend(keys)
        points["ts"].extend([series.ts] * count)
        points["seq"].extend([change.seq] * count)
        points["idx"].extend([index] * count)
        points["committed_ms"].extend([change.committed_ms] * count)
        points["kind"].extend(kinds)
        points["long"].extend(longs)
        points["double"].extend(doubles)
        points["ttl_s"].extend([series.ttl_s] * count)

    def _add_event(self, change: Change, index: int, event: OutboxEvent) -> None:
        self.events.append((
            change.seq, index, change.committed_ms, event.outbox, int(event.lane), event.type,
            event.action, event.entity.type, str(event.entity.id), readable_body(event),
            str(event.id) if event.id else None,
        ))  # fmt: skip

    def _add_attributes(self, change: AttributeWrite | AttributeDelete) -> None:
        entity, scope = change.entity, change.scope.value
        if isinstance(change, AttributeDelete):
            for key in change.keys:
                self.attributes[entity.type, entity.id, scope, key] = (True, None, "")
            return
        for key, value in change.values.items():
            place = (entity.type, entity.id, scope, key)
            replaces, ts, _ = self.attributes.get(place, (False, None, ""))
            if ts is None or change.ts >= ts:
                text = msgspec.json.encode(value).decode()
                self.attributes[place] = (replaces, change.ts, text)

    def _add_note(self, seq: int, note: Note) -> None:
        if isinstance(note, list):
            for figures in note:
                self.lanes[figures.outbox, Lane(figures.lane)] = figures
        elif isinstance(note, QuarantineNote):
            self.quarantines.append(note)
        elif isinstance(note, DropNote):
            self.gaps.append(note)
        else:
            self.deletes.append((seq, note))


class ArrowBatch:
    """One Arrow array as a stream of one batch, which is what DuckDB scans."""

    def __init__(self, batch: Any) -> None:
        self._batch = batch

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return na.c_array_stream(self._batch).__arrow_c_stream__()


def quarantine_row(note: QuarantineNote) -> tuple[Any, ...]:
    """The row of store.quarantine that keeps a note."""
    event = event_of_note(note)
    return (
        note.outbox, int(note.lane), *note.position, note.at_ms, note.reason, note.size,
        event.type, event.action, event.entity.type, str(event.entity.id), encode_note(note)[1],
    )  # fmt: skip


def readable_body(event: OutboxEvent) -> str:
    """An event's body as the text that `entity_body` shows."""
    if event.action == TIMESERIES_UPDATED and event.lane == Lane.DATA:
        try:
            ts, values = decode_entry(event.body)
            return msgspec.json.encode({"data": values, "ts": ts}).decode()
        except ValueError:
            pass  # not an entry after all: shown as it is
    return event.body.decode("utf-8", "replace")
