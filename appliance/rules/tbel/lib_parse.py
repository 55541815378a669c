"""Helpers that read numbers from text, and write them as hex or in another radix."""

from __future__ import annotations

import re
import struct
from typing import Any

from appliance.rules.tbel.errors import TbelError
from appliance.rules.tbel.kinds import parse_double, parse_int
from appliance.rules.tbel.lib_objects import digits_of
from appliance.rules.tbel.signatures import helper
from appliance.rules.tbel.values import Float, Long, to_float, wrap_int, wrap_long

_BINARY = re.compile(r"[01]+")
_OCTAL = re.compile(r"[0-7]+")
_DECIMAL = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_HEX = re.compile(r"-?(0[xX])?[0-9a-fA-F]+")
_RADIXES = {2: _BINARY, 8: _OCTAL, 10: _DECIMAL, 16: _HEX}


def _radix_if(pattern: re.Pattern[str], text: str | None, radix: int) -> int:
    return radix if text and pattern.fullmatch(text) else -1


helper("int isBinary(String)")(lambda text: _radix_if(_BINARY, text, 2))
helper("int isOctal(String)")(lambda text: _radix_if(_OCTAL, text, 8))
helper("int isDecimal(String)")(lambda text: _radix_if(_DECIMAL, text, 10))
helper("int isHexadecimal(String)")(lambda text: _radix_if(_HEX, text, 16))


def reversed_hex(text: str) -> str:
    """The bytes of a hex text in the other order; a prefix 0x stays in front."""
    if text.startswith("-"):
        raise TbelError("The hexadecimal string must be without a negative sign.")
    prefix = "0x" if text.startswith("0x") else ""
    digits = text[len(prefix) :]
    if len(digits) % 2:
        raise TbelError("The hexadecimal string must be even-length.")
    return prefix + "".join(digits[i : i + 2] for i in range(len(digits) - 2, -1, -2))


def prepared(text: str | None, big_endian: bool = True) -> str | None:
    """Trimmed, without 0x, with a point for a comma; None where nothing is left."""
    if text is None or not text.strip():
        return None
    body = text.strip().replace("0x", "").replace("0X", "").replace(",", ".")
    return body if big_endian else reversed_hex(body)


def _found_radix(body: str) -> int:
    if _DECIMAL.fullmatch(body):
        return 10
    if _HEX.fullmatch(body):
        return 16
    raise TbelError(f'Value: "{body}" is not numeric or hexDecimal format!')


def _checked_radix(body: str, radix: int, original: str) -> int:
    if radix == 0:
        radix = _found_radix(body)
    elif 25 <= radix <= 36:
        return radix
    else:
        pattern = _RADIXES.get(radix)
        if pattern is None:
            raise TbelError(f"Invalid radix: [{radix}]")
        if not pattern.fullmatch(body):
            raise TbelError(f'Failed radix [{radix}] for value: "{original}", must be [-1] !')
    if original.startswith("0x"):
        radix = 16
    if radix == 16 and len(original.removeprefix("-")) % 2:
        raise TbelError(f'The hexadecimal value: "{original}" must be of even length')
    return radix


def _binary(text: str, bits: int) -> int:
    value = parse_int(text.rjust(bits, "0"), 2, bits + 2)
    return wrap_int(value) if bits == 32 else wrap_long(value)


def _whole(text: str | None, radix: int, big_endian: bool, bits: int) -> int | None:
    body = prepared(text, big_endian)
    if body is None or text is None:
        return None
    radix = _checked_radix(body, radix, text)
    if radix == 2:
        if len(body) > bits:
            raise TbelError(f'For input string: "{body}"')
        return _binary(body, bits)
    return parse_int(body, radix, bits)


@helper("Integer parseInt(String)", "Integer parseInt(String,int)")
def parse_integer(text: str | None, radix: int = 0) -> int | None:
    return _whole(text, radix, True, 32)


