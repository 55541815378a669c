"""The forms of a device's message: telemetry, attributes, any JSON (§1.4).

Speed is won by reading with msgspec and looking at types only; what that cannot tell apart is
read again. Three tiers, the next one only when needed:

1. msgspec: strict JSON without doubtful numbers, practically every message (about 2 µs).
2. the standard library's reader with number texts kept: valid JSON where a float stands beside
   an exponent or a run of 17 digits, so that `1e3` (a LONG) and long fractions are typed by
   their text.
3. the lenient reader: whatever is not strict JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from appliance.model.telemetry import Value
from appliance.payload import lenient
from appliance.payload.errors import PayloadError
from appliance.payload.lenient import NumberText
from appliance.payload.values import LONG_MAX, LONG_MIN, check_key, plain_json, type_value

SHORT_BYTES_MAX = 512

Post = tuple[int | None, dict[str, Value]]
"""(epoch milliseconds or None for the time of receipt, values): one rule engine message."""

_decode = msgspec.json.Decoder().decode
_doubtful_number = re.compile(rb"[0-9](?:[eE]|[0-9]{16})").search
_NOT_STRICT = (msgspec.DecodeError, UnicodeError, RecursionError)
_WHOLE = re.compile(r"[+-]?\d+").fullmatch


def parse_telemetry(body: bytes | str, *, type_cast: bool = True) -> list[Post]:
    """Telemetry in any of its three forms.

    Args: body as received; text that is not UTF-8 is read with U+FFFD in place of what is
    wrong. type_cast: `transport.json.type_cast_enabled`.
    Returns: one post per message, in order; values may be empty (`{}` is a connection test),
    and `[]` gives an empty list. Raises PayloadError.
    """
    document, exact = _read_quick(body)
    posts = _posts(document, body, exact, type_cast)
    if posts is None:
        posts = _posts(_read_exact(body), body, True, type_cast)
        assert posts is not None  # an exact reading leaves no doubt
    return posts


def parse_attributes(body: bytes | str, *, type_cast: bool = True) -> dict[str, Value]:
    """A flat object of attributes, nulls left out. Raises PayloadError."""
    document, exact = _read_quick(body)
    values = _values(_expect_object(document), body, exact, type_cast)
    if values is None:
        values = _values(_expect_object(_read_exact(body)), body, True, type_cast)
        assert values is not None  # an exact reading leaves no doubt
    return values


Entry = TypeVar("Entry")
ByDevice = tuple[dict[str, Entry], dict[str, str]]
"""(what each device sent, why entries of other devices cannot be taken)."""


def parse_telemetry_by_device(body: bytes | str, *, type_cast: bool = True) -> ByDevice[list[Post]]:
    """A gateway's telemetry: `{"Device A": [post, …], …}` (§2.6). Raises PayloadError."""

    def posts(entry: Any, exact: bool) -> list[Post] | None:
        if type(entry) is not list:
            raise PayloadError(f"telemetry of a device must be an array, not {_shown(entry)}")
        return _posts(entry, body, exact, type_cast)

    return _by_device(body, posts)


def parse_attributes_by_device(
    body: bytes | str, *, type_cast: bool = True
) -> ByDevice[dict[str, Value]]:
    """A gateway's attributes: `{"Device A": {"key": value}, …}` (§2.6). Raises PayloadError."""

    def values(entry: Any, exact: bool) -> dict[str, Value] | None:
        return _values(_expect_object(entry), body, exact, type_cast)

    return _by_device(body, values)


def _by_device(body: bytes | str, take: Callable[[Any, bool], Entry | None]) -> ByDevice[Entry]:
    """Take each device's entry by itself, so that a bad one spoils no other."""
    document, exact = _read_quick(body)
    if not exact and _is_doubtful(body):
        document = _read_exact(body)
    taken: dict[str, Entry] = {}
    refused: dict[str, str] = {}
    for name, entry in _expect_object(document).items():
        try:
            if not name.strip():
                raise PayloadError("a device without a name")
            value = take(entry, True)
        except PayloadError as error:
            refused[name] = str(error)
        else:
            assert value is not None  # an exact reading leaves no doubt
            taken[name] = value
    return taken, refused


