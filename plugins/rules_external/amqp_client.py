"""A publisher for AMQP 0-9-1: pika on a worker thread.

One connection, opened at the first message and again after any fault; one message at a time, each
confirmed by the broker before the next. pika's connection belongs to one thread at a time: the
lock sees to that, and a wait that is given up gives up the connection with it, which its thread
then closes by itself. Limits: `CONFIRM_TIMEOUT_S` for all of one message. Between messages nobody
answers heartbeats, so an idle connection is closed by the broker after two of them and opened
anew by the next message.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import msgspec
import trio

from plugins.rules_external.clients import client_library

CONFIRM_TIMEOUT_S = 15.0
"""Shorter than the engine's 20 s for all waiting nodes of a message."""
HEARTBEAT_S = 30
"""A thread that waits for a dead broker's word ends after two of these."""

PROPERTIES: dict[str, dict[str, Any]] = {
    "MINIMAL_BASIC": {},
    "MINIMAL_PERSISTENT_BASIC": {"delivery_mode": 2},
    "BASIC": {"content_type": "application/octet-stream", "delivery_mode": 1, "priority": 0},
    "PERSISTENT_BASIC": {
        "content_type": "application/octet-stream",
        "delivery_mode": 2,
        "priority": 0,
    },
    "TEXT_PLAIN": {"content_type": "text/plain", "delivery_mode": 1, "priority": 0},
    "PERSISTENT_TEXT_PLAIN": {"content_type": "text/plain", "delivery_mode": 2, "priority": 0},
}
"""Message properties by the names that RabbitMQ's Java client gives them."""


class PublishFailed(Exception):
    """The broker has not confirmed the message: the text says why."""


class AmqpServer(msgspec.Struct, frozen=True):
    """Where and as whom to connect."""

    host: str
    port: int
    virtual_host: str
    username: str
    password: str
    connect_timeout_s: float
    handshake_timeout_s: float
    client_properties: Mapping[str, str]


class Publisher:
    """Publishes with confirms over one connection."""

    def __init__(self, server: AmqpServer) -> None:
        """Raises ConfigError when the library is not installed."""
        self._pika = client_library("pika", "rabbitmq")
        self._server = server
        self._lock = trio.Lock()
        self._link: Link | None = None

    async def publish(
        self, exchange: str, routing_key: str, body: bytes, properties: Mapping[str, Any]
    ) -> None:
        """Return when the broker has it. Raises PublishFailed. Cancelled: it may yet arrive."""
        async with self._lock:
            link = self._link = self._link or Link(self._pika, self._server)
            confirmed = False
            try:
                with trio.fail_after(CONFIRM_TIMEOUT_S):
                    await trio.to_thread.run_sync(
                        link.publish,
                        exchange,
                        routing_key,
                        body,
                        properties,
                        abandon_on_cancel=True,
                    )
                confirmed = True
            except trio.TooSlowError:
                raise PublishFailed(f"no confirmation within {CONFIRM_TIMEOUT_S:g} s") from None
            finally:
                if not confirmed:
                    self.close()

    def close(self) -> None:
        """Let the connection go; returns at once."""
        link, self._link = self._link, None
        if link is not None:
            link.give_up()


class Link:
    """One connection as its thread sees it. Thread: `publish` on a worker, one at a time."""

    def __init__(self, pika: Any, server: AmqpServer) -> None:
        self._pika = pika
        self._server = server
        self._connection: Any = None
        self._channel: Any = None
        self._turn = threading.Lock()
        self._given_up = False

    def publish(
        self, exchange: str, routing_key: str, body: bytes, properties: Mapping[str, Any]
    ) -> None:
        """Blocks until the broker confirms. Raises PublishFailed."""
        with self._turn:
            try:
                self._publish(exchange, routing_key, body, properties)
            finally:
                if self._given_up:
                    self._close()

    def give_up(self) -> None:
        """Never to be used again: closes now, or when its thread comes back."""
        self._given_up = True
        if self._turn.acquire(blocking=False):
            try:
                self._close()
            finally:
                self._turn.release()

    def _publish(
        self, exchange: str, routing_key: str, body: bytes, properties: Mapping[str, Any]
    ) -> None:
        errors = self._pika.exceptions
        message = self._pika.BasicProperties(**properties)
        for attempt in range(2):
            fresh = self._channel is None
            try:
                if fresh:
                    self._open()
                self._channel.basic_publish(exchange, routing_key, body, message)
                return
            except errors.NackError:
                raise PublishFailed(f"{self._server.host} refused the message") from None
            except (errors.AMQPError, OSError) as error:
                self._close()
                stale = isinstance(error, errors.AMQPConnectionError | errors.ConnectionClosed)
                if attempt or fresh or not stale:
                    raise PublishFailed(f"{self._server.host}: {_reason(error)}") from None

    def _open(self) -> None:
        server = self._server
        self._connection = self._pika.BlockingConnection(
            self._pika.ConnectionParameters(
                host=server.host,
                port=server.port,
                virtual_host=server.virtual_host,
                credentials=self._pika.PlainCredentials(server.username, server.password),
                socket_timeout=max(server.connect_timeout_s, 0.001),
                stack_timeout=max(server.connect_timeout_s + server.handshake_timeout_s, 0.001),
                blocked_connection_timeout=CONFIRM_TIMEOUT_S,
                heartbeat=HEARTBEAT_S,
                client_properties=dict(server.client_properties) or None,
            )
        )
        self._channel = self._connection.channel()
        self._channel.confirm_delivery()

    def _close(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None and connection.is_open:
            try:
                connection.close()
            except (self._pika.exceptions.AMQPError, OSError):
                pass  # it is gone either way


def _reason(error: Exception) -> str:
    """The broker's own words where there are any; pika often wraps or leaves them out."""
    inner = getattr(error, "reply_text", None) or str(error)
    return inner or type(error).__name__
