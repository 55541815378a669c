"""What a record's payload says: units of work, and notes that the storage writes to itself.

The common unit is one telemetry message: a `Series` and an outbox event with the very same values.
It has a form of its own (`TELEMETRY`) that holds the encoded values once:

    u8 flags (history | event), u8 entity type, 16 bytes entity id, TsKvListProto

Every other unit is msgpack of the array structs below, whose order of fields is the format: new
fields go last and have defaults. Values are never stored twice there either: a series whose
event carries the same bytes names the event by its index.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from uuid import UUID

import msgspec

from appliance.model.ids import EntityId
from appliance.model.telemetry import AttributeDelete, AttributeWrite, Scope, Series, Value
from appliance.model.unit import CLOUD, EntityWrite, Lane, OutboxEvent, StateWrite, Unit
from appliance.sync.wire import decode_entry, encode_entry
from plugins.storage_duckdb.format import LaneFigures

TELEMETRY = 1
UNIT = 2
CURSOR = 3
QUARANTINE = 4
DROP = 5
DELETE_SERIES = 6

TELEMETRY_HEAD_BYTES = 18
HISTORY = 1
EVENT = 2

TIMESERIES_UPDATED = "TIMESERIES_UPDATED"

# Codes are part of the format: append only.
_TYPE_NAMES = ("", "DEVICE", "ASSET", "ENTITY_VIEW", "TENANT", "CUSTOMER", "USER", "EDGE", "ALARM")
_TYPE_CODES = {name: code for code, name in enumerate(_TYPE_NAMES) if name}

_encoder = msgspec.msgpack.Encoder()
_word = lru_cache(maxsize=1024)(str)
"""Thousands of events wait in memory, and the words in them are few: one of each will do."""


class _Series(msgspec.Struct, array_like=True):
    type: str
    id: UUID
    ttl_s: int
    values: bytes | int
    """Encoded, or the index of the event whose body they are."""


class _Attributes(msgspec.Struct, array_like=True):
    type: str
    id: UUID
    scope: Scope
    ts: int
    values: dict[str, Value] | None
    keys: tuple[str, ...] = ()


class _Entity(msgspec.Struct, array_like=True):
    kind: str
    id: UUID
    body: bytes | None


class _Event(msgspec.Struct, array_like=True):
    outbox: str
    lane: Lane
    type: str
    action: str
    entity_type: str
    entity_id: UUID
    body: bytes
    id: UUID | None = None


class _State(msgspec.Struct, array_like=True):
    owner: str
    key: str
    body: bytes | None


class Release(msgspec.Struct, array_like=True, frozen=True):
    """A quarantined event that this unit commits again."""

    outbox: str
    lane: Lane
    position: tuple[int, int]
    bytes: int


class _Unit(msgspec.Struct, array_like=True):
    series: list[_Series]
    attributes: list[_Attributes]
    entities: list[_Entity]
    events: list[_Event]
    states: list[_State]
    releases: list[Release] = []


class QuarantineNote(msgspec.Struct, array_like=True, frozen=True):
    """An event put aside, whole: its segment may go."""

    outbox: str
    lane: Lane
    position: tuple[int, int]
    committed_ms: int
    event: _Event
    reason: str
    at_ms: int
    size: int


class DropNote(msgspec.Struct, array_like=True, frozen=True):
    """Events given up. Whatever of the lane is in first..last and not finished, is gone.

    Where count is 0 the range only explains; `reason` is "age", "size" or "damage".
    """

    outbox: str
    lane: Lane
    first: tuple[int, int]
    last: tuple[int, int]
    count: int
    bytes: int
    reason: str


class DeleteSeriesNote(msgspec.Struct, array_like=True, frozen=True):
    """Points removed on request."""

    type: str
    id: UUID
    keys: list[str]
    start_ms: int
    end_ms: int


_decode_unit = msgspec.msgpack.Decoder(_Unit).decode
_decode_cursor = msgspec.msgpack.Decoder(list[LaneFigures]).decode
_decode_quarantine = msgspec.msgpack.Decoder(QuarantineNote).decode
_decode_drop = msgspec.msgpack.Decoder(DropNote).decode
_decode_delete = msgspec.msgpack.Decoder(DeleteSeriesNote).decode

Note = list[LaneFigures] | QuarantineNote | DropNote | DeleteSeriesNote
_NOTE_DECODERS: dict[int, Callable[[bytes], Note]] = {
    CURSOR: _decode_cursor,
    QUARANTINE: _decode_quarantine,
    DROP: _decode_drop,
    DELETE_SERIES: _decode_delete,
}


def encode_unit(unit: Unit, releases: list[Release] | None = None) -> tuple[int, bytes]:
    """(kind, payload). Raises TypeError or ValueError for values that cannot be stored."""
    if not releases and not (unit.attributes or unit.entities or unit.states):
        payload = _telemetry_form(unit)
        if payload is not None:
            return TELEMETRY, payload
    return UNIT, _encoder.encode(_unit_form(unit, releases or []))


def encode_note(note: Note) -> tuple[int, bytes]:
    """(kind, payload) of a note."""
    if isinstance(note, list):
        return CURSOR, _encoder.encode(note)
    kinds = {QuarantineNote: QUARANTINE, DropNote: DROP, DeleteSeriesNote: DELETE_SERIES}
    return kinds[type(note)], _encoder.encode(note)


def decode_note(kind: int, payload: bytes) -> Note:
    """The note of a record whose kind is not TELEMETRY or UNIT."""
    return _NOTE_DECODERS[kind](payload)


def decode_unit(kind: int, payload: bytes) -> tuple[Unit, list[Release]]:
    """The unit as it was committed, with what it released from quarantine."""
    if kind == TELEMETRY:
        return _decode_telemetry(payload), []
    raw = _decode_unit(payload)
    events = [_event_of(event) for event in raw.events]
    unit = Unit(
        series=[_series_of(series, events) for series in raw.series],
        attributes=[_attributes_of(attributes) for attributes in raw.attributes],
        entities=[EntityWrite(entity.kind, entity.id, entity.body) for entity in raw.entities],
        events=events,
        states=[StateWrite(state.owner, state.key, state.body) for state in raw.states],
    )
    return unit, raw.releases


def decode_events(kind: int, payload: bytes) -> list[OutboxEvent]:
    """Only the events of a unit's record: what the sender needs."""
    if kind == TELEMETRY:
        return [_telemetry_event(payload)] if payload[0] & EVENT else []
    return [_event_of(event) for event in _decode_unit(payload).events]


