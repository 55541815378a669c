"""Values as text and as JSON, the way Java prints them. The one place that formats numbers."""

from __future__ import annotations

import base64
import math
from decimal import Decimal
from typing import Any

from appliance.rules.tbel.errors import TbelError
from appliance.rules.tbel.java_digits import DOUBLE, FLOAT, Form, fraction_digits
from appliance.rules.tbel.values import (
    Blank,
    Char,
    ClassRef,
    Entry,
    Float,
    JavaArray,
    TbSet,
)

CLASS_NAMES = {
    "Math": "java.lang.Math",
    "JSON": "org.thingsboard.script.api.tbel.TbJson",
    "Date": "org.thingsboard.script.api.tbel.TbDate",
    "Random": "java.util.Random",
    "Calendar": "java.util.Calendar",
}


def utf_16(text: str) -> bytes:
    """The UTF-16 units of a text: Java counts and compares these."""
    return text.encode("utf-16-be", "surrogatepass")


def text_length(text: str) -> int:
    """String.length."""
    return len(text) if text.isascii() else len(utf_16(text)) // 2


def text_slice(text: str, begin: int, end: int) -> str:
    """Part of a text, by UTF-16 units."""
    if text.isascii():
        return text[begin:end]
    return utf_16(text)[begin * 2 : end * 2].decode("utf-16-be", "surrogatepass")


def text_at(text: str, index: int) -> str:
    """One UTF-16 unit of a text."""
    return text_slice(text, index, index + 1)


def _java_digits(digits: str, exponent: int, negative: bool) -> str:
    """Digits d1d2… worth d1.d2… × 10^exponent, in Java's notation."""
    sign = "-" if negative else ""
    if -3 <= exponent < 7:
        if exponent < 0:
            return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
        whole = digits[: exponent + 1].ljust(exponent + 1, "0")
        return f"{sign}{whole}.{digits[exponent + 1 :] or '0'}"
    return f"{sign}{digits[0]}.{digits[1:] or '0'}E{exponent}"


def double_text(value: float) -> str:
    """Double.toString: 1.0E7 from ten million, 1.0E-4 below a thousandth."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return "-0.0" if str(value)[0] == "-" else "0.0"
    if abs(value) < 2.0**63 and value == int(value):
        return _whole_text(int(value), 53)
    text = repr(float(value))
    if len(text) <= 16 and 1e-3 <= abs(value) < 1e7 and abs(math.frexp(value)[0]) != 0.5:
        # of up to 15 digits, and no power of two: the fewest digits are Java's digits, too
        return text
    return _fraction_text(value, DOUBLE)


def _fraction_text(value: float, form: Form) -> str:
    digits, exponent = fraction_digits(abs(value), form)
    return _java_digits(digits, exponent, value < 0)


def _whole_text(value: int, significant_bits: int) -> str:
    """Whole numbers below 2^63: Java 17 prints their digits, less those that mean nothing."""
    spare = abs(value).bit_length() - 1 - significant_bits - 1
    dropped = int(spare * 0.30102999566398120) if spare > 1 else 0
    unit = 10**dropped
    rounded = (abs(value) + unit // 2) // unit
    digits = str(rounded)
    return _java_digits(digits.rstrip("0") or "0", len(digits) - 1 + dropped, value < 0)


def float_text(value: float) -> str:
    """Float.toString: digits enough to tell the 32-bit number from its neighbours."""
    if value != value or value in (0.0, float("inf"), float("-inf")):
        return double_text(value)
    if abs(value) < 2.0**63 and value == int(value):
        return _whole_text(int(value), 24)
    return _fraction_text(value, FLOAT)


def number_text(value: float) -> str:
    """A number as Java prints it; whole-number kinds as they are."""
    if isinstance(value, Float):
        return float_text(value)
    if isinstance(value, float):
        return double_text(value)
    return str(int(value))


def to_text(value: Any) -> str:
    """String.valueOf."""
    kind = type(value)
    if kind is str or kind is Char:
        return str(value)
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    if isinstance(value, int | float):
        return number_text(value)
    if isinstance(value, list | TbSet):
        return "[" + ", ".join(map(to_text, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{to_text(k)}={to_text(v)}" for k, v in value.items()) + "}"
    return _rare_text(value)


def _rare_text(value: Any) -> str:
    if isinstance(value, Entry):
        return f"{to_text(value.key)}={to_text(value.value)}"
    if isinstance(value, JavaArray):
        return f"[{value.component[:1].upper()}@{id(value):x}"
    if isinstance(value, ClassRef):
        if value.name in CLASS_NAMES:
            return f"class {CLASS_NAMES[value.name]}"
        return value.name if value.name[0].islower() else f"class java.lang.{value.name}"
    return str(value)


_ESCAPES = {
    '"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f",
}  # fmt: skip
for _code in range(0x20):
    _ESCAPES.setdefault(chr(_code), f"\\u{_code:04X}")


def quote(text: str) -> str:
    """A JSON string, escaped as Jackson does."""
    if text.isalnum():
        return f'"{text}"'
    return '"' + "".join(_ESCAPES.get(c, c) for c in text) + '"'


def to_json(value: Any, *, binary: bool = False) -> str:
    """JSON text with Java's numbers; NaN and infinities become strings.

    binary: byte arrays as base64 text (JSON.stringify) instead of lists (a script's result).
    """
    kind = type(value)
    if kind is str or kind is Char:
        return quote(value)
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    if isinstance(value, float):
        text = number_text(value)
        return text if text[-1].isdigit() else f'"{text}"'
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, list | TbSet):
        return "[" + ",".join([to_json(v, binary=binary) for v in value]) + "]"
    if isinstance(value, dict):
        return "{" + ",".join([_json_member(k, v, binary) for k, v in value.items()]) + "}"
    return _rare_json(value, binary)


def _json_member(key: Any, value: Any, binary: bool) -> str:
    if key is None:
        raise TbelError("Null key for a Map not allowed in JSON")
    return f"{quote(to_text(key))}:{to_json(value, binary=binary)}"


def _rare_json(value: Any, binary: bool) -> str:
    if isinstance(value, Entry):
        return "{" + _json_member(value.key, value.value, binary) + "}"
    if isinstance(value, JavaArray):
        if binary and value.component == "byte":
            return quote(base64.b64encode(bytes(b & 0xFF for b in value)).decode("ascii"))
        return "[" + ",".join([to_json(v, binary=binary) for v in value]) + "]"
    if isinstance(value, ClassRef):
        return quote(CLASS_NAMES.get(value.name, f"java.lang.{value.name}"))
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Blank):
        return "{}"
    return quote(str(value))
