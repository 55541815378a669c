"""MQTT clients nobody here wrote, over real sockets: Eclipse Paho and mosquitto_pub."""

from __future__ import annotations

import json
import os
import queue
import shutil
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
import trio
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from appliance.extension.hookspecs import Context
from appliance.kernel.clock import wall_clock_ms
from appliance.kernel.events import ignore
from appliance.model.errors import Retryable
from appliance.testing.gate import FakeGate
from plugins.ingest_mqtt import MqttConfig, MqttListener
from tests.kit.certificates import Certificates

ME = "v1/devices/me"
TIMEOUT_S = 20
VERSIONS = pytest.mark.parametrize(
    "version",
    [MQTTProtocolVersion.MQTTv31, MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5],
)


@asynccontextmanager
async def _listening(gate: FakeGate, **config: Any) -> AsyncIterator[MqttListener]:
    context = Context("edge", Path("."), wall_clock_ms, ignore)
    listener = MqttListener(MqttConfig(host="127.0.0.1", port=0, **config), context, gate)
    async with trio.open_nursery() as nursery:
        await nursery.start(listener.run)
        yield listener
        nursery.cancel_scope.cancel()


async def _in_thread(blocking: Callable[..., Any], *arguments: Any) -> Any:
    with trio.fail_after(3 * TIMEOUT_S):
        return await trio.to_thread.run_sync(blocking, *arguments, abandon_on_cancel=True)


