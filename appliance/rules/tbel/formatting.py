"""String.format: Java's format specifiers for text, whole numbers, decimals and booleans."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from appliance.rules.tbel.errors import TbelError
from appliance.rules.tbel.kinds import type_of
from appliance.rules.tbel.text import to_text
from appliance.rules.tbel.values import Byte, Long, Short

_SPECIFIER = re.compile(r"%(?:(\d+)\$)?([-#+ 0,(<]*)(\d+)?(?:\.(\d+))?([a-zA-Z%])(?:([a-zA-Z]))?")


def java_format(pattern: str, values: list[Any]) -> str:
    """Format values.

    Raises:
        TbelError: a specifier is unknown, has no value, or does not fit its value.
    """
    parts, at, ordinary = [], 0, 0
    while at < len(pattern):
        mark = pattern.find("%", at)
        if mark < 0:
            break
        parts.append(pattern[at:mark])
        match = _SPECIFIER.match(pattern, mark)
        if match is None:
            raise TbelError(f"UnknownFormatConversionException: {pattern[mark : mark + 2]}")
        explicit, flags, width, precision, letter, _ = match.groups()
        at = match.end(5)
        if max(int(width or 0), int(precision or 0)) > 100_000:
            raise TbelError("the format is too wide")
        if letter == "n":
            parts.append("\n")
            continue
        if letter == "%":
            parts.append(_pad("%", flags, width))
            continue
        index = int(explicit) - 1 if explicit else ordinary
        ordinary += 0 if explicit else 1
        if index >= len(values):
            raise TbelError(f"Format specifier '{match.group()[: match.end(5) - mark]}'")
        digits = None if precision is None else int(precision)
        parts.append(_one(letter, flags, width, digits, values[index]))
    parts.append(pattern[at:])
    return "".join(parts)


def _one(letter: str, flags: str, width: str | None, precision: int | None, value: Any) -> str:
    lower = letter.lower()
    formatter = _FORMATTERS.get(lower)
    if formatter is None:
        raise TbelError(f"UnknownFormatConversionException: {letter}")
    text = formatter(letter, flags, width, precision, value)
    return _pad(text.upper() if letter.isupper() else text, flags, width)


def _pad(text: str, flags: str, width: str | None) -> str:
    if width is None:
        return text
    return text.ljust(int(width)) if "-" in flags else text.rjust(int(width))


def _string(letter: str, flags: str, width: str | None, precision: int | None, value: Any) -> str:
    text = to_text(value)
    return text if precision is None else text[:precision]


def _boolean(letter: str, flags: str, width: str | None, precision: int | None, value: Any) -> str:
    return to_text(value) if isinstance(value, bool) else to_text(value is not None)


def _character(
    letter: str, flags: str, width: str | None, precision: int | None, value: Any
) -> str:
    if value is None:
        return "null"
    if type_of(value) == "Character":
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool | Long):
        return chr(value)
    raise TbelError(f"{letter} != java.lang.{type_of(value)}")


def _mismatch(letter: str, value: Any) -> TbelError:
    kind = type_of(value)
    name = "org.thingsboard.script.api.tbel.TbDate" if kind == "Date" else f"java.lang.{kind}"
    return TbelError(f"{letter} != {name}")


def _signed(text: str, negative: bool, flags: str, width: str | None) -> str:
    sign = "-" if negative else "+" if "+" in flags else " " if " " in flags else ""
    if negative and "(" in flags:
        return f"({text})"
    if "0" in flags and width is not None:
        text = text.rjust(int(width) - len(sign), "0")
    return sign + text


def _whole(letter: str, flags: str, width: str | None, precision: int | None, value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool) or not isinstance(value, int):
        raise _mismatch(letter, value)
    digits = f"{abs(value):,}" if "," in flags else str(abs(int(value)))
    return _signed(digits, value < 0, flags, width)


def _radix(letter: str, flags: str, width: str | None, precision: int | None, value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool) or not isinstance(value, int):
        raise _mismatch(letter.lower(), value)
    bits = (
        64
        if isinstance(value, Long)
        else 16
        if isinstance(value, Short)
        else (8 if isinstance(value, Byte) else 32)
    )
    number = value & ((1 << bits) - 1)
    hexadecimal = letter.lower() == "x"
    text = f"{number:x}" if hexadecimal else f"{number:o}"
    if "#" in flags:
        text = ("0x" if hexadecimal else "0") + text
    return text.rjust(int(width), "0") if "0" in flags and width else text


def _decimal(letter: str, flags: str, width: str | None, precision: int | None, value: Any) -> str:
    if value is None:
        return "null"[:precision]
    if not isinstance(value, float | Decimal):
        raise _mismatch(letter.lower(), value)
    if value != value or value in (float("inf"), float("-inf")):
        return to_text(value)
    digits = 6 if precision is None else precision
    exact = Decimal(to_text(abs(value)).replace("E", "e"))
    negative = str(value)[0] == "-"
    kind = letter.lower()
    if kind == "g":
        return _signed(_general(exact, digits), negative, flags, width)
    if kind == "e":
        return _signed(_scientific(exact, digits), negative, flags, width)
    rounded = exact.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP)
    return _signed(f"{rounded:,f}" if "," in flags else f"{rounded:f}", negative, flags, width)


def _scientific(value: Decimal, digits: int) -> str:
    if value == 0:
        return f"{Decimal(0):.{digits}f}e+00"
    exponent = value.adjusted()
    mantissa = value.scaleb(-exponent).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    if mantissa >= 10:
        mantissa, exponent = (mantissa / 10).quantize(Decimal(1).scaleb(-digits)), exponent + 1
    return f"{mantissa:f}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def _general(value: Decimal, digits: int) -> str:
    precision = max(1, digits)
    if value == 0:
        return f"{Decimal(0):.{precision - 1}f}"
    if Decimal("0.0001") <= value < Decimal(10) ** precision:
        places = max(0, precision - value.adjusted() - 1)
        return f"{value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP):f}"
    return _scientific(value, precision - 1)


def _hash(letter: str, flags: str, width: str | None, precision: int | None, value: Any) -> str:
    from appliance.rules.tbel.lib_objects import java_hash

    return "null" if value is None else f"{java_hash(value) & 0xFFFFFFFF:x}"


def _time(letter: str, flags: str, width: str | None, precision: int | None, value: Any) -> str:
    raise _mismatch("Y", value)


_FORMATTERS = {
    "s": _string, "b": _boolean, "c": _character, "d": _whole, "x": _radix, "o": _radix,
    "f": _decimal, "e": _decimal, "g": _decimal, "h": _hash, "t": _time,
}  # fmt: skip
