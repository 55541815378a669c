"""Alarm rules of device profiles: reading them, and judging a snapshot (spec §6.1).

Pure: a `Snapshot` answers what a value is now, a `Progress` remembers how far a rule with a
duration or a count has come, and nothing here has effects. Values that are missing make a filter
false. Times are event times in epoch milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from enum import Enum
from typing import Any, Literal, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from appliance.rules.node import NodeConfig
from appliance.rules.values import as_number, decode_json, java_text

UNIT_MS = {"SECONDS": 1_000, "MINUTES": 60_000, "HOURS": 3_600_000, "DAYS": 86_400_000}
DAY_MS = 86_400_000


class Snapshot(Protocol):
    """What is known of a device at one moment."""

    ts: int

    def value(self, kind: str, key: str) -> Any:
        """Value of an ATTRIBUTE, TIME_SERIES or ENTITY_FIELD key; None when there is none."""
        ...

    def dynamic(self, source: str, key: str, inherit: bool) -> Any:
        """Attribute of CURRENT_DEVICE, CURRENT_CUSTOMER or CURRENT_TENANT; None when absent."""
        ...


class DynamicValue(NodeConfig, frozen=True, kw_only=True):
    """A value that an attribute gives."""

    source_type: str = ""
    source_attribute: str = ""
    inherit: bool = False


class RuleValue(NodeConfig, frozen=True, kw_only=True):
    """default_value, unless the user or an attribute says otherwise."""

    default_value: Any = None
    user_value: Any = None
    dynamic_value: DynamicValue | None = None

    def resolve(self, snapshot: Snapshot) -> Any:
        """The value that holds now."""
        dynamic = self.dynamic(snapshot)
        if dynamic is not None:
            return dynamic
        return self.default_value if self.user_value is None else self.user_value

    def dynamic(self, snapshot: Snapshot) -> Any:
        """The attribute's value, or None."""
        source = self.dynamic_value
        if source is None or not source.source_attribute:
            return None
        return snapshot.dynamic(source.source_type, source.source_attribute, source.inherit)


class Predicate(NodeConfig, frozen=True, kw_only=True):
    """A comparison, or (COMPLEX) several joined by AND or OR."""

    type: str = "NUMERIC"
    operation: str = ""
    value: RuleValue = RuleValue()
    ignore_case: bool = False
    predicates: list[Predicate] = []

    def holds(self, left: Any, snapshot: Snapshot, constant: bool = False) -> bool:
        """Whether it is true of a value. constant: only an attribute may be compared with."""
        if self.type == "COMPLEX":
            join = all if self.operation == "AND" else any
            return join(one.holds(left, snapshot, constant) for one in self.predicates)
        right = self.value.dynamic(snapshot) if constant else self.value.resolve(snapshot)
        if left is None or right is None:
            return False
        if self.type == "NUMERIC":
            return _numeric(self.operation, as_number(left), as_number(right))
        if self.type == "BOOLEAN":
            same = _boolean(left) == _boolean(right)
            return same if self.operation == "EQUAL" else not same
        return _text(self.operation, java_text(left), java_text(right), self.ignore_case)


class FilterKey(NodeConfig, frozen=True, kw_only=True):
    """type: ATTRIBUTE, TIME_SERIES, ENTITY_FIELD or CONSTANT."""

    type: str
    key: str


class Filter(NodeConfig, frozen=True, kw_only=True):
    """One key and what must be true of it. value: of a CONSTANT."""

    key: FilterKey
    value: Any = None
    predicate: Predicate

    def holds(self, snapshot: Snapshot) -> bool:
        """Whether it is true now."""
        if self.key.type == "CONSTANT":
            return self.predicate.holds(self.value, snapshot, constant=True)
        return self.predicate.holds(snapshot.value(self.key.type, self.key.key), snapshot)


class Spec(NodeConfig, frozen=True, kw_only=True):
    """SIMPLE, DURATION (predicate: how many units) or REPEATING (predicate: how often)."""

    type: Literal["SIMPLE", "DURATION", "REPEATING"] = "SIMPLE"
    unit: str = "SECONDS"
    predicate: RuleValue = RuleValue()


class Condition(NodeConfig, frozen=True, kw_only=True):
    """Filters that must all be true, and for how long or how often."""

    condition: list[Filter] = []
    spec: Spec = Spec()


class ScheduleItem(NodeConfig, frozen=True, kw_only=True):
    """Hours of one weekday, 1 = Monday; milliseconds of the day."""

    enabled: bool = False
    day_of_week: int = 0
    starts_on: int = 0
    ends_on: int = 0


class Schedule(NodeConfig, frozen=True, kw_only=True):
    """When a rule is active at all."""

    type: Literal["ANY_TIME", "SPECIFIC_TIME", "CUSTOM"] = "ANY_TIME"
    timezone: str = "UTC"
    days_of_week: list[int] = []
    starts_on: int = 0
    ends_on: int = 0
    items: list[ScheduleItem] = []
    dynamic_value: DynamicValue | None = None

    def active(self, snapshot: Snapshot, ts: int) -> bool:
        """Whether the rule is active at ts; an attribute may hold another schedule."""
        schedule = self._dynamic(snapshot) or self
        if schedule.type == "ANY_TIME":
            return True
        moment = datetime.fromtimestamp(ts / 1000, _zone(schedule.timezone))
        midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        of_day = (moment - midnight) // timedelta(milliseconds=1)
        today = moment.isoweekday()
        if schedule.type == "SPECIFIC_TIME":
            return today in schedule.days_of_week and _within(
                of_day, schedule.starts_on, schedule.ends_on
            )
        return any(
            item.enabled
            and item.day_of_week == today
            and _within(of_day, item.starts_on, item.ends_on)
            for item in schedule.items
        )

    def _dynamic(self, snapshot: Snapshot) -> Schedule | None:
        source = self.dynamic_value
        if source is None or not source.source_attribute:
            return None
        value = snapshot.dynamic(source.source_type, source.source_attribute, source.inherit)
        try:
            body = decode_json(value) if isinstance(value, str) else value
            return msgspec.convert(body, Schedule, strict=False) if body else None
        except ValueError:
            return None


