"""Helpers on bytes: lists and arrays of them, base64, hex text, bits."""

from __future__ import annotations

import base64
import binascii
import re
import struct
from collections.abc import Callable
from typing import Any, TypeVar

from appliance.rules.tbel.errors import TbelError
from appliance.rules.tbel.json_text import parse_top
from appliance.rules.tbel.kinds import parse_int, type_of
from appliance.rules.tbel.lib_parse import parse_integer, prepared
from appliance.rules.tbel.limits import Budget
from appliance.rules.tbel.signatures import helper
from appliance.rules.tbel.text import to_text
from appliance.rules.tbel.values import Byte, Float, JavaArray, Long, TbList, to_float, wrap_byte

Function = TypeVar("Function", bound=Callable[..., Any])
Data = TbList | JavaArray | None


def _need(data: Data) -> list[Any]:
    if data is None:
        raise TbelError("null pointer")
    return data.items if isinstance(data, JavaArray) else data


def _raw(data: Data) -> bytes:
    """The bytes of a list of numbers, each cut to eight bits."""
    values = []
    for value in _need(data):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TbelError(f"{type_of(value)} cannot be cast to Number")
        values.append(int(value) & 0xFF)
    return bytes(values)


def _array(raw: bytes) -> JavaArray:
    return JavaArray("byte", [wrap_byte(b) for b in raw])


def _list(raw: bytes) -> TbList:
    return TbList([wrap_byte(b) for b in raw])


def _one_byte(value: Any) -> int:
    if type(value) is str:
        value = parse_integer(value)
    if type(value) is int:
        if not -128 <= value <= 255:
            raise TbelError(f"The value '{value}' could not be correctly converted to a byte.")
        return value & 0xFF
    if isinstance(value, Byte):
        return value & 0xFF
    raise TbelError(f"The value '{to_text(value)}' could not be correctly converted to a byte.")


def _charset(name: str) -> str:
    try:
        "".encode(name)
    except LookupError:
        raise TbelError(name) from None
    return "utf-16-be" if name.lower() == "utf-16" else name


def _decode(raw: bytes, charset: str = "utf-8") -> str:
    return raw.decode(_charset(charset), "replace")


@helper("String bytesToString(List)", "String bytesToString(List,String)",
        "String decodeToString(List)")  # fmt: skip
def _bytes_to_string(data: Data, charset: str = "utf-8") -> str:
    return _decode(bytes(map(_one_byte, _need(data))), charset)


@helper("Object decodeToJson(List)")
def _decode_list_to_json(data: Data) -> Any:
    return parse_top(_bytes_to_string(data))


@helper("Object decodeToJson(String)")
def _decode_to_json(text: str) -> Any:
    if not text.strip():
        raise TbelError("null pointer")
    return parse_top(text)


@helper("List stringToBytes(Object)", "List stringToBytes(Object,String)", budget=True)
def _string_to_bytes(budget: Budget, text: Any, charset: str = "UTF-8") -> TbList:
    if not isinstance(text, str):
        raise TbelError(f"Invalid type parameter [{type_of(text)}]. Expected 'String'")
    mark = b"\xfe\xff" if charset.lower() == "utf-16" else b""
    raw = mark + text.encode(_charset(charset), "replace")
    budget.grow(len(raw) * 8)
    return _list(raw)


