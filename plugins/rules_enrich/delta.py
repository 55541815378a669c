"""calculate delta: the change of a counter (spec/rule-engine.md §9.2).

The last value per originator is cached, and read from history when it is not there. At most
`CACHE_MAX` originators are cached (about 10 MB); beyond that the oldest is read again.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable
from typing import Any
from uuid import UUID

from appliance.model.message import Message
from appliance.model.telemetry import Value
from appliance.rules.context import Context
from appliance.rules.messages import with_data
from appliance.rules.node import (
    OTHER,
    PACKAGE,
    NodeConfig,
    NodeError,
    NodeFactory,
    NodeHandle,
    require,
)
from appliance.rules.values import as_double, rounded, whole_number

CACHE_MAX = 50_000


class DeltaConfig(NodeConfig, frozen=True, kw_only=True):
    """round: digits after the point; None = as it comes."""

    input_value_key: str = ""
    output_value_key: str = ""
    use_cache: bool = False
    add_period_between_msgs: bool = False
    period_value_key: str = ""
    round: int | None = None
    tell_failure_if_delta_is_negative: bool = False
    exclude_zero_deltas: bool = False


class Delta:
    """calculate delta."""

    def __init__(self, config: DeltaConfig, node: NodeHandle) -> None:
        require(config.input_value_key.strip(), "Input value key should be specified!")
        require(config.output_value_key.strip(), "Output value key should be specified!")
        if config.add_period_between_msgs:
            require(config.period_value_key.strip(), "Period value key should be specified!")
        self._config = config
        self._cache: dict[UUID, tuple[int, float]] = {}

    def process(self, message: Message, ctx: Context) -> Awaitable[None] | None:
        """Success with the change; no telemetry or no such key is Other."""
        data = message.data
        key = self._config.input_value_key
        readable = message.type == "POST_TELEMETRY_REQUEST" and isinstance(data, dict)
        if not readable or key not in data:
            ctx.tell(OTHER, message)
        elif message.originator.id in self._cache:
            self._tell(message, self._cache[message.originator.id], ctx)
        else:
            return self._from_history(message, ctx)
        return None

    async def _from_history(self, message: Message, ctx: Context) -> None:
        key = self._config.input_value_key
        points = await ctx.latest(message.originator, [key])
        previous = None
        if key in points:
            ts, value = points[key]
            previous = (ts, _stored_number(value))
        self._tell(message, previous, ctx)

    def _tell(self, message: Message, previous: tuple[int, float] | None, ctx: Context) -> None:
        config = self._config
        ts, value = message.effective_ts, _input_number(message.data[config.input_value_key])
        if config.use_cache:
            self._remember(message.originator.id, (ts, value))
        delta: float = 0.0 if previous is None else value - previous[1]
        if config.tell_failure_if_delta_is_negative and delta < 0:
            raise NodeError("Delta value is negative!")
        if config.exclude_zero_deltas and delta == 0:
            ctx.success(message)
            return
        data = {**message.data, config.output_value_key: _rounded(delta, config.round)}
        if config.add_period_between_msgs:
            data[config.period_value_key] = 0 if previous is None else ts - previous[0]
        ctx.success(with_data(message, data))

    def _remember(self, originator: UUID, point: tuple[int, float]) -> None:
        self._cache.pop(originator, None)
        self._cache[originator] = point
        if len(self._cache) > CACHE_MAX:
            del self._cache[next(iter(self._cache))]


def _input_number(value: Any) -> float:
    """A JSON value as a number the lenient way: true is 1, what is none counts as 0."""
    number = float(value) if isinstance(value, bool) else as_double(value)
    return 0.0 if number is None else number


def _stored_number(value: Value) -> float:
    if isinstance(value, bool):
        raise NodeError("Calculation failed. Boolean values are not supported!")
    if isinstance(value, dict | list):
        raise NodeError("Calculation failed. JSON values are not supported!")
    number = as_double(value)
    if number is None:
        raise NodeError(f"Calculation failed. Unable to parse value [{value}] of telemetry")
    return number


def _rounded(delta: float, digits: int | None) -> int | float:
    """Rounded where asked for; without a fraction an integer, which must be of 64 bits."""
    if not math.isfinite(delta):
        raise NodeError(f"the delta is {delta}")
    delta = delta if digits is None else rounded(delta, digits)
    return whole_number(delta) if delta.is_integer() else delta


DELTA_NODES = (
    NodeFactory(
        PACKAGE + "metadata.CalculateDeltaNode", "calculate delta", DeltaConfig, Delta, version=1
    ),
)
