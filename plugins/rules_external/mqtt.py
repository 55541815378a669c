"""mqtt: publish the message's data (spec §10.3)."""

from __future__ import annotations

import secrets
from typing import Any, Literal

from appliance.model.message import Message
from appliance.rules.context import Context
from appliance.rules.messages import with_metadata
from appliance.rules.node import (
    PACKAGE,
    SERVICE_ID,
    NodeConfig,
    NodeFactory,
    NodeHandle,
    require,
)
from appliance.rules.patterns import Pattern
from appliance.rules.values import encode_json
from plugins.rules_external.credentials import Credentials
from plugins.rules_external.mqtt_client import Broker, Publisher, PublishFailed


class MqttConfig(NodeConfig, frozen=True, kw_only=True):
    """topic_pattern: a pattern. append_client_id_suffix: adds this service's name."""

    topic_pattern: str = ""
    host: str = ""
    port: int = 1883
    connect_timeout_sec: int = 10
    client_id: str | None = None
    append_client_id_suffix: bool = False
    retained_message: bool = False
    clean_session: bool = True
    ssl: bool = False
    parse_to_plain_text: bool = False
    protocol_version: Literal["MQTT_3_1", "MQTT_3_1_1", "MQTT_5"] = "MQTT_3_1"
    credentials: Credentials = Credentials()


class MqttPublish:
    """mqtt: Success when the broker has acknowledged. Connects when it is needed, and again."""

    def __init__(self, config: MqttConfig, node: NodeHandle) -> None:
        require(config.topic_pattern, "the topic is missing")
        require(config.host, "the host is missing")
        require(0 < config.port < 65_536, "the port must be 1 .. 65535")
        config.credentials.check()
        self._config = config
        self._topic = Pattern(config.topic_pattern)
        self._publisher = Publisher(_broker(config))

    async def process(self, message: Message, ctx: Context) -> None:
        """Publish; Failure with the reason in metadata `error`."""
        try:
            await self._publisher.publish(
                self._topic.fill(message),
                self._payload(message),
                retain=self._config.retained_message,
            )
        except PublishFailed as error:
            metadata = {**message.metadata, "error": str(error)}
            ctx.failure(with_metadata(message, metadata), str(error))
        else:
            ctx.success(message)

    def stop(self) -> None:
        """Drop the connection."""
        self._publisher.close()

    def _payload(self, message: Message) -> bytes:
        if self._config.parse_to_plain_text and isinstance(message.data, str):
            return message.data.encode()
        return encode_json(message.data)


def _broker(config: MqttConfig) -> Broker:
    client_id = config.client_id or f"edge-{secrets.token_hex(8)}"
    if config.client_id and config.append_client_id_suffix:
        client_id = f"{config.client_id}_{SERVICE_ID}"
    basic = config.credentials.type == "basic"
    return Broker(
        host=config.host,
        port=config.port,
        version=config.protocol_version,
        client_id=client_id,
        clean=config.clean_session,
        connect_timeout_s=max(config.connect_timeout_sec, 1),
        username=config.credentials.username if basic else None,
        password=config.credentials.password if basic else None,
        tls=config.credentials.tls if config.ssl else None,
    )


def _upgrade(config: dict[str, Any], version: int) -> dict[str, Any]:
    config.setdefault("protocolVersion", "MQTT_3_1")
    return config


MQTT_NODES = (
    NodeFactory(
        PACKAGE + "mqtt.TbMqttNode",
        "mqtt",
        MqttConfig,
        MqttPublish,
        version=2,
        upgrade=_upgrade,
        note="connects when the first message comes, and again after a fault",
        outside=True,
    ),
)
