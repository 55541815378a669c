"""MQTT packets to bytes and back, without any I/O (MQTT 3.1, 3.1.1, 5).

`FrameReader` cuts a byte stream into frames whatever way it arrives; `decode` and `encode` turn
one frame into a packet and a packet into bytes. For every packet p of a version v:
decode(encode(p, v)) == p. Bytes that are not MQTT raise MalformedPacket and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plugins.ingest_mqtt import fields, packets
from plugins.ingest_mqtt.fields import Reader
from plugins.ingest_mqtt.packets import MalformedPacket, Packet, Reason, Version, Will

Frame = tuple[int, bytes]
"""(first byte: type and flags, body after the length)."""

_NAMES = {b"MQIsdp": Version.V3_1, b"MQTT": Version.V3_1_1}
_PROTOCOL_NAME = {Version.V3_1: b"MQIsdp", Version.V3_1_1: b"MQTT", Version.V5: b"MQTT"}


class FrameReader:
    """Bytes in any portions in, whole frames out. Holds at most one unfinished frame.

    broken: set where the stream stops being MQTT: a first byte that no packet begins with, a
    length in more than four bytes or beyond `body_max`. What came before is still good (else a
    device that sends a packet too large behind others would never get the others taken);
    whatever follows is ignored.
    """

    __slots__ = ("_body_max", "_held", "_needed", "broken")

    def __init__(self, body_max: int) -> None:
        self.broken: MalformedPacket | None = None
        self._body_max = body_max
        self._held = bytearray()
        self._needed = 2

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are now complete."""
        if self.broken:
            return []
        if self._held:
            self._held += data
            if len(self._held) < self._needed:
                return []
            data = bytes(self._held)
            self._held = bytearray()
        frames: list[Frame] = []
        try:
            self._cut(data, frames)
        except MalformedPacket as broken:
            self.broken = broken
        return frames

    def _cut(self, data: bytes, frames: list[Frame]) -> None:
        at, size, body = 0, len(data), None
        while at < size and (body := self._body_of(data, at)) and body[1] <= size:
            frames.append((data[at], data[body[0] : body[1]]))
            at = body[1]
        if at < size:
            self._held += data[at:]
            self._needed = body[1] - at if body else size - at + 1

    def _body_of(self, data: bytes, at: int) -> tuple[int, int] | None:
        """(start, end) of the body of the frame at `at`; None before its length is known."""
        _check_first(data[at])
        length = 0
        for index in range(4):
            position = at + 1 + index
            if position >= len(data):
                return None
            byte = data[position]
            length |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                if length > self._body_max:
                    limit = f"a packet of {length} bytes, {self._body_max} are allowed"
                    raise MalformedPacket(limit, Reason.PACKET_TOO_LARGE)
                return position + 1, position + 1 + length
        raise MalformedPacket("a length of more than four bytes")


def _check_first(first: int) -> None:
    if first not in _FIRST_BYTES:
        raise MalformedPacket(f"packet type {first >> 4} with flags {first & 0x0F}")


_FLAGS_2 = (6, 8, 10)
"""PUBREL, SUBSCRIBE, UNSUBSCRIBE carry flags 2, PUBLISH its own, every other packet 0."""

_FIRST_BYTES = frozenset(range(0x30, 0x40)) | {
    kind << 4 | (2 if kind in _FLAGS_2 else 0) for kind in range(1, 16) if kind != 3
}

# --- decoding ----------------------------------------------------------------------------------


def decode(frame: Frame, version: Version) -> Packet:
    """The packet in one frame. Raises MalformedPacket.

    version: what CONNECT agreed; CONNECT itself carries its own.
    """
    first, body = frame
    if first >> 4 == 3:
        return _decode_publish(first & 0x0F, body, version)
    _check_first(first)
    reader = Reader(body)
    packet = _DECODERS[first >> 4](reader, version)
    if reader.left:
        raise MalformedPacket(f"{reader.left} bytes too many in packet type {first >> 4}")
    return packet


def _decode_publish(flags: int, body: bytes, version: Version) -> Packet:
    qos = flags >> 1 & 3
    if qos == 3:
        raise MalformedPacket("QoS 3")
    reader = Reader(body)
    topic = reader.text()
    if "+" in topic or "#" in topic:
        raise MalformedPacket("a wildcard in a topic", Reason.TOPIC_INVALID)
    packet_id = reader.packet_id() if qos else 0
    values = reader.properties() if version == Version.V5 else {}
    retain, dup = bool(flags & 1), bool(flags & 8)
    return packets.Publish(topic, reader.rest(), qos, packet_id, dup, retain, values)