def event_of_note(note: QuarantineNote) -> OutboxEvent:
    """The event that a quarantine note keeps."""
    return _event_of(note.event)


def event_for_note(event: OutboxEvent) -> _Event:
    """The form in which a quarantine note keeps an event."""
    entity = event.entity
    return _Event(
        event.outbox, event.lane, event.type, event.action,
        entity.type, entity.id, event.body, event.id,
    )  # fmt: skip


def shares_values(series: Series, event: OutboxEvent) -> bool:
    """Whether the event tells exactly what the series stores, so that one record of it will do."""
    return (
        _may_share(event)
        and event.entity == series.entity
        and (event.body is series.entry or event.body == entry_of(series))
    )


def _may_share(event: OutboxEvent) -> bool:
    return (
        event.action == TIMESERIES_UPDATED
        and event.outbox == CLOUD
        and event.lane == Lane.DATA
        and event.id is None
        and event.type == event.entity.type
    )


def entry_of(series: Series) -> bytes:
    """The series' values, encoded."""
    return series.entry or encode_entry(series.ts, series.values)


# --- telemetry ---------------------------------------------------------------------------------


def _telemetry_form(unit: Unit) -> bytes | None:
    if len(unit.series) > 1 or len(unit.events) > 1:
        return None
    series = unit.series[0] if unit.series else None
    event = unit.events[0] if unit.events else None
    if series is None:
        return None
    code = _TYPE_CODES.get(series.entity.type)
    if code is None or series.ttl_s:
        return None
    if event is None:
        entry, flags = entry_of(series), HISTORY
    elif shares_values(series, event):
        entry, flags = event.body, HISTORY | EVENT
    else:
        return None
    return bytes((flags, code)) + series.entity.id.bytes + entry


