"""When a full sync is asked for, and what one shows to be gone."""

from __future__ import annotations

import msgspec

from appliance.edge.fullsync import AUTOMATIC_EVERY_MS, FullSync, Origin
from appliance.model.ids import EntityId, new_uuid
from appliance.model.unit import CLOUD, EntityWrite, Lane, OutboxEvent, StateWrite, Unit
from appliance.state.store import State
from appliance.sync.messages import EntityUpdate, UpdateKind

HOUR_MS = 3_600_000
NOW = 1_800_000_000_000


def done(after_outage_s: float = 3600.0) -> FullSync:
    """After the first full sync."""
    full = FullSync(after_outage_s)
    full.begin()
    full.note([EntityUpdate("tenantUpdate", UpdateKind.UPDATED, None, "{}")])
    full.complete()
    return full


def put(state: State, kind: str) -> EntityId:
    entity = EntityId(kind, new_uuid())
    body = msgspec.json.encode({"id": entity.to_json(), "name": str(entity)})
    state.apply(Unit(entities=[EntityWrite(kind, entity.id, body)]))
    return entity


def told(entity: EntityId, field: str) -> EntityUpdate:
    return EntityUpdate(field, UpdateKind.CREATED, entity.id, "{}")


TENANT = EntityUpdate("tenantUpdate", UpdateKind.UPDATED, None, "{}")


def test_the_first_sync_is_full_and_later_ones_are_not() -> None:
    assert FullSync(3600).owed
    assert not done().owed


def test_an_outage_of_an_hour_asks_for_a_full_one_at_most_once_a_day() -> None:
    full = done()
    full.connected(NOW)
    full.connected(NOW + HOUR_MS - 1)
    assert not full.owed
    full.connected(NOW + 2 * HOUR_MS)
    assert full.owed

    full.begin()
    full.note([TENANT])
    full.complete()
    full.connected(NOW + 4 * HOUR_MS)
    assert not full.owed
    full.connected(NOW + 2 * HOUR_MS + AUTOMATIC_EVERY_MS)
    assert full.owed


def test_zero_means_only_when_asked() -> None:
    full = done(0)
    full.connected(NOW)
    full.connected(NOW + 100 * HOUR_MS)
    full.automatic(NOW + 100 * HOUR_MS)
    assert not full.owed
    full.ask()
    assert full.owed


def test_what_is_kept_brings_everything_back_after_a_restart() -> None:
    full = done()
    kept: dict[str, bytes | None] = {}
    writes: list[StateWrite] = [*full.connected(NOW), *full.automatic(NOW)]
    for write in writes:
        kept[write.key] = write.body
    again = FullSync(3600)
    again.load({key: body for key, body in kept.items() if body is not None})

    assert again.owed
    again.begin()
    again.note([TENANT])
    again.complete()
    assert again.automatic(NOW + HOUR_MS) == []


def test_what_was_not_seen_is_unassigned() -> None:
    state, full = State(), FullSync(0)
    here, gone = put(state, "DEVICE"), put(state, "DEVICE")
    chain, profile = put(state, "RULE_CHAIN"), put(state, "DEVICE_PROFILE")
    full.begin()
    full.note([TENANT, told(here, "deviceUpdate")])
    full.complete()

    assert set(full.unassigned(state, Origin())) == {gone, chain}
    assert profile.type == "DEVICE_PROFILE"
    assert full.unassigned(state, Origin()) == []


def test_a_partial_sync_that_answered_shows_nothing_and_the_full_one_is_still_owed() -> None:
    state, full = State(), FullSync(0)
    put(state, "DEVICE")
    full.begin()
    full.complete()

    assert full.unassigned(state, Origin()) == []
    assert full.owed


def test_what_was_created_here_stays_until_the_cloud_has_sent_it_once() -> None:
    state, full, origin = State(), FullSync(0), Origin()
    own = put(state, "DEVICE")
    unit = Unit(events=[OutboxEvent(CLOUD, Lane.ENTITY, "DEVICE", "ADDED", own)])
    origin.note(unit)
    full.begin()
    full.note([TENANT])
    full.complete()
    assert full.unassigned(state, origin) == []

    again = Origin()
    again.load({write.key: write.body or b"" for write in unit.states})
    assert again.is_ours(own)
    renamed = Unit(entities=[EntityWrite("DEVICE", own.id, b"{}")])
    again.came_down(renamed, [EntityUpdate("deviceUpdate", UpdateKind.CREATED, new_uuid(), "{}")])
    assert again.is_ours(own)
    sent = Unit(entities=[EntityWrite("DEVICE", own.id, b"{}")])
    again.came_down(sent, [EntityUpdate("deviceUpdate", UpdateKind.CREATED, own.id, "{}")])
    assert not again.is_ours(own)
    assert [write.body for write in sent.states] == [None]
