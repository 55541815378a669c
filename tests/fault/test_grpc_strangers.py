"""Strangers at a cloud's gRPC port: whatever they say, those who know how to behave are served.

Each stranger says its piece beside a link that stays open, then hangs up, is reset or waits to be
hung up on. None may end the link of another, stop the listener, or be told as an error of ours.
"""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import hpack
import pytest
import trio

from appliance.extension.ports import Link
from appliance.kernel.events import Event
from appliance.testing.transport import PATIENCE_S, receive, telemetry
from plugins.transport_grpc.config import GrpcConfig
from plugins.transport_grpc.events import RoomFailed
from plugins.transport_grpc.link import PATH
from plugins.transport_grpc.transport import GrpcTransport
from tests.kit.seed import SEED

pytestmark = pytest.mark.fault

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RESET, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_HEADERS = 4
CALL = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", PATH.encode()),
    (b":authority", b"cloud"),
    (b"content-type", b"application/grpc"),
]
Words = Callable[[random.Random], bytes]


def frame(kind: int, body: bytes = b"", *, stream: int = 0, flags: int = 0) -> bytes:
    return struct.pack(">I", len(body))[1:] + struct.pack(">BBI", kind, flags, stream) + body


def greeting(*frames: bytes) -> bytes:
    return PREFACE + frame(SETTINGS) + b"".join(frames)


def request(headers: list[tuple[bytes, bytes]], stream: int = 1) -> bytes:
    body = hpack.Encoder().encode(headers)
    return frame(HEADERS, body, stream=stream, flags=END_HEADERS)


def told(data: bytes) -> bytes:
    """A call that is begun as it should be, and then says this."""
    return greeting(request(CALL), frame(DATA, data, stream=1))


def changed(chance: random.Random) -> bytes:
    """A call with some bytes that are others."""
    words = bytearray(told(chance.randbytes(300)))
    for _ in range(chance.randrange(1, 20)):
        words[chance.randrange(len(words))] = chance.randrange(256)
    return bytes(words)


def calls_taken_back(_chance: random.Random) -> bytes:
    ids = range(1, 4000, 2)
    cancel = struct.pack(">I", 8)
    return greeting(*(request(CALL, id) + frame(RESET, cancel, stream=id) for id in ids))


def headers_without_end(_chance: random.Random) -> bytes:
    more = hpack.Encoder().encode([(b"more", b"x" * 90)])
    begun = frame(HEADERS, hpack.Encoder().encode(CALL), stream=1)
    return greeting(begun, frame(CONTINUATION, more, stream=1) * 2000)


def headers_that_grow(_chance: random.Random) -> bytes:
    coder = hpack.Encoder()
    large = coder.encode([*CALL, (b"large", b"x" * 3000)])
    return greeting(frame(HEADERS, large + b"\xbe" * 12_000, stream=1, flags=END_HEADERS))


STRANGERS: dict[str, Words] = {
    "says nothing": lambda _: b"",
    "speaks HTTP/1": lambda _: b"GET / HTTP/1.1\r\nhost: cloud\r\n\r\n",
    "speaks TLS": lambda chance: b"\x16\x03\x01\x02\x00" + chance.randbytes(512),
    "says noise": lambda chance: chance.randbytes(5000),
    "greets, then says noise": lambda chance: PREFACE + chance.randbytes(5000),
    "asks for no path": lambda _: greeting(request(CALL[:1])),
    "asks for another path": lambda _: greeting(request([*CALL[:2], (b":path", b"/")])),
    "sends headers that are no text": lambda _: greeting(request([*CALL, (b"x", b"\xff\xfe")])),
    "announces a huge message": lambda _: told(b"\x00\xff\xff\xff\xff"),
    "announces a huge frame": lambda _: greeting(
        b"\xff\xff\xff\x00\x00\x00\x00\x00\x01" + b"x" * 99
    ),
    "sends empty messages": lambda _: told(bytes(5) * 3000),
    "sends what is no message": lambda chance: told(b"\0\0\0\1\0" + chance.randbytes(256)),
    "sends a broken archive": lambda chance: told(b"\1\0\0\0\x10" + chance.randbytes(16)),
    "stops in the middle": lambda _: told(b"\0\0\0\0\x10abc"),
    "changes some bytes": changed,
    "opens many calls": lambda _: greeting(*(request(CALL, id) for id in range(1, 600, 2))),
    "takes each call back": calls_taken_back,
    "never ends its headers": headers_without_end,
    "lets its headers grow": headers_that_grow,
    "pings": lambda _: greeting(frame(PING, b"12345678") * 20_000),
    "sets nothing, often": lambda _: greeting(frame(SETTINGS) * 20_000),
    "sets anything": lambda chance: greeting(frame(SETTINGS, chance.randbytes(30))),
    "opens its window too far": lambda _: told(b"") + frame(WINDOW, b"\x7f\xff\xff\xff") * 3,
    "pushes": lambda _: told(b"") + frame(PUSH, b"\0\0\0\2\x82", stream=1, flags=END_HEADERS),
    "goes away": lambda _: told(b"") + frame(GOAWAY, bytes(8)),
    "depends on itself": lambda _: greeting(frame(PRIORITY, b"\0\0\0\1\3", stream=1)),
    "answers what nobody asked": lambda _: greeting(frame(DATA, b"abc", stream=5)),
}


@asynccontextmanager
async def a_port(events: list[Event]) -> AsyncIterator[tuple[int, trio.MemoryReceiveChannel[Link]]]:
    """A cloud's port, and the links that are opened there."""
    opened, links = trio.open_memory_channel[Link](4000)

    async def handle(link: Link) -> None:
        opened.send_nowait(link)
        await trio.sleep_forever()

    with trio.fail_after(PATIENCE_S * 2):
        async with trio.open_nursery() as nursery:
            yield await nursery.start(grpc(0, events).serve, handle), links
            nursery.cancel_scope.cancel()


def grpc(port: int, events: list[Event]) -> GrpcTransport:
    config = GrpcConfig(
        host="127.0.0.1", listen="127.0.0.1", port=port, keepalive_s=2.0, keepalive_wait_s=0.5
    )
    return GrpcTransport(config, events.append)


async def say(port: int, words: bytes, leave: str) -> None:
    """Connect and say it; then leave: at once, by a reset, or only when hung up on."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        try:
            with trio.move_on_after(5):
                await stream.send_all(words)
            with trio.move_on_after(0.05 if leave != "late" else 5):
                while await stream.receive_some(65_536):
                    pass
        except trio.BrokenResourceError:
            return
        if leave == "reset":
            linger_no_time = struct.pack("ii", 1, 0)
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_no_time)


@pytest.mark.parametrize("stranger", STRANGERS)
async def test_a_stranger_disturbs_nobody(stranger: str) -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    events: list[Event] = []
    async with a_port(events) as (port, links), grpc(port, events).connect() as client:
        server = await links.receive()
        async with trio.open_nursery() as nursery:
            for leave in ("at once", "reset", "late"):
                nursery.start_soon(say, port, STRANGERS[stranger](chance), leave)
        await client.send([telemetry(1)])
        assert await receive(server, 1) == [telemetry(1)]
        async with grpc(port, events).connect() as later:
            await later.send([telemetry(2)])
    assert not [event for event in events if isinstance(event, RoomFailed)]
