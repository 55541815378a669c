"""Frames to and from the bytes of RequestMsg and ResponseMsg (spec/edge-protocol.md §2.3).

Pure. `EDGE` speaks as an edge (writes RequestMsg, reads ResponseMsg), `CLOUD` as a server. An
acknowledgement from an edge is an UPLINK with field 4; a ResponseMsg has exactly one body.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from appliance.model.errors import Permanent
from appliance.sync.messages import (
    Ack,
    Batch,
    Connect,
    Connected,
    EdgeUpdate,
    Frame,
    SyncRequest,
)
from appliance.sync.protobuf import MalformedWire, delimited, fields, number_field, signed_32, text
from plugins.transport_grpc.batches import DOWNLINK, UPLINK
from plugins.transport_grpc.checked import parse
from plugins.transport_grpc.generated import edge as proto
from plugins.transport_grpc.items import configuration_message, configuration_of

# --- small bodies ------------------------------------------------------------------------------


def _encode_ack(ack: Ack) -> bytes:
    parts = [number_field(1, 1)] if ack.success else []
    if ack.error:
        parts.append(delimited(2, ack.error.encode("utf-8", "replace")))
    if ack.id:
        parts.append(number_field(3, ack.id))
    return b"".join(parts)


def _decode_ack(body: bytes) -> Ack:
    found = {number: value for number, _kind, value, _raw in fields(body)}
    number, success = found.get(3, 0), found.get(1, 0)
    if not isinstance(number, int) or not isinstance(success, int):
        raise MalformedWire("an acknowledgement without a number")
    return Ack(signed_32(number), success != 0, text(found.get(2, b"")))


def _encode_connect(frame: Connect) -> bytes:
    return bytes(
        proto.ConnectRequestMsg(
            edge_routing_key=frame.routing_key,
            edge_secret=frame.secret,
            edge_version=proto.EdgeVersion(frame.version),
            max_inbound_message_size=frame.max_inbound_bytes,
        )
    )


def _decode_connect(body: bytes) -> Connect:
    message = parse(proto.ConnectRequestMsg, body)
    return Connect(
        routing_key=message.edge_routing_key,
        secret=message.edge_secret,
        version=int(message.edge_version),
        max_inbound_bytes=message.max_inbound_message_size,
    )


def _encode_connected(frame: Connected) -> bytes:
    configuration = frame.configuration
    return bytes(
        proto.ConnectResponseMsg(
            response_code=proto.ConnectResponseCode(frame.code),
            error_msg=frame.error,
            configuration=configuration_message(configuration) if configuration else None,
            max_inbound_message_size=frame.max_inbound_bytes,
        )
    )


def _decode_connected(body: bytes) -> Connected:
    message = parse(proto.ConnectResponseMsg, body)
    configuration = message.configuration
    return Connected(
        code=int(message.response_code),
        error=message.error_msg,
        configuration=configuration_of(configuration) if configuration is not None else None,
        max_inbound_bytes=message.max_inbound_message_size,
    )


def _encode_edge_update(frame: EdgeUpdate) -> bytes:
    return bytes(proto.EdgeUpdateMsg(configuration=configuration_message(frame.configuration)))


def _decode_edge_update(body: bytes) -> EdgeUpdate:
    message = parse(proto.EdgeUpdateMsg, body)
    return EdgeUpdate(configuration_of(message.configuration or proto.EdgeConfiguration()))


def _encode_sync(frame: SyncRequest) -> bytes:
    required = number_field(1, 1) if frame.required else b""
    return required + number_field(2, int(frame.full or False))


def _decode_sync(body: bytes) -> SyncRequest:
    return SyncRequest(bool(parse(proto.SyncRequestMsg, body).full_sync))


# --- envelope ----------------------------------------------------------------------------------

_CONNECT, _UPLINK, _SYNC = range(3)

_Encode = Callable[[Any], bytes]
_FROM_EDGE: dict[type, tuple[int, int, _Encode]] = {  # (msgType, field number, encoder)
    Connect: (_CONNECT, 2, _encode_connect),
    Batch: (_UPLINK, 3, UPLINK.encode),
    Ack: (_UPLINK, 4, _encode_ack),
    SyncRequest: (_SYNC, 5, _encode_sync),
}
_FROM_CLOUD: dict[type, tuple[int, _Encode]] = {
    Connected: (1, _encode_connected),
    Ack: (2, _encode_ack),
    Batch: (3, DOWNLINK.encode),
    EdgeUpdate: (4, _encode_edge_update),
}
# In the order in which a real edge looks for its one body.
_TO_EDGE: dict[int, Callable[[bytes], Frame]] = {
    1: _decode_connected,
    4: _decode_edge_update,
    2: _decode_ack,
    3: DOWNLINK.decode,
}


class EdgeCodec:
    """What an edge writes and reads."""

    def encode(self, frame: Frame) -> bytes:
        """A RequestMsg. Raises Permanent for what an edge does not say."""
        kind, number, encode = _rule(_FROM_EDGE, frame)
        head = number_field(1, kind) if kind else b""
        if isinstance(frame, SyncRequest) and frame.full is None:
            return head
        return head + delimited(number, encode(frame))

    def decode(self, data: bytes) -> list[Frame]:
        """The frames of a ResponseMsg, normally one. Raises MalformedWire."""
        bodies, _numbers = _parts(data)
        return [decode(bodies[number]) for number, decode in _TO_EDGE.items() if number in bodies]

    def size(self, frame: Frame) -> int:
        """Bytes of the frame's inner message. Raises Permanent as `encode` does."""
        return len(_rule(_FROM_EDGE, frame)[-1](frame))


