"""GEOFENCING: whether an entity is inside the zones of each group (spec §7).

A group counts as one zone: inside where any of its zones is. A zone seen for the first time, or
with a new perimeter, gives a status and no event. The result's time is the newest of both
coordinates and all perimeters. A circle's radius is in metres, whatever unit it names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from appliance.extension.ports import AttributeValue
from appliance.fields.arguments_cell import ArgumentsCell
from appliance.fields.cell import (
    Cells,
    Change,
    Effect,
    FieldError,
    Moment,
    RelationChange,
    Result,
)
from appliance.fields.config import Argument, EntityKey, Field, GeofencingConfig, ZoneGroup
from appliance.fields.sources import entities_of
from appliance.model.ids import EntityId
from appliance.model.telemetry import Scope, Value
from appliance.rules.geo import Circle, circle_of, polygon_of
from appliance.rules.node import NodeError
from appliance.rules.places import Polygon
from appliance.rules.values import as_number, json_text
from appliance.state.view import StateView

LATITUDE, LONGITUDE = "latitude", "longitude"


class GeofencingCell(ArgumentsCell):
    """Where one entity is. The memory: zone -> [time of the perimeter, inside]."""

    def __init__(
        self,
        field: Field,
        config: GeofencingConfig,
        entity: EntityId,
        since_ms: int,
        kept: bytes | None,
    ) -> None:
        self._config = config
        self._last: dict[str, tuple[int, bool]] = {}
        self._shapes: dict[tuple[EntityId, str], tuple[AttributeValue, Circle | Polygon]] = {}
        """Perimeters as they were read last; a long one takes a millisecond."""
        super().__init__(field, _coordinates(config), entity, since_ms, kept)

    # ArgumentsCell -------------------------------------------------------------------------------
    def memory(self) -> Any:
        """See ArgumentsCell."""
        return self._last

    def remember(self, memory: Any) -> None:
        """See ArgumentsCell."""
        self._last = {zone: (ts, inside) for zone, (ts, inside) in memory.items()}

    def sources(self, view: StateView) -> set[EntityId]:
        """See Cell."""
        groups = self._config.zone_groups.values()
        zones = {zone for group in groups for zone in entities_of(group, self.entity, view)}
        return super().sources(view) | zones

    def feed(self, change: Change, moment: Moment) -> frozenset[str]:
        """See Cell."""
        if change.scope is None:
            return super().feed(change, moment)
        return frozenset(
            name
            for name, group in self._config.zone_groups.items()
            if change.scope is Scope.SERVER
            and any(group.perimeter_key_name in values for _, values in change.points)
            and change.entity in entities_of(group, self.entity, moment.view)
        )

    def missing(self, moment: Moment) -> list[str]:
        """See ArgumentsCell; a group without a zone is missing, too."""
        groups = self._config.zone_groups.items()
        empty = [n for n, group in groups if not entities_of(group, self.entity, moment.view)]
        return [*super().missing(moment), *empty]

    def calculate(self, moment: Moment) -> Iterable[Effect]:
        """See ArgumentsCell."""
        groups = {
            name: list(self._zones(group, moment.view))
            for name, group in self._config.zone_groups.items()
        }
        point = (self._coordinate(LATITUDE), self._coordinate(LONGITUDE))
        times = [single.ts for single in self.arguments.singles.values()]
        values: dict[str, Value] = {}
        effects: list[Effect] = []
        for name, zones in groups.items():
            group, was, is_in = self._config.zone_groups[name], False, False
            for zone, stored, shape in zones:
                inside = shape.contains(point)
                before = self._before(zone, stored, inside)
                was, is_in = was or before, is_in or inside
                times.append(stored.ts)
                effects += self._relate(group, zone, inside, moment.view)
            values |= _report(name, group, was, is_in)
        data: Any = {"ts": max(times), "values": values}
        if self._config.output.type == "ATTRIBUTES":
            data = values
        return [*effects, Result(self.entity, data)] if values else effects

    def _coordinate(self, name: str) -> float:
        number = as_number(self.arguments.singles[name].value)
        if number is None:
            raise FieldError(f"Argument '{name}' is not a number.")
        return float(number)

    # zones ---------------------------------------------------------------------------------------
    def _zones(
        self, group: ZoneGroup, view: StateView
    ) -> Iterator[tuple[EntityId, AttributeValue, Circle | Polygon]]:
        """Each zone with its perimeter. Raises FieldError where one has none that makes sense."""
        key = group.perimeter_key_name
        for zone in entities_of(group, self.entity, view):
            stored = view.attributes(zone, Scope.SERVER).get(key)
            if stored is None:
                text = f"Perimeter attribute '{key}' not found for Zone with id: {zone.id}"
                raise FieldError(text)
            try:
                yield zone, stored, self._shape(zone, key, stored)
            except NodeError:
                raise FieldError(
                    f"Invalid perimeter definition format for Zone with id: {zone.id}. "
                    f"Failed to parse attribute '{key}'"
                ) from None

    def _shape(self, zone: EntityId, key: str, stored: AttributeValue) -> Circle | Polygon:
        known = self._shapes.get((zone, key))
        if known is None or known[0] is not stored:
            known = self._shapes[zone, key] = stored, _shape(stored.value)
        return known[1]

    def _before(self, zone: EntityId, stored: AttributeValue, inside: bool) -> bool:
        """Where the entity was before; where it is, if nobody knows."""
        ts, before = self._last.get(str(zone.id), (0, inside))
        self._last[str(zone.id)] = (stored.ts, inside)
        return before if ts == stored.ts else inside

    def _relate(
        self, group: ZoneGroup, zone: EntityId, inside: bool, view: StateView
    ) -> list[Effect]:
        """The relation to a zone comes and goes with the match."""
        type = group.relation_type
        if not group.create_relations_with_matched_zones:
            return []
        outward = group.direction == "FROM"
        source, target = (self.entity, zone) if outward else (zone, self.entity)
        there = any(
            relation.target == target and relation.type == type
            for relation in view.relations_from(source)
        )
        return [] if there == inside else [RelationChange(source, target, type, inside)]

    def shown(self, moment: Moment) -> Any:
        """See Cell; the zones of a group are shown as an argument."""
        groups = {
            name: {"type": "GEOFENCING_CF_ARGUMENT_VALUE", "value": dict(zones)}
            for name, group in self._config.zone_groups.items()
            if (zones := list(self._shown_zones(group, moment.view)))
        }
        return super().shown(moment) | groups

    def _shown_zones(self, group: ZoneGroup, view: StateView) -> Iterator[tuple[str, Any]]:
        for zone in entities_of(group, self.entity, view):
            stored = view.attributes(zone, Scope.SERVER).get(group.perimeter_key_name)
            if stored is None:
                continue
            ts, inside = self._last.get(str(zone.id), (0, False))
            presence = "INSIDE" if inside else "OUTSIDE"
            yield (
                str(zone.id),
                {
                    "zoneId": zone.to_json(),
                    "ts": stored.ts,
                    "perimeterDefinition": stored.value,
                    "lastPresence": presence if ts == stored.ts else None,
                },
            )


def geofencing_cells(field: Field) -> Cells:
    """Nothing to compile."""
    config = field.config
    assert isinstance(config, GeofencingConfig)
    return partial(GeofencingCell, field, config)


def _coordinates(config: GeofencingConfig) -> Mapping[str, Argument]:
    keys = config.entity_coordinates
    return {
        name: Argument(ref_entity_key=EntityKey(key=key, type="TS_LATEST"))
        for name, key in ((LATITUDE, keys.latitude_key_name), (LONGITUDE, keys.longitude_key_name))
    }


def _shape(perimeter: Value) -> Circle | Polygon:
    text = perimeter if isinstance(perimeter, str) else json_text(perimeter)
    return polygon_of(text) if text.lstrip().startswith("[") else circle_of(text, "METER")


def _report(name: str, group: ZoneGroup, was: bool, is_in: bool) -> dict[str, Value]:
    """What a group says, by its strategy."""
    values: dict[str, Value] = {}
    if group.report_strategy != "REPORT_PRESENCE_STATUS_ONLY" and was != is_in:
        values[f"{name}Event"] = "ENTERED" if is_in else "LEFT"
    if group.report_strategy != "REPORT_TRANSITION_EVENTS_ONLY":
        values[f"{name}Status"] = "INSIDE" if is_in else "OUTSIDE"
    return values
