"""Which frames may share a commit."""

from __future__ import annotations

from appliance.model.ids import EntityId, new_uuid
from appliance.sync.messages import Ack, Batch, EntityUpdate, Item, SyncRequest, Telemetry
from appliance.sync.turns import in_turns

DATA = Telemetry(EntityId("DEVICE", new_uuid()), (b"\x08\x05",))
ENTITY = EntityUpdate("deviceUpdate", 1, new_uuid(), "{}")


def batch(id: int, item: Item) -> Batch:
    return Batch(id, (item,))


def test_batches_of_data_are_taken_together_though_acknowledgements_come_between() -> None:
    first, second, ack = batch(1, DATA), batch(2, DATA), Ack(9, True)
    assert list(in_turns([first, ack, second])) == [ack, [first, second]]


def test_what_is_said_of_entities_comes_before_the_acknowledgement_behind_it() -> None:
    data, entity, later, ack = batch(1, DATA), batch(2, ENTITY), batch(3, ENTITY), Ack(9, True)
    assert list(in_turns([data, entity, ack, later])) == [[data, entity], ack, [later]]


def test_other_frames_are_taken_as_they_come_and_nothing_is_nothing() -> None:
    sync = SyncRequest(True)
    assert list(in_turns([batch(1, ENTITY), sync])) == [sync, [batch(1, ENTITY)]]
    assert list(in_turns([])) == []