def from_base64(text: str | None) -> bytes:
    """Base64 with or without its padding.

    Raises:
        TbelError: a character that does not belong, or a length that cannot be.
    """
    if text is None:
        raise TbelError("null pointer")
    body = text.rstrip("=")
    if len(body) % 4 == 1:
        raise TbelError("Input byte[] should at least have 2 bytes for base64 bytes")
    try:
        return base64.b64decode(body + "=" * (-len(body) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise TbelError("Illegal base64 character") from None


@helper("String btoa(String)")
def _btoa(text: str | None) -> str:
    if text is None:
        raise TbelError("null pointer")
    return base64.b64encode(text.encode("utf-8", "replace")).decode("ascii")


helper("String atob(String)")(lambda text: _decode(from_base64(text)))
helper("String base64ToHex(String)")(lambda text: from_base64(text).hex().upper())
helper("byte[] base64ToBytes(String)")(lambda text: _array(from_base64(text)))
helper("List base64ToBytesList(String)")(lambda text: _list(from_base64(text)))
helper("String bytesToBase64(byte[])")(lambda data: base64.b64encode(_raw(data)).decode("ascii"))


@helper("String hexToBase64(String)")
def _hex_to_base64(text: str) -> str:
    if len(text) % 2:
        raise TbelError(f"begin {len(text) - 1}, end {len(text) + 1}, length {len(text)}")
    raw = bytes(parse_int(text[i : i + 2], 16) & 0xFF for i in range(0, len(text), 2))
    return base64.b64encode(raw).decode("ascii")


@helper("String bytesToHex(byte[])")
def _array_to_hex(data: Data) -> str:
    return _raw(data).hex().upper()


@helper("String bytesToHex(TbList)")
def _list_to_hex(data: Data) -> str:
    return bytes(parse_int(to_text(v), 10, 8) & 0xFF for v in _need(data)).hex().upper()


_HEX_TEXT = re.compile(r"-?(0[xX])?[0-9a-fA-F]+")


def _hex_bytes(text: str | None) -> bytes:
    body = prepared(text)
    if body is None or text is None:
        raise TbelError("Hex string must be not empty!")
    if len(body) % 2:
        raise TbelError("Hex string must be even-length.")
    if _HEX_TEXT.fullmatch(text) is None:
        raise TbelError(f'Value: "{text}" is not numeric or hexDecimal format!')
    # a sign takes the place of the first digit
    return bytes(int(body[i : i + 2], 16) & 0xFF for i in range(0, len(body), 2))


@helper("TbList hexToBytes(String)", budget=True)
def _hex_to_bytes(budget: Budget, text: str | None) -> TbList:
    raw = _hex_bytes(text)
    budget.grow(len(raw) * 8)
    return _list(raw)


helper("byte[] hexToBytesArray(String)")(lambda text: _array(_hex_bytes(text)))
helper("TbList bytesToExecutionArrayList(byte[])")(lambda data: _list(_raw(data)))


@helper("List printUnsignedBytes(List)")
def _unsigned(data: Data) -> TbList:
    values = _need(data)
    for value in values:
        if not isinstance(value, Byte):
            raise TbelError(f"{type_of(value)} cannot be cast to class java.lang.Byte")
    return TbList([int(v) & 0xFF for v in values])


# bytes to numbers


def _part(data: Data, offset: int, length: int | None, length_max: int) -> bytes:
    raw = _raw(data)
    if offset > len(raw):
        raise TbelError(f"Offset: {offset} is out of bounds for array with length: {len(raw)}!")
    size = min(len(raw) - offset, length_max) if length is None else length
    if offset + size > len(raw) or offset < 0 or size < 0:
        raise TbelError(
            f"Offset: {offset} and Length: {size} is out of bounds for array with length: "
            f"{len(raw)}!"
        )
    if size > length_max:
        raise TbelError(f"Length: {size} is too large. Maximum {length_max} bytes is allowed!")
    return raw[offset : offset + size]


def _number(raw: bytes, size: int, big_endian: bool) -> int:
    order = "big" if big_endian else "little"
    padded = raw.rjust(size, b"\0") if big_endian else raw.ljust(size, b"\0")
    return int.from_bytes(padded, order, signed=True)  # type: ignore[arg-type]  # one of two


def _bytes_helper(name: str, returns: str) -> Callable[[Function], Function]:
    signatures = []
    for kind in ("List", "byte[]"):
        for extra in ("", ",int", ",int,int", ",int,int,boolean"):
            signatures.append(f"{returns} {name}({kind}{extra})")
    return helper(*signatures)


@_bytes_helper("parseBytesToInt", "int")
def _to_int(data: Data, offset: int = 0, length: int | None = None, big: bool = True) -> int:
    return _number(_part(data, offset, length, 4), 4, big)


@_bytes_helper("parseBytesToLong", "long")
def _to_long(data: Data, offset: int = 0, length: int | None = None, big: bool = True) -> Long:
    return Long(_number(_part(data, offset, length, 8), 8, big))


def _ieee(data: Data, offset: int, length: int | None, big: bool, size: int, code: str) -> float:
    raw = _raw(data)
    wanted = min(len(raw) - offset, size) if length is None else length
    if wanted > size or wanted < 0 or offset < 0 or offset + wanted > len(raw):
        raise TbelError(f"{wanted} bytes from {offset} are not there")
    part = raw[offset : offset + wanted]
    padded = part.rjust(size, b"\0") if big else part.ljust(size, b"\0")
    value = float(struct.unpack((">" if big else "<") + code, padded)[0])
    if value != value:
        raise TbelError(f"byte[] 0x{raw.hex().upper()} is a Not-a-Number (NaN) value")
    return value


@_bytes_helper("parseBytesToFloat", "float")
def _to_float(data: Data, offset: int = 0, length: int | None = None, big: bool = True) -> Float:
    return Float(_ieee(data, offset, length, big, 4, "f"))


@_bytes_helper("parseBytesToDouble", "double")
def _to_double(data: Data, offset: int = 0, length: int | None = None, big: bool = True) -> float:
    return _ieee(data, offset, length, big, 8, "d")


@_bytes_helper("parseBytesIntToFloat", "float")
def _int_to_float(
    data: Data, offset: int = 0, length: int | None = None, big: bool = True
) -> Float:
    raw = _part(data, offset, length, 4)
    return to_float(float(int.from_bytes(raw if big else raw[::-1], "big")))


@_bytes_helper("parseBytesLongToDouble", "double")
def _long_to_double(
    data: Data, offset: int = 0, length: int | None = None, big: bool = True
) -> float:
    raw = _part(data, offset, length, 8)
    return float(int.from_bytes(raw if big else raw[::-1], "big"))


# bits


def _bits(value: int, count: int) -> JavaArray:
    return JavaArray("byte", [Byte((value >> i) & 1) for i in range(count - 1, -1, -1)])


@helper("byte[] parseByteToBinaryArray(byte)", "byte[] parseByteToBinaryArray(byte,int)",
        "byte[] parseByteToBinaryArray(byte,int,boolean)")  # fmt: skip
def _byte_to_bits(value: int, count: int = 8, big: bool = True) -> JavaArray:
    if count < 0:
        raise TbelError(str(count))
    # Java shifts an int by its distance modulo 32
    wanted = range(min(count, 1024) - 1, -1, -1)
    bits = JavaArray("byte", [Byte((int(value) >> (i % 32)) & 1) for i in wanted])
    return bits if big else JavaArray("byte", bits.items[::-1])


@helper("byte[] parseLongToBinaryArray(long)", "byte[] parseLongToBinaryArray(long,int)")
def _long_to_bits(value: int, count: int = 64) -> JavaArray:
    if count < 0:
        raise TbelError(str(count))
    return _bits(int(value), min(count, 64))


@helper("byte[] parseBytesToBinaryArray(List)", "byte[] parseBytesToBinaryArray(List,int)",
        "byte[] parseBytesToBinaryArray(byte[])",
        "byte[] parseBytesToBinaryArray(byte[],int)")  # fmt: skip
def _bytes_to_bits(data: Data, count: int | None = None) -> JavaArray:
    raw = _raw(data)
    size = len(raw) * 8 if count is None else count
    if len(raw) < 8 and isinstance(data, JavaArray | list):
        value = int.from_bytes(raw, "big")
    else:
        value = int.from_bytes(raw[:8], "big", signed=True)
    return _long_to_bits(value, size)


@helper("int parseBinaryArrayToInt(List)", "int parseBinaryArrayToInt(List,int)",
        "int parseBinaryArrayToInt(List,int,int)", "int parseBinaryArrayToInt(byte[])",
        "int parseBinaryArrayToInt(byte[],int)",
        "int parseBinaryArrayToInt(byte[],int,int)")  # fmt: skip
def _bits_to_int(data: Data, offset: int = 0, length: int | None = None) -> int:
    bits = _raw(data)
    end = min((len(bits) if length is None else length) + offset, len(bits))
    result = 0
    for bit in bits[offset:end]:
        result = ((result << 1) | (bit & 1)) & 0xFFFFFFFF
    result -= (result >> 31) << 32
    if len(bits) == 8 and offset == 0 and bits[0] == 1:
        result -= 1 << end
    return result
