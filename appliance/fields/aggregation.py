"""ENTITY_AGGREGATION: one entity's series per interval of time (spec §7).

The result of an interval is a query over history, made when the interval is over and points on
their way have had time to arrive. Its place in time is remembered in the unit of work that has the
result: intervals that passed while the process was down are made up for, and none is made twice.
A late point counts where the watermark still takes it; then the interval is asked for again, at
once or `LATE_MS` after the last time, so that a device may deliver a whole day.

Limits: `BACKLOG_MAX` intervals at a time; COUNT_UNIQUE looks at `UNIQUE_POINTS_MAX` points.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import msgspec

from appliance.extension.ports import SeriesQuery
from appliance.fields.arguments_cell import Kept, read_kept
from appliance.fields.cell import Cells, Change, Effect, Moment, Reason, Result
from appliance.fields.config import Field, Interval, IntervalConfig, Metric
from appliance.fields.intervals import bounds
from appliance.fields.metrics import unique
from appliance.fields.numbers import rounded
from appliance.model.ids import EntityId
from appliance.model.telemetry import Value
from appliance.rules.values import encode_json
from appliance.state.view import StateView

SETTLE_MS = 10_000
"""How long after its end an interval is calculated; the reference takes up to a minute."""
LATE_MS = 60_000
FIRST_MS = 60_000
BACKLOG_MAX = 100
UNIQUE_POINTS_MAX = 50_000

Points = Mapping[str, Iterable[tuple[int, Value]]]


class Memory(msgspec.Struct):
    """next_ms: where the first interval without a result begins. late: starts of intervals to
    ask for again. late_ms: when such were asked for last. shown_ms: the last intermediate result.
    new_in: the start of the interval that got points since. interval: what all this belongs to."""

    next_ms: int = 0
    late: list[int] = []
    late_ms: int = 0
    shown_ms: int = 0
    new_in: int = 0
    interval: Interval | None = None


class IntervalCell:
    """The intervals of one entity; see `Cell`."""

    def __init__(
        self,
        field: Field,
        config: IntervalConfig,
        entity: EntityId,
        since_ms: int,
        kept: bytes | None,
    ) -> None:
        self._field = field
        self._config = config
        self._entity = entity
        self._since_ms = since_ms
        self._state = Memory()
        self._asked: list[tuple[int, bool]] = []
        self._touched: dict[int, dict[str, Any]] = {}
        """Interval -> the arguments that came, of the last calculation; for debug events."""
        if kept is not None:
            read = read_kept(kept)
            self._since_ms = read.since_ms
            self._state = msgspec.convert(read.memory, Memory)

    def sources(self, view: StateView) -> set[EntityId]:
        """See Cell."""
        return {self._entity}

    def latest_wanted(self, view: StateView, reason: Reason) -> Mapping[EntityId, set[str]]:
        """See Cell: nothing."""
        return {}

    def begin(
        self, latest: Mapping[EntityId, Mapping[str, tuple[int, Value]]], moment: Moment
    ) -> None:
        """See Cell: the interval of now is the first; intervals of another kind start over."""
        interval = self._config.interval
        if self._state.interval != interval:
            first = bounds(interval, moment.now_ms)[0]
            self._state = Memory(first, new_in=first, interval=interval)

    def feed(self, change: Change, moment: Moment) -> frozenset[str]:
        """See Cell: points that count; the intervals of late ones are asked for again."""
        self._touched = {}
        if change.scope is None:
            for ts, values in change.points:
                self._take(ts, values, moment.now_ms)
        late = {start for start in self._touched if start < self._state.next_ms}
        self._state.late = sorted(late.union(self._state.late))
        current = self._current(moment.now_ms)
        if current in self._touched:
            self._state.new_in = current
        return frozenset(name for touched in self._touched.values() for name in touched)

    def _take(self, ts: int, values: Mapping[str, Value], now_ms: int) -> None:
        arguments = self._config.arguments.items()
        found = {
            name: {"ts": ts, "value": values[spec.ref_entity_key.key]}
            for name, spec in arguments
            if spec.ref_entity_key.key in values
        }
        if not found:
            return
        start, end = bounds(self._config.interval, ts)
        late_ms = self._config.watermark.duration * 1000 if self._config.watermark else 0
        if start >= self._state.next_ms or now_ms < end + late_ms:
            self._touched.setdefault(start, {}).update(found)

    # asking history ------------------------------------------------------------------------------
    def queries(self, view: StateView, now_ms: int, reason: Reason) -> list[SeriesQuery]:
        """See Cell: one query per metric of each interval that is due."""
        if reason is not Reason.CLOCK:
            return []
        self._asked = self._due(now_ms)
        return [
            self._query(metric, *bounds(self._config.interval, start))
            for start, _ in self._asked
            for metric in self._config.metrics.values()
        ]

    def _due(self, now_ms: int) -> list[tuple[int, bool]]:
        """(start, whether it is over) of the intervals that shall have a result now."""
        state = self._state
        is_late_due = state.late_ms + LATE_MS <= now_ms
        due = [(start, True) for start in state.late] if is_late_due else []
        start, end = bounds(self._config.interval, self._state.next_ms)
        while end + SETTLE_MS <= now_ms and len(due) < BACKLOG_MAX:
            due.append((start, True))
            start, end = bounds(self._config.interval, end)
        intermediate_ms = self._intermediate_ms(now_ms)
        if intermediate_ms is not None and intermediate_ms <= now_ms:
            due.append((self._current(now_ms), False))
        return due

    def _current(self, now_ms: int) -> int:
        """Where the interval of now begins."""
        return bounds(self._config.interval, now_ms)[0]

    def _intermediate_ms(self, now_ms: int) -> int | None:
        """When the next intermediate result of the interval of now is due, if one is.

        The first comes with the first point, or says in `FIRST_MS` that there is none.
        """
        if not self._config.produce_intermediate_result:
            return None
        start = self._current(now_ms)
        is_new = self._state.new_in == start
        if self._state.shown_ms < start:
            return start if is_new else start + FIRST_MS
        return self._state.shown_ms + self._field.limits.intermediate_s * 1000 if is_new else None

    def _query(self, metric: Metric, start: int, end: int) -> SeriesQuery:
        key = self._config.arguments[metric.key or ""].ref_entity_key.key
        if metric.function in (None, "COUNT_UNIQUE"):
            limit = UNIQUE_POINTS_MAX if metric.function else 0
            return SeriesQuery(self._entity, (key,), start, end, limit)
        return SeriesQuery(self._entity, (key,), start, end, agg=metric.function or "")

    # results -------------------------------------------------------------------------------------
    def run(self, moment: Moment) -> Iterable[Effect]:
        """See Cell."""
        if moment.reason is not Reason.CLOCK:
            return []
        answers = iter(moment.answers)
        asked = self._asked
        self._move_on(moment.now_ms)
        results = []
        self._touched = {}
        for start, _ in asked:
            values = self._values({name: next(answers) for name in self._config.metrics})
            if values:
                results.append({"ts": start, "values": values})
                self._touched[start] = {}
        return self._effects(results)

    def _move_on(self, now_ms: int) -> None:
        state = self._state
        for start, is_over in self._asked:
            if not is_over:
                state.shown_ms, state.new_in = now_ms, 0
            elif start >= state.next_ms:
                state.next_ms = bounds(self._config.interval, start)[1]
        late = set(state.late).difference(start for start, _ in self._asked)
        if len(late) < len(state.late):
            state.late, state.late_ms = sorted(late), now_ms
        self._asked = []

    def _values(self, answers: Mapping[str, Points]) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for name, metric in self._config.metrics.items():
            found = [value for points in answers[name].values() for _, value in points]
            result = _result(metric, found)
            if result is None:
                result = metric.default_value
            if result is not None:
                values[name] = rounded(result, self._config.output.decimals_by_default)
        return values

    def _effects(self, results: list[dict[str, Any]]) -> list[Effect]:
        if not results:
            return []
        if self._config.output.type == "ATTRIBUTES":
            newest = max(results, key=lambda result: result["ts"])
            return [Result(self._entity, newest["values"])]
        return [Result(self._entity, results)]

    def due_ms(self, now_ms: int) -> int | None:
        """See Cell."""
        due = bounds(self._config.interval, self._state.next_ms)[1] + SETTLE_MS
        if self._state.late:
            due = min(due, max(now_ms, self._state.late_ms + LATE_MS))
        intermediate_ms = self._intermediate_ms(now_ms)
        return due if intermediate_ms is None else min(due, intermediate_ms)

    def saved(self) -> bytes:
        """See Cell."""
        kept = Kept(self._field.checksum, self._since_ms, memory=self._state)
        return encode_json(kept)

    def shown(self, moment: Moment) -> Any:
        """See Cell: the intervals that were calculated, or got values."""
        intervals = []
        for start, arguments in self._touched.items():
            first, after = bounds(self._config.interval, start)
            shown = {"intervalStartTs": first, "intervalEndTs": after}
            intervals.append(shown | ({"updatedArguments": arguments} if arguments else {}))
        return {"processedIntervals": intervals} if intervals else None


def _result(metric: Metric, found: list[Value]) -> float | None:
    """The metric over what history answered; counts of nothing are nothing here."""
    if metric.function == "COUNT_UNIQUE":
        return float(unique(found)) if found else None
    numbers = [v for v in found if isinstance(v, int | float) and not isinstance(v, bool)]
    if not numbers or (metric.function == "COUNT" and not numbers[0]):
        return None
    return float(numbers[0])


def interval_cells(field: Field) -> Cells:
    """Nothing to compile."""
    config = field.config
    assert isinstance(config, IntervalConfig)
    return partial(IntervalCell, field, config)
