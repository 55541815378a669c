"""Java regular expressions on Python's engine.

The two agree on nearly all that scripts use, possessive and atomic forms included. Translated are
quotations (`\\Q…\\E`), named groups, `\\p{…}`, `\\h`, `\\R`, `\\z`, and the sets of sets that
Python has not: `[a-z&&[^b]]` becomes a look at the one set in front of the other, `[a[bc]]` an
alternative. In replacements, `$1` and `${name}`.
"""

from __future__ import annotations

import re
from functools import lru_cache

from appliance.rules.tbel.errors import TbelError

_CLASSES = {
    "Alpha": "a-zA-Z", "Digit": "0-9", "Alnum": "a-zA-Z0-9", "Upper": "A-Z", "Lower": "a-z",
    "Lu": "A-Z", "Ll": "a-z", "Punct": r"!-/:-@\[-`{-~", "Space": r"\s", "XDigit": "0-9a-fA-F",
    "Blank": r" \t", "L": r"^\W\d_", "N": r"\d", "IsAlphabetic": r"^\W\d_",
    "IsLetter": r"^\W\d_", "IsDigit": r"\d", "ASCII": r"\x00-\x7f", "Cntrl": r"\x00-\x1f\x7f",
}  # fmt: skip
_PLAIN = {
    "\\h": "[ \\t\\xa0]", "\\R": "(?:\\r\\n|[\\n-\\r\\x85])", "\\z": "\\Z", "\\Z": "(?=\\n?\\Z)",
}  # fmt: skip
_TOKEN = re.compile(
    r"\\Q(?P<quoted>.*?)(?:\\E|\Z)|\\(?P<sign>[pP])(?:\{(?P<long>\w+)\}|(?P<short>\w))"
    r"|\\k<(?P<again>\w+)>|\(\?<(?P<group>[a-zA-Z]\w*)>|\\.|.",
    re.DOTALL,
)


@lru_cache(maxsize=256)
def java_pattern(text: str) -> re.Pattern[str]:
    """Compile a Java pattern.

    Raises:
        TbelError: it is no pattern.
    """
    try:
        return re.compile(_Translation(text).all(), re.ASCII)
    except re.error as error:
        raise TbelError(f"bad pattern {text!r}: {error}") from None


class _Translation:
    """Walks over a Java pattern, token by token."""

    def __init__(self, text: str) -> None:
        self.tokens = list(_TOKEN.finditer(text))
        self.at = 0

    def all(self) -> str:
        parts = []
        while self.at < len(self.tokens):
            token = self.tokens[self.at]
            self.at += 1
            parts.append(self.set() if token.group() == "[" else _outside(token))
        return "".join(parts)

    def set(self) -> str:
        """What follows a `[`: a pattern of one character."""
        negated = self._take("^")
        sets = [self._union(first=True)]
        while not self._take("]"):
            if self.at >= len(self.tokens):
                raise TbelError("Unclosed character class")
            self.at += 2
            sets.append(self._union(first=False))
        *looked_at, last = sets
        if negated and not looked_at and last.startswith("["):
            return "[^" + last[1:]
        inner = "".join(f"(?={one})" for one in looked_at) + last
        return f"(?:(?!{inner})[\\s\\S])" if negated else f"(?:{inner})" if looked_at else inner

    def _union(self, *, first: bool) -> str:
        """Members up to the end of the set or an `&&`."""
        chars, sets = "", []
        while self.at < len(self.tokens):
            token = self.tokens[self.at]
            text = token.group()
            if (text == "]" and not first) or self._at_and():
                break
            self.at += 1
            first = False
            if text == "[":
                sets.append(self.set())
            elif token["sign"]:
                sets.append(_class(token))
            elif token["quoted"] is not None:
                chars += re.escape(token["quoted"])
            else:
                chars += _PLAIN.get(text, f"\\{text}" if text in "[]&|~" else text)
        one = [f"[{chars}]"] if chars or not sets else []
        return (one + sets)[0] if len(one + sets) == 1 else f"(?:{'|'.join(one + sets)})"

    def _take(self, text: str) -> bool:
        taken = self.at < len(self.tokens) and self.tokens[self.at].group() == text
        self.at += taken
        return taken

    def _at_and(self) -> bool:
        return [token.group() for token in self.tokens[self.at : self.at + 2]] == ["&", "&"]


def _outside(token: re.Match[str]) -> str:
    if token["quoted"] is not None:
        return re.escape(token["quoted"])
    if token["sign"]:
        return _class(token)
    if token["again"]:
        return f"(?P={token['again']})"
    if token["group"]:
        return f"(?P<{token['group']}>"
    return _PLAIN.get(token.group(), token.group())


def _class(token: re.Match[str]) -> str:
    chars = _CLASSES.get(token["long"] or token["short"])
    if chars is None:
        raise TbelError(f"unknown character class {token.group()!r}")
    if chars[0] == "^":
        letters = f"(?u:[{chars}])"
        return letters if token["sign"] == "p" else f"(?:(?!{letters})[\\s\\S])"
    return f"[{chars}]" if token["sign"] == "p" else f"[^{chars}]"


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
            if name not in pattern.groupindex:
                raise TbelError(f"No group with name {{{name}}}")
            return rf"\g<{name}>"
        raise TbelError("Illegal group reference")

    parts, last = [], 0
    for match in _REFERENCE.finditer(text):
        parts += [text[last : match.start()].replace("\\", r"\\"), translate(match)]
        last = match.end()
    parts.append(text[last:].replace("\\", r"\\"))
    return "".join(parts)
