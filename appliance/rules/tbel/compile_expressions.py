"""Expressions: from the tree to closures, with compile-time types."""

from __future__ import annotations

from collections.abc import Callable
from sys import getrefcount
from typing import Any

from appliance.rules.tbel import access, ast
from appliance.rules.tbel.closures import (
    dotted_name,
    function_call,
    getter_type,
    inverted,
    joined,
    known_type,
    negative,
    null_safe,
    projection_run,
    property_run,
    put_back,
    static_type,
    store_run,
)
from appliance.rules.tbel.collections_code import list_code, map_code
from appliance.rules.tbel.context import Context
from appliance.rules.tbel.errors import TbelError
from appliance.rules.tbel.fast import HELD_ONCE, count_text, quick_operate
from appliance.rules.tbel.grouping import Code, Run, group, literal, truth
from appliance.rules.tbel.kinds import assignable, box, convert, convertible, type_of
from appliance.rules.tbel.limits import Limits
from appliance.rules.tbel.names import CLASSES, CONSTANTS
from appliance.rules.tbel.numerals import number
from appliance.rules.tbel.printer import expression as printed
from appliance.rules.tbel.scope import Scope
from appliance.rules.tbel.signatures import (
    CONSTANTS as STATIC_VALUES,
)
from appliance.rules.tbel.signatures import (
    HELPERS,
    choose,
    is_helper,
    methods_of,
)
from appliance.rules.tbel.values import (
    EMPTY,
    ClassRef,
    Float,
    JavaArray,
    Long,
    Short,
)

_CONSTANT_VALUES = {"true": True, "false": False, "null": None, "nil": None, "empty": EMPTY}
_ARRAY_ZEROES: dict[str, Any] = {
    "int": 0, "long": Long(0), "double": 0.0, "float": Float(0.0), "short": Short(0),
    "boolean": False,
}  # fmt: skip
_UTIL_CLASSES = {"java.util.Map", "java.util.List", "java.util.Set", "java.util.Collection",
                 "java.util.UUID", "java.util.Date"}  # fmt: skip


