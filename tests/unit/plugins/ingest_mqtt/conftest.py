"""A listener without sockets, and a client that speaks packets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from appliance.extension.hookspecs import Context
from appliance.kernel.clock import wall_clock_ms
from appliance.kernel.events import Event
from appliance.testing.gate import FakeGate
from plugins.ingest_mqtt import MqttConfig, MqttListener
from plugins.ingest_mqtt import packets as p
from plugins.ingest_mqtt.codec import FrameReader, decode, encode
from plugins.ingest_mqtt.packets import Packet, Version


class Client:
    """One client; every wait for an answer is a wait until all tasks are idle."""

    def __init__(self, stream: trio.abc.Stream, version: Version) -> None:
        self.stream = stream
        self.version = version
        self.closed = False
        self._reader = FrameReader(1 << 20)

    async def send(self, *sent: Packet) -> list[Packet]:
        """Write packets in one chunk; the answer."""
        await self.stream.send_all(b"".join(encode(packet, self.version) for packet in sent))
        return await self.answer()

    async def answer(self) -> list[Packet]:
        """All that has come when nothing moves any more."""
        data = b""
        while not self.closed:
            with trio.move_on_after(0.001) as patience:
                chunk = await self.stream.receive_some()
                self.closed = not chunk
                data += chunk
            if patience.cancelled_caught:
                break
        return [decode(frame, self.version) for frame in self._reader.feed(data)]

    def telemetry(self, packet_id: int, body: str = "", qos: int = 1) -> Packet:
        """A publish of `{"n": packet_id}` or of another body."""
        payload = (body or f'{{"n":{packet_id}}}').encode()
        return p.Publish("v1/devices/me/telemetry", payload, qos, packet_id if qos else 0)

    async def subscribe(self, *filters: str, qos: int = 1) -> list[Packet]:
        """Subscribe with packet id 1000."""
        return await self.send(p.Subscribe(1000, tuple((name, qos) for name in filters)))


class Bench:
    """A listener in virtual time, its gate and what it told."""

    def __init__(self, nursery: trio.Nursery, config: MqttConfig) -> None:
        self.gate = FakeGate()
        self.events: list[Event] = []
        context = Context("edge", Path("."), wall_clock_ms, self.events.append)
        self.listener = MqttListener(config, context, self.gate)
        self.nursery = nursery

    def dial(self, version: Version = Version.V3_1_1) -> Client:
        """A connection on which nothing was sent yet."""
        ours, theirs = trio.testing.memory_stream_pair()
        self.nursery.start_soon(self.listener.serve_stream, theirs, "test:1")
        return Client(ours, version)

    async def connect(
        self, token: str = "T", version: Version = Version.V3_1_1, **properties: Any
    ) -> Client:
        """A client that has its CONNACK; the device is made if it is new."""
        if token not in self.gate.tokens:
            self.gate.add_device(token, name=f"Device {token}")
        client = self.dial(version)
        connect = p.Connect("c", token, version=version, **properties)
        assert await client.send(connect) == [p.ConnAck()]
        return client

    def told(self, kind: type[Event]) -> list[Event]:
        """Events of one class."""
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def run() -> Callable[..., None]:
    """Run a scenario `async (Bench) -> None` in virtual time."""

    def run_scenario(scenario: Callable[[Bench], Any], **config: Any) -> None:
        async def main() -> None:
            async with trio.open_nursery() as nursery:
                await scenario(Bench(nursery, MqttConfig(**config)))
                nursery.cancel_scope.cancel()

        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))

    return run_scenario
