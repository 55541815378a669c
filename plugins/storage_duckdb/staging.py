"""Changes on their way into DuckDB: columns for what is much, folded rows for what is little.

Points are collected in packed columns (54 bytes each) that DuckDB reads in place as one Arrow
batch: the only way in that is fast enough without numpy or pyarrow. A telemetry record goes
from its bytes to the columns without becoming objects: what stands before a number in an entry is
the same for a key every time, so it is looked up instead of parsed (1 µs a value, not 7). Text and
JSON points, events and state go in as lists. Entities and states keep the last write of the batch;
attributes keep one fold per key, because the newest ts wins and a delete forgets what was before.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Set
from typing import Any
from uuid import UUID

import msgspec
import nanoarrow as na
from nanoarrow.c_array import c_array_from_buffers

from appliance.model.telemetry import AttributeDelete, AttributeWrite, Series, Value
from appliance.model.unit import Lane, OutboxEvent, Unit
from appliance.sync.protobuf import read_varint, signed
from appliance.sync.wire import decode_entry
from plugins.storage_duckdb.format import LaneFigures, Record
from plugins.storage_duckdb.records import (
    EVENT,
    TELEMETRY,
    TELEMETRY_HEAD_BYTES,
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
    shared_events,
    telemetry_place,
    telemetry_series,
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
    "entity": "i", "key": "i", "ts": "q", "seq": "q", "idx": "i", "committed_ms": "q",
    "kind": "b", "long": "q", "double": "d", "ttl_s": "i",
}  # fmt: skip

AttributeKey = tuple[str, UUID, str, str]
END_OF_TIME = 2**63 - 1
"""Of a deletion without a time of its own: it takes everything."""
_PAIR_TAG = 0x12
_DOUBLE_TAIL, _LONG_TAIL = b"\x10\x02\x29", b"\x10\x01\x20"
_unpack_double = struct.Struct("<d").unpack_from
_PREFIXES_MAX = 16_384


class Numbers:
    """A dictionary table: name to small number, growing only."""

    def __init__(self, known: dict[Any, int]) -> None:
        self._known = known
        self.fresh: list[tuple[int, Any]] = []
        self.prefixes: dict[bytes, tuple[int, int]] = {}
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
        self.prefixes.clear()

    def learn(self, key: str) -> None:
        """Remember what stands before a number of that key in an encoded entry."""
        name = key.encode("utf-8", "replace")
        if len(name) < 110 and key in self._known:
            if len(self.prefixes) >= _PREFIXES_MAX:
                self.prefixes.clear()
            head = bytes((0x0A, len(name))) + name
            self.prefixes[head + _DOUBLE_TAIL] = (self._known[key], DOUBLE)
            self.prefixes[head + _LONG_TAIL] = (self._known[key], LONG)


class Staging:
    """One batch for one transaction.

    state_seq: up to there the tables have the state already, ahead of everything else.
    """

    def __init__(
        self,
        entities: Numbers,
        keys: Numbers,
        watched: Set[int] = frozenset(),
        state_seq: int = 0,
    ) -> None:
        self.entities, self.keys = entities, keys
        self.watched = watched
        self._state_seq = state_seq
        self.points: dict[str, array[Any]] = {
            name: array(code) for name, code in _POINT_COLUMNS.items()
        }
        self.texts: list[tuple[int, int, int, int, int, int, int, str, int]] = []
        self.events: list[tuple[Any, ...]] = []
        self.entity_writes: dict[tuple[str, UUID], bytes | None] = {}
        self.attributes: dict[AttributeKey, tuple[int, int | None, str]] = {}
        """(up to which time the stored one goes, time or None, value as JSON)."""
        self.states: dict[tuple[str, str], bytes | None] = {}
        self.lanes: dict[tuple[str, Lane], LaneFigures] = {}
        self.quarantines: list[QuarantineNote] = []
        self.releases: list[Release] = []
        self.gaps: list[DropNote] = []
        self.deletes: list[tuple[int, DeleteSeriesNote]] = []
        self.touched: list[tuple[int, int, dict[str, Value]]] = []
        self.last_seq = 0
        self.records = 0

    def add(self, record: Record) -> None:
        """Take one record, in order of sequence."""
        self.last_seq = record.seq
        self.records += 1
        if record.kind == TELEMETRY:
            self._add_telemetry(record)
        elif record.kind == UNIT:
            unit, releases = decode_unit(record.kind, record.payload)
            self._add_unit(record, unit)
            self.releases.extend(releases)
        else:
            self._add_note(record.seq, decode_note(record.kind, record.payload))

    def _add_telemetry(self, record: Record) -> None:
        payload = record.payload
        name = telemetry_place(payload)
        entity = self.entities.get(name)
        index = 0 if payload[0] & EVENT else -1
        if entity in self.watched or not self._add_entry(record, entity, index):
            series = telemetry_series(payload)
            self._add_series(record, series, index)
            for key in series.values:
                self.keys.learn(key)

    def _add_entry(self, record: Record, entity: int, index: int) -> bool:
        """Straight from bytes to columns; False, and nothing done, unless every key is known."""
        data, prefixes = record.payload, self.keys.prefixes
        ts, at = read_ts(data, TELEMETRY_HEAD_BYTES)
        keys: list[int] = []
        kinds: list[int] = []
        longs: list[int] = []
        doubles: list[float] = []
        end = len(data)
        while at < end:
            if at + 4 > end or data[at] != _PAIR_TAG or data[at + 1] > 0x7F:
                return False
            start = at + 2
            value = start + data[at + 3] + 5
            known = prefixes.get(data[start:value])
            if known is None:
                return False
            key, kind = known
            keys.append(key)
            kinds.append(kind)
            if kind == DOUBLE:
                doubles.append(_unpack_double(data, value)[0])
                longs.append(0)
            else:
                longs.append(signed(read_varint(data, value)[0]))
                doubles.append(0.0)
            at = start + data[at + 1]
        self._extend(record, ts, index, entity, 0, (keys, kinds, longs, doubles))
        return True

    def arrow(self) -> Any:
        """The points as one Arrow batch, for DuckDB to scan."""
        children = [
            c_array_from_buffers(_ARROW_TYPES[column.typecode], len(column), [None, column])
            for column in self.points.values()
        ]
        schema = na.struct({n: _ARROW_TYPES[c.typecode] for n, c in self.points.items()})
        length = len(self.points["ts"])
        return ArrowBatch(c_array_from_buffers(schema, length, [None], children=children))

    def _add_unit(self, record: Record, unit: Unit) -> None:
        merged = set()
        for series, index in zip(unit.series, shared_events(unit), strict=True):
            if index is None or index in merged:
                index = -1
            else:
                merged.add(index)
            self._add_series(record, series, index)
        for index, event in enumerate(unit.events):
            if index not in merged:
                self._add_event(record, index, event)
        if record.seq > self._state_seq:
            self.add_state(unit)

    def add_state(self, unit: Unit) -> None:
        """Take what a unit says of entities, attributes and states."""
        for attributes in unit.attributes:
            self._add_attributes(attributes)
        for entity in unit.entities:
            self.entity_writes[entity.kind, entity.id] = entity.body
        for state in unit.states:
            self.states[state.owner, state.key] = state.body

    def _add_series(self, record: Record, series: Series, index: int) -> None:
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
                    entity, number(key), series.ts, record.seq, index, record.committed_ms,
                    STRING if kind is str else JSON, text, series.ttl_s,
                ))  # fmt: skip
                continue
            keys.append(number(key))
        self._extend(record, series.ts, index, entity, series.ttl_s, (keys, kinds, longs, doubles))
        if entity in self.watched:
            self.touched.append((entity, series.ts, series.values))

    def _extend(
        self,
        record: Record,
        ts: int,
        index: int,
        entity: int,
        ttl_s: int,
        rows: tuple[list[int], list[int], list[int], list[float]],
    ) -> None:
        keys, kinds, longs, doubles = rows
        points, count = self.points, len(keys)
        points["entity"].extend([entity] * count)
        points["key"].extend(keys)
        points["ts"].extend([ts] * count)
        points["seq"].extend([record.seq] * count)
        points["idx"].extend([index] * count)
        points["committed_ms"].extend([record.committed_ms] * count)
        points["kind"].extend(kinds)
        points["long"].extend(longs)
        points["double"].extend(doubles)
        points["ttl_s"].extend([ttl_s] * count)

    def _add_event(self, record: Record, index: int, event: OutboxEvent) -> None:
        self.events.append((
            record.seq, index, record.committed_ms, event.outbox, int(event.lane), event.type,
            event.action, event.entity.type, str(event.entity.id), readable_body(event),
            str(event.id) if event.id else None,
        ))  # fmt: skip

    def _add_attributes(self, change: AttributeWrite | AttributeDelete) -> None:
        entity, scope = change.entity, change.scope.value
        if isinstance(change, AttributeDelete):
            until = change.ts or END_OF_TIME
            for key in change.keys:
                place = (entity.type, entity.id, scope, key)
                cut, ts, text = self.attributes.get(place, (until, None, ""))
                if ts is not None and ts <= until:
                    ts, text = None, ""
                self.attributes[place] = (max(cut, until), ts, text)
            return
        for key, value in change.values.items():
            place = (entity.type, entity.id, scope, key)
            cut, ts, _ = self.attributes.get(place, (change.ts, None, ""))
            if ts is None or change.ts >= ts:
                text = msgspec.json.encode(value).decode()
                self.attributes[place] = (max(cut, change.ts), change.ts, text)

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


def read_ts(data: bytes, at: int) -> tuple[int, int]:
    """(ts, where the pairs begin) of the entry at data[at:]."""
    if at < len(data) and data[at] == 0x08:
        number, at = read_varint(data, at + 1)
        return signed(number), at
    return 0, at


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
