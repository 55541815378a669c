"""JSON paths as the reference's library (Jayway) reads them.

Understood: `$`, `.name`, `['name']`, `['a','b']`, `[0]`, `[-1]`, `[0,2]`, `[1:3]`, `.*`, `[*]`,
`..name`, `..*`, `..[0]`, filters `[?(…)]` (see jsonpath_filter.py), and at the end one of the
functions length(), size(), min(), max(), avg(), sum(), stddev(), keys(), first(), last(),
index(n).

A path is definite as long as every step names one place. Up to there a step that finds nothing
fails; behind it, it only adds nothing. A definite path gives its place's value, any other a list.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from appliance.rules.node import NodeError, require
from plugins.rules_transform.jsonpath_filter import Test, condition, split, unquoted

Found = Iterator[Any]
Take = Callable[[Any, Any], Found | None]
"""What one node leads to, given the root; None where the step cannot be taken from it."""


class Step(NamedTuple):
    """test: of a filter, which a node met in a scan must pass itself."""

    take: Take
    test: Test | None = None


_NAME = re.compile(r"\.([^.\[\]()\s]+)")
_FUNCTION = re.compile(r"\.(length|size|min|max|avg|sum|stddev|keys|first|last|index)\((-?\d*)\)$")
_NUMBERS: dict[str, Callable[[list[Any]], float]] = {
    "min": min,
    "max": max,
    "sum": sum,
    "avg": statistics.fmean,
    "stddev": statistics.pstdev,
}


class JsonPath:
    """A compiled path. Raises ConfigError for a bad one."""

    def __init__(self, text: str) -> None:
        text = text.strip()
        require(text, "the path is empty")
        text = text if text[0] in "$@" else f"$.{text}"
        function = _FUNCTION.search(text)
        self._function = (function[1], function[2]) if function else None
        self._text = text[: function.start()] if function else text
        self._definite = True
        self._scans = False
        self._steps = list(self._parse(self._text[1:]))

    def find(self, data: Any, root: Any = None) -> Any:
        """What the path finds; root: of the whole, where data are a part. Raises NodeError when
        the path names a place that is not there."""
        found = [data]
        for step, is_strict in self._steps:
            found = list(self._taken(step, found, is_strict, data if root is None else root))
        if self._definite:
            return self._applied(found[0])
        if self._function is None or self._scans:
            return self._applied(found)
        return [self._applied(one) for one in found]

    def _taken(self, step: Step, nodes: list[Any], is_strict: bool, root: Any) -> Iterator[Any]:
        for node in nodes:
            reached = step.take(node, root)
            if reached is not None:
                yield from reached
            elif is_strict:
                raise NodeError(f"No results for path: {self._text}")

    def _applied(self, value: Any) -> Any:
        return value if self._function is None else _apply(*self._function, value)

    # parsing -------------------------------------------------------------------------------------
    def _parse(self, rest: str) -> Iterator[tuple[Step, bool]]:
        """Each step, and whether the path is definite before it."""
        while rest:
            scans = rest.startswith("..")
            if scans:
                self._definite, self._scans = False, True
                rest = rest[2:] if rest[2:3] == "[" else rest[1:]
            is_strict = self._definite
            step, rest = self._step(rest)
            yield (_scan(step) if scans else step), is_strict

    def _step(self, rest: str) -> tuple[Step, str]:
        if rest.startswith("["):
            inside, rest = _bracket(rest)
            return self._selector(inside.strip(), is_leaf=not rest), rest
        name = _NAME.match(rest)
        require(name, f"bad path: {self._text}")
        assert name is not None
        rest = rest[name.end() :]
        return (_named(name[1]) if name[1] != "*" else self._many(Step(_children))), rest

    def _selector(self, inside: str, is_leaf: bool) -> Step:
        if inside == "*":
            return self._many(Step(_children))
        if inside.startswith("?"):
            return self._many(_filter(condition(inside[1:].strip(), _compiled)))
        if inside[:1] in ("'", '"'):
            names = [unquoted(part) for part in split(inside, ",")]
            if len(names) == 1:
                return _named(names[0])
            return _merged(names) if is_leaf else self._many(_each_named(names))
        if re.fullmatch(r"-?\d*:-?\d*", inside):
            return self._many(_slice(*inside.split(":")))
        require(re.fullmatch(r"-?\d+(\s*,\s*-?\d+)*", inside), f"bad path: {self._text}")
        indexes = [int(part) for part in inside.split(",")]
        return _elements(indexes) if len(indexes) == 1 else self._many(_elements(indexes))

    def _many(self, step: Step) -> Step:
        self._definite = False
        return step


def _compiled(text: str) -> Callable[[Any, Any], Any]:
    """The value of a path within a filter; raises NodeError when it is not there."""
    path = JsonPath(text)
    if text.startswith("$"):
        return lambda node, root: path.find(root)
    return path.find


# --- steps ---------------------------------------------------------------------------------------


def _named(name: str) -> Step:
    return Step(
        lambda node, root: iter((node[name],)) if isinstance(node, dict) and name in node else None
    )


def _each_named(names: list[str]) -> Step:
    return Step(
        lambda node, root: (
            (node[name] for name in names if name in node) if isinstance(node, dict) else None
        )
    )


def _merged(names: list[str]) -> Step:
    """One object of the members that are there."""
    return Step(
        lambda node, root: (
            iter(({name: node[name] for name in names if name in node},))
            if isinstance(node, dict)
            else None
        )
    )


def _children(node: Any, root: Any) -> Found:
    """Nothing for what has none, also where the path is definite."""
    if isinstance(node, dict):
        return iter(node.values())
    return iter(node if isinstance(node, list) else ())


def _elements(indexes: list[int]) -> Step:
    """A missing element of an array is null."""
    return Step(
        lambda node, root: (
            (_element(node, index) for index in indexes) if isinstance(node, list) else None
        )
    )


def _element(items: list[Any], index: int) -> Any:
    return items[index] if -len(items) <= index < len(items) else None


def _slice(start: str, end: str) -> Step:
    """`[a:b]` counts from a to b as they stand; only an open end counts from the array's own."""

    def select(node: Any, root: Any) -> Found | None:
        if not isinstance(node, list):
            return None
        if start and end:
            indexes = range(int(start), min(int(end), len(node)))
            return (_element(node, index) for index in indexes)
        return iter(node[int(start) if start else None : int(end) if end else None])

    return Step(select)


