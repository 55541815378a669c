"""The configuration of calculated fields as the cloud writes it (spec/rule-engine.md §7, §6.2).

Structs only; what a server refuses is refused in `check` and `complete`. Keys that a newer server
may send are ignored. Every default is the server's.
"""

from __future__ import annotations

import re
from typing import Any, Literal
from uuid import UUID
from zlib import crc32

import msgspec

from appliance.fields.limits import FieldLimits
from appliance.model.errors import ConfigError
from appliance.model.ids import EntityId
from appliance.rules.conditions import Hours
from appliance.rules.configuration import read_configuration
from appliance.rules.node import NodeConfig
from appliance.rules.values import encode_json

ScopeName = Literal["CLIENT_SCOPE", "SERVER_SCOPE", "SHARED_SCOPE"]


class EntityKey(NodeConfig, frozen=True, kw_only=True):
    """Where an argument's value lies; nowhere, where it names no key. scope: of an ATTRIBUTE."""

    key: str = ""
    type: Literal["ATTRIBUTE", "TS_LATEST", "TS_ROLLING"] = "TS_LATEST"
    scope: ScopeName | None = None


class Level(NodeConfig, frozen=True, kw_only=True):
    """One step along relations."""

    direction: Literal["FROM", "TO"] | None = None
    relation_type: str = ""


class DynamicSource(NodeConfig, frozen=True, kw_only=True):
    """Another entity, found anew when it is needed."""

    type: Literal["CURRENT_OWNER", "RELATION_PATH_QUERY"]
    levels: list[Level] = []


class EntityReference(NodeConfig, frozen=True, kw_only=True):
    """An entity by type and id."""

    entity_type: str
    id: UUID


class Reference(NodeConfig, frozen=True, kw_only=True):
    """An entity: the field's own unless it is named or found by a query."""

    ref_entity_id: EntityReference | None = None
    ref_dynamic_source_configuration: DynamicSource | None = None

    @property
    def fixed(self) -> EntityId | None:
        """The entity that is named, if one is."""
        named = self.ref_entity_id
        return None if named is None else EntityId(named.entity_type, named.id)


class Argument(Reference, frozen=True, kw_only=True):
    """One input. limit, time_window (ms): of a rolling argument."""

    ref_entity_key: EntityKey = EntityKey()
    default_value: str | None = None
    limit: int | None = None
    time_window: int | None = None

    @property
    def is_rolling(self) -> bool:
        """Whether the argument is a window of points instead of one value."""
        return self.ref_entity_key.type == "TS_ROLLING"

    def points_max(self, limits: FieldLimits) -> int:
        """How many points a rolling argument keeps."""
        return min(self.limit or limits.points_max, limits.points_max)


class Strategy(NodeConfig, frozen=True, kw_only=True):
    """How a result is saved: through the rule chain, or at once. ttl: seconds."""

    type: Literal["RULE_CHAIN", "IMMEDIATE"] = "RULE_CHAIN"
    ttl: int = 0
    save_time_series: bool = False
    save_latest: bool = False
    save_attribute: bool = False
    process_cfs: bool = False
    send_attributes_updated_notification: bool = False
    update_attributes_only_on_value_change: bool = False


class Output(NodeConfig, frozen=True, kw_only=True):
    """What a result becomes. name: the key, of a SIMPLE field."""

    type: Literal["TIME_SERIES", "ATTRIBUTES"]
    name: str | None = None
    scope: ScopeName | None = None
    decimals_by_default: int | None = None
    strategy: Strategy = Strategy()


class SimpleConfig(NodeConfig, frozen=True, kw_only=True):
    """Arithmetic over single values."""

    arguments: dict[str, Argument] = {}
    expression: str = ""
    use_latest_ts: bool = False
    output: Output


class ScriptConfig(NodeConfig, frozen=True, kw_only=True):
    """A TBEL function of the arguments."""

    arguments: dict[str, Argument] = {}
    expression: str = ""
    output: Output


class Coordinates(NodeConfig, frozen=True, kw_only=True):
    """Telemetry keys of the place of the field's entity."""

    latitude_key_name: str = ""
    longitude_key_name: str = ""


