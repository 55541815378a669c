"""Frames and protobuf: every message both ways, held against Google's runtime."""

from __future__ import annotations

import base64
import json
import random
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from appliance.model.errors import Permanent
from appliance.model.ids import EntityId
from appliance.model.telemetry import Scope
from appliance.sync.messages import (
    Ack,
    Attributes,
    AttributesDeleted,
    Batch,
    Connect,
    Connected,
    EdgeConfiguration,
    EdgeUpdate,
    EntityUpdate,
    Frame,
    Request,
    RpcCall,
    SyncRequest,
    Telemetry,
    Unknown,
)
from appliance.sync.protobuf import MalformedWire, delimited, number_field
from appliance.sync.wire import encode_attributes, encode_entry
from plugins.transport_grpc.batches import DOWNLINK, UPLINK, BatchCodec
from plugins.transport_grpc.mapping import CLOUD, EDGE
from plugins.transport_grpc.tables import ROWS
from tests.kit import google_proto

TRACES = sorted((Path(__file__).parents[1] / "fixtures" / "traces").glob("*.jsonl"))
ENTITY_BODIES = {"postTelemetryMsg", "postAttributesMsg", "attributesUpdatedMsg"} | {
    "attributeDeleteMsg"
}
DIRECTIONS: dict[str, tuple[BatchCodec, str]] = {
    "edge.UplinkMsg": (UPLINK, "uplinkMsgId"),
    "edge.DownlinkMsg": (DOWNLINK, "downlinkMsgId"),
}
DEVICE = EntityId("DEVICE", UUID("784f394c-42b6-11ed-9e6f-1f2a3b4c5d6e"))


def _variants(field: str) -> list[frozenset[str]]:
    """Which fields to leave out: entity data has one body at a time, and only some have a scope."""
    if field != "entityData":
        return [frozenset()]
    without = {
        "postTelemetryMsg": {"postAttributeScope", "attributeTs"},
        "attributeDeleteMsg": {"postAttributeScope"},
    }
    return [
        frozenset(ENTITY_BODIES - {body} | without.get(body, set()) | {"shared"})
        for body in sorted(ENTITY_BODIES)
    ]


def _every_item() -> list[Any]:
    return [
        pytest.param(message, field.name, skip, id=f"{field.name}-{message[5:]}-{number}")
        for message in DIRECTIONS
        for field in google_proto.message_type(message).DESCRIPTOR.fields
        if field.message_type is not None
        for number, skip in enumerate(_variants(field.name))
    ]


@pytest.mark.parametrize(("message", "field", "skip"), _every_item())
def test_every_item_with_every_field_set_survives(
    message: str, field: str, skip: frozenset[str]
) -> None:
    codec, id_name = DIRECTIONS[message]
    for seed in range(20):
        theirs = google_proto.new(message, **{id_name: seed})
        target = getattr(theirs, field)
        repeated = theirs.DESCRIPTOR.fields_by_name[field].is_repeated
        for one in [target.add(), target.add()] if repeated else [target]:
            google_proto.filled(one, random.Random(seed), skip).SetInParent()
            if field == "attributesRequestMsg":
                one.scope = "SHARED_SCOPE"
        batch = codec.decode(theirs.SerializeToString())
        assert not any(isinstance(item, Unknown) for item in batch.items)
        assert google_proto.parse(message, codec.encode(batch)) == theirs, f"seed {seed}"


@pytest.mark.parametrize(
    ("message", "column"), [("edge.UplinkMsg", "up"), ("edge.DownlinkMsg", "down")]
)
def test_the_table_names_every_field_of_the_message(message: str, column: str) -> None:
    fields = google_proto.message_type(message).DESCRIPTOR.fields
    known = {row.name: getattr(row, column) for row in ROWS if getattr(row, column)}
    declared = {field.name.removesuffix("Msg"): field.number for field in fields}
    del declared["uplinkMsgId" if column == "up" else "downlinkMsgId"]
    assert known == declared


@pytest.mark.parametrize("trace", TRACES, ids=lambda path: path.stem)
def test_every_recorded_message_comes_out_as_it_went_in(trace: Path) -> None:
    for line in trace.read_text("utf-8").splitlines():
        record = json.loads(line)
        if "raw" not in record:
            continue
        raw = base64.b64decode(record["raw"])
        up = record["dir"] == "up"
        reader, writer = (CLOUD, EDGE) if up else (EDGE, CLOUD)
        (frame,) = reader.decode(raw)
        name = "edge.RequestMsg" if up else "edge.ResponseMsg"
        assert google_proto.parse(name, writer.encode(frame)) == google_proto.parse(name, raw)
        if isinstance(frame, Batch):
            assert not any(isinstance(item, Unknown) for item in frame.items)
            inner = google_proto.parse(name, raw)
            body = inner.uplinkMsg if up else inner.downlinkMsg
            assert writer.size(frame) == body.ByteSize()