class ExpressionCompiler:
    """Compiles expressions of one context."""

    def __init__(self, context: Context, limits: Limits) -> None:
        self.context = context
        self.limits = limits

    def compile(self, node: ast.Expression, *, fresh: bool = True) -> Code:
        """The code of an expression.

        Raises:
            TbelSyntaxError: it cannot be compiled.
        """
        if isinstance(node, ast.Chain):
            operands = [self.compile(operand) for operand in node.operands]
            try:
                return group(operands, list(node.operators), fresh=fresh)
            except TbelError as error:
                raise self.context.source.error(error.message, node.at) from None
        return _COMPILERS[type(node)](self, node)

    def compile_all(self, nodes: tuple[ast.Expression, ...]) -> list[Code]:
        """The codes of several expressions."""
        return [self.compile(node) for node in nodes]

    def number(self, node: ast.Number) -> Code:
        value = number(node.text)
        return literal(value, type_of(value))

    def text(self, node: ast.Text) -> Code:
        return literal(node.value, "String")

    def constant(self, node: ast.Constant) -> Code:
        value = _CONSTANT_VALUES[node.name]
        return literal(value, "Boolean" if isinstance(value, bool) else "Object")

    def name(self, node: ast.Name) -> Code:
        name = node.name
        if name in CLASSES or name in _UTIL_CLASSES:
            return literal(ClassRef(name), "Class")
        if is_helper(name):
            return literal(ClassRef(f"{HELPERS}.{name}"), "Class")
        if name == "this":
            raise self.context.source.error("'this' cannot be used", node.at)
        type_name = self.context.read(name)

        def load(scope: Scope) -> Any:
            found = scope.vars.get(name, scope)
            return scope.load(name) if found is scope else found

        code = Code(load, type_name)
        code.name = name
        return code

    def group(self, node: ast.Group) -> Code:
        inner = self.compile(node.inner)
        code = Code(inner.run, inner.type, inner.literal, inner.value)
        if not inner.literal:
            code.name = printed(node.inner)
        return code

    # access

    def property(self, node: ast.Property) -> Code:
        dotted = dotted_name(node)
        if dotted is not None and dotted in _UTIL_CLASSES:
            return literal(ClassRef(dotted), "Class")
        if dotted is not None and dotted.startswith("java.lang.") and dotted[10:] in CLASSES:
            return literal(ClassRef(dotted[10:]), "Class")
        target = self.compile(node.target)
        if target.literal and isinstance(target.value, ClassRef):
            return self._static(target.value, node)
        type_name = getter_type(target.type, node.name)
        run = property_run(target.run, node.name, null_safe(node))
        return Code(run, type_name)

    def _static(self, owner: ClassRef, node: ast.Property) -> Code:
        constants = STATIC_VALUES.get(owner.name, {})
        if node.name in constants:
            value = constants[node.name]
            return Code(lambda scope: value, static_type(owner.name, value))
        return Code(lambda scope: access.get_property(owner, node.name, scope))

    def index(self, node: ast.Index) -> Code:
        target, index = self.compile(node.target).run, self.compile(node.index).run
        safe = null_safe(node)

        def run(scope: Scope) -> Any:
            container = target(scope)
            if container is None and safe:
                return None
            return access.get_index(container, index(scope))

        return Code(run)

    def call(self, node: ast.Call) -> Code:
        arguments = self.compile_all(node.arguments)
        if len(arguments) > self.limits.arguments_max:
            raise self.context.source.error("too many arguments", node.at)
        types = tuple(code.type for code in arguments)
        runs = [code.run for code in arguments]
        if node.target is not None:
            return self._method(node, runs, types)
        if is_helper(node.name):
            return self._helper(node, arguments)
        return Code(function_call(node.name, runs))

    def _method(self, node: ast.Call, runs: list[Run], types: tuple[str, ...]) -> Code:
        assert node.target is not None
        target = self.compile(node.target)
        static = target.literal and isinstance(target.value, ClassRef)
        owner = target.value.name if static else target.type
        method = choose(owner, node.name, types, static)
        type_name = method.returns if method is not None else "Object"
        name, receiver, safe = node.name, target.run, null_safe(node)

        def run(scope: Scope) -> Any:
            value = receiver(scope)
            if value is None and safe:
                return None
            result = access.call(value, name, [run(scope) for run in runs], types, scope)
            if type(result) is str:
                count_text(scope, result)
            return result

        return Code(run, known_type(type_name))

    def _helper(self, node: ast.Call, arguments: list[Code]) -> Code:
        types = tuple(code.type for code in arguments)
        if node.name == "stringToBytes" and any(code.literal for code in arguments):
            self.context.warn("string-bytes-literal", node.at)
        method = choose(HELPERS, node.name, types, True)
        type_name = method.returns if method is not None else "Object"
        receiver, name, runs = ClassRef(HELPERS), node.name, [code.run for code in arguments]

        def run(scope: Scope) -> Any:
            return access.call(receiver, name, [run(scope) for run in runs], types, scope)

        return Code(run, known_type(type_name))

    # literals of collections

    def list_literal(self, node: ast.ListLiteral) -> Code:
        return self._collection(node, None)

    def map_literal(self, node: ast.MapLiteral) -> Code:
        return self._collection(node, None)

    def _collection(self, node: ast.Expression, component: str | None) -> Code:
        """component: what the elements of nested arrays must be; None at the outermost literal."""
        if isinstance(node, ast.MapLiteral):
            inner = component or "LinkedHashMap"
            keys = self.compile_all(node.keys)
            values = [self._collection(value, inner) for value in node.values]
            return map_code(keys, node.key_texts, values)
        if isinstance(node, ast.ListLiteral):
            inner = component or ("Object" if node.array else "ArrayList")
            items = [self._collection(item, inner) for item in node.items]
            if node.array:
                self._check_elements(items, inner, node)
            return list_code(items, inner if node.array else "Object")
        return self.compile(node)

    def _check_elements(self, items: list[Code], component: str, node: ast.Expression) -> None:
        for item in items:
            known = box(item.type)
            if known == "Object" or component == "Object" or assignable(component, known):
                continue
            if assignable(known, component):
                continue
            raise self.context.source.error(
                f"was expecting type: {component}; but found type: {known}", node.at
            )

    # the rest

    def unary(self, node: ast.Unary) -> Code:
        operand = self.compile(node.operand)
        if node.operator == "-":
            return negative(operand)
        if node.operator == "!":
            if box(operand.type) not in ("Object", "Boolean"):
                raise self.context.source.error("'!' needs true or false", node.at)
            inner = operand.run
            return Code(lambda scope: not truth(inner(scope)), "Boolean")
        if box(operand.type) not in ("Object", "Integer"):
            raise self.context.source.error("'~' needs an Integer", node.at)
        return Code(inverted(operand.run))

    def cast(self, node: ast.Cast) -> Code:
        operand = self.compile(node.operand)
        target, inner = node.type, operand.run
        if operand.type != "Object" and not convertible(target, operand.type):
            raise self.context.source.error(f"unable to cast {operand.type} to {target}", node.at)
        return Code(lambda scope: convert(inner(scope), target), target)

    def new(self, node: ast.New) -> Code:
        arguments = self.compile_all(node.arguments)
        runs, name = [code.run for code in arguments], node.type
        types = ("Object",) * len(runs)
        if not methods_of(name, "<init>"):
            raise self.context.source.error(f"the class {name} cannot be used", node.at)

        def run(scope: Scope) -> Any:
            values = [run(scope) for run in runs]
            return access.call(ClassRef(name), "<init>", values, types, scope)

        return Code(run, name)

    def new_array(self, node: ast.NewArray) -> Code:
        component = node.type
        if node.size is None:
            items = [code.run for code in self.compile_all(node.items)]
            return Code(
                lambda scope: JavaArray(component, [convert(i(scope), component) for i in items]),
                f"{component}[]",
            )
        size = self.compile(node.size).run

        def run(scope: Scope) -> Any:
            if component not in _ARRAY_ZEROES and component not in ("byte", "char"):
                raise TbelError(f"Unsupported array type: class {component}")
            count = convert(size(scope), "Integer")
            if count is None or count < 0:
                raise TbelError(f"bad array size: {count}")
            scope.state.budget.grow(count * 8)
            zero = _ARRAY_ZEROES.get(component, convert(0, component))
            return JavaArray(component, [zero] * count)

        return Code(run, f"{component}[]")

    def assign(self, node: ast.Assign) -> Code:
        operator = node.operator.removesuffix("=")
        if isinstance(node.target, ast.Name):
            return self._assign_name(node.target.name, operator, node.value)
        return self._assign_deep(node.target, operator, node.value)

    def _assign_name(self, name: str, operator: str, value: ast.Expression) -> Code:
        local = self.context.locals is not None and name in self.context.locals
        if operator == "+" and local:
            code = self.compile(joined(ast.Name(name=name, at=value.at), "+", value))
            return Code(store_run(name, _growing(name, code.run), True))
        code = self.compile(value)
        if not operator:
            self.context.assign(name, code.type)
            inner = _growing(name, code.run) if _adds_to(name, value) else code.run
            return Code(store_run(name, inner, local), self.context.types[name])
        self.context.assign(name, code.type)
        inner = code.run

        def run(scope: Scope) -> Any:
            old = scope.load(name)
            new = quick_operate(operator, old, inner(scope))
            if type(new) is str:
                goes = type(old) is str and getrefcount(old) == HELD_ONCE
                count_text(scope, new, len(old) if goes else 0)
            return put_back(scope, name, new)

        return Code(run, code.type)

    def _assign_deep(self, target: ast.Expression, operator: str, value: ast.Expression) -> Code:
        if operator:
            code = self.compile(joined(target, operator, value))
        else:
            code = self.compile(value)
        inner = code.run
        if isinstance(target, ast.Property):
            name, holder = target.name, self.compile(target.target).run

            def run(scope: Scope) -> Any:
                new = inner(scope)
                access.set_property(holder(scope), name, new, scope)
                return new

            return Code(run, code.type)
        assert isinstance(target, ast.Index)
        if isinstance(target.target, ast.Name):
            self.context.assign(target.target.name, code.type)
        holder, index = self.compile(target.target).run, self.compile(target.index).run

        def run_index(scope: Scope) -> Any:
            new = inner(scope)
            access.set_index(holder(scope), index(scope), new, scope)
            return new

        return Code(run_index, code.type)

    def step(self, node: ast.Step) -> Code:
        operator, prefix = node.operator, node.prefix
        if not isinstance(node.target, ast.Name):
            one = ast.Number(text="1", at=node.at)
            return self._assign_deep(node.target, operator, one)
        name = node.target.name

        def run(scope: Scope) -> Any:
            old = scope.load(name)
            new = quick_operate(operator, old, 1)
            put_back(scope, name, new)
            return new if prefix else old

        return Code(run)

    def is_defined(self, node: ast.IsDefined) -> Code:
        name = node.name
        if name in CLASSES or is_helper(name) or name in CONSTANTS:
            return Code(lambda scope: True, "Boolean")
        return Code(lambda scope: scope.owner(name) is not None, "Boolean")

    def with_(self, node: ast.With) -> Code:
        target = self.compile(node.target).run
        values = [code.run for code in self.compile_all(node.values)]
        pairs = list(zip(node.names, values, strict=True))

        def run(scope: Scope) -> Any:
            holder = target(scope)
            for name, value in pairs:
                access.set_property(holder, name, value(scope), scope)
            return holder

        return Code(run)

    def projection(self, node: ast.Projection) -> Code:
        source = self.compile(node.source)
        if source.type != "Object" and not assignable("Collection", source.type):
            raise self.context.source.error(
                f"was expecting type: java.util.Collection; but found type: {source.type}", node.at
            )
        item = self.compile(node.item)
        condition = None if node.condition is None else self.compile(node.condition).run
        shape = node.item
        if isinstance(shape, ast.Call) and shape.target is None and not is_helper(shape.name):
            dollar = ast.Name(name="$", at=shape.at)
            own = ast.Call(target=dollar, name=shape.name, arguments=shape.arguments, at=shape.at)
            if shape.name not in self.context.functions:
                item = self.compile(own)
        by_name = shape.name if isinstance(shape, ast.Name) and shape.name != "$" else None
        return Code(projection_run(source.run, item.run, condition, by_name), "Collection")