@helper("Long parseLong(String)", "Long parseLong(String,int)")
def _parse_long(text: str | None, radix: int = 0) -> Long | None:
    value = _whole(text, radix, True, 64)
    return None if value is None else Long(value)


def _float_bits(body: str) -> Float:
    bits = parse_int(body, 16, 64) & 0xFFFFFFFF
    return Float(struct.unpack(">f", struct.pack(">I", bits))[0])


def _float_of(text: str, body: str, radix: int) -> Float:
    if _checked_radix(body, radix, text) == 16:
        return _float_bits(body)
    return to_float(parse_double(text))


@helper("Float parseFloat(String)", "Float parseFloat(String,int)")
def _parse_float(text: str | None, radix: int = 0) -> Float | None:
    body = prepared(text)
    return None if body is None or text is None else _float_of(text, body, radix)


def _double(text: str | None, radix: int, big_endian: bool) -> float | None:
    body = prepared(text, big_endian)
    if body is None or text is None:
        return None
    if _checked_radix(body, radix, text) == 10:
        return parse_double(body)
    if len(body) > 16 or body.startswith("-"):
        raise TbelError(f'For input string: "{body}" under radix 16')
    return float(struct.unpack(">d", struct.pack(">Q", int(body, 16)))[0])


@helper("Double parseDouble(String)", "Double parseDouble(String,int)")
def _parse_double(text: str | None, radix: int | None = None) -> float | None:
    return _double(text, _found_radix(text or "null") if radix is None else radix, True)


def _required(value: Any) -> Any:
    if value is None:
        raise TbelError("null pointer")
    return value


@helper("int parseHexToInt(String)", "int parseBigEndianHexToInt(String)")
def _hex_to_int(text: str | None) -> int:
    return int(_required(_whole(text, 16, True, 32)))


@helper("Integer parseHexToInt(String,boolean)")
def _hex_to_int_order(text: str | None, big_endian: bool) -> int | None:
    return _whole(text, 16, big_endian, 32)


@helper("int parseLittleEndianHexToInt(String)")
def _little_hex_to_int(text: str | None) -> int:
    return int(_required(_whole(text, 16, False, 32)))


@helper("long parseHexToLong(String)", "long parseBigEndianHexToLong(String)")
def _hex_to_long(text: str | None) -> Long:
    return Long(_required(_whole(text, 16, True, 64)))


@helper("Long parseHexToLong(String,boolean)")
def _hex_to_long_order(text: str | None, big_endian: bool) -> Long | None:
    value = _whole(text, 16, big_endian, 64)
    return None if value is None else Long(value)


@helper("long parseLittleEndianHexToLong(String)")
def _little_hex_to_long(text: str | None) -> Long:
    return Long(_required(_whole(text, 16, False, 64)))


@helper("float parseHexToFloat(String)", "float parseBigEndianHexToFloat(String)")
def _hex_to_float(text: str | None) -> Float:
    return Float(_required(_hex_to_float_order(text, True)))


@helper("Float parseHexToFloat(String,boolean)")
def _hex_to_float_order(text: str | None, big_endian: bool) -> Float | None:
    body = prepared(text, big_endian)
    return None if body is None or text is None else _float_of(text, body, 16)


@helper("float parseLittleEndianHexToFloat(String)")
def _little_hex_to_float(text: str | None) -> Float:
    return Float(_required(_hex_to_float_order(text, False)))


@helper("Float parseHexIntLongToFloat(String,boolean)")
def _hex_number_to_float(text: str | None, big_endian: bool) -> Float | None:
    body = prepared(text, big_endian)
    if body is None or text is None:
        return None
    _checked_radix(body, 16, text)
    return to_float(float(wrap_int(parse_int(body, 16, 64))))


@helper("double parseHexToDouble(String)", "double parseBigEndianHexToDouble(String)")
def _hex_to_double(text: str | None) -> float:
    return float(_required(_double(text, 16, True)))


@helper("double parseHexToDouble(String,boolean)")
def _hex_to_double_order(text: str | None, big_endian: bool) -> float:
    return float(_required(_double(text, 16, big_endian)))