class PahoDevice:
    """A paho client in its own network thread, with blocking calls."""

    def __init__(self, version: MQTTProtocolVersion, token: str, **options: Any) -> None:
        self.received: queue.Queue[tuple[str, Any]] = queue.Queue()
        self.closed: queue.Queue[Any] = queue.Queue()
        self._connected: queue.Queue[Any] = queue.Queue()
        self._subscribed: queue.Queue[list[Any]] = queue.Queue()
        self.client = paho.Client(CallbackAPIVersion.VERSION2, protocol=version, **options)
        self.client.username_pw_set(token)
        self.client.on_connect = lambda *a: self._connected.put(a[3])
        self.client.on_subscribe = lambda *a: self._subscribed.put(a[3])
        self.client.on_disconnect = lambda *a: self.closed.put(a[3])
        self.client.on_message = lambda c, u, m: self.received.put((m.topic, json.loads(m.payload)))

    def connect(self, port: int) -> Any:
        """Connect and start the thread; the reason code of CONNACK."""
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        return self._connected.get(timeout=TIMEOUT_S)

    def subscribe(self, *topics: str) -> list[Any]:
        """The reason codes of SUBACK."""
        self.client.subscribe([(topic, 1) for topic in topics])
        return self._subscribed.get(timeout=TIMEOUT_S)

    def publish(self, topic: str, body: Any, qos: int = 1) -> None:
        """Publish and wait for the last acknowledgement."""
        self.client.publish(topic, json.dumps(body), qos).wait_for_publish(TIMEOUT_S)

    def next(self) -> tuple[str, Any]:
        """The next message received: (topic, body)."""
        return self.received.get(timeout=TIMEOUT_S)

    def stop(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def _send_all_ways(device: PahoDevice, port: int) -> None:
    assert not device.connect(port).is_failure
    for qos in (0, 1, 2):
        device.publish(f"{ME}/telemetry", {"qos": qos, "t": 21.5}, qos)
    device.publish("v2/a", {"fw": "1.0"})
    device.stop()


@VERSIONS
async def test_paho_sends_telemetry_and_attributes_in_every_quality(
    version: MQTTProtocolVersion,
) -> None:
    gate = FakeGate()
    gate.add_device("T")
    async with _listening(gate) as listener:
        await _in_thread(_send_all_ways, PahoDevice(version, "T", client_id="x"), listener.ports[0])
    assert [values["qos"] for _, _, values in gate.telemetry] == [0, 1, 2]
    assert gate.client["T"] == {"fw": 1.0}


def _converse(device: PahoDevice, port: int, push: Callable[[], Any]) -> None:
    assert not device.connect(port).is_failure
    names = ("attributes", "attributes/response/+", "rpc/request/+", "rpc/response/+")
    codes = device.subscribe(*(f"{ME}/{name}" for name in names))
    assert [code.value for code in codes] == [1, 1, 1, 1]
    device.publish(f"{ME}/rpc/request/1", {"method": "getSessionLimits", "params": {}})
    topic, limits = device.next()
    assert topic == f"{ME}/rpc/response/1"
    assert limits["maxPayloadSize"] == 65536
    device.publish(f"{ME}/attributes/request/2", {"sharedKeys": "mode"})
    assert device.next() == (f"{ME}/attributes/response/2", {"shared": {"mode": "auto"}})
    push()
    assert device.next() == (f"{ME}/attributes", {"mode": "manual"})
    assert device.next() == (f"{ME}/rpc/request/7", {"method": "open", "params": [1]})
    device.publish(f"{ME}/rpc/response/7", {"done": True})
    device.stop()


@VERSIONS
async def test_paho_converses_both_ways(version: MQTTProtocolVersion) -> None:
    gate = FakeGate()
    gate.add_device("T")
    gate.shared["T"]["mode"] = "auto"

    def push() -> None:
        gate.push_attributes("T", {"mode": "manual"})
        assert gate.push_rpc("T", 7, "open", [1])

    async with _listening(gate) as listener:
        device = PahoDevice(version, "T", client_id="x")
        to_us = trio.lowlevel.current_trio_token()
        push_here = lambda: trio.from_thread.run_sync(push, trio_token=to_us)  # noqa: E731 # one line
        await _in_thread(_converse, device, listener.ports[0], push_here)
        assert gate.rpc_replies == [("T", 7, {"done": True})]
        assert gate.rpc_deliveries == [("T", 7)]


def _be_refused(device: PahoDevice, port: int) -> Any:
    refused = device.connect(port)
    device.stop()
    return refused


@VERSIONS
async def test_paho_is_refused_an_unknown_token(version: MQTTProtocolVersion) -> None:
    async with _listening(FakeGate()) as listener:
        device = PahoDevice(version, "NOPE", client_id="x")
        refused = await _in_thread(_be_refused, device, listener.ports[0])
    assert refused.is_failure


def _send_while_turned_away(device: PahoDevice, port: int) -> None:
    assert not device.connect(port).is_failure
    pending = [device.client.publish("v2/t", json.dumps({"n": n}), 1) for n in range(50)]
    for message in pending:
        message.wait_for_publish(TIMEOUT_S)
    device.stop()


@VERSIONS
async def test_paho_sends_again_by_itself_what_it_was_not_acknowledged(
    version: MQTTProtocolVersion,
) -> None:
    gate = FakeGate()
    gate.add_device("T")
    gate.failures = [Retryable("full", retry_after_s=0.1)] * 6
    clean = {} if version == MQTTProtocolVersion.MQTTv5 else {"clean_session": False}
    async with _listening(gate, hold_s_max=0.15) as listener:
        device = PahoDevice(version, "T", client_id="x", **clean)
        device.client.reconnect_delay_set(1, 1)
        await _in_thread(_send_while_turned_away, device, listener.ports[0])
    assert not gate.failures
    assert {values["n"] for _, _, values in gate.telemetry} == set(range(50))


async def test_paho_of_version_5_learns_that_it_was_taken_over() -> None:
    gate = FakeGate()
    gate.add_device("T")
    first, second = (PahoDevice(MQTTProtocolVersion.MQTTv5, "T", client_id=n) for n in "ab")
    async with _listening(gate) as listener:
        await _in_thread(first.connect, listener.ports[0])
        first.client.reconnect_delay_set(TIMEOUT_S, TIMEOUT_S)
        await _in_thread(second.connect, listener.ports[0])
        assert (await _in_thread(first.closed.get)).value == 0x8E
        await _in_thread(second.stop)
        await _in_thread(first.stop)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"), "127.0.0.1")


async def test_paho_speaks_over_tls(certificates: Certificates) -> None:
    gate = FakeGate()
    gate.add_device("T")
    files = {
        "tls_cert_file": str(certificates.certificate),
        "tls_key_file": str(certificates.key),
    }
    async with _listening(gate, tls_port=0, **files) as listener:
        device = PahoDevice(MQTTProtocolVersion.MQTTv5, "T", client_id="x")
        device.client.tls_set(str(certificates.ca), tls_version=ssl.PROTOCOL_TLS_CLIENT)
        await _in_thread(_send_all_ways, device, listener.ports[1])
        plain = PahoDevice(MQTTProtocolVersion.MQTTv311, "T", client_id="x")
        await _in_thread(_send_all_ways, plain, listener.ports[0])
    assert len(gate.telemetry) == 6


@pytest.mark.skipif(
    not shutil.which("mosquitto_pub") and "CI" not in os.environ,
    reason="mosquitto_pub is not installed (package mosquitto-clients)",
)
@pytest.mark.parametrize("version", ["mqttv31", "mqttv311", "mqttv5"])
@pytest.mark.parametrize("qos", ["0", "1", "2"])
async def test_mosquitto_pub_delivers(version: str, qos: str) -> None:
    gate = FakeGate()
    gate.add_device("T")
    async with _listening(gate) as listener:
        command = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(listener.ports[0]), "-u", "T"]
        command += ["-V", version, "-q", qos, "-t", f"{ME}/telemetry", "-l"]
        lines = b"".join(b'{"n":%d}\n' % n for n in range(20))
        with trio.fail_after(TIMEOUT_S):
            await trio.run_process(command, stdin=lines)
            while len(gate.disconnects) < 1:
                await trio.sleep(0.01)
    assert [values["n"] for _, _, values in gate.telemetry] == list(range(20))