class CloudCodec:
    """What a server writes and reads."""

    def encode(self, frame: Frame) -> bytes:
        """A ResponseMsg with one body. Raises Permanent for what a server does not say."""
        number, encode = _rule(_FROM_CLOUD, frame)
        return delimited(number, encode(frame))

    def decode(self, data: bytes) -> list[Frame]:
        """The frames of a RequestMsg: none if its type and body do not match, as on a real
        server (§11.1), two for an uplink with an acknowledgement. Raises MalformedWire."""
        return list(self._frames(*_parts(data)))

    def _frames(self, bodies: dict[int, bytes], numbers: dict[int, int]) -> Iterator[Frame]:
        kind = signed_32(numbers.get(1, _CONNECT))
        if kind == _CONNECT and 2 in bodies:
            yield _decode_connect(bodies[2])
        elif kind == _UPLINK:
            if 3 in bodies:
                yield UPLINK.decode(bodies[3])
            if 4 in bodies:
                yield _decode_ack(bodies[4])
        elif kind == _SYNC:
            yield _decode_sync(bodies[5]) if 5 in bodies else SyncRequest(None)

    def size(self, frame: Frame) -> int:
        """Bytes of the frame's inner message. Raises Permanent as `encode` does."""
        return len(_rule(_FROM_CLOUD, frame)[-1](frame))


def _rule(rules: dict[type, Any], frame: Frame) -> Any:
    try:
        return rules[type(frame)]
    except KeyError:
        raise Permanent(f"this side never sends a {type(frame).__name__}") from None


def _parts(data: bytes) -> tuple[dict[int, bytes], dict[int, int]]:
    """(length-delimited fields, numbers) by field number; of a repeated one the last counts."""
    bodies: dict[int, bytes] = {}
    numbers: dict[int, int] = {}
    for number, _kind, value, _raw in fields(data):
        if isinstance(value, int):
            numbers[number] = value
        else:
            bodies[number] = value
    return bodies, numbers


Codec = EdgeCodec | CloudCodec
EDGE = EdgeCodec()
CLOUD = CloudCodec()