def _decode_connect(reader: Reader, _: Version) -> Packet:
    name, level = reader.binary(), reader.uint8()
    version = _NAMES.get(name)
    if version is Version.V3_1_1 and level == Version.V5:
        version = Version.V5
    if version is None:
        raise MalformedPacket("not an MQTT CONNECT")
    if level & 0x7F != version:
        raise MalformedPacket(f"protocol level {level}", Reason.UNSUPPORTED_VERSION)
    flags, keep_alive_s = reader.uint8(), reader.uint16()
    if flags & 1:
        raise MalformedPacket("reserved flag in CONNECT")
    values = reader.properties() if version == Version.V5 else {}
    client_id = reader.text()
    will = _decode_will(reader, flags, version)
    username = reader.text() if flags & 0x80 else None
    password = reader.binary() if flags & 0x40 else None
    clean = bool(flags & 2)
    return packets.Connect(
        client_id, username, password, version, clean, keep_alive_s, will, values
    )


def _decode_will(reader: Reader, flags: int, version: Version) -> Will | None:
    qos, retain = flags >> 3 & 3, bool(flags & 0x20)
    if not flags & 4:
        if qos or retain:
            raise MalformedPacket("will flags without a will")
        return None
    if qos == 3:
        raise MalformedPacket("QoS 3 in a will")
    values = reader.properties() if version == Version.V5 else {}
    return Will(reader.text(), reader.binary(), qos, retain, values)


def _decode_connack(reader: Reader, version: Version) -> Packet:
    flags, code = reader.uint8(), reader.uint8()
    values = reader.properties() if version == Version.V5 else {}
    return packets.ConnAck(code, bool(flags & 1), values)


def _ack_decoder(kind: type[packets.PubAck]) -> Callable[[Reader, Version], Packet]:
    def decode_ack(reader: Reader, version: Version) -> Packet:
        return kind(reader.packet_id(), *_reason_and_properties(reader, version))

    return decode_ack


def _reason_and_properties(reader: Reader, version: Version) -> tuple[int, packets.Properties]:
    """Both may be left out, the properties alone too (MQTT 5 §3.4.2.1)."""
    if version != Version.V5:
        return 0, {}
    reason = reader.uint8() if reader.left else 0
    return reason, reader.properties() if reader.left else {}


def _decode_subscribe(reader: Reader, version: Version) -> Packet:
    packet_id = reader.packet_id()
    values = reader.properties() if version == Version.V5 else {}
    filters = []
    while reader.left:
        filters.append((reader.text(), reader.uint8()))
    if not filters or any(options & 3 == 3 for _, options in filters):
        raise MalformedPacket("SUBSCRIBE without filters or with QoS 3", Reason.PROTOCOL_ERROR)
    return packets.Subscribe(packet_id, tuple(filters), values)


def _decode_suback(reader: Reader, version: Version) -> Packet:
    packet_id = reader.packet_id()
    values = reader.properties() if version == Version.V5 else {}
    return packets.SubAck(packet_id, tuple(reader.rest()), values)


def _decode_unsubscribe(reader: Reader, version: Version) -> Packet:
    packet_id = reader.packet_id()
    values = reader.properties() if version == Version.V5 else {}
    filters = []
    while reader.left:
        filters.append(reader.text())
    if not filters:
        raise MalformedPacket("UNSUBSCRIBE without filters", Reason.PROTOCOL_ERROR)
    return packets.Unsubscribe(packet_id, tuple(filters), values)


def _decode_unsuback(reader: Reader, version: Version) -> Packet:
    packet_id = reader.packet_id()
    values = reader.properties() if version == Version.V5 else {}
    return packets.UnsubAck(packet_id, tuple(reader.rest()), values)


def _decode_pingreq(_: Reader, __: Version) -> Packet:
    return packets.PingReq()


def _decode_pingresp(_: Reader, __: Version) -> Packet:
    return packets.PingResp()


def _decode_disconnect(reader: Reader, version: Version) -> Packet:
    return packets.Disconnect(*_reason_and_properties(reader, version))


def _decode_auth(reader: Reader, version: Version) -> Packet:
    if version != Version.V5:
        raise MalformedPacket("packet type 15")
    return packets.Auth(*_reason_and_properties(reader, version))


_DECODERS: dict[int, Callable[[Reader, Version], Packet]] = {
    1: _decode_connect,
    2: _decode_connack,
    4: _ack_decoder(packets.PubAck),
    5: _ack_decoder(packets.PubRec),
    6: _ack_decoder(packets.PubRel),
    7: _ack_decoder(packets.PubComp),
    8: _decode_subscribe,
    9: _decode_suback,
    10: _decode_unsubscribe,
    11: _decode_unsuback,
    12: _decode_pingreq,
    13: _decode_pingresp,
    14: _decode_disconnect,
    15: _decode_auth,
}


