"""The hot path's protobuf, by hand and without a library (spec/edge-protocol.md §2.7, §2.8).

Telemetry is encoded once, when it is committed, and from then on only concatenated: an outbox
event's body is one `TsKvListProto`, several of them framed one after the other are a
`PostTelemetryMsg`. What leaves here equals, byte for byte, what Google's serializer writes for the
same message, which a property test holds; so nobody can tell which way a message was made.

    TsKvListProto     1 ts int64, 2 repeated KeyValueProto
    PostAttributeMsg  1 repeated KeyValueProto
    KeyValueProto     1 key, 2 type, 3 bool, 4 long, 5 double, 6 string, 7 json

The value's Python type is its KeyValueType (model/telemetry.py). The type decides on reading too,
not the field that is present (§2.8); a type newer than ours falls back to the field that is there.

A device repeats its keys for ever, so the bytes in front of each value are remembered per key:
at most 4,096 keys of at most 255 characters for each of two messages, about 4 MB if all are full;
then the memory starts anew.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from typing import cast

import msgspec

from appliance.model.ids import EntityId, uuid_halves
from appliance.model.telemetry import Value
from appliance.sync.protobuf import (
    BYTES,
    MalformedWire,
    delimited,
    fields,
    number_field,
    read_varint,
    signed,
    skip,
    varint,
)

_KEYS_MAX = 4096
_KEY_CHARS_MAX = 255
_DOUBLE = struct.Struct("<d")
_POSITIVE_ZERO = _DOUBLE.pack(0.0)
_BOOLEAN, _LONG, _DOUBLE_TYPE, _STRING, _JSON = range(5)


# --- key values --------------------------------------------------------------------------------


def _utf8(value: str) -> bytes:
    # A lone surrogate has no UTF-8; a peer's parser would fail the whole stream over it.
    return value.encode("utf-8", "replace")


class _Heads:
    """What stands before each kind of value of one key; the outer tag is part of it."""

    __slots__ = ("double", "false", "json", "long", "string", "true", "zero_double", "zero_long")

    def __init__(self, tag: bytes, key: str) -> None:
        name = _utf8(key)
        inner = b"\x0a" + varint(len(name)) + name if name else b""
        self.false = tag + varint(len(inner)) + inner
        self.true = tag + varint(len(inner) + 2) + inner + b"\x18\x01"
        self.zero_long = tag + varint(len(inner) + 2) + inner + b"\x10\x01"
        self.zero_double = tag + varint(len(inner) + 2) + inner + b"\x10\x02"
        self.double = tag + varint(len(inner) + 11) + inner + b"\x10\x02\x29"
        self.long = inner + b"\x10\x01\x20"
        self.string = inner + b"\x10\x03"
        self.json = inner + b"\x10\x04"


class _KeyValues:
    """Encoder of a repeated KeyValueProto field with a given tag."""

    def __init__(self, number: int) -> None:
        self._tag = varint(number << 3 | BYTES)
        self._heads: dict[str, _Heads] = {}

    def encode(self, values: dict[str, Value], parts: list[bytes]) -> None:
        """Append every pair to parts."""
        known, tag = self._heads.get, self._tag
        append = parts.append
        for key, value in values.items():
            head = known(key) or self._learn(key)
            kind = type(value)
            if kind is float:
                packed = _DOUBLE.pack(cast(float, value))
                if packed == _POSITIVE_ZERO:
                    append(head.zero_double)
                else:
                    append(head.double)
                    append(packed)
            elif kind is int:
                number = cast(int, value)
                if number:
                    tail = varint(number)
                    append(tag + varint(len(head.long) + len(tail)) + head.long + tail)
                else:
                    append(head.zero_long)
            elif kind is bool:
                append(head.true if value else head.false)
            elif kind is str:
                tail = _utf8(cast(str, value))
                inner = head.string + b"\x32" + varint(len(tail)) + tail if tail else head.string
                append(tag + varint(len(inner)) + inner)
            else:
                tail = _json_text(value)
                inner = head.json + b"\x3a" + varint(len(tail)) + tail
                append(tag + varint(len(inner)) + inner)

    def _learn(self, key: str) -> _Heads:
        head = _Heads(self._tag, key)
        if len(key) <= _KEY_CHARS_MAX:
            if len(self._heads) >= _KEYS_MAX:
                self._heads.clear()
            self._heads[key] = head
        return head


def _json_text(value: Value) -> bytes:
    if not isinstance(value, dict | list):
        raise TypeError(f"not a telemetry value: {type(value).__name__}")
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:  # a lone surrogate somewhere inside: escaped, JSON can carry it
        return json.dumps(value, separators=(",", ":")).encode()


_HEAD_BYTES_MIN = 5
"""Tag and length of the key, tag and number of the type, tag of the value."""
_known_heads: dict[bytes, tuple[str, int]] = {}
"""What stood before a long or a double -> its key and type: a device repeats itself."""
_entry_pairs = _KeyValues(2)
_attribute_pairs = _KeyValues(1)


def encode_entry(ts: int, values: dict[str, Value]) -> bytes:
    """One moment's values as a `TsKvListProto`: the body of a telemetry event in the outbox.

    Args:
        ts: epoch milliseconds, signed 64 bits.
        values: at least one; ints within signed 64 bits.
    Raises:
        TypeError: a value that is none of `Value`'s types.
    """
    parts = [b"\x08" + varint(ts)] if ts else []
    _entry_pairs.encode(values, parts)
    return b"".join(parts)


def decode_entry(data: bytes) -> tuple[int, dict[str, Value]]:
    """(ts, values) of a `TsKvListProto`; of a key that occurs twice the last wins.

    Raises:
        MalformedWire: the bytes are something else.
    """
    ts = 0
    values: dict[str, Value] = {}
    at, end = 0, len(data)
    while at < end:
        tag = data[at]
        if tag == 0x12:
            size, at = read_varint(data, at + 1)
            if not _read_known(data, at, at + size, values):
                _decode_pair(data, at, at + size, values)
            at += size
        elif tag == 0x08:
            number, at = read_varint(data, at + 1)
            ts = signed(number)
        else:
            at = skip(data, at)
    if at > end:
        raise MalformedWire("a pair reaches beyond its entry")
    return ts, values


def encode_attributes(values: dict[str, Value]) -> bytes:
    """Attributes as a `PostAttributeMsg`, the form of `Attributes.values`.

    Raises:
        TypeError: a value that is none of `Value`'s types.
    """
    parts: list[bytes] = []
    _attribute_pairs.encode(values, parts)
    return b"".join(parts)


def decode_attributes(data: bytes) -> dict[str, Value]:
    """The values of a `PostAttributeMsg`. Its `shared` flag means nothing here (§2.8).

    Raises:
        MalformedWire: the bytes are something else.
    """
    values: dict[str, Value] = {}
    for number, kind, value, _raw in fields(data):
        if number == 1 and kind == BYTES:
            pair = cast(bytes, value)
            _decode_pair(pair, 0, len(pair), values)
    return values


def _read_known(data: bytes, at: int, end: int, values: dict[str, Value]) -> bool:
    """Read the KeyValueProto data[at:end] if all before its number was met before; else False."""
    if end - at < _HEAD_BYTES_MIN or end > len(data):
        return False
    start = at + data[at + 1] + _HEAD_BYTES_MIN
    known = _known_heads.get(data[at:start])
    if known is None:
        return False
    key, kind = known
    if kind == _DOUBLE_TYPE:
        if end - start != 8:
            return False
        (values[key],) = _DOUBLE.unpack_from(data, start)
        return True
    number, behind = read_varint(data, start)
    if behind != end:
        return False
    values[key] = signed(number)
    return True


def _note_head(data: bytes, at: int, end: int, key: str, kind: int) -> None:
    """Remember what stood before a number, if the pair was written as everybody writes it."""
    start = at + data[at + 1] + _HEAD_BYTES_MIN
    if data[at] != 0x0A or data[at + 1] > 0x7F or start >= end:
        return
    if kind == _DOUBLE_TYPE:
        plain = data[start - 3 : start] == b"\x10\x02\x29" and end - start == 8
    else:
        plain = data[start - 3 : start] == b"\x10\x01\x20" and read_varint(data, start)[1] == end
    if plain:
        if len(_known_heads) >= _KEYS_MAX:
            _known_heads.clear()
        _known_heads[data[at:start]] = (key, kind)


def _decode_pair(data: bytes, at: int, end: int, values: dict[str, Value]) -> None:
    """Read the KeyValueProto data[at:end] into values."""
    begin = at
    if end > len(data):
        raise MalformedWire("a pair reaches beyond its entry")
    key = ""
    kind = 0
    found: dict[int, Value] = {}
    while at < end:
        tag = data[at]
        at += 1
        if tag == 0x29:
            (found[_DOUBLE_TYPE],) = _DOUBLE.unpack(data[at : at + 8].ljust(8, b"\0"))
            at += 8
        elif tag in (0x0A, 0x32, 0x3A):
            size, at = read_varint(data, at)
            words = str(data[at : at + size], "utf-8", "replace")
            at += size
            if tag == 0x0A:
                key = words
            else:
                found[_STRING if tag == 0x32 else _JSON] = words
        elif tag in (0x10, 0x18, 0x20):
            number, at = read_varint(data, at)
            if tag == 0x10:
                kind = number
            elif tag == 0x18:
                found[_BOOLEAN] = number != 0
            else:
                found[_LONG] = signed(number)
        else:
            at = skip(data, at - 1)
    if at > end:
        raise MalformedWire("a value reaches beyond its pair")
    if kind in (_LONG, _DOUBLE_TYPE) and key:
        _note_head(data, begin, end, key, kind)
    _settle(key, kind, found, values)


_DEFAULTS: dict[int, Value] = {_BOOLEAN: False, _LONG: 0, _DOUBLE_TYPE: 0.0, _STRING: ""}


def _settle(key: str, kind: int, found: dict[int, Value], values: dict[str, Value]) -> None:
    """Choose the pair's value by its type, then by what is there."""
    value = found.get(kind, _DEFAULTS.get(kind))
    if value is None and found:
        kind, value = found.popitem()
    if kind == _JSON:
        value = _parsed(cast(str, value or ""))
    if value is not None:
        values[key] = value


