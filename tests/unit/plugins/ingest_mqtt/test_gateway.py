"""Gateways: many devices behind one connection (device spec §2.6)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import trio

from appliance.model.errors import Permanent, Retryable
from plugins.ingest_mqtt import packets as p
from plugins.ingest_mqtt.events import MqttPayloadRefused, MqttTopicUnknown
from plugins.ingest_mqtt.packets import Reason, Version

Run = Callable[..., None]


async def _gateway(bench: Any, version: Version = Version.V3_1_1) -> Any:
    bench.gate.add_device("GW", is_gateway=True)
    return await bench.connect("GW", version)


def _say(name: str, body: Any, packet_id: int = 1) -> p.Packet:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return p.Publish(f"v1/gateway/{name}", payload, 1, packet_id)


def test_telemetry_of_many_devices_is_one_post_and_one_acknowledgement(run: Run) -> None:
    async def scenario(bench: Any) -> None:
        client = await _gateway(bench)
        body = b'{"A":[{"ts":5,"values":{"x":1e3}},{"x":0.5}],"B":[{"x":"7"}]}'
        assert await client.send(_say("telemetry", body)) == [p.PubAck(1)]
        taken = [("A", 5, {"x": 1000}), ("A", None, {"x": 0.5}), ("B", None, {"x": 7})]
        assert bench.gate.telemetry == taken
        assert bench.gate.batches == [2]
        assert bench.gate.connects == ["GW", "A", "B"]

    run(scenario)


def test_telemetry_messages_that_come_together_are_one_post(run: Run) -> None:
    async def scenario(bench: Any) -> None:
        client = await _gateway(bench)
        said = [_say("telemetry", {name: [{"x": n}]}, n) for n, name in enumerate("ABA", 1)]
        assert await client.send(*said) == [p.PubAck(1), p.PubAck(2), p.PubAck(3)]
        assert bench.gate.telemetry == [(name, None, {"x": n}) for n, name in enumerate("ABA", 1)]
        assert bench.gate.batches == [3]

    run(scenario)


def test_of_messages_that_come_together_only_the_refused_one_is_refused(run: Run) -> None:
    async def scenario(bench: Any) -> None:
        client = await _gateway(bench, Version.V5)
        bench.gate.refuse = lambda name, _: Permanent("no") if name == "B" else None
        said = [_say("telemetry", {name: [{"x": n}], "D": 5}, n) for n, name in enumerate("ABC", 1)]
        answers = [p.PubAck(1), p.PubAck(2, Reason.PAYLOAD_INVALID), p.PubAck(3)]
        assert await client.send(*said) == answers
        assert bench.gate.telemetry == [("A", None, {"x": 1}), ("C", None, {"x": 3})]
        assert [event.device for event in bench.told(MqttPayloadRefused)] == ["D", "GW", "D"]

    run(scenario)


def test_a_device_joins_with_its_type_once_and_leaves(run: Run) -> None:
    async def scenario(bench: Any) -> None:
        client = await _gateway(bench)
        for body in ({"device": "A", "type": "pump"}, {"device": "A"}):
            assert await client.send(_say("connect", body)) == [p.PubAck(1)]
        assert bench.gate.children["A"].profile == "pump"
        assert bench.gate.connects == ["GW", "A"]
        await client.send(_say("disconnect", {"device": "A"}))
        assert bench.gate.disconnects == ["A"]
        await client.send(_say("attributes", {"A": {"v": 1}, "B": {"v": "x"}}))
        assert bench.gate.client == {"A": {"v": 1}, "B": {"v": "x"}}
        await client.send(p.Disconnect())
        assert bench.gate.disconnects == ["A", "A", "B", "GW"]
        assert bench.gate.subscriptions == []

    run(scenario)


def test_a_device_that_comes_back_under_a_new_name_is_served_under_that_alone(run: Run) -> None:
    async def scenario(bench: Any) -> None:
        client = await _gateway(bench)
        await client.send(_say("connect", {"device": "A"}))
        old = bench.gate.children["A"]
        bench.gate.children["B"] = msgspec.structs.replace(old, name="B")
        await client.send(_say("telemetry", {"B": [{"x": 1}]}))
        assert [s.session.name for s in bench.gate.subscriptions] == ["GW", "B"]
        await client.send(_say("disconnect", {"device": "B"}))
        assert bench.gate.disconnects == ["A", "B"]

    run(scenario)


def test_a_bad_entry_is_passed_over_and_told(run: Run) -> None:
    async def scenario(bench: Any) -> None:
        client = await _gateway(bench)
        body = {"A": [{"x": 1}], "B": {"x": 1}}
        assert await client.send(_say("telemetry", body)) == [p.PubAck(1)]
        assert bench.gate.telemetry == [("A", None, {"x": 1})]
        assert [event.device for event in bench.told(MqttPayloadRefused)] == ["B"]

    run(scenario)


def test_a_device_refused_by_the_core_does_not_keep_the_others_back(run: Run) -> None:
    async def scenario(bench: Any) -> None:
        client = await _gateway(bench)
        bench.gate.refuse = lambda name, _: Permanent("no") if name == "B" else None
        for name, entry in (("telemetry", [{"x": 1}]), ("attributes", {"x": 1})):
            body = {"A": entry, "B": entry, "C": entry}
            assert await client.send(_say(name, body)) == [p.PubAck(1)]
        assert [name for name, _, _ in bench.gate.telemetry] == ["A", "C"]
        assert [name for name, _ in bench.gate.posted_attributes] == ["A", "C"]
        assert [event.device for event in bench.told(MqttPayloadRefused)] == ["B", "B"]

    run(scenario)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("telemetry", {"A": {"x": 1}}),
        ("telemetry", []),
        ("attributes", {"A": 5}),
        ("connect", {"type": "x"}),
        ("connect", b"{"),
        ("attributes/request", {"device": "A"}),
        ("attributes/request", {"device": "A", "keys": "a"}),
        ("rpc", {"device": "A", "id": "x"}),
        ("claim", {"A": {"secretKey": {}}}),
        ("attributes/request", {"device": "A", "key": "a"}),
    ],
)
def test_a_message_of_which_nothing_can_be_taken_is_refused(run: Run, name: str, body: Any) -> None:
    async def scenario(bench: Any) -> None:
        client = await _gateway(bench, Version.V5)
        refusal = p.PubAck(1, Reason.PAYLOAD_INVALID)
        assert await client.send(_say(name, body)) == [refusal]
        assert len(bench.told(MqttPayloadRefused)) == 1

    run(scenario)


def test_devices_that_cannot_be_had_are_told(run: Run) -> None:
    async def scenario(bench: Any) -> None:
        bench.gate.children_max = 1
        client = await _gateway(bench, Version.V5)
        body = {"A": [{"x": 1}], "B": [{"x": 1}]}
        assert await client.send(_say("telemetry", body)) == [p.PubAck(1)]
        refusal = p.PubAck(1, Reason.PAYLOAD_INVALID)
        assert await client.send(_say("connect", {"device": "B"})) == [refusal]
        assert [event.device for event in bench.told(MqttPayloadRefused)] == ["B", "GW"]

    run(scenario)


def test_a_gateway_waits_like_any_device(run: Run) -> None:
    async def scenario(bench: Any) -> None:
        client = await _gateway(bench)
        bench.gate.failures = [Retryable("full")] * 3
        assert await client.send(_say("telemetry", {"A": [{"x": 1}]})) == []
        await trio.sleep(4)
        assert await client.answer() == [p.PubAck(1)]
        assert len(bench.gate.telemetry) == 1

    run(scenario)


def test_attributes_are_answered_singly_or_together(run: Run) -> None:
    async def scenario(bench: Any) -> None:
        client = await _gateway(bench)
        bench.gate.client["A"] = {"c": 1}
        bench.gate.shared["A"] = {"s": 2, "t": 3}
        asked: list[tuple[dict[str, Any], dict[str, Any]]] = [
            ({"client": True, "key": "c"}, {"value": 1}),
            ({"key": "s"}, {"value": 2}),
            ({"key": "none"}, {}),
            ({"client": False, "keys": ["s", "t", "none"]}, {"values": {"s": 2, "t": 3}}),
            ({"client": "true", "keys": ["none"]}, {}),
        ]
        for question, answer in asked:
            request = {"id": 9, "device": "A", **question}
            found = await client.send(_say("attributes/request", request))
            (published,) = [packet for packet in found if isinstance(packet, p.Publish)]
            assert published.topic == "v1/gateway/attributes/response"
            assert json.loads(published.payload) == {"id": 9, "device": "A", **answer}
            assert p.PubAck(1) in found

    run(scenario)


def test_pushes_for_a_device_go_to_its_gateway(run: Run) -> None:
    async def scenario(bench: Any) -> None:
        client = await _gateway(bench)
        await client.send(_say("connect", {"device": "A"}))
        bench.gate.push_attributes("A", {"s": 1}, ["t"])
        assert bench.gate.push_rpc("A", 3, "open", {"v": 1})
        update, request = await client.answer()
        assert update.topic == "v1/gateway/attributes"
        body = {"device": "A", "data": {"s": 1, "deleted": ["t"]}}
        assert json.loads(update.payload) == body
        assert request.topic == "v1/gateway/rpc"
        data = {"id": 3, "method": "open", "params": {"v": 1}}
        assert json.loads(request.payload) == {"device": "A", "data": data}
        await client.send(p.PubAck(request.packet_id))
        assert bench.gate.rpc_deliveries == [("A", 3)]
        reply = {"device": "A", "id": 3, "data": {"done": True}}
        assert await client.send(_say("rpc", reply)) == [p.PubAck(1)]
        assert bench.gate.rpc_replies == [("A", 3, {"done": True})]
        bench.gate.close("A", "deleted")
        assert bench.gate.disconnects == ["A"]
        assert await client.send(p.PingReq()) == [p.PingResp()]

    run(scenario)


def test_claims_name_their_devices(run: Run) -> None:
    async def scenario(bench: Any) -> None:
        client = await _gateway(bench)
        body = {"A": {"secretKey": "s", "durationMs": 5}, "B": {}}
        assert await client.send(_say("claim", body)) == [p.PubAck(1)]
        assert bench.gate.claims == [("A", "s", 5), ("B", "", None)]

    run(scenario)


def test_a_plain_device_is_no_gateway_and_a_gateway_is_still_a_device(run: Run) -> None:
    async def scenario(bench: Any) -> None:
        plain = await bench.connect("T")
        assert await plain.send(_say("connect", {"device": "A"})) == []
        assert not plain.closed
        gateway = await _gateway(bench)
        assert await gateway.send(gateway.telemetry(2)) == [p.PubAck(2)]
        assert await gateway.send(_say("nonsense", {})) == [p.PubAck(1)]
        assert [event.device for event in bench.told(MqttTopicUnknown)] == ["Device T", "GW"]
        assert bench.gate.children == {}

    run(scenario)
