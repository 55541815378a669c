"""From JSON to one of the five value types (spec/device-and-rest-api.md §1.5).

The type of a number follows from how it was *written*: a decimal point without exponent makes
a DOUBLE, a whole number in any other notation a LONG, and what neither can hold exactly enough
(outside signed 64 bits; more than 16 fraction digits) a STRING in plain notation. Quoted text
that reads as a number is one. Objects and arrays stay JSON; members that are null are left out
of them, array elements that are null are kept.

Limits: keys 255 UTF-16 units, because a ThingsBoard server keeps no more; plain notation
10,000 characters, because `1e999999999` would else be a gigabyte.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal, InvalidOperation
from typing import Any

from appliance.model.telemetry import Value
from appliance.payload.errors import PayloadError
from appliance.payload.lenient import DEPTH_MAX, NumberText

LONG_MIN = -(1 << 63)
LONG_MAX = (1 << 63) - 1
FRACTION_DIGITS_MAX = 16
KEY_CHARS_MAX = 255
PLAIN_CHARS_MAX = 10_000

_PARSABLE = re.compile(r"-?\d*\.?\d+")
"""Apache Commons' NumberUtils.isParsable: any Unicode decimal digits, no exponent, no plus."""


def check_key(key: str) -> None:
    """Raises PayloadError for a key that no server would keep."""
    if len(key) + sum(char > "\uffff" for char in key) > KEY_CHARS_MAX:
        raise PayloadError(f"Key {key[:20]!r}… is longer than {KEY_CHARS_MAX} characters")
    if not key.strip():
        raise PayloadError("A key is empty")
    if "\0" in key:
        raise PayloadError(f"Key {key!r} holds a NUL character")


def type_value(value: Any, *, type_cast: bool) -> Value:
    """The typed form of one parsed value other than None.

    Args: value as json readers give it (numbers as int, float or NumberText); type_cast:
    whether quoted numbers become numbers and oversized ones text (`transport.json.
    type_cast_enabled`). Raises PayloadError for what cannot be kept.
    """
    if isinstance(value, NumberText):
        return type_number(value, type_cast=type_cast)
    if isinstance(value, str):
        return type_text(value, type_cast=type_cast)
    if isinstance(value, int) and not LONG_MIN <= value <= LONG_MAX:
        return _plain(str(value), type_cast)
    if isinstance(value, dict | list):
        return plain_json(value)  # type: ignore[no-any-return]  # a container stays one
    return value  # type: ignore[no-any-return]  # bool, float or an int that fits


def type_text(text: str, *, type_cast: bool) -> Value:
    """A quoted (or bare) word: a number if it reads as one, else itself without NULs."""
    if type_cast and _PARSABLE.fullmatch(text) and max(text) <= "\uffff":
        try:
            return type_number(text, type_cast=True)
        except PayloadError:
            return text
    return text.replace("\0", "")


def type_number(text: str, *, type_cast: bool) -> Value:
    """LONG, DOUBLE or STRING by the way it was written."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise PayloadError(f"Number {text[:40]} is out of range") from None
    scale = -int(number.as_tuple().exponent)
    if max(scale, number.adjusted()) > PLAIN_CHARS_MAX:
        raise PayloadError(f"Number {text[:40]} is too long to keep")
    if not _is_simple_double(text) and number == number.to_integral_value():
        if number.adjusted() < 19 and LONG_MIN <= number <= LONG_MAX:
            return int(number)
        return _plain(f"{number:f}", type_cast)
    if scale > FRACTION_DIGITS_MAX:
        return _plain(f"{number if number else abs(number):f}", type_cast)
    double = float(number)
    if math.isinf(double):
        raise PayloadError(f"Number {text[:40]}… is out of range")
    return double or 0.0  # never minus zero


def plain_json(value: Any, depth: int = 1) -> Any:
    """A nested value as plain JSON data: null members left out, numbers as int or float.

    An integer outside signed 64 bits becomes the nearest float, one outside those its text.
    """
    if depth > DEPTH_MAX:
        raise PayloadError(f"Nested deeper than {DEPTH_MAX} levels")
    if isinstance(value, dict):
        members = value.items()
        return {k: plain_json(v, depth + 1) for k, v in members if v is not None}
    if isinstance(value, list):
        return [plain_json(element, depth + 1) for element in value]
    if isinstance(value, NumberText):
        return _nested_number(value)
    if isinstance(value, int) and not LONG_MIN <= value <= LONG_MAX:
        return float(value)
    return value


def _nested_number(text: NumberText) -> int | float | str:
    if not any(char in ".eE" for char in text) and len(text) <= 20:
        number = int(text)
        if LONG_MIN <= number <= LONG_MAX:
            return number
    double = float(text)
    return str(text) if math.isinf(double) else double


def _is_simple_double(text: str) -> bool:
    return "." in text and "e" not in text and "E" not in text


def _plain(text: str, type_cast: bool) -> str:
    if not type_cast:
        raise PayloadError("Big integer values are not supported!")
    return text
