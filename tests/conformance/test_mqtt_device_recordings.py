"""Every raw MQTT dialogue recorded from a real edge, replayed against our listener.

The bytes of the answer, whether the connection was closed, and what was kept must be the same;
JSON inside an answer is compared as JSON. Where we differ on purpose, `BETTER` says how and why.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from appliance.extension.hookspecs import Context
from appliance.kernel.clock import wall_clock_ms
from appliance.kernel.events import ignore
from appliance.testing.gate import FakeGate
from plugins.ingest_mqtt import MqttConfig, MqttListener
from plugins.ingest_mqtt.codec import FrameReader, decode
from plugins.ingest_mqtt.packets import Packet, Publish, Version

RECORDINGS = Path(__file__).parents[1] / "fixtures" / "traces" / "api" / "mqtt-device.json"
CASES = json.loads(RECORDINGS.read_text("utf-8"))
SHORTENED = re.compile(r"^(?P<start>[0-9a-f]+)… (?P<size>\d+) bytes$")
SHARED = {"mode": "auto"}

BETTER: dict[str, dict[int, str]] = {
    "telemetry qos 2": {0: "50020001"},  # the real QoS 2 handshake begins with PUBREC
    "telemetry: empty array": {0: "40020001"},  # acknowledged at once
}
"""name -> {index of the answer: our bytes}."""


def _sent(recorded: str) -> bytes:
    """The packet; a long one is recorded by its start and size and ends in x"} ."""
    match = SHORTENED.match(recorded)
    if match is None:
        return bytes.fromhex(recorded)
    start = bytes.fromhex(match["start"])
    return start + b"x" * (int(match["size"]) - len(start) - 2) + b'"}'


def _packets(data: bytes) -> list[Packet]:
    version = Version.V5 if data[:2] == b"\x20\x03" else Version.V3_1_1
    return [decode(frame, version) for frame in FrameReader(1 << 20).feed(data)]


def _comparable(data: bytes) -> list[Any]:
    """Bytes, but for publishes: their payload as JSON."""
    found: list[Any] = []
    for packet in _packets(data):
        if isinstance(packet, Publish):
            text = packet.payload.decode()
            body = json.loads(text) if text[:1] in "{[" else text
            found.append((packet.topic, packet.qos, packet.packet_id, body))
        else:
            found.append(packet)
    return found


def _tokens(case: Any) -> list[str]:
    """The access tokens that the recording shows to be good."""
    dialogue = [case["connect"]] if "connect" in case else []
    sent = "".join([*case["sent"], *(c["sent"] for c in dialogue)])
    return [bytes.fromhex(t).decode() for t in re.findall("53594e435f3[0-9a-f]{5}", sent)]


@asynccontextmanager
async def _listening(gate: FakeGate) -> AsyncIterator[int]:
    config = MqttConfig(host="127.0.0.1", port=0)
    context = Context("edge", Path("."), wall_clock_ms, ignore)
    listener = MqttListener(config, context, gate)
    async with trio.open_nursery() as nursery:
        await nursery.start(listener.run)
        yield listener.ports[0]
        nursery.cancel_scope.cancel()


async def _answer(stream: trio.SocketStream, expected: int) -> tuple[bytes, bool]:
    """(what came, whether the peer closed): waits long for what must come, briefly for more."""
    data, closed = b"", False
    while not closed:
        with trio.move_on_after(5 if len(data) < expected else 0.1) as patience:
            chunk = await stream.receive_some()
            data, closed = data + chunk, not chunk
        if patience.cancelled_caught:
            break
    return data, closed


async def _replay(case: Any, stream: trio.SocketStream) -> None:
    connect = case.get("connect")
    if connect:
        await stream.send_all(bytes.fromhex(connect["sent"]))
        data, closed = await _answer(stream, len(connect["answered"]) // 2)
        assert (data.hex(), closed) == (connect["answered"], connect["closed"])
    for index, (sent, answered) in enumerate(zip(case["sent"], case["answered"], strict=True)):
        await stream.send_all(_sent(sent))
        expected = bytes.fromhex(BETTER.get(case["name"], {}).get(index, answered["bytes"]))
        wanted = len(expected) + (1 if answered["closed"] else 0)
        data, closed = await _answer(stream, wanted)
        if data != expected:
            assert _comparable(data) == _comparable(expected)
        assert closed == answered["closed"]


def _gate(case: Any) -> FakeGate:
    gate = FakeGate()
    for token in _tokens(case):
        gate.add_device(token)
        gate.shared[token] = {**SHARED, **_setpoint(case)}
    return gate


def _setpoint(case: Any) -> dict[str, Any]:
    """The number that the shared attribute had when this was recorded."""
    answers = "".join(answer["bytes"] for answer in case["answered"])
    match = re.search(rb'"setpoint":(\d+)', bytes.fromhex(answers))
    return {"setpoint": int(match[1])} if match else {"setpoint": 1}


def _strict(values: dict[str, Any]) -> dict[str, str]:
    return {key: f"{type(value).__name__} {value!r}" for key, value in values.items()}


def _check_kept(case: Any, gate: FakeGate) -> None:
    if "stored_telemetry" in case:
        kept = {key: value for _, _, values in gate.telemetry for key, value in values.items()}
        long = {k: "(long value stored whole)" for k, v in kept.items() if len(str(v)) > 50_000}
        assert _strict(kept | long) == _strict(case["stored_telemetry"])
    if "stored_client_attributes" in case:
        (kept,) = gate.client.values() or ({},)
        assert _strict(kept) == _strict(case["stored_client_attributes"])


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
async def test_a_dialogue_goes_as_recorded(case: Any) -> None:
    gate = _gate(case)
    async with _listening(gate) as port:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        async with stream:
            await _replay(case, stream)
    _check_kept(case, gate)


async def test_qos_2_takes_a_message_once_and_completes() -> None:
    case = next(case for case in CASES if case["name"] == "telemetry qos 2")
    gate = _gate(case)
    publish = bytes.fromhex(case["sent"][0])
    repeated = bytes((publish[0] | 8,)) + publish[1:]
    async with _listening(gate) as port:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        async with stream:
            await stream.send_all(bytes.fromhex(case["connect"]["sent"]))
            await _answer(stream, 4)
            await stream.send_all(publish + repeated)
            assert await _answer(stream, 8) == (bytes.fromhex("5002000150020001"), False)
            await stream.send_all(bytes.fromhex("62020001"))
            assert await _answer(stream, 4) == (bytes.fromhex("70020001"), False)
    assert [values for _, _, values in gate.telemetry] == [{"a": 2}]
