"""betterproto2 with a guard in front of its parser.

The parser takes a truncated message for a shorter one and puts a number into a text field where a
peer sent one; so the bytes are walked first: every field must end inside its message and have the
wire type that its declaration has. Unknown fields and unknown enum numbers pass and are kept.
"""

from __future__ import annotations

import dataclasses
import functools
import typing
from types import UnionType
from typing import Any, TypeVar

import betterproto2

from appliance.sync.protobuf import BYTES, VARINT, MalformedWire, fields

M = TypeVar("M", bound=betterproto2.Message)

_WIRE_TYPES = {
    betterproto2.TYPE_BOOL: VARINT,
    betterproto2.TYPE_ENUM: VARINT,
    betterproto2.TYPE_INT32: VARINT,
    betterproto2.TYPE_INT64: VARINT,
    betterproto2.TYPE_STRING: BYTES,
    betterproto2.TYPE_MESSAGE: BYTES,
}


def parse(message_type: type[M], body: bytes) -> M:
    """The message in these bytes.

    Raises:
        MalformedWire: the bytes are not that message.
    """
    _check(message_type, body)
    try:
        return message_type.parse(body)
    except ValueError as error:  # text that is not UTF-8, a number too long
        raise MalformedWire(f"{message_type.__name__}: {error}") from error


def _check(message_type: type[betterproto2.Message], body: bytes) -> None:
    declared = _declared(message_type)
    for number, kind, value, _raw in fields(body):
        if number not in declared:
            continue
        wire_type, nested = declared[number]
        if kind != wire_type:
            raise MalformedWire(f"{message_type.__name__}: field {number} has wire type {kind}")
        if nested is not None and isinstance(value, bytes):
            _check(nested, value)


def flat_fields(message_type: type[betterproto2.Message], body: bytes) -> dict[int, int | bytes]:
    """Number -> last value, of a message without nested ones; unknown fields included.

    Raises:
        MalformedWire: the bytes are not that message.
    """
    declared = _declared(message_type)
    found: dict[int, int | bytes] = {}
    for number, kind, value, _raw in fields(body):
        if number in declared and kind != declared[number][0]:
            raise MalformedWire(f"{message_type.__name__}: field {number} has wire type {kind}")
        found[number] = value
    return found


def field_numbers(message_type: type[betterproto2.Message]) -> tuple[dict[str, int], set[str]]:
    """(name -> number, names of those with explicit presence), as generated."""
    found = dataclasses.fields(typing.cast(Any, message_type))
    metas = {field.name: betterproto2.FieldMetadata.get(field) for field in found}
    numbers = {name: meta.number for name, meta in metas.items()}
    return numbers, {name for name, meta in metas.items() if meta.optional}


@functools.cache
def _declared(
    message_type: type[betterproto2.Message],
) -> dict[int, tuple[int, type[betterproto2.Message] | None]]:
    """Field number -> (wire type, type of the nested message if it is one)."""
    hints = typing.get_type_hints(message_type)
    declared = {}
    for field in dataclasses.fields(typing.cast(Any, message_type)):
        meta = betterproto2.FieldMetadata.get(field)
        nested = (
            _nested(hints[field.name]) if meta.proto_type == betterproto2.TYPE_MESSAGE else None
        )
        declared[meta.number] = (_WIRE_TYPES[meta.proto_type], nested)
    return declared


def _nested(hint: Any) -> type[betterproto2.Message]:
    """The message type inside `M | None`, the only form in which our messages nest."""
    if not isinstance(hint, UnionType):
        raise TypeError(f"not an optional message: {hint}")
    return typing.cast("type[betterproto2.Message]", typing.get_args(hint)[0])
