"""`switch`: labels that share a body, each body ended by `break`, `return` or the last bracket.

The reference finds cases by searching the text for the words, so most layouts that look right do
not compile there. We read the plain meaning and warn where the reference would fail; what has no
plain meaning (a body that runs into the next case) is an error here as it is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.rules.tbel import ast
from appliance.rules.tbel.lexer import END, NAME, NUMBER, SYMBOL, TEXT, Token

if TYPE_CHECKING:
    from appliance.rules.tbel.parser import Parser


def read_switch(parser: Parser, token: Token) -> ast.Statement:
    """A switch, after its word."""
    subject = parser.condition()
    if isinstance(subject, ast.Text):
        parser.warn("switch-label", subject.at)
    if not parser.is_symbol("{"):
        raise parser.error(f"expected '{{' but found {parser.found()}")
    close = parser.closing(parser.at)
    if parser.tokens[close].start - parser.token.start < 6:
        raise parser.error("a switch needs cases")
    reader = _Cases(parser, parser.at + 1, close)
    cases, default = reader.read()
    parser.at = close + 1
    if default is None and reader.ended_by_return and parser.token.kind == END:
        parser.warn("switch-end", token.start)
    return ast.Switch(subject=subject, cases=tuple(cases), default=default, at=token.start)


class _Cases:
    def __init__(self, parser: Parser, start: int, end: int) -> None:
        self.parser, self.at, self.end = parser, start, end
        self.tokens = parser.tokens
        self.ended_by_return = False

    def read(self) -> tuple[list[ast.Case], ast.Block | None]:
        cases: list[ast.Case] = []
        if self.tokens[self.at].text != "case":
            raise self.parser.error("a switch starts with a case", self.tokens[self.at])
        while self.at < self.end:
            token = self.tokens[self.at]
            if token.text == "default" and token.kind == NAME:
                self.at += 1
                self._colon()
                return cases, self._block(self.at, self.end)
            cases.append(self._case(token))
        return cases, None

    def _case(self, token: Token) -> ast.Case:
        labels: list[ast.Expression] = []
        while self.at < self.end and self.tokens[self.at].text == "case":
            self.at += 1
            labels.append(self._label())
        if not labels:
            raise self.parser.error(f"expected case but found {token.text!r}", token)
        start = self.at
        self.at = stop = self._next_case(start)
        return ast.Case(labels=tuple(labels), body=self._body(start, stop), at=token.start)

    def _label(self) -> ast.Expression:
        start = self.at
        while self.at < self.end and self.tokens[self.at].text != ":":
            self.at += 1
        token = self.tokens[start]
        fragile = self.at != start + 1 or token.kind not in (NAME, NUMBER, TEXT)
        if fragile or (token.kind == TEXT and any(c in " :\t\n" for c in token.text)):
            self.parser.warn("switch-label", token.start)
        label = self.parser.part(start, self.at).whole()
        self._colon()
        return label

    def _colon(self) -> None:
        if self.at >= self.end or self.tokens[self.at].text != ":":
            raise self.parser.error("expected ':' after the label", self.tokens[self.at])
        self.at += 1

    def _next_case(self, start: int) -> int:
        index = start
        while index < self.end:
            token = self.tokens[index]
            if token.kind == NAME and token.text in ("case", "default"):
                return index
            if token.kind == SYMBOL and token.text in ("(", "[", "{"):
                index = self.parser.closing(index)
            index += 1
        return index

    def _body(self, start: int, stop: int) -> ast.Block:
        braced = self.tokens[start].text == "{"
        if braced:
            self.parser.warn("switch-braces", self.tokens[start].start)
        block = self._block(start, stop)
        statements = block.statements
        self.ended_by_return = bool(statements) and isinstance(statements[-1], ast.Return)
        for index, statement in enumerate(statements):
            if isinstance(statement, ast.Break):
                self._spacing(stop)
                return ast.Block(statements=statements[:index], at=block.at)
            if isinstance(statement, ast.Return):
                return block
        if stop < self.end:
            raise self.parser.error("a case must end with break or return", self.tokens[stop])
        return block

    def _spacing(self, stop: int) -> None:
        last = self.tokens[stop - 1]
        if stop < self.end and last.text == ";" and self.tokens[stop].start - last.end < 2:
            self.parser.warn("switch-spacing", self.tokens[stop].start)

    def _block(self, start: int, stop: int) -> ast.Block:
        if self.tokens[start].text == "{" and self.parser.closing(start) == stop - 1:
            start, stop = start + 1, stop - 1
        inner = self.parser.part(start, stop)
        program = getattr(inner, "program")()  # noqa: B009 - part gives the same class back
        assert isinstance(program, ast.Block)
        return program
