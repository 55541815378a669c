"""The other helpers: JSON, rounding, tests, sets, flat maps, URIs, padding, errors, Random."""

from __future__ import annotations

import uuid
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

from appliance.rules.tbel.errors import TbelError
from appliance.rules.tbel.json_text import parse_top
from appliance.rules.tbel.limits import Budget
from appliance.rules.tbel.signatures import helper, java
from appliance.rules.tbel.text import double_text, to_json, to_text
from appliance.rules.tbel.values import (
    INT_MAX,
    INT_MIN,
    Float,
    JavaArray,
    Long,
    TbMap,
    TbSet,
    contains,
    to_float,
    wrap_int,
    wrap_long,
)


@java("JSON", "static String stringify(Object)", budget=True)
def _stringify(budget: Budget, value: Any) -> str:
    text = to_json(value, binary=True)
    budget.grow(len(text))
    return text


@java("JSON", "static Object parse(String)", budget=True)
def _parse(budget: Budget, text: str | None) -> Any:
    if text is None:
        return None
    if not text.strip():
        raise TbelError("null pointer")
    budget.grow(2 * len(text))
    return parse_top(text)


def _fixed(value: float, digits: int) -> float:
    """Round half away from zero on the shortest decimal text, as BigDecimal.valueOf does."""
    if value != value or value in (float("inf"), float("-inf")):
        raise TbelError("Infinite or NaN")
    if not -300 < digits < 300:
        return float(value)
    scaled = Decimal(double_text(value)).scaleb(digits).to_integral_value(ROUND_HALF_UP)
    return float(scaled.scaleb(-digits))


@helper("double toFixed(double,int)")
def _to_fixed(value: float, digits: int) -> float:
    return _fixed(value, digits)


@helper("float toFixed(float,int)")
def _to_fixed_float(value: Float, digits: int) -> Float:
    return to_float(_fixed(float(value), digits))


@helper("int toInt(double)")
def _to_int(value: float) -> int:
    if value != value or value in (float("inf"), float("-inf")):
        raise TbelError("Infinite or NaN")
    return wrap_int(int(Decimal(double_text(value)).to_integral_value(ROUND_HALF_UP)))


helper("boolean isNaN(double)")(lambda value: value != value)
helper("boolean isMap(Object)")(lambda value: isinstance(value, dict))
helper("boolean isList(Object)")(lambda value: isinstance(value, list))
helper("boolean isArray(Object)")(lambda value: isinstance(value, JavaArray))
helper("boolean isSet(Object)")(lambda value: isinstance(value, TbSet))
helper("Set newSet()")(TbSet)


@helper("Set toSet(List)")
def _to_set(values: Any) -> TbSet:
    if values is None:
        raise TbelError("null pointer")
    return TbSet(values)


@helper("void raiseError(String)")
def _raise(message: str | None) -> None:
    raise TbelError("null" if message is None else message)


def _padding(text: str | None, size: int, budget: Budget) -> int:
    if text is None:
        raise TbelError("null pointer")
    missing = max(0, size - len(text))
    budget.grow(missing)
    return missing


@helper("String padStart(String,int,char)", budget=True)
def _pad_start(budget: Budget, text: str | None, size: int, fill: str) -> str:
    return str(fill) * _padding(text, size, budget) + str(text)


@helper("String padEnd(String,int,char)", budget=True)
def _pad_end(budget: Budget, text: str | None, size: int, fill: str) -> str:
    missing = _padding(text, size, budget)
    return str(text) + str(fill) * missing


_URI_SAFE = "-_.!~*'();,/?:@&=+$#"


@helper("String encodeURI(String)")
def _encode_uri(text: str | None) -> str:
    if text is None:
        raise TbelError("null pointer")
    return quote_from_bytes(text.encode("utf-8", "replace"), safe=_URI_SAFE)


@helper("String decodeURI(String)")
def _decode_uri(text: str | None) -> str:
    if text is None:
        raise TbelError("null pointer")
    for at, mark in enumerate(text):
        if mark == "%":
            digits = text[at + 1 : at + 3]
            if len(digits) < 2 or any(d not in "0123456789abcdefABCDEF" for d in digits):
                raise TbelError("URLDecoder: Incomplete trailing escape (%) pattern")
    return unquote_to_bytes(text).decode("utf-8", "replace")


