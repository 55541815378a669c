"""JSON paths as the reference's library reads them.

Understood: `$`, `.name`, `['name']`, `['a','b']`, `[0]`, `[-1]`, `[0,2]`, `[1:3]`, `.*`, `[*]`,
`..name`, `..*`, filters `[?(@.a > 1 && @.b == 'x')]` (also `||`, `!`, `=~ /re/`, `in [...]` and
plain existence), and the functions length(), min(), max(), avg(), sum(), keys() at the end.
A path that names at most one place gives that place's value; any other gives a list.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from typing import Any

from appliance.rules.node import NodeError, require
from appliance.rules.values import decode_json

Step = Callable[[list[Any]], list[Any]]
Test = Callable[[Any], bool]

_NAME = re.compile(r"[\w\-$@ü-￿]+|\*")
_FUNCTION = re.compile(r"\.(length|size|min|max|avg|sum|keys)\(\)$")
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_COMPARISON = re.compile(r"\s*(==|!=|<=|>=|=~|<|>|\bin\b)\s*")
_MISSING = object()


class JsonPath:
    """A compiled path. Raises ConfigError for a bad one."""

    def __init__(self, text: str) -> None:
        require(text.strip(), "the path is empty")
        text = text.strip() if text.strip().startswith("$") else f"$.{text.strip()}"
        function = _FUNCTION.search(text)
        self._function = function[1] if function else None
        self._text = text[: function.start()] if function else text
        self._definite = True
        self._steps = list(self._parse(self._text[1:]))

    def find(self, data: Any) -> Any:
        """What the path finds. Raises NodeError when it names a place that is not there."""
        found = [data]
        for step in self._steps:
            found = step(found)
        if not self._definite:
            return _apply(self._function, found) if self._function else found
        if not found:
            raise NodeError(f"No results for path: {self._text}")
        return _apply(self._function, found[0]) if self._function else found[0]

    def _parse(self, rest: str) -> Iterator[Step]:
        while rest:
            if rest.startswith(".."):
                self._definite = False
                yield _descend
                rest = rest[2:] if rest[2:3] == "[" else "." + rest[2:]
            elif rest.startswith("["):
                inside, rest = _bracket(rest)
                yield self._selector(inside.strip())
            else:
                name = _NAME.match(rest, 1) if rest.startswith(".") else None
                require(name, f"bad path: {self._text}")
                assert name is not None
                rest = rest[name.end() :]
                yield self._named([name[0]]) if name[0] != "*" else self._every()

    def _selector(self, inside: str) -> Step:
        if inside == "*":
            return self._every()
        if inside.startswith("?(") and inside.endswith(")"):
            self._definite = False
            return _filter(_condition(inside[2:-1]))
        if inside[:1] in ("'", '"'):
            return self._named([part.strip()[1:-1] for part in _split(inside, ",")])
        require(re.fullmatch(r"-?\d*(:-?\d*)?|-?\d+(\s*,\s*-?\d+)+", inside), f"bad path: {inside}")
        if ":" in inside:
            self._definite = False
            start, end = (int(part) if part else None for part in inside.split(":"))
            return lambda nodes: [
                item for n in nodes if isinstance(n, list) for item in n[start:end]
            ]
        require(inside, f"bad path: {self._text}")
        indexes = [int(part) for part in inside.split(",")]
        self._definite = self._definite and len(indexes) == 1
        return lambda nodes: [item for n in nodes for item in _elements(n, indexes)]

    def _named(self, names: list[str]) -> Step:
        self._definite = self._definite and len(names) == 1
        return lambda nodes: [
            node[name] for node in nodes if isinstance(node, dict) for name in names if name in node
        ]

    def _every(self) -> Step:
        self._definite = False
        return lambda nodes: [child for node in nodes for child in _children(node)]


def _children(node: Any) -> list[Any]:
    if isinstance(node, dict):
        return list(node.values())
    return node if isinstance(node, list) else []


def _elements(node: Any, indexes: list[int]) -> Iterator[Any]:
    """A missing element of an array is null."""
    if isinstance(node, list):
        for index in indexes:
            yield node[index] if -len(node) <= index < len(node) else None


def _descend(nodes: list[Any]) -> list[Any]:
    found: list[Any] = []
    for node in nodes:
        found.append(node)
        found += _descend(_children(node))
    return found


def _filter(test: Test) -> Step:
    def select(nodes: list[Any]) -> list[Any]:
        candidates = [c for n in nodes for c in (n if isinstance(n, list) else [n])]
        return [candidate for candidate in candidates if test(candidate)]

    return select


def _bracket(text: str) -> tuple[str, str]:
    """The inside of the bracket that text begins with, and what follows it."""
    depth, quote = 0, ""
    for at, sign in enumerate(text):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
        elif sign == "[":
            depth += 1
        elif sign == "]":
            depth -= 1
            if depth == 0:
                return text[1:at], text[at + 1 :]
    require(False, f"bad path: {text}")
    return "", ""


def _split(text: str, by: str) -> list[str]:
    """Split outside of quotes and brackets."""
    parts, start, depth, quote = [], 0, 0, ""
    for at, sign in enumerate(text):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
        elif sign in "([":
            depth += 1
        elif sign in ")]":
            depth -= 1
        elif depth == 0 and text.startswith(by, at):
            parts.append(text[start:at])
            start = at + len(by)
    return [*parts, text[start:]]


def _condition(text: str) -> Test:
    text = text.strip()
    alternatives = _split(text, "||")
    if len(alternatives) > 1:
        tests = [_condition(part) for part in alternatives]
        return lambda node: any(test(node) for test in tests)
    both = _split(text, "&&")
    if len(both) > 1:
        tests = [_condition(part) for part in both]
        return lambda node: all(test(node) for test in tests)
    if text.startswith("!"):
        inner = _condition(text[1:])
        return lambda node: not inner(node)
    if text.startswith("(") and text.endswith(")"):
        return _condition(text[1:-1])
    return _comparison(text)


def _comparison(text: str) -> Test:
    match = _COMPARISON.search(text)
    if match is None:
        value = _operand(text)
        return lambda node: value(node) is not _MISSING
    left, name = _operand(text[: match.start()]), match[1]
    if name == "=~":
        expression = re.compile(text[match.end() :].strip().strip("/"))
        return lambda node: isinstance(left(node), str) and bool(expression.fullmatch(left(node)))
    right = _operand(text[match.end() :])
    if name == "in":
        return lambda node: left(node) in right(node)
    compare = _OPERATORS[name]

    def test(node: Any) -> bool:
        try:
            return compare(left(node), right(node))
        except TypeError:
            return False

    return test


def _operand(text: str) -> Callable[[Any], Any]:
    text = text.strip()
    if text.startswith("@"):
        path = JsonPath("$" + text[1:])

        def value(node: Any) -> Any:
            try:
                return path.find(node)
            except NodeError:
                return _MISSING

        return value
    try:
        constant = decode_json(text.replace("'", '"'))
    except ValueError:
        require(False, f"bad filter: {text}")
    return lambda node: constant


def _apply(function: str, value: Any) -> Any:
    if function == "keys":
        return list(value) if isinstance(value, dict) else None
    if function in ("length", "size"):
        return len(value) if isinstance(value, dict | list | str) else None
    numbers = [v for v in value if isinstance(v, int | float)] if isinstance(value, list) else []
    if not numbers:
        raise NodeError(f"{function}() needs numbers")
    if function == "avg":
        return sum(numbers) / len(numbers)
    if function == "sum":
        return float(sum(numbers))
    return float(min(numbers) if function == "min" else max(numbers))
