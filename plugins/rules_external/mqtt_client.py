"""A publisher: as much of an MQTT client as a rule node needs.

One connection, opened at the first message and again after any fault; one message at a time, each
acknowledged (QoS 1) before the next. Keep-alive is off: a dead link shows itself when an
acknowledgement does not come within `ACK_TIMEOUT_S`. Versions 3.1, 3.1.1 and 5.
"""

from __future__ import annotations

import ssl
import struct
from collections.abc import Callable

import msgspec
import trio

from plugins.rules_external.clients import reason_of

ACK_TIMEOUT_S = 10.0
PACKET_BYTES_MAX = 65_536
"""Largest packet taken from a broker; acknowledgements have a few bytes."""
LEVELS = {"MQTT_3_1": (b"MQIsdp", 3), "MQTT_3_1_1": (b"MQTT", 4), "MQTT_5": (b"MQTT", 5)}
CONNACK, PUBACK = 0x20, 0x40


class PublishFailed(Exception):
    """The message was not acknowledged: the text says why."""


class Broker(msgspec.Struct, frozen=True):
    """Where and as whom to connect. tls: makes the context, or None for a plain connection."""

    host: str
    port: int
    version: str
    client_id: str
    clean: bool
    connect_timeout_s: float
    username: str | None = None
    password: str | None = None
    tls: Callable[[], ssl.SSLContext] | None = None


class Publisher:
    """Publishes with QoS 1 over one connection."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._stream: trio.abc.Stream | None = None
        self._lock = trio.Lock()
        self._packet_id = 0

    async def publish(self, topic: str, payload: bytes, *, retain: bool) -> None:
        """Return when the broker has it. Raises PublishFailed. Cancelled: the link is closed."""
        async with self._lock:
            fresh = self._stream is None
            try:
                await self._publish(topic, payload, retain)
            except PublishFailed:
                if fresh:
                    raise
                await self._publish(topic, payload, retain)  # the old connection had died

    async def _publish(self, topic: str, payload: bytes, retain: bool) -> None:
        done = False
        try:
            stream = self._stream or await self._connect()
            with trio.fail_after(ACK_TIMEOUT_S):
                await self._send_and_wait(stream, topic, payload, retain)
            done = True
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise PublishFailed(f"{self._broker.host}: {reason_of(error)}") from None
        except trio.TooSlowError:
            raise PublishFailed(f"no acknowledgement within {ACK_TIMEOUT_S:g} s") from None
        finally:
            if not done:
                self.close()

    def close(self) -> None:
        """Drop the connection at once."""
        stream, self._stream = self._stream, None
        if isinstance(stream, trio.SSLStream):
            stream = stream.transport_stream
        if isinstance(stream, trio.SocketStream):
            stream.socket.close()

    async def _connect(self) -> trio.abc.Stream:
        broker = self._broker
        with trio.fail_after(broker.connect_timeout_s):
            stream: trio.abc.Stream
            if broker.tls is None:
                stream = await trio.open_tcp_stream(broker.host, broker.port)
            else:
                stream = await trio.open_ssl_over_tcp_stream(
                    broker.host, broker.port, ssl_context=broker.tls()
                )
            self._stream = stream
            await stream.send_all(_connect_packet(broker))
            kind, body = await _read_packet(stream)
        if kind != CONNACK or len(body) < 2 or body[1] != 0:
            code = body[1] if len(body) > 1 else "?"
            raise PublishFailed(f"{broker.host} refused the connection (code {code})")
        return stream

    async def _send_and_wait(
        self, stream: trio.abc.Stream, topic: str, payload: bytes, retain: bool
    ) -> None:
        self._packet_id = self._packet_id % 65_535 + 1
        body = _text(topic.encode()) + struct.pack("!H", self._packet_id)
        if self._broker.version == "MQTT_5":
            body += b"\x00"
        await stream.send_all(_packet(0x32 | int(retain), body + payload))
        while True:
            kind, answer = await _read_packet(stream)
            if kind == PUBACK and answer[:2] == struct.pack("!H", self._packet_id):
                if len(answer) > 2 and answer[2] >= 0x80:
                    raise PublishFailed(f"the broker refused the message (code {answer[2]})")
                return


def _connect_packet(broker: Broker) -> bytes:
    name, level = LEVELS[broker.version]
    flags = 0x02 if broker.clean else 0
    payload = _text(broker.client_id.encode())
    if broker.username is not None:
        flags |= 0x80
        payload += _text(broker.username.encode())
        if broker.password is not None:
            flags |= 0x40
            payload += _text(broker.password.encode())
    properties = b"\x00" if level == 5 else b""
    head = _text(name) + bytes((level, flags)) + struct.pack("!H", 0) + properties
    return _packet(0x10, head + payload)


def _packet(kind: int, body: bytes) -> bytes:
    length, size = bytearray(), len(body)
    while True:
        size, digit = divmod(size, 128)
        length.append(digit | 0x80 if size else digit)
        if not size:
            return bytes((kind,)) + bytes(length) + body


def _text(data: bytes) -> bytes:
    return struct.pack("!H", len(data)) + data


async def _read_packet(stream: trio.abc.Stream) -> tuple[int, bytes]:
    kind = (await _exactly(stream, 1))[0] & 0xF0
    size = shift = 0
    while True:
        digit = (await _exactly(stream, 1))[0]
        size |= (digit & 0x7F) << shift
        shift += 7
        if not digit & 0x80:
            break
    if size > PACKET_BYTES_MAX:
        raise PublishFailed("the broker sent a packet that is too large")
    return kind, await _exactly(stream, size)


async def _exactly(stream: trio.abc.Stream, count: int) -> bytes:
    data = b""
    while len(data) < count:
        chunk = await stream.receive_some(count - len(data))
        if not chunk:
            raise PublishFailed("the broker closed the connection")
        data += chunk
    return data
