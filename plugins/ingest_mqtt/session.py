"""One connection as a state machine: bytes in, actions out; no I/O, no clock.

Phases: NEW until CONNECT (other packets are kept, 100 or one packet's size of them, and are
served after it), ASKING while credentials are checked, OPEN, CLOSED. Within a session answers
leave in the order in which packets came, because actions are performed in order.

Where it differs from a broker, and from the standard, it follows ThingsBoard's own listener
(spec/device-and-rest-api.md §2, recordings): session-present mirrors "not clean" though nothing
is stored, a second CONNECT is answered, topics and filters are the fixed ones of topics.py.
Better than the reference on purpose: QoS 2 is the real handshake (a repeated PUBLISH is taken
once), an unknown topic is refused in version 5 (0x90), and either way told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Any

import msgspec

from appliance.extension.ports import DeviceSession
from appliance.model.telemetry import Value
from appliance.payload import PayloadError
from plugins.ingest_mqtt import actions, packets
from plugins.ingest_mqtt.actions import Action, Authenticate, Close, Receipt, Send, Tell
from plugins.ingest_mqtt.codec import Frame, FrameReader, decode, encode
from plugins.ingest_mqtt.downlinks import Downlinks, NoRoom, Request
from plugins.ingest_mqtt.events import MqttPayloadRefused, MqttProtocolViolated, MqttTopicUnknown
from plugins.ingest_mqtt.fields import Property
from plugins.ingest_mqtt.gateway_requests import NAMES
from plugins.ingest_mqtt.packets import MalformedPacket, Packet, Reason, Version
from plugins.ingest_mqtt.publishes import action_of
from plugins.ingest_mqtt.topics import (
    ATTRIBUTE_FILTERS,
    FILTERS,
    GATEWAY,
    OTA_ERROR,
    PROVISION_RESPONSE,
    RPC_FILTERS,
    Kind,
    route,
)

EARLY_PACKETS_MAX = 100
"""Packets kept before CONNECT (ThingsBoard: MQTT_MSG_QUEUE_SIZE_PER_DEVICE_LIMIT)."""

PROVISION_NAME = "provision"

_RETURN_CODES = {
    Reason.UNSUPPORTED_VERSION: 1,
    Reason.CLIENT_ID_INVALID: 2,
    Reason.SERVER_UNAVAILABLE: 3,
}
"""CONNACK of version 3; every other refusal is 5, not authorized."""


class Phase(Enum):
    """Where a connection stands."""

    NEW = auto()
    ASKING = auto()
    OPEN = auto()
    CLOSED = auto()


class Session:
    """The state of one connection.

    device: who speaks, once proven. provisioning: it may only ask for credentials.
    """

    def __init__(self, peer: str, packet_bytes_max: int, *, type_cast: bool = True) -> None:
        self.peer = peer
        self.phase = Phase.NEW
        self.version = Version.V3_1_1
        self.device: DeviceSession | None = None
        self.provisioning = False
        self._client_id = ""
        self._clean = True
        self._type_cast = type_cast
        self._packet_bytes_max = packet_bytes_max
        self._reader = FrameReader(packet_bytes_max)
        self._frames: deque[Frame] = deque()
        self._early: list[Frame] = []
        self._granted: dict[str, int] = {}
        self._qos_2_taken: set[int] = set()
        self._downlinks = Downlinks()

    @property
    def name(self) -> str:
        """Who speaks, for people."""
        return self.device.name if self.device else self._client_id or "an unknown client"

    # input ---------------------------------------------------------------------------------------
    def receive(self, data: bytes) -> list[Action]:
        """What follows from bytes of the device."""
        self._frames.extend(self._reader.feed(data))
        return self._advance([])

    def authenticated(
        self, device: DeviceSession | None, refusal: Reason | None = None
    ) -> list[Action]:
        """The answer to `Authenticate`. refusal: why not, where it is not the credentials."""
        if device is None:
            return self._refuse_connect(refusal or Reason.BAD_CREDENTIALS)
        self.device = device
        return self._advance(self._accept_connect())

    def accepted(self, receipt: Receipt) -> bytes:
        """The acknowledgement of a publish that is durable; nothing for QoS 0."""
        if receipt.qos == 0:
            return b""
        if receipt.qos == 1:
            return b"\x40\x02" + receipt.packet_id.to_bytes(2, "big")
        return encode(packets.PubRec(receipt.packet_id), self.version)

    def refused(self, receipt: Receipt, reason: str) -> list[Action]:
        """A publish can never be taken: say so in version 5, close in version 3 (§2.5)."""
        event = MqttPayloadRefused(device=self.name, topic=receipt.topic, reason=reason)
        if self.version == Version.V5 and receipt.qos:
            return [Tell(event), self._negative(receipt, Reason.PAYLOAD_INVALID)]
        return [Tell(event), *self.end(Reason.PAYLOAD_INVALID, f"payload refused: {reason}")]

    def end(self, reason: Reason, text: str) -> list[Action]:
        """Close the connection for a reason that version 5 is told."""
        if self.phase is Phase.CLOSED:
            return []
        was_open, self.phase = self.phase is Phase.OPEN, Phase.CLOSED
        self._frames.clear()
        if was_open and self.version == Version.V5:
            return [Send(encode(packets.Disconnect(reason), self.version)), Close(text)]
        return [Close(text)]

    # output to the device ------------------------------------------------------------------------
    def publish(self, topic: str, body: Any, request: Request | None = None) -> bytes:
        """A publish, with the QoS subscribed or 1. Raises NoRoom.

        request: what its acknowledgement delivers.
        """
        granted = self._granted.get(topic)
        if granted is None:
            granted = self._granted.get(topic.rpartition("/")[0] + "/+", 1)
        payload = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return self._downlinks.publish(topic, payload, granted, self.version, request)

    def push_attributes(self, updated: dict[str, Value], deleted: Sequence[str]) -> bytes:
        """Shared attributes changed; nothing if the device did not subscribe. Raises NoRoom."""
        topic = self._last_granted(ATTRIBUTE_FILTERS)
        if topic is None:
            return b""
        body = {**updated, "deleted": list(deleted)} if deleted else updated
        return self.publish(topic, body)

    def push_rpc(self, request_id: int, method: str, params: Any) -> bytes | None:
        """A request for the device; None if it did not subscribe. Raises NoRoom."""
        name = self._last_granted(RPC_FILTERS)
        if name is None or self.device is None:
            return None
        topic = name.replace("+", str(request_id))
        return self.publish(topic, {"method": method, "params": params}, (self.device, request_id))

    def _last_granted(self, filters: set[str]) -> str | None:
        """The filter subscribed last decides between long and short topics."""
        return next((name for name in reversed(self._granted) if name in filters), None)

    # packets -------------------------------------------------------------------------------------
    def _advance(self, out: list[Action]) -> list[Action]:
        try:
            while self._frames and self.phase in (Phase.NEW, Phase.OPEN):
                self._serve(self._frames.popleft(), out)
            if self._reader.broken and self.phase in (Phase.NEW, Phase.OPEN):
                raise self._reader.broken
        except MalformedPacket as error:
            reason = str(error)
            event = MqttProtocolViolated(device=self.name, peer=self.peer, reason=reason)
            if error.reason == Reason.UNSUPPORTED_VERSION and self.phase is Phase.NEW:
                out.append(Send(encode(packets.ConnAck(1), Version.V3_1_1)))
            out += [Tell(event), *self.end(error.reason, reason)]
        return out

    def _serve(self, frame: Frame, out: list[Action]) -> None:
        if self.phase is Phase.NEW and frame[0] >> 4 != 1:
            self._keep_early(frame)
            return
        packet = decode(frame, self.version)
        if isinstance(packet, packets.Publish):
            self._on_publish(packet, out)
            return
        handler = _HANDLERS.get(type(packet))
        if handler is None:
            raise MalformedPacket(f"a client must not send packet type {frame[0] >> 4}")
        out += handler(self, packet)

    def _keep_early(self, frame: Frame) -> None:
        self._early.append(frame)
        size = sum(len(body) for _, body in self._early)
        if len(self._early) > EARLY_PACKETS_MAX or size > self._packet_bytes_max:
            raise MalformedPacket("too much before CONNECT", Reason.QUOTA_EXCEEDED)

    def _on_connect(self, packet: packets.Connect) -> list[Action]:
        self.version, self._client_id, self._clean = packet.version, packet.client_id, packet.clean
        wanted = packet.properties
        self._downlinks.receive_maximum = wanted.get(Property.RECEIVE_MAXIMUM, 65535) or 65535
        self._downlinks.packet_bytes_max = wanted.get(Property.MAXIMUM_PACKET_SIZE, 0)
        self.phase = Phase.ASKING
        if Property.AUTHENTICATION_METHOD in wanted:
            return self._refuse_connect(Reason.BAD_AUTHENTICATION_METHOD)
        self.provisioning = PROVISION_NAME in (packet.username, packet.client_id)
        if self.provisioning:
            return self._accept_connect()
        password = packet.password.decode("utf-8", "replace") if packet.password else None
        return [Authenticate(packet.client_id or None, packet.username, password)]

    def _accept_connect(self) -> list[Action]:
        self.phase = Phase.OPEN
        self._frames.extendleft(reversed(self._early))
        self._early.clear()
        assigned: packets.Properties = {}
        if self.version == Version.V5 and not self._client_id:
            self._client_id = f"assigned-{id(self):x}"
            assigned = {Property.ASSIGNED_CLIENT_ID: self._client_id}
        answer = packets.ConnAck(0, not self._clean, assigned)
        return [Send(encode(answer, self.version))]

    def _refuse_connect(self, reason: Reason) -> list[Action]:
        """Version 5 is also sent a DISCONNECT, as a real edge does."""
        self.phase = Phase.CLOSED
        if self.version != Version.V5:
            answer = encode(packets.ConnAck(_RETURN_CODES.get(reason, 5)), self.version)
            return [Send(answer), Close("refused")]
        answer = encode(packets.ConnAck(reason), self.version)
        return [Send(answer + encode(packets.Disconnect(reason), self.version)), Close("refused")]

    def _on_publish(self, packet: packets.Publish, out: list[Action]) -> None:
        receipt = Receipt(packet.qos, packet.packet_id, packet.topic)
        if packet.properties and Property.TOPIC_ALIAS in packet.properties:
            raise MalformedPacket("topic aliases are not offered", Reason.TOPIC_ALIAS_INVALID)
        if packet.qos == 2:
            if packet.packet_id in self._qos_2_taken:
                out.append(Send(self.accepted(receipt)))
                return
            self._qos_2_taken.add(packet.packet_id)
        try:
            action = self._publish_action(packet, receipt, out)
        except PayloadError as error:
            out += self.refused(receipt, str(error))
            return
        if action is not None and not (out and _joined(out[-1], action)):
            out.append(action)

    def _publish_action(
        self, packet: packets.Publish, receipt: Receipt, out: list[Action]
    ) -> Action | None:
        where = route(packet.topic)
        if (
            self.provisioning != (where is not None and where.kind is Kind.PROVISION)
            or where is None
        ):
            out += self._unknown_topic(receipt)
        elif where.kind is Kind.OTA_CHUNK:
            out += self._no_package()
        elif where.kind is Kind.GATEWAY and not (self.device and self.device.is_gateway):
            out.append(Tell(MqttTopicUnknown(device=self.name, topic=packet.topic)))
        elif where.kind is Kind.GATEWAY and packet.topic.removeprefix(GATEWAY) not in NAMES:
            out += self._unknown_topic(receipt)
        else:
            return action_of(packet, where, receipt, type_cast=self._type_cast)
        return None

    def _no_package(self) -> list[Action]:
        """No package is ever assigned here; the device is told on the error topic (§2.4)."""
        try:
            answer = [Send(self.publish(OTA_ERROR, b"NOT_FOUND"))]
        except NoRoom:
            answer = []
        return [*answer, *self._close("no OTA package")]

    def _unknown_topic(self, receipt: Receipt) -> list[Action]:
        """Acknowledged in version 3, which knows no refusal; a provisioning session ends."""
        out: list[Action] = [Tell(MqttTopicUnknown(device=self.name, topic=receipt.topic))]
        if self.version == Version.V5 and receipt.qos:
            out.append(self._negative(receipt, Reason.TOPIC_INVALID))
        elif not self.provisioning and receipt.qos:
            out.append(Send(self.accepted(receipt)))
        return out + (self._close("not provisioning") if self.provisioning else [])

    def _negative(self, receipt: Receipt, reason: Reason) -> Send:
        self._qos_2_taken.discard(receipt.packet_id)
        kind = packets.PubAck if receipt.qos == 1 else packets.PubRec
        return Send(encode(kind(receipt.packet_id, reason), self.version))

    def _close(self, reason: str) -> list[Action]:
        self.phase = Phase.CLOSED
        self._frames.clear()
        return [Close(reason)]

    def _on_pubrel(self, packet: packets.PubRel) -> list[Action]:
        known = packet.packet_id in self._qos_2_taken
        self._qos_2_taken.discard(packet.packet_id)
        reason = Reason.SUCCESS if known else Reason.PACKET_ID_UNKNOWN
        return [Send(encode(packets.PubComp(packet.packet_id, reason), self.version))]

    def _on_puback(self, packet: packets.PubAck) -> list[Action]:
        request, released = self._downlinks.acknowledged(packet.packet_id)
        out: list[Action] = [Send(released)] if released else []
        if request is not None and packet.reason < 0x80:
            out.append(actions.RpcDelivered(*request))
        return out

    def _on_subscribe(self, packet: packets.Subscribe) -> list[Action]:
        codes = [self._grant(name, options & 3) for name, options in packet.filters]
        answer = packets.SubAck(packet.packet_id, tuple(codes))
        wanted = {name for name, _ in packet.filters}
        return [Send(encode(answer, self.version)), *self._subscribed(wanted)]

    def _grant(self, name: str, qos: int) -> int:
        known = name == PROVISION_RESPONSE if self.provisioning else name in FILTERS
        if not known:
            return Reason.FILTER_INVALID if self.version == Version.V5 else 0x80
        self._granted.pop(name, None)  # the last one subscribed stands last
        self._granted[name] = min(qos, 1)
        return self._granted[name]

    def _on_unsubscribe(self, packet: packets.Unsubscribe) -> list[Action]:
        codes = [self._leave(name) for name in packet.filters]
        in_answer = tuple(codes) if self.version == Version.V5 else ()
        answer = encode(packets.UnsubAck(packet.packet_id, in_answer), self.version)
        return [Send(answer), *self._subscribed(set(packet.filters))]

    def _leave(self, name: str) -> int:
        if self._granted.pop(name, None) is not None:
            return Reason.SUCCESS
        return Reason.NO_SUBSCRIPTION if name in FILTERS else Reason.FILTER_INVALID

    def _subscribed(self, touched: set[str]) -> list[Action]:
        if self.provisioning or not touched & (ATTRIBUTE_FILTERS | RPC_FILTERS):
            return []
        granted = self._granted.keys()
        return [actions.Subscribed(bool(granted & ATTRIBUTE_FILTERS), bool(granted & RPC_FILTERS))]

    def _on_pingreq(self, _: packets.PingReq) -> list[Action]:
        return [Send(b"\xd0\x00")]

    def _on_disconnect(self, _: packets.Disconnect) -> list[Action]:
        """Version 5 is answered, as a real edge does."""
        return self.end(Reason.SUCCESS, "the device left")

    def _on_auth(self, _: packets.Auth) -> list[Action]:
        raise MalformedPacket("AUTH is not offered", Reason.PROTOCOL_ERROR)


def _joined(last: Action, action: Action) -> bool:
    """Whether telemetry went to the telemetry before it, so that one wait serves both."""
    if isinstance(last, actions.PostTelemetry) and isinstance(action, actions.PostTelemetry):
        last.messages.extend(action.messages)
        return True
    if isinstance(last, actions.GatewayTelemetry) and isinstance(action, actions.GatewayTelemetry):
        last.messages.extend(action.messages)
        return True
    return False


_HANDLERS: dict[type[Packet], Callable[[Session, Any], list[Action]]] = {
    packets.Connect: Session._on_connect,
    packets.PubRel: Session._on_pubrel,
    packets.PubAck: Session._on_puback,
    packets.Subscribe: Session._on_subscribe,
    packets.Unsubscribe: Session._on_unsubscribe,
    packets.PingReq: Session._on_pingreq,
    packets.Disconnect: Session._on_disconnect,
    packets.Auth: Session._on_auth,
}

__all__ = ["NoRoom", "Phase", "Session"]
