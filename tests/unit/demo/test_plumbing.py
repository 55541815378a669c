"""The demo's own MQTT, HTTP and wire against real sockets."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from appliance.demo.http import HttpClient
from appliance.demo.mqtt import MqttDevice, connect_packet, publish_packet
from appliance.demo.plant import Machine, Signal
from appliance.demo.site import Device, clean_environment
from appliance.demo.wire import Wire
from plugins.ingest_mqtt import packets as p
from plugins.ingest_mqtt.codec import FrameReader, decode
from plugins.ingest_mqtt.packets import Version

Handler = Callable[[trio.SocketStream], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[int]:
    """A port on which `handler` answers."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, handler, listeners)
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def echo(stream: trio.SocketStream) -> None:
    while data := await stream.receive_some():
        await stream.send_all(data)


@pytest.mark.parametrize("size", [0, 80, 127, 128, 20_000])
def test_packets_are_what_the_listener_reads(size):
    sent = connect_packet("TOKEN") + publish_packet("a/b", b"x" * size, 7)
    connect, publish = (decode(f, Version.V3_1_1) for f in FrameReader(1 << 20).feed(sent))

    assert isinstance(connect, p.Connect) and connect.username == "TOKEN"
    assert isinstance(publish, p.Publish)
    assert (publish.topic, publish.payload, publish.qos, publish.packet_id) == (
        "a/b",
        b"x" * size,
        1,
        7,
    )  # fmt: skip - the expected values on one line


async def test_publish_returns_only_after_its_puback():
    acknowledge = trio.Event()

    async def listener(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"\x20\x02\x00\x00")
        await stream.receive_some()
        await acknowledge.wait()
        await stream.send_all(b"\x40\x02\x00\x01")

    async with serving(listener) as port, trio.open_nursery() as nursery:
        device = await MqttDevice.connect(port, "T")
        nursery.start_soon(device.publish, "t", b"{}")
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert nursery.child_tasks
        acknowledge.set()
        while nursery.child_tasks:
            await trio.testing.wait_all_tasks_blocked()
        await device.aclose()


async def test_a_refused_connection_is_an_oserror():
    async def listener(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"\x20\x02\x00\x05")

    async with serving(listener) as port:
        with pytest.raises(OSError, match="refused"):
            await MqttDevice.connect(port, "T")


async def test_http_reads_answers_one_after_the_other_on_one_connection():
    connections = []

    async def server(stream: trio.SocketStream) -> None:
        connections.append(stream)
        number = 0
        while await stream.receive_some():
            number += 1
            body = b'{"n":%d}' % number
            await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body))
            await stream.send_all(body)

    async with serving(server) as port:
        client = HttpClient(port)
        answers = [await client.json("GET", "/") for _ in range(3)]
        await client.aclose()

    assert answers == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert len(connections) == 1


async def test_http_says_what_was_refused():
    async def server(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\nnope")

    async with serving(server) as port:
        client = HttpClient(port)
        with pytest.raises(OSError, match="404 nope"):
            await client.json("GET", "/x")
        await client.aclose()


async def test_a_get_on_a_connection_closed_meanwhile_is_repeated_and_a_post_is_not():
    async def server(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    async with serving(server) as port:
        client = HttpClient(port)
        assert await client.ask("POST", "/x") == (200, b"ok")
        with pytest.raises(OSError, match=r"closed|broken|peer|Broken"):
            await client.ask("POST", "/x")
        assert [await client.ask("GET", "/x") for _ in range(3)] == [(200, b"ok")] * 3
        await client.aclose()


async def test_the_wire_passes_until_it_is_cut_and_again_once_it_is_mended():
    async with serving(echo) as port, trio.open_nursery() as nursery:
        wire = Wire(port)
        await nursery.start(wire.run)
        async with await trio.open_tcp_stream("127.0.0.1", wire.port) as stream:
            await stream.send_all(b"a")
            assert await stream.receive_some() == b"a"
            await wire.cut()
            assert await ended(stream)
        async with await trio.open_tcp_stream("127.0.0.1", wire.port) as stream:
            assert await ended(stream)

        wire.mend()
        async with await trio.open_tcp_stream("127.0.0.1", wire.port) as stream:
            await stream.send_all(b"b")
            assert await stream.receive_some() == b"b"
        nursery.cancel_scope.cancel()


async def ended(stream: trio.SocketStream) -> bool:
    try:
        return await stream.receive_some() == b""
    except trio.BrokenResourceError:
        return True


async def test_a_machine_sends_again_what_was_not_acknowledged_and_books_it_once():
    bodies: list[bytes] = []
    hung_up: list[int] = []
    stop = trio.Event()

    class BreakingLine:
        async def send(self, body: bytes) -> None:
            bodies.append(body)
            if len(bodies) == 1:
                raise OSError("the connection broke")
            stop.set()

        async def aclose(self) -> None:
            hung_up.append(len(bodies))

    async def connect(device: Device) -> BreakingLine:
        return BreakingLine()

    machine = Machine(Device("id", "Pump 1", "pump-1"), connect, lambda: 1000, seed=1)
    await machine.run(0.0, 0.0, stop)

    assert bodies[0] == bodies[1]
    assert hung_up == [1, 2]
    assert (machine.book.sent, machine.book.acknowledged) == (1, 1)
    assert list(machine.book.settle()) == [1000]
    assert machine.book.settle() == {}


def test_times_of_a_machine_increase_though_the_clock_stands():
    machine = Machine(Device("id", "Pump 1", "pump-1"), None, lambda: 1000, seed=1)

    assert [machine._measure()[0] for _ in range(3)] == [1000, 1001, 1002]


def test_a_signal_stays_in_its_range_and_keeps_its_digits():
    signal = Signal(1.0, 2.0, 2, random.Random(3))
    values = [signal.read() for _ in range(2_000)]

    assert min(values) >= 1.0 and max(values) <= 2.0
    assert all(value == round(value, 2) for value in values)


def test_what_configures_an_installation_does_not_reach_the_demo():
    environ = {
        "PATH": "/bin",
        "CLOUD_ROUTING_KEY": "k",
        "APPLIANCE_WEB__PORT": "1",
        "MQTT_BIND_PORT": "2",
        "NOTIFY_SOCKET": "/run/x",
    }  # fmt: skip - an environment, not a tree

    assert set(clean_environment(environ)) == {"PATH", "PYINSTALLER_RESET_ENVIRONMENT"}
