"""Statements, and the parser as a whole."""

from __future__ import annotations

from appliance.rules.tbel import ast
from appliance.rules.tbel.families import Warning_
from appliance.rules.tbel.lexer import END, NAME, NUMBER, SYMBOL, Source, Token, tokenize
from appliance.rules.tbel.limits import DEFAULT, Limits
from appliance.rules.tbel.names import CLASSES, RESERVED
from appliance.rules.tbel.parse_expressions import ExpressionParser
from appliance.rules.tbel.parse_switch import read_switch

_NAMES_OF_TYPES = CLASSES - {"Math", "JSON", "StrictMath"}


class Parser(ExpressionParser):
    """Statements on top of expressions."""

    def program(self) -> ast.Block:
        """Everything there is."""
        start = self.token.start
        statements = self.statements()
        if self.token.kind != END:
            raise self.error(f"unexpected {self.found()}")
        return ast.Block(statements=tuple(statements), at=start)

    def statements(self) -> list[ast.Statement]:
        """Statements up to something that is none."""
        found: list[ast.Statement] = []
        while self.token.kind != END:
            if self.take(";"):
                continue
            found.extend(self.statement())
        return found

    def statement(self) -> list[ast.Statement]:
        """One statement; a declaration of several variables gives several."""
        token = self.token
        if token.kind == NAME:
            reader = _STATEMENTS.get(token.text)
            if reader is not None and not (token.text == "do" and self.ahead().text == "="):
                self.at += 1
                return reader(self, token)
            declared = self._typed(token)
            if declared is not None:
                return declared
        expression = self.expression()
        self._finish()
        return [ast.Evaluate(expression=expression, at=token.start)]

    def _finish(self) -> None:
        if self.token.kind == END or self.take(";"):
            return
        raise self.error(f"expected ';' but found {self.found()}")

    def _typed(self, token: Token) -> list[ast.Statement] | None:
        if token.text not in _NAMES_OF_TYPES:
            return None
        mark, name = self.at, token.text
        self.at += 1
        if self.is_symbol("[") and self.ahead().text == "]":
            self.at += 2
            name += "[]"
        if self.token.kind != NAME or self.token.text in RESERVED:
            self.at = mark
            return None
        return self._declarations(name)

    def _declarations(self, type_name: str) -> list[ast.Statement]:
        found: list[ast.Statement] = []
        while True:
            token = self.next()
            if token.kind != NAME:
                raise self.error("expected the name of a variable", token)
            self.check_name(token.text, token.start)
            found.append(self._declaration(type_name, token))
            if not (self.is_symbol(",") and (type_name or self._bare(found))):
                break
            self.at += 1
        self._finish()
        return found

    def _bare(self, found: list[ast.Statement]) -> bool:
        return all(isinstance(d, ast.Declare) and d.value is None for d in found)

    def _declaration(self, type_name: str, token: Token) -> ast.Statement:
        value = None
        if self.take("="):
            if self.token.kind == END or self.is_symbol(";", ","):
                raise self.error("expected a value after '='")
            self._warn_of_minus(type_name)
            value = self.expression()
        return ast.Declare(type=type_name, name=token.text, value=value, at=token.start)

    def _warn_of_minus(self, type_name: str) -> None:
        follower = self.ahead()
        literal = follower.kind == NUMBER and follower.start == self.token.end
        if type_name and self.is_symbol("-") and not literal:
            self.warn("typed-minus", self.token.start)

    def _var(self, token: Token) -> list[ast.Statement]:
        return self._declarations("")

    def condition(self) -> ast.Expression:
        """`(condition)`, which must not be empty."""
        if not self.is_symbol("("):
            raise self.error(f"expected '(' but found {self.found()}")
        opening = self.at
        close = self.closing(opening)
        if close == opening + 1:
            raise self.error("a condition is missing")
        self.at = close + 1
        return self.part(opening + 1, close).whole()

    def block(self) -> ast.Block:
        """`{statements}` or one statement."""
        token = self.token
        if self.is_symbol("{"):
            close = self.closing(self.at)
            inner = self.part(self.at + 1, close)
            assert isinstance(inner, Parser)
            self.at = close + 1
            return inner.program()
        if token.kind == END:
            raise self.error("unexpected end of the script")
        statements = [] if self.take(";") else self.statement()
        return ast.Block(statements=tuple(statements), at=token.start)

    def _if(self, token: Token) -> list[ast.Statement]:
        condition = self.condition()
        then = self.block()
        otherwise = None
        if self.is_word("else"):
            self.at += 1
            otherwise = self.block()
        return [ast.If(condition=condition, then=then, otherwise=otherwise, at=token.start)]

    def _else(self, token: Token) -> list[ast.Statement]:
        raise self.error("else without if", token)

    def _while(self, token: Token) -> list[ast.Statement]:
        condition = self.condition()
        until = token.text == "until"
        body = self.block()
        return [
            ast.While(condition=condition, body=body, until=until, first_body=False, at=token.start)
        ]

    def _do(self, token: Token) -> list[ast.Statement]:
        body = self.block()
        if not self.is_word("while", "until"):
            raise self.error(f"expected while or until but found {self.found()}")
        until = self.next().text == "until"
        condition = self.condition()
        self.take(";")
        return [
            ast.While(condition=condition, body=body, until=until, first_body=True, at=token.start)
        ]

    def _for(self, token: Token) -> list[ast.Statement]:
        if not self.is_symbol("("):
            raise self.error(f"expected '(' but found {self.found()}")
        opening = self.at
        close = self.closing(opening)
        marks = [
            i
            for i in range(opening, close)
            if self.tokens[i].kind == SYMBOL and self.tokens[i].text in (";", ":")
        ]
        if token.text == "for" and marks and self.tokens[marks[0]].text == ";":
            return [self._counted(token, opening, close, marks)]
        if not marks:
            raise self.error("expected ':' in foreach", self.tokens[close])
        return [self._foreach(token, opening, close, marks[0])]

    def _counted(self, token: Token, opening: int, close: int, marks: list[int]) -> ast.Statement:
        if len(marks) < 2 or marks[1] == marks[0] + 1:
            raise self.error("a condition is missing", self.tokens[close])
        start, after = self.part(opening + 1, marks[0]), self.part(marks[1] + 1, close)
        assert isinstance(start, Parser) and isinstance(after, Parser)
        condition = self.part(marks[0] + 1, marks[1]).whole()
        self.at = close + 1
        return ast.For(
            start=start.program(),
            condition=condition,
            after=after.program(),
            body=self.block(),
            at=token.start,
        )

    def _foreach(self, token: Token, opening: int, close: int, colon: int) -> ast.Statement:
        names = self.tokens[opening + 1 : colon]
        if len(names) not in (1, 2) or any(t.kind != NAME for t in names):
            raise self.error("expected one name before ':'", self.tokens[opening])
        if len(names) == 2 and names[0].text not in CLASSES:
            raise self.error(f"{names[0].text!r} is no type", names[0])
        source = self.part(colon + 1, close).whole()
        self.at = close + 1
        return ast.ForEach(name=names[-1].text, source=source, body=self.block(), at=token.start)

    def _switch(self, token: Token) -> list[ast.Statement]:
        return [read_switch(self, token)]

    def _return(self, token: Token) -> list[ast.Statement]:
        value = None
        if self.token.kind != END and not self.is_symbol(";"):
            value = self.expression()
        self._finish()
        return [ast.Return(value=value, at=token.start)]

    def _break(self, token: Token) -> list[ast.Statement]:
        self._finish()
        return [ast.Break(at=token.start)]

    def _with(self, token: Token) -> list[ast.Statement]:
        target = self.condition()
        if not self.is_symbol("{"):
            raise self.error(f"expected '{{' but found {self.found()}")
        block = self.with_block(target)
        self._finish()
        return [ast.Evaluate(expression=block, at=token.start)]

    def _assert(self, token: Token) -> list[ast.Statement]:
        condition = self.expression()
        self._finish()
        return [ast.Assert(condition=condition, at=token.start)]

    def _import(self, token: Token) -> list[ast.Statement]:
        name = self.dotted()
        if not name.startswith("java.util"):
            raise self.error("nothing can be imported", token)
        if self.take("."):
            self.expect("*")
        self._finish()
        return [ast.Evaluate(expression=ast.Constant(name="null", at=token.start), at=token.start)]

    def _function(self, token: Token) -> list[ast.Statement]:
        name = self.next()
        if name.kind != NAME or name.text in RESERVED:
            raise self.error("a function needs a name that is not reserved", name)
        opening = self.at
        self.expect("(")
        close = self.closing(opening)
        parameters = self._parameters(opening + 1, close)
        self.at = close + 1
        body = self.block()
        return [ast.Function(name=name.text, parameters=parameters, body=body, at=token.start)]

    def _parameters(self, start: int, end: int) -> tuple[str, ...]:
        names: list[str] = []
        for index in range(start, end):
            token = self.tokens[index]
            if (index - start) % 2 == 0:
                if token.kind != NAME:
                    raise self.error("expected the name of a parameter", token)
                self.check_name(token.text, token.start)
                names.append(token.text)
            elif token.text != ",":
                raise self.error("expected ',' between parameters", token)
        return tuple(names)


_STATEMENTS = {
    "var": Parser._var,
    "if": Parser._if,
    "else": Parser._else,
    "while": Parser._while,
    "until": Parser._while,
    "do": Parser._do,
    "for": Parser._for,
    "foreach": Parser._for,
    "switch": Parser._switch,
    "return": Parser._return,
    "break": Parser._break,
    "with": Parser._with,
    "assert": Parser._assert,
    "import": Parser._import,
    "function": Parser._function,
    "def": Parser._function,
}


def parse(text: str, limits: Limits = DEFAULT) -> tuple[ast.Block, tuple[Warning_, ...]]:
    """The tree of a script, with the places that fail on a server.

    Raises:
        TbelSyntaxError: the text is no script.
    """
    source = Source(text)
    if len(text) > limits.body_chars_max:
        raise source.error(f"a script has at most {limits.body_chars_max} characters", 0)
    warnings: list[Warning_] = []
    program = Parser(source, tokenize(source), limits, warnings).program()
    return program, tuple(warnings)
