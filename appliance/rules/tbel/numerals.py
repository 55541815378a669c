"""Number literals: which texts are numbers, and of which kind."""

from __future__ import annotations

import re
from typing import Any

from appliance.rules.tbel.errors import TbelError
from appliance.rules.tbel.values import (
    INT_MAX,
    INT_MIN,
    LONG_MAX,
    LONG_MIN,
    BigDecimal,
    BigInteger,
    Long,
    to_float,
)

_PLAIN = re.compile(r"-?\d+")
_DECIMAL = re.compile(r"-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_HEX = re.compile(r"0x[0-9a-fA-F]+")


def number(text: str) -> Any:
    """The value of a number literal.

    Raises:
        TbelError: it is no number on the reference either.
    """
    if _HEX.fullmatch(text):
        return _hexadecimal(text)
    if text[:1] == "0" and len(text) > 1 and text[1] != "." and _PLAIN.fullmatch(text):
        return _octal(text)
    if _PLAIN.fullmatch(text):
        return _whole(text)
    if _DECIMAL.fullmatch(text):
        return float(text)
    body, suffix = text[:-1], text[-1:]
    if text[:1] == "0" and text[1:2].isalpha() and suffix not in "lLIB":
        raise TbelError(f"badly formatted number: {text}")
    if suffix in ("l", "L") and _PLAIN.fullmatch(body):
        return Long(_octal(body)) if len(body) > 1 and body[0] == "0" else _long(int(body))
    if suffix and suffix in "dDfF" and _DECIMAL.fullmatch(body):
        return float(body) if suffix in "dD" else to_float(float(body))
    if suffix == "I" and _PLAIN.fullmatch(body):
        return BigInteger(int(body))
    if suffix == "B" and _DECIMAL.fullmatch(body):
        return BigDecimal(body)
    raise TbelError(f"invalid number literal: {text}")


def _hexadecimal(text: str) -> Any:
    value = int(text, 16)
    if value <= INT_MAX:
        return value
    if text.lower() == "0x80000000":
        return Long(INT_MIN)
    if text == "0x8000000000000000":
        return Long(LONG_MIN)
    return _long(value)


def _octal(text: str) -> Any:
    if set(text) & {"8", "9"}:
        raise TbelError(f"badly formatted number: {text}")
    value = int(text, 8)
    return value if value <= INT_MAX else _long(value)


def _whole(text: str) -> Any:
    return int(text) if len(text) <= 9 else _long(int(text))


def _long(value: int) -> Long:
    if not LONG_MIN <= value <= LONG_MAX:
        raise TbelError(f"the number {value} is too large")
    return Long(value)
