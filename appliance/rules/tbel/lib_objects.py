"""Methods that every value has, and those of Boolean, Character and the number classes."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any

from appliance.rules.tbel.errors import TbelError
from appliance.rules.tbel.kinds import parse_double, parse_int
from appliance.rules.tbel.signatures import CONSTANTS, java
from appliance.rules.tbel.text import to_text
from appliance.rules.tbel.values import (
    INT_MAX,
    INT_MIN,
    LONG_MAX,
    LONG_MIN,
    Byte,
    Char,
    Entry,
    Float,
    Long,
    Short,
    TbSet,
    same,
    saturate,
    to_float,
    wrap_byte,
    wrap_int,
    wrap_long,
)


def java_hash(value: Any) -> int:
    """Object.hashCode of the kinds that scripts have."""
    if value is None:
        return 0
    if isinstance(value, bool):
        return 1231 if value else 1237
    if isinstance(value, str):
        return _text_hash(value)
    if isinstance(value, Float):
        return int(struct.unpack(">i", struct.pack(">f", value))[0])
    if isinstance(value, float):
        bits = struct.unpack(">Q", struct.pack(">d", value))[0]
        return wrap_int(bits ^ (bits >> 32))
    if isinstance(value, Long):
        bits = int(value) & 0xFFFFFFFFFFFFFFFF
        return wrap_int(bits ^ (bits >> 32))
    if isinstance(value, int):
        return int(value)
    if isinstance(value, list):
        total = 1
        for item in value:
            total = wrap_int(31 * total + java_hash(item))
        return total
    if isinstance(value, dict):
        return wrap_int(sum(java_hash(k) ^ java_hash(v) for k, v in value.items()))
    if isinstance(value, TbSet):
        return wrap_int(sum(java_hash(v) for v in value))
    if isinstance(value, Entry):
        return java_hash(value.key) ^ java_hash(value.value)
    return id(value) & INT_MAX


def _text_hash(text: str) -> int:
    total = 0
    units = text.encode("utf-16-be", "surrogatepass")
    for index in range(0, len(units), 2):
        total = (31 * total + (units[index] << 8) + units[index + 1]) & 0xFFFFFFFF
    return wrap_int(total)


java("Object", "int hashCode()")(java_hash)
java("Object", "String toString()")(to_text)
java("Object", "boolean equals(Object)")(same)


@java("MapEntry", "Object getKey()")
def _key(entry: Entry) -> Any:
    return entry.key


@java("MapEntry", "Object getValue()")
def _value(entry: Entry) -> Any:
    return entry.value


@java("Entry", "Object setValue(Object)")
def _set_value(entry: Entry, value: Any) -> Any:
    old, entry.value = entry.value, value
    return old


java("Entry", "Object getKey()")(_key)
java("Entry", "Object getValue()")(_value)

for _kind in ("Integer", "Long", "Double", "Float", "Short", "Byte"):
    java(_kind, "int intValue()")(
        lambda v: saturate(float(v), INT_MIN, INT_MAX) if isinstance(v, float) else wrap_int(int(v))
    )
    java(_kind, "long longValue()")(
        lambda v: Long(saturate(v, LONG_MIN, LONG_MAX)) if isinstance(v, float) else Long(v)
    )
    java(_kind, "double doubleValue()")(lambda v: float(v))
    java(_kind, "float floatValue()")(lambda v: to_float(float(v)))
    java(_kind, "short shortValue()")(
        lambda v: Short((saturate(float(v), INT_MIN, INT_MAX) + 2**15) % 2**16 - 2**15)
    )
    java(_kind, "byte byteValue()")(lambda v: wrap_byte(saturate(float(v), INT_MIN, INT_MAX)))


def _compare(left: Any, right: Any) -> int:
    if left != left or right != right:
        return int(left != left) - int(right != right)
    return int(left > right) - int(left < right)


_SUMS: dict[str, Callable[[Any, Any], Any]] = {
    "Integer": lambda a, b: wrap_int(a + b),
    "Long": lambda a, b: wrap_long(a + b),
    "Double": lambda a, b: a + b,
    "Float": lambda a, b: to_float(a + b),
}
for _kind, _primitive in (
    ("Integer", "int"), ("Long", "long"), ("Double", "double"), ("Float", "float"),
):  # fmt: skip
    java(_kind, f"int compareTo({_kind})")(_compare)
    java(_kind, f"static int compare({_primitive},{_primitive})")(_compare)
    java(_kind, f"static {_primitive} sum({_primitive},{_primitive})")(_SUMS[_kind])
    java(_kind, f"static {_primitive} max({_primitive},{_primitive})")(max)
    java(_kind, f"static {_primitive} min({_primitive},{_primitive})")(min)
for _kind in ("Byte", "Short", "Boolean", "Character"):
    java(_kind, f"int compareTo({_kind})")(
        lambda a, b: ord(a) - ord(b) if isinstance(a, str) else int(a) - int(b)
    )


def digits_of(value: int, radix: int) -> str:
    if radix < 2 or radix > 36:
        radix = 10
    digits, rest = "", abs(value)
    while True:
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[rest % radix] + digits
        rest //= radix
        if rest == 0:
            return "-" + digits if value < 0 else digits


def _whole_number_class(name: str, primitive: str, bits: int, make: Any) -> None:
    mask = (1 << bits) - 1
    parse = "parseInt" if name == "Integer" else f"parse{name}"

    java(name, f"static {primitive} {parse}(String)", f"static {primitive} {parse}(String,int)")(
        lambda text, radix=10: make(_parse(text, radix, bits))
    )
    java(name, f"static {name} valueOf(String)", f"static {name} valueOf(String,int)")(
        lambda text, radix=10: make(_parse(text, radix, bits))
    )
    java(name, f"static {name} valueOf({primitive})", f"static {name} <init>({primitive})")(make)
    java(name, f"static String toString({primitive})")(to_text)
    if bits < 32:
        return
    java(name, f"static String toString({primitive},int)")(digits_of)
    java(name, f"static String toHexString({primitive})")(lambda v: f"{v & mask:x}")
    java(name, f"static String toBinaryString({primitive})")(lambda v: f"{v & mask:b}")
    java(name, f"static String toOctalString({primitive})")(lambda v: f"{v & mask:o}")
    java(name, f"static String toUnsignedString({primitive})")(lambda v: str(v & mask))
    java(name, f"static int bitCount({primitive})")(lambda v: (v & mask).bit_count())
    java(name, f"static int signum({primitive})")(lambda v: (v > 0) - (v < 0))
    java(name, f"static {primitive} abs({primitive})")(abs)
    java(name, f"static int numberOfLeadingZeros({primitive})")(
        lambda v: bits - (v & mask).bit_length()
    )
    java(name, f"static int numberOfTrailingZeros({primitive})")(
        lambda v: bits if v == 0 else (v & -v & mask).bit_length() - 1
    )
    java(name, f"static {primitive} highestOneBit({primitive})")(
        lambda v: make(_signed(1 << ((v & mask).bit_length() - 1), bits) if v else 0)
    )
    java(name, f"static {primitive} reverse({primitive})")(
        lambda v: make(_signed(int(f"{v & mask:0{bits}b}"[::-1], 2), bits))
    )
    java(name, f"static {primitive} reverseBytes({primitive})")(
        lambda v: make(int.from_bytes((v & mask).to_bytes(bits // 8, "big"), "little", signed=True))
    )


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value


def _parse(text: str | None, radix: int, bits: int) -> int:
    if text is None:
        raise TbelError("Cannot parse null string: null")
    return parse_int(text, radix, bits)


_whole_number_class("Integer", "int", 32, int)
_whole_number_class("Long", "long", 64, Long)
_whole_number_class("Short", "short", 16, Short)
_whole_number_class("Byte", "byte", 8, Byte)
java("Integer", "static long toUnsignedLong(int)")(lambda v: Long(v & 0xFFFFFFFF))
java("Integer", "static int parseUnsignedInt(String)", "static int parseUnsignedInt(String,int)")(
    lambda text, radix=10: wrap_int(int(text, radix))
)
java("Byte", "static int toUnsignedInt(byte)")(lambda v: v & 0xFF)
java("Short", "static int toUnsignedInt(short)")(lambda v: v & 0xFFFF)


def _checked_double(text: str | None) -> float:
    if text is None:
        raise TbelError("null pointer")
    return parse_double(text)


java("Double", "static double parseDouble(String)", "static Double valueOf(String)")(
    _checked_double
)
java("Double", "static Double valueOf(double)", "static Double <init>(double)")(float)
java("Double", "static String toString(double)")(to_text)
java("Float", "static float parseFloat(String)", "static Float valueOf(String)")(
    lambda text: to_float(_checked_double(text))
)
java("Float", "static Float valueOf(float)")(to_float)
java("Float", "static String toString(float)")(to_text)
for _kind, _primitive in (("Double", "double"), ("Float", "float")):
    java(_kind, "boolean isNaN()", f"static boolean isNaN({_primitive})")(lambda v: v != v)
    java(_kind, "boolean isInfinite()", f"static boolean isInfinite({_primitive})")(math.isinf)
    java(_kind, f"static boolean isFinite({_primitive})")(math.isfinite)
java("Double", "static double longBitsToDouble(long)")(
    lambda v: struct.unpack(">d", struct.pack(">q", v))[0]
)
java("Double", "static long doubleToLongBits(double)", "static long doubleToRawLongBits(double)")(
    lambda v: Long(struct.unpack(">q", struct.pack(">d", v))[0])
)
java("Float", "static float intBitsToFloat(int)")(
    lambda v: Float(struct.unpack(">f", struct.pack(">i", v))[0])
)
java("Float", "static int floatToIntBits(float)", "static int floatToRawIntBits(float)")(
    lambda v: struct.unpack(">i", struct.pack(">f", v))[0]
)
java("Boolean", "static Boolean valueOf(boolean)", "boolean booleanValue()")(lambda v: v)
java("Boolean", "static boolean parseBoolean(String)", "static Boolean valueOf(String)")(
    lambda text: text is not None and text.lower() == "true"
)
java("Boolean", "static String toString(boolean)")(to_text)
java("Boolean", "static boolean logicalAnd(boolean,boolean)")(lambda a, b: a and b)
java("Boolean", "static boolean logicalOr(boolean,boolean)")(lambda a, b: a or b)
java("Boolean", "static boolean logicalXor(boolean,boolean)")(lambda a, b: a != b)
java("Character", "static int getNumericValue(char)", "static int getNumericValue(int)")(
    lambda c: int(_char(c), 36) if _char(c).isascii() and _char(c).isalnum() else -1
)
java("Character", "char charValue()")(lambda c: c)
java("Character", "static char valueOf(char)")(lambda c: c)
java("Character", "static String toString(char)")(str)
java("Character", "static boolean isLetter(char)")(lambda c: c.isalpha())
java("Character", "static boolean isDigit(char)")(lambda c: c.isdigit())
java("Character", "static boolean isLetterOrDigit(char)")(lambda c: c.isalnum())
java("Character", "static boolean isUpperCase(char)")(lambda c: c.isupper())
java("Character", "static boolean isLowerCase(char)")(lambda c: c.islower())
java("Character", "static boolean isWhitespace(char)")(lambda c: c.isspace())
java("Character", "static char toUpperCase(char)")(lambda c: Char(c.upper()))
java("Character", "static char toLowerCase(char)")(lambda c: Char(c.lower()))


def _char(value: Any) -> str:
    return chr(value) if isinstance(value, int) else str(value)


CONSTANTS.update({
    "Integer": {"MAX_VALUE": INT_MAX, "MIN_VALUE": INT_MIN, "SIZE": 32, "BYTES": 4},
    "Long": {
        "MAX_VALUE": Long(LONG_MAX), "MIN_VALUE": Long(LONG_MIN), "SIZE": 64, "BYTES": 8,
    },
    "Short": {"MAX_VALUE": Short(2**15 - 1), "MIN_VALUE": Short(-(2**15))},
    "Byte": {"MAX_VALUE": Byte(127), "MIN_VALUE": Byte(-128)},
    "Double": {
        "MAX_VALUE": 1.7976931348623157e308, "MIN_VALUE": 5e-324, "NaN": math.nan,
        "POSITIVE_INFINITY": math.inf, "NEGATIVE_INFINITY": -math.inf,
    },
    "Float": {
        "MAX_VALUE": Float(3.4028234663852886e38), "MIN_VALUE": Float(1.401298464324817e-45),
        "NaN": Float(math.nan),
    },
    "Boolean": {"TRUE": True, "FALSE": False},
    "Math": {"PI": math.pi, "E": math.e},
})  # fmt: skip
