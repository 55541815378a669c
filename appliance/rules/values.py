"""Values as the reference reads and writes them.

Reading telemetry or attributes out of message data (spec/rule-engine.md §2.3): numeric text
becomes a number, an integer beyond 64 bits becomes text, null is an error. Writing a value as
text follows Java's forms, because users compare such texts.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from appliance.model.message import Message
from appliance.model.telemetry import Value
from appliance.rules.node import NodeError
from appliance.rules.tbel.text import double_text

_PARSABLE = re.compile(r"-?(?:\d+(?:\.\d+)?|\.\d+)")
_LONG_MIN, _LONG_MAX = -(1 << 63), (1 << 63) - 1
_PLAIN = frozenset((float, bool, dict, list))

encode_json = msgspec.json.Encoder().encode
decode_json = msgspec.json.Decoder().decode


def json_text(value: Any) -> str:
    """Compact JSON text."""
    return encode_json(value).decode()


def typed_values(data: Any) -> dict[str, Value]:
    """The key-value pairs of a JSON object, typed. Raises NodeError for anything else."""
    if not isinstance(data, dict):
        raise NodeError(f"Can't parse value: {json_text(data)}")
    for key, value in data.items():
        kind = type(value)
        if kind is int:
            stays = _LONG_MIN <= value <= _LONG_MAX
        else:
            stays = kind in _PLAIN or (kind is str and _cast(value) is value)
        if not (stays and key):
            return {_key(key): typed_value(value) for key, value in data.items()}
    return data


def typed_value(value: Any) -> Value:
    """One JSON value as it is stored. Raises NodeError for null."""
    if value is None:
        raise NodeError("Can't parse value: null")
    if isinstance(value, str):
        return _cast(value)
    if isinstance(value, int) and not _LONG_MIN <= value <= _LONG_MAX:
        return str(value)
    typed: Value = value
    return typed


def _key(key: str) -> str:
    if not key:
        raise NodeError("Key can't be null or empty")
    return key


def _cast(text: str) -> Value:
    first = text[:1]
    if not (first.isdigit() or first in ("-", ".")) or not _PARSABLE.fullmatch(text):
        return text
    if "." in text:
        return float(text)
    number = int(text)
    return number if _LONG_MIN <= number <= _LONG_MAX else text


def telemetry_of(
    message: Message, default_ts: int | None = None
) -> list[tuple[int, dict[str, Value]]]:
    """(ts, values) of a telemetry body: flat, `{ts, values}`, or an array of either.

    default_ts: for entries without one; None = the message's. Raises NodeError where the body is
    none of these or has nothing in it.
    """
    data = message.data
    ts = message.effective_ts if default_ts is None else default_ts
    if isinstance(data, list):
        entries = [_entry(item, ts) for item in data]
        is_empty = not any(values for _, values in entries)
    else:
        entries = [_entry(data, ts)]
        is_empty = not entries[0][1]
    if is_empty:
        raise NodeError(f"Msg body is empty: {json_text(data)}")
    return entries


def _entry(data: Any, default_ts: int) -> tuple[int, dict[str, Value]]:
    if isinstance(data, dict) and "ts" in data and "values" in data:
        return whole_number(data["ts"]), typed_values(data["values"])
    return default_ts, typed_values(data)


def whole_number(value: Any) -> int:
    """A JSON number or numeric text as an integer. Raises NodeError."""
    try:
        return int(value)
    except (TypeError, ValueError):
        raise NodeError(f'For input string: "{value}"') from None


def as_number(value: Any) -> int | float | None:
    """A number, or the number that a text is, else None; booleans are none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    if isinstance(value, str) and "_" not in value:
        for kind in (int, float):
            try:
                return kind(value)
            except ValueError:
                continue
    return None


def java_text(value: Any) -> str:
    """A JSON value as metadata text: text as it is, numbers as Java, the rest as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return double_text(value)
    return json_text(value)


def java_string(value: Any) -> str:
    """`String.valueOf` of a parsed JSON value: lists as [1, 2], maps as {a=1}."""
    if isinstance(value, list):
        return f"[{', '.join(java_string(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}={java_string(item)}' for key, item in value.items())}}}"
    return java_text(value)
