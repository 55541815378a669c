"""math function: arithmetic over the message and what is known of its originator (§9.5)."""

from __future__ import annotations

import math
import operator
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from appliance.model.ids import EntityId
from appliance.model.message import Message
from appliance.model.telemetry import AttributeWrite, Series
from appliance.rules.attributes import scope_of
from appliance.rules.context import Context
from appliance.rules.expression import BadExpression, Expression
from appliance.rules.java_math import (
    OF_DOUBLE,
    cut_to_long,
    divided,
    get_exponent,
    power,
    signum,
)
from appliance.rules.messages import transformed
from appliance.rules.node import PACKAGE, NodeConfig, NodeError, NodeFactory, NodeHandle, require
from appliance.rules.patterns import Pattern
from appliance.rules.values import as_double, java_text, rounded

Source = Literal["MESSAGE_BODY", "MESSAGE_METADATA", "ATTRIBUTE", "TIME_SERIES", "CONSTANT"]


_OF_ONE: dict[str, Callable[[float], float]] = {
    "ABS": abs,
    "DEG": OF_DOUBLE["toDegrees"],
    "GET_EXP": get_exponent,
    "RAD": OF_DOUBLE["toRadians"],
    "SIGNUM": signum,
    **{
        name.upper(): OF_DOUBLE[name]
        for name in (
            *("sin", "sinh", "cos", "cosh", "tan", "tanh", "acos", "asin", "atan", "exp", "expm1"),
            *("sqrt", "cbrt", "log", "log10", "log1p", "ceil", "floor"),
        )
    },
}
_OF_TWO: dict[str, Callable[[float, float], float]] = {
    "ADD": operator.add,
    "SUB": operator.sub,
    "MULT": operator.mul,
    "DIV": divided,
    "ATAN2": math.atan2,
    "HYPOT": math.hypot,
    "FLOOR_DIV": lambda x, y: float(cut_to_long(x) // cut_to_long(y)),
    "FLOOR_MOD": lambda x, y: float(cut_to_long(x) % cut_to_long(y)),
    "MIN": min,
    "MAX": max,
    "POW": power,
}
OPERATIONS: dict[str, tuple[int, Callable[..., float]]] = {
    **{name: (1, function) for name, function in _OF_ONE.items()},
    **{name: (2, function) for name, function in _OF_TWO.items()},
}
WHOLE = frozenset(("GET_EXP", "CEIL", "FLOOR"))
ARGUMENTS_MAX = 16
CUSTOM_LENGTH_MAX = 256


class Argument(NodeConfig, frozen=True, kw_only=True):
    """One input. key: a pattern; of a CONSTANT, the number itself."""

    name: str = ""
    type: Source
    key: str = ""
    attribute_scope: str | None = None
    default_value: float | None = None


class Result(NodeConfig, frozen=True, kw_only=True):
    """Where the result goes. key: a pattern."""

    type: Source
    key: str = ""
    result_value_precision: int = 0
    add_to_body: bool = False
    add_to_metadata: bool = False
    attribute_scope: str | None = None


class MathConfig(NodeConfig, frozen=True, kw_only=True):
    """custom_function: an expression over the arguments' names, for the operation CUSTOM."""

    operation: str
    arguments: list[Argument]
    custom_function: str | None = None
    result: Result


class MathFunction:
    """math function."""

    def __init__(self, config: MathConfig, node: NodeHandle) -> None:
        self._operation = config.operation
        self._arguments = [(argument, Pattern(argument.key)) for argument in config.arguments]
        self._result = config.result
        self._key = Pattern(config.result.key)
        self._compute = _computation(config)
        self._series = any(argument.type == "TIME_SERIES" for argument in config.arguments)

    def process(self, message: Message, ctx: Context) -> Awaitable[None] | None:
        """Success with the result where it was asked for."""
        if self._series:
            return self._with_series(message, ctx)
        self._finish(message, self._values(message, {}, ctx), ctx)
        return None

    async def _with_series(self, message: Message, ctx: Context) -> None:
        keys = [key.fill(message) for one, key in self._arguments if one.type == "TIME_SERIES"]
        points = await ctx.latest(message.originator, keys)
        latest = {key: point[1] for key, point in points.items()}
        self._finish(message, self._values(message, latest, ctx), ctx)

    def _values(self, message: Message, latest: dict[str, Any], ctx: Context) -> list[float]:
        return [
            _value(argument, key.fill(message), message, latest, ctx)
            for argument, key in self._arguments
        ]

    def _finish(self, message: Message, values: list[float], ctx: Context) -> None:
        exact = self._compute(values)
        shown: int | float
        if self._operation in WHOLE or self._result.result_value_precision == 0:
            shown = cut_to_long(exact)
        else:
            shown = rounded(exact, self._result.result_value_precision)
        self._save(message.originator, shown, exact, ctx)
        ctx.success(self._with_result(message, shown))

    def _save(self, originator: EntityId, shown: int | float, exact: float, ctx: Context) -> None:
        """The key is saved as configured: the reference fills patterns only for messages. A point
        of a series is the exact number, which must be one."""
        key = self._result.key
        if self._result.type == "ATTRIBUTE":
            scope = scope_of(self._result.attribute_scope or "SERVER_SCOPE")
            write = AttributeWrite(originator, scope, ctx.now(), {key: shown})
            ctx.unit.attributes.append(write)
        elif self._result.type == "TIME_SERIES":
            if not math.isfinite(exact):
                raise NodeError(f"the result is {exact}")
            ctx.unit.series.append(Series(originator, ctx.now(), {key: exact}))

    def _with_result(self, message: Message, shown: int | float) -> Message:
        result, key = self._result, self._key.fill(message)
        if result.type == "CONSTANT":
            raise NodeError("Result type is not supported: CONSTANT!")
        stored = result.type in ("ATTRIBUTE", "TIME_SERIES")
        data, metadata = message.data, message.metadata
        if result.add_to_body if stored else result.type == "MESSAGE_BODY":
            data = {**_object(message), key: shown}
        if result.add_to_metadata if stored else result.type == "MESSAGE_METADATA":
            metadata = {**metadata, key: java_text(shown)}
        return transformed(message, message.type, data, metadata)


def _computation(config: MathConfig) -> Callable[[list[float]], float]:
    """The function of the arguments in their order. Raises ConfigError for a wrong count."""
    if config.operation == "CUSTOM":
        require(len(config.arguments) <= ARGUMENTS_MAX, "at most 16 arguments")
        text = config.custom_function or ""
        require(text.strip(), "Custom function is blank!")
        require(
            len(text) <= CUSTOM_LENGTH_MAX,
            f"Custom function is too complex (length > {CUSTOM_LENGTH_MAX})!",
        )
        names = [argument.name for argument in config.arguments]
        return _custom(text, names)
    require(config.operation in OPERATIONS, f"unknown operation {config.operation}")
    count, function = OPERATIONS[config.operation]
    require(
        len(config.arguments) == count,
        f"Args count: {len(config.arguments)} does not match operation: {config.operation}",
    )

    def compute(values: list[float]) -> float:
        try:
            return function(*values)
        except (ArithmeticError, ValueError) as error:
            raise NodeError(str(error)) from None

    return compute


def _custom(text: str, names: list[str]) -> Callable[[list[float]], float]:
    """A bad expression fails each message, as on the server, not the node."""
    try:
        expression = Expression(text, names)
    except BadExpression as error:
        reason = str(error)

        def fail(values: list[float]) -> float:
            raise NodeError(reason)

        return fail

    def compute(values: list[float]) -> float:
        try:
            return expression.evaluate(dict(zip(names, values, strict=True)))
        except BadExpression as error:
            raise NodeError(str(error)) from None

    return compute


def _value(
    argument: Argument, key: str, message: Message, latest: dict[str, Any], ctx: Context
) -> float:
    value: Any = None
    match argument.type:
        case "CONSTANT":
            value = argument.key
        case "MESSAGE_BODY":
            value = _not_blank(_object(message).get(key))
        case "MESSAGE_METADATA":
            value = _not_blank(message.metadata.get(key))
        case "ATTRIBUTE":
            scope = scope_of(argument.attribute_scope or "SERVER_SCOPE")
            stored = ctx.state.attributes(message.originator, scope).get(key)
            value = stored.value if stored else None
        case "TIME_SERIES":
            value = latest.get(key)
    if value is None:
        value = argument.default_value
    if value is None:
        raise NodeError(f"{argument.type} has no '{key}'!")
    number = as_double(value)
    if number is None:
        raise NodeError(f"Can't convert value '{value}' to double!")
    return number


def _not_blank(value: Any) -> Any:
    """None for a text without anything in it: the default holds."""
    return None if isinstance(value, str) and not value.strip() else value


def _object(message: Message) -> dict[str, Any]:
    if not isinstance(message.data, dict):
        raise NodeError("Message body is not a JSON object!")
    return message.data


MATH_NODES = (NodeFactory(PACKAGE + "math.TbMathNode", "math function", MathConfig, MathFunction),)