# --- envelope --------------------------------------------------------------------------------

CONFIGURATION = EdgeConfiguration(
    edge_id=DEVICE.id,
    tenant_id=UUID("13814000-1dd2-11b2-8080-808080808080"),
    customer_id=None,
    name="Plant 1",
    additional_info='{"a":1}',
)
UPWARD: list[Frame] = [
    Connect("key", "secret", 4312, 4_194_304),
    Connect("key", "secret", 0, None),
    Connect("", "", 77_777, 0),
    SyncRequest(True),
    SyncRequest(False),
    SyncRequest(None),
    Ack(0, True),
    Ack(2**31 - 2, False, "why not"),
    Batch(0, ()),
    Batch(77, (Telemetry(DEVICE, (encode_entry(1, {"a": 1}),)),)),
]
DOWNWARD: list[Frame] = [
    Connected(0, "", CONFIGURATION, 4_194_304),
    Connected(1, "no such edge", EdgeConfiguration(None, None, None, cloud_type=""), None),
    Connected(9, "a code of tomorrow", None, 0),
    EdgeUpdate(CONFIGURATION),
    Ack(5, True),
    Batch(6, (Telemetry(DEVICE, (encode_entry(1, {"a": 1}),)),)),
]


@pytest.mark.parametrize("frame", UPWARD, ids=repr)
def test_what_an_edge_says_a_server_reads(frame: Frame) -> None:
    assert CLOUD.decode(EDGE.encode(frame)) == [frame]


@pytest.mark.parametrize("frame", DOWNWARD, ids=repr)
def test_what_a_server_says_an_edge_reads(frame: Frame) -> None:
    assert EDGE.decode(CLOUD.encode(frame)) == [frame]


def test_the_worked_example_of_the_protocol() -> None:
    assert EDGE.encode(Connect("edge-key", "edge-secret", 4312, 4_194_304)) == (
        bytes.fromhex("12 1f 0a 08")
        + b"edge-key"
        + bytes.fromhex("12 0b")
        + b"edge-secret"
        + bytes.fromhex("18 d8 21 20 80 80 80 02")
    )
    assert EDGE.encode(SyncRequest(True)) == bytes.fromhex("08 02 2a 02 10 01")
    old = bytes.fromhex("08 02 2a 04 08 01 10 01")
    assert EDGE.encode(SyncRequest(True, required=True)) == old
    assert CLOUD.decode(old) == [SyncRequest(True)]
    assert EDGE.encode(Ack(1234, True)) == bytes.fromhex("08 01 22 05 08 01 18 d2 09")
    entry = encode_entry(1_700_000_000_000, {"temperature": 21.5})
    assert EDGE.encode(Batch(77, (Telemetry(DEVICE, (entry,)),))) == (
        bytes.fromhex("08 01 1a 46 08 4d 12 42 08 ed a3 d8 95 c4 a9 ce a7 78")
        + bytes.fromhex("10 ee ba b1 da a3 e5 c7 b7 9e 01 1a 06")
        + b"DEVICE"
        + bytes.fromhex("22 23 0a 21 08 80 d0 95 ff bc 31 12 18 0a 0b")
        + b"temperature"
        + bytes.fromhex("10 02 29 00 00 00 00 00 80 35 40")
    )
    assert EDGE.decode(bytes.fromhex("12 04 08 01 18 4d")) == [Ack(77, True)]


def test_an_uplink_and_an_acknowledgement_in_one_request_are_two_frames() -> None:
    both = EDGE.encode(Batch(1, ())) + EDGE.encode(Ack(2, True))
    assert CLOUD.decode(both) == [Batch(1, ()), Ack(2, True)]


def test_an_uplink_without_its_message_type_is_not_heard() -> None:
    request = google_proto.new("edge.RequestMsg")
    request.uplinkMsg.uplinkMsgId = 5
    assert CLOUD.decode(request.SerializeToString()) == []


# --- a newer peer ----------------------------------------------------------------------------


@pytest.mark.parametrize(("reader", "writer"), [(UPLINK, UPLINK), (DOWNLINK, DOWNLINK)])
def test_fields_of_a_newer_peer_are_kept_and_come_out_again(
    reader: BatchCodec, writer: BatchCodec
) -> None:
    newer = [delimited(99, b"new"), number_field(98, 5), b"\x81\x06" + bytes(8)]
    batch = reader.decode(number_field(1, 7) + b"".join(newer))
    assert batch.id == 7
    assert batch.items == (
        Unknown(99, newer[0]),
        Unknown(98, newer[1]),
        Unknown(96, newer[2]),
    )
    assert writer.encode(batch) == number_field(1, 7) + b"".join(newer)


