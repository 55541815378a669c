"""What a device was told is accepted is what the gate took: acknowledgement, order, waiting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio

from appliance.model.errors import Permanent, Retryable
from plugins.ingest_mqtt import packets as p
from plugins.ingest_mqtt.events import (
    MqttDeviceHeld,
    MqttDeviceTurnedAway,
    MqttMessagesAccepted,
    MqttPayloadRefused,
    MqttTopicUnknown,
)
from plugins.ingest_mqtt.packets import Reason, Version

Run = Callable[..., None]


def test_all_publishes_of_a_chunk_are_one_post_and_their_acknowledgements_keep_order(
    run: Run,
) -> None:
    async def scenario(bench: Any) -> None:
        client = await bench.connect()
        answer = await client.send(*(client.telemetry(n) for n in (7, 3, 9)))
        assert answer == [p.PubAck(7), p.PubAck(3), p.PubAck(9)]
        assert bench.gate.batches == [3]
        assert [values["n"] for _, _, values in bench.gate.telemetry] == [7, 3, 9]
        assert [event.messages for event in bench.told(MqttMessagesAccepted)] == [3]

    run(scenario)


def test_attributes_between_telemetry_are_taken_in_their_place(run: Run) -> None:
    async def scenario(bench: Any) -> None:
        client = await bench.connect()
        attributes = p.Publish("v2/a", b'{"a":1}', 1, 2)
        bench.gate.failures = [Retryable("a moment", retry_after_s=0.1)] * 3
        answer = await client.send(client.telemetry(1), attributes, client.telemetry(3))
        await trio.sleep(1)
        assert answer + await client.answer() == [p.PubAck(1), p.PubAck(2), p.PubAck(3)]
        assert bench.gate.posted_attributes == [("Device T", {"a": 1})]
        assert bench.gate.batches == [1, 1]

    run(scenario)


def test_nothing_is_acknowledged_before_the_gate_has_it(run: Run) -> None:
    async def scenario(bench: Any) -> None:
        client = await bench.connect()
        bench.gate.hold = trio.Event()
        assert await client.send(client.telemetry(1)) == []
        assert await client.send(client.telemetry(2)) == []
        bench.gate.hold.set()
        assert await client.answer() == [p.PubAck(1), p.PubAck(2)]

    run(scenario)


def test_qos_0_is_taken_without_an_answer(run: Run) -> None:
    async def scenario(bench: Any) -> None:
        client = await bench.connect()
        assert await client.send(client.telemetry(5, '{"n":0}', qos=0)) == []
        assert bench.gate.telemetry == [("Device T", None, {"n": 0})]

    run(scenario)


def test_a_message_that_must_wait_is_tried_again_and_then_acknowledged_once(run: Run) -> None:
    async def scenario(bench: Any) -> None:
        client = await bench.connect()
        bench.gate.failures = [Retryable("the backlog is full", retry_after_s=4)] * 4
        assert await client.send(client.telemetry(1), client.telemetry(2)) == []
        assert [event.messages for event in bench.told(MqttDeviceHeld)] == [2]
        await trio.sleep(15)
        assert await client.answer() == []
        await trio.sleep(2)
        assert await client.answer() == [p.PubAck(1), p.PubAck(2)]
        assert bench.gate.batches == [2]

    run(scenario)


@pytest.mark.parametrize("version", [Version.V3_1_1, Version.V5])
def test_held_too_long_a_device_is_disconnected_unacknowledged(run: Run, version: Version) -> None:
    async def scenario(bench: Any) -> None:
        client = await bench.connect(version=version)
        bench.gate.failures = [Retryable("the disk is full")] * 1000
        await client.send(client.telemetry(1), client.telemetry(2))
        await trio.sleep(19)
        assert await client.answer() == []
        assert not client.closed
        await trio.sleep(2)
        answer = await client.answer()
        assert client.closed
        bye = [p.Disconnect(Reason.QUOTA_EXCEEDED)] if version == Version.V5 else []
        assert answer == bye
        (event,) = bench.told(MqttDeviceTurnedAway)
        assert (event.device, event.messages) == ("Device T", 2)
        assert bench.gate.telemetry == []
        bench.gate.failures.clear()
        again = await bench.connect(version=version)
        repeated = [again.telemetry(1), again.telemetry(2)]
        assert await again.send(*repeated) == [p.PubAck(1), p.PubAck(2)]

    run(scenario)


def _refuse_two(name: str, values: Any) -> Exception | None:
    return Permanent("no such thing") if values.get("n") == 2 else None


def test_version_5_learns_which_message_of_a_chunk_was_refused(run: Run) -> None:
    async def scenario(bench: Any) -> None:
        client = await bench.connect(version=Version.V5)
        bench.gate.refuse = _refuse_two
        answer = await client.send(*(client.telemetry(n) for n in (1, 2, 3)))
        refusal = p.PubAck(2, Reason.PAYLOAD_INVALID)
        assert answer == [p.PubAck(1), refusal, p.PubAck(3)]
        assert [values["n"] for _, _, values in bench.gate.telemetry] == [1, 3]

    run(scenario)


def test_version_3_is_closed_for_it_after_what_came_before_is_acknowledged(run: Run) -> None:
    async def scenario(bench: Any) -> None:
        client = await bench.connect()
        bench.gate.refuse = _refuse_two
        answer = await client.send(*(client.telemetry(n) for n in (1, 2, 3)))
        assert answer == [p.PubAck(1)]
        assert client.closed
        assert [values["n"] for _, _, values in bench.gate.telemetry] == [1]

    run(scenario)


@pytest.mark.parametrize(
    ("qos", "answer", "closed"),
    [
        (0, [p.Disconnect(Reason.PAYLOAD_INVALID)], True),
        (1, [p.PubAck(9, Reason.PAYLOAD_INVALID)], False),
        (2, [p.PubRec(9, Reason.PAYLOAD_INVALID)], False),
    ],
)
def test_version_5_is_told_of_a_bad_payload(
    run: Run, qos: int, answer: list[p.Packet], closed: bool
) -> None:
    async def scenario(bench: Any) -> None:
        client = await bench.connect(version=Version.V5)
        assert await client.send(client.telemetry(9, "{", qos)) == answer
        assert client.closed is closed
        (event,) = bench.told(MqttPayloadRefused)
        assert event.device == "Device T"
        assert "line 1 column 2" in event.reason

    run(scenario)


def test_a_bad_payload_costs_a_version_3_device_its_connection_not_what_came_before(
    run: Run,
) -> None:
    async def scenario(bench: Any) -> None:
        client = await bench.connect()
        answer = await client.send(client.telemetry(1), client.telemetry(2, "{"))
        assert answer == [p.PubAck(1)]
        assert client.closed
        assert bench.gate.disconnects == ["Device T"]

    run(scenario)


@pytest.mark.parametrize(
    ("version", "qos", "answer"),
    [
        (Version.V3_1_1, 0, []),
        (Version.V3_1_1, 1, [p.PubAck(4)]),
        (Version.V3_1_1, 2, [p.PubRec(4)]),
        (Version.V5, 0, []),
        (Version.V5, 1, [p.PubAck(4, Reason.TOPIC_INVALID)]),
        (Version.V5, 2, [p.PubRec(4, Reason.TOPIC_INVALID)]),
    ],
)
def test_an_unknown_topic_is_told_and_keeps_the_session(
    run: Run, version: Version, qos: int, answer: list[p.Packet]
) -> None:
    async def scenario(bench: Any) -> None:
        client = await bench.connect(version=version)
        publish = p.Publish("v2/t/p", b"\x0a", qos, 4 if qos else 0)
        assert await client.send(publish) == answer
        assert not client.closed
        (event,) = bench.told(MqttTopicUnknown)
        assert (event.device, event.topic) == ("Device T", "v2/t/p")

    run(scenario)


def test_qos_2_is_taken_once_until_it_is_released(run: Run) -> None:
    async def scenario(bench: Any) -> None:
        client = await bench.connect(version=Version.V5)
        publish = client.telemetry(4, qos=2)
        assert await client.send(publish) == [p.PubRec(4)]
        assert await client.send(publish) == [p.PubRec(4)]
        assert await client.send(p.PubRel(4)) == [p.PubComp(4)]
        assert await client.send(p.PubRel(4)) == [p.PubComp(4, Reason.PACKET_ID_UNKNOWN)]
        assert await client.send(publish) == [p.PubRec(4)]
        assert len(bench.gate.telemetry) == 2

    run(scenario)


def test_a_packet_too_large_does_not_take_those_before_it_along(run: Run) -> None:
    async def scenario(bench: Any) -> None:
        client = await bench.connect(version=Version.V5)
        large = client.telemetry(2, '{"a":"' + "x" * 70_000 + '"}')
        answer = await client.send(client.telemetry(1), large)
        assert answer == [p.PubAck(1), p.Disconnect(Reason.PACKET_TOO_LARGE)]
        assert client.closed

    run(scenario)
