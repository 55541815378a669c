"""Expressions: tokens to parts of the tree.

The one odd thing is how the reference reads an inline list or map (`_collection`): it scans for
commas, colons and brackets without looking at what stands between them. So a `[` that follows a
call is an element of its own (`{"x": m.keys()[0]}` is `{"x": [0]}`), and the first nested bracket
of a literal decides how all later nested brackets of it are read: after a `{…}`, `[]` is a map.
"""

from __future__ import annotations

from collections.abc import Callable

from appliance.rules.tbel import ast
from appliance.rules.tbel.errors import TbelError, TbelSyntaxError
from appliance.rules.tbel.families import FAMILIES, Warning_
from appliance.rules.tbel.lexer import END, NAME, NUMBER, SYMBOL, TEXT, Source, Token
from appliance.rules.tbel.limits import Limits
from appliance.rules.tbel.names import CLASSES, CONSTANTS, KEYWORDS, RESERVED, WORD_OPERATORS
from appliance.rules.tbel.numerals import number

ASSIGNMENTS = frozenset(("=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>=", ">>>="))
_BINARY = frozenset((
    "+", "-", "*", "/", "%", "**", "==", "===", "!=", "<", ">", "<=", ">=", "&&", "||", "&", "|",
    "^", "<<", ">>", ">>>", "<<<", "#", "?", ":", "~=",
))  # fmt: skip
_PAIRS = {"(": ")", "[": "]", "{": "}"}


