"""The account of a lane holds after every step, whatever the order of acknowledgements."""

from __future__ import annotations

import random

import pytest

from appliance.model.ids import NULL_UUID, EntityId
from appliance.model.unit import CLOUD, Lane, OutboxEvent, StoredEvent
from plugins.storage_duckdb.ledger import BEGINNING, Ledger, depth_of, unfinished_until
from plugins.storage_duckdb.records import DropNote

EVENT = OutboxEvent(CLOUD, Lane.DATA, "DEVICE", "UPDATED", EntityId("DEVICE", NULL_UUID), b"12345")


def stored(count: int) -> list[StoredEvent]:
    return [StoredEvent(n + 1, 0, n, EVENT) for n in range(count)]


def check(ledger: Ledger) -> None:
    depth = depth_of(ledger.lane(CLOUD, Lane.DATA), None)
    parts = depth.acknowledged + depth.pending + depth.quarantined + sum(depth.dropped.values())
    assert depth.accepted == parts
    assert depth.pending_bytes == depth.pending * 5


@pytest.mark.parametrize("seed", range(20))
def test_random_acknowledgements_bring_the_cursor_to_the_end(seed: int) -> None:
    chance = random.Random(seed)
    ledger, events = Ledger(), stored(60)
    lane = ledger.lane(CLOUD, Lane.DATA)
    for event in events:
        ledger.accept([event.event])
    seen = BEGINNING
    handed = 0
    flying: list[StoredEvent] = []
    while lane.pending:
        step = events[handed : handed + chance.randrange(1, 9)]
        if step and chance.random() < 0.5:
            lane.saw(seen, step)
            flying += step
            handed += len(step)
            seen = step[-1].position
        elif flying:
            event = flying.pop(chance.randrange(len(flying)))
            if chance.random() < 0.1:
                lane.quarantine(event.position, 5)
            else:
                assert lane.acknowledge(event.position, 5)
                assert not lane.acknowledge(event.position, 5)
        check(ledger)
    assert lane.figures.cursor == events[-1].position
    assert lane.figures.done == {}


def test_what_was_seen_out_of_reach_does_not_move_the_cursor() -> None:
    ledger, events = Ledger(), stored(4)
    lane = ledger.lane(CLOUD, Lane.DATA)
    ledger.accept([EVENT] * 4)
    lane.saw((2, 0), events[2:])
    lane.acknowledge((3, 0), 5)
    assert lane.figures.cursor == BEGINNING
    lane.saw(BEGINNING, events)
    lane.acknowledge((1, 0), 5)
    lane.acknowledge((2, 0), 5)
    assert lane.figures.cursor == (3, 0)
    assert lane.oldest_read_ms == 3


def test_a_note_of_the_cursor_gives_the_same_account_again() -> None:
    ledger, events = Ledger(), stored(5)
    ledger.accept([EVENT] * 5)
    lane = ledger.lane(CLOUD, Lane.DATA)
    lane.saw(BEGINNING, events)
    for position in ((1, 0), (2, 0), (4, 0)):
        lane.acknowledge(position, 5)
    again = Ledger()
    again.accept([EVENT] * 5)
    again.note(ledger.dirty())
    assert ledger.dirty() == []
    assert again.figures() == ledger.figures()
    assert again.lane(CLOUD, Lane.DATA).finished((4, 0))
    assert not again.lane(CLOUD, Lane.DATA).finished((3, 0))


def test_dropping_counts_what_is_not_finished_and_moves_the_cursor() -> None:
    ledger, events = Ledger(), stored(6)
    ledger.accept([EVENT] * 4)
    then = ledger.figures()[0]
    ledger.accept([EVENT] * 2)
    lane = ledger.lane(CLOUD, Lane.DATA)
    lane.saw(BEGINNING, events)
    lane.acknowledge((2, 0), 5)
    lane.acknowledge((6, 0), 5)
    assert unfinished_until(lane, then, (4, 0)) == (3, 15)
    ledger.note(DropNote(CLOUD, Lane.DATA, (1, 0), (4, 0), 3, 15, "age"))
    check(ledger)
    assert (lane.pending, lane.figures.dropped) == (1, {"age": 3})
    assert lane.figures.cursor == (4, 0)
    assert unfinished_until(lane, then, (4, 0)) == (0, 0)


def test_a_release_keeps_the_number_of_accepted_events() -> None:
    ledger = Ledger()
    ledger.accept([EVENT])
    lane = ledger.lane(CLOUD, Lane.DATA)
    lane.quarantine((1, 0), 5)
    lane.release(5)
    ledger.accept([EVENT])
    depth = depth_of(lane, None)
    assert (depth.accepted, depth.pending, depth.quarantined) == (1, 1, 0)
    check(ledger)
