"""What a received batch means for the local store."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest

from appliance.model.errors import Permanent
from appliance.model.ids import EntityId
from appliance.model.telemetry import AttributeDelete, AttributeWrite, Scope, Value
from appliance.model.unit import EntityWrite, Unit
from appliance.state.kinds import Kind
from appliance.state.store import State
from appliance.sync.incoming import Applied, digest, telemetry_messages
from appliance.sync.messages import (
    Attributes,
    AttributesDeleted,
    EntityUpdate,
    Item,
    RpcCall,
    SyncCompleted,
    Telemetry,
    Unknown,
    UpdateKind,
)
from appliance.sync.wire import encode_attributes, encode_entry

DEVICE = EntityId("DEVICE", UUID("784f394c-42b6-11ed-9e6f-1f2a3b4c5d6e"))
STRANGER = EntityId("DEVICE", UUID("784f394c-42b6-11ed-9e6f-000000000000"))
NOW = 1_700_000_000_000


class AnyPolicy:
    """Takes everything as it comes."""

    source = "cloud"
    peer_wins_ties = False
    peer_keeps_order = True
    peer_names_alarms = True

    def admit(self, kind: Kind, id: UUID, body: dict[str, Any], applied: Applied) -> dict[str, Any]:
        return body

    def remove(self, kind: Kind, id: UUID, body: dict[str, Any] | None, applied: Applied) -> None:
        applied.unit.entities.append(EntityWrite(kind.name, id, None))


def device_body(entity: EntityId = DEVICE, name: str = "Pump") -> bytes:
    return msgspec.json.encode({"id": entity.to_json(), "name": name, "type": "default"})


@pytest.fixture
def state() -> State:
    made = State()
    made.apply(Unit(entities=[EntityWrite("DEVICE", DEVICE.id, device_body())]))
    return made


def take(state: State, *items: Item, order: dict[str, int] | None = None) -> Applied:
    return digest(items, state, AnyPolicy(), NOW, order or {})


def attributes(values: dict[str, Value], ts: int | None, scope: str = "SHARED_SCOPE") -> Attributes:
    return Attributes(DEVICE, scope, encode_attributes(values), ts)


def update(field: str, body: Any, id: UUID | None = None) -> EntityUpdate:
    return EntityUpdate(field, UpdateKind.UPDATED, id, msgspec.json.encode(body).decode())


# --- data ---------------------------------------------------------------------------------------


def test_telemetry_becomes_one_message_per_moment_marked_with_its_source(state: State) -> None:
    entries = (encode_entry(5, {"a": 1}), encode_entry(6, {"b": True}))
    applied = take(state, Telemetry(DEVICE, entries))
    ((entity, points),) = applied.telemetry
    messages = list(telemetry_messages(entity, points, state, "cloud"))
    assert [(m.ts, m.data, m.metadata["source"], m.metadata["deviceName"]) for m in messages] == [
        (5, {"a": 1}, "cloud", "Pump"),
        (6, {"b": True}, "cloud", "Pump"),
    ]


def test_data_about_a_stranger_is_taken_without_effect_and_told(state: State) -> None:
    applied = take(state, Telemetry(STRANGER, (encode_entry(5, {"a": 1}),)))
    assert not applied.telemetry
    assert len(applied.ignored) == 1


def test_data_about_a_device_that_comes_in_the_same_batch_is_taken(state: State) -> None:
    order = {"deviceUpdate": 0, "entityData": 1}
    new = EntityUpdate("deviceUpdate", 0, STRANGER.id, device_body(STRANGER, "New").decode())
    applied = take(state, Telemetry(STRANGER, (encode_entry(5, {"a": 1}),)), new, order=order)
    assert applied.telemetry and not applied.ignored


@pytest.mark.parametrize(
    ("stored_ts", "came_ts", "came", "written", "told"),
    [
        pytest.param(10, 11, "new", True, True, id="newer wins"),
        pytest.param(10, 9, "new", False, False, id="older loses"),
        pytest.param(10, 10, "new", False, False, id="equal time, another value: loses"),
        pytest.param(10, 10, "old", True, False, id="the very same again: a repeat, told once"),
        pytest.param(10, None, "new", True, True, id="without a time it is now"),
    ],
)
def test_who_wins_an_attribute(
    state: State, stored_ts: int, came_ts: int | None, came: str, written: bool, told: bool
) -> None:
    write = AttributeWrite(DEVICE, Scope.SHARED, stored_ts, {"k": "old"})
    state.apply(Unit(attributes=[write]))
    applied = take(state, attributes({"k": came}, came_ts))
    assert bool(applied.unit.attributes) is written
    assert bool(applied.notices) is told
    assert bool(applied.messages) is told


def test_only_the_keys_that_win_are_written(state: State) -> None:
    write = AttributeWrite(DEVICE, Scope.SHARED, 10, {"late": 1})
    state.apply(Unit(attributes=[write]))
    applied = take(state, attributes({"late": 2, "new": 3}, 9))
    assert applied.unit.attributes == [AttributeWrite(DEVICE, Scope.SHARED, 9, {"new": 3})]


def test_devices_hear_of_shared_attributes_only(state: State) -> None:
    assert take(state, attributes({"k": 1}, 5)).notices
    assert not take(state, attributes({"k": 1}, 5, "SERVER_SCOPE")).notices


def test_what_comes_twice_in_a_batch_is_told_once_and_the_newest_stays(state: State) -> None:
    news = attributes({"k": "new"}, 9)
    applied = take(state, news, news, attributes({"k": "old"}, 8))
    assert len(applied.notices) == len(applied.messages) == 1
    state.apply(applied.unit)
    assert state.attributes(DEVICE, Scope.SHARED)["k"].value == "new"


def test_of_attributes_without_a_time_the_last_one_stays(state: State) -> None:
    write = AttributeWrite(DEVICE, Scope.SHARED, NOW + 5_000, {"k": 0})
    state.apply(Unit(attributes=[write]))
    state.apply(take(state, *(attributes({"k": n}, None) for n in (1, 2, 3))).unit)
    assert state.attributes(DEVICE, Scope.SHARED)["k"].value == 3


def test_posted_attributes_go_through_the_rules_and_are_not_written_here(state: State) -> None:
    item = Attributes(DEVICE, "CLIENT_SCOPE", encode_attributes({"k": 1}), 5, posted=True)
    applied = take(state, item)
    assert [message.type for message in applied.messages] == ["POST_ATTRIBUTES_REQUEST"]
    assert not applied.unit.attributes


def test_a_deletion_names_its_keys_and_the_device_hears_of_it(state: State) -> None:
    applied = take(state, AttributesDeleted(DEVICE, "SHARED_SCOPE", ("a", "b"), 7))
    assert applied.unit.attributes == [AttributeDelete(DEVICE, Scope.SHARED, ("a", "b"), 7)]
    assert applied.notices[0].deleted == ("a", "b")


def test_an_older_deletion_does_not_make_a_newer_one_forgotten(state: State) -> None:
    newer = take(state, AttributesDeleted(DEVICE, "SHARED_SCOPE", ("a",), 7))
    state.apply(newer.unit)

    older = take(state, AttributesDeleted(DEVICE, "SHARED_SCOPE", ("a",), 5))
    assert not older.unit
    state.apply(older.unit)
    assert not take(state, attributes({"a": 1}, 6)).unit
    assert take(state, AttributesDeleted(DEVICE, "SHARED_SCOPE", ("a",), 7)).unit == newer.unit


def test_a_repeat_changes_nothing(state: State) -> None:
    items = (attributes({"k": 1}, 5), update("deviceUpdate", msgspec.json.decode(device_body())))
    first = take(state, *items)
    state.apply(first.unit)
    again = take(state, *items)
    assert again.unit == first.unit


# --- entities -----------------------------------------------------------------------------------


def test_items_are_applied_in_the_roles_order_whatever_the_wire_says(state: State) -> None:
    credentials = {
        "deviceId": DEVICE.to_json(),
        "credentialsId": "T",
        "credentialsType": "ACCESS_TOKEN",
    }
    applied = take(
        state,
        update("deviceCredentialsUpdate", credentials),
        update("deviceUpdate", msgspec.json.decode(device_body()), DEVICE.id),
        order={"deviceUpdate": 0, "deviceCredentialsUpdate": 1},
    )
    assert [write.kind for write in applied.unit.entities] == ["DEVICE", "DEVICE_CREDENTIALS"]


def test_what_nothing_here_uses_is_kept_by_id_and_counted(state: State) -> None:
    body = {"id": {"entityType": "WIDGET_TYPE", "id": str(STRANGER.id)}, "name": "Gauge"}
    applied = take(state, update("widgetTypeUpdate", body, STRANGER.id), Unknown(99, b"\x9a\x06"))
    assert [write.kind for write in applied.unit.entities] == ["WIDGET_TYPE"]
    assert applied.kept == ["widgetTypeUpdate", "field 99"]


def test_a_field_without_a_row_is_kept_in_the_count(state: State) -> None:
    assert take(state, update("somethingNewUpdate", {})).kept == ["somethingNewUpdate"]


def test_a_kind_of_update_of_a_newer_peer_says_nothing_without_a_body_and_fails_nothing(
    state: State,
) -> None:
    applied = take(state, EntityUpdate("deviceUpdate", 7, DEVICE.id))
    assert (applied.kept, applied.unit) == (["deviceUpdate of kind 7"], Unit())


def test_a_bundle_keeps_its_list_of_widgets(state: State) -> None:
    body = {"id": {"id": str(STRANGER.id)}, "title": "Charts"}
    item = EntityUpdate(
        "widgetsBundleUpdate", 0, STRANGER.id, msgspec.json.encode(body).decode(), '["a.b"]'
    )
    (write,) = take(state, item).unit.entities
    assert write.body is not None
    assert msgspec.json.decode(write.body)["widgets"] == ["a.b"]


def test_a_deletion_needs_an_id_or_a_body(state: State) -> None:
    gone = EntityUpdate("deviceUpdate", UpdateKind.DELETED, DEVICE.id)
    assert take(state, gone).unit.entities == [EntityWrite("DEVICE", DEVICE.id, None)]
    nothing = EntityUpdate("deviceUpdate", UpdateKind.DELETED, None)
    assert not take(state, nothing).unit.entities


def test_requests_calls_and_the_end_of_a_sync_are_passed_on(state: State) -> None:
    call = RpcCall(DEVICE.id, STRANGER.id, 1, method="x")
    applied = take(state, call, SyncCompleted())
    assert applied.calls == [call]
    assert applied.sync_completed


BAD: list[tuple[str, Item]] = [
    ("no body", EntityUpdate("deviceUpdate", 0, DEVICE.id, "")),
    ("no JSON", EntityUpdate("deviceUpdate", 0, DEVICE.id, "{")),
    ("no object", EntityUpdate("deviceUpdate", 0, DEVICE.id, "[1]")),
    ("no id anywhere", update("deviceUpdate", {"name": "x"})),
    ("an id that is none", update("deviceUpdate", {"id": {"id": "x"}, "name": "x"})),
    ("an id that is no object", update("tenantUpdate", {"id": [], "title": "x"})),
    ("a device without a name", update("deviceUpdate", {"id": DEVICE.to_json()}, DEVICE.id)),
    ("a name that is no text", update("assetUpdate", {"name": {}}, DEVICE.id)),
    (
        "credentials without an id",
        update("deviceCredentialsUpdate", {"deviceId": DEVICE.to_json()}),
    ),
    ("an alarm without a type", update("alarmUpdate", {"originator": None}, DEVICE.id)),
    ("a relation with one end", update("relationUpdate", {"from": DEVICE.to_json()})),
    (
        "a relation to no id",
        update(
            "relationUpdate",
            {"from": DEVICE.to_json(), "to": {"entityType": "ASSET", "id": "?"}, "type": "x"},
        ),
    ),
]


@pytest.mark.parametrize("item", [item for _, item in BAD], ids=[name for name, _ in BAD])
def test_what_cannot_be_applied_is_refused_with_words_and_breaks_nothing(
    state: State, item: Item
) -> None:
    with pytest.raises(Permanent) as refused:
        take(state, item)
    assert str(refused.value)


UNREADABLE: list[tuple[str, Item]] = [
    ("a scope that is none", attributes({"k": 1}, 5, "OTHER_SCOPE")),
    ("attributes cut off", Attributes(DEVICE, "SHARED_SCOPE", b"\x0a\x7f", 5)),
    ("telemetry cut off", Telemetry(DEVICE, (b"\x12\x7f",))),
    ("a deletion in no scope", AttributesDeleted(DEVICE, "OTHER_SCOPE", ("k",), 5)),
]


@pytest.mark.parametrize(
    "item", [item for _, item in UNREADABLE], ids=[name for name, _ in UNREADABLE]
)
def test_data_that_cannot_be_read_is_passed_over_because_a_refusal_would_bring_it_again(
    state: State, item: Item
) -> None:
    good = attributes({"k": 1}, 5)
    applied = take(state, item, good)
    assert len(applied.passed_over) == 1
    assert applied.unit.attributes == [AttributeWrite(DEVICE, Scope.SHARED, 5, {"k": 1})]


@pytest.mark.parametrize(
    "item",
    [
        update(
            "deviceCredentialsUpdate",
            {
                "deviceId": STRANGER.to_json(),
                "credentialsId": "T",
                "credentialsType": "ACCESS_TOKEN",
            },
        ),
        update("ruleChainMetadataUpdate", {"ruleChainId": {"id": str(STRANGER.id)}, "nodes": []}),
        update(
            "relationUpdate",
            {"from": DEVICE.to_json(), "to": STRANGER.to_json(), "type": "Contains"},
        ),
        update(
            "alarmCommentUpdate",
            {
                "id": {"id": str(DEVICE.id)},
                "alarmId": EntityId("ALARM", STRANGER.id).to_json(),
                "comment": {"text": "?"},
            },
        ),
    ],
    ids=["credentials", "metadata", "relation", "comment"],
)
def test_what_belongs_to_something_that_is_not_here_is_taken_without_effect(
    state: State, item: Item
) -> None:
    applied = take(state, item)
    assert not applied.unit.entities
    assert len(applied.passed_over) == 1


def test_a_deletion_without_a_time_deletes_what_a_faster_clock_wrote(state: State) -> None:
    ahead = AttributeWrite(DEVICE, Scope.SHARED, NOW + 60_000, {"k": 1})
    state.apply(Unit(attributes=[ahead]))
    applied = take(state, AttributesDeleted(DEVICE, "SHARED_SCOPE", ("k",)))
    state.apply(applied.unit)
    assert not state.attributes(DEVICE, Scope.SHARED)
    assert applied.notices[0].deleted == ("k",)


def test_a_backlog_said_twice_leaves_what_was_set_after_a_deletion(state: State) -> None:
    backlog = (
        attributes({"k": 1}, NOW - 3),
        AttributesDeleted(DEVICE, "SHARED_SCOPE", ("k",)),
        attributes({"k": 2}, NOW - 1),
    )
    for item in backlog * 2:
        state.apply(take(state, item).unit)
    assert state.attributes(DEVICE, Scope.SHARED)["k"].value == 2


def test_from_a_peer_without_order_a_relation_may_come_before_its_end(state: State) -> None:
    class Cloudlike(AnyPolicy):
        peer_keeps_order = False

    body = {"from": DEVICE.to_json(), "to": STRANGER.to_json(), "type": "Contains"}
    applied = digest([update("relationUpdate", body)], state, Cloudlike(), NOW, {})
    assert len(applied.unit.entities) == 1 and not applied.passed_over


def test_an_alarm_without_an_originator_is_taken_without_effect(state: State) -> None:
    applied = take(state, update("alarmUpdate", {"type": "Hot", "originator": None}, DEVICE.id))
    assert applied.passed_over and not applied.unit.entities
