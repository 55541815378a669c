"""originator telemetry: values of an interval, into metadata.

Aggregates are made here, from at most `AGGREGATED_MAX` values a key: the reference's rules for
mixed types (text beats numbers, a sum of text is 0) are its own and not the storage's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

from appliance.extension.ports import SeriesQuery
from appliance.model.message import Message
from appliance.model.telemetry import Value
from appliance.rules.context import Context
from appliance.rules.messages import with_metadata
from appliance.rules.node import PACKAGE, NodeConfig, NodeError, NodeFactory, NodeHandle, require
from appliance.rules.patterns import Pattern
from appliance.rules.values import java_text, json_text, whole_ms, whole_number

AGGREGATED_MAX = 100_000
Points = Sequence[tuple[int, Value]]


class TelemetryConfig(NodeConfig, frozen=True, kw_only=True):
    """Intervals count back from now, in units of `whole_ms`; patterns give epoch milliseconds.
    order_by, aggregation and limit are of fetch_mode ALL."""

    latest_ts_key_names: list[str] = []
    fetch_mode: Literal["FIRST", "LAST", "ALL"] | None = None
    start_interval: int = 0
    end_interval: int = 0
    start_interval_time_unit: str | None = None
    end_interval_time_unit: str | None = None
    use_metadata_interval_patterns: bool = False
    start_interval_pattern: str | None = None
    end_interval_pattern: str | None = None
    order_by: Literal["ASC", "DESC"] | None = None
    aggregation: Literal["NONE", "MIN", "MAX", "AVG", "SUM", "COUNT"] | None = None
    limit: int = 0


class OriginatorTelemetry:
    """originator telemetry. Keys without a value are left out."""

    def __init__(self, config: TelemetryConfig, node: NodeHandle) -> None:
        require(config.latest_ts_key_names, "Telemetry should be specified!")
        require(config.fetch_mode, "FetchMode should be specified!")
        if config.fetch_mode == "ALL":
            require(config.order_by, "OrderBy should be specified!")
            require(config.aggregation, "Aggregation should be specified!")
            require(2 <= config.limit <= 1000, "Limit should be in a range from 2 to 1000.")
        self._config = config
        self._keys = [Pattern(key) for key in config.latest_ts_key_names]
        self._start = Pattern(config.start_interval_pattern)
        self._end = Pattern(config.end_interval_pattern)

    async def process(self, message: Message, ctx: Context) -> None:
        """Success with the values in metadata."""
        start, end = self._interval(message, ctx.now())
        if start > end:
            raise NodeError("Interval start should be less than Interval end")
        keys = tuple(dict.fromkeys(key.fill(message) for key in self._keys))
        metadata = dict(message.metadata)
        for key, points in (await self._read(message, keys, start, end, ctx)).items():
            if self._config.fetch_mode == "ALL":
                metadata[key] = json_text([{"ts": ts, "value": value} for ts, value in points])
            else:
                metadata[key] = json_text(java_text(points[0][1]))
        ctx.success(with_metadata(message, metadata))

    def _interval(self, message: Message, now: int) -> tuple[int, int]:
        config = self._config
        if config.use_metadata_interval_patterns:
            return _epoch_ms(self._start, message), _epoch_ms(self._end, message)
        return (
            now - whole_ms(config.start_interval, config.start_interval_time_unit),
            now - whole_ms(config.end_interval, config.end_interval_time_unit),
        )

    async def _read(
        self, message: Message, keys: tuple[str, ...], start: int, end: int, ctx: Context
    ) -> dict[str, Points]:
        config = self._config
        whole = config.fetch_mode == "ALL"
        aggregated = whole and config.aggregation != "NONE"
        limit = AGGREGATED_MAX if aggregated else config.limit if whole else 1
        ascending = config.order_by == "ASC" if whole else config.fetch_mode == "FIRST"
        query = SeriesQuery(message.originator, keys, start, end, limit, ascending=ascending)
        found = await ctx.series(query)
        if not aggregated:
            return {key: found[key] for key in keys if found.get(key)}
        middle, how = start + (end - start) // 2, config.aggregation or ""
        totals = {
            key: aggregate([value for _, value in found[key]], how)
            for key in keys
            if found.get(key)
        }
        return {key: [(middle, total)] for key, total in totals.items() if total is not None}


def _epoch_ms(pattern: Pattern, message: Message) -> int:
    """What a pattern gives; a text that nothing was put into counts as a pattern without a value.
    Raises NodeError."""
    text, name = pattern.fill(message), re.sub(r"[$\[\]{}]", "", pattern.text or "")
    if text == pattern.text:
        raise NodeError(f"Message value: '{name}' is undefined")
    try:
        return whole_number(text)
    except NodeError:
        raise NodeError(f"Message value: '{name}' has invalid format") from None


def aggregate(values: Sequence[Value], how: str) -> Value | None:
    """One value of many, by the reference's rules for mixed types: booleans and JSON only count;
    None where there is neither a text nor a number to choose from."""
    if how == "COUNT":
        return len(values)
    texts = [value for value in values if isinstance(value, str)]
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if how in ("MIN", "MAX"):
        pick = min if how == "MIN" else max
        if texts:
            return pick(texts)
        return _like(numbers, pick(numbers)) if numbers else None
    if how == "SUM":
        return _like(numbers, sum(numbers))
    return sum(numbers) / len(numbers) if numbers else 0.0


def _like(numbers: list[Any], result: Any) -> Value:
    """A float where any of the numbers is one."""
    if any(isinstance(number, float) for number in numbers):
        return float(result)
    return int(result)


def _upgrade(config: dict[str, Any], version: int) -> dict[str, Any]:
    """Empty texts stood for what had no value, any other mode meant LAST, and nothing limited."""
    config = {key: value for key, value in config.items() if value not in (None, "")}
    if config.get("fetchMode") not in ("FIRST", "LAST", "ALL"):
        config["fetchMode"] = "LAST"
    return {"orderBy": "ASC", "aggregation": "NONE", "limit": 1000, **config}


TELEMETRY_NODES = (
    NodeFactory(
        PACKAGE + "metadata.TbGetTelemetryNode",
        "originator telemetry",
        TelemetryConfig,
        OriginatorTelemetry,
        version=2,
        upgrade=_upgrade,
    ),
)
