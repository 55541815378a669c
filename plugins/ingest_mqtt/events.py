"""What happens on the MQTT port, for logs and metrics. Access tokens are never part of it."""

from __future__ import annotations

from typing import ClassVar

from appliance.kernel.events import Event


class MqttListening(Event, frozen=True, kw_only=True):
    """The port is open."""

    text: ClassVar[str] = "MQTT listens on {address} ({security})"
    address: str
    security: str


class MqttDeviceConnected(Event, frozen=True, kw_only=True):
    """A device proved who it is."""

    level: ClassVar[str] = "debug"
    text: ClassVar[str] = "{device} connected over MQTT {version} from {peer}"
    counters: ClassVar[dict[str, str]] = {"mqtt_connects": ""}
    device: str
    version: str
    peer: str


class MqttDeviceDisconnected(Event, frozen=True, kw_only=True):
    """A device's connection ended, for whatever reason."""

    level: ClassVar[str] = "debug"
    text: ClassVar[str] = "{device} disconnected: {reason}"
    counters: ClassVar[dict[str, str]] = {"mqtt_disconnects": ""}
    device: str
    reason: str


class MqttConnectRefused(Event, frozen=True, kw_only=True):
    """A CONNECT whose credentials nobody has, or that could not be looked up."""

    level: ClassVar[str] = "warning"
    text: ClassVar[str] = "refused client {client_id!r} from {peer}: {reason}"
    counters: ClassVar[dict[str, str]] = {"mqtt_connects_refused": ""}
    client_id: str
    peer: str
    reason: str


class MqttConnectionsFull(Event, frozen=True, kw_only=True):
    """No room for another connection; it was closed at once."""

    level: ClassVar[str] = "warning"
    text: ClassVar[str] = "closed a connection from {peer}: all {limit} places are taken"
    counters: ClassVar[dict[str, str]] = {"mqtt_connections_turned_away": ""}
    peer: str
    limit: int


class MqttProtocolViolated(Event, frozen=True, kw_only=True):
    """A peer sent what is not MQTT; it was disconnected."""

    level: ClassVar[str] = "warning"
    text: ClassVar[str] = "disconnected {device} ({peer}): {reason}"
    counters: ClassVar[dict[str, str]] = {"mqtt_protocol_violations": ""}
    device: str
    peer: str
    reason: str


class MqttPayloadRefused(Event, frozen=True, kw_only=True):
    """A message that can never be taken. A version 3 device is disconnected for it."""

    level: ClassVar[str] = "warning"
    text: ClassVar[str] = "refused a message of {device} on {topic}: {reason}"
    counters: ClassVar[dict[str, str]] = {"mqtt_messages_refused": ""}
    device: str
    topic: str
    reason: str


class MqttTopicUnknown(Event, frozen=True, kw_only=True):
    """A message to a topic that means nothing here; nothing of it was kept."""

    level: ClassVar[str] = "warning"
    text: ClassVar[str] = "{device} published to the unknown topic {topic!r}; nothing was kept"
    counters: ClassVar[dict[str, str]] = {"mqtt_messages_to_unknown_topics": ""}
    device: str
    topic: str


class MqttMessagesAccepted(Event, frozen=True, kw_only=True):
    """Messages of one portion are durable; those of QoS 1 and 2 are being acknowledged."""

    level: ClassVar[str] = "debug"
    text: ClassVar[str] = "took {messages} messages of {device}"
    counters: ClassVar[dict[str, str]] = {"mqtt_messages_accepted": "messages"}
    device: str
    messages: int


class MqttDeviceHeld(Event, frozen=True, kw_only=True):
    """The core cannot take messages now; the device waits without an acknowledgement."""

    level: ClassVar[str] = "warning"
    text: ClassVar[str] = "holding messages of {device}: {reason}"
    counters: ClassVar[dict[str, str]] = {"mqtt_messages_held": "messages"}
    device: str
    messages: int
    reason: str


class MqttDeviceTurnedAway(Event, frozen=True, kw_only=True):
    """Held too long: disconnected unacknowledged, so that the device sends again."""

    level: ClassVar[str] = "warning"
    text: ClassVar[str] = "disconnected {device} after holding {messages} messages: {reason}"
    counters: ClassVar[dict[str, str]] = {"mqtt_messages_turned_away": "messages"}
    device: str
    messages: int
    reason: str


class MqttDeviceTooSlow(Event, frozen=True, kw_only=True):
    """A device does not take what is sent to it; it was disconnected."""

    level: ClassVar[str] = "warning"
    text: ClassVar[str] = "disconnected {device}: {reason}"
    counters: ClassVar[dict[str, str]] = {"mqtt_slow_devices": ""}
    device: str
    reason: str


class MqttConnectionFailed(Event, frozen=True):
    """A connection ended by an error of ours; the others go on."""

    level: ClassVar[str] = "error"
    text: ClassVar[str] = "the connection of {peer} ended by an internal error: {error}"
    counters: ClassVar[dict[str, str]] = {"mqtt_connections_failed": ""}
    peer: str
    error: str