def parse_json(body: bytes | str) -> Any:
    """Any document as plain JSON data, as lenient as for telemetry. Raises PayloadError."""
    document, _ = _read_quick(body)
    return plain_json(document)


def _read_quick(body: bytes | str) -> tuple[Any, bool]:
    """The document, and whether its numbers are beyond doubt.

    A long body is looked through at once, so that no more than one look is taken at it.
    """
    try:
        document = _decode(body)
    except _NOT_STRICT:
        return lenient.read(_text(body)), True
    if len(body) <= SHORT_BYTES_MAX:
        return document, False
    return (_read_exact(body) if _is_doubtful(body) else document), True


def _is_doubtful(body: bytes | str) -> bool:
    """Whether a float of this body might have to be something else."""
    return bool(_doubtful_number(body if isinstance(body, bytes) else body.encode()))


def _read_exact(body: bytes | str) -> Any:
    """A document that msgspec takes, again, with float texts kept."""
    try:
        return json.loads(_text(body), parse_float=NumberText)
    except ValueError:  # an integer of more digits than Python converts
        return lenient.read(_text(body))


def _text(body: bytes | str) -> str:
    return body if isinstance(body, str) else body.decode("utf-8", "replace")


def _posts(document: Any, body: bytes | str, exact: bool, type_cast: bool) -> list[Post] | None:
    """Typed posts, or None where the document must be read exactly."""
    posts: list[Post] = []
    for element in document if type(document) is list else (document,):
        if type(element) is not dict:
            raise PayloadError(f"Can't parse value: {_shown(element)}", hint=_FORMS)
        ts = None
        if "ts" in element and "values" in element:
            ts, element = _ts(element["ts"]), element["values"]
            if type(element) is not dict:
                raise PayloadError(f"'values' must be an object, not {_shown(element)}")
        values = _values(element, body, exact, type_cast)
        if values is None:
            return None
        posts.append((ts, values))
    return posts


_FORMS = 'telemetry is {"key": value}, {"ts": ms, "values": {…}} or an array of these'


def _values(
    members: dict[str, Any], body: bytes | str, exact: bool, type_cast: bool
) -> dict[str, Value] | None:
    """Type the members in place; None where a float could have been written as something else."""
    nulls = 0
    for key, value in members.items():
        if len(key) > 127 or not key.strip() or "\0" in key:
            check_key(key)
        kind = type(value)
        if kind is float:
            if not exact:
                if _is_doubtful(body):
                    return None
                exact = True
            if not value:
                members[key] = 0.0  # never minus zero
        elif value is None:
            nulls += 1
        elif kind is str:
            if value[-1:].isdecimal() or "\0" in value:
                members[key] = type_value(value, type_cast=type_cast)
        elif kind is bool or (kind is int and LONG_MIN <= value <= LONG_MAX):
            pass
        else:
            members[key] = type_value(value, type_cast=type_cast)
    return {k: v for k, v in members.items() if v is not None} if nulls else members


def _ts(value: Any) -> int:
    """Epoch milliseconds, written as a number or as whole digits in quotes."""
    written_whole = type(value) is int or (type(value) is str and _WHOLE(value))
    if not written_whole and not isinstance(value, float | NumberText):
        raise PayloadError(f"'ts' must be epoch milliseconds, not {_shown(value)}")
    double = float(value)
    if not LONG_MIN <= double < LONG_MAX:
        raise PayloadError(f"'ts' {_shown(value)} is out of range")
    return int(value) if written_whole else int(double)


def _expect_object(document: Any) -> dict[str, Any]:
    if type(document) is not dict:
        hint = 'attributes are one flat object: {"key": value}'
        raise PayloadError(f"Can't parse value: {_shown(document)}", hint=hint)
    return document


def _shown(value: Any) -> str:
    if isinstance(value, NumberText):
        return str(value)[:80]
    return json.dumps(value, ensure_ascii=False)[:80]
