"""Inline lists and maps, read the way the reference reads them (see `parse_expressions`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.rules.tbel import ast
from appliance.rules.tbel.lexer import NAME, NUMBER, SYMBOL, TEXT, Token

if TYPE_CHECKING:
    from appliance.rules.tbel.parse_expressions import ExpressionParser

_OPERATOR_MARKS = "|&^*/+%"


class CollectionScan:
    """One pass over the tokens between two brackets.

    mode: "list", "map", or "array" (a map literal that turned out to have no keys).
    nested: how nested brackets are read; the first one decides.
    begin: where the element at hand starts. key: the key that waits for its value.
    """

    def __init__(self, parser: ExpressionParser, kind: str, start: int, end: int) -> None:
        self.parser, self.tokens = parser, parser.tokens
        self.start, self.at, self.end = start, start, end
        self.mode = kind
        self.nested: str | None = None
        self.begin = start
        self.items: list[ast.Expression] = []
        self.key: tuple[str, ast.Expression] | None = None
        self.entries: dict[str, tuple[ast.Expression, ast.Expression]] = {}

    def read(self) -> ast.Expression:
        """The literal."""
        offset = self.tokens[self.start - 1].start
        while self.at < self.end:
            token = self.tokens[self.at]
            if token.kind == SYMBOL and token.text in "[{":
                self._bracket(token)
            elif token.kind == SYMBOL and token.text == "(":
                self.at = self.parser.closing(self.at) + 1
            elif token.kind == SYMBOL and token.text in ",:":
                self._separator(token.text)
            else:
                self.at += 1
        if self.begin < self.end:
            self._add(self._element(self.begin, self.end))
        if self.mode != "map":
            return ast.ListLiteral(items=tuple(self.items), array=self.mode == "array", at=offset)
        return ast.MapLiteral(
            keys=tuple(key for key, _ in self.entries.values()),
            values=tuple(value for _, value in self.entries.values()),
            key_texts=tuple(self.entries),
            at=offset,
        )

    def _separator(self, mark: str) -> None:
        element = self._element(self.begin, self.at)
        if mark == ",":
            self._add(element)
        else:
            if self.mode != "map":
                self.mode, self.entries = "map", {}
            self.key = (self._text(self.begin, self.at), element)
        self.at += 1
        self.begin = self.at

    def _bracket(self, token: Token) -> None:
        if self.nested is None and token.text == "{":
            self.nested = "map"
        if self.at > self.start:
            if self._quoted_index():
                self.at += 3
                return
            before = self.tokens[self.at - 1]
            if before.end == token.start and before.kind in (NAME, NUMBER):
                self.at = self.parser.closing(self.at) + 1
                return
        if self.nested is None:
            self.nested = "list"
        close = self.parser.closing(self.at)
        self._add(self.parser.collection(self.nested, self.at + 1, close))
        self._after_nested(close + 1)

    def _quoted_index(self) -> bool:
        follower, last = self.tokens[self.at + 1], self.tokens[self.at + 2]
        return (
            follower.kind == TEXT
            and follower.start == self.tokens[self.at].end
            and last.text == "]"
            and last.kind == SYMBOL
        )

    def _after_nested(self, at: int) -> None:
        self.at = self.begin = at
        if at >= self.end:
            return
        token = self.tokens[at]
        if token.kind == SYMBOL and token.text == ",":
            self.at = self.begin = at + 1
        elif token.text[0] not in _OPERATOR_MARKS:
            raise self.parser.error("unterminated collection element", token)
        else:
            raise self.parser.error("an element cannot start with a nested literal", token)

    def _add(self, element: ast.Expression) -> None:
        if self.mode == "map" and self.key is not None:
            self.entries[self.key[0]] = (self.key[1], element)
            return
        if self.mode == "map":
            self.mode, self.items = "array", []
        self.items.append(element)

    def _element(self, start: int, end: int) -> ast.Expression:
        return self.parser.part(start, end).whole()

    def _text(self, start: int, end: int) -> str:
        if start == end:
            return ""
        return self.parser.source.text[self.tokens[start].start : self.tokens[end - 1].end]
