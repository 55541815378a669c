"""The data types of MQTT on the wire: integers, strings, binary, properties.

`Reader` consumes one packet's body; whatever it cannot read raises MalformedPacket. Text that
is not UTF-8 is read with U+FFFD: a topic made of it is unknown, not deadly, as with a real edge.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from plugins.ingest_mqtt.packets import MalformedPacket, Properties, Reason

VARINT_MAX = 268_435_455
"""The largest variable byte integer: four bytes."""


class Property(IntEnum):
    """Identifiers of the MQTT 5 properties (MQTT 5 §2.2.2.2)."""

    PAYLOAD_FORMAT = 0x01
    MESSAGE_EXPIRY = 0x02
    CONTENT_TYPE = 0x03
    RESPONSE_TOPIC = 0x08
    CORRELATION_DATA = 0x09
    SUBSCRIPTION_ID = 0x0B
    SESSION_EXPIRY = 0x11
    ASSIGNED_CLIENT_ID = 0x12
    SERVER_KEEP_ALIVE = 0x13
    AUTHENTICATION_METHOD = 0x15
    AUTHENTICATION_DATA = 0x16
    REQUEST_PROBLEM_INFORMATION = 0x17
    WILL_DELAY = 0x18
    REQUEST_RESPONSE_INFORMATION = 0x19
    RESPONSE_INFORMATION = 0x1A
    SERVER_REFERENCE = 0x1C
    REASON_STRING = 0x1F
    RECEIVE_MAXIMUM = 0x21
    TOPIC_ALIAS_MAXIMUM = 0x22
    TOPIC_ALIAS = 0x23
    MAXIMUM_QOS = 0x24
    RETAIN_AVAILABLE = 0x25
    USER_PROPERTY = 0x26
    MAXIMUM_PACKET_SIZE = 0x27
    WILDCARD_AVAILABLE = 0x28
    SUBSCRIPTION_IDS_AVAILABLE = 0x29
    SHARED_AVAILABLE = 0x2A


_BYTES = {0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A}
_UINT16 = {0x13, 0x21, 0x22, 0x23}
_UINT32 = {0x02, 0x11, 0x18, 0x27}
_TEXTS = {0x03, 0x08, 0x12, 0x15, 0x1A, 0x1C, 0x1F}
_BINARIES = {0x09, 0x16}
_REPEATED = {Property.SUBSCRIPTION_ID, Property.USER_PROPERTY}
"""May come several times; their value is a tuple of all."""


class Reader:
    """A packet's body, read from front to back."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    @property
    def left(self) -> int:
        return len(self.data) - self.at

    def take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self.data):
            raise MalformedPacket("a packet ends inside a field")
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def rest(self) -> bytes:
        return self.take(self.left)

    def uint8(self) -> int:
        return self.take(1)[0]

    def uint16(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def packet_id(self) -> int:
        packet_id = self.uint16()
        if packet_id == 0:
            raise MalformedPacket("packet identifier 0", Reason.PROTOCOL_ERROR)
        return packet_id

    def binary(self) -> bytes:
        return self.take(self.uint16())

    def text(self) -> str:
        return self.binary().decode("utf-8", "replace")

    def varint(self) -> int:
        value = 0
        for shift in (0, 7, 14, 21):
            byte = self.uint8()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise MalformedPacket("a length of more than four bytes")

    def properties(self) -> Properties:
        size = self.varint()
        if size == 0:
            return {}
        block = Reader(self.take(size))
        found: Properties = {}
        while block.left:
            identifier = block.varint()
            value = block.property_value(identifier)
            if identifier in _REPEATED:
                found[identifier] = (*found.get(identifier, ()), value)
            elif identifier in found:
                raise MalformedPacket(f"property {identifier} twice", Reason.PROTOCOL_ERROR)
            else:
                found[identifier] = value
        return found

    def property_value(self, identifier: int) -> Any:
        if identifier in _BYTES:
            return self.uint8()
        if identifier in _UINT16:
            return self.uint16()
        if identifier in _UINT32:
            return int.from_bytes(self.take(4), "big")
        if identifier in _TEXTS:
            return self.text()
        if identifier in _BINARIES:
            return self.binary()
        if identifier == Property.SUBSCRIPTION_ID:
            return self.varint()
        if identifier == Property.USER_PROPERTY:
            return self.text(), self.text()
        raise MalformedPacket(f"unknown property {identifier}")


def uint16(value: int) -> bytes:
    return value.to_bytes(2, "big")


def binary(value: bytes) -> bytes:
    return len(value).to_bytes(2, "big") + value


def text(value: str) -> bytes:
    return binary(value.encode())


def varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def properties(values: Properties) -> bytes:
    """The block with its length in front; repeated properties are given as tuples."""
    block = bytearray()
    for identifier, value in values.items():
        for one in value if identifier in _REPEATED else (value,):
            block += varint(identifier) + _property_value(identifier, one)
    return varint(len(block)) + bytes(block)


def _property_value(identifier: int, value: Any) -> bytes:
    if identifier in _BYTES:
        return bytes((value,))
    if identifier in _UINT16:
        return uint16(value)
    if identifier in _UINT32:
        return int(value).to_bytes(4, "big")
    if identifier in _TEXTS:
        return text(value)
    if identifier in _BINARIES:
        return binary(value)
    if identifier == Property.SUBSCRIPTION_ID:
        return varint(value)
    return text(value[0]) + text(value[1])