# toFlatMap


@helper("TbMap toFlatMap(Map)", "TbMap toFlatMap(Map,boolean)", "TbMap toFlatMap(Map,List)",
        "TbMap toFlatMap(Map,List,boolean)")  # fmt: skip
def _flat_map(values: Any, *options: Any) -> TbMap:
    excluded: Any = next((o for o in options if isinstance(o, list)), ())
    paths = next((o for o in options if isinstance(o, bool)), True)
    flat = TbMap()
    _flatten(values, flat, excluded, "", paths)
    if values is None:
        flat.clear()
    return flat


def _flatten(value: Any, flat: TbMap, excluded: Any, path: str, paths: bool) -> None:
    if isinstance(value, list | TbSet):
        for index, item in enumerate(value):
            _flatten(item, flat, excluded, f"{path}.{index}", paths)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not contains(excluded, key):
                prefix = f"{path}." if path.strip() else path
                _flatten(item, flat, excluded, prefix + to_text(key), paths)
    else:
        flat.put(path if paths else _last_name(path), value)


def _last_name(path: str) -> str:
    parts = path.rsplit(".", 2)
    if parts[-1].isdigit() and len(parts) > 1:
        return ".".join(parts[-2:])
    return parts[-1]


# Random, UUID


class Random:
    """java.util.Random: the same seed gives the same numbers."""

    java_name = "Random"
    storable = True
    __slots__ = ("seed",)

    def __init__(self, seed: int) -> None:
        self.seed = (seed ^ 0x5DEECE66D) & ((1 << 48) - 1)

    def bits(self, count: int) -> int:
        """The next bits, signed."""
        self.seed = (self.seed * 0x5DEECE66D + 0xB) & ((1 << 48) - 1)
        return wrap_int(self.seed >> (48 - count))


@java("Random", "static Random <init>()", "static Random <init>(long)")
def _new_random(seed: int | None = None) -> Random:
    return Random(uuid.uuid4().int if seed is None else int(seed))


@java("Random", "int nextInt()")
def _next_any_int(source: Random) -> int:
    return source.bits(32)


@java("Random", "int nextInt(int)")
def _next_int(source: Random, bound: int) -> int:
    if bound <= 0:
        raise TbelError("bound must be positive")
    if bound & (bound - 1) == 0:
        return (bound * source.bits(31)) >> 31
    while True:
        bits = source.bits(31)
        value = bits % bound
        if bits - value + (bound - 1) <= INT_MAX:
            return value


@java("Random", "int nextInt(int,int)")
def _next_between(source: Random, low: int, high: int) -> int:
    if low >= high:
        raise TbelError("bound must be greater than origin")
    if INT_MIN < high - low <= INT_MAX:
        return low + _next_int(source, high - low)
    return low + int(_next_double(source) * (high - low))


@java("Random", "long nextLong()")
def _next_long(source: Random) -> Long:
    return wrap_long((source.bits(32) << 32) + source.bits(32))


@java("Random", "double nextDouble()")
def _next_double(source: Random) -> float:
    return float((source.bits(26) << 27) + source.bits(27)) * 2.0**-53


@java("Random", "float nextFloat()")
def _next_float(source: Random) -> Float:
    return to_float(source.bits(24) / float(1 << 24))


@java("Random", "boolean nextBoolean()")
def _next_boolean(source: Random) -> bool:
    return source.bits(1) != 0


@java("java.util.UUID", "static Object randomUUID()")
def _random_uuid() -> Any:
    return Uuid()


class Uuid:
    """java.util.UUID."""

    java_name = "UUID"
    storable = True
    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = uuid.uuid4()

    def __str__(self) -> str:
        return str(self.value)


@java("Calendar", "static Object getInstance()")
def _no_calendar() -> Any:
    raise TbelError("Unsupported value type: class java.util.GregorianCalendar")
