"""The parts of a script. Every part knows the offset where it starts, for error messages.

Operators stand in flat chains, not in trees: how TBEL groups them depends on which operands are
literals and on compile-time types, so grouping belongs to the compiler (`grouping.py`).
"""

from __future__ import annotations

import msgspec


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """at: offset in the text."""

    at: int = 0


class Expression(Node, frozen=True):
    """Something with a value."""


class Number(Expression, frozen=True):
    """A number as written, with its minus sign where it has one."""

    text: str


class Text(Expression, frozen=True):
    """A string literal."""

    value: str


class Constant(Expression, frozen=True):
    """true, false, null, nil, empty, or nothing at all (an omitted element)."""

    name: str


class Name(Expression, frozen=True):
    """A variable, a class or a function."""

    name: str


class Property(Expression, frozen=True):
    """`target.name`; null_safe: `target.?name`."""

    target: Expression
    name: str
    null_safe: bool = False


class Index(Expression, frozen=True):
    """`target[index]`."""

    target: Expression
    index: Expression


class Call(Expression, frozen=True):
    """`name(arguments)` or `target.name(arguments)`."""

    target: Expression | None
    name: str
    arguments: tuple[Expression, ...]
    null_safe: bool = False


class Group(Expression, frozen=True):
    """An expression in brackets; assignments are allowed in it."""

    inner: Expression


class ListLiteral(Expression, frozen=True):
    """`[a, b]`. array: the reference makes an array first, of elements that must fit a type."""

    items: tuple[Expression, ...]
    array: bool = False


class MapLiteral(Expression, frozen=True):
    """`{key: value}`; key_texts: the keys as written."""

    keys: tuple[Expression, ...]
    values: tuple[Expression, ...]
    key_texts: tuple[str, ...]


class Unary(Expression, frozen=True):
    """`-x`, `!x`, `~x`."""

    operator: str
    operand: Expression


class Cast(Expression, frozen=True):
    """`(type) operand`."""

    type: str
    operand: Expression


class New(Expression, frozen=True):
    """`new Type(arguments)`."""

    type: str
    arguments: tuple[Expression, ...]


class NewArray(Expression, frozen=True):
    """`new type[size]` or `new type[] {items}`."""

    type: str
    size: Expression | None
    items: tuple[Expression, ...]


class Chain(Expression, frozen=True):
    """Operands with operators between them, in the order of the text; `?` and `:` included."""

    operands: tuple[Expression, ...]
    operators: tuple[str, ...]


class Assign(Expression, frozen=True):
    """`target operator value` with `=`, `+=` and so on."""

    target: Expression
    operator: str
    value: Expression


class Step(Expression, frozen=True):
    """`x++`, `--x`. operator: "+" or "-"."""

    target: Expression
    operator: str
    prefix: bool


class IsDefined(Expression, frozen=True):
    """`isdef name`."""

    name: str


class Projection(Expression, frozen=True):
    """`(item in source if condition)`, with `$` for the element."""

    item: Expression
    source: Expression
    condition: Expression | None


class With(Expression, frozen=True):
    """`target.{ name = value, call() }`: assignments and calls on one target."""

    target: Expression
    names: tuple[str, ...]
    values: tuple[Expression, ...]


class Statement(Node, frozen=True):
    """Something to do; its value may be the script's."""


class Block(Node, frozen=True):
    """Statements in order."""

    statements: tuple[Statement, ...]


class Evaluate(Statement, frozen=True):
    """An expression on its own."""

    expression: Expression


class Declare(Statement, frozen=True):
    """`var x;`, `var x = 1;`, `int x = 1;`. type: "" for var."""

    type: str
    name: str
    value: Expression | None


class If(Statement, frozen=True):
    """`if (condition) {} else {}`."""

    condition: Expression
    then: Block
    otherwise: Block | None


class While(Statement, frozen=True):
    """`while`, `until`, and both after `do`."""

    condition: Expression
    body: Block
    until: bool
    first_body: bool


class For(Statement, frozen=True):
    """`for (start; condition; after) {}`."""

    start: Block
    condition: Expression
    after: Block
    body: Block


class ForEach(Statement, frozen=True):
    """`foreach (name : source) {}`."""

    name: str
    source: Expression
    body: Block


class Case(Node, frozen=True):
    """Labels that share a body."""

    labels: tuple[Expression, ...]
    body: Block


class Switch(Statement, frozen=True):
    """`switch (subject) {}`."""

    subject: Expression
    cases: tuple[Case, ...]
    default: Block | None


class Return(Statement, frozen=True):
    """`return value;`."""

    value: Expression | None


class Break(Statement, frozen=True):
    """`break;`."""


class Assert(Statement, frozen=True):
    """`assert condition;`."""

    condition: Expression


class Function(Statement, frozen=True):
    """`function name(parameters) {}`."""

    name: str
    parameters: tuple[str, ...]
    body: Block
