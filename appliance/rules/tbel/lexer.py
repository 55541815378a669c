"""Text to tokens.

Limits first: one token is at most as long as the script (50 000 characters). Comments may be left
open (the reference takes the rest of the script as comment); strings may not.
"""

from __future__ import annotations

import re
from bisect import bisect_right

import msgspec

from appliance.rules.tbel.errors import TbelSyntaxError

NAME, NUMBER, TEXT, SYMBOL, END = "name", "number", "text", "symbol", "end"


class Token(msgspec.Struct, frozen=True):
    """A piece of the script. kind: one of the five above; text: as written, strings unescaped."""

    kind: str
    text: str
    start: int
    end: int


_SPACE = re.compile(r"(?:[\x00-\x20]|//[^\n]*|/\*.*?(?:\*/|\Z))*", re.DOTALL)
_NAME = re.compile(r"[^\W\d][\w$]*|\$[\w$]*")
_NUMBER = re.compile(r"\d[\w$]*(?:\.[\w$]*)?")
_EXPONENT = re.compile(r"(?<=\d[eE])[+-]\d+[\w$]*")
_SYMBOLS = (
    ">>>=", "<<=", ">>=", ">>>", "<<<", "===", "**", "++", "--", "<<", ">>", "<=", ">=", "==", "!=",
    "&&", "||", "~=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", ".?",
    *"+-*/%<>=!&|^~#?:;,.()[]{}",
)  # fmt: skip
_SIMPLE_ESCAPES = {
    "\\": "\\", "b": "\b", "f": "\f", "t": "\t", "r": "\r", "n": "\n", "'": "'", '"': '"',
}  # fmt: skip
_UNICODE = re.compile(r"[0-9A-F]{4}")
_OCTAL = re.compile(r"[0-3][0-7]{2}|[4-7][0-7]|[0-3][0-7]?\Z|[0-7]\Z")


class Source:
    """The script's text with the places of its lines."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._lines = [0] + [m.end() for m in re.finditer("\n", text)]

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of an offset, from 1."""
        line = bisect_right(self._lines, offset)
        return line, offset - self._lines[line - 1] + 1

    def error(self, message: str, offset: int) -> TbelSyntaxError:
        """An error at an offset, to be raised."""
        line, column = self.position(min(offset, len(self.text)))
        return TbelSyntaxError(message, line, column)


def tokenize(source: Source) -> list[Token]:
    """All tokens, with one END at the end.

    Raises:
        TbelSyntaxError: a character, string or number that no script may have.
    """
    text, tokens, at = source.text, list[Token](), 0
    while True:
        space = _SPACE.match(text, at)
        at = space.end() if space else at
        if at >= len(text):
            tokens.append(Token(END, "", len(text), len(text)))
            return tokens
        token = _token(source, at, tokens[-1] if tokens else None)
        tokens.append(token)
        at = token.end


def _token(source: Source, at: int, last: Token | None) -> Token:
    text = source.text
    name = _NAME.match(text, at)
    if name:
        return Token(NAME, name.group(), at, name.end())
    first = text[at]
    if first.isdigit() or (first == "." and text[at + 1 : at + 2].isdigit() and not _operand(last)):
        return _number(text, at)
    if first in "\"'":
        return _string(source, at)
    for symbol in _SYMBOLS:
        if text.startswith(symbol, at):
            return Token(SYMBOL, symbol, at, at + len(symbol))
    raise source.error(f"unexpected character {first!r}", at)


def _operand(token: Token | None) -> bool:
    return token is not None and (token.kind in (NAME, TEXT) or token.text in (")", "]"))


def _number(text: str, at: int) -> Token:
    begin = at + 1 if text[at] == "." else at
    match = _NUMBER.match(text, begin)
    end = match.end() if match else begin
    exponent = _EXPONENT.match(text, end)
    if exponent and not text.startswith("0x", at):
        end = exponent.end()
    return Token(NUMBER, text[at:end], at, end)


def _string(source: Source, at: int) -> Token:
    text, mark, end = source.text, source.text[at], at + 1
    while end < len(text) and text[end] != mark:
        end += 2 if text[end] == "\\" else 1
    if end >= len(text):
        raise source.error("the string is not closed", at)
    return Token(TEXT, _unescape(source, at + 1, end), at, end + 1)


def _unescape(source: Source, start: int, end: int) -> str:
    raw = source.text[start:end]
    if "\\" not in raw:
        return raw
    parts, at = [], 0
    while at < len(raw):
        if raw[at] != "\\":
            parts.append(raw[at])
            at += 1
            continue
        value, width = _escape(source, raw, at + 1, start)
        parts.append(value)
        at += 1 + width
    return _joined_surrogates("".join(parts))


def _joined_surrogates(text: str) -> str:
    """Two halves of a character, written as two escapes, are one character."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _escape(source: Source, raw: str, at: int, start: int) -> tuple[str, int]:
    simple = _SIMPLE_ESCAPES.get(raw[at])
    if simple is not None:
        return simple, 1
    if raw[at] == "u":
        digits = raw[at + 1 : at + 5]
        if _UNICODE.fullmatch(digits):
            return chr(int(digits, 16)), 5
        raise source.error("a \\u escape needs four hex digits in upper case", start + at)
    octal = _OCTAL.match(raw, at)
    if octal:
        return chr(int(octal.group(), 8)), len(octal.group())
    raise source.error(f"unknown escape \\{raw[at]}", start + at)
