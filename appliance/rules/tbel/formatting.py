"""String.format: Java's format specifiers for text, whole numbers, decimals and booleans."""

from __future__ import annotations

import math
import re
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from typing import Any

from appliance.rules.tbel.errors import TbelError
from appliance.rules.tbel.kinds import type_of
from appliance.rules.tbel.text import to_text
from appliance.rules.tbel.values import Byte, Long, Short

_SPECIFIER = re.compile(r"%(?:(\d+)\$)?([-#+ 0,(<]*)(\d+)?(?:\.(\d+))?([a-zA-Z%])")
_FLAGS = {
    "s": "-", "b": "-", "h": "-", "c": "-", "d": "-+ 0,(", "x": "-#+ 0(", "o": "-#+ 0(",
    "f": "-#+ 0,(", "e": "-#+ 0(", "g": "-+ 0,(", "a": "-#+ 0", "t": "-", "%": "-", "n": "",
}  # fmt: skip
_ANY_SIZE = Context(prec=500_000)
_WITHOUT_PRECISION = "cCdxXotT%n"


def java_format(pattern: str, values: list[Any]) -> str:
    """Format values. A single null is no values for Java, and null for every specifier.

    Raises:
        TbelError: a specifier is unknown, has no value, or does not fit its value.
    """
    parts, at, ordinary, last = [], 0, 0, -1
    while at < len(pattern):
        mark = pattern.find("%", at)
        if mark < 0:
            break
        parts.append(pattern[at:mark])
        match = _SPECIFIER.match(pattern, mark)
        if match is None:
            raise TbelError(f"UnknownFormatConversionException: {pattern[mark : mark + 2]}")
        explicit, flags, width, precision, letter = match.groups()
        at = match.end()
        _check(letter, flags, width, precision)
        if letter in "n%":
            parts.append("\n" if letter == "n" else _pad("%", flags, width))
            continue
        if "<" not in flags:
            last = int(explicit) - 1 if explicit else ordinary
            ordinary += 0 if explicit else 1
        if not 0 <= last < (len(values) if values != [None] else last + 1):
            raise TbelError(f"Format specifier '{match.group()}'")
        digits = None if precision is None else int(precision)
        value = None if values == [None] else values[last]
        parts.append(_one(letter, flags, width, digits, value))
    parts.append(pattern[at:])
    return "".join(parts)


def _check(letter: str, flags: str, width: str | None, precision: str | None) -> None:
    """Refuse what the reference refuses: flags that mean nothing there, or need a width."""
    allowed = _FLAGS.get(letter, _FLAGS.get(letter.lower()) if letter not in "DOFN" else None)
    if allowed is None:
        raise TbelError(f"UnknownFormatConversionException: {letter}")
    wrong = [f for f in flags if f not in allowed + "<" or flags.count(f) > 1]
    if wrong or ("+" in flags and " " in flags) or ("-" in flags and "0" in flags):
        raise TbelError(f"Conversion = {letter.lower()}, Flags = {''.join(wrong) or flags}")
    if width is None and ("-" in flags or "0" in flags):
        raise TbelError(f"%{flags}{letter}")
    if (precision is not None and letter in _WITHOUT_PRECISION) or (width and letter == "n"):
        raise TbelError(precision or width or "")
    if max(int(width or 0), int(precision or 0)) > 100_000:
        raise TbelError("the format is too wide")


def _one(letter: str, flags: str, width: str | None, precision: int | None, value: Any) -> str:
    text = _FORMATTERS[letter.lower()](letter, flags, width, precision, value)
    return _pad(text.upper() if letter.isupper() else text, flags, width)


def _pad(text: str, flags: str, width: str | None) -> str:
    if width is None:
        return text
    return text.ljust(int(width)) if "-" in flags else text.rjust(int(width))


def _string(letter: str, flags: str, width: str | None, precision: int | None, value: Any) -> str:
    text = to_text(value)
    return text if precision is None else text[:precision]


def _boolean(letter: str, flags: str, width: str | None, precision: int | None, value: Any) -> str:
    text = to_text(value if isinstance(value, bool) else value is not None)
    return text if precision is None else text[:precision]


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
        return f"({text.rjust(int(width) - 2, '0') if '0' in flags and width else text})"
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
    if set(flags) & set("+ ("):
        raise TbelError(f"Conversion = {letter.lower()}, Flags = {flags}")
    number = value & ((1 << bits) - 1)
    hexadecimal = letter.lower() == "x"
    prefix = "" if "#" not in flags else "0x" if hexadecimal else "0"
    text = f"{number:x}" if hexadecimal else f"{number:o}"
    return prefix + (text.rjust(int(width) - len(prefix), "0") if "0" in flags and width else text)


def _decimal(letter: str, flags: str, width: str | None, precision: int | None, value: Any) -> str:
    if value is None:
        return "null"[:precision]
    if not isinstance(value, float | Decimal):
        raise _mismatch(letter.lower(), value)
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return _signed("Infinity", value < 0, flags, None)
    digits = 6 if precision is None else precision
    exact = Decimal(to_text(abs(value)).replace("E", "e"))
    negative = str(value)[0] == "-"
    kind = letter.lower()
    if kind == "g":
        general = _general(exact, digits)
        grouped = "," in flags and "e" not in general
        return _signed(f"{Decimal(general):,f}" if grouped else general, negative, flags, width)
    if kind == "e":
        return _signed(_scientific(exact, digits), negative, flags, width)
    rounded = exact.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP, _ANY_SIZE)
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


def _hexadecimal(
    letter: str, flags: str, width: str | None, precision: int | None, value: Any
) -> str:
    if value is None:
        return "null"[:precision]
    if not isinstance(value, float):
        raise _mismatch("a", value)
    if value != value:
        return "NaN"
    negative = str(value)[0] == "-"
    if value in (float("inf"), float("-inf")):
        return _signed("Infinity", negative, flags, None)
    digits = _hex_digits(abs(value), None if precision is None else max(1, precision))
    sign = _signed("0x", negative, flags.replace("0", ""), None)
    return sign + (digits.rjust(int(width) - len(sign), "0") if "0" in flags and width else digits)


def _hex_digits(value: float, precision: int | None) -> str:
    """`1.f4p9`: as many digits as there are, or the nearest of so many."""
    if precision is None or precision >= 13 or value == 0:
        mantissa, exponent = value.hex().removeprefix("0x").split("p")
        whole, _, digits = mantissa.partition(".")
        return f"{whole}.{digits.rstrip('0').ljust(max(1, precision or 1), '0')}p{int(exponent)}"
    half, power = math.frexp(value)
    rounded = round(Fraction(half) * 2 * 16**precision)
    over = rounded == 2 * 16**precision
    digits = f"{0 if over else rounded - 16**precision:0{precision}x}"
    return f"1.{digits}p{power - 1 + over}"


def _hash(letter: str, flags: str, width: str | None, precision: int | None, value: Any) -> str:
    from appliance.rules.tbel.lib_objects import java_hash

    return ("null" if value is None else f"{java_hash(value) & 0xFFFFFFFF:x}")[:precision]


def _time(letter: str, flags: str, width: str | None, precision: int | None, value: Any) -> str:
    raise _mismatch("Y", value)


_FORMATTERS = {
    "s": _string, "b": _boolean, "c": _character, "d": _whole, "x": _radix, "o": _radix,
    "f": _decimal, "e": _decimal, "g": _decimal, "a": _hexadecimal, "h": _hash, "t": _time,
}  # fmt: skip
