"""The smallest MQTT client that is still honest: connect with a token, publish with QoS 1.

MQTT 3.1.1, one publish at a time: `publish` returns when the PUBACK is here, so what it was given
is durable on the edge. Anything unexpected breaks the connection; the caller makes a new one and
publishes the same again, as a device does.
"""

from __future__ import annotations

import struct

import trio

TELEMETRY = "v1/devices/me/telemetry"
_CONNECT, _CONNACK, _PUBLISH_QOS_1, _PUBACK = 0x10, 0x20, 0x32, 0x40
_CLEAN_SESSION_WITH_USER_NAME = 0x82
ANSWER_S_MAX = 20.0
"""Longer than the edge holds a publish while its storage pushes back (`hold_s_max`)."""


class MqttDevice:
    """One connection of one device."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._packet_id = 0

    @classmethod
    async def connect(cls, port: int, token: str) -> MqttDevice:
        """Connect to the listener on this machine. Raises OSError, also when refused."""
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        device = cls(stream)
        try:
            await stream.send_all(connect_packet(token))
            answer = await device._receive(4)
            if answer != bytes((_CONNACK, 2, 0, 0)):
                raise OSError(f"refused: {answer.hex()}")
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return device

    async def publish(self, topic: str, body: bytes) -> None:
        """Return when it is acknowledged. Raises OSError when the connection broke."""
        self._packet_id = self._packet_id % 0xFFFF + 1
        try:
            await self._stream.send_all(publish_packet(topic, body, self._packet_id))
            answer = await self._receive(4)
        except trio.BrokenResourceError as error:
            raise OSError("the connection broke") from error
        if answer != struct.pack("!BBH", _PUBACK, 2, self._packet_id):
            raise OSError(f"unexpected answer: {answer.hex()}")

    async def aclose(self) -> None:
        """Hang up."""
        await self._stream.aclose()

    async def _receive(self, size: int) -> bytes:
        data = b""
        with trio.move_on_after(ANSWER_S_MAX):
            while len(data) < size:
                part = await self._stream.receive_some(size - len(data))
                if not part:
                    raise OSError("the listener closed the connection")
                data += part
            return data
        raise OSError(f"no answer within {ANSWER_S_MAX:g} s")


def connect_packet(token: str) -> bytes:
    """CONNECT with the token as user name, without keep-alive."""
    head = struct.pack("!6sBBH", b"\x00\x04MQTT", 4, _CLEAN_SESSION_WITH_USER_NAME, 0)
    return _packet(_CONNECT, head + _text("") + _text(token))


def publish_packet(topic: str, body: bytes, packet_id: int) -> bytes:
    """PUBLISH with QoS 1."""
    return _packet(_PUBLISH_QOS_1, _text(topic) + struct.pack("!H", packet_id) + body)


def _packet(kind: int, body: bytes) -> bytes:
    """Fixed header: kind and flags, then the length in groups of seven bits, low ones first."""
    length = bytearray()
    rest = len(body)
    while rest >= 0x80:
        length.append(rest & 0x7F | 0x80)
        rest >>= 7
    length.append(rest)
    return bytes((kind,)) + length + body


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("!H", len(encoded)) + encoded
