"""The codec: round trips, any split of the stream, and no bytes that crash it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.ingest_mqtt import packets
from plugins.ingest_mqtt.codec import FrameReader, decode, encode
from plugins.ingest_mqtt.fields import Property
from plugins.ingest_mqtt.packets import MalformedPacket, Packet, Reason, Version

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
TOPIC = TEXT.map(lambda t: t.replace("+", "").replace("#", ""))
BINARY = st.binary(max_size=20)
ID = st.integers(1, 65535)
QOS = st.integers(0, 2)
VERSION = st.sampled_from(Version)
PROPERTIES = st.fixed_dictionaries(
    {},
    optional={
        int(Property.PAYLOAD_FORMAT): st.integers(0, 1),
        int(Property.RECEIVE_MAXIMUM): st.integers(1, 65535),
        int(Property.MAXIMUM_PACKET_SIZE): st.integers(1, 2**32 - 1),
        int(Property.REASON_STRING): TEXT,
        int(Property.CORRELATION_DATA): BINARY,
        int(Property.SUBSCRIPTION_ID): st.lists(st.integers(1, 2**28 - 1), min_size=1).map(tuple),
        int(Property.USER_PROPERTY): st.lists(st.tuples(TEXT, TEXT), min_size=1).map(tuple),
    },
)


def _properties(version: Version) -> st.SearchStrategy[dict[int, Any]]:
    return PROPERTIES if version == Version.V5 else st.just({})


def _packets(v: Version) -> st.SearchStrategy[Packet]:
    p = _properties(v)
    acks = [packets.PubAck, packets.PubRec, packets.PubRel, packets.PubComp]
    reason = st.integers(0, 255) if v == Version.V5 else st.just(0)
    will = st.builds(packets.Will, TEXT, BINARY, QOS, st.booleans(), p)
    codes = st.lists(st.integers(0, 255), max_size=5).map(tuple)
    connect = st.builds(
        packets.Connect,
        client_id=TEXT,
        username=st.none() | TEXT,
        password=st.none() | BINARY,
        version=st.just(v),
        clean=st.booleans(),
        keep_alive_s=st.integers(0, 65535),
        will=st.none() | will,
        properties=p,
    )
    publish = st.builds(packets.Publish, TOPIC, BINARY, QOS, ID, st.booleans(), st.booleans(), p)
    filters = st.lists(st.tuples(TEXT, QOS), min_size=1, max_size=5).map(tuple)
    names = st.lists(TEXT, min_size=1, max_size=5).map(tuple)
    by_reason = [st.builds(packets.Disconnect, reason, p)]
    if v == Version.V5:
        by_reason.append(st.builds(packets.Auth, reason, p))
    return st.one_of(
        connect,
        publish.map(lambda x: packets.Publish(x.topic, x.payload, **_flags(x))),
        st.builds(packets.ConnAck, st.integers(0, 255), st.booleans(), p),
        st.builds(packets.Subscribe, ID, filters, p),
        st.builds(packets.SubAck, ID, codes, p),
        st.builds(packets.Unsubscribe, ID, names, p),
        st.builds(packets.UnsubAck, ID, codes, p),
        st.sampled_from([packets.PingReq(), packets.PingResp()]),
        *(st.builds(ack, ID, reason, p) for ack in acks),
        *by_reason,
    )


def _flags(packet: packets.Publish) -> dict[str, Any]:
    """QoS 0 carries no packet identifier."""
    packet_id = packet.packet_id if packet.qos else 0
    return {
        "qos": packet.qos,
        "packet_id": packet_id,
        "dup": packet.dup,
        "retain": packet.retain,
        "properties": packet.properties,
    }


@given(st.data())
def test_a_packet_survives_the_wire(data: st.DataObject) -> None:
    version = data.draw(VERSION)
    packet = data.draw(_packets(version))
    (frame,) = FrameReader(65536).feed(encode(packet, version))
    assert decode(frame, version) == packet


@given(st.data())
def test_any_split_of_a_stream_gives_the_same_frames(data: st.DataObject) -> None:
    version = data.draw(VERSION)
    sent = data.draw(st.lists(_packets(version), min_size=1, max_size=5))
    stream = b"".join(encode(packet, version) for packet in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    reader = FrameReader(65536)
    frames = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        frames += reader.feed(stream[start:end])
    assert [decode(frame, version) for frame in frames] == sent


@given(st.integers(0, 255), st.binary(max_size=60), VERSION)
def test_no_bytes_do_more_than_be_malformed(first: int, body: bytes, version: Version) -> None:
    try:
        decode((first, body), version)
    except MalformedPacket as error:
        assert error.reason >= 0x80


@given(st.lists(st.binary(max_size=300)))
def test_no_stream_does_more_than_be_malformed(portions: list[bytes]) -> None:
    reader = FrameReader(100)
    for portion in portions:
        assert all(len(body) <= 100 for _, body in reader.feed(portion))


def test_what_is_no_packet_is_known_by_its_first_byte() -> None:
    reader = FrameReader(65536)
    assert reader.feed(b"GET / HTTP/1.1") == []
    assert reader.broken is not None


def test_a_packet_beyond_the_limit_is_refused_before_it_arrives() -> None:
    reader = FrameReader(65536)
    assert reader.feed(bytes.fromhex("c00030818004")) == [(0xC0, b"")]
    assert reader.broken is not None
    assert reader.broken.reason == Reason.PACKET_TOO_LARGE
    assert reader.feed(bytes.fromhex("c000")) == []


def test_byte_by_byte_is_linear_in_what_is_kept() -> None:
    stream = encode(packets.Publish("t", b"x" * 60000), Version.V3_1_1)
    reader = FrameReader(65536)
    frames = [frame for byte in stream for frame in reader.feed(bytes((byte,)))]
    assert len(frames) == 1


MALFORMED = {
    "CONNECT with the reserved flag": "100d00044d5154540403003c000178",
    "will flags without a will": "100d00044d515454040a003c000178",
    "will of QoS 3": "101300044d515454041e003c00017800017400017a",
    "unknown protocol name": "100d0004484f4d450402003c000178",
    "QoS 3": "36050001740001",
    "packet id 0": "32050001740000",
    "SUBSCRIBE without filters": "82020001",
    "SUBSCRIBE for QoS 3": "8206000100017403",
    "UNSUBSCRIBE without filters": "a2020001",
    "trailing bytes in PINGREQ": "c00100",
    "AUTH in version 3": "f000",
    "type 0": "0000",
}


@pytest.mark.parametrize("stream", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_the_standard_forbids_is_malformed(stream: str) -> None:
    reader = FrameReader(65536)
    frames = reader.feed(bytes.fromhex(stream))
    if reader.broken is None:
        with pytest.raises(MalformedPacket):
            decode(frames[0], Version.V3_1_1)


def test_an_unknown_protocol_level_is_said_to_be_one() -> None:
    (frame,) = FrameReader(65536).feed(bytes.fromhex("100d00044d5154540602003c000178"))
    with pytest.raises(MalformedPacket) as caught:
        decode(frame, Version.V3_1_1)
    assert caught.value.reason == Reason.UNSUPPORTED_VERSION
