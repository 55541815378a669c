"""RELATED_ENTITIES_AGGREGATION: aggregates over the latest values of related entities (spec §7).

After a calculation the next one waits for the deduplication interval; what comes meanwhile is
bundled into it. The values of related entities are read from history again after a restart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import msgspec

from appliance.extension.ports import SeriesQuery
from appliance.fields.arguments import check_state
from appliance.fields.arguments_cell import ArgumentsCell, Kept, read_kept
from appliance.fields.cell import (
    Cells,
    Change,
    Effect,
    FieldError,
    Moment,
    NotYet,
    Reason,
    Result,
)
from appliance.fields.config import Field, Metric, RelatedConfig
from appliance.fields.metrics import aggregate
from appliance.fields.scripting import FieldScript
from appliance.fields.sources import related
from appliance.model.ids import EntityId
from appliance.model.telemetry import Value
from appliance.rules.entities import name_of
from appliance.rules.values import encode_json
from appliance.state.view import StateView

Scripts = Mapping[str, tuple[FieldScript | None, FieldScript | None]]
"""Metric name -> (its filter, its input function)."""


class Memory(msgspec.Struct):
    """ran_ms: the last calculation. is_dirty: something came since."""

    ran_ms: int = 0
    is_dirty: bool = False


class RelatedCell:
    """The aggregates of one entity; see `Cell`. Each related entity has arguments of its own."""

    def __init__(
        self,
        field: Field,
        config: RelatedConfig,
        scripts: Scripts,
        entity: EntityId,
        since_ms: int,
        kept: bytes | None,
    ) -> None:
        self._field = field
        self._config = config
        self._scripts = scripts
        self._entity = entity
        self._since_ms = since_ms
        self._state = Memory()
        self._members: dict[EntityId, ArgumentsCell] = {}
        if kept is not None:
            read = read_kept(kept)
            self._since_ms = read.since_ms
            self._state = msgspec.convert(read.memory, Memory)

    def sources(self, view: StateView) -> set[EntityId]:
        """See Cell."""
        found = related(self._config.relation, self._entity, view)
        found = found[: self._field.limits.related_max]
        self._members = {each: self._member(each) for each in found}
        return set(found)

    def _member(self, entity: EntityId) -> ArgumentsCell:
        known = self._members.get(entity)
        return known or ArgumentsCell(
            self._field, self._config.arguments, entity, self._since_ms, None
        )

    def latest_wanted(self, view: StateView, reason: Reason) -> Mapping[EntityId, set[str]]:
        """See Cell."""
        wanted: dict[EntityId, set[str]] = {}
        for member in self._members.values():
            wanted.update(member.latest_wanted(view, Reason.BEGIN))
        return wanted

    def queries(self, view: StateView, now_ms: int, reason: Reason) -> list[SeriesQuery]:
        """See Cell: none."""
        return []

    def begin(
        self, latest: Mapping[EntityId, Mapping[str, tuple[int, Value]]], moment: Moment
    ) -> None:
        """See Cell."""
        for member in self._members.values():
            member.begin(latest, moment)

    def feed(self, change: Change, moment: Moment) -> frozenset[str]:
        """See Cell."""
        member = self._members.get(change.entity)
        return frozenset() if member is None else member.feed(change, moment)

    def run(self, moment: Moment) -> Iterable[Effect]:
        """See Cell."""
        state = self._state
        waited = moment.now_ms - state.ran_ms >= self._interval_ms
        if moment.reason is Reason.VALUES:
            state.is_dirty = True
        if moment.reason in (Reason.VALUES, Reason.CLOCK) and not (waited and state.is_dirty):
            return []
        state.ran_ms, state.is_dirty = moment.now_ms, False
        return self._calculate(moment)

    @property
    def _interval_ms(self) -> int:
        return self._config.deduplication_interval_in_sec * 1000

    def _calculate(self, moment: Moment) -> list[Effect]:
        config = self._config
        for member in self._members.values():
            member.refresh(moment.view)
        if not self._members:
            raise NotYet(f"Required arguments are missing: {', '.join(config.arguments)}")
        known = sum(member.arguments.size_bytes for member in self._members.values())
        check_state(known, self._field.limits)
        if config.relation.direction == "TO" and len(self._members) > 1:
            raise FieldError(
                "More than one related entity is not supported for relation direction 'TO'. "
                f"Found: {len(self._members)}."
            )
        values: dict[str, Value] = {}
        for name, metric in config.metrics.items():
            if metric.function is None or metric.input is None:
                raise FieldError(f"the metric '{name}' has no function or no input")
            chosen = self._chosen(name, metric, moment.now_ms)
            result = aggregate(metric, chosen, config.output.decimals_by_default)
            if result is not None:
                values[name] = result
        data: Any = values
        ts = self._latest_ts()
        if config.use_latest_ts and config.output.type == "TIME_SERIES" and ts is not None:
            data = {"ts": ts, "values": values}
        return [Result(self._entity, data)] if values else []

    def _chosen(self, name: str, metric: Metric, now_ms: int) -> list[Value]:
        """The metric's input of each related entity that passes its filter."""
        accepts, function = self._scripts[name]
        latest = self._latest_ts() or now_ms
        chosen = []
        for member in self._members.values():
            arguments = member.arguments
            if accepts is not None and accepts.run(arguments, now_ms, latest) is not True:
                continue
            if function is not None:
                value = function.run(arguments, now_ms, latest)
            else:
                single = arguments.singles.get(metric.key or "")
                value = None if single is None else single.value
            if value is not None:
                chosen.append(value)
        return chosen

    def _latest_ts(self) -> int | None:
        times = [
            single.ts
            for member in self._members.values()
            for single in member.arguments.singles.values()
            if not single.is_default
        ]
        return max(times, default=None)

    def due_ms(self, now_ms: int) -> int | None:
        """See Cell."""
        return self._state.ran_ms + self._interval_ms if self._state.is_dirty else None

    def saved(self) -> bytes:
        """See Cell."""
        kept = Kept(self._field.checksum, self._since_ms, memory=self._state)
        return encode_json(kept)

    def shown(self, moment: Moment) -> Any:
        """See Cell; what an entity has not is null."""
        nothing = {name: {"type": "SINGLE_VALUE", "ts": -1, "value": None}
                   for name in self._config.arguments}  # fmt: skip
        return {
            "type": "RELATED_ENTITIES",
            "entitiesArguments": [
                {
                    "entity": {"id": entity.to_json(), "name": name_of(moment.view, entity)},
                    "entityArguments": nothing | member.arguments.shown(moment.now_ms),
                }
                for entity, member in self._members.items()
            ],
        }


def related_cells(field: Field) -> Cells:
    """Compile filters and functions once for all entities."""
    config = field.config
    assert isinstance(config, RelatedConfig)
    names = tuple(config.arguments)
    scripts = {
        name: (
            FieldScript(metric.filter, names) if metric.filter else None,
            None if metric.script is None else FieldScript(metric.script, names),
        )
        for name, metric in config.metrics.items()
    }
    return partial(RelatedCell, field, config, scripts)
