"""java.lang.String."""

from __future__ import annotations

import re
from functools import cmp_to_key
from typing import Any

from appliance.rules.tbel.bounded import bounded
from appliance.rules.tbel.errors import TbelError
from appliance.rules.tbel.formatting import java_format
from appliance.rules.tbel.limits import Budget
from appliance.rules.tbel.regex import java_pattern, java_replacement
from appliance.rules.tbel.signatures import java
from appliance.rules.tbel.text import text_at, text_length, text_slice, to_text, utf_16
from appliance.rules.tbel.values import Char, JavaArray, wrap_byte

_BIG = 4 * 1024 * 1024


java("String", "int length()")(text_length)


@java("String", "char charAt(int)")
def _char_at(text: str, index: int) -> Char:
    if not 0 <= index < text_length(text):
        raise TbelError(f"String index out of range: {index}")
    return Char(text_at(text, index))


@java("String", "String substring(int)", "String substring(int,int)",
      "CharSequence subSequence(int,int)")  # fmt: skip
def _substring(text: str, begin: int, end: int | None = None) -> str:
    size = text_length(text)
    last = size if end is None else end
    if not 0 <= begin <= last <= size:
        raise TbelError(f"begin {begin}, end {last}, length {size}")
    return text_slice(text, begin, last)


@java("String", "int codePointAt(int)")
def _code_point(text: str, index: int) -> int:
    if not 0 <= index < len(text):
        raise TbelError(f"Index {index} out of bounds for length {len(text)}")
    return ord(text[index])


def _needle(what: str | int) -> str:
    if not isinstance(what, int):
        return what
    # a code point that is none is nowhere to be found
    return chr(what) if 0 <= what < 0x110000 else "\ud800\ud800"


@java("String", "int indexOf(String)", "int indexOf(int)", "int indexOf(String,int)",
      "int indexOf(int,int)")  # fmt: skip
def _index_of(text: str, what: Any, start: int = 0) -> int:
    return text.find(_needle(what), max(0, start))


@java("String", "int lastIndexOf(String)", "int lastIndexOf(int)", "int lastIndexOf(String,int)",
      "int lastIndexOf(int,int)")  # fmt: skip
def _last_index_of(text: str, what: Any, start: int | None = None) -> int:
    needle = _needle(what)
    return text.rfind(needle) if start is None else text.rfind(needle, 0, start + len(needle))


@java("String", "boolean contains(CharSequence)")
def _contains(text: str, what: Any) -> bool:
    if what is None:
        raise TbelError("null pointer")
    return to_text(what) in text


@java("String", "boolean startsWith(String)", "boolean startsWith(String,int)")
def _starts(text: str, prefix: str, at: int = 0) -> bool:
    return at >= 0 and text.startswith(prefix, at)


@java("String", "boolean regionMatches(int,String,int,int)")
def _region(text: str, at: int, other: str, start: int, count: int) -> bool:
    return min(at, start) >= 0 and text[at : at + count] == other[start : start + count]


@java("String", "boolean regionMatches(boolean,int,String,int,int)")
def _region_case(text: str, ignore_case: bool, at: int, other: str, start: int, count: int) -> bool:
    if ignore_case:
        return _region(text.lower(), at, other.lower(), start, count)
    return _region(text, at, other, start, count)


@java("String", "boolean endsWith(String)")
def _ends(text: str, suffix: str) -> bool:
    return text.endswith(suffix)


@java("String", "boolean isEmpty()")
def _is_empty(text: str) -> bool:
    return not text


@java("String", "boolean isBlank()")
def _is_blank(text: str) -> bool:
    return not text.strip()


@java("String", "String trim()")
def _trim(text: str) -> str:
    return text.strip("".join(map(chr, range(33))))


java("String", "String strip()")(str.strip)
java("String", "String stripLeading()")(str.lstrip)
java("String", "String stripTrailing()")(str.rstrip)
java("String", "String toUpperCase()")(str.upper)
java("String", "String toLowerCase()")(str.lower)
java("String", "String intern()", "String toString()")(str)


@java("String", "String replace(char,char)", "String replace(CharSequence,CharSequence)",
      budget=True)  # fmt: skip
def _replace(budget: Budget, text: str, old: Any, new: Any) -> str:
    before, after = to_text(old), to_text(new)
    budget.grow(len(text) + text.count(before) * len(after))
    return text.replace(before, after)


@java("String", "String replaceAll(String,String)", budget=True)
def _replace_all(budget: Budget, text: str, pattern: str, new: str) -> str:
    compiled = java_pattern(pattern)

    def replaced() -> str:
        if compiled.search(text) is None:
            return text  # and a wrong replacement goes unnoticed
        replacement = java_replacement(compiled, new)
        if len(text) * len(new) > 1_000_000:
            budget.grow(sum(1 for _ in compiled.finditer(text)) * len(new))
        return compiled.sub(replacement, text)

    result = bounded(budget, compiled, text, replaced)
    budget.grow(len(result))
    return result


