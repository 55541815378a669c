"""Alarm rules of device profiles: reading them, and judging a snapshot (spec §6.1).

Pure: a `Snapshot` answers what a value is now, a `Progress` remembers how far a rule with a
duration or a count has come, and nothing here has effects. Values that are missing make a filter
false. Times are event times in epoch milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, Literal, Protocol

import msgspec

from appliance.rules.conditions import (
    UNIT_MS,
    Hours,
    as_boolean,
    comparable,
    compare_booleans,
    compare_numbers,
    compare_texts,
)
from appliance.rules.node import NodeConfig, NodeError
from appliance.rules.values import decode_json, java_text


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

    @property
    def given(self) -> Any:
        """The value that holds without an attribute."""
        return self.default_value if self.user_value is None else self.user_value

    def whole(self, snapshot: Snapshot) -> int:
        """A count or a length of time. Raises NodeError for an attribute that is no number."""
        dynamic = self.dynamic(snapshot)
        number = comparable(self.given if dynamic is None else dynamic)
        if number is None and dynamic is not None:
            raise NodeError(f"Could not convert attribute value '{dynamic}' to numeric value!")
        return int(number or 0)

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
        read: Callable[[Any], Any] = _READ.get(self.type, java_text)
        dynamic = self.value.dynamic(snapshot)
        right = None if dynamic is None else read(dynamic)
        if right is None and not constant:
            given = self.value.given
            right = None if given is None else read(given)
        if left is None or right is None:
            return False
        if self.type == "NUMERIC":
            return compare_numbers(self.operation, comparable(left), right)
        if self.type == "BOOLEAN":
            return compare_booleans(self.operation, left, right)
        return compare_texts(self.operation, java_text(left), right, self.ignore_case)


_READ: dict[str, Callable[[Any], Any]] = {"NUMERIC": comparable, "BOOLEAN": as_boolean}
"""What a value is compared as; texts otherwise. A dynamic value that is none of these gives way to
the given one."""


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


class Schedule(Hours, frozen=True, kw_only=True):
    """When a rule is active; an attribute may hold another schedule."""

    dynamic_value: DynamicValue | None = None

    def active(self, snapshot: Snapshot, ts: int) -> bool:
        """Whether the rule is active at ts."""
        return (self._dynamic(snapshot) or self).contain(ts)

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
    required = spec.predicate.whole(snapshot)
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
    required = spec.predicate.whole(snapshot)
    duration_ms = progress.duration_ms + now_ms - progress.since_ts
    return duration_ms > required * UNIT_MS.get(spec.unit, 1_000)
