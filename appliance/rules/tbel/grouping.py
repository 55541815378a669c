"""How a flat chain of operands and operators becomes one piece of code.

The reference does it in three passes, and each leaves marks on results:

1. Literals that stand together are calculated at once, from left to right; only + - * / % ** keep
   their precedence among them. `true || true && false` is false, `6 | 3 & 5` is 5.
2. Arithmetic, bits and comparisons become a tree by precedence. Where both sides of + - * / are
   Integer by their compile-time type, the sharper integer rule is used; a tree that is rebuilt
   later keeps it even where a side turns out to be no Integer, and then fails when it runs.
3. && and || become a tree of their own. What is left (?:, `or`) runs from left to right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from appliance.rules.tbel.arithmetic import (
    BITWISE,
    COMPARISONS,
    code_of_type,
    int_operation,
    operate,
)
from appliance.rules.tbel.errors import TbelError
from appliance.rules.tbel.fast import binary_code
from appliance.rules.tbel.kinds import box, type_of
from appliance.rules.tbel.scope import Scope
from appliance.rules.tbel.text import to_text
from appliance.rules.tbel.values import JavaArray, TbSet
from appliance.rules.tbel.words import WORDS, matches

Run = Callable[[Scope], Any]

ARITHMETIC = frozenset(("+", "-", "*", "/", "%", "**"))
_RANK = {
    "+": 10, "-": 10, "*": 11, "/": 11, "%": 11, "**": 12, "&": 6, "|": 4, "^": 5, ">>": 9,
    "<<": 9, ">>>": 9, "<<<": 9, "<": 8, ">": 8, "<=": 8, ">=": 8, "==": 7, "!=": 7, "#": 13,
    "&&": 3, "||": 2, "or": 2, "~=": 13, "instanceof": 8, "contains": 13, "soundslike": 13,
    "strsim": 13, "?": 0, ":": 0,
}  # fmt: skip
_TREE = ARITHMETIC | BITWISE | frozenset(COMPARISONS) | {"#"}
_ENDING = frozenset(("&&", "||", "?", ":"))


class Code:
    """A compiled expression.

    run: calculates it. type: its compile-time type, "Object" where unknown.
    literal: it is a literal, with `value`. name: its text, as the key of a map literal.
    """

    __slots__ = ("literal", "name", "run", "type", "value")

    def __init__(
        self, run: Run, type_name: str = "Object", literal: bool = False, value: Any = None
    ) -> None:
        self.run = run
        self.type = type_name
        self.literal = literal
        self.value = value
        self.name: str | None = None


def literal(value: Any, type_name: str) -> Code:
    """The code of a literal."""
    return Code(lambda scope: value, type_name, True, value)


class _Binary(Code):
    """A node of the second pass. rank_op: the operator that counts for precedence."""

    __slots__ = ("integers", "left", "operator", "rank_op", "right", "right_code")

    def __init__(self, operator: str, left: Code, right: Code, integers: bool = False) -> None:
        self.operator, self.left, self.right, self.integers = operator, left, right, integers
        # the reference counts its integer division as a multiplication
        self.rank_op = "*" if integers and operator == "/" else operator
        self.right_code = code_of_type(right.type)
        result = "Integer" if integers else _result_type(operator, left.type, right.type)
        super().__init__(self._unfinished, result)

    def _unfinished(self, scope: Scope) -> Any:
        raise AssertionError("a chain was run before it was finished")

    def rightmost(self) -> _Binary:
        """The node at the right edge of the tree."""
        node = self
        while isinstance(node.right, _Binary):
            node = node.right
        return node

    def replace_rightmost(self, code: Code) -> None:
        """Put something else at the right edge."""
        node = self.rightmost()
        node.right = code
        if node is self:
            self.right_code = code_of_type(code.type)

    def finish(self) -> Code:
        """Make the tree runnable."""
        left = self.left.finish() if isinstance(self.left, _Binary) else self.left
        right = self.right.finish() if isinstance(self.right, _Binary) else self.right
        if self.integers:
            run = _integers(self.operator, left.run, right.run)
        else:
            codes = code_of_type(self.left.type), self.right_code
            run = binary_code(self.operator, codes[0], left, codes[1], right)
        return Code(run, self.type)


def _integers(operator: str, left: Run, right: Run) -> Run:
    return lambda scope: int_operation(operator, left(scope), right(scope))


def _result_type(operator: str, left: str, right: str) -> str:
    if operator in COMPARISONS:
        return "Boolean"
    if operator in BITWISE:
        return "Integer"
    if operator == "#" or (operator == "+" and "String" in (left, right)):
        return "String"
    if "Object" in (left, right):
        return "Object"
    return right if code_of_type(box(left)) < code_of_type(box(right)) else left


def _combine(operator: str, left: Code, right: Code) -> _Binary:
    integers = left.type == "Integer" == right.type and operator in ("+", "-", "*", "/")
    return _Binary(operator, left, right, integers)


Item = Code | str


class _Fold:
    """The first pass. items: operands and operators in turn; out: the same after calculating."""

    def __init__(self, items: list[Item], fresh: bool) -> None:
        self.items = items
        self.out: list[Item] = []
        self.at = 0
        self.last_operator: str | None = None if fresh else ";"
        self.last_type = "Object"

    def run(self) -> list[Item]:
        while self.at < len(self.items):
            item = self.items[self.at]
            if isinstance(item, str):
                self.last_operator = item
                self._emit(1)
            elif item.literal:
                self.last_type = item.type
                self._literal(item)
            else:
                self.last_type = item.type
                self._emit(1)
        return self.out

    def _emit(self, count: int) -> None:
        self.out.extend(self.items[self.at : self.at + count])
        self.at += count

    def _literal(self, item: Code) -> None:
        rest = len(self.items) - self.at
        operator = self.items[self.at + 1] if rest > 1 else None
        if operator is None or operator in ("?", ":"):
            self._emit(min(2, rest))
            return
        assert isinstance(operator, str)
        follower = self.items[self.at + 2]
        assert isinstance(follower, Code)
        if follower.literal and self._may_fold(operator):
            self._reduce(item, operator, follower)
            return
        if not follower.literal:
            self.last_type = follower.type
        self._emit(3)

    def _may_fold(self, operator: str) -> bool:
        if operator not in _RANK:
            return False
        last = self.last_operator
        return last is None or (last in _RANK and _RANK[last] < _RANK[operator])

    def _reduce(self, first: Code, operator: str, second: Code) -> None:
        """Calculate literals as far as they go; `values` and `pending` hold what waits."""
        values, pending = [first.value, second.value], [operator]
        self.at += 3
        climbing = False
        while self.at < len(self.items):
            following = self.items[self.at]
            assert isinstance(following, str)
            if following in _ENDING:
                break
            operand = self.items[self.at + 1]
            assert isinstance(operand, Code)
            if self._binds(pending[-1], following, climbing):
                climbing = True
            else:
                _settle(values, pending, following if climbing else None)
            if not operand.literal:
                break
            values.append(operand.value)
            pending.append(following)
            self.at += 2
        self._flush(values, pending)

    def _binds(self, waiting: str, following: str, climbing: bool) -> bool:
        arithmetic = waiting in ARITHMETIC and following in ARITHMETIC
        return _RANK.get(following, 0) > _RANK[waiting] and (climbing or arithmetic)

    def _flush(self, values: list[Any], pending: list[str]) -> None:
        following = self.items[self.at] if self.at < len(self.items) else None
        binds = isinstance(following, str) and following not in _ENDING and pending
        if not (binds and _RANK.get(str(following), 0) > _RANK[pending[-1]]):
            _settle(values, pending, None)
        self.out.append(_as_literal(values[0]))
        for operator, value in zip(pending, values[1:], strict=True):
            self.out += [operator, _as_literal(value)]
        if following is None:
            return
        if following in _ENDING:
            self._emit(1)
        else:
            self._emit(2)


def _settle(values: list[Any], pending: list[str], following: str | None) -> None:
    """Calculate what waits, down to operators that bind less than the one that follows."""
    while pending and (following is None or _RANK[pending[-1]] >= _RANK.get(following, 0)):
        right = values.pop()
        values.append(calculate(values.pop(), pending.pop(), right))


def _as_literal(value: Any) -> Code:
    return literal(value, "Object" if value is None else type_of(value))


def calculate(left: Any, operator: str, right: Any) -> Any:
    """An operator between two literals.

    Raises:
        TbelError: it does not fit them.
    """
    if operator in ("&&", "||"):
        if isinstance(left, bool) and left == (operator == "||"):
            return left
        if not isinstance(left, bool) or not isinstance(right, bool):
            raise TbelError(f"{operator} needs true or false on both sides")
        return right
    if operator == "or":
        return _elvis(left, right)
    word = WORDS.get(operator)
    if word is not None:
        return word(left, right)
    if operator in BITWISE:
        a = int(left) if isinstance(left, bool) else left
        b = int(right) if isinstance(right, bool) else right
        if not isinstance(a, int) or not isinstance(b, int):
            raise TbelError(f"{operator} needs whole numbers on both sides")
        return operate(0, a, operator, 0, b)
    return operate(0, left, operator, 0, right)


def _is_empty(value: Any) -> bool:
    if value is None:
        return True
    if isinstance(value, JavaArray):
        items = value.items
        return not items or (len(items) == 1 and _is_empty(items[0]))
    if isinstance(value, list | dict | TbSet):
        return len(value) == 0
    return to_text(value) in ("", "null")


def _elvis(left: Any, right: Any) -> Any:
    if not _is_empty(left):
        return left
    return None if _is_empty(right) else right


def _trees(items: list[Item]) -> list[Item]:
    """The second pass."""
    out: list[Item] = []
    at = 0
    while at < len(items):
        first = items[at]
        operator = items[at + 1] if at + 1 < len(items) else None
        if isinstance(first, str) or operator is None or not isinstance(operator, str):
            out.append(first)
            at += 1
            continue
        if operator in _TREE:
            first, at = _tree(items, at)
            operator = items[at] if at < len(items) else None
        else:
            at += 1
        if operator is None:
            out.append(first)
        elif isinstance(operator, str) and operator in WORDS:
            right = items[at + 1]
            assert isinstance(right, Code)
            out.append(_word(operator, first, right))
            at += 2
        else:
            assert isinstance(operator, str)
            out += [first, operator]
            at += 1
    return out


def _tree(items: list[Item], at: int) -> tuple[Code, int]:
    left, operator, right = items[at], items[at + 1], items[at + 2]
    assert isinstance(left, Code) and isinstance(operator, str) and isinstance(right, Code)
    tree, at = _combine(operator, left, right), at + 3
    while at < len(items) and items[at] in _TREE:
        following, operand = items[at], items[at + 1]
        assert isinstance(following, str) and isinstance(operand, Code)
        tree = _extend(tree, operator, following, operand)
        operator, at = following, at + 2
    return tree.finish(), at


def _extend(tree: _Binary, last: str, operator: str, operand: Code) -> _Binary:
    """One more operator on a tree; `last` is the operator before it in the text."""
    rank, own = _RANK[operator], _RANK[tree.rank_op]
    if rank > _RANK[last]:
        right = _combine(operator, tree.rightmost().right, operand)
        if tree.integers and right.type != "Integer":
            return _Binary(tree.rank_op, tree.left, right)
        tree.replace_rightmost(right)
        return tree
    if tree.rank_op != operator and _RANK[last] == rank == own:
        return _combine(operator, tree, operand)
    if not (tree.rank_op != operator and _RANK[last] == rank) and own >= rank:
        return _Binary(operator, tree, operand)
    if tree.integers and operand.type != "Integer":
        tree = _Binary(tree.rank_op, tree.left, tree.right)
    tree.right = _Binary(operator, tree.right, operand)
    return tree


def _word(operator: str, left: Code, right: Code) -> Code:
    rule, a, b = WORDS[operator], left.run, right.run
    if operator == "~=":
        return Code(lambda scope: matches(scope.state.budget, a(scope), b(scope)), "Boolean")
    type_name = "Float" if operator == "strsim" else "Boolean"
    return Code(lambda scope: rule(a(scope), b(scope)), type_name)


def _logic(items: list[Item]) -> list[Item]:
    """The third pass: && binds tighter than ||."""
    out: list[Item] = []
    at = 0
    while at < len(items):
        item = items[at]
        out.append(item)
        at += 1
        if not isinstance(item, Code) or at >= len(items) or items[at] not in ("&&", "||"):
            continue
        alternatives: list[list[Code]] = [[item]]
        while at < len(items) and items[at] in ("&&", "||"):
            operand = items[at + 1]
            assert isinstance(operand, Code)
            if items[at] == "&&":
                alternatives[-1].append(operand)
            else:
                alternatives.append([operand])
            at += 2
        out[-1] = _any_of([_all_of(codes) for codes in alternatives])
    return out


def truth(value: Any) -> bool:
    """A value that must be true or false.

    Raises:
        TbelError: it is something else.
    """
    if value is True or value is False:
        return bool(value)
    raise TbelError(f"expected Boolean but found {to_text(value)}")


def _check_boolean(code: Code) -> None:
    if code.type != "Object" and box(code.type) != "Boolean":
        raise TbelError(f"was expecting type: java.lang.Boolean; but found type: {code.type}")


def _all_of(codes: list[Code]) -> Code:
    for code in codes if len(codes) > 1 else ():
        _check_boolean(code)
    if len(codes) == 1:
        return codes[0]
    runs = [code.run for code in codes]
    if len(runs) == 2:
        a, b = runs
        return Code(lambda scope: truth(a(scope)) and truth(b(scope)), "Boolean")
    return Code(lambda scope: all(truth(run(scope)) for run in runs), "Boolean")


def _any_of(codes: list[Code]) -> Code:
    for code in codes if len(codes) > 1 else ():
        _check_boolean(code)
    if len(codes) == 1:
        return codes[0]
    runs = [code.run for code in codes]
    return Code(lambda scope: any(truth(run(scope)) for run in runs), "Boolean")


def _sequence(items: list[Item], type_name: str) -> Code:
    """What the passes left: ?: and `or`, from left to right."""
    runs = [item.run for item in items if isinstance(item, Code)]
    operators = [item for item in items if isinstance(item, str)]
    if operators == ["?", ":"]:
        condition, yes, no = runs
        return Code(
            lambda scope: yes(scope) if truth(condition(scope)) else no(scope), type_name
        )  # fmt: skip
    steps = list(zip(operators, runs[1:], strict=True))
    first = runs[0]
    return Code(lambda scope: _run_steps(first(scope), steps, scope), type_name)


def _run_steps(value: Any, steps: list[tuple[str, Run]], scope: Scope) -> Any:
    at = 0
    while at < len(steps):
        operator, run = steps[at]
        if operator == ":":
            return value
        if operator == "?":
            if not truth(value):
                at += 1
                while at < len(steps) and steps[at][0] != ":":
                    at += 1
                if at >= len(steps):
                    return None
            value = steps[at][1](scope)
        elif operator == "or":
            value = _elvis(value, run(scope))
        else:
            value = operate(0, value, operator, 0, run(scope))
        at += 1
    return value


def group(operands: list[Code], operators: list[str], *, fresh: bool = True) -> Code:
    """One piece of code for a chain.

    Args:
        fresh: nothing stands before the chain in its unit; after a `;` literals are not calculated
            beforehand (only expressions that stand alone as a statement are not fresh).

    Raises:
        TbelError: the chain cannot be compiled.
    """
    items: list[Item] = [operands[0]]
    for operator, operand in zip(operators, operands[1:], strict=True):
        items += [operator, operand]
    fold = _Fold(items, fresh)
    items = _logic(_trees(fold.run()))
    if len(items) == 1 and isinstance(items[0], Code):
        return items[0]
    return _sequence(items, fold.last_type)
