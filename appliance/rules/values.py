"""Values as the reference reads and writes them.

Reading telemetry or attributes out of message data (spec/rule-engine.md §2.3): numeric text
becomes a number, an integer beyond 64 bits becomes text, null is an error. Writing a value as
text follows Java's forms, because users compare such texts.
"""

from __future__ import annotations

import math
import re
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

import msgspec

from appliance.model.message import Message
from appliance.model.telemetry import Value
from appliance.rules.java_math import LONG_MAX, LONG_MIN
from appliance.rules.node import NodeError
from appliance.rules.tbel.text import double_text

_PARSABLE = re.compile(r"-?(?:\d+(?:\.\d+)?|\.\d+)")
_WHOLE = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?[dDfF]?")
DOUBLE_DIGITS_MAX = 700
"""Before and after the point: the largest double has 309 digits before it."""
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
            stays = LONG_MIN <= value <= LONG_MAX
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
    if isinstance(value, int) and not LONG_MIN <= value <= LONG_MAX:
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
    return number if LONG_MIN <= number <= LONG_MAX else text


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
    """A JSON number, cut, or the integer that a text is, of 64 bits. Raises NodeError."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number or (isinstance(value, str) and _WHOLE.fullmatch(value)):
        number = int(value)
        if LONG_MIN <= number <= LONG_MAX:
            return number
    raise NodeError(f'For input string: "{value}"')


_UNIT_NS = {
    "NANOSECONDS": 1,
    "MICROSECONDS": 1_000,
    "MILLISECONDS": 10**6,
    "SECONDS": 10**9,
    "MINUTES": 60 * 10**9,
    "HOURS": 3_600 * 10**9,
    "DAYS": 86_400 * 10**9,
}


def whole_ms(count: int, unit: str | None) -> int:
    """A time in milliseconds, cut. Raises NodeError for what is no unit."""
    if unit not in _UNIT_NS:
        raise NodeError(f"No time unit {unit!r}")
    ns = count * _UNIT_NS[unit]
    return ns // 10**6 if ns >= 0 else -(-ns // 10**6)


def as_number(value: Any) -> int | float | None:
    """A number, or the number that a text is (also with blanks around it), else None; booleans
    are none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    if isinstance(value, str):
        text = value.strip()
        if _WHOLE.fullmatch(text):
            return int(text)
        if _DECIMAL.fullmatch(text):
            return float(text.rstrip("dDfF"))
    return None


def as_double(value: Any) -> float | None:
    """as_number as a double; an integer that is too large is infinite."""
    number = as_number(value)
    if isinstance(number, int):
        try:
            return float(number)
        except OverflowError:
            return math.inf if number > 0 else -math.inf
    return number


def rounded(value: float, digits: int) -> float:
    """Half up in decimal digits. Raises NodeError for NaN and Infinity."""
    if not math.isfinite(value):
        raise NodeError(f"the result is {value}")
    with localcontext(prec=DOUBLE_DIGITS_MAX):
        return float(Decimal(repr(value)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP))


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
