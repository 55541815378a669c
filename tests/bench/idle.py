"""A quiet site: how long a value takes to the cloud, and a request to a device and back."""

from __future__ import annotations

import json
import socket
import statistics
import time

import trio

from appliance.demo.mqtt import connect_packet
from tests.bench.ground import Figures, Size, ground, way_ms
from tests.bench.load import token

PER_S = 10


async def latency(size: Size) -> Figures:
    """Ten messages a second from fifty devices."""
    async with ground() as here:
        load = await here.load("mqtt", PER_S, size.idle_s)
        await here.stop()
        p50, p99 = way_ms(here.site.folder / "cloud", load["began_ms"])
    return {
        "idle_ack_p50_ms": load["p50_ms"],
        "idle_end_p50_ms": p50,
        "idle_end_p99_ms": p99,
    }


async def rpc(size: Size) -> Figures:
    """REST on the cloud → edge → MQTT device → edge → cloud → REST, one after the other."""
    async with ground() as here:
        await trio.sleep(0.2)
        taken = []
        async with trio.open_nursery() as nursery:
            await nursery.start(_answer, here.site.mqtt_port)
            path = f"/api/rpc/twoway/{here.devices[0].id}"
            for number in range(size.calls):
                body = {"method": "read", "params": {"n": number}, "timeout": 5000}
                began = time.perf_counter()
                answer = await here.site.cloud.http.json("POST", path, body)
                taken.append((time.perf_counter() - began) * 1000)
                assert answer == {"value": 21.5}, answer
            nursery.cancel_scope.cancel()
    taken.sort()
    return {
        "rpc_p50_ms": statistics.median(taken),
        "rpc_p99_ms": taken[int(0.99 * (len(taken) - 1))],
    }


async def _answer(port: int, *, task_status: trio.TaskStatus[None]) -> None:
    """The first device, answering every request at once with QoS 0."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    topic = b"v1/devices/me/rpc/request/+"
    subscribe = b"\x00\x01" + len(topic).to_bytes(2, "big") + topic + b"\x00"
    await stream.send_all(connect_packet(token(0)))
    await stream.send_all(b"\x82" + bytes((len(subscribe),)) + subscribe)
    data = b""
    while len(data) < 4 + 5:  # CONNACK and SUBACK
        data += await stream.receive_some(100)
    task_status.started()
    data = data[9:]
    while True:
        while len(data) >= 2 and len(data) >= 2 + data[1]:
            packet, data = data[: 2 + data[1]], data[2 + data[1] :]
            size = int.from_bytes(packet[2:4], "big")
            number = packet[4 : 4 + size].rpartition(b"/")[2]
            answer = b"v1/devices/me/rpc/response/" + number
            body = len(answer).to_bytes(2, "big") + answer
            body += json.dumps({"value": 21.5}, separators=(",", ":")).encode()
            await stream.send_all(b"\x30" + bytes((len(body),)) + body)
        data += await stream.receive_some(4096)
