"""Java regular expressions on Python's engine.

The two agree on nearly all that scripts use. Translated: possessive and atomic forms are the same
from Python 3.11; `\\p{…}` classes, `\\h`, `\\R`, `\\z`, and `$1` in replacements.
"""

from __future__ import annotations

import re
from functools import lru_cache

from appliance.rules.tbel.errors import TbelError

_CLASSES = {
    "Alpha": "a-zA-Z", "Digit": "0-9", "Alnum": "a-zA-Z0-9", "Upper": "A-Z", "Lower": "a-z",
    "Punct": r"!-/:-@\[-`{-~", "Space": r"\s", "XDigit": "0-9a-fA-F", "Blank": r" \t",
    "L": r"^\W\d_", "N": r"\d", "IsAlphabetic": r"^\W\d_", "ASCII": r"\x00-\x7f",
}  # fmt: skip
_TOKENS = re.compile(r"\\p\{(\w+)\}|\\P\{(\w+)\}|\\([hRzZQ])|\\.|\[|\]", re.DOTALL)


@lru_cache(maxsize=256)
def java_pattern(text: str) -> re.Pattern[str]:
    """Compile a Java pattern.

    Raises:
        TbelError: it is no pattern.
    """
    depth = 0

    def translate(match: re.Match[str]) -> str:
        nonlocal depth
        token = match.group()
        if token == "[":
            depth += 1
            return "\\[" if depth > 1 else token
        if token == "]":
            depth = max(0, depth - 1)
            return token
        name = match.group(1) or match.group(2)
        if name:
            return _class(name, match.group(2) is not None, depth > 0)
        return {"\\h": "[ \\t\\xa0]", "\\R": "(?:\\r\\n|[\\n-\\r\\x85])", "\\z": "\\Z"}.get(
            token, token
        )

    try:
        return re.compile(_TOKENS.sub(translate, text), re.ASCII)
    except re.error as error:
        raise TbelError(f"bad pattern {text!r}: {error}") from None


def _class(name: str, negated: bool, inside: bool) -> str:
    chars = _CLASSES.get(name)
    if chars is None:
        raise TbelError(f"unknown character class {name!r}")
    if chars[0] == "^":
        return f"(?:[{chars}])" if not negated else f"(?:[{chars[1:]}])"
    if inside:
        return chars
    return f"[^{chars}]" if negated else f"[{chars}]"


_REFERENCE = re.compile(r"\\(.)|\$(\d)|\$\{(\w+)\}|\$", re.DOTALL)


def java_replacement(pattern: re.Pattern[str], text: str) -> str:
    """A Java replacement text ($1, ${name}, \\x) as a Python one."""

    def translate(match: re.Match[str]) -> str:
        escaped, number, name = match.groups()
        if escaped is not None:
            return escaped.replace("\\", r"\\")
        if number is not None:
            if int(number) > pattern.groups:
                raise TbelError(f"No group {number}")
            return rf"\g<{number}>"
        if name is not None:
            return rf"\g<{name}>"
        raise TbelError("Illegal group reference")

    parts, last = [], 0
    for match in _REFERENCE.finditer(text):
        parts += [text[last : match.start()].replace("\\", r"\\"), translate(match)]
        last = match.end()
    parts.append(text[last:].replace("\\", r"\\"))
    return "".join(parts)
