"""How many QoS 1 publishes a second the MQTT listener takes, alone on one core.

Run: python -m tests.bench.mqtt_figures. The gate accepts at once, so that codec, typing, session
and driver are what is measured; the load comes from a process of its own with raw sockets.
"""

from __future__ import annotations

import selectors
import socket
import sys
import time
from pathlib import Path

import trio

from appliance.extension.hookspecs import Context
from appliance.kernel.clock import wall_clock_ms
from appliance.kernel.events import ignore
from appliance.testing.gate import FakeGate, Posts
from plugins.ingest_mqtt import MqttConfig, MqttListener
from plugins.ingest_mqtt.codec import encode
from plugins.ingest_mqtt.packets import Connect, Publish, Version

BODY = b'{"temperature":21.5,"humidity":40,"ok":true,"state":"running","pressure":1013.25}'
ROUNDS = ((10, 20_000, 100), (100, 1000, 20), (100, 400, 1))
"""(devices, messages of each, messages of each in flight)."""


class QuickGate(FakeGate):
    """Takes telemetry and forgets it."""

    async def post_telemetry(self, posts: Posts) -> None:
        """One checkpoint, as any gate has at least."""
        await trio.lowlevel.checkpoint()


def load(port: int, devices: int, messages: int, window: int) -> None:
    """Send from many sockets; print what the devices see."""
    publish = encode(Publish("v1/devices/me/telemetry", BODY, 1, 1), Version.V3_1_1) * window
    selector = selectors.DefaultSelector()
    sockets = [_connect(port, f"T{index}") for index in range(devices)]
    left = dict.fromkeys(sockets, messages // window)
    seen = dict.fromkeys(sockets, 0)
    start = time.perf_counter()
    for one in sockets:
        selector.register(one, selectors.EVENT_READ)
        one.sendall(publish)
    while left:
        for key, _ in selector.select():
            one = key.fileobj
            assert isinstance(one, socket.socket)
            seen[one] += len(one.recv(65536))
            if seen[one] < 4 * window:
                continue
            seen[one] -= 4 * window
            left[one] -= 1
            if left[one]:
                one.sendall(publish)
            else:
                selector.unregister(one)
                del left[one]
    rate = devices * messages / (time.perf_counter() - start)
    print(f"{devices:4} devices, {window:3} in flight: {rate:8,.0f} messages/s", end="")


def _connect(port: int, token: str) -> socket.socket:
    one = socket.create_connection(("127.0.0.1", port))
    one.sendall(encode(Connect(token, token), Version.V3_1_1))
    assert one.recv(4) == b"\x20\x02\x00\x00"
    return one


async def main() -> None:
    """Serve and start one load after the other."""
    gate = QuickGate()
    for index in range(max(devices for devices, _, _ in ROUNDS)):
        gate.add_device(f"T{index}")
    context = Context("edge", Path("."), wall_clock_ms, ignore)
    listener = MqttListener(MqttConfig(host="127.0.0.1", port=0), context, gate)
    async with trio.open_nursery() as nursery:
        await nursery.start(listener.run)
        for devices, messages, window in ROUNDS:
            cpu = time.process_time()
            numbers = map(str, (listener.ports[0], devices, messages, window))
            await trio.run_process([sys.executable, "-m", "tests.bench.mqtt_figures", *numbers])
            cpu_us = (time.process_time() - cpu) / (devices * messages) * 1e6
            print(f", {cpu_us:5.1f} µs of CPU each", flush=True)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        load(*map(int, sys.argv[1:]))
    else:
        trio.run(main)