class ZoneGroup(Reference, frozen=True, kw_only=True):
    """Zones that count as one. perimeter_key_name: a server attribute of each zone."""

    perimeter_key_name: str = ""
    report_strategy: Literal[
        "REPORT_TRANSITION_EVENTS_ONLY",
        "REPORT_PRESENCE_STATUS_ONLY",
        "REPORT_TRANSITION_EVENTS_AND_PRESENCE_STATUS",
    ]
    create_relations_with_matched_zones: bool = False
    relation_type: str = ""
    direction: Literal["FROM", "TO"] | None = None


class GeofencingConfig(NodeConfig, frozen=True, kw_only=True):
    """Which zones an entity is in. scheduled_update_interval: seconds."""

    entity_coordinates: Coordinates
    zone_groups: dict[str, ZoneGroup] = {}
    scheduled_update_enabled: bool = False
    scheduled_update_interval: int = 0
    output: Output


class PropagationConfig(NodeConfig, frozen=True, kw_only=True):
    """Values, or what a script makes of them, for related entities."""

    arguments: dict[str, Argument] = {}
    relation: Level
    apply_expression_to_resolved_arguments: bool = False
    expression: str | None = None
    output: Output


class MetricInput(NodeConfig, frozen=True, kw_only=True):
    """What is aggregated: an argument (key), or a TBEL function of the arguments."""

    type: Literal["key", "function"]
    key: str | None = None
    function: str | None = None


class Metric(NodeConfig, frozen=True, kw_only=True):
    """One aggregate. filter: TBEL over the arguments."""

    function: Literal["MIN", "MAX", "SUM", "AVG", "COUNT", "COUNT_UNIQUE"] | None = None
    input: MetricInput | None = None
    filter: str | None = None
    default_value: float | None = None

    @property
    def key(self) -> str | None:
        """The argument that is aggregated; None where it is not one."""
        given = self.input
        return (given.key or "") if given is not None and given.type == "key" else None

    @property
    def script(self) -> str | None:
        """The function whose results are aggregated, where that is so."""
        given = self.input
        return (given.function or "") if given is not None and given.type == "function" else None


class RelatedConfig(NodeConfig, frozen=True, kw_only=True):
    """Aggregates over the latest values of related entities. Intervals in seconds."""

    arguments: dict[str, Argument] = {}
    relation: Level
    metrics: dict[str, Metric] = {}
    deduplication_interval_in_sec: int = 0
    scheduled_update_interval: int = 0
    use_latest_ts: bool = False
    output: Output


class Interval(NodeConfig, frozen=True, kw_only=True):
    """A calendar interval in a time zone, or CUSTOM: durationSec long. offset_sec: its shift."""

    type: Literal["HOUR", "DAY", "WEEK", "WEEK_SUN_SAT", "MONTH", "QUARTER", "YEAR", "CUSTOM"]
    tz: str = ""
    duration_sec: int = 0
    offset_sec: int = 0


class Watermark(NodeConfig, frozen=True, kw_only=True):
    """For how many seconds after its end an interval takes late points."""

    duration: int = 0


class IntervalConfig(NodeConfig, frozen=True, kw_only=True):
    """Aggregates over intervals of one entity's series."""

    arguments: dict[str, Argument] = {}
    metrics: dict[str, Metric] = {}
    interval: Interval
    watermark: Watermark | None = None
    produce_intermediate_result: bool = False
    output: Output


Unit = Literal["NANOSECONDS", "MICROSECONDS", "MILLISECONDS", "SECONDS", "MINUTES", "HOURS", "DAYS"]


class RuleValue(NodeConfig, frozen=True, kw_only=True):
    """A value given, or that of an argument."""

    static_value: Any = None
    dynamic_value_argument: str | None = None


class Predicate(NodeConfig, frozen=True, kw_only=True):
    """A comparison; COMPLEX: several, joined; NO_DATA: nothing came for so long."""

    type: Literal["STRING", "NUMERIC", "BOOLEAN", "COMPLEX", "NO_DATA"]
    operation: str = ""
    value: RuleValue = RuleValue()
    ignore_case: bool = False
    predicates: list[Predicate] = []
    unit: Unit = "SECONDS"
    duration: RuleValue = RuleValue()


class Filter(NodeConfig, frozen=True, kw_only=True):
    """One argument and what must be true of it."""

    argument: str
    value_type: Literal["STRING", "NUMERIC", "BOOLEAN", "DATE_TIME"] = "NUMERIC"
    operation: Literal["AND", "OR"] = "AND"
    predicates: list[Predicate] = []


