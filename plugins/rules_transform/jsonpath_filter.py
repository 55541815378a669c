"""Filters of JSON paths: `?(@.a > 1 && (@.b == 'x' || !@.c))`.

Operators: == != === !== < <= > >= =~ in nin subsetof anyof noneof all size empty contains, and a
path alone, which is true where it leads somewhere. Texts and numbers are equal where they read the
same, anything else is compared with its like only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from appliance.model.errors import ConfigError
from appliance.rules.node import NodeError, require
from appliance.rules.tbel import TbelError
from appliance.rules.tbel.regex import java_pattern
from appliance.rules.tbel.text import double_text
from appliance.rules.values import decode_json

Test = Callable[[Any, Any], bool]
"""Whether a node, given the root, is accepted."""
Value = Callable[[Any, Any], Any]
Compile = Callable[[str], Value]
"""Makes a path's value, which raises NodeError where the path leads nowhere."""

MISSING = object()

_WORDS = "in|nin|subsetof|anyof|noneof|all|size|empty|contains"
_OPERATOR = re.compile(rf"\s*(===?|!==?|<=|>=|=~|<|>)\s*|\s+({_WORDS})\s+", re.IGNORECASE)
_PATTERN = re.compile(r"/(.*)/([a-zA-Z]*)", re.DOTALL)
_FLAGS = "dimsuxU"


def condition(text: str, compile_path: Compile) -> Test:
    """The test that a filter's text means. Raises ConfigError."""
    text = text.strip()
    for sign, join in (("||", any), ("&&", all)):
        parts = split(text, sign)
        if len(parts) > 1:
            return _joined(join, [condition(part, compile_path) for part in parts])
    if text.startswith("!"):
        inner = condition(text[1:], compile_path)
        return lambda node, root: not inner(node, root)
    if text.startswith("(") and text.endswith(")"):
        return condition(text[1:-1], compile_path)
    return _comparison(text, compile_path)


def _joined(join: Callable[[Iterable[bool]], bool], tests: list[Test]) -> Test:
    return lambda node, root: join(test(node, root) for test in tests)


def _comparison(text: str, compile_path: Compile) -> Test:
    operator = _OPERATOR.search(_outside(text))
    if operator is None:
        value = _operand(text, compile_path)
        return lambda node, root: value(node, root) is not MISSING
    name = (operator[1] or operator[2]).lower()
    left = _operand(text[: operator.start()], compile_path)
    if name == "=~":
        expression = _expression(text[operator.end() :].strip())
        return lambda node, root: _matches(expression, left(node, root))
    right, holds = _operand(text[operator.end() :], compile_path), _HOLDS[name]
    return lambda node, root: holds(left(node, root), right(node, root))


def _operand(text: str, compile_path: Compile) -> Value:
    text = text.strip()
    if text[:1] in ("@", "$"):
        path = compile_path(text)

        def value(node: Any, root: Any) -> Any:
            try:
                return path(node, root)
            except NodeError:
                return MISSING

        return value
    constant = _constant(text)
    return lambda node, root: constant


def _constant(text: str) -> Any:
    if text[:1] == "'":
        return unquoted(text)
    try:
        return decode_json(text.replace("'", '"') if text[:1] in "[{" else text)
    except ValueError:
        require(False, f"bad filter: {text}")


def _expression(text: str) -> re.Pattern[str]:
    parts = _PATTERN.fullmatch(text)
    require(parts, f"bad filter: {text}")
    assert parts is not None
    flags = "".join(sign for sign in parts[2] if sign in _FLAGS)
    try:
        return java_pattern(f"(?{flags}){parts[1]}" if flags else parts[1])
    except TbelError as error:
        raise ConfigError(str(error)) from None


def _matches(expression: re.Pattern[str], value: Any) -> bool:
    if isinstance(value, list):
        return any(_matches(expression, one) for one in value)
    return expression.fullmatch(_text(value)) is not None


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return double_text(value)
    return str(value) if isinstance(value, int | str) else ""


# --- what an operator means ----------------------------------------------------------------------


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same_kind(left: Any, right: Any) -> bool:
    if _is_number(left):
        return _is_number(right)
    return type(left) is type(right)


def _equal(left: Any, right: Any) -> bool:
    if _same_kind(left, right):
        return left is not MISSING and bool(left == right)
    if {type(left), type(right)} <= {str, int, float}:
        return _text(left) == _text(right)
    return False


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda left, right: (
        _same_kind(left, right)
        and (_is_number(left) or isinstance(left, str))
        and compare(left, right)
    )


def _has(items: Any, value: Any) -> bool:
    return isinstance(items, list) and any(_equal(one, value) for one in items)


def _is_in(left: Any, right: Any) -> bool:
    return _has(right, left)


def _subset(left: Any, right: Any) -> bool:
    return isinstance(left, list) and all(_has(right, one) for one in left)


def _any_of(left: Any, right: Any) -> bool:
    return isinstance(left, list) and any(_has(right, one) for one in left)


def _size(left: Any, right: Any) -> bool:
    return isinstance(left, str | list | dict) and _is_number(right) and len(left) == int(right)


def _empty(left: Any, right: Any) -> bool:
    return isinstance(left, str | list | dict) and (not left) is right


def _contains(left: Any, right: Any) -> bool:
    if isinstance(left, str):
        return isinstance(right, str) and right in left
    return _has(left, right)


_HOLDS: dict[str, Callable[[Any, Any], bool]] = {
    "==": _equal,
    "!=": lambda left, right: not _equal(left, right),
    "===": lambda left, right: _same_kind(left, right) and _equal(left, right),
    "!==": lambda left, right: not (_same_kind(left, right) and _equal(left, right)),
    "<": _ordered(lambda left, right: left < right),
    "<=": _ordered(lambda left, right: left <= right),
    ">": _ordered(lambda left, right: left > right),
    ">=": _ordered(lambda left, right: left >= right),
    "in": _is_in,
    "nin": lambda left, right: not _is_in(left, right),
    "subsetof": _subset,
    "anyof": _any_of,
    "noneof": lambda left, right: isinstance(left, list) and not _any_of(left, right),
    "all": lambda left, right: _subset(right, left),
    "size": _size,
    "empty": _empty,
    "contains": _contains,
}


# --- text ----------------------------------------------------------------------------------------


def split(text: str, by: str) -> list[str]:
    """Split outside of quotes, patterns and brackets."""
    parts, start, outside = [], 0, _outside(text)
    while (end := outside.find(by, start)) >= 0:
        parts.append(text[start:end])
        start = end + len(by)
    return [*parts, text[start:]]


def _outside(text: str) -> str:
    """The text with a "_" for each sign within quotes, patterns and brackets."""
    signs, depth, quote = list(text), 0, ""
    for at, sign in enumerate(text):
        if quote:
            signs[at] = "_"
            quote = "" if sign == quote and text[at - 1] != "\\" else quote
            continue
        if sign in "'\"" or (sign == "/" and text[:at].rstrip().endswith("=~")):
            quote = sign
        depth -= sign in ")]}"
        if depth or quote:
            signs[at] = "_"
        depth += sign in "([{"
    return "".join(signs)


def unquoted(text: str) -> str:
    """What stands between quotes. Raises ConfigError where they are missing."""
    text = text.strip()
    require(len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"", f"bad text: {text}")
    return re.sub(r"\\(.)", r"\1", text[1:-1])
