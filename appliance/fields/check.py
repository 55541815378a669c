"""What is refused of a calculated field, in the server's words (tests/fixtures/corpus).

`check_shape` refuses what can never run; the engine asks it too. `check_field` adds what a server
refuses when somebody saves a field: limits of the tenant profile, names, owners. Fields that come
from the cloud have passed its own limits, which may be others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from uuid import UUID

from appliance.fields.complete import problem_of
from appliance.fields.config import (
    CONFIGS,
    AlarmConfig,
    AlarmRule,
    AnyConfig,
    Field,
    GeofencingConfig,
    HoursValue,
    Interval,
    IntervalConfig,
    Level,
    Predicate,
    PropagationConfig,
    Reference,
    RelatedConfig,
    RuleValue,
    ScriptConfig,
    SimpleConfig,
    read_field,
)
from appliance.fields.intervals import bounds
from appliance.fields.limits import FieldLimits, limits_of
from appliance.fields.sources import REFERRED
from appliance.model.errors import ConfigError
from appliance.model.ids import EntityId
from appliance.rules.conditions import known_zone
from appliance.state.kinds import id_of
from appliance.state.view import StateView

OWNERS = ("DEVICE", "ASSET", "DEVICE_PROFILE", "ASSET_PROFILE", "CUSTOMER")
PATH = "RELATION_PATH_QUERY"
NAME_LENGTH_MAX = 255
_ZONE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9~/._+-]+")
_RESERVED = {"ALARM": (), "PROPAGATION": ("ctx", "propagationCtx")}
_RESERVED_ZONES = ("latitude", "longitude")


def check_field(body: dict[str, Any], view: StateView) -> Field:
    """A field as somebody wants to save it (CalculatedField JSON, its id set).

    Raises ConfigError with the reason why a server would refuse it.
    """
    if not isinstance(body.get("name"), str):
        raise ConfigError("Validation error: name must not be null")
    if len(body["name"]) > NAME_LENGTH_MAX:
        limit = f"must be equal or less than {NAME_LENGTH_MAX}"
        raise ConfigError(f"Validation error: name length {limit}")
    if not body.get("type"):
        raise ConfigError("Validation error: type must not be null")
    if body["type"] not in CONFIGS:
        raise ConfigError(f"unknown type of calculated field: {body['type']!r}")
    field = read_field(body, limits_of(view))
    _refuse("type" not in field.raw, "JSON parse error: the configuration has no type")
    problem = problem_of(field.type, field.raw)
    _refuse(problem, str(problem))
    check_shape(field)
    _check_owner(field, body["type"], view)
    _check_referenced(field.config, view)
    _check_neighbours(field, body["type"], view)
    _check_limits(field.config, field.limits)
    return field


def check_shape(field: Field) -> None:
    """Refuse what can never run. Raises ConfigError."""
    config = field.config
    if not isinstance(config, GeofencingConfig):
        _refuse(not config.arguments, "Validation error: arguments must not be empty")
        for name in config.arguments:
            reserved = f"Argument name '{name}' is reserved and cannot be used."
            _refuse(name in _RESERVED.get(field.type, ("ctx",)), reserved)
    if isinstance(config, SimpleConfig | ScriptConfig):
        sources = [each.ref_dynamic_source_configuration for each in config.arguments.values()]
        paths = any(source is not None and source.type == PATH for source in sources)
        text = f"Calculated field with type: '{field.type}' doesn't support relation query "
        _refuse(paths, f"{text}configuration!")
    elif isinstance(config, GeofencingConfig):
        _check_zones(config)
    elif isinstance(config, AlarmConfig):
        _check_rules(config)
    elif isinstance(config, PropagationConfig):
        _check_propagation(config)
    elif isinstance(config, RelatedConfig | IntervalConfig):
        _check_aggregation(config, field.type)


# what can never run ------------------------------------------------------------------------------


def _check_zones(config: GeofencingConfig) -> None:
    keys = config.entity_coordinates
    _refuse_blank("latitudeKeyName", keys.latitude_key_name)
    _refuse_blank("longitudeKeyName", keys.longitude_key_name)
    for name, group in config.zone_groups.items():
        _refuse_blank("perimeterKeyName", group.perimeter_key_name)
        _refuse(
            name in _RESERVED_ZONES,
            f"Name '{name}' is reserved and cannot be used for zone group!",
        )
        dynamic = group.ref_dynamic_source_configuration
        if dynamic is not None and dynamic.type == PATH:
            _refuse(not dynamic.levels, "At least one relation level must be specified!")
            for level in dynamic.levels:
                _check_level(level)
        if group.create_relations_with_matched_zones:
            of = f"must be specified for '{name}' zone group!"
            _refuse(not group.relation_type.strip(), f"Relation type {of}")
            _refuse(group.direction is None, f"Relation direction {of}")


def _check_level(level: Level) -> None:
    _refuse(level.direction is None, "Direction must be specified!")
    _refuse(not level.relation_type.strip(), "Relation type must be specified!")


def _check_rules(config: AlarmConfig) -> None:
    _refuse(not config.create_rules, "Validation error: createRules must not be empty")
    rules = [*config.create_rules.values()]
    for rule in [*rules, config.clear_rule] if config.clear_rule else rules:
        _check_rule(rule)


def _check_rule(rule: AlarmRule) -> None:
    condition = rule.condition
    expression = condition.expression
    if expression.type == "TBEL":
        _refuse_blank("expression", expression.expression)
    else:
        _refuse(not expression.filters, "Validation error: filters must not be empty")
    for each in expression.filters:
        _refuse_blank("argument", each.argument)
        _refuse(not each.predicates, "Validation error: predicates must not be empty")
    predicates = [one for each in expression.filters for one in _flat(each.predicates)]
    _refuse(
        condition.type != "SIMPLE" and any(one.type == "NO_DATA" for one in predicates),
        "Validation error: Expressions requiring scheduled reevaluation "
        "can only be used with simple alarm conditions",
    )
    values = [
        one.duration if one.type == "NO_DATA" else one.value
        for each in expression.filters
        for one in each.predicates
        if one.type != "COMPLEX"
    ]
    if condition.type == "DURATION":
        values.append(condition.value)
    elif condition.type == "REPEATING":
        values.append(condition.count)
    for value in values:
        _check_value(value)
    if condition.schedule is not None:
        _check_value(condition.schedule)


def _check_value(value: RuleValue | HoursValue) -> None:
    _refuse(
        (value.static_value is None) == (value.dynamic_value_argument is None),
        "Validation error: Either staticValue or dynamicValueArgument must be set",
    )


def _flat(predicates: Iterable[Predicate]) -> Iterator[Predicate]:
    for predicate in predicates:
        if predicate.type == "COMPLEX":
            yield from _flat(predicate.predicates)
        else:
            yield predicate


def _check_propagation(config: PropagationConfig) -> None:
    _check_level(config.relation)
    own = [
        not (argument.ref_entity_id or argument.ref_dynamic_source_configuration)
        for argument in config.arguments.values()
    ]
    if config.apply_expression_to_resolved_arguments:
        _refuse(
            not any(own),
            "At least one argument must be configured with the 'Current entity' source entity type "
            "for 'Expression result' propagation mode!",
        )
        _refuse(
            not (config.expression or "").strip(),
            "Expression must be specified for 'Expression result' propagation mode!",
        )
        return
    for (name, argument), is_own in zip(config.arguments.items(), own, strict=True):
        _refuse(
            not is_own,
            "Arguments in 'Arguments only' propagation mode support only the "
            "'Current entity' source entity type!",
        )
        _refuse(
            not argument.ref_entity_key.key,
            f"Argument: '{name}' doesn't have reference entity key configured!",
        )
        _refuse(
            argument.is_rolling,
            f"Argument type: 'Time series rolling' detected for argument: '{name}'. "
            "Only 'Attribute' or 'Latest telemetry' arguments are allowed for "
            "'Arguments only' propagation mode!",
        )


def _check_aggregation(config: RelatedConfig | IntervalConfig, type: str) -> None:
    _refuse(not config.metrics, "Validation error: metrics must not be empty")
    kinds = {argument.ref_entity_key.type for argument in config.arguments.values()}
    if isinstance(config, RelatedConfig):
        _check_level(config.relation)
        rolling = f"Calculated field with type: '{type}' doesn't support TS_ROLLING arguments."
        _refuse("TS_ROLLING" in kinds, rolling)
    else:
        other = f"Calculated field with type: '{type}' support only TS_LATEST arguments."
        named = all(argument.ref_entity_key.key for argument in config.arguments.values())
        _refuse(kinds != {"TS_LATEST"} or not named, other)
        keys = [metric.key for metric in config.metrics.values()]
        _refuse(None in keys, "Metric key can only refer to argument.")
        _check_interval(config.interval)
    for metric in config.metrics.values():
        unknown = metric.key is not None and metric.key not in config.arguments
        _refuse(unknown, f"Metric references unknown argument: '{metric.key or None}'.")


def _check_interval(interval: Interval) -> None:
    _refuse_blank("tz", interval.tz)
    if known_zone(interval.tz) is None:
        raise ConfigError(f"Invalid timezone in interval: {_no_zone(interval.tz)}")
    _refuse(interval.offset_sec < 0, "Offset cannot be negative.")
    _refuse(
        interval.type == "CUSTOM" and interval.duration_sec <= 0,
        "Aggregation interval duration must be positive.",
    )
    start, end = bounds(interval, 0)
    _refuse(
        interval.offset_sec * 1000 >= end - start,
        "Offset must be greater than interval duration.",
    )


def _no_zone(name: str) -> str:
    """Why Java knows no such zone."""
    if name[0] in "+-":
        return f"Invalid ID for ZoneOffset, invalid format: {name}"
    if _ZONE_NAME.fullmatch(name) is None:
        return f"Invalid ID for region-based ZoneId, invalid format: {name}"
    return f"Unknown time-zone ID: {name}"


# what a server does not save ---------------------------------------------------------------------


def _check_owner(field: Field, type: str, view: StateView) -> None:
    owner = field.owner
    _refuse(owner.type not in OWNERS, "You don't have permission to perform this operation!")
    _check_exists(owner, view)
    _refuse(
        owner.type == "CUSTOMER" and type != "ALARM",
        f"Entity type 'CUSTOMER' does not support '{type}' calculated fields",
    )
    stored = view.entity("CALCULATED_FIELD", field.id)
    _refuse(
        stored is not None and id_of(stored.get("entityId")) != owner.id,
        "Changing the calculated field target entity after initialization is prohibited.",
    )


def _check_exists(entity: EntityId, view: StateView) -> None:
    kind = entity.type.replace("_", " ").capitalize()
    missing = view.entity(entity.type, entity.id) is None
    _refuse(missing, f"{kind} with id [{entity.id}] is not found")


def _check_referenced(config: AnyConfig, view: StateView) -> None:
    """The entities that are named as sources."""
    for reference in _references(config).values():
        named = reference.fixed
        if named is None or named.type == "TENANT":
            continue
        _refuse(
            named.type not in REFERRED,
            f"Calculated fields do not support '{named.type}' for referenced entities.",
        )
        _check_exists(named, view)


def _references(config: AnyConfig) -> Mapping[str, Reference]:
    """Arguments, or the groups of zones."""
    if isinstance(config, GeofencingConfig):
        return config.zone_groups
    return config.arguments


def _check_neighbours(field: Field, type: str, view: StateView) -> None:
    """Other fields of the same owner."""
    others = [
        other
        for other in view.entities("CALCULATED_FIELD")
        if UUID(other["id"]["id"]) != field.id and other["entityId"]["id"] == str(field.owner.id)
    ]
    for other in others:
        _refuse(
            other.get("name") == field.name and other.get("type") == type,
            "Calculated field with such name and type already exists",
        )
    counted = [other for other in others if other.get("type") != "ALARM"]
    is_new = view.entity("CALCULATED_FIELD", field.id) is None
    most = field.limits.fields_max
    _refuse(
        is_new and type != "ALARM" and 0 < most <= len(counted),
        "Calculated fields per entity limit reached!",
    )


def _check_limits(config: AnyConfig, limits: FieldLimits) -> None:
    if isinstance(config, RelatedConfig) or (
        isinstance(config, GeofencingConfig) and config.scheduled_update_enabled
    ):
        _check_refresh(config.scheduled_update_interval, limits.refresh_s_min)
    for name, reference in _references(config).items():
        dynamic = reference.ref_dynamic_source_configuration
        _refuse(
            dynamic is not None and 0 < limits.levels_max < len(dynamic.levels),
            "Max relation level is greater than configured maximum allowed relation level "
            f"in tenant profile: {limits.levels_max} for argument: {name}",
        )
    if isinstance(config, RelatedConfig):
        _refuse(
            config.deduplication_interval_in_sec < limits.deduplication_s_min,
            "Deduplication interval is less than configured minimum allowed interval "
            f"in tenant profile: {limits.deduplication_s_min}",
        )
    elif isinstance(config, IntervalConfig):
        start, end = bounds(config.interval, 0)
        length_ms = config.interval.duration_sec * 1000 or end - start
        _refuse(
            length_ms < limits.interval_s_min * 1000,
            "Aggregation interval duration is less than configured minimum allowed "
            f"aggregation interval in tenant profile: {limits.interval_s_min} sec.",
        )


def _check_refresh(interval_s: int, least_s: int) -> None:
    _refuse(
        interval_s < least_s,
        "Scheduled update interval is less than configured minimum allowed interval "
        f"in tenant profile: {least_s}",
    )


def _refuse_blank(name: str, text: str) -> None:
    _refuse(not text.strip(), f"Validation error: {name} must not be blank")


def _refuse(wrong: object, reason: str) -> None:
    if wrong:
        raise ConfigError(reason)
