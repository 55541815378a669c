"""Statements: from the tree to closures, and the script as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from appliance.rules.tbel import ast
from appliance.rules.tbel.arithmetic import operate
from appliance.rules.tbel.closures import store_run
from appliance.rules.tbel.compile_expressions import ExpressionCompiler
from appliance.rules.tbel.context import assigned_names
from appliance.rules.tbel.errors import TbelError
from appliance.rules.tbel.functions import FunctionValue
from appliance.rules.tbel.grouping import Code, Run, truth
from appliance.rules.tbel.kinds import assignable, box, type_of
from appliance.rules.tbel.scope import BREAKING, RETURNING, RUNNING, Scope
from appliance.rules.tbel.values import Char, Entry, JavaArray, TbSet

_FAULTS = (ArithmeticError, LookupError, ValueError, TypeError, AttributeError)


class StatementCompiler(ExpressionCompiler):
    """Compiles statements of one context."""

    def block(self, block: ast.Block) -> Run:
        """Code that runs statements in order; its value is the last one's."""
        steps: list[tuple[Run, int]] = []
        functions: list[Run] = []
        for index, statement in enumerate(block.statements):
            code = self.statement(statement, fresh=index == 0)
            steps.append((code.run, statement.at))
            if isinstance(statement, ast.Function):
                functions.append(code.run)
        source = self.context.source
        if len(steps) == 1 and not functions:
            return _single(steps[0][0], source.position(steps[0][1]))
        positions = [source.position(at) for _, at in steps]
        return _several([run for run, _ in steps], functions, positions)

    def body(self, block: ast.Block) -> Run:
        """A block in which a declaration with a type, if it stands alone, hides an outer variable.

        Everywhere else a declaration sets the variable that is there; so on the reference.
        """
        alone = block.statements[0] if len(block.statements) == 1 else None
        if self.context.locals is not None or not isinstance(alone, ast.Declare):
            return self.block(block)
        if not alone.type or alone.value is None:
            return self.block(block)
        position = self.context.source.position(alone.at)
        return _single(_hide_run(alone.name, self.declare(alone).run), position)

    def statement(self, node: ast.Statement, *, fresh: bool) -> Code:
        """The code of one statement."""
        if isinstance(node, ast.Evaluate):
            return self.compile(node.expression, fresh=fresh)
        return _STATEMENTS[type(node)](self, node)

    def condition(self, node: ast.Expression) -> Run:
        """Code of something that must be true or false.

        Raises:
            TbelSyntaxError: its compile-time type says that it is not.
        """
        code = self.compile(node)
        if box(code.type) not in ("Object", "Boolean"):
            raise self.context.source.error(
                f"was expecting type: java.lang.Boolean; but found type: {code.type}", node.at
            )
        return code.run

    def declare(self, node: ast.Declare) -> Code:
        name, local = node.name, self._is_local(node.name)
        if node.value is None:
            return self._declare_empty(node, local)
        if not node.type:
            code = self.compile(node.value)
            self.context.assign(name, code.type)
            self.context.declared.add(name)
            return Code(store_run(name, code.run, local), self.context.types[name])
        code = self.compile(node.value)
        self._check_type(node)
        self.context.types[name] = node.type
        self.context.declared.add(name)
        return Code(store_run(name, code.run, local), node.type)

    def _is_local(self, name: str) -> bool:
        return self.context.locals is not None and name in self.context.locals

    def _check_type(self, node: ast.Declare) -> None:
        known = self.context.types.get(node.name, "Object")
        if known != "Object" and not assignable(known, node.type):
            raise self.context.source.error(f"{node.name!r} has another type already", node.at)

    def _declare_empty(self, node: ast.Declare, local: bool) -> Code:
        name = node.name
        self.context.types.setdefault(name, node.type or "Object")
        self.context.declared.add(name)

        def run(scope: Scope) -> Any:
            if local:
                scope.home.vars[name] = None
                return None
            if scope.owner(name) is not None:
                raise TbelError(f"variable defined within scope: {name}")
            scope.vars[name] = None
            return None

        return Code(run)

    def if_(self, node: ast.If) -> Code:
        condition = self.condition(node.condition)
        then = self._scoped(node.then)
        otherwise = None if node.otherwise is None else self._scoped(node.otherwise)

        def run(scope: Scope) -> Any:
            if truth(condition(scope)):
                return then(scope)
            return None if otherwise is None else otherwise(scope)

        return Code(run)

    def _scoped(self, block: ast.Block) -> Run:
        """A block with a scope of its own; functions have only one scope."""
        run = self.body(block)
        if self.context.locals is not None or not _makes_names(block):
            return run
        return lambda scope: run(Scope({}, scope, scope.state))

    def while_(self, node: ast.While) -> Code:
        condition, body = self.condition(node.condition), self.body(node.body)
        until, first = node.until, node.first_body

        def run(scope: Scope) -> Any:
            state = scope.state
            inner = Scope({}, scope, state)
            skip_test = first
            while skip_test or truth(condition(inner)) is not until:
                skip_test = False
                state.budget.step()
                value = body(inner)
                if state.flow == RETURNING:
                    return value
                del value  # see fast.HELD_ONCE
                if state.flow == BREAKING:
                    state.flow = RUNNING
                    break
            return None

        return Code(run)

    def for_(self, node: ast.For) -> Code:
        start, condition = self.body(node.start), self.condition(node.condition)
        after, body = self.block(node.after), self.block(node.body)
        own_scope = self.context.locals is None

        def run(scope: Scope) -> Any:
            state = scope.state
            inner = Scope({}, scope, state) if own_scope else scope
            start(inner)
            while truth(condition(inner)):
                state.budget.step()
                value = body(inner)
                if state.flow == RETURNING:
                    return value
                del value  # see fast.HELD_ONCE
                if state.flow == BREAKING:
                    state.flow = RUNNING
                    break
                after(inner)
            return None

        return Code(run)

    def for_each(self, node: ast.ForEach) -> Code:
        source, name = self.compile(node.source).run, node.name
        body = self.block(node.body)

        def run(scope: Scope) -> Any:
            state = scope.state
            outer = Scope({}, scope, state)
            inner = Scope({}, outer, state)
            for item in _elements(source(scope)):
                state.budget.step()
                inner.vars[name] = item
                value = body(inner)
                if state.flow == RETURNING:
                    return value
                del value  # see fast.HELD_ONCE
                if state.flow == BREAKING:
                    state.flow = RUNNING
                    break
            return None

        return Code(run)

    def switch(self, node: ast.Switch) -> Code:
        subject = self.compile(node.subject).run
        cases = [
            ([label.run for label in self.compile_all(case.labels)], self._scoped(case.body))
            for case in node.cases
        ]
        default = None if node.default is None else self._scoped(node.default)

        def run(scope: Scope) -> Any:
            for labels, body in cases:
                for label in labels:
                    if operate(0, subject(scope), "==", 0, label(scope)):
                        return body(scope)
            return None if default is None else default(scope)

        return Code(run)

    def return_(self, node: ast.Return) -> Code:
        code = None if node.value is None else self.compile(node.value)
        value = None if code is None else code.run

        def run(scope: Scope) -> Any:
            result = None if value is None else value(scope)
            scope.state.flow = RETURNING
            return result

        return Code(run)

    def break_(self, node: ast.Break) -> Code:
        def run(scope: Scope) -> Any:
            scope.state.flow = BREAKING

        return Code(run)

    def assert_(self, node: ast.Assert) -> Code:
        condition = self.compile(node.condition).run

        def run(scope: Scope) -> Any:
            if condition(scope) is not True:
                raise TbelError("assertion failed")
            return True

        return Code(run)

    def function(self, node: ast.Function) -> Code:
        name, parameters = node.name, node.parameters
        inner = StatementCompiler(self.context.inner(node), self.limits)
        body = inner.block(node.body)
        self.context.functions.add(name)

        def run(scope: Scope) -> Any:
            if scope.owner(name) is None:
                scope.vars[name] = FunctionValue(name, parameters, body, scope)
            return None

        return Code(run)


