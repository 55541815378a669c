"""Outbox events as items on the wire."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

import msgspec
import pytest

from appliance.model.ids import EntityId, new_uuid
from appliance.model.telemetry import Scope
from appliance.model.unit import Lane, OutboxEvent, StoredEvent
from appliance.state.kinds import BY_NAME, relation_key
from appliance.sync.mapping import Mapper, entity_update, rpc_from_json, rpc_to_json
from appliance.sync.messages import (
    Attributes,
    AttributesDeleted,
    EntityUpdate,
    Item,
    Request,
    RpcCall,
    SyncCompleted,
    Telemetry,
    UpdateKind,
)
from appliance.sync.wire import decode_attributes

DEVICE = EntityId("DEVICE", new_uuid())
PROFILE = new_uuid()


class Shown:
    """Bodies by kind and id."""

    def __init__(self) -> None:
        profile = {"entityType": "DEVICE_PROFILE", "id": str(PROFILE)}
        self.bodies: dict[tuple[str, UUID], dict[str, Any]] = {
            ("DEVICE", DEVICE.id): {"name": "Pump", "version": 4, "deviceProfileId": profile},
            ("DEVICE_CREDENTIALS", DEVICE.id): {"credentialsId": "T"},
            ("DEVICE_PROFILE", PROFILE): {"name": "default"},
        }
        self.deletions = {(Scope.SHARED, "late"): 7, (Scope.SHARED, "back"): 6}

    def shown(self, kind: str, id: UUID) -> dict[str, Any] | None:
        return self.bodies.get((kind, id))

    def is_known(self, kind: str, id: UUID) -> bool:
        return False

    def other_names(self, kind: str, id: UUID) -> Iterable[UUID]:
        return ()

    def deleted_ms(self, entity: EntityId, scope: Scope, key: str) -> int | None:
        return self.deletions.get((scope, key))


def items(action: str, body: Any = b"", kind: str = "DEVICE") -> list[Item]:
    encoded = body if isinstance(body, bytes) else msgspec.json.encode(body)
    event = OutboxEvent("cloud", Lane.ENTITY, kind, action, DEVICE, encoded)
    return list(Mapper(Shown()).items(StoredEvent(1, 0, 0, event)))


def fields(made: list[Item]) -> list[tuple[str, int | None]]:
    return [(item.field, item.kind) for item in made if isinstance(item, EntityUpdate)]


def test_telemetry_travels_as_it_was_encoded() -> None:
    assert items("TIMESERIES_UPDATED", b"\x08\x05") == [Telemetry(DEVICE, (b"\x08\x05",))]


@pytest.mark.parametrize(
    ("action", "extra", "posted"),
    [
        ("ATTRIBUTES_UPDATED", {}, False),
        ("ATTRIBUTES_UPDATED", {"isPostAttributes": True}, True),
        ("POST_ATTRIBUTES", {}, True),
    ],
)
def test_attributes(action: str, extra: dict[str, Any], posted: bool) -> None:
    body = {"kv": {"a": 1, "none": None}, "scope": "SHARED_SCOPE", "ts": 7, **extra}
    (item,) = items(action, body)
    assert isinstance(item, Attributes)
    assert (item.scope, item.ts, item.posted) == ("SHARED_SCOPE", 7, posted)
    assert decode_attributes(item.values) == {"a": 1}


@pytest.mark.parametrize(
    ("action", "times"), [("POST_ATTRIBUTES", (None, 7)), ("ATTRIBUTES_UPDATED", (7, None))]
)
def test_the_time_of_what_only_the_device_says_is_not_for_a_server_which_compares_it_with_its_own(
    action: str, times: tuple[int | None, int | None]
) -> None:
    (item,) = items(action, {"kv": {"a": 1}, "scope": "CLIENT_SCOPE", "ts": 7})
    assert isinstance(item, Attributes) and (item.ts, item.own_ts) == times


def test_attributes_without_a_value_are_not_sent_since_nobody_would_answer() -> None:
    assert items("ATTRIBUTES_UPDATED", {"kv": {"none": None}}) == []


def test_an_attribute_that_was_deleted_since_is_not_sent() -> None:
    body = {"kv": {"late": 1, "back": 2}, "scope": "SHARED_SCOPE", "ts": 7}
    (item,) = items("ATTRIBUTES_UPDATED", body)
    assert isinstance(item, Attributes)
    assert decode_attributes(item.values) == {"back": 2}
    body = {"kv": {"late": 1}, "scope": "SERVER_SCOPE", "ts": 7}
    assert len(items("ATTRIBUTES_UPDATED", body)) == 1


def test_deleted_attributes() -> None:
    body = {"keys": ["a", "b"], "scope": "CLIENT_SCOPE"}
    assert items("ATTRIBUTES_DELETED", body) == [
        AttributesDeleted(DEVICE, "CLIENT_SCOPE", ("a", "b"), None)
    ]


@pytest.mark.parametrize(
    ("action", "requests"),
    [
        (
            "ATTRIBUTES_REQUEST",
            [("attributesRequest", Scope.SERVER), ("attributesRequest", Scope.SHARED)],
        ),
        ("RELATION_REQUEST", [("relationRequest", None)]),
        ("CALCULATED_FIELD_REQUEST", [("calculatedFieldRequest", None)]),
    ],
)
def test_requests(action: str, requests: list[tuple[str, Scope | None]]) -> None:
    made = items(action)
    assert [(i.field, i.scope) for i in made if isinstance(i, Request)] == requests


def test_the_end_of_a_sync_has_no_body() -> None:
    assert items("SYNC_COMPLETED", b"full") == [SyncCompleted()]


@pytest.mark.parametrize(
    ("action", "wanted"),
    [
        (
            "ADDED",
            [
                ("deviceProfileUpdate", UpdateKind.CREATED),
                ("deviceUpdate", UpdateKind.CREATED),
                ("deviceCredentialsUpdate", None),
            ],
        ),
        ("UPDATED", [("deviceUpdate", UpdateKind.UPDATED), ("deviceCredentialsUpdate", None)]),
        ("DELETED", [("deviceUpdate", UpdateKind.DELETED)]),
        ("UNASSIGNED_FROM_EDGE", [("deviceUpdate", UpdateKind.DELETED)]),
        ("CREDENTIALS_UPDATED", [("deviceCredentialsUpdate", None)]),
    ],
)
def test_a_device_travels_with_what_it_cannot_do_without(
    action: str, wanted: list[tuple[str, int | None]]
) -> None:
    assert fields(items(action)) == wanted


def test_the_version_goes_as_null_so_that_the_peer_overwrites() -> None:
    (device, _credentials) = items("UPDATED")
    assert isinstance(device, EntityUpdate)
    assert msgspec.json.decode(device.body)["version"] is None


def test_an_alarm_goes_without_a_customer_since_a_server_refuses_one_that_it_sees_otherwise() -> (
    None
):
    customer = EntityId("CUSTOMER", new_uuid()).to_json()
    update = entity_update("ALARM", new_uuid(), UpdateKind.CREATED, {"customerId": customer})
    assert msgspec.json.decode(update.body) == {"customerId": None}


def test_an_entity_that_is_gone_meanwhile_yields_nothing() -> None:
    assert items("UPDATED", kind="ASSET") == []


def test_what_cannot_be_read_again_comes_from_the_event() -> None:
    body = {"id": DEVICE.to_json(), "type": "High"}
    (item,) = items("ALARM_DELETE", body, kind="ALARM")
    assert isinstance(item, EntityUpdate)
    assert item.kind == UpdateKind.DELETED
    assert msgspec.json.decode(item.body) == body


@pytest.mark.parametrize(
    ("action", "kind", "body"),
    [
        ("ATTRIBUTES_UPDATED", "DEVICE", b"{"),
        ("ATTRIBUTES_UPDATED", "DEVICE", b"{}"),
        ("ATTRIBUTES_DELETED", "DEVICE", b"[]"),
        ("UPDATED", "NO_SUCH_KIND", b""),
        ("RPC_CALL", "DEVICE", b'{"requestUUID": "?"}'),
    ],
)
def test_a_body_that_is_not_what_its_action_promises_raises(
    action: str, kind: str, body: bytes
) -> None:
    with pytest.raises((ValueError, LookupError, TypeError)):
        items(action, body, kind)


def test_a_call_survives_the_outbox() -> None:
    full = RpcCall(
        device_id=DEVICE.id,
        request_uuid=new_uuid(),
        request_id=3,
        expires_ms=9,
        oneway=True,
        method="m",
        params="{}",
        persisted=True,
        retries=2,
        additional_info="{}",
        service_id="s",
        session_id="x",
    )
    for call in (full, RpcCall(DEVICE.id, None, 0, response="{}"), RpcCall(DEVICE.id, None, 0)):
        assert rpc_from_json(DEVICE.id, msgspec.json.decode(rpc_to_json(call))) == call


def test_every_kind_with_a_field_can_travel() -> None:
    for kind in BY_NAME.values():
        if kind.field and kind.name not in ("RELATION", "ALARM"):
            body = b'{"x": 1}'
            event = OutboxEvent("cloud", Lane.ENTITY, kind.name, "UPDATED", DEVICE, body)
            (item,) = Mapper(Shown()).items(StoredEvent(1, 0, 0, event))
            assert isinstance(item, EntityUpdate) and item.field == kind.field


def test_a_relation_travels_unless_it_has_gone_since() -> None:
    ends = {"from": DEVICE.to_json(), "to": DEVICE.to_json(), "type": "Uses"}
    body = msgspec.json.encode(ends)
    shown = Shown()
    for there in (False, True):
        if there:
            shown.bodies["RELATION", relation_key(ends)] = ends
        for action, told in (("RELATION_ADD_OR_UPDATE", there), ("RELATION_DELETED", True)):
            event = OutboxEvent("cloud", Lane.ENTITY, "RELATION", action, DEVICE, body)
            assert bool(list(Mapper(shown).items(StoredEvent(1, 0, 0, event)))) == told


def test_a_comment_taken_back_travels_as_the_word_that_stays() -> None:
    mark = {"type": "SYSTEM", "comment": {"text": "User a@b deleted his comment"}}
    for body, kind in ((mark, UpdateKind.UPDATED), ({"type": "OTHER"}, UpdateKind.DELETED)):
        made = items("DELETED_COMMENT", body, "ALARM_COMMENT")
        assert fields(made) == [("alarmCommentUpdate", kind)]