@java("String", "String replaceFirst(String,String)", budget=True)
def _replace_first(budget: Budget, text: str, pattern: str, new: str) -> str:
    compiled = java_pattern(pattern)

    def replaced() -> str:
        if compiled.search(text) is None:
            return text
        return compiled.sub(java_replacement(compiled, new), text, count=1)

    return bounded(budget, compiled, text, replaced)


@java("String", "boolean matches(String)", budget=True)
def matches(budget: Budget, text: str, pattern: str) -> bool:
    """Whether all of the text is what the pattern says."""
    compiled = java_pattern(pattern)
    return bounded(budget, compiled, text, lambda: compiled.fullmatch(text) is not None)


@java("String", "String[] split(String)", "String[] split(String,int)", budget=True)
def _split(budget: Budget, text: str, pattern: str, limit: int = 0) -> JavaArray:
    compiled = java_pattern(pattern)
    return bounded(budget, compiled, text, lambda: split(text, compiled, limit))


def split(text: str, pattern: re.Pattern[str], limit: int) -> JavaArray:
    """Split as Java does: no empty first part for an empty match, no empty parts at the end."""
    parts: list[str] = []
    last = 0
    for match in pattern.finditer(text):
        if 0 < limit <= len(parts) + 1:
            break
        if match.end() == 0:
            continue
        parts.append(text[last : match.start()])
        last = match.end()
    if last == 0:
        return JavaArray("String", [text])
    parts.append(text[last:])
    while limit == 0 and parts and not parts[-1]:
        parts.pop()
    return JavaArray("String", parts)


@java("String", "String concat(String)", budget=True)
def _concat(budget: Budget, text: str, other: str) -> str:
    if other is None:
        raise TbelError("null pointer")
    budget.grow(len(text) + len(other))
    return text + other


@java("String", "String repeat(int)", budget=True)
def _repeat(budget: Budget, text: str, count: int) -> str:
    if count < 0:
        raise TbelError(f"count is negative: {count}")
    if len(text) * count > _BIG:
        raise TbelError("Script memory overflow!")
    budget.grow(len(text) * count)
    return text * count


@java("String", "boolean equalsIgnoreCase(String)")
def _equals_ignore_case(text: str, other: str | None) -> bool:
    return other is not None and text.lower() == other.lower()


@java("String", "int compareTo(String)")
def compare(text: str, other: str) -> int:
    """compareTo: the first difference of UTF-16 units, else of lengths."""
    a, b = utf_16(text), utf_16(other)
    for index in range(0, min(len(a), len(b)), 2):
        x, y = a[index : index + 2], b[index : index + 2]
        if x != y:
            return int.from_bytes(x, "big") - int.from_bytes(y, "big")
    return (len(a) - len(b)) // 2


by_java_order = cmp_to_key(compare)


@java("String", "int compareToIgnoreCase(String)")
def _compare_ignore_case(text: str, other: str) -> int:
    return compare(text.lower(), other.lower())


@java("String", "char[] toCharArray()")
def _to_chars(text: str) -> JavaArray:
    return JavaArray("char", [Char(text_at(text, i)) for i in range(text_length(text))])


@java("String", "byte[] getBytes()", "byte[] getBytes(String)")
def _get_bytes(text: str, charset: str = "UTF-8") -> JavaArray:
    return JavaArray("byte", [wrap_byte(b) for b in text.encode(charset)])


@java("String", "static String valueOf(char[])", "static String valueOf(Object)",
      "static String valueOf(boolean)", "static String valueOf(char)",
      "static String valueOf(int)", "static String valueOf(long)",
      "static String valueOf(float)", "static String valueOf(double)")  # fmt: skip
def _value_of(value: Any) -> str:
    if isinstance(value, JavaArray) and value.component == "char":
        return "".join(value)
    return to_text(value)


@java("String", "static String join(CharSequence,CharSequence...)",
      "static String join(CharSequence,Iterable)")  # fmt: skip
def _join(separator: str, *parts: Any) -> str:
    items = parts
    if len(parts) == 1 and not isinstance(parts[0], str):
        items = tuple(parts[0])
    return separator.join(to_text(p) for p in items)


@java("String", "static String format(String,Object...)")
def _format(pattern: str, *values: Any) -> str:
    return java_format(pattern, list(values))


@java("String", "String formatted(Object...)")
def _formatted(pattern: str, *values: Any) -> str:
    return java_format(pattern, list(values))


java("String", "static String <init>()", "static String <init>(String)")(
    lambda *text: text[-1] if text else ""
)
java("Character", "String toString()")(str)
