"""The operators that are words: contains, instanceof, ~=, strsim, soundslike, convertable_to."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from appliance.rules.tbel.bounded import bounded
from appliance.rules.tbel.errors import TbelError
from appliance.rules.tbel.kinds import convertible, instance_of, type_of
from appliance.rules.tbel.limits import DEFAULT, Budget
from appliance.rules.tbel.regex import java_pattern
from appliance.rules.tbel.text import to_text
from appliance.rules.tbel.values import Char, ClassRef, Float, JavaArray, TbSet, contains, to_float


def _contains(container: Any, wanted: Any) -> bool:
    if isinstance(container, str):
        return to_text(wanted) in container
    if isinstance(container, dict):
        return wanted in container
    if isinstance(container, list | TbSet | JavaArray):
        return contains(container, wanted)
    return False


def _class_name(value: Any) -> str:
    if not isinstance(value, ClassRef):
        raise TbelError("a class is expected on the right side")
    return {"java.util.Map": "Map", "java.util.List": "List", "java.util.Set": "Set",
            "java.util.Collection": "Collection"}.get(value.name, value.name)  # fmt: skip


def _instance(value: Any, class_: Any) -> bool:
    return instance_of(value, _class_name(class_))


def _convertible(value: Any, class_: Any) -> bool:
    return convertible(_class_name(class_), type_of(value))


def matches(budget: Budget, text: Any, pattern: Any) -> bool:
    """`text ~= pattern`."""
    compiled, whole = java_pattern(to_text(pattern)), to_text(text)
    return bounded(budget, compiled, whole, lambda: compiled.fullmatch(whole) is not None)


def _matches(text: Any, pattern: Any) -> bool:
    """Between literals, once, when the script is compiled."""
    return matches(Budget(DEFAULT), text, pattern)


def _text_on_the_left(value: Any) -> None:
    if type(value) is not str:
        raise TbelError(f"{type_of(value)} cannot be cast to String")


def _similarity(left: Any, right: Any) -> Float:
    if left is None:
        return Float(0.0)
    _text_on_the_left(left)
    a, b = to_text(left), to_text(right)
    same = sum(1 for x, y in zip(a, b, strict=False) if x == y)
    longest = max(len(a), len(b))
    return to_float(same / longest) if longest else Float("nan")


_SOUNDEX = {
    **dict.fromkeys("BFPV", "1"), **dict.fromkeys("CGJKQSXZ", "2"), **dict.fromkeys("DT", "3"),
    "L": "4", **dict.fromkeys("MN", "5"), "R": "6",
}  # fmt: skip


def soundex(text: str) -> str:
    """The sound of a word: its first letter and three digits."""
    letters = re.sub("[^A-Z]", "", text.upper())
    if not letters:
        return ""
    code, last = letters[0], _SOUNDEX.get(letters[0], "")
    for letter in letters[1:]:
        digit = _SOUNDEX.get(letter, "")
        if digit and digit != last:
            code += digit
        if letter not in "HW":
            last = digit
    return (code + "000")[:4]


def _sounds_like(left: Any, right: Any) -> bool:
    if left is None:
        return False
    _text_on_the_left(left)
    other = to_text(right)
    if isinstance(right, Char) or re.match("[A-Za-z]", other) is None:
        raise TbelError("null pointer: what does not start with a letter has no sound")
    return re.match("[A-Za-z]", left) is not None and soundex(left) == soundex(other)


WORDS: dict[str, Callable[[Any, Any], Any]] = {
    "contains": _contains,
    "instanceof": _instance,
    "convertable_to": _convertible,
    "~=": _matches,
    "strsim": _similarity,
    "soundslike": _sounds_like,
}