def test_a_kind_of_update_of_a_newer_peer_keeps_its_number() -> None:
    raw = google_proto.new("edge.DownlinkMsg", downlinkMsgId=1)
    raw.deviceUpdateMsg.add(msgType=42, idMSB=1, idLSB=2, entity="{}")
    (item,) = DOWNLINK.decode(raw.SerializeToString()).items
    assert item == EntityUpdate("deviceUpdate", 42, UUID(int=1 << 64 | 2), "{}")
    again = DOWNLINK.encode(Batch(1, (item,)))
    assert google_proto.parse("edge.DownlinkMsg", again) == raw


@pytest.mark.parametrize(
    "body",
    [
        b"\x08",  # ends inside a number
        delimited(18, b"x")[:-1],  # ends inside its text
        number_field(18, 5),  # a number where text belongs
        delimited(18, b"\xff\xfe"),  # text that is not UTF-8
        b"\x0b\x0c",  # a group
        delimited(1, b"text"),  # text where a number belongs
    ],
)
def test_an_item_that_cannot_be_read_costs_only_itself(body: bytes) -> None:
    good = EntityUpdate("deviceUpdate", 1, DEVICE.id, "{}")
    raw = delimited(5, body)
    batch = DOWNLINK.decode(DOWNLINK.encode(Batch(3, (good,))) + raw)
    assert batch.items == (good, Unknown(5, raw))


def test_a_server_does_not_see_the_time_that_is_for_a_cloud_of_ours() -> None:
    values = encode_attributes({"fw": "1.2"})
    batch = Batch(1, (Attributes(DEVICE, "CLIENT_SCOPE", values, None, True, own_ts=-7),))
    written = UPLINK.encode(batch)
    (seen,) = google_proto.parse("edge.UplinkMsg", written).entityData
    assert seen.HasField("postAttributesMsg") and not seen.HasField("attributeTs")
    assert UPLINK.decode(written) == batch


def test_data_without_an_entity_or_a_body_is_kept_unread() -> None:
    for entity_type in ("", "DEVICE"):
        raw = google_proto.new("edge.DownlinkMsg")
        raw.entityData.add(entityType=entity_type, entityIdMSB=5)
        (item,) = DOWNLINK.decode(raw.SerializeToString()).items
        assert isinstance(item, Unknown)


def test_a_request_for_a_scope_we_do_not_know_is_kept_unread() -> None:
    raw = google_proto.new("edge.UplinkMsg")
    raw.attributesRequestMsg.add(entityIdMSB=5, entityIdLSB=6, entityType="DEVICE", scope="NEW")
    (item,) = UPLINK.decode(raw.SerializeToString()).items
    assert isinstance(item, Unknown)


@pytest.mark.parametrize("data", [b"\x12", b"\x12\x05abc", b"\x0b", b"\xff" * 12])
def test_bytes_that_are_no_message_are_refused(data: bytes) -> None:
    for codec in (EDGE, CLOUD):
        with pytest.raises(MalformedWire):
            codec.decode(data)


# --- what cannot be sent -----------------------------------------------------------------------


def test_an_item_that_does_not_travel_this_way_is_refused_by_name() -> None:
    frame = Batch(1, (EntityUpdate("customerUpdate", 0, DEVICE.id, "{}"),))
    assert DOWNLINK.encode(frame)
    with pytest.raises(Permanent, match="customerUpdate"):
        EDGE.encode(frame)
    with pytest.raises(Permanent, match="customerUpdate"):
        EDGE.size(frame)
    with pytest.raises(Permanent, match="nonsense"):
        CLOUD.encode(Batch(1, (EntityUpdate("nonsense", 0, None, ""),)))


def test_a_frame_of_the_other_side_is_refused() -> None:
    with pytest.raises(Permanent, match="Connected"):
        EDGE.encode(Connected(0))
    with pytest.raises(Permanent, match="Connect"):
        CLOUD.encode(Connect("a", "b", 1))


# --- corners -----------------------------------------------------------------------------------

CORNERS = [
    RpcCall(DEVICE.id, DEVICE.id, 0, method="", params=""),
    RpcCall(DEVICE.id, DEVICE.id, 1, response=""),
    RpcCall(DEVICE.id, None, 1, error="TIMEOUT"),
    RpcCall(None, None, -1, response="{}", error="INTERNAL", persisted=False, retries=0),
    Request("attributesRequest", DEVICE, Scope.SHARED),
    Request("attributesRequest", DEVICE),
    Request("userCredentialsRequest", EntityId("USER", DEVICE.id)),
    EntityUpdate("deviceUpdate", 2, None),
    AttributesDeleted(DEVICE, "", ("", "key")),
    AttributesDeleted(DEVICE, "SERVER_SCOPE", (), 0),
]


@pytest.mark.parametrize("item", CORNERS, ids=repr)
def test_empty_and_absent_are_told_apart(item: Any) -> None:
    assert UPLINK.decode(UPLINK.encode(Batch(1, (item,)))).items == (item,)