def _parsed(words: str) -> Value | None:
    """A JSON_V value; text that is no JSON stays text, `null` is no value."""
    try:
        return cast("Value | None", msgspec.json.decode(words))
    except (msgspec.DecodeError, RecursionError):
        return words


# --- entity data -------------------------------------------------------------------------------

_known_entities: dict[EntityId, bytes] = {}


def entity_head(entity: EntityId) -> bytes:
    """Fields 1 to 3 of EntityDataProto and of the requests: both id halves and the type."""
    head = _known_entities.get(entity)
    if head is None:
        most, least = uuid_halves(entity.id)
        parts = [number_field(n, half) for n, half in ((1, most), (2, least)) if half]
        head = b"".join(parts) + (delimited(3, _utf8(entity.type)) if entity.type else b"")
        if len(_known_entities) >= _KEYS_MAX:
            _known_entities.clear()
        _known_entities[entity] = head
    return head


def entity_data(entity: EntityId, entries: Iterable[bytes]) -> bytes:
    """An `EntityDataProto` with a postTelemetryMsg of already encoded entries, in their order.

    Args:
        entries: results of `encode_entry`; never none, a server would not answer (§11.4).
    """
    parts: list[bytes] = []
    for entry in entries:
        parts += (b"\x0a", varint(len(entry)), entry)
    telemetry = b"".join(parts)
    return b"".join((entity_head(entity), b"\x22", varint(len(telemetry)), telemetry))


def telemetry_entries(data: bytes) -> tuple[bytes, ...]:
    """The encoded entries of a `PostTelemetryMsg`, as slices, without looking at any value."""
    return tuple(
        cast(bytes, value) for number, kind, value, _ in fields(data) if number == 1 and kind == 2
    )
