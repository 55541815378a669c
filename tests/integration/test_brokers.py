"""The mqtt, kafka and rabbitmq nodes against the brokers themselves."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import confluent_kafka
import paho.mqtt.client as paho
import pika
import pytest

from appliance.rules.compile import CompiledNode
from appliance.rules.debug import DebugLog
from appliance.rules.node import PACKAGE
from appliance.testing.rules import RuleBench
from plugins.rules_external import register_rule_nodes
from tests.kit import brokers
from tests.kit.process import free_port, wait_for

Outcome = tuple[str | None, Any, dict[str, str]]


class NodeBench:
    """One node, its messages, and where they went."""

    def __init__(self, kind: str, configuration: dict[str, Any]) -> None:
        factories = register_rule_nodes().nodes
        self._bench = RuleBench(factories)
        self._device = self._bench.add_device("device")
        self.node: CompiledNode = self._bench.load_node(factories[PACKAGE + kind], configuration)
        self.node.debug = DebugLog({"allEnabled": True})

    async def send(self, data: Any, metadata: Mapping[str, str] = {}) -> Outcome:
        """Run a message; (label, data, metadata) of what came out."""
        assert self.node.refusal is None, self.node.refusal
        assert self.node.debug is not None
        message = self._bench.message("POST_TELEMETRY_REQUEST", self._device, data, dict(metadata))
        await self._bench.run_at(self.node.id, message)
        event = self.node.debug.events()[-1]
        assert event.message is not None
        return event.label, event.message.data, event.message.metadata

    def stop(self) -> None:
        self._bench.engine.remove_chain(self.node.chain_id)


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[brokers.Broker]:
    with brokers.kafka(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture(scope="module")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[brokers.Broker]:
    with brokers.rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as broker:
        yield broker


# kafka -------------------------------------------------------------------------------------------
def kafka_node(port: int, **more: Any) -> NodeBench:
    configuration = {"topicPattern": "${t}", "bootstrapServers": f"127.0.0.1:{port}", **more}
    return NodeBench("kafka.TbKafkaNode", configuration)


def kafka_messages(port: int, topic: str, count: int) -> list[Any]:
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": f"127.0.0.1:{port}",
            "group.id": "tests",
            "auto.offset.reset": "earliest",
        }
    )
    consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
    try:
        return consumer.consume(count, timeout=30)
    finally:
        consumer.close()


@pytest.mark.slow
async def test_kafka_has_the_message_with_key_and_headers(kafka: brokers.Broker) -> None:
    node = kafka_node(
        kafka.port, keyPattern="${k}", addMetadataKeyValuesAsKafkaHeaders=True, acks="all"
    )
    metadata = {"t": "first", "k": "key-1", "ü": "ä"}
    label, data, told = await node.send({"temperature": 21.5}, metadata)
    assert (label, data) == ("Success", {"temperature": 21.5})
    assert told == {**metadata, "offset": "0", "partition": "0", "topic": "first"}
    assert (await node.send([1], metadata))[2]["offset"] == "1"
    node.stop()
    one, two = kafka_messages(kafka.port, "first", 2)
    assert (one.value(), one.key()) == (b'{"temperature":21.5}', b"key-1")
    assert dict(one.headers()) == {
        "tb_msg_md_t": b"first",
        "tb_msg_md_k": b"key-1",
        "tb_msg_md_ü": "ä".encode(),
    }
    assert two.value() == b"[1]"


@pytest.mark.slow
async def test_kafka_without_key_and_headers_sends_neither(kafka: brokers.Broker) -> None:
    node = kafka_node(kafka.port, keyPattern="", otherProperties={"compression.type": "gzip"})
    assert (await node.send("text", {"t": "bare"}))[0] == "Success"
    node.stop()
    (message,) = kafka_messages(kafka.port, "bare", 1)
    assert (message.value(), message.key(), message.headers()) == (b'"text"', None, None)


@pytest.mark.slow
async def test_a_topic_that_cannot_be_is_a_failure_with_the_reason(kafka: brokers.Broker) -> None:
    node = kafka_node(kafka.port)
    label, data, metadata = await node.send({"a": 1}, {"t": "no such/topic"})
    node.stop()
    assert (label, data) == ("Failure", {"a": 1})
    assert "topic" in metadata["error"].lower()


async def test_without_a_kafka_broker_the_message_fails_in_time() -> None:
    node = kafka_node(free_port(), otherProperties={"delivery.timeout.ms": "300"})
    label, _, metadata = await node.send({}, {"t": "nowhere"})
    node.stop()
    assert label == "Failure"
    assert "timed out" in metadata["error"].lower()


# rabbitmq ----------------------------------------------------------------------------------------
def rabbit_node(port: int, **more: Any) -> NodeBench:
    return NodeBench("rabbitmq.TbRabbitMqNode", {"host": "127.0.0.1", "port": port, **more})


def rabbit_channel(port: int) -> Any:
    return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port)).channel()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("properties", "content_type", "delivery_mode", "priority"),
    [
        (None, None, None, None),
        ("", None, None, None),
        ("MINIMAL_BASIC", None, None, None),
        ("MINIMAL_PERSISTENT_BASIC", None, 2, None),
        ("BASIC", "application/octet-stream", 1, 0),
        ("PERSISTENT_BASIC", "application/octet-stream", 2, 0),
        ("TEXT_PLAIN", "text/plain", 1, 0),
        ("PERSISTENT_TEXT_PLAIN", "text/plain", 2, 0),
    ],
)
async def test_rabbitmq_has_the_message_with_its_properties(
    rabbitmq: brokers.Broker,
    properties: str | None,
    content_type: str | None,
    delivery_mode: int | None,
    priority: int | None,
) -> None:
    channel = rabbit_channel(rabbitmq.port)
    channel.exchange_declare("plant", "topic")
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(queue, "plant", "north.*")
    node = rabbit_node(
        rabbitmq.port,
        exchangeNamePattern="${e}",
        routingKeyPattern="$[site].pump",
        messageProperties=properties,
        clientProperties={"who": "tests"},
    )
    outcome = await node.send({"site": "north"}, {"e": "plant"})
    node.stop()
    assert outcome == ("Success", {"site": "north"}, {"e": "plant"})
    method, header, body = channel.basic_get(queue, auto_ack=True)
    assert (method.routing_key, body) == ("north.pump", b'{"site":"north"}')
    assert (header.content_type, header.delivery_mode, header.priority) == (
        content_type,
        delivery_mode,
        priority,
    )
    channel.connection.close()


@pytest.mark.slow
async def test_an_exchange_that_is_not_there_fails_the_message_and_no_other(
    rabbitmq: brokers.Broker,
) -> None:
    node = rabbit_node(rabbitmq.port, exchangeNamePattern="${e}", routingKeyPattern="nobody")
    label, _, metadata = await node.send({}, {"e": "no-such"})
    assert label == "Failure"
    assert "no exchange 'no-such'" in metadata["error"]
    assert (await node.send({}, {"e": ""}))[0] == "Success"
    node.stop()


@pytest.mark.slow
async def test_a_wrong_password_is_told(rabbitmq: brokers.Broker) -> None:
    node = rabbit_node(rabbitmq.port, routingKeyPattern="q", password="wrong")
    label, _, metadata = await node.send({})
    node.stop()
    assert label == "Failure"
    assert "ACCESS_REFUSED" in metadata["error"]


@pytest.mark.slow
async def test_messages_go_on_when_rabbitmq_comes_back(rabbitmq: brokers.Broker) -> None:
    node = rabbit_node(rabbitmq.port, routingKeyPattern="kept", messageProperties="BASIC")
    assert (await node.send(1))[0] == "Success"
    rabbitmq.stop()
    label, _, metadata = await node.send(2)
    assert (label, "127.0.0.1" in metadata["error"]) == ("Failure", True)
    rabbitmq.start()
    assert (await node.send(3))[0] == "Success"
    rabbitmq.stop()
    rabbitmq.start()
    assert (await node.send(4))[0] == "Success", "the old connection is found dead, and replaced"
    node.stop()


# mqtt --------------------------------------------------------------------------------------------
class Subscriber:
    """Eclipse Paho, listening to everything."""

    def __init__(self, port: int) -> None:
        self.messages: list[Any] = []
        ready: list[bool] = []
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="subscriber")
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.on_subscribe = lambda *_: ready.append(True)
        self._client.on_message = lambda _, __, message: self.messages.append(message)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        wait_for(lambda: bool(ready), 10.0, "the subscription")

    def take(self, count: int) -> list[Any]:
        wait_for(lambda: len(self.messages) >= count, 10.0, "the messages")
        return self.messages

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.mark.slow
@pytest.mark.parametrize("version", ["MQTT_3_1", "MQTT_3_1_1", "MQTT_5"])
async def test_mosquitto_has_the_message(tmp_path: Path, version: str) -> None:
    with brokers.mosquitto(tmp_path) as broker:
        subscriber = Subscriber(broker.port)
        node = NodeBench(
            "mqtt.TbMqttNode",
            {
                "topicPattern": "a/${b}",
                "host": "127.0.0.1",
                "port": broker.port,
                "protocolVersion": version,
                "parseToPlainText": True,
            },
        )
        assert (await node.send({"n": 1}, {"b": "x"}))[0] == "Success"
        assert (await node.send("plain", {"b": "y"}))[0] == "Success"
        got = [(one.topic, one.payload, one.qos) for one in subscriber.take(2)]
        node.stop()
        subscriber.stop()
    assert got == [("a/x", b'{"n":1}', 1), ("a/y", b"plain", 1)]


@pytest.mark.parametrize(
    ("kind", "configuration", "reason"),
    [
        ("kafka.TbKafkaNode", {"bootstrapServers": "localhost:9092"}, "topic"),
        ("kafka.TbKafkaNode", {"topicPattern": "t"}, "bootstrap servers"),
        (
            "kafka.TbKafkaNode",
            {"topicPattern": "t", "bootstrapServers": "h:1", "otherProperties": {"no.such": "1"}},
            "no.such",
        ),
        (
            "kafka.TbKafkaNode",
            {"topicPattern": "t", "bootstrapServers": "h:1", "kafkaHeadersCharset": "x-no"},
            "charset",
        ),
        ("rabbitmq.TbRabbitMqNode", {"messageProperties": "LOUD"}, "'LOUD' are undefined"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(
    kind: str, configuration: dict[str, Any], reason: str
) -> None:
    node = NodeBench(kind, configuration).node
    assert node.refusal is not None
    assert reason in node.refusal


@pytest.mark.parametrize(
    ("kind", "where", "library", "extra"),
    [
        (
            "kafka.TbKafkaNode",
            {"topicPattern": "t", "bootstrapServers": "localhost:1"},
            "confluent_kafka",
            "kafka",
        ),
        ("rabbitmq.TbRabbitMqNode", {"host": "localhost", "port": 1}, "pika", "rabbitmq"),
    ],
)
def test_without_its_library_a_node_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, kind: str, where: dict[str, Any], library: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    node = NodeBench(kind, where).node
    assert node.refusal is not None
    assert f"pip install edge-appliance[{extra}]" in node.refusal
