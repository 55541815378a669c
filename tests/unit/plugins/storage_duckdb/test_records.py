"""Units come back from their records as they were, and telemetry is stored once."""

from __future__ import annotations

from uuid import UUID

import pytest

from appliance.model.ids import EntityId
from appliance.model.telemetry import AttributeDelete, AttributeWrite, Scope, Series
from appliance.model.unit import CLOUD, EntityWrite, Lane, OutboxEvent, StateWrite, Unit
from appliance.sync.wire import encode_entry
from plugins.storage_duckdb.records import (
    TELEMETRY,
    UNIT,
    DropNote,
    Release,
    decode_events,
    decode_note,
    decode_unit,
    encode_note,
    encode_unit,
    shared_events,
)

DEVICE = EntityId("DEVICE", UUID(int=7, version=1))
VALUES = {"temperature": 21.5, "count": 3, "on": True, "text": "ä", "json": {"a": [1, None]}}


def event(values: dict, **changes: object) -> OutboxEvent:
    fields = {
        "outbox": CLOUD, "lane": Lane.DATA, "type": "DEVICE", "action": "TIMESERIES_UPDATED",
        "entity": DEVICE, "body": encode_entry(5, values),
    }  # fmt: skip
    return OutboxEvent(**(fields | changes))


def round_trip(unit: Unit) -> int:
    kind, payload = encode_unit(unit)
    assert decode_unit(kind, payload) == (unit, [])
    assert decode_events(kind, payload) == unit.events
    return kind


def test_series_and_event_of_the_same_values_are_one_telemetry_record() -> None:
    unit = Unit(series=[Series(DEVICE, 5, VALUES)], events=[event(VALUES)])
    assert round_trip(unit) == TELEMETRY
    _, payload = encode_unit(unit)
    assert len(payload) == 18 + len(encode_entry(5, VALUES))


def test_series_alone_is_a_telemetry_record_too() -> None:
    assert round_trip(Unit(series=[Series(DEVICE, 5, VALUES)])) == TELEMETRY


@pytest.mark.parametrize(
    "unit",
    [
        Unit(events=[event(VALUES)]),
        Unit(series=[Series(DEVICE, 5, VALUES)], events=[event({"other": 1})]),
        Unit(series=[Series(DEVICE, 5, VALUES, ttl_s=60)], events=[event(VALUES)]),
        Unit(series=[Series(DEVICE, 5, VALUES)], events=[event(VALUES, outbox="peer")]),
        Unit(series=[Series(DEVICE, 5, VALUES)], events=[event(VALUES, lane=Lane.PRIORITY)]),
        Unit(series=[Series(DEVICE, 5, VALUES)], events=[event(VALUES, id=UUID(int=1))]),
        Unit(series=[Series(EntityId("STRANGE", DEVICE.id), 5, VALUES)]),
        Unit(series=[Series(DEVICE, 5, VALUES)] * 2, events=[event(VALUES)] * 2),
        Unit(series=[Series(DEVICE, 5, VALUES)], states=[StateWrite("a", "b", b"c")]),
        Unit(),
        Unit(
            attributes=[
                AttributeWrite(DEVICE, Scope.SHARED, 9, {"a": 2**63 - 1, "b": {}}),
                AttributeDelete(DEVICE, Scope.CLIENT, ("x", "y"), 10),
            ],
            entities=[EntityWrite("DEVICE", DEVICE.id, b"{}"), EntityWrite("X", DEVICE.id, None)],
            states=[StateWrite("o", "k", None)],
        ),
    ],
)
def test_every_other_unit_comes_back_as_it_was(unit: Unit) -> None:
    assert round_trip(unit) == UNIT


def test_one_and_true_are_not_the_same_values() -> None:
    unit = Unit(series=[Series(DEVICE, 5, {"v": True})], events=[event({"v": 1})])
    assert round_trip(unit) == UNIT


def test_values_that_were_encoded_before_are_not_encoded_again() -> None:
    entry = encode_entry(5, VALUES)
    saved = Series(DEVICE, 5, VALUES, entry=entry)
    for events, kind in (([], TELEMETRY), ([event(VALUES, body=entry)], TELEMETRY)):
        found, payload = encode_unit(Unit(series=[saved], events=events))
        assert (found, payload[18:]) == (kind, entry)


def test_a_thinned_event_leaves_its_series_whole() -> None:
    saved = Series(DEVICE, 5, VALUES, entry=encode_entry(5, VALUES))
    thinned = event({"count": 3})
    kind, payload = encode_unit(Unit(series=[saved], events=[thinned]))
    (unit, _) = decode_unit(kind, payload)
    assert (unit.series[0].values, unit.events) == (VALUES, [thinned])


def test_each_series_of_many_finds_its_own_event() -> None:
    count = 50
    series = [Series(DEVICE, ts, {"n": ts % 7}) for ts in range(count)]
    events = [
        event({}, body=encode_entry(ts, {"n": ts % 7 if ts % 2 else -1}))
        for ts in reversed(range(count))
    ]
    unit = Unit(series=series, events=events)
    assert shared_events(unit) == [count - 1 - ts if ts % 2 else None for ts in range(count)]
    assert round_trip(unit) == UNIT


def test_releases_travel_with_their_unit() -> None:
    release = Release(CLOUD, Lane.DATA, (3, 1), 40)
    kind, payload = encode_unit(Unit(events=[event(VALUES)]), [release])
    assert decode_unit(kind, payload)[1] == [release]


def test_notes_come_back() -> None:
    note = DropNote(CLOUD, Lane.DATA, (1, 0), (9, 2), 7, 70, "age")
    assert decode_note(*encode_note(note)) == note