# --- encoding ----------------------------------------------------------------------------------


def encode(packet: Packet, version: Version) -> bytes:
    """The packet's bytes. Text must be encodable and fit its length field."""
    first, body = _ENCODERS[type(packet)](packet, version)
    return bytes((first,)) + fields.varint(len(body)) + body


def _encode_publish(packet: packets.Publish, version: Version) -> tuple[int, bytes]:
    first = 0x30 | packet.dup << 3 | packet.qos << 1 | packet.retain
    packet_id = fields.uint16(packet.packet_id) if packet.qos else b""
    values = _properties(packet, version)
    return first, fields.text(packet.topic) + packet_id + values + packet.payload


def _encode_connect(packet: packets.Connect, _: Version) -> tuple[int, bytes]:
    will = packet.will
    flags = packet.clean << 1 | (packet.username is not None) << 7
    flags |= (packet.password is not None) << 6
    if will is not None:
        flags |= 4 | will.qos << 3 | will.retain << 5
    body = fields.binary(_PROTOCOL_NAME[packet.version]) + bytes((packet.version, flags))
    body += fields.uint16(packet.keep_alive_s) + _properties(packet, packet.version)
    body += fields.text(packet.client_id)
    if will is not None:
        body += _properties(will, packet.version)
        body += fields.text(will.topic) + fields.binary(will.payload)
    if packet.username is not None:
        body += fields.text(packet.username)
    if packet.password is not None:
        body += fields.binary(packet.password)
    return 0x10, body


def _encode_connack(packet: packets.ConnAck, version: Version) -> tuple[int, bytes]:
    return 0x20, bytes((packet.session_present, packet.code)) + _properties(packet, version)


def _ack_encoder(first: int) -> Callable[[packets.PubAck, Version], tuple[int, bytes]]:
    def encode_ack(packet: packets.PubAck, version: Version) -> tuple[int, bytes]:
        return first, fields.uint16(packet.packet_id) + _reason(packet, version)

    return encode_ack


def _encode_subscribe(packet: packets.Subscribe, version: Version) -> tuple[int, bytes]:
    filters = (fields.text(name) + bytes((options,)) for name, options in packet.filters)
    body = fields.uint16(packet.packet_id) + _properties(packet, version)
    return 0x82, body + b"".join(filters)


def _encode_suback(packet: packets.SubAck, version: Version) -> tuple[int, bytes]:
    body = fields.uint16(packet.packet_id) + _properties(packet, version)
    return 0x90, body + bytes(packet.codes)


def _encode_unsubscribe(packet: packets.Unsubscribe, version: Version) -> tuple[int, bytes]:
    body = fields.uint16(packet.packet_id) + _properties(packet, version)
    return 0xA2, body + b"".join(map(fields.text, packet.filters))


def _encode_unsuback(packet: packets.UnsubAck, version: Version) -> tuple[int, bytes]:
    body = fields.uint16(packet.packet_id) + _properties(packet, version)
    return 0xB0, body + bytes(packet.codes)


def _encode_disconnect(packet: packets.Disconnect, version: Version) -> tuple[int, bytes]:
    return 0xE0, _reason(packet, version)


def _properties(packet: Any, version: Version) -> bytes:
    return fields.properties(packet.properties) if version == Version.V5 else b""


def _reason(packet: Any, version: Version) -> bytes:
    """Nothing for plain success; else the reason and a property length, even if 0."""
    if version != Version.V5 or not (packet.reason or packet.properties):
        return b""
    return bytes((packet.reason,)) + fields.properties(packet.properties)


_ENCODERS: dict[type[Any], Callable[[Any, Version], tuple[int, bytes]]] = {
    packets.Connect: _encode_connect,
    packets.ConnAck: _encode_connack,
    packets.Publish: _encode_publish,
    packets.PubAck: _ack_encoder(0x40),
    packets.PubRec: _ack_encoder(0x50),
    packets.PubRel: _ack_encoder(0x62),
    packets.PubComp: _ack_encoder(0x70),
    packets.Subscribe: _encode_subscribe,
    packets.SubAck: _encode_suback,
    packets.Unsubscribe: _encode_unsubscribe,
    packets.UnsubAck: _encode_unsuback,
    packets.PingReq: lambda _, __: (0xC0, b""),
    packets.PingResp: lambda _, __: (0xD0, b""),
    packets.Disconnect: _encode_disconnect,
    packets.Auth: lambda packet, version: (0xF0, _reason(packet, version)),
}
