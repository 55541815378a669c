"""Static methods of java.lang that scripts seldom call: bits, hash codes, neighbours, code points.

Registered after the others, so that these are the last choice among overloads that fit alike.
"""

from __future__ import annotations

import math
from typing import Any

from appliance.rules.tbel.errors import TbelError
from appliance.rules.tbel.kinds import parse_int
from appliance.rules.tbel.lib_objects import digits_of, java_hash
from appliance.rules.tbel.signatures import java
from appliance.rules.tbel.text import text_length, to_text, utf_16
from appliance.rules.tbel.values import (
    Char,
    JavaArray,
    Long,
    Short,
    wrap_int,
    wrap_long,
)


def _unsigned(owner: str, primitive: str, bits: int, wrap: Any) -> None:
    mask = (1 << bits) - 1

    def rotate(value: int, distance: int) -> Any:
        shift = distance % bits
        raw = value & mask
        return wrap((raw << shift) | (raw >> (bits - shift)))

    def divided(left: int, right: int) -> tuple[int, int]:
        if right == 0:
            raise TbelError("/ by zero")
        return divmod(left & mask, right & mask)

    pair, name = f"({primitive},{primitive})", primitive
    java(owner, f"static {name} rotateLeft({name},int)")(rotate)
    java(owner, f"static {name} rotateRight({name},int)")(lambda v, n: rotate(v, -n))
    java(owner, f"static {name} lowestOneBit({name})")(lambda v: wrap(v & -v))
    java(owner, f"static {name} divideUnsigned{pair}")(lambda a, b: wrap(divided(a, b)[0]))
    java(owner, f"static {name} remainderUnsigned{pair}")(lambda a, b: wrap(divided(a, b)[1]))
    java(owner, f"static int compareUnsigned{pair}")(
        lambda a, b: ((a & mask) > (b & mask)) - ((a & mask) < (b & mask))
    )
    java(owner, f"static String toUnsignedString({name},int)")(
        lambda v, radix: digits_of(v & mask, radix)
    )


_unsigned("Integer", "int", 32, wrap_int)
_unsigned("Long", "long", 64, wrap_long)


def _decoded(text: str, bits: int) -> int:
    """Integer.decode: 0x, # and 0 name the radix."""
    sign = text[:1] if text[:1] in ("+", "-") else ""
    body = text[len(sign) :]
    for mark, radix in (("0x", 16), ("0X", 16), ("#", 16), ("0", 8)):
        if body.startswith(mark) and len(body) > len(mark):
            return parse_int(sign + body[len(mark) :], radix, bits)
    return parse_int(sign + body, 10, bits)


java("Integer", "static Integer decode(String)")(lambda text: _decoded(text, 32))
java("Long", "static Long decode(String)")(lambda text: Long(_decoded(text, 64)))
for _kind, _primitive in (
    ("Integer", "int"), ("Long", "long"), ("Double", "double"), ("Float", "float"),
    ("Short", "short"), ("Byte", "byte"), ("Boolean", "boolean"), ("Character", "char"),
):  # fmt: skip
    java(_kind, f"static int hashCode({_primitive})")(
        lambda v: ord(v) if isinstance(v, Char) else java_hash(v)
    )
for _kind, _primitive in (("Short", "short"), ("Byte", "byte"), ("Boolean", "boolean")):
    java(_kind, f"static int compare({_primitive},{_primitive})")(lambda a, b: int(a) - int(b))
java("Character", "static int compare(char,char)")(lambda a, b: ord(a) - ord(b))
java("Byte", "static long toUnsignedLong(byte)")(lambda v: Long(v & 0xFF))
java("Short", "static long toUnsignedLong(short)")(lambda v: Long(v & 0xFFFF))
java("Short", "static short reverseBytes(short)")(
    lambda v: Short(int.from_bytes((v & 0xFFFF).to_bytes(2, "big"), "little", signed=True))
)


@java("Double", "static String toHexString(double)")
def _hex_text(value: float) -> str:
    if value != value or math.isinf(value):
        return to_text(float(value))
    mantissa, _, exponent = float(value).hex().partition("p")
    head, _, digits = mantissa.partition(".")
    return f"{head}.{digits.rstrip('0') or '0'}p{int(exponent)}"


java("Float", "static String toHexString(float)")(_hex_text)


# Math


for _owner in ("Math", "StrictMath"):
    java(_owner, "static double nextUp(double)")(lambda v: math.nextafter(v, math.inf))
    java(_owner, "static double nextDown(double)")(lambda v: math.nextafter(v, -math.inf))
    java(_owner, "static double nextAfter(double,double)")(math.nextafter)
    java(_owner, "static double copySign(double,double)")(math.copysign)
    java(_owner, "static double scalb(double,int)")(
        lambda v, n: math.copysign(math.inf, v) if n > 2100 and v else math.ldexp(v, n)
    )
    java(_owner, "static int getExponent(double)")(
        lambda v: 1024 if not math.isfinite(v) else max(-1023, math.frexp(v)[1] - 1)
    )
    java(_owner, "static long multiplyFull(int,int)")(lambda a, b: Long(a * b))
    java(_owner, "static long multiplyHigh(long,long)")(lambda a, b: Long((a * b) >> 64))


