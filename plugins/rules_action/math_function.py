"""math function: arithmetic over the message and what is known of its originator (§9.5)."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal

from appliance.model.message import Message
from appliance.model.telemetry import AttributeWrite, Series
from appliance.rules.attributes import scope_of
from appliance.rules.context import Context
from appliance.rules.expression import BadExpression, Expression
from appliance.rules.messages import transformed
from appliance.rules.node import PACKAGE, NodeConfig, NodeError, NodeFactory, NodeHandle, require
from appliance.rules.patterns import Pattern
from appliance.rules.values import as_number, java_text

Source = Literal["MESSAGE_BODY", "MESSAGE_METADATA", "ATTRIBUTE", "TIME_SERIES", "CONSTANT"]

OPERATIONS: dict[str, tuple[int, Callable[..., float]]] = {
    "ADD": (2, lambda x, y: x + y),
    "SUB": (2, lambda x, y: x - y),
    "MULT": (2, lambda x, y: x * y),
    "DIV": (2, lambda x, y: x / y),
    "SIN": (1, math.sin),
    "SINH": (1, math.sinh),
    "COS": (1, math.cos),
    "COSH": (1, math.cosh),
    "TAN": (1, math.tan),
    "TANH": (1, math.tanh),
    "ACOS": (1, math.acos),
    "ASIN": (1, math.asin),
    "ATAN": (1, math.atan),
    "ATAN2": (2, math.atan2),
    "EXP": (1, math.exp),
    "EXPM1": (1, math.expm1),
    "SQRT": (1, math.sqrt),
    "CBRT": (1, math.cbrt),
    "GET_EXP": (1, lambda x: math.frexp(x)[1] - 1),
    "HYPOT": (2, math.hypot),
    "LOG": (1, math.log),
    "LOG10": (1, math.log10),
    "LOG1P": (1, math.log1p),
    "CEIL": (1, math.ceil),
    "FLOOR": (1, math.floor),
    "FLOOR_DIV": (2, lambda x, y: float(int(x) // int(y))),
    "FLOOR_MOD": (2, lambda x, y: float(int(x) % int(y))),
    "ABS": (1, abs),
    "MIN": (2, min),
    "MAX": (2, max),
    "POW": (2, math.pow),
    "SIGNUM": (1, lambda x: 0.0 if x == 0 else math.copysign(1.0, x)),
    "RAD": (1, math.radians),
    "DEG": (1, math.degrees),
}
WHOLE = frozenset(("GET_EXP", "CEIL", "FLOOR"))
ARGUMENTS_MAX = 16


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
    arguments: list[Argument] = []
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
        require(config.result.type != "CONSTANT", "the result cannot be a constant")
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
        raw = self._compute(values)
        if math.isnan(raw) or math.isinf(raw):
            raise NodeError(f"the result is {raw}")
        whole = self._operation in WHOLE or self._result.result_value_precision == 0
        rounded = int(raw) if whole else _rounded(raw, self._result.result_value_precision)
        self._put(message, rounded, int(raw) if whole else float(raw), ctx)

    def _put(
        self, message: Message, rounded: int | float, stored: int | float, ctx: Context
    ) -> None:
        result, key, originator = self._result, self._key.fill(message), message.originator
        in_body = result.type == "MESSAGE_BODY"
        in_metadata = result.type == "MESSAGE_METADATA"
        if result.type == "ATTRIBUTE":
            scope = scope_of(result.attribute_scope or "SERVER_SCOPE")
            write = AttributeWrite(originator, scope, ctx.now(), {key: stored})
            ctx.unit.attributes.append(write)
        elif result.type == "TIME_SERIES":
            ctx.unit.series.append(Series(originator, ctx.now(), {key: stored}))
        if result.type in ("ATTRIBUTE", "TIME_SERIES"):
            in_body, in_metadata = result.add_to_body, result.add_to_metadata
        data, metadata = message.data, message.metadata
        if in_body:
            data = {**_object(message), key: rounded}
        if in_metadata:
            metadata = {**metadata, key: java_text(rounded)}
        ctx.success(transformed(message, message.type, data, metadata))


def _computation(config: MathConfig) -> Callable[[list[float]], float]:
    """The function of the arguments in their order. Raises ConfigError for a wrong count."""
    if config.operation == "CUSTOM":
        require(len(config.arguments) <= ARGUMENTS_MAX, "at most 16 arguments")
        require(config.custom_function, "the custom function is missing")
        names = [argument.name for argument in config.arguments]
        return _custom(config.custom_function or "", names)
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
            value = key
        case "MESSAGE_BODY":
            value = _object(message).get(key)
        case "MESSAGE_METADATA":
            value = message.metadata.get(key)
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
    number = as_number(value)
    if number is None:
        raise NodeError(f"Can't convert value '{value}' to double!")
    return float(number)


def _object(message: Message) -> dict[str, Any]:
    if not isinstance(message.data, dict):
        raise NodeError("Message body is not a JSON object!")
    return message.data


def _rounded(value: float, digits: int) -> float:
    step = Decimal(1).scaleb(-digits)
    return float(Decimal(repr(float(value))).quantize(step, ROUND_HALF_UP))


MATH_NODES = (NodeFactory(PACKAGE + "math.TbMathNode", "math function", MathConfig, MathFunction),)
