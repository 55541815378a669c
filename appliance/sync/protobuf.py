"""Protobuf's wire format: varints, fields, nothing about any message.

Only what proto3 writes: varint, fixed and length-delimited fields; groups are refused. Numbers
are at most 64 bits, ten bytes as a varint.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

VARINT: Final = 0
FIXED64: Final = 1
BYTES: Final = 2
FIXED32: Final = 5

_MASK_64 = (1 << 64) - 1
_SIGN_64 = 1 << 63


class MalformedWire(ValueError):
    """The bytes are not the message they should be."""


def _encode_varint(number: int) -> bytes:
    if not -_SIGN_64 <= number < _SIGN_64:
        raise OverflowError(f"{number} does not fit 64 bits")
    number &= _MASK_64
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


_PIECE = 1 << 14
_SHORT_VARINTS = tuple(_encode_varint(number) for number in range(_PIECE))
_BEGINNINGS = tuple(bytes((low & 0x7F | 0x80, low >> 7 | 0x80)) for low in range(_PIECE))
"""The first two bytes of a varint that goes on."""


def varint(number: int) -> bytes:
    """A varint; a negative number takes ten bytes, as int32 and int64 fields do."""
    if 0 <= number < _PIECE:
        return _SHORT_VARINTS[number]
    if 0 < number < _SIGN_64:  # a time of today is two pieces and an end
        return _BEGINNINGS[number & _PIECE - 1] + varint(number >> 14)
    return _encode_varint(number)


def varint_size(number: int) -> int:
    """How many bytes `varint` gives."""
    return 10 if number < 0 else max(1, (number.bit_length() + 6) // 7)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """(unsigned number, position behind it). Raises MalformedWire."""
    number = shift = 0
    try:
        while shift < 70:
            byte = data[at]
            at += 1
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number & _MASK_64, at
            shift += 7
    except IndexError:
        raise MalformedWire("the message ends inside a number") from None
    raise MalformedWire("a number of more than ten bytes")


def signed(number: int) -> int:
    """An unsigned varint read as int64."""
    return number - (1 << 64) if number & _SIGN_64 else number


def signed_32(number: int) -> int:
    """An unsigned varint read as int32 or enum: the low 32 bits, as protobuf does."""
    low = number & 0xFFFFFFFF
    return low - (1 << 32) if low & 0x80000000 else low


def delimited(number: int, body: bytes) -> bytes:
    """One length-delimited field."""
    return b"".join((varint(number << 3 | BYTES), varint(len(body)), body))


def delimited_size(number: int, body_size: int) -> int:
    """How many bytes `delimited` gives for a body of that size."""
    return varint_size(number << 3) + varint_size(body_size) + body_size


def number_field(number: int, value: int) -> bytes:
    """One varint field, written even where the value is the default 0."""
    return varint(number << 3 | VARINT) + varint(value)


def fields(data: bytes) -> Iterator[tuple[int, int, int | bytes, bytes]]:
    """Every field of a message: (number, wire type, value, the whole field as it came).

    The value is an unsigned int of a varint, else bytes (8 or 4 of them for the fixed types).
    Raises MalformedWire, also for groups, which proto3 does not have.
    """
    at, end = 0, len(data)
    while at < end:
        start = at
        tag, at = read_varint(data, at)
        value: int | bytes
        kind = tag & 7
        if kind == VARINT:
            value, at = read_varint(data, at)
        else:
            size, at = size_of(data, at, kind)
            value = data[at : at + size]
            at += size
        if at > end or not tag >> 3:
            raise MalformedWire("a field reaches beyond its message")
        yield tag >> 3, kind, value, data[start:at]


def size_of(data: bytes, at: int, kind: int) -> tuple[int, int]:
    """(bytes the value of a field that is no varint takes, position where it begins)."""
    if kind == BYTES:
        return read_varint(data, at)
    if kind == FIXED64:
        return 8, at
    if kind == FIXED32:
        return 4, at
    raise MalformedWire(f"wire type {kind}")


def text(value: int | bytes) -> str:
    """A string field; bytes that are not UTF-8 become U+FFFD rather than end the stream."""
    if isinstance(value, int):
        raise MalformedWire("a number where text belongs")
    return str(value, "utf-8", "replace")


def skip(data: bytes, at: int) -> int:
    """Position behind the field at `at`."""
    tag, at = read_varint(data, at)
    if tag & 7 == VARINT:
        return read_varint(data, at)[1]
    size, at = size_of(data, at, tag & 7)
    return at + size
