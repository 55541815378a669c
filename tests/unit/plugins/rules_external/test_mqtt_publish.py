"""The MQTT publisher, against a broker on a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from plugins.rules_external.mqtt_client import Broker, Publisher, PublishFailed


class FakeBroker:
    """Acknowledges; keeps CONNECT and PUBLISH packets; can hang up after a number of messages."""

    def __init__(self, *, refuse: int = 0, hang_up_after: int | None = None) -> None:
        self.connects: list[bytes] = []
        self.published: list[bytes] = []
        self._refuse = refuse
        self._hang_up_after = hang_up_after

    async def __call__(self, stream: trio.abc.Stream) -> None:
        self.connects.append((await _packet(stream))[1])
        await stream.send_all(bytes((0x20, 2, 0, self._refuse)))
        count = 0
        while True:
            if self._hang_up_after is not None and count >= self._hang_up_after:
                return
            kind, body = await _packet(stream)
            if not kind:
                return
            self.published.append(bytes((kind,)) + body)
            count += 1
            size = int.from_bytes(body[:2], "big")
            await stream.send_all(b"\x40\x02" + body[2 + size : 4 + size])


async def _packet(stream: trio.abc.Stream) -> tuple[int, bytes]:
    head = await stream.receive_some(1)
    if not head:
        return 0, b""
    size = shift = 0
    while True:
        digit = (await stream.receive_some(1))[0]
        size |= (digit & 0x7F) << shift
        shift += 7
        if not digit & 0x80:
            break
    body = b""
    while len(body) < size:
        body += await stream.receive_some(size - len(body))
    return head[0], body


@asynccontextmanager
async def serving(broker: FakeBroker) -> AsyncIterator[int]:
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, broker, 0)
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


def broker_at(port: int, version: str = "MQTT_3_1_1", username: str | None = None) -> Broker:
    return Broker("localhost", port, version, "me", True, 2.0, username, username)


async def test_messages_share_one_connection_and_are_acknowledged() -> None:
    broker = FakeBroker()
    async with serving(broker) as port:
        publisher = Publisher(broker_at(port, username="u"))
        await publisher.publish("a/b", b"1" * 300, retain=False)
        await publisher.publish("c", b"2", retain=True)
        publisher.close()
    assert broker.connects == [b"\x00\x04MQTT\x04\xc2\x00\x00\x00\x02me\x00\x01u\x00\x01u"]
    assert broker.published == [b"2\x00\x03a/b\x00\x01" + b"1" * 300, b"3\x00\x01c\x00\x022"]


async def test_version_5_has_its_empty_properties() -> None:
    broker = FakeBroker()
    async with serving(broker) as port:
        publisher = Publisher(broker_at(port, "MQTT_5"))
        await publisher.publish("t", b"x", retain=False)
        publisher.close()
    assert broker.connects == [b"\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x02me"]
    assert broker.published == [b"2\x00\x01t\x00\x01\x00x"]


async def test_a_dead_connection_is_made_anew_for_the_next_message() -> None:
    broker = FakeBroker(hang_up_after=1)
    async with serving(broker) as port:
        publisher = Publisher(broker_at(port))
        for number in range(3):
            await publisher.publish("t", b"%d" % number, retain=False)
        publisher.close()
    assert [packet[-1:] for packet in broker.published] == [b"0", b"1", b"2"]
    assert len(broker.connects) == 3


async def test_a_refusal_fails_the_message_with_the_reason() -> None:
    broker = FakeBroker(refuse=5)
    async with serving(broker) as port:
        with pytest.raises(PublishFailed, match=r"refused the connection \(code 5\)"):
            await Publisher(broker_at(port)).publish("t", b"x", retain=False)


async def test_nobody_there_fails_the_message() -> None:
    with pytest.raises(PublishFailed, match="localhost"):
        await Publisher(broker_at(9)).publish("t", b"x", retain=False)
