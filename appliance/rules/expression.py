"""Arithmetic expressions as the reference's library reads them (spec/rule-engine.md §7, §9.5).

Operators + - * / % ^ (right to left, before a leading minus), parentheses ( [ {, implied
multiplication (`2x`, `2(x+1)`; calculated fields take only the first form), constants pi, e, φ,
and the functions of `FUNCTIONS`. An expression is parsed once into nested calls; evaluation takes
the values of its variables. Numbers behave as in Java: the root of a negative number is NaN, the
logarithm of 0 -Infinity; only division by zero is an error.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping

Evaluate = Callable[[Mapping[str, float]], float]

LENGTH_MAX = 1_000
DEPTH_MAX = 64
"""Nesting; both keep a hostile expression from exhausting the stack."""


class BadExpression(ValueError):
    """The text is no expression, or a value cannot be computed."""


def _java(function: Callable[..., float]) -> Callable[..., float]:
    """NaN and Infinity where Python raises."""

    def total(*arguments: float) -> float:
        try:
            return function(*arguments)
        except OverflowError:
            return math.inf
        except (ValueError, ZeroDivisionError):
            return math.nan

    return total


def _logarithm(function: Callable[[float], float], zero: float = 0.0) -> Callable[..., float]:
    """A logarithm that is -Infinity at its zero."""
    total = _java(function)
    return lambda x: -math.inf if x == zero else total(x)


def _logab(base: float, x: float) -> float:
    above, below = _LN(x), _LN(base)
    return above / below if below else above * math.inf


def _power(base: float, exponent: float) -> float:
    """Infinities where Python raises, with the sign of what overflows."""
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return -math.inf if base < 0 and exponent % 2 == 1 else math.inf
    except ValueError:
        return math.nan if base else math.inf


def _cube_root(x: float) -> float:
    """The root to the last bit: that of 27 is 3."""
    root = math.cbrt(x)
    if not root or not math.isfinite(root):
        return root
    return root - (root * root * root - x) / (3 * root * root)


def _whole(function: Callable[[float], int]) -> Callable[[float], float]:
    """A rounding that leaves NaN and Infinity alone."""
    return lambda x: float(function(x)) if math.isfinite(x) else x


_LN = _logarithm(math.log)
FUNCTIONS: dict[str, tuple[int, Callable[..., float]]] = {
    "sin": (1, _java(math.sin)),
    "cos": (1, _java(math.cos)),
    "tan": (1, _java(math.tan)),
    "cot": (1, lambda x: 1 / math.tan(x)),
    "sec": (1, lambda x: 1 / math.cos(x)),
    "csc": (1, lambda x: 1 / math.sin(x)),
    "asin": (1, _java(math.asin)),
    "acos": (1, _java(math.acos)),
    "atan": (1, math.atan),
    "sinh": (1, lambda x: math.copysign(_java(math.sinh)(abs(x)), x)),
    "cosh": (1, _java(math.cosh)),
    "tanh": (1, math.tanh),
    "abs": (1, abs),
    "log": (1, _LN),
    "ln": (1, _LN),
    "lg": (1, _logarithm(math.log10)),
    "log10": (1, _logarithm(math.log10)),
    "log2": (1, lambda x: _LN(x) / math.log(2)),
    "log1p": (1, _logarithm(math.log1p, -1.0)),
    "logab": (2, _logab),
    "ceil": (1, _whole(math.ceil)),
    "floor": (1, _whole(math.floor)),
    "sqrt": (1, _java(math.sqrt)),
    "cbrt": (1, _cube_root),
    "pow": (2, _power),
    "exp": (1, _java(math.exp)),
    "expm1": (1, _java(math.expm1)),
    "signum": (1, lambda x: 0.0 if x == 0 else math.copysign(1.0, x)),
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
    otherwise only a name may follow a number.
    """

    def __init__(
        self, text: str, variables: Collection[str], *, implied_products: bool = True
    ) -> None:
        if len(text) > LENGTH_MAX:
            raise BadExpression(f"the expression is longer than {LENGTH_MAX} characters")
        self._tokens = _tokens(text)
        self._at = 0
        self._depth = 0
        self._variables = frozenset(variables)
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
        if token == "(" or not before[0].isdigit() or token[0].isdigit():
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


def _tokens(text: str) -> list[str]:
    tokens, at = [], 0
    text = text.translate(_PARENTHESES)
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if match is None:
            raise BadExpression(f"unexpected {text[at]!r}")
        tokens.append(match[1] or match[2] or match[3])
        at = match.end()
    if not tokens:
        raise BadExpression("the expression is empty")
    return tokens


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
    return lambda values: _power(a(values), b(values))


def _quotient(a: float, b: float) -> float:
    if b == 0:
        raise BadExpression("Division by zero!")
    return a / b


def _remainder(a: float, b: float) -> float:
    if b == 0:
        raise BadExpression("Division by zero!")
    return _java(math.fmod)(a, b)
