"""A Kafka producer for Trio: confluent-kafka (librdkafka) on worker threads.

librdkafka does its own reconnecting, batching and retrying on threads of its own; what it needs
of us is somebody who polls for delivery reports. Whoever waits for a message polls, on a thread,
and serves everybody's reports by it; a report wakes its own waiter. Limits: `WAITERS_MAX` threads
of one node, and librdkafka's own queue (`buffer.memory`).

A wait that is cancelled leaves the message with librdkafka: it may still arrive (at least once).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import trio

from appliance.model.errors import ConfigError
from plugins.rules_external.clients import client_library

WAITERS_MAX = 16
"""Messages of one node in flight: as many originators wait at a time, each in its own order."""
POLL_S = 0.05
"""How long a report that another thread served can stay unseen by its waiter."""

Header = tuple[str, bytes]


class PublishFailed(Exception):
    """The brokers do not have the message: the text says why."""


class Place(msgspec.Struct, frozen=True):
    """Where a message has come to be."""

    topic: str
    partition: int
    offset: int


class Delivery:
    """What has become of one message; written by whichever thread polls."""

    __slots__ = ("done", "error", "place")

    def __init__(self) -> None:
        self.done = False
        self.error: str | None = None
        self.place: Place | None = None

    def report(self, error: Any, message: Any) -> None:
        """Delivery report of librdkafka."""
        if error is not None:
            self.error = error.str()
        else:
            self.place = Place(message.topic(), message.partition(), message.offset())
        self.done = True


class Producer:
    """Publishes and waits for the brokers' word."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        """Raises ConfigError: no library, or a setting that it does not know."""
        self._library = client_library("confluent_kafka", "kafka")
        self._limiter = trio.CapacityLimiter(WAITERS_MAX)
        self._closed = False
        try:
            # The library prints what it thinks of its connections; failures reach us as reports.
            self._producer = self._library.Producer({**settings, "log_level": "0"})
        except self._library.KafkaException as error:
            raise ConfigError(f"the Kafka client refuses: {error.args[0].str()}") from None

    async def publish(
        self, topic: str, key: bytes | None, value: bytes, headers: Sequence[Header]
    ) -> Place:
        """Return when the brokers have it. Raises PublishFailed. Cancelled: it may yet arrive."""
        delivery = Delivery()
        async with self._limiter:
            try:
                self._producer.produce(
                    topic, value, key, headers=list(headers), on_delivery=delivery.report
                )
            except BufferError:
                raise PublishFailed("too many messages wait for the brokers") from None
            except self._library.KafkaException as error:
                raise PublishFailed(error.args[0].str()) from None
            await trio.to_thread.run_sync(self._poll_until, delivery, abandon_on_cancel=True)
        if delivery.place is None:
            raise PublishFailed(delivery.error or "the node was stopped")
        return delivery.place

    def _poll_until(self, delivery: Delivery) -> None:
        while not delivery.done and not self._closed:
            self._producer.poll(POLL_S)

    def close(self) -> None:
        """Give up what waits; returns at once."""
        self._closed = True
        self._producer.purge()