def _decode_telemetry(payload: bytes) -> Unit:
    events = [_telemetry_event(payload)] if payload[0] & EVENT else []
    return Unit(series=[telemetry_series(payload)], events=events)


def telemetry_place(payload: bytes) -> tuple[str, UUID]:
    """(type, id) of the entity of a record in telemetry form."""
    return _TYPE_NAMES[payload[1]], UUID(bytes=payload[2:TELEMETRY_HEAD_BYTES])


def telemetry_series(payload: bytes) -> Series:
    """The values of a record in telemetry form."""
    ts, values = decode_entry(payload[TELEMETRY_HEAD_BYTES:])
    return Series(EntityId(*telemetry_place(payload)), ts, values)


def _telemetry_event(payload: bytes) -> OutboxEvent:
    entity = EntityId(*telemetry_place(payload))
    return OutboxEvent(
        CLOUD, Lane.DATA, entity.type, TIMESERIES_UPDATED, entity, payload[TELEMETRY_HEAD_BYTES:]
    )


# --- everything else ---------------------------------------------------------------------------


def _unit_form(unit: Unit, releases: list[Release]) -> _Unit:
    return _Unit(
        [
            _Series(
                series.entity.type,
                series.entity.id,
                series.ttl_s,
                entry_of(series) if shared is None else shared,
            )
            for series, shared in zip(unit.series, shared_events(unit), strict=True)
        ],
        [_attributes_form(attributes) for attributes in unit.attributes],
        [_Entity(entity.kind, entity.id, entity.body) for entity in unit.entities],
        [event_for_note(event) for event in unit.events],
        [_State(state.owner, state.key, state.body) for state in unit.states],
        releases,
    )


def shared_events(unit: Unit) -> list[int | None]:
    """For each series the index of the first event with exactly its values, or None."""
    places: dict[tuple[EntityId, bytes], int] = {}
    for index, event in enumerate(unit.events):
        if _may_share(event):
            places.setdefault((event.entity, event.body), index)
    if not places:
        return [None] * len(unit.series)
    return [places.get((series.entity, entry_of(series))) for series in unit.series]


def _attributes_form(change: AttributeWrite | AttributeDelete) -> _Attributes:
    entity = change.entity
    if isinstance(change, AttributeWrite):
        return _Attributes(entity.type, entity.id, change.scope, change.ts, change.values)
    return _Attributes(entity.type, entity.id, change.scope, change.ts, None, change.keys)


def _series_of(raw: _Series, events: list[OutboxEvent]) -> Series:
    entry = events[raw.values].body if isinstance(raw.values, int) else raw.values
    ts, values = decode_entry(entry)
    return Series(EntityId(raw.type, raw.id), ts, values, raw.ttl_s)


def _attributes_of(raw: _Attributes) -> AttributeWrite | AttributeDelete:
    entity = EntityId(raw.type, raw.id)
    if raw.values is None:
        return AttributeDelete(entity, raw.scope, raw.keys, raw.ts)
    return AttributeWrite(entity, raw.scope, raw.ts, raw.values)


def _event_of(raw: _Event) -> OutboxEvent:
    entity = EntityId(_word(raw.entity_type), raw.entity_id)
    outbox, type, action = _word(raw.outbox), _word(raw.type), _word(raw.action)
    return OutboxEvent(outbox, raw.lane, type, action, entity, raw.body, raw.id)