_COMPILERS: dict[type, Callable[[ExpressionCompiler, Any], Code]] = {
    ast.Number: ExpressionCompiler.number,
    ast.Text: ExpressionCompiler.text,
    ast.Constant: ExpressionCompiler.constant,
    ast.Name: ExpressionCompiler.name,
    ast.Group: ExpressionCompiler.group,
    ast.Property: ExpressionCompiler.property,
    ast.Index: ExpressionCompiler.index,
    ast.Call: ExpressionCompiler.call,
    ast.ListLiteral: ExpressionCompiler.list_literal,
    ast.MapLiteral: ExpressionCompiler.map_literal,
    ast.Unary: ExpressionCompiler.unary,
    ast.Cast: ExpressionCompiler.cast,
    ast.New: ExpressionCompiler.new,
    ast.NewArray: ExpressionCompiler.new_array,
    ast.Assign: ExpressionCompiler.assign,
    ast.Step: ExpressionCompiler.step,
    ast.IsDefined: ExpressionCompiler.is_defined,
    ast.With: ExpressionCompiler.with_,
    ast.Projection: ExpressionCompiler.projection,
}


def _adds_to(name: str, value: ast.Expression) -> bool:
    """Whether it is `name + …`, nothing but sums."""
    if not isinstance(value, ast.Chain) or set(value.operators) != {"+"}:
        return False
    first = value.operands[0]
    return isinstance(first, ast.Name) and first.name == name


def _growing(name: str, run: Run) -> Run:
    """The value of `name + …` for the variable itself: if it was a text, that one goes."""

    def grown(scope: Scope) -> Any:
        owner = scope.owner(name)
        old = None if owner is None else owner.vars[name]
        new = run(scope)
        if type(old) is str and type(new) is str and len(old) > 64:
            scope.state.budget.grow(-len(old) if getrefcount(old) == HELD_ONCE else 0)
        return new

    return grown