class ExpressionParser:
    """Reads the tokens from `at` up to `end`. warnings: families met on the way, shared."""

    def __init__(
        self,
        source: Source,
        tokens: list[Token],
        limits: Limits,
        warnings: list[Warning_],
        start: int = 0,
        end: int | None = None,
        depth: int = 0,
    ) -> None:
        self.source, self.tokens, self.limits, self.warnings = source, tokens, limits, warnings
        self.at = start
        self.end = len(tokens) - 1 if end is None else end
        self.depth = depth

    # the token at hand

    @property
    def token(self) -> Token:
        """The token at hand; END at the end of the part that is read."""
        if self.at < self.end:
            return self.tokens[self.at]
        offset = self.tokens[self.end].start
        return Token(END, "", offset, offset)

    def ahead(self, count: int = 1) -> Token:
        """A token further on."""
        index = self.at + count
        return self.tokens[index] if index < self.end else Token(END, "", 0, 0)

    def next(self) -> Token:
        """Take the token at hand."""
        token = self.token
        self.at += 1
        return token

    def is_symbol(self, *texts: str) -> bool:
        """Is one of these symbols at hand?"""
        token = self.token
        return token.kind == SYMBOL and token.text in texts

    def is_word(self, *texts: str) -> bool:
        """Is one of these words at hand?"""
        token = self.token
        return token.kind == NAME and token.text in texts

    def take(self, text: str) -> bool:
        """Take a symbol if it is at hand."""
        if self.is_symbol(text):
            self.at += 1
            return True
        return False

    def expect(self, text: str) -> Token:
        """Take a symbol that must be at hand."""
        if not self.is_symbol(text):
            raise self.error(f"expected {text!r} but found {self.found()}")
        return self.next()

    def found(self) -> str:
        """The token at hand, for a message."""
        return repr(self.token.text) if self.token.kind != END else "the end of the statement"

    def error(self, message: str, token: Token | None = None) -> TbelSyntaxError:
        """An error at a token, to be raised."""
        return self.source.error(message, (token or self.token).start)

    def warn(self, family: str, offset: int) -> None:
        """Note that the script works here and fails on a server."""
        line, column = self.source.position(offset)
        self.warnings.append(Warning_(family, FAMILIES[family].sentence, line, column))

    def part(self, start: int, end: int) -> ExpressionParser:
        """A parser for some of the tokens."""
        if self.depth >= self.limits.nesting_max:
            raise self.error("the script is nested too deeply", self.tokens[start])
        return type(self)(
            self.source, self.tokens, self.limits, self.warnings, start, end, self.depth + 1
        )

    def closing(self, opening: int) -> int:
        """Where the bracket that opens at this index is closed."""
        mark = self.tokens[opening].text
        depth = 0
        for index in range(opening, self.end):
            token = self.tokens[index]
            if token.kind != SYMBOL:
                continue
            if token.text == mark:
                depth += 1
            elif token.text == _PAIRS[mark]:
                depth -= 1
                if depth == 0:
                    return index
        raise self.error(f"{mark!r} is not closed", self.tokens[opening])

    # expressions

    def whole(self) -> ast.Expression:
        """The expression that the rest of the tokens make; nothing is null."""
        if self.at >= self.end:
            return ast.Constant(name="null", at=self.token.start)
        value = self.expression()
        if self.token.kind != END:
            raise self.error(f"unexpected {self.found()}")
        return value

    def expression(self) -> ast.Expression:
        """Operands and operators up to something that is neither."""
        start = self.token.start
        operands, operators = [self.operand()], list[str]()
        while True:
            operator = self.operator()
            if operator is None:
                break
            if operator == ":" and (self.token.kind == END or self.is_symbol(";")):
                operands.append(ast.Constant(name="null", at=start))
                operators.append(operator)
                break
            operators.append(operator)
            operands.append(self.operand())
        if not operators:
            return operands[0]
        return ast.Chain(operands=tuple(operands), operators=tuple(operators), at=start)

    def operator(self) -> str | None:
        """Take an operator if one is at hand."""
        token = self.token
        if token.kind == SYMBOL and token.text in _BINARY:
            self.at += 1
            return "==" if token.text == "===" else token.text
        if token.kind == NAME and token.text in WORD_OPERATORS:
            self.at += 1
            return {"is": "instanceof", "and": "&&"}.get(token.text, token.text)
        return None

    def operand(self) -> ast.Expression:
        """One operand with everything that sticks to it."""
        if self.depth >= self.limits.nesting_max:
            raise self.error("the script is nested too deeply")
        self.depth += 1
        try:
            return self._operand()
        finally:
            self.depth -= 1

    def _operand(self) -> ast.Expression:
        token = self.token
        if token.kind == NAME:
            return self._word(token)
        if token.kind == NUMBER:
            self.at += 1
            return self._number(token, token.text)
        if token.kind == TEXT:
            self.at += 1
            return self._postfix(ast.Text(value=token.text, at=token.start))
        reader = _PREFIXES.get(token.text) if token.kind == SYMBOL else None
        if reader is None:
            raise self.error(f"expected a value but found {self.found()}")
        return reader(self, token)

    def _number(self, token: Token, text: str) -> ast.Expression:
        try:
            number(text)
        except TbelError as error:
            raise self.error(error.message, token) from None
        return ast.Number(text=text, at=token.start)

    def _word(self, token: Token) -> ast.Expression:
        word = token.text
        if word == "new":
            self.at += 1
            return self._new(token)
        if word == "isdef":
            self.at += 1
            if self.token.kind != NAME:
                raise self.error("expected a name after isdef")
            return ast.IsDefined(name=self.dotted(), at=token.start)
        if word in CONSTANTS:
            self.at += 1
            return self._postfix(ast.Constant(name=word, at=token.start))
        if word in KEYWORDS or word in WORD_OPERATORS:
            raise self.error(f"{word!r} cannot stand here")
        self.at += 1
        target: ast.Expression = ast.Name(name=word, at=token.start)
        if self.is_symbol("("):
            target = ast.Call(target=None, name=word, arguments=self.arguments(), at=token.start)
        return self._assignment(self._postfix(target))

    def _assignment(self, target: ast.Expression) -> ast.Expression:
        token = self.token
        if token.kind != SYMBOL:
            return target
        if token.text in ("++", "--"):
            self.at += 1
            self._after_step(token)
            self._check_step(target)
            return ast.Step(target=target, operator=token.text[0], prefix=False, at=target.at)
        if token.text == "~=":
            self.at += 1
            pattern = self.operand()
            return ast.Chain(operands=(target, pattern), operators=("~=",), at=target.at)
        if token.text not in ASSIGNMENTS:
            return target
        self.at += 1
        if token.text != "=" and _ends_indexed(target):
            self.warn("indexed-compound", target.at)
        self.check_target(target)
        if self.token.kind == END or self.is_symbol(";", ",", ")", "}"):
            raise self.error("expected a value after the assignment")
        return ast.Assign(target=target, operator=token.text, value=self.expression(), at=target.at)

    def _after_step(self, step: Token) -> None:
        token = self.token
        allowed = (
            "&&",
            "||",
            "!=",
            "<",
            ">",
            "==",
            ";",
            ")",
            "]",
            "}",
            ",",
            "<=",
            ">=",
            ">>",
            "<<",
        )
        if token.kind != END and not self.is_symbol(*allowed):
            raise self.error("expected the end of the statement after " + step.text)

    def _check_step(self, target: ast.Expression) -> None:
        if isinstance(target, ast.Property | ast.Index):
            self.warn("property-increment", target.at)
        self.check_target(target)

    def check_target(self, target: ast.Expression) -> None:
        """Refuse assignment to what is no place."""
        if isinstance(target, ast.Name):
            self.check_name(target.name, target.at)
        elif not isinstance(target, ast.Property | ast.Index):
            raise self.source.error("nothing can be assigned to this", target.at)

    def check_name(self, name: str, offset: int) -> None:
        """Refuse reserved words as names."""
        if name in RESERVED:
            raise self.source.error(f"{name!r} is a reserved word", offset)

    def arguments(self) -> tuple[ast.Expression, ...]:
        """`(a, b)`."""
        opening = self.at
        close = self.closing(opening)
        self.at = close + 1
        return tuple(self.split(opening + 1, close))

    def split(self, start: int, end: int) -> list[ast.Expression]:
        """Expressions between commas; empty places vanish."""
        parts, begin, index = [], start, start
        while index <= end:
            token = self.tokens[index] if index < end else None
            if token is None or (token.kind == SYMBOL and token.text == ","):
                if index > begin:
                    parts.append(self.part(begin, index).whole())
                begin = index + 1
            elif token.kind == SYMBOL and token.text in _PAIRS:
                index = self.closing(index)
            index += 1
        return parts

    def _postfix(self, target: ast.Expression) -> ast.Expression:
        while True:
            if self.is_symbol(".", ".?"):
                null_safe = self.next().text == ".?" or self.take("?")
                if self.is_symbol("{"):
                    return self.with_block(target)
                target = self._member(target, null_safe)
            elif self.is_symbol("["):
                target = self._index(target)
            else:
                return target

    def _member(self, target: ast.Expression, null_safe: bool) -> ast.Expression:
        token = self.next()
        if token.kind != NAME and not (token.kind == NUMBER and token.text.isdigit()):
            raise self.error("expected a name after the point", token)
        if self.is_symbol("("):
            return ast.Call(
                target=target, name=token.text, arguments=self.arguments(), null_safe=null_safe,
                at=target.at,
            )  # fmt: skip
        return ast.Property(target=target, name=token.text, null_safe=null_safe, at=target.at)

    def with_block(self, target: ast.Expression) -> ast.Expression:
        """`{ name = value, … }` after a target."""
        opening = self.at
        close = self.closing(opening)
        self.at = close + 1
        names, values = [], []
        for part in self.split(opening + 1, close):
            if not isinstance(part, ast.Assign) or not isinstance(part.target, ast.Name):
                raise self.source.error("only assignments may stand here", part.at)
            names.append(part.target.name)
            values.append(part.value)
        return ast.With(target=target, names=tuple(names), values=tuple(values), at=target.at)

    def _index(self, target: ast.Expression) -> ast.Expression:
        opening = self.at
        close = self.closing(opening)
        inside = self.tokens[opening + 1 : close]
        if any("]" in t.text or t.text == "[" for t in inside):
            self.warn("nested-brackets", self.tokens[opening].start)
        self.at = close + 1
        index = self.part(opening + 1, close).whole()
        return ast.Index(target=target, index=index, at=target.at)

    def _new(self, token: Token) -> ast.Expression:
        if self.token.kind != NAME:
            raise self.error("expected a class after new")
        name = self.dotted()
        if self.is_symbol("["):
            return self._new_array(token, name)
        arguments = self.arguments() if self.is_symbol("(") else ()
        return self._postfix(ast.New(type=name, arguments=arguments, at=token.start))

    def _new_array(self, token: Token, name: str) -> ast.Expression:
        close = self.closing(self.at)
        size = self.part(self.at + 1, close).whole() if close > self.at + 1 else None
        self.at = close + 1
        items: tuple[ast.Expression, ...] = ()
        if size is None:
            if not self.is_symbol("{"):
                raise self.error("expected the elements of the array")
            opening = self.at
            self.at = self.closing(opening) + 1
            items = tuple(self.split(opening + 1, self.at - 1))
        return self._postfix(ast.NewArray(type=name, size=size, items=items, at=token.start))

    def dotted(self) -> str:
        """A class name, such as java.util.Map; the package of well-known classes is dropped."""
        parts = [self.next().text]
        while self.is_symbol(".") and self.ahead().kind == NAME:
            self.at += 1
            parts.append(self.next().text)
        if parts[:2] == ["java", "lang"] and len(parts) == 3 and parts[2] in CLASSES:
            return parts[2]
        return ".".join(parts)

    # prefixes

    def _minus(self, token: Token) -> ast.Expression:
        self.at += 1
        follower = self.token
        if follower.kind == NUMBER and follower.start == token.end:
            self.at += 1
            return self._number(token, "-" + follower.text)
        return ast.Unary(operator="-", operand=self.operand(), at=token.start)

    def _not(self, token: Token) -> ast.Expression:
        self.at += 1
        if self.is_symbol("!"):
            self.at += 1
            return self.operand()
        if self.token.kind != NAME and self.token.kind != NUMBER and not self.is_symbol("("):
            raise self.error("unexpected '!'", token)
        return ast.Unary(operator="!", operand=self.operand(), at=token.start)

    def _invert(self, token: Token) -> ast.Expression:
        self.at += 1
        if self.token.kind != NUMBER and not self.is_symbol("("):
            raise self.error("'~' needs a number or brackets after it", token)
        return ast.Unary(operator="~", operand=self.operand(), at=token.start)

    def _step(self, token: Token) -> ast.Expression:
        self.at += 1
        name = self.next()
        if name.kind != NAME:
            raise self.error("expected a variable", name)
        self.check_name(name.text, name.start)
        target = ast.Name(name=name.text, at=name.start)
        return ast.Step(target=target, operator=token.text[0], prefix=True, at=token.start)

    def _brackets(self, token: Token) -> ast.Expression:
        opening = self.at
        close = self.closing(opening)
        projection = self._projection(opening, close)
        if projection is not None:
            self.at = close + 1
            return self._postfix(projection)
        cast = self._cast_type(opening, close)
        if cast is not None:
            self.at = close + 1
            return ast.Cast(type=cast, operand=self.operand(), at=token.start)
        self.at = close + 1
        inner = self.part(opening + 1, close).whole()
        return self._postfix(ast.Group(inner=inner, at=token.start))

    def _cast_type(self, opening: int, close: int) -> str | None:
        inside = self.tokens[opening + 1 : close]
        if not inside or inside[0].kind != NAME:
            return None
        name = "".join(t.text for t in inside)
        if name.removesuffix("[]") not in CLASSES:
            return None
        follower = self.tokens[close + 1] if close + 1 < self.end else Token(END, "", 0, 0)
        value = follower.kind in (NAME, NUMBER, TEXT) or follower.text == "("
        return name if value and follower.text not in WORD_OPERATORS else None

    def _projection(self, opening: int, close: int) -> ast.Expression | None:
        word = self._word_at(opening + 1, close, "in")
        if word is None:
            return None
        condition = self._word_at(word + 1, close, "if")
        end = close if condition is None else condition
        return ast.Projection(
            item=self.part(opening + 1, word).whole(),
            source=self.part(word + 1, end).whole(),
            condition=None if condition is None else self.part(condition + 1, close).whole(),
            at=self.tokens[opening].start,
        )

    def _word_at(self, start: int, end: int, word: str) -> int | None:
        index = start
        while index < end:
            token = self.tokens[index]
            if token.kind == NAME and token.text == word:
                return index
            if token.kind == SYMBOL and token.text in _PAIRS:
                index = self.closing(index)
            index += 1
        return None

    def _literal(self, token: Token) -> ast.Expression:
        opening = self.at
        close = self.closing(opening)
        self.at = close + 1
        kind = "map" if token.text == "{" else "list"
        return self._postfix(self.collection(kind, opening + 1, close))

    def collection(self, kind: str, start: int, end: int) -> ast.Expression:
        """An inline list or map; see the module's text."""
        from appliance.rules.tbel.parse_collections import CollectionScan

        if self.depth >= self.limits.nesting_max:
            raise self.error("the script is nested too deeply", self.tokens[start])
        self.depth += 1
        try:
            return CollectionScan(self, kind, start, end).read()
        finally:
            self.depth -= 1


def _ends_indexed(target: ast.Expression) -> bool:
    return isinstance(target, ast.Index)


_PREFIXES: dict[str, Callable[[ExpressionParser, Token], ast.Expression]] = {
    "-": ExpressionParser._minus,
    "!": ExpressionParser._not,
    "~": ExpressionParser._invert,
    "++": ExpressionParser._step,
    "--": ExpressionParser._step,
    "(": ExpressionParser._brackets,
    "[": ExpressionParser._literal,
    "{": ExpressionParser._literal,
}