class Rule(NodeConfig, frozen=True, kw_only=True):
    """alarm_details: a template over the keys of the rule's own filters."""

    condition: Condition = Condition()
    schedule: Schedule | None = None
    alarm_details: str | None = None
    dashboard_id: dict[str, str] | None = None

    @property
    def keys(self) -> set[tuple[str, str]]:
        """What the rule looks at; it is judged only when one of these changes."""
        return {(one.key.type, one.key.key) for one in self.condition.condition}

    def details(self, snapshot: Snapshot, old: Any) -> Any:
        """The alarm's details; the old ones where the rule has none of its own."""
        details: dict[str, Any] = {}
        if self.alarm_details:
            text = self.alarm_details
            for kind, key in self.keys:
                value = snapshot.value(kind, key)
                if value is not None:
                    text = text.replace("${" + key + "}", java_text(value))
            details["data"] = text
        if self.dashboard_id:
            details["dashboardId"] = self.dashboard_id["id"]
        return details or old


class ProfileAlarm(NodeConfig, frozen=True, kw_only=True):
    """One alarm type of a profile."""

    alarm_type: str = ""
    create_rules: dict[str, Rule] = {}
    clear_rule: Rule | None = None
    propagate: bool = False
    propagate_to_owner: bool = False
    propagate_to_tenant: bool = False
    propagate_relation_types: list[str] | None = None

    def rules(self) -> Iterator[Rule]:
        """All rules."""
        yield from self.create_rules.values()
        if self.clear_rule is not None:
            yield self.clear_rule


class Verdict(Enum):
    """What a rule says: fires, may still fire, or starts over."""

    TRUE = "true"
    NOT_YET = "not yet"
    FALSE = "false"


class Progress(msgspec.Struct):
    """How far a rule has come. since_ts: event time of the last true message, 0 = none."""

    count: int = 0
    since_ts: int = 0
    duration_ms: int = 0

    def reset(self) -> None:
        """Start over."""
        self.count = self.since_ts = self.duration_ms = 0


def judge(rule: Rule, snapshot: Snapshot, progress: Progress) -> Verdict:
    """Judge a rule for a new value at snapshot.ts."""
    if rule.schedule is not None and not rule.schedule.active(snapshot, snapshot.ts):
        return Verdict.FALSE
    if not all(one.holds(snapshot) for one in rule.condition.condition):
        return Verdict.FALSE
    spec = rule.condition.spec
    if spec.type == "SIMPLE":
        return Verdict.TRUE
    required = as_number(spec.predicate.resolve(snapshot)) or 0
    if spec.type == "REPEATING":
        progress.count += 1
        return Verdict.TRUE if progress.count >= required else Verdict.NOT_YET
    if progress.since_ts and snapshot.ts > progress.since_ts:
        progress.duration_ms += snapshot.ts - progress.since_ts
    progress.since_ts = max(progress.since_ts, snapshot.ts)
    over = progress.duration_ms > required * UNIT_MS.get(spec.unit, 1_000)
    return Verdict.TRUE if over else Verdict.NOT_YET


def due_by_clock(rule: Rule, snapshot: Snapshot, progress: Progress, now_ms: int) -> bool:
    """Whether a duration that runs since the last message is over by the wall clock."""
    spec = rule.condition.spec
    if spec.type != "DURATION" or not progress.since_ts or now_ms <= progress.since_ts:
        return False
    if rule.schedule is not None and not rule.schedule.active(snapshot, now_ms):
        return False
    required = as_number(spec.predicate.resolve(snapshot)) or 0
    duration_ms = progress.duration_ms + now_ms - progress.since_ts
    return duration_ms > required * UNIT_MS.get(spec.unit, 1_000)


def _within(of_day: int, start: int, end: int) -> bool:
    end = end or DAY_MS
    if start < end:
        return start <= of_day < end
    return of_day >= start or of_day < end


def _zone(name: str) -> tzinfo:
    """The named zone; UTC where this machine does not know it, so that rules keep working."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def _numeric(operation: str, left: float | None, right: float | None) -> bool:
    if left is None or right is None:
        return False
    match operation:
        case "EQUAL":
            return left == right
        case "NOT_EQUAL":
            return left != right
        case "GREATER":
            return left > right
        case "LESS":
            return left < right
        case "GREATER_OR_EQUAL":
            return left >= right
    return operation == "LESS_OR_EQUAL" and left <= right


def _text(operation: str, left: str, right: str, ignore_case: bool) -> bool:
    if ignore_case:
        left, right = left.lower(), right.lower()
    match operation:
        case "EQUAL":
            return left == right
        case "NOT_EQUAL":
            return left != right
        case "STARTS_WITH":
            return left.startswith(right)
        case "ENDS_WITH":
            return left.endswith(right)
        case "CONTAINS":
            return right in left
        case "NOT_CONTAINS":
            return right not in left
    listed = left in [part.strip() for part in right.split(",")]
    return listed if operation == "IN" else not listed


def _boolean(value: Any) -> bool:
    return value.lower() == "true" if isinstance(value, str) else bool(value)
