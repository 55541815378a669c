"""Which series fields calculate, for who plays history again (`appliance rules dry-run`).

The configuration says it for most types; what a script or a propagation gives is known once it has
given it. A series that may lead to itself is never among them: a device may send it, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from appliance.fields.config import (
    Field,
    GeofencingConfig,
    IntervalConfig,
    RelatedConfig,
    SimpleConfig,
)


def series_of(field: Field) -> set[str] | None:
    """The keys of a field's results; None where only the results tell."""
    config = field.config
    if field.output is None or field.output.type != "TIME_SERIES":
        return set()
    if isinstance(config, SimpleConfig):
        return {config.output.name or ""}
    if isinstance(config, GeofencingConfig):
        return {name + end for name in config.zone_groups for end in ("Event", "Status")}
    if isinstance(config, RelatedConfig | IntervalConfig):
        return set(config.metrics)
    return None


def inputs_of(field: Field) -> set[str]:
    """The keys that a field looks at, of whatever entity."""
    arguments = getattr(field.config, "arguments", {})
    return {argument.ref_entity_key.key for argument in arguments.values()}


def foreseen(fields: Iterable[Field]) -> set[str]:
    """The series that fields of one entity will calculate and that lead to none of themselves."""
    fields = list(fields)
    leads: dict[str, set[str]] = {}
    outputs: set[str] = set()
    anywhere = {key for field in fields for key in inputs_of(field)}
    for field in fields:
        keys = series_of(field)
        outputs |= keys or set()
        for key in inputs_of(field):
            leads.setdefault(key, set()).update(anywhere if keys is None else keys)
    return {key for key in outputs if key not in _reached(key, leads)}


def _reached(key: str, leads: Mapping[str, set[str]]) -> set[str]:
    reached: set[str] = set()
    front = {key}
    while front:
        front = {far for near in front for far in leads.get(near, ())} - reached
        reached |= front
    return reached