class Condition(NodeConfig, frozen=True, kw_only=True):
    """The expression of an alarm rule: filters, or TBEL that returns a boolean."""

    type: Literal["SIMPLE", "TBEL"] = "SIMPLE"
    filters: list[Filter] = []
    operation: Literal["AND", "OR"] = "AND"
    expression: str = ""


class HoursValue(NodeConfig, frozen=True, kw_only=True):
    """A schedule given, or that in an argument's JSON."""

    static_value: Hours | None = None
    dynamic_value_argument: str | None = None


class AlarmCondition(NodeConfig, frozen=True, kw_only=True):
    """What must be true, for how long (value, unit) or how often (count), and when."""

    type: Literal["SIMPLE", "DURATION", "REPEATING"] = "SIMPLE"
    expression: Condition = Condition()
    schedule: HoursValue | None = None
    unit: Unit = "SECONDS"
    value: RuleValue = RuleValue()
    count: RuleValue = RuleValue()


class DashboardReference(NodeConfig, frozen=True, kw_only=True):
    """A dashboard by its id."""

    id: UUID


class AlarmRule(NodeConfig, frozen=True, kw_only=True):
    """One rule. alarm_details: a template over the arguments."""

    condition: AlarmCondition
    alarm_details: str | None = None
    dashboard_id: DashboardReference | None = None


Severity = Literal["CRITICAL", "MAJOR", "MINOR", "WARNING", "INDETERMINATE"]


class AlarmConfig(NodeConfig, frozen=True, kw_only=True):
    """When an alarm is raised, changed and cleared; the field's name is its type."""

    arguments: dict[str, Argument] = {}
    create_rules: dict[Severity, AlarmRule] = {}
    clear_rule: AlarmRule | None = None
    propagate: bool = False
    propagate_to_owner: bool = False
    propagate_to_tenant: bool = False
    propagate_relation_types: list[str] = []


AnyConfig = (
    SimpleConfig
    | ScriptConfig
    | AlarmConfig
    | GeofencingConfig
    | PropagationConfig
    | RelatedConfig
    | IntervalConfig
)
CONFIGS: dict[str, type[Any]] = {
    "SIMPLE": SimpleConfig,
    "SCRIPT": ScriptConfig,
    "ALARM": AlarmConfig,
    "GEOFENCING": GeofencingConfig,
    "PROPAGATION": PropagationConfig,
    "RELATED_ENTITIES_AGGREGATION": RelatedConfig,
    "ENTITY_AGGREGATION": IntervalConfig,
}


class Field(msgspec.Struct, frozen=True):
    """A calculated field. owner: an entity, or a profile whose entities all have the field.

    raw: the configuration as it came; saving the same again changes nothing. limits: the tenant
    profile's.
    """

    id: UUID
    name: str
    type: str
    owner: EntityId
    config: AnyConfig
    raw: Any
    checksum: int
    """Tells one configuration from another after a restart."""
    limits: FieldLimits

    @property
    def output(self) -> Output | None:
        """Where results go; an alarm has none."""
        return getattr(self.config, "output", None)


_MISSING = re.compile(r"Object missing required field `(\w+)`")


def read_field(body: dict[str, Any], limits: FieldLimits) -> Field:
    """A CalculatedField's JSON. Raises ConfigError with what is wrong with it."""
    try:
        owner = EntityId(body["entityId"]["entityType"], UUID(body["entityId"]["id"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ConfigError("Parameter entityId can't be empty!") from None
    raw = body.get("configuration")
    if not isinstance(raw, dict):
        raise ConfigError("Validation error: configuration must not be null")
    type = raw.get("type") or body.get("type")
    if not isinstance(type, str) or type not in CONFIGS:
        raise ConfigError(f"unknown type of calculated field: {type!r}")
    try:
        config = read_configuration(raw, CONFIGS[type])
    except ConfigError as error:
        missing = _MISSING.search(str(error))
        if missing is not None:
            raise ConfigError(f"Validation error: {missing[1]} must not be null") from None
        raise
    id, name = UUID(body["id"]["id"]), body.get("name") or ""
    return Field(id, name, type, owner, config, raw, crc32(encode_json(raw)), limits)


def without_nulls(value: Any) -> Any:
    """Objects without their null members: a null is as good as nothing."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value
