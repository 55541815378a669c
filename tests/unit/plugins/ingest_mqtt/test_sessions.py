"""Sessions: who may speak, for how long, and what is pushed to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from appliance.model.errors import Retryable
from plugins.ingest_mqtt import actions
from plugins.ingest_mqtt import packets as p
from plugins.ingest_mqtt.codec import encode
from plugins.ingest_mqtt.events import (
    MqttConnectionFailed,
    MqttConnectionsFull,
    MqttConnectRefused,
    MqttDeviceConnected,
    MqttDeviceDisconnected,
    MqttDeviceTooSlow,
)
from plugins.ingest_mqtt.fields import Property
from plugins.ingest_mqtt.packets import Reason, Version
from plugins.ingest_mqtt.session import Session

Run = Callable[..., None]
ME = "v1/devices/me"
BOTH = pytest.mark.parametrize("version", [Version.V3_1_1, Version.V5])


def _bye(version: Version, reason: Reason) -> list[p.Packet]:
    return [p.Disconnect(reason)] if version == Version.V5 else []


@BOTH
def test_a_device_that_connects_again_takes_over(run: Run, version: Version) -> None:
    async def scenario(bench: Any) -> None:
        first = await bench.connect(version=version)
        second = await bench.connect(version=version)
        assert await first.answer() == _bye(version, Reason.TAKEN_OVER)
        assert first.closed
        assert await second.send(second.telemetry(1)) == [p.PubAck(1)]
        assert (bench.gate.connects, bench.gate.disconnects) == (["Device T"] * 2, ["Device T"])
        assert len(bench.gate.subscriptions) == 1

    run(scenario)


def test_a_connection_may_become_another_device(run: Run) -> None:
    async def scenario(bench: Any) -> None:
        client = await bench.connect("A")
        bench.gate.add_device("B")
        assert await client.send(p.Connect("c", "B"), client.telemetry(1)) == [
            p.ConnAck(),
            p.PubAck(1),
        ]
        assert bench.gate.telemetry == [("B", None, {"n": 1})]
        assert bench.gate.disconnects == ["Device A"]
        other = await bench.connect("A")
        assert await client.send(p.PingReq()) == [p.PingResp()]
        assert [s.session.name for s in bench.gate.subscriptions] == ["B", "Device A"]
        assert not other.closed

    run(scenario)


@BOTH
def test_at_stop_a_device_is_told_and_what_is_not_durable_is_not_acknowledged(
    run: Run, version: Version
) -> None:
    async def scenario(bench: Any) -> None:
        async with trio.open_nursery() as stopping:
            bench.nursery, outer = stopping, bench.nursery
            client = await bench.connect(version=version)
            bench.nursery = outer
            bench.gate.hold = trio.Event()
            assert await client.send(client.telemetry(1)) == []
            stopping.cancel_scope.cancel()
        assert await client.answer() == _bye(version, Reason.SERVER_STOPPING)
        assert client.closed
        assert bench.gate.disconnects == ["Device T"]

    run(scenario)


@BOTH
def test_the_core_can_end_a_session(run: Run, version: Version) -> None:
    async def scenario(bench: Any) -> None:
        client = await bench.connect(version=version)
        bench.gate.close("Device T", "deleted")
        assert await client.answer() == _bye(version, Reason.ADMINISTRATIVE)
        assert client.closed
        assert bench.gate.subscriptions == []

    run(scenario)


@BOTH
def test_silence_ends_a_session_and_a_ping_is_no_silence(run: Run, version: Version) -> None:
    async def scenario(bench: Any) -> None:
        client = await bench.connect(version=version)
        await trio.sleep(590)
        assert await client.send(p.PingReq()) == [p.PingResp()]
        await trio.sleep(590)
        assert not client.closed
        await trio.sleep(20)
        assert await client.answer() == _bye(version, Reason.CONNECT_TIME_EXCEEDED)
        assert client.closed

    run(scenario)


def test_a_client_that_never_connects_is_closed_soon(run: Run) -> None:
    async def scenario(bench: Any) -> None:
        client = bench.dial()
        await trio.sleep(9)
        assert await client.answer() == []
        assert not client.closed
        await trio.sleep(2)
        assert await client.answer() == []
        assert client.closed

    run(scenario)


def test_what_was_sent_before_connect_is_served_after_it(run: Run) -> None:
    async def scenario(bench: Any) -> None:
        bench.gate.add_device("T")
        client = bench.dial()
        assert await client.send(client.telemetry(1), client.telemetry(2)) == []
        answer = await client.send(p.Connect("c", "T"), client.telemetry(3))
        assert answer == [p.ConnAck(), p.PubAck(1), p.PubAck(2), p.PubAck(3)]
        assert [values["n"] for _, _, values in bench.gate.telemetry] == [1, 2, 3]

    run(scenario)


@pytest.mark.parametrize("early", [[9] * 101, [70_000 // 2] * 2])
def test_too_much_before_connect_ends_it(run: Run, early: list[int]) -> None:
    async def scenario(bench: Any) -> None:
        client = bench.dial()
        await client.send(*(client.telemetry(1, "x" * size) for size in early))
        assert client.closed

    run(scenario)


def test_no_more_connections_than_configured(run: Run) -> None:
    async def scenario(bench: Any) -> None:
        await bench.connect("A")
        assert await bench.dial().answer() == []
        third = bench.dial()
        assert await third.answer() == []
        assert third.closed
        assert len(bench.told(MqttConnectionsFull)) == 1

    run(scenario, connections_max=2)


REFUSALS = [
    (p.Connect("c", "NOPE"), 5, Reason.BAD_CREDENTIALS),
    (p.Connect("c"), 2, Reason.CLIENT_ID_INVALID),
    (p.Connect("c", "user", b"wrong"), 5, Reason.BAD_CREDENTIALS),
]


@pytest.mark.parametrize(("connect", "code", "reason"), REFUSALS)
@BOTH
def test_a_refused_connect_is_told_why_in_its_version(
    run: Run, version: Version, connect: p.Connect, code: int, reason: Reason
) -> None:
    async def scenario(bench: Any) -> None:
        bench.gate.basic["c", "user", "right"] = bench.gate.add_device("X")
        client = bench.dial(version)
        answer = await client.send(msgspec.structs.replace(connect, version=version))
        expected = p.ConnAck(reason if version == Version.V5 else code)
        assert answer[0] == expected
        assert client.closed
        (event,) = bench.told(MqttConnectRefused)
        assert "NOPE" not in event.text.format(**msgspec.structs.asdict(event))

    run(scenario)


def test_basic_credentials_and_a_client_id_alone_are_asked_of_the_gate(run: Run) -> None:
    async def scenario(bench: Any) -> None:
        session = bench.gate.add_device("unused", name="Press 4")
        bench.gate.basic["c", "user", "right"] = session
        bench.gate.basic["c", None, None] = session
        for connect in (p.Connect("c", "user", b"right"), p.Connect("c")):
            assert await bench.dial().send(connect) == [p.ConnAck()]
        connected = bench.told(MqttDeviceConnected)
        assert [event.device for event in connected] == ["Press 4"] * 2

    run(scenario)


def test_credentials_that_cannot_be_looked_up_now_are_no_wrong_ones(run: Run) -> None:
    async def scenario(bench: Any) -> None:
        def later(*_: Any) -> None:
            raise Retryable("starting")

        bench.gate.authenticate_basic = later
        assert await bench.dial().send(p.Connect("c", "T")) == [p.ConnAck(3)]
        client = bench.dial(Version.V5)
        answer = await client.send(p.Connect("c", "T", version=Version.V5))
        assert answer[0] == p.ConnAck(Reason.SERVER_UNAVAILABLE)

    run(scenario)


def test_version_5_without_client_id_is_given_one(run: Run) -> None:
    async def scenario(bench: Any) -> None:
        bench.gate.add_device("T")
        client = bench.dial(Version.V5)
        (answer,) = await client.send(p.Connect("", "T", version=Version.V5, clean=False))
        assert isinstance(answer, p.ConnAck)
        assert answer.session_present
        assert answer.properties[Property.ASSIGNED_CLIENT_ID]

    run(scenario)


def test_topic_aliases_and_auth_are_not_offered(run: Run) -> None:
    async def scenario(bench: Any) -> None:
        for packet, reason in (
            (p.Publish("", b"{}", properties={Property.TOPIC_ALIAS: 1}), 0x94),
            (p.Auth(0x19), 0x82),
            (p.SubAck(1, (0,)), 0x81),
        ):
            client = await bench.connect(version=Version.V5)
            assert await client.send(packet) == [p.Disconnect(reason)]
        client = bench.dial(Version.V5)
        method = {Property.AUTHENTICATION_METHOD: "SCRAM"}
        answer = await client.send(p.Connect("c", version=Version.V5, properties=method))
        assert answer[0] == p.ConnAck(Reason.BAD_AUTHENTICATION_METHOD)

    run(scenario)


# --- pushes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("topic", [f"{ME}/attributes", "v2/a", "v2/a/j"])
def test_shared_attributes_are_pushed_where_they_were_subscribed(run: Run, topic: str) -> None:
    async def scenario(bench: Any) -> None:
        client = await bench.connect()
        assert bench.gate.push_attributes("Device T", {"a": 0}) == 0
        assert await client.subscribe(topic) == [p.SubAck(1000, (1,))]
        bench.gate.push_attributes("Device T", {"a": 1, "b": "x"})
        bench.gate.push_attributes("Device T", {}, ["a"])
        first, second = await client.answer()
        assert (first.topic, first.qos, first.packet_id) == (topic, 1, 1)
        assert msgspec.json.decode(first.payload) == {"a": 1, "b": "x"}
        assert msgspec.json.decode(second.payload) == {"deleted": ["a"]}
        await client.send(p.Unsubscribe(1001, (topic,)))
        assert bench.gate.push_attributes("Device T", {"a": 2}) == 0

    run(scenario)


@pytest.mark.parametrize(
    ("subscribed", "asked", "answered"),
    [
        (f"{ME}/rpc/request/+", f"{ME}/rpc/request/5", f"{ME}/rpc/response/5"),
        ("v2/r/req/+", "v2/r/req/5", "v2/r/res/5"),
        ("v2/r/req/j/+", "v2/r/req/j/5", "v2/r/res/j/5"),
    ],
)
def test_a_request_goes_down_is_delivered_and_its_answer_comes_up(
    run: Run, subscribed: str, asked: str, answered: str
) -> None:
    async def scenario(bench: Any) -> None:
        client = await bench.connect()
        assert not bench.gate.push_rpc("Device T", 4, "early", {})
        await client.subscribe(subscribed)
        assert bench.gate.push_rpc("Device T", 5, "setValue", {"v": 1})
        (request,) = await client.answer()
        assert request.topic == asked
        assert msgspec.json.decode(request.payload) == {"method": "setValue", "params": {"v": 1}}
        assert bench.gate.rpc_deliveries == []
        await client.send(p.PubAck(request.packet_id))
        assert bench.gate.rpc_deliveries == [("Device T", 5)]
        assert await client.send(p.Publish(answered, b'{"ok":true}', 1, 8)) == [p.PubAck(8)]
        await client.send(p.Publish(answered, b"plain words", 1, 9))
        assert bench.gate.rpc_replies == [
            ("Device T", 5, {"ok": True}),
            ("Device T", 5, "plain words"),
        ]

    run(scenario)


def test_a_refused_request_is_not_delivered(run: Run) -> None:
    async def scenario(bench: Any) -> None:
        client = await bench.connect(version=Version.V5)
        await client.subscribe(f"{ME}/rpc/request/+")
        bench.gate.push_rpc("Device T", 1, "m", None)
        (request,) = await client.answer()
        await client.send(p.PubAck(request.packet_id, Reason.IMPLEMENTATION_ERROR))
        assert bench.gate.rpc_deliveries == []

    run(scenario)


def test_no_more_is_on_the_wire_than_the_device_receives_at_once(run: Run) -> None:
    async def scenario(bench: Any) -> None:
        limits = {Property.RECEIVE_MAXIMUM: 2, Property.MAXIMUM_PACKET_SIZE: 200}
        client = await bench.connect(version=Version.V5, properties=limits)
        await client.subscribe(f"{ME}/rpc/request/+")
        taken = [bench.gate.push_rpc("Device T", n, "m", None) for n in range(101)]
        assert taken == [True] * 100 + [False]
        topics = [request.topic for request in await client.answer()]
        assert topics == [f"{ME}/rpc/request/{n}" for n in (0, 1)]
        released = await client.send(p.PubAck(1), p.PubAck(2))
        assert [request.topic for request in released] == [f"{ME}/rpc/request/{n}" for n in (2, 3)]
        assert not bench.gate.push_rpc("Device T", 0, "m", "x" * 200)
        assert bench.gate.push_rpc("Device T", 200, "m", None)

    run(scenario)


def test_a_device_that_never_acknowledges_attributes_is_made_to_ask_anew(run: Run) -> None:
    async def scenario(bench: Any) -> None:
        client = await bench.connect()
        await client.subscribe(f"{ME}/attributes")
        for n in range(101):
            bench.gate.push_attributes("Device T", {"n": n})
        await client.answer()
        assert client.closed
        (event,) = bench.told(MqttDeviceTooSlow)
        assert event.device == "Device T"

    run(scenario)


def test_a_device_that_takes_nothing_is_disconnected(run: Run) -> None:
    async def scenario(bench: Any) -> None:
        bench.gate.add_device("T")
        ours, theirs = trio.testing.lockstep_stream_pair()
        bench.nursery.start_soon(bench.listener.serve_stream, theirs, "test:1")
        await ours.send_all(encode(p.Connect("c", "T"), Version.V3_1_1))
        await trio.sleep(62)
        (event,) = bench.told(MqttDeviceDisconnected)
        assert event.reason == "the device takes nothing"

    run(scenario)


# --- requests of the device --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("topic", "reply"),
    [
        (f"{ME}/rpc/request/3", f"{ME}/rpc/response/3"),
        ("v2/r/req/3", "v2/r/res/3"),
        ("v2/r/req/j/3", "v2/r/res/j/3"),
    ],
)
def test_a_request_of_the_device_is_acknowledged_and_answered(
    run: Run, topic: str, reply: str
) -> None:
    async def scenario(bench: Any) -> None:
        async def handle(session: Any, method: str, params: Any) -> Any:
            await trio.sleep(5)
            return {"now": params}

        bench.gate.handle_rpc = handle
        client = await bench.connect()
        request = p.Publish(topic, b'{"method":"getTime","params":7}', 1, 1)
        assert await client.send(request) == [p.PubAck(1)]
        assert await client.send(client.telemetry(2)) == [p.PubAck(2)]
        await trio.sleep(6)
        (answer,) = await client.answer()
        assert (answer.topic, answer.payload) == (reply, b'{"now":7}')

    run(scenario)


def test_without_an_answer_the_device_is_told_so(run: Run) -> None:
    async def scenario(bench: Any) -> None:
        client = await bench.connect()
        for n in range(18):
            await client.send(p.Publish(f"{ME}/rpc/request/{n}", b'{"method":"m"}', 1, n + 1))
        await trio.sleep(1)
        assert len(bench.gate.rpc_requests) == 16
        await trio.sleep(60)
        answers = await client.answer()
        assert [answer.payload for answer in answers] == [b'{"error":"timeout"}'] * 16

    run(scenario)


def test_session_limits_are_those_configured(run: Run) -> None:
    async def scenario(bench: Any) -> None:
        client = await bench.connect()
        ask = p.Publish(f"{ME}/rpc/request/1", b'{"method":"getSessionLimits","params":{}}', 1, 1)
        _, answer = await client.send(ask)
        body = msgspec.json.decode(answer.payload)
        assert (body["maxPayloadSize"], body["maxInflightMessages"]) == (1024, 100)
        assert body["rateLimits"]["messages"] is None

    run(scenario, packet_bytes_max=1024)


@pytest.mark.parametrize(
    "body", [b'{"clientKeys":"a"}', b"{}", b'{"clientKeys":"a","sharedKeys":""}']
)
def test_a_reply_has_the_qos_that_was_subscribed(run: Run, body: bytes) -> None:
    async def scenario(bench: Any) -> None:
        client = await bench.connect()
        await client.send(p.Publish("v2/a", b'{"a":5}', 0))
        await client.subscribe(f"{ME}/attributes/response/+", qos=0)
        acknowledged, answer = await client.send(
            p.Publish(f"{ME}/attributes/request/1", body, 1, 1)
        )
        assert acknowledged == p.PubAck(1)
        assert (answer.qos, answer.payload) == (0, b'{"client":{"a":5}}')

    run(scenario)


def test_only_known_filters_can_be_subscribed_and_left(run: Run) -> None:
    async def scenario(bench: Any) -> None:
        client = await bench.connect(version=Version.V5)
        ota = "v2/fw/response/+/chunk/+"
        answer = await client.subscribe(ota, "v2/fw/response/+", "#", qos=2)
        assert answer == [p.SubAck(1000, (1, 0x8F, 0x8F))]
        left = await client.send(p.Unsubscribe(1, (ota, "v2/a", "#")))
        assert left == [p.UnsubAck(1, (0, 0x11, 0x8F))]

    run(scenario)


def test_a_claim_reaches_the_gate(run: Run) -> None:
    async def scenario(bench: Any) -> None:
        client = await bench.connect()
        for body in (b'{"secretKey":"s","durationMs":60000}', b""):
            assert await client.send(p.Publish(f"{ME}/claim", body, 1, 1)) == [p.PubAck(1)]
        assert bench.gate.claims == [("Device T", "s", 60000), ("Device T", "", None)]

    run(scenario)


def test_a_new_device_is_provisioned_and_can_do_nothing_else(run: Run) -> None:
    async def scenario(bench: Any) -> None:
        bench.gate.provision_keys["k"] = "s"
        client = bench.dial()
        assert await client.send(p.Connect("provision")) == [p.ConnAck()]
        body = b'{"deviceName":"New","provisionDeviceKey":"k","provisionDeviceSecret":"s"}'
        _, answer = await client.send(p.Publish("/provision/request", body, 1, 1))
        assert answer.topic == "/provision/response"
        assert msgspec.json.decode(answer.payload)["credentialsValue"] == "New"
        assert await client.send(client.telemetry(2)) == []
        assert client.closed
        assert bench.gate.telemetry == []
        assert await (await bench.connect("New")).answer() == []

    run(scenario)


# --- the state machine alone -------------------------------------------------------------------


def _flat(found: list[actions.Action]) -> list[Any]:
    """Actions with merged telemetry taken apart and writes joined."""
    flat: list[Any] = []
    for action in found:
        if isinstance(action, actions.PostTelemetry):
            flat.extend(action.messages)
        elif isinstance(action, actions.Authenticate):
            flat.append("authenticate")
        else:
            flat.append(action)
    return flat


def _play(portions: list[bytes]) -> list[Any]:
    session, found = Session("test:1", 1000), []
    waiting = list(portions)
    while waiting:
        step = session.receive(waiting.pop(0))
        while step:
            found += step
            asks = isinstance(step[-1], actions.Authenticate)
            step = session.authenticated(_DEVICE) if asks else []
    return _flat(found)


_DEVICE: Any = type("Anyone", (), {"name": "d", "is_gateway": False})()
_DIALOGUE = b"".join(
    encode(packet, Version.V3_1_1)
    for packet in (
        p.Connect("c", "T"),
        p.Publish(f"{ME}/telemetry", b'{"a":1}', 1, 1),
        p.Publish("v2/t", b'{"a":1}', 2, 2),
        p.Subscribe(3, ((f"{ME}/rpc/request/+", 1), ("#", 1))),
        p.Publish("nowhere", b"", 1, 4),
        p.PubRel(2),
        p.Publish("v2/a", b'{"a":1}', 1, 5),
        p.PingReq(),
        p.Publish(f"{ME}/telemetry", b"{", 1, 6),
        p.PingReq(),
    )
)


@given(st.lists(st.integers(0, len(_DIALOGUE))).map(sorted))
def test_any_split_of_the_stream_has_the_same_effect(cuts: list[int]) -> None:
    ends = [*cuts, len(_DIALOGUE)]
    portions = [_DIALOGUE[a:b] for a, b in zip([0, *cuts], ends, strict=True)]
    assert _play(portions) == _play([_DIALOGUE])


@given(st.lists(st.binary(max_size=50)), st.booleans())
def test_no_bytes_do_more_than_end_the_session(portions: list[bytes], connected: bool) -> None:
    start = [encode(p.Connect("c", "T", version=Version.V5), Version.V5)] if connected else []
    _play(start + portions)


@BOTH
def test_a_stranger_who_asks_for_a_device_s_topics_ends_nobody(run: Run, version: Version) -> None:
    async def scenario(bench: Any) -> None:
        other = await bench.connect()
        client = bench.dial(version)
        await client.send(p.Connect("c", "provision", version=version))
        wanted = (("/provision/response", 1), (f"{ME}/attributes", 1))
        refused = Reason.FILTER_INVALID if version == Version.V5 else 0x80
        assert await client.send(p.Subscribe(1, wanted)) == [p.SubAck(1, (1, refused))]
        assert await client.send(p.PingReq()) == [p.PingResp()]
        assert await other.send(p.PingReq()) == [p.PingResp()]

    run(scenario)


def test_an_error_of_ours_ends_one_connection(run: Run) -> None:
    async def scenario(bench: Any) -> None:
        other = await bench.connect("A")
        client = await bench.connect("B")

        def broken(*_: Any) -> Any:
            raise LookupError("oops")

        bench.gate.read_attributes = broken
        request = p.Publish(f"{ME}/attributes/request/1", b"{}", 1, 1)
        assert await client.send(request) == []
        assert await other.send(p.PingReq()) == [p.PingResp()]
        (told,) = bench.told(MqttConnectionFailed)
        assert told.error == "LookupError: oops"

    run(scenario)


@pytest.mark.parametrize("id", ["x", "", "2147483648", "1.0"])
def test_a_request_without_a_number_ends_the_connection(run: Run, id: str) -> None:
    async def scenario(bench: Any) -> None:
        client = await bench.connect(version=Version.V5)
        request = p.Publish(f"{ME}/attributes/request/{id}", b"{}", 1, 1)
        assert await client.send(request) == [p.Disconnect(Reason.SERVER_STOPPING)]

    run(scenario)
