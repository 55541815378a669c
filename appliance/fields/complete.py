"""What a server's own classes demand of a configuration before anybody looks at what it means.

`problem_of` walks the JSON as it came, for the structs of `config` have defaults where a server has
none: a field that comes from the cloud has passed this test there, maybe under older rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from appliance.fields.numbers import double_of

_COMPARISONS = ("EQUAL", "NOT_EQUAL")
_OPERATIONS: Mapping[str, tuple[str, ...]] = {
    "BOOLEAN": _COMPARISONS,
    "NUMERIC": (*_COMPARISONS, "GREATER", "LESS", "GREATER_OR_EQUAL", "LESS_OR_EQUAL"),
    "STRING": (
        *(*_COMPARISONS, "STARTS_WITH", "ENDS_WITH", "CONTAINS", "NOT_CONTAINS"),
        *("IN", "NOT_IN"),
    ),
}
_OF_CONDITION: Mapping[str, tuple[str, ...]] = {
    "SIMPLE": (),
    "DURATION": ("unit", "value"),
    "REPEATING": ("count",),
}


def problem_of(type: str, raw: Mapping[str, Any]) -> str | None:
    """The first thing that a server would refuse, in its words; None where there is none."""
    checks = {
        "ALARM": _of_alarm,
        "GEOFENCING": _of_geofencing,
        "ENTITY_AGGREGATION": _of_intervals,
    }
    check = checks.get(type)
    return None if check is None else next(check(raw), None)


def _absent(where: Any, *names: str) -> Iterator[str]:
    """What is said of the names that an object has not."""
    for name in names:
        if not isinstance(where, Mapping) or where.get(name) is None:
            yield f"Validation error: {name} must not be null"


def _of_geofencing(raw: Mapping[str, Any]) -> Iterator[str]:
    yield from _absent(raw, "zoneGroups")


def _of_intervals(raw: Mapping[str, Any]) -> Iterator[str]:
    interval, watermark = raw.get("interval"), raw.get("watermark")
    if isinstance(interval, Mapping) and interval.get("type") == "CUSTOM":
        yield from _absent(interval, "durationSec")
        yield from _below(interval, "durationSec", 1)
    if isinstance(watermark, Mapping):
        yield from _below(watermark, "duration", 0)


def _below(where: Mapping[str, Any], name: str, least: int) -> Iterator[str]:
    value = where.get(name)
    if isinstance(value, int | float) and value < least:
        yield f"Validation error: {name} must be greater than or equal to {least}"


# alarms ------------------------------------------------------------------------------------------


def _of_alarm(raw: Mapping[str, Any]) -> Iterator[str]:
    rules = raw.get("createRules")
    found = [*rules.values()] if isinstance(rules, Mapping) else []
    for rule in [*found, raw.get("clearRule")]:
        if isinstance(rule, Mapping) and isinstance(rule.get("condition"), Mapping):
            yield from _of_condition(rule["condition"])


def _of_condition(condition: Mapping[str, Any]) -> Iterator[str]:
    yield from _absent(condition, "type", "expression")
    wanted = _OF_CONDITION.get(condition.get("type") or "", ())
    yield from _absent(condition, *wanted)
    yield from _not_of("NUMERIC", *(condition[name] for name in wanted if name != "unit"))
    expression = condition.get("expression")
    yield from _absent(expression, "type")
    if isinstance(expression, Mapping) and expression.get("type") == "SIMPLE":
        for each in expression.get("filters") or ():
            yield from _of_filter(each)


def _of_filter(each: Mapping[str, Any]) -> Iterator[str]:
    yield from _absent(each, "valueType")
    for predicate in each.get("predicates") or ():
        type = predicate.get("type")
        if type == "NO_DATA":
            yield from _absent(predicate, "unit", "duration")
            yield from _not_of("NUMERIC", predicate["duration"])
        elif type in _OPERATIONS:
            yield from _absent(predicate, "operation", "value")
            yield from _unknown(predicate["operation"], _OPERATIONS[type])
            yield from _not_of(type, predicate["value"])


def _unknown(operation: Any, known: tuple[str, ...]) -> Iterator[str]:
    if operation not in known:
        yield f"JSON parse error: operation has no value {operation}"


def _not_of(type: str, *values: Any) -> Iterator[str]:
    """Texts given where a number or a boolean is wanted."""
    for value in values:
        given = value.get("staticValue") if isinstance(value, Mapping) else None
        if not isinstance(given, str) or not given.strip():
            continue
        if type == "NUMERIC" and double_of(given) is None:
            yield f"JSON parse error: {given!r} is no number"
        elif type == "BOOLEAN" and given.lower() not in ("true", "false"):
            yield f"JSON parse error: {given!r} is no boolean"
