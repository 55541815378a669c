"""Values as text and as JSON, the way Java prints them. The one place that formats numbers."""

from __future__ import annotations

import base64
import struct
from decimal import Decimal
from typing import Any

from appliance.rules.tbel.errors import TbelError
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
    """Double.toString: shortest digits, 1.0E7 from ten million, 1.0E-4 below a thousandth."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return "-0.0" if str(value)[0] == "-" else "0.0"
    sign, digits, exponent = Decimal(repr(float(value))).as_tuple()
    text = "".join(map(str, digits)).rstrip("0") or "0"
    return _java_digits(text, len(digits) - 1 + int(exponent), bool(sign))


def float_text(value: float) -> str:
    """Float.toString: the shortest digits that give the same 32-bit number."""
    if value != value or value in (0.0, float("inf"), float("-inf")):
        return double_text(value)
    packed = struct.pack("<f", value)
    for precision in range(1, 10):
        short = float(f"{value:.{precision}g}")
        try:
            if struct.pack("<f", short) == packed:
                return double_text(short)
        except OverflowError:
            continue
    return double_text(value)


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