@helper("double parseLittleEndianHexToDouble(String)")
def _little_hex_to_double(text: str | None) -> float:
    return float(_required(_double(text, 16, False)))


# numbers to text


def _even(digits: str, fill: str) -> str:
    return fill + digits if len(digits) % 2 else digits


def _short_hex(number: int, length_max: int) -> str:
    digits = f"{int(number) & 0xFFFFFFFFFFFFFFFF:X}"
    body = _even(digits.lstrip("0") or "0", "0")
    if number >= 0:
        return body
    tail = _even(body.lstrip("F") or "F", "F")
    if len(tail) > length_max:
        return tail[len(tail) - length_max :]
    return tail if len(tail) == length_max else "FF" + tail


def _hex(number: int | None, big_endian: bool, prefix: bool, length: int, length_max: int) -> str:
    if number is None:
        raise TbelError("null pointer")
    full = len(f"{int(number) & 0xFFFFFFFFFFFFFFFF:X}")
    text = _short_hex(number, full if length_max < 0 else length_max)
    text = text if big_endian else reversed_hex(text)
    size = len(text) if length == -1 else length
    if not 0 <= size <= len(text):
        raise TbelError(f"begin {len(text) - size}, end {len(text)}, length {len(text)}")
    text = text[len(text) - size :]
    return "0x" + text if prefix else text


@helper("String intToHex(Integer)", "String intToHex(Integer,boolean)",
        "String intToHex(Integer,boolean,boolean)",
        "String intToHex(Integer,boolean,boolean,int)")  # fmt: skip
def _int_to_hex(
    number: int | None, big_endian: bool = True, prefix: bool = False, length: int = -1
) -> str:
    return _hex(number, big_endian, prefix, length, 8)


@helper("String longToHex(Long)", "String longToHex(Long,boolean)",
        "String longToHex(Long,boolean,boolean)",
        "String longToHex(Long,boolean,boolean,int)")  # fmt: skip
def _long_to_hex(
    number: int | None, big_endian: bool = True, prefix: bool = False, length: int = -1
) -> str:
    return _hex(number, big_endian, prefix, length, 16)


def _padded_binary(number: int) -> str:
    digits = f"{int(number) & 0xFFFFFFFFFFFFFFFF:b}"
    for size in (8, 16, 32, 64):
        if len(digits) < size:
            return digits.rjust(size, "0")
    return digits


@helper("String intLongToRadixString(Long)", "String intLongToRadixString(Long,int)",
        "String intLongToRadixString(Long,int,boolean)",
        "String intLongToRadixString(Long,int,boolean,boolean)")  # fmt: skip
def _radix_string(
    number: int | None, radix: int = 10, big_endian: bool = True, prefix: bool = False
) -> str:
    if number is None:
        raise TbelError("null pointer")
    if 25 <= radix <= 36:
        return digits_of(int(number), radix)
    if radix == 2:
        return _padded_binary(number)
    if radix == 8:
        return f"{int(number) & 0xFFFFFFFFFFFFFFFF:o}"
    if radix == 10:
        return str(int(number))
    if radix == 16:
        return _hex(number, big_endian, prefix, -1, -1)
    raise TbelError(f"Invalid radix: [{radix}]")


@helper("String floatToHex(Float)", "String floatToHex(Float,boolean)")
def _float_to_hex(number: float | None, big_endian: bool = True) -> str:
    if number is None:
        raise TbelError("null pointer")
    text = f"0x{struct.unpack('>I', struct.pack('>f', number))[0]:08X}"
    return text if big_endian else reversed_hex(text)


@helper("String doubleToHex(Double)", "String doubleToHex(Double,boolean)")
def _double_to_hex(number: float | None, big_endian: bool = True) -> str:
    if number is None:
        raise TbelError("null pointer")
    text = f"0x{struct.unpack('>Q', struct.pack('>d', number))[0]:016X}"
    return text if big_endian else reversed_hex(text)