def _filter(test: Test) -> Step:
    def select(node: Any, root: Any) -> Found | None:
        if isinstance(node, dict):
            return iter((node,) if test(node, root) else ())
        if isinstance(node, list):
            return (item for item in node if test(item, root))
        return None

    return Step(select, test)


def _scan(step: Step) -> Step:
    """The step from every object and array, outermost first; a filter must accept the node
    itself."""

    def scan(node: Any, root: Any) -> Found:
        if isinstance(node, dict | list):
            if step.test is None or step.test(node, root):
                yield from step.take(node, root) or ()
            for child in _children(node, root):
                yield from scan(child, root)

    return Step(scan)


def _bracket(text: str) -> tuple[str, str]:
    """The inside of the bracket that text begins with, and what follows it."""
    depth, quote = 0, ""
    for at, sign in enumerate(text):
        if quote:
            quote = "" if sign == quote and text[at - 1] != "\\" else quote
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


# --- functions -----------------------------------------------------------------------------------


def _apply(function: str, argument: str, value: Any) -> Any:
    if function == "keys":
        return list(value) if isinstance(value, dict) else None
    if function in ("length", "size"):
        return len(value) if isinstance(value, dict | list) else None
    if function in ("first", "last", "index"):
        return _at(value, {"first": 0, "last": -1}.get(function, int(argument or 0)))
    numbers = [one for one in value if _is_number(one)] if isinstance(value, list) else []
    if not numbers:
        raise NodeError(f"{function}() needs numbers")
    return float(_NUMBERS[function](numbers))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _at(items: Any, index: int) -> Any:
    if not isinstance(items, list) or not -len(items) <= index < len(items):
        raise NodeError(f"there is no element {index}")
    return items[index]
