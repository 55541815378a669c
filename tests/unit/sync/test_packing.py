"""Which events share a parcel, and which wait."""

from __future__ import annotations

import pytest

from appliance.model.unit import Lane, StoredEvent
from appliance.sync.packing import Existence, LanePacker, Parcel
from tests.unit.sync.events import added, alarm, asked, data, entity, rpc, stored


def packer(events: list[StoredEvent]) -> LanePacker:
    made = LanePacker(events[0].event.lane, 1000)
    made.offer(events, 0.0)
    return made


def never(_event: StoredEvent) -> bool:
    return False


def seqs(parcel: Parcel | None) -> list[int]:
    return [event.seq for event in parcel.events] if parcel else []


@pytest.mark.parametrize(
    ("events", "first"),
    [
        pytest.param([data(1), data(2), data(3)], [1, 2, 3], id="one device's values together"),
        pytest.param([data(1), data(2, of=1)], [1, 2], id="several devices in one parcel"),
        pytest.param(
            [data(1), data(2, of=1), data(3)], [1, 3, 2], id="a device's values side by side"
        ),
        pytest.param([added(1), added(2, of=1)], [1], id="an entity travels alone"),
        pytest.param([rpc(1), rpc(2)], [1], id="an RPC travels alone"),
        pytest.param([asked(1), asked(2, of=1)], [1, 2], id="requests share a parcel"),
        pytest.param([asked(1), added(2), asked(3)], [1], id="but not with an entity"),
        pytest.param([added(1), asked(2)], [1], id="nor an entity with requests"),
    ],
)
def test_company(events: list[StoredEvent], first: list[int]) -> None:
    assert seqs(packer(events).take(100, 10_000, never)) == first


def test_a_parcel_has_at_most_batch_size_events_and_about_bytes_max_bytes() -> None:
    lane = packer([data(seq, of=seq, size=1000) for seq in range(1, 50)])
    assert len(seqs(lane.take(7, 10**9, never))) == 7
    by_bytes = lane.take(100, 5000, never)
    assert by_bytes is not None
    assert sum(len(event.event.body) for event in by_bytes.events) <= 5000


def test_one_event_goes_whatever_its_size() -> None:
    assert seqs(packer([data(1, size=9000), data(2)]).take(10, 100, never)) == [1]


def test_an_entity_with_a_parcel_under_way_waits_and_others_do_not() -> None:
    lane = packer([data(1), data(2), data(3, of=1)])
    first = lane.take(1, 1000, never)
    assert seqs(first) == [1]
    assert seqs(lane.take(10, 1000, never)) == [3]
    assert lane.take(10, 1000, never) is None
    assert first is not None
    lane.release(first)
    assert seqs(lane.take(10, 1000, never)) == [2]


def test_every_entity_gets_its_turn() -> None:
    lane = packer([data(1), data(2), data(3), data(4, of=1)])
    first = lane.take(2, 1000, never)
    assert first is not None
    lane.release(first)
    assert seqs(lane.take(1, 1000, never)) == [4]


def test_a_blocked_event_holds_up_its_entity_only() -> None:
    lane = packer([data(1), data(2, of=1)])
    assert seqs(lane.take(10, 1000, lambda event: event.event.entity == entity(0))) == [2]


@pytest.mark.parametrize("count", [2, 3, 5, 100])
def test_halves_keep_everything_and_share_an_entity_only_if_there_is_but_one(count: int) -> None:
    several = Parcel(Lane.DATA, [data(seq, of=seq % 3) for seq in range(count)])
    alone = Parcel(Lane.DATA, [data(seq) for seq in range(count)])
    for parcel in (several, alone):
        left, right = parcel.halves()
        assert sorted(seqs(left) + seqs(right)) == seqs(parcel)
        assert left.events and right.events
    left, right = several.halves()
    assert not left.order_keys() & right.order_keys()
    left, right = alone.halves()
    assert seqs(left) + seqs(right) == seqs(alone)


def test_a_group_in_two_halves_is_held_until_both_are_answered() -> None:
    lane = packer([data(1), data(2), data(3)])
    parcel = lane.take(2, 1000, never)
    assert parcel is not None
    left, right = parcel.halves()
    lane.split_hold((left, right))
    lane.release(parcel)
    assert lane.take(10, 1000, never) is None
    lane.release(left)
    assert lane.take(10, 1000, never) is None
    lane.release(right)
    assert seqs(lane.take(10, 1000, never)) == [3]


# --- existence ----------------------------------------------------------------------------------


def test_data_about_an_entity_waits_for_the_answer_to_its_creation() -> None:
    existence = Existence()
    creation = added(1)
    existence.offered([creation])
    existence.pending(1)
    assert existence.blocks(data(2))
    assert not existence.blocks(data(2, of=1))
    existence.answered([creation])
    existence.pending(0)
    assert not existence.blocks(data(2))


def test_data_wait_while_a_creation_that_was_committed_ahead_of_them_is_still_unread() -> None:
    existence = Existence()
    existence.pending(1)
    assert existence.blocks(data(2))
    existence.offered([added(1)])
    existence.pending(1)
    assert existence.blocks(data(2))
    assert not existence.blocks(data(2, of=1))


def test_data_ahead_of_the_last_entity_that_was_read_need_not_wait_for_the_unread_ones() -> None:
    existence = Existence()
    existence.offered([added(5, of=1)])
    existence.pending(9)
    assert not existence.blocks(data(4))
    assert existence.blocks(data(6))


def test_data_about_the_edge_do_not_wait_for_the_end_of_a_sync() -> None:
    existence = Existence()
    existence.offered([stored(1, Lane.ENTITY, 0, "SYNC_COMPLETED", type="EDGE")])
    existence.pending(1)
    assert not existence.blocks(data(2))


def test_an_alarm_waits_for_all_entities_and_an_rpc_for_none() -> None:
    existence = Existence()
    existence.offered([added(1, of=7)])
    existence.pending(1)
    assert existence.blocks(alarm(2))
    assert existence.blocks(stored(3, Lane.PRIORITY, 0, "ADDED_COMMENT", type="ALARM_COMMENT"))
    assert not existence.blocks(rpc(2))


def test_requests_hold_nothing_up() -> None:
    existence = Existence()
    existence.offered([asked(1)])
    existence.pending(1)
    assert not existence.blocks(data(2))
    assert not existence.blocks(alarm(3))


def test_an_entity_with_two_updates_under_way_is_known_after_the_second() -> None:
    existence = Existence()
    first, second = added(1), stored(2, Lane.ENTITY, 0, "UPDATED")
    existence.offered([first, second])
    existence.answered([first])
    existence.pending(1)
    assert existence.blocks(data(3))
    existence.answered([second])
    existence.pending(0)
    assert not existence.blocks(data(3))