# characters and code points

_TESTS = {
    "isLetter": str.isalpha, "isDigit": str.isdecimal, "isLetterOrDigit": str.isalnum,
    "isUpperCase": str.isupper, "isLowerCase": str.islower, "isAlphabetic": str.isalpha,
}  # fmt: skip


def _point(value: Any) -> str:
    """The character of a code point or char; a number that is none has no property."""
    if isinstance(value, str):
        return value
    return chr(value) if 0 <= value < 0x110000 else "\uffff"


for _name, _test in _TESTS.items():
    java("Character", f"static boolean {_name}(int)")(lambda v, test=_test: test(_point(v)))
for _kind in ("char", "int"):
    java("Character", f"static boolean isSpaceChar({_kind})")(
        lambda v: (
            _point(v) in " \xa0\u1680\u2028\u2029\u202f\u205f\u3000"
            or "\u2000" <= _point(v) <= "\u200a"
        )
    )
java("Character", "static boolean isWhitespace(int)")(
    lambda v: _point(v).isspace() and _point(v) not in "\x85\xa0\u2007\u202f"
)
for _name, _change in (("toUpperCase", str.upper), ("toLowerCase", str.lower)):
    java("Character", f"static int {_name}(int)")(
        lambda v, change=_change: ord(change(chr(v))[0]) if 0 <= v < 0x110000 else v
    )
java("Character", "static int charCount(int)")(lambda v: 2 if v >= 0x10000 else 1)
java("Character", "static char reverseBytes(char)")(
    lambda c: Char(chr(((ord(c) & 0xFF) << 8) | (ord(c) >> 8)))
)


@java("Character", "static char[] toChars(int)")
def _to_chars(value: int) -> JavaArray:
    if not 0 <= value < 0x110000:
        raise TbelError(f"Not a valid Unicode code point: 0x{value & 0xFFFFFFFF:X}")
    units = utf_16(chr(value))
    return JavaArray("char", [
        Char(units[i : i + 2].decode("utf-16-be", "surrogatepass")) for i in range(0, len(units), 2)
    ])  # fmt: skip


@java("Character", "static int digit(char,int)", "static int digit(int,int)")
def _digit(value: Any, radix: int) -> int:
    text = _point(value)
    if not (2 <= radix <= 36 and text.isascii() and text.isalnum()):
        return -1
    found = int(text, 36)
    return found if found < radix else -1


@java("Character", "static char forDigit(int,int)")
def _for_digit(value: int, radix: int) -> Char:
    fits = 2 <= radix <= 36 and 0 <= value < radix
    return Char(digits_of(value, 36) if fits else "\0")


# text


@java("String", "boolean contentEquals(CharSequence)")
def _content_equals(text: str, other: Any) -> bool:
    if other is None:
        raise TbelError("null pointer")
    return text == to_text(other)


@java("String", "int codePointBefore(int)")
def _point_before(text: str, index: int) -> int:
    if not 1 <= index <= text_length(text):
        raise TbelError(f"Index {index} out of bounds for length {text_length(text)}")
    units = utf_16(text)[: index * 2].decode("utf-16-be", "surrogatepass")
    return ord(units[-1])


@java("String", "int codePointCount(int,int)")
def _point_count(text: str, begin: int, end: int) -> int:
    if not 0 <= begin <= end <= text_length(text):
        raise TbelError("index out of bounds")
    return len(utf_16(text)[begin * 2 : end * 2].decode("utf-16-be", "surrogatepass"))


@java("String", "String indent(int)")
def _indented(text: str, count: int) -> str:
    lines = text.splitlines()
    if count >= 0:
        return "".join(" " * min(count, 100_000) + line + "\n" for line in lines)
    return "".join(line[min(-count, len(line) - len(line.lstrip())) :] + "\n" for line in lines)


@java("String", "String stripIndent()")
def _strip_indent(text: str) -> str:
    lines = text.split("\n")
    # the last line counts even where it is blank: a closing line sets the indent
    inner = [line for line in lines[:-1] if line.strip()] + lines[-1:]
    margin = min((len(line) - len(line.lstrip()) for line in inner), default=0)
    return "\n".join(line[margin:].rstrip() if line.strip() else "" for line in lines)


_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "s": " ", "t": "\t", "\n": ""}


@java("String", "String translateEscapes()")
def _translated(text: str) -> str:
    parts = text.split("\\")
    out = parts[0]
    rest = iter(parts[1:])
    for part in rest:
        if not part:
            out += "\\" + next(rest, "")
        elif part[0] in "'\"":
            out += part
        elif part[0] in _ESCAPES:
            out += _ESCAPES[part[0]] + part[1:]
        else:
            raise TbelError(f"Invalid escape sequence: \\{part[0]}")
    return out


@java("String", "static String copyValueOf(char[])", "static String copyValueOf(char[],int,int)",
      "static String valueOf(char[],int,int)")  # fmt: skip
def _of_chars(chars: JavaArray, start: int = 0, count: int | None = None) -> str:
    size = len(chars.items) - start if count is None else count
    if start < 0 or size < 0 or start + size > len(chars.items):
        raise TbelError(f"offset {start}, count {size}, length {len(chars.items)}")
    return "".join(chars.items[start : start + size])
