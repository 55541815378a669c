"""kafka: publish the message's data to a topic (spec §10.4)."""

from __future__ import annotations

import codecs
from typing import Any

from appliance.model.message import Message
from appliance.rules.context import Context
from appliance.rules.messages import with_metadata
from appliance.rules.node import PACKAGE, NodeConfig, NodeFactory, NodeHandle, require
from appliance.rules.patterns import Pattern
from appliance.rules.values import encode_json
from plugins.rules_external.kafka_client import Header, Producer, PublishFailed
from plugins.rules_external.kafka_settings import librdkafka_settings

HEADER_PREFIX = "tb_msg_md_"


class KafkaConfig(NodeConfig, frozen=True, kw_only=True):
    """topic_pattern, key_pattern: patterns. other_properties: names of Kafka's Java client, which
    win over the fields here. linger in ms, batch_size and buffer_memory in bytes."""

    topic_pattern: str = ""
    key_pattern: str = ""
    bootstrap_servers: str = ""
    retries: int = 0
    batch_size: int = 0
    linger: int = 0
    buffer_memory: int = 0
    acks: str = "-1"
    other_properties: dict[str, str] = {}
    add_metadata_key_values_as_kafka_headers: bool = False
    kafka_headers_charset: str = "UTF-8"


class KafkaPublish:
    """kafka: Success with offset, partition and topic when the brokers have it as `acks` asks."""

    def __init__(self, config: KafkaConfig, node: NodeHandle) -> None:
        require(config.topic_pattern, "the topic is missing")
        require(config.bootstrap_servers, "the bootstrap servers are missing")
        self._headers = config.add_metadata_key_values_as_kafka_headers
        self._charset = _charset(config.kafka_headers_charset)
        self._topic = Pattern(config.topic_pattern)
        self._key = Pattern(config.key_pattern) if config.key_pattern else None
        client_id = f"producer-tb-kafka-node-{node.id}"
        self._producer = Producer(librdkafka_settings(_java_properties(config, client_id)))

    async def process(self, message: Message, ctx: Context) -> None:
        """Publish; Failure with the reason in metadata `error`."""
        key = None if self._key is None else self._key.fill(message).encode()
        try:
            at = await self._producer.publish(
                self._topic.fill(message), key, encode_json(message.data), self._sent(message)
            )
        except PublishFailed as error:
            metadata = {**message.metadata, "error": str(error)}
            ctx.failure(with_metadata(message, metadata), str(error))
        else:
            place = {"offset": str(at.offset), "partition": str(at.partition), "topic": at.topic}
            ctx.success(with_metadata(message, {**message.metadata, **place}))

    def stop(self) -> None:
        """Give up what waits and let the client go."""
        self._producer.close()

    def _sent(self, message: Message) -> list[Header]:
        if not self._headers:
            return []
        return [
            (HEADER_PREFIX + name, text.encode(self._charset, "replace"))
            for name, text in message.metadata.items()
        ]


def _java_properties(config: KafkaConfig, client_id: str) -> dict[str, str]:
    """What a server gives to its client, under the names that its client has."""
    own = {
        "client.id": client_id,
        "bootstrap.servers": config.bootstrap_servers,
        "acks": config.acks,
        "retries": str(config.retries),
        "linger.ms": str(config.linger),
    }
    if config.batch_size > 0:
        own["batch.size"] = str(config.batch_size)
    if config.buffer_memory > 0:
        own["buffer.memory"] = str(config.buffer_memory)
    return {**own, **config.other_properties}


def _charset(name: str) -> str:
    try:
        return codecs.lookup(name).name
    except LookupError:
        require(False, f"unknown charset {name!r}")
        raise


def _upgrade(config: dict[str, Any], version: int) -> dict[str, Any]:
    config.setdefault("keyPattern", None)
    return config


KAFKA_NODES = (
    NodeFactory(
        PACKAGE + "kafka.TbKafkaNode",
        "kafka",
        KafkaConfig,
        KafkaPublish,
        version=1,
        upgrade=_upgrade,
        note="needs the extra `kafka`; a message waits at most 10 s for the brokers unless "
        "`delivery.timeout.ms` says otherwise",
        outside=True,
    ),
)
