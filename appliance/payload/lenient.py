"""The JSON dialect that ThingsBoard's parser (gson, lenient) takes, read to the letter.

Beyond JSON it takes: names and strings in single quotes or bare, `=` or `=>` for `:`, `;` for
`,`, comments (`//`, `#`, `/* */`), keywords in any case, a byte order mark, an empty array
place as null, raw control characters in strings. A bare word that is no JSON number is a
string, so `NaN` and `01` are. It refuses a trailing comma in an object, a second document, and
nesting deeper than 255. Nothing may follow the document, not even a comment.

Numbers come out as `NumberText`, because their typing depends on how they were written.
Half a surrogate pair becomes U+FFFD: no text could keep it.
"""

from __future__ import annotations

import re
from typing import Any

from appliance.payload.errors import PayloadError

DEPTH_MAX = 255
NUMBER_CHARS_MAX = 1023
"""gson's reader buffer: a longer number is read as a bare word."""

_SKIP = re.compile(r"(?:[ \t\r\n]+|//[^\r\n]*|#[^\r\n]*|/\*.*?\*/)*", re.DOTALL)
_BARE = re.compile(r"[^/\\;#={}\[\]:, \t\f\r\n]+")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_PLAIN = {quote: re.compile(rf"[^\\{quote}]*") for quote in "\"'"}
_HEX_4 = re.compile(r"[0-9a-fA-F]{4}")
_SURROGATE = re.compile("[\ud800-\udfff]")
_KEYWORDS = {"true": True, "false": False, "null": None}
_ESCAPES = {"t": "\t", "b": "\b", "n": "\n", "r": "\r", "f": "\f"} | {c: c for c in "\n'\"\\/"}
_NO_EXECUTE = ")]}'\n"


class NumberText(str):
    """A JSON number as it was written."""

    __slots__ = ()


def read(text: str) -> Any:
    """The one document of a text: dict, list, str, NumberText, bool or None.

    Raises PayloadError with the place of the first character that cannot be taken.
    """
    reader = _Reader(text.removeprefix("\ufeff"))
    return reader.document()


class _Reader:
    """Recursive descent over one text; `at` is the next character."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def document(self) -> Any:
        self._next_char()
        if self.text.startswith(_NO_EXECUTE, self.at):
            self.at += len(_NO_EXECUTE)
        value = self._value(0)
        rest = self.text[self.at :].lstrip(" \t\r\n")
        if rest:
            self.at = len(self.text) - len(rest)
            raise self._error("Text after the end of the document")
        return value

    def _value(self, depth: int) -> Any:
        char = self._next_char()
        if char in "{[":
            if depth == DEPTH_MAX:
                raise self._error(f"Nested deeper than {DEPTH_MAX} levels")
            self.at += 1
            return self._object(depth + 1) if char == "{" else self._array(depth + 1)
        if char in "\"'":
            return self._quoted(char)
        word = self._bare("Expected a value")
        if word.lower() in _KEYWORDS:
            return _KEYWORDS[word.lower()]
        if len(word) <= NUMBER_CHARS_MAX and _NUMBER.fullmatch(word):
            return NumberText(word)
        return word

    def _object(self, depth: int) -> dict[str, Any]:
        members: dict[str, Any] = {}
        if self._next_char() == "}":
            self.at += 1
            return members
        while True:
            char = self._next_char()
            name = self._quoted(char) if char in "\"'" else self._bare("Expected a name")
            self._separator()
            members[name] = self._value(depth)
            if self._ended("}", "Expected ',' or '}'"):
                return members

    def _separator(self) -> None:
        if self._next_char() not in ":=":
            raise self._error("Expected ':'")
        self.at += 2 if self.text.startswith("=>", self.at) else 1

    def _array(self, depth: int) -> list[Any]:
        elements: list[Any] = []
        if self._next_char() == "]":
            self.at += 1
            return elements
        while True:
            elements.append(None if self._next_char() in ",;]" else self._value(depth))
            if self._ended("]", "Expected ',' or ']'"):
                return elements

    def _ended(self, closer: str, complaint: str) -> bool:
        """Consume a separator or the closer; say which."""
        char = self._next_char()
        if char != closer and char not in ",;":
            raise self._error(complaint)
        self.at += 1
        return char == closer

    def _bare(self, complaint: str) -> str:
        match = _BARE.match(self.text, self.at)
        if match is None:
            raise self._error(complaint)
        self.at = match.end()
        return _without_half_pairs(match.group())

    def _quoted(self, quote: str) -> str:
        self.at += 1
        parts: list[str] = []
        while True:
            match = _PLAIN[quote].match(self.text, self.at)
            assert match is not None  # the pattern also matches nothing
            parts.append(match.group())
            self.at = match.end()
            char = self.text[self.at : self.at + 1]
            if not char:
                raise self._error("String without an end")
            self.at += 1
            if char == quote:
                return _without_half_pairs("".join(parts))
            parts.append(self._escape())

    def _escape(self) -> str:
        char = self.text[self.at : self.at + 1]
        if char == "u":
            match = _HEX_4.match(self.text, self.at + 1)
            if match is None:
                raise self._error("\\u without four hexadecimal digits")
            self.at = match.end()
            return chr(int(match.group(), 16))
        if char not in _ESCAPES:
            raise self._error("Invalid escape sequence")
        self.at += 1
        return _ESCAPES[char]

    def _next_char(self) -> str:
        """The next character that means something, not consumed."""
        match = _SKIP.match(self.text, self.at)
        assert match is not None  # the pattern also matches nothing
        self.at = match.end()
        char = self.text[self.at : self.at + 1]
        if not char:
            raise self._error("End of input")
        if self.text.startswith("/*", self.at):
            raise self._error("Comment without an end")
        return char

    def _error(self, message: str) -> PayloadError:
        line_start = self.text.rfind("\n", 0, self.at) + 1
        line = self.text.count("\n", 0, self.at) + 1
        return PayloadError(message, line, self.at - line_start + 1)


def _without_half_pairs(text: str) -> str:
    if _SURROGATE.search(text) is None:
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
