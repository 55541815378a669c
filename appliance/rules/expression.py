"""Arithmetic expressions as the reference's library reads them (spec/rule-engine.md §7, §9.5).

Operators + - * / % ^ (right to left, before a leading minus), parentheses ( [ {, implied
multiplication (`2x`, `xy`, `x(y+1)`, `2(x+1)`; calculated fields do not take the last form),
constants pi, e, φ, and the functions of `FUNCTIONS`. A word that is no name begins with its longest
part that is one: with x and y, `xy2` is `x*y*2`. An expression is parsed once into nested calls;
evaluation takes the values of its variables. Numbers behave as in Java: the root of a negative
number is NaN, the logarithm of 0 -Infinity; only division by zero is an error.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping

from appliance.rules.java_math import OF_DOUBLE, divided, power, signum

Evaluate = Callable[[Mapping[str, float]], float]

LENGTH_MAX = 1_000
DEPTH_MAX = 64
"""Nesting; both keep a hostile expression from exhausting the stack."""


class BadExpression(ValueError):
    """The text is no expression, or a value cannot be computed."""


def _inverse(name: str) -> Callable[[float], float]:
    return lambda x: 1 / OF_DOUBLE[name](x)  # by zero is an error, as is 1/0


def _logab(base: float, x: float) -> float:
    return divided(OF_DOUBLE["log"](x), OF_DOUBLE["log"](base))


def _log2(x: float) -> float:
    return OF_DOUBLE["log"](x) / math.log(2)


_LIKE_JAVA = (
    *("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "log", "log10", "log1p"),
    *("ceil", "floor", "sqrt", "cbrt", "exp", "expm1"),
)
FUNCTIONS: dict[str, tuple[int, Callable[..., float]]] = {
    **{name: (1, OF_DOUBLE[name]) for name in _LIKE_JAVA},
    "cot": (1, _inverse("tan")),
    "sec": (1, _inverse("cos")),
    "csc": (1, _inverse("sin")),
    "abs": (1, abs),
    "ln": (1, OF_DOUBLE["log"]),
    "lg": (1, OF_DOUBLE["log10"]),
    "log2": (1, _log2),
    "logab": (2, _logab),
    "pow": (2, power),
    "signum": (1, signum),
}
CONSTANTS = {"pi": math.pi, "π": math.pi, "e": math.e, "φ": (1 + math.sqrt(5)) / 2}

_TOKEN = re.compile(
    r"\s*(?:(\d+\.?\d*(?:[eE][+-]?\d+)?(?![\d.])|\.\d+(?![\d.]))|([^\W\d]\w*)|([-+*/%^(),]))"
)
_SUM, _PRODUCT, _SIGN, _POWER = 1, 2, 3, 4
_BINARY = {"+": _SUM, "-": _SUM, "*": _PRODUCT, "/": _PRODUCT, "%": _PRODUCT, "^": _POWER}


class Expression:
    """A parsed expression over named variables. Raises BadExpression.

    implied_products: whether a parenthesis or a name may follow any operand, as in `2(x+1)`;
    otherwise a parenthesis may follow a name, and a word may be a product.
    """

    def __init__(
        self, text: str, variables: Collection[str], *, implied_products: bool = True
    ) -> None:
        if len(text) > LENGTH_MAX:
            raise BadExpression(f"the expression is longer than {LENGTH_MAX} characters")
        self._variables = frozenset(variables)
        self._names = self._variables | CONSTANTS.keys()
        self._tokens, self._words = _tokens(text, self._names | FUNCTIONS.keys())
        self._at = 0
        self._depth = 0
        self._implied_products = implied_products
        for name in self._variables & FUNCTIONS.keys():
            raise BadExpression(f"a variable cannot have the name of a function: {name!r}")
        self._evaluate = self._parse(0)
        if self._at < len(self._tokens):
            raise BadExpression(f"unexpected {self._tokens[self._at]!r}")

    def evaluate(self, values: Mapping[str, float]) -> float:
        """The value. Raises BadExpression where there is none (1/0)."""
        try:
            return self._evaluate(values)
        except (ArithmeticError, ValueError) as error:
            raise BadExpression(str(error)) from None

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        self._at += 1
        return token

    def _parse(self, floor: int) -> Evaluate:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise BadExpression("the expression is nested too deeply")
        left = self._operand()
        while token := self._peek():
            operator = token if token in _BINARY else "*"
            if token in "),":
                break
            level = _BINARY[operator]
            if level <= floor and not (operator == "^" and level == floor):
                break
            if token in _BINARY:
                self._next()
            elif not self._implied_products:
                self._check_implied(token)
            left = _binary(operator, left, self._parse(level))
        self._depth -= 1
        return left

    def _check_implied(self, token: str) -> None:
        before = self._tokens[self._at - 1]
        if token == "(":
            is_product = before in self._names
        else:
            after_number = before[0].isdigit() and not token[0].isdigit()
            is_product = after_number or self._at in self._words
        if not is_product:
            raise BadExpression("the expression has invalid syntax: an operator is missing")

    def _operand(self) -> Evaluate:
        token = self._next()
        if token in ("-", "+"):
            inner = self._parse(_SIGN)
            return inner if token == "+" else lambda values: -inner(values)
        if token == "(":
            inner = self._parse(0)
            self._expect(")")
            return inner
        if token[:1].isdigit() or token[:1] == ".":
            number = float(token)
            return lambda values: number
        if token in FUNCTIONS and self._peek() == "(":
            return self._call(token)
        if token in self._variables:
            return lambda values: values[token]
        if token in CONSTANTS:
            constant = CONSTANTS[token]
            return lambda values: constant
        raise BadExpression(f"unknown function or variable {token!r}")

    def _call(self, name: str) -> Evaluate:
        count, function = FUNCTIONS[name]
        self._expect("(")
        arguments = [self._parse(0)]
        while self._peek() == ",":
            self._next()
            arguments.append(self._parse(0))
        self._expect(")")
        if len(arguments) != count:
            raise BadExpression(f"{name} takes {count} arguments")
        return lambda values: function(*(argument(values) for argument in arguments))

    def _expect(self, token: str) -> None:
        if self._next() != token:
            raise BadExpression(f"{token!r} is missing")


_PARENTHESES = str.maketrans("[]{}", "()()")


def _tokens(text: str, names: Collection[str]) -> tuple[list[str], set[int]]:
    """The tokens, and which of them go on with the word of the one before."""
    tokens: list[str] = []
    words: set[int] = set()
    at = 0
    text = text.translate(_PARENTHESES)
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if match is None:
            raise BadExpression(f"unexpected {text[at]!r}")
        token = match[1] or match[2] or match[3]
        at = match.end()
        if match[2] and (name := _longest(token, names)):
            at -= len(token) - len(name)
            if name != token:
                words.add(len(tokens) + 1)
            token = name
        tokens.append(token)
    if not tokens:
        raise BadExpression("the expression is empty")
    return tokens, words


def _longest(word: str, names: Collection[str]) -> str:
    """The longest name that a word begins with; empty where there is none."""
    return next((word[:end] for end in range(len(word), 0, -1) if word[:end] in names), "")


def _binary(operator: str, a: Evaluate, b: Evaluate) -> Evaluate:
    match operator:
        case "+":
            return lambda values: a(values) + b(values)
        case "-":
            return lambda values: a(values) - b(values)
        case "*":
            return lambda values: a(values) * b(values)
        case "/":
            return lambda values: _quotient(a(values), b(values))
        case "%":
            return lambda values: _remainder(a(values), b(values))
    return lambda values: power(a(values), b(values))


def _quotient(a: float, b: float) -> float:
    if b == 0:
        raise BadExpression("Division by zero!")
    return a / b


def _remainder(a: float, b: float) -> float:
    if b == 0:
        raise BadExpression("Division by zero!")
    return math.fmod(a, b) if math.isfinite(a) else math.nan
