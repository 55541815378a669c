"""MQTT's control packets as plain data (MQTT 3.1, 3.1.1, 5; both directions)."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import msgspec

Properties = dict[int, Any]
"""MQTT 5 properties by identifier (properties.py); always empty in version 3."""


class Version(IntEnum):
    """Protocol level as CONNECT carries it."""

    V3_1 = 3
    V3_1_1 = 4
    V5 = 5


class Reason(IntEnum):
    """The MQTT 5 reason codes that this listener uses."""

    SUCCESS = 0x00
    NO_SUBSCRIPTION = 0x11
    MALFORMED_PACKET = 0x81
    PROTOCOL_ERROR = 0x82
    IMPLEMENTATION_ERROR = 0x83
    UNSUPPORTED_VERSION = 0x84
    CLIENT_ID_INVALID = 0x85
    BAD_CREDENTIALS = 0x86
    NOT_AUTHORIZED = 0x87
    SERVER_UNAVAILABLE = 0x88
    SERVER_STOPPING = 0x8B
    BAD_AUTHENTICATION_METHOD = 0x8C
    TAKEN_OVER = 0x8E
    FILTER_INVALID = 0x8F
    TOPIC_INVALID = 0x90
    PACKET_ID_UNKNOWN = 0x92
    TOPIC_ALIAS_INVALID = 0x94
    PACKET_TOO_LARGE = 0x95
    QUOTA_EXCEEDED = 0x97
    ADMINISTRATIVE = 0x98
    PAYLOAD_INVALID = 0x99
    CONNECT_TIME_EXCEEDED = 0xA0


class Will(msgspec.Struct, frozen=True):
    """The message that a broker would publish for a lost client; never published here."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    properties: Properties = {}


class Connect(msgspec.Struct, frozen=True):
    """clean: clean session (3) or clean start (5)."""

    client_id: str
    username: str | None = None
    password: bytes | None = None
    version: Version = Version.V3_1_1
    clean: bool = True
    keep_alive_s: int = 60
    will: Will | None = None
    properties: Properties = {}


class ConnAck(msgspec.Struct, frozen=True):
    """code: a return code of version 3 or a reason of version 5."""

    code: int = 0
    session_present: bool = False
    properties: Properties = {}


class Publish(msgspec.Struct):
    """packet_id: 0 with QoS 0."""

    topic: str
    payload: bytes
    qos: int = 0
    packet_id: int = 0
    dup: bool = False
    retain: bool = False
    properties: Properties = {}


class PubAck(msgspec.Struct, frozen=True):
    """QoS 1: taken (or, version 5, refused)."""

    packet_id: int
    reason: int = 0
    properties: Properties = {}


class PubRec(PubAck, frozen=True):
    """QoS 2, first answer."""


class PubRel(PubAck, frozen=True):
    """QoS 2, the sender lets go."""


class PubComp(PubAck, frozen=True):
    """QoS 2, done."""


class Subscribe(msgspec.Struct, frozen=True):
    """filters: (filter, options); the low two bits of options are the QoS wanted."""

    packet_id: int
    filters: tuple[tuple[str, int], ...]
    properties: Properties = {}


class SubAck(msgspec.Struct, frozen=True):
    """codes: one per filter, granted QoS or refusal."""

    packet_id: int
    codes: tuple[int, ...]
    properties: Properties = {}


class Unsubscribe(msgspec.Struct, frozen=True):
    """filters to leave."""

    packet_id: int
    filters: tuple[str, ...]
    properties: Properties = {}


class UnsubAck(msgspec.Struct, frozen=True):
    """codes: one per filter in version 5, none in version 3."""

    packet_id: int
    codes: tuple[int, ...] = ()
    properties: Properties = {}


class PingReq(msgspec.Struct, frozen=True):
    """Are you there?"""


class PingResp(msgspec.Struct, frozen=True):
    """Yes."""


class Disconnect(msgspec.Struct, frozen=True):
    """reason: version 5 only."""

    reason: int = 0
    properties: Properties = {}


class Auth(msgspec.Struct, frozen=True):
    """Version 5 only."""

    reason: int = 0
    properties: Properties = {}


Packet = (
    Connect
    | ConnAck
    | Publish
    | PubAck
    | PubRec
    | PubRel
    | PubComp
    | Subscribe
    | SubAck
    | Unsubscribe
    | UnsubAck
    | PingReq
    | PingResp
    | Disconnect
    | Auth
)


class MalformedPacket(Exception):
    """The bytes are not MQTT; the connection cannot go on. reason: what to tell version 5."""

    def __init__(self, message: str, reason: Reason = Reason.MALFORMED_PACKET) -> None:
        super().__init__(message)
        self.reason = reason
