"""rabbitmq: publish the message's data to an exchange (spec §3.6)."""

from __future__ import annotations

from appliance.model.message import Message
from appliance.rules.context import Context
from appliance.rules.messages import with_metadata
from appliance.rules.node import PACKAGE, NodeConfig, NodeFactory, NodeHandle, require
from appliance.rules.patterns import Pattern
from appliance.rules.values import encode_json
from plugins.rules_external.amqp_client import PROPERTIES, AmqpServer, Publisher, PublishFailed


class RabbitConfig(NodeConfig, frozen=True, kw_only=True):
    """exchange_name_pattern, routing_key_pattern: patterns; no exchange is the default one, where
    the routing key names a queue. message_properties: one of PROPERTIES. Timeouts in ms."""

    exchange_name_pattern: str = ""
    routing_key_pattern: str = ""
    message_properties: str | None = None
    host: str = "localhost"
    port: int = 5672
    virtual_host: str = "/"
    username: str = "guest"
    password: str = "guest"
    automatic_recovery_enabled: bool = False
    connection_timeout: int = 60_000
    handshake_timeout: int = 10_000
    client_properties: dict[str, str] = {}


class RabbitPublish:
    """rabbitmq: Success when the broker has confirmed. Connects when it is needed, and again."""

    def __init__(self, config: RabbitConfig, node: NodeHandle) -> None:
        properties = config.message_properties or "MINIMAL_BASIC"
        require(properties in PROPERTIES, f"message properties {properties!r} are undefined")
        require(0 < config.port < 65_536, "the port must be 1 .. 65535")
        self._exchange = Pattern(config.exchange_name_pattern)
        self._routing_key = Pattern(config.routing_key_pattern)
        self._properties = PROPERTIES[properties]
        self._publisher = Publisher(_server(config))

    async def process(self, message: Message, ctx: Context) -> None:
        """Publish; Failure with the reason in metadata `error`."""
        try:
            await self._publisher.publish(
                self._exchange.fill(message),
                self._routing_key.fill(message),
                encode_json(message.data),
                self._properties,
            )
        except PublishFailed as error:
            metadata = {**message.metadata, "error": str(error)}
            ctx.failure(with_metadata(message, metadata), str(error))
        else:
            ctx.success(message)

    def stop(self) -> None:
        """Drop the connection."""
        self._publisher.close()


def _server(config: RabbitConfig) -> AmqpServer:
    return AmqpServer(
        host=config.host,
        port=config.port,
        virtual_host=config.virtual_host,
        username=config.username,
        password=config.password,
        connect_timeout_s=config.connection_timeout / 1000,
        handshake_timeout_s=config.handshake_timeout / 1000,
        client_properties=config.client_properties,
    )


RABBITMQ_NODES = (
    NodeFactory(
        PACKAGE + "rabbitmq.TbRabbitMqNode",
        "rabbitmq",
        RabbitConfig,
        RabbitPublish,
        note="needs the extra `rabbitmq`; Success when the broker has confirmed; connects when "
        "the first message comes, and again after a fault",
        outside=True,
    ),
)