def _makes_names(block: ast.Block) -> bool:
    return bool(assigned_names(block.statements)) or any(
        isinstance(s, ast.Function) for s in block.statements
    )


def _hide_run(name: str, store: Run) -> Run:
    """Store into a variable of the scope at hand, made if need be."""

    def hide(scope: Scope) -> Any:
        scope.vars.setdefault(name)
        return store(scope)

    return hide


def _elements(source: Any) -> Iterator[Any]:
    if isinstance(source, dict):
        return iter([Entry(k, v) for k, v in source.items()])
    if isinstance(source, str):
        return iter([Char(c) for c in source])
    if isinstance(source, list | TbSet | JavaArray):
        return iter(source)
    if type(source) is int:
        return iter(range(1, source + 1))
    if hasattr(source, "elements"):
        return iter(source.elements())
    raise TbelError(f"non-iterable type: {type_of(source)}")


def _located(error: TbelError, position: tuple[int, int]) -> TbelError:
    if not error.line:
        error.line, error.column = position
    return error


def _single(run: Run, position: tuple[int, int]) -> Run:
    def one(scope: Scope) -> Any:
        try:
            return run(scope)
        except TbelError as error:
            raise _located(error, position) from None
        except _FAULTS as fault:
            raise TbelError(f"{type(fault).__name__}: {fault}", *position) from fault

    return one


def _several(runs: list[Run], functions: list[Run], positions: list[tuple[int, int]]) -> Run:
    steps = list(zip(runs, positions, strict=True))
    positions = positions or [(0, 0)]

    def all_of_them(scope: Scope) -> Any:
        value, state, at = None, scope.state, positions[0]
        try:
            for define in functions:
                define(scope)
            for run, at in steps:  # noqa: B007 - the place of a failure, read below
                value = None  # see fast.HELD_ONCE
                value = run(scope)
                if state.flow:
                    return value
        except TbelError as error:
            raise _located(error, at) from None
        except _FAULTS as fault:
            raise TbelError(f"{type(fault).__name__}: {fault}", *at) from fault
        return value

    return all_of_them


_STATEMENTS: dict[type, Callable[[StatementCompiler, Any], Code]] = {
    ast.Declare: StatementCompiler.declare,
    ast.If: StatementCompiler.if_,
    ast.While: StatementCompiler.while_,
    ast.For: StatementCompiler.for_,
    ast.ForEach: StatementCompiler.for_each,
    ast.Switch: StatementCompiler.switch,
    ast.Return: StatementCompiler.return_,
    ast.Break: StatementCompiler.break_,
    ast.Assert: StatementCompiler.assert_,
    ast.Function: StatementCompiler.function,
}
