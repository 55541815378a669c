"""Judging one alarm rule of a calculated field over its arguments (spec/rule-engine.md §6.2).

Pure. A rule with a duration counts from the time of the first event that made it true, by the
clock: an old event may fire at once, one in the future waits. A rule that repeats counts events.
NO_DATA looks at how old an argument is. A rule outside its schedule is false.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any

import msgspec

from appliance.fields.arguments import Arguments
from appliance.fields.cell import FieldError
from appliance.fields.config import AlarmRule, Condition, Filter, HoursValue, Predicate, RuleValue
from appliance.fields.scripting import FieldScript
from appliance.rules.conditions import (
    UNIT_MS,
    Hours,
    comparable,
    compare_booleans,
    compare_numbers,
    compare_texts,
)
from appliance.rules.values import decode_json, java_text


class Verdict(Enum):
    """What a rule says: fires, may still fire, or starts over."""

    TRUE = "true"
    NOT_YET = "not yet"
    FALSE = "false"


class Progress(msgspec.Struct):
    """How far a rule has come. since_ms: event time of the first true event, 0 = none."""

    count: int = 0
    since_ms: int = 0

    def reset(self) -> None:
        """Start over."""
        self.count = self.since_ms = 0


class Evidence(msgspec.Struct, frozen=True):
    """What a rule is judged by. is_event: whether something came, or only time passed.

    reevaluation_ms: how often schedules are looked at.
    """

    arguments: Arguments
    now_ms: int
    is_event: bool
    reevaluation_ms: int = 60_000

    def value(self, name: str | None) -> Any:
        """An argument's value, or None."""
        single = self.arguments.singles.get(name or "")
        return None if single is None else single.value

    def resolve(self, value: RuleValue) -> Any:
        """A value given, or that of an argument."""
        if value.dynamic_value_argument:
            return self.value(value.dynamic_value_argument)
        return value.static_value

    def number(self, value: RuleValue) -> float:
        """The same as a number. Raises FieldError where it is none."""
        number = comparable(self.resolve(value))
        if number is None:
            name = value.dynamic_value_argument
            raise FieldError(f"No proper value found for argument {name}")
        return number


class Rule:
    """A rule of the configuration with its script compiled."""

    def __init__(self, config: AlarmRule, arguments: tuple[str, ...]) -> None:
        self.config = config
        expression = config.condition.expression
        self._script = (
            FieldScript(expression.expression, arguments) if expression.type == "TBEL" else None
        )

    def judge(self, evidence: Evidence, progress: Progress) -> Verdict:
        """The verdict now. Raises FieldError."""
        condition = self.config.condition
        if not _hours(condition.schedule, evidence).contain(evidence.now_ms):
            return Verdict.FALSE
        if not self._holds(evidence):
            return Verdict.FALSE
        if condition.type == "REPEATING":
            progress.count += evidence.is_event
            return _reached(progress.count >= evidence.number(condition.count))
        if condition.type == "DURATION":
            if not progress.since_ms:
                progress.since_ms = evidence.arguments.latest_ts(evidence.now_ms)
            elapsed_ms = evidence.now_ms - progress.since_ms
            return _reached(elapsed_ms >= self.required_ms(evidence))
        return Verdict.TRUE

    def required_ms(self, evidence: Evidence) -> int:
        """How long the condition of a DURATION rule must be true."""
        condition = self.config.condition
        return int(evidence.number(condition.value) * UNIT_MS[condition.unit])

    def _holds(self, evidence: Evidence) -> bool:
        expression = self.config.condition.expression
        if self._script is None:
            return _filters_hold(expression, evidence)
        result = self._script.run(evidence.arguments, evidence.now_ms)
        if not isinstance(result, bool):
            text = java_text(result)
            raise FieldError(f"Condition expression returned non-boolean value: '{text}'")
        return result

    def due_times(self, evidence: Evidence, progress: Progress) -> Iterator[int]:
        """When the verdict may change without an event."""
        condition = self.config.condition
        if condition.type == "DURATION" and progress.since_ms:
            yield progress.since_ms + self.required_ms(evidence)
        for each in condition.expression.filters:
            for predicate in _all_predicates(each.predicates):
                single = evidence.arguments.singles.get(each.argument)
                if predicate.type == "NO_DATA" and single is not None:
                    yield single.ts + _silence_ms(predicate, evidence)
        schedule = condition.schedule
        if schedule is not None and _hours(schedule, evidence).type != "ANY_TIME":
            yield evidence.now_ms + evidence.reevaluation_ms

    def details(self, evidence: Evidence, old: Any) -> Any:
        """The alarm's details; the old ones where the rule has none of its own."""
        details: dict[str, Any] = {}
        if self.config.alarm_details:
            text = self.config.alarm_details
            for name, single in evidence.arguments.singles.items():
                text = text.replace("${" + name + "}", java_text(single.value))
            details["data"] = text
        if self.config.dashboard_id:
            details["dashboardId"] = str(self.config.dashboard_id.id)
        return details or old


def _reached(yes: bool) -> Verdict:
    return Verdict.TRUE if yes else Verdict.NOT_YET


def _hours(schedule: HoursValue | None, evidence: Evidence) -> Hours:
    if schedule is None:
        return Hours()
    if not schedule.dynamic_value_argument:
        return schedule.static_value or Hours()
    value = evidence.value(schedule.dynamic_value_argument)
    try:
        body = decode_json(value) if isinstance(value, str) else value
        return msgspec.convert(body, Hours, strict=False)
    except ValueError:
        name = schedule.dynamic_value_argument
        raise FieldError(f"No proper value found for argument {name}") from None


def _filters_hold(expression: Condition, evidence: Evidence) -> bool:
    join = all if expression.operation == "AND" else any
    return join(_filter_holds(each, evidence) for each in expression.filters)


def _filter_holds(each: Filter, evidence: Evidence) -> bool:
    join = all if each.operation == "AND" else any
    return join(_holds(one, each, evidence) for one in each.predicates)


def _holds(predicate: Predicate, each: Filter, evidence: Evidence) -> bool:
    if predicate.type == "COMPLEX":
        join = all if predicate.operation == "AND" else any
        return join(_holds(one, each, evidence) for one in predicate.predicates)
    single = evidence.arguments.singles.get(each.argument)
    if single is None:
        return False
    if predicate.type == "NO_DATA":
        return evidence.now_ms - single.ts >= _silence_ms(predicate, evidence)
    if predicate.type == "NUMERIC":
        wanted = evidence.number(predicate.value)
        return compare_numbers(predicate.operation, comparable(single.value), wanted)
    right = evidence.resolve(predicate.value)
    if right is None:
        raise FieldError(f"No proper value found for argument {each.argument}")
    if predicate.type == "BOOLEAN":
        return compare_booleans(predicate.operation, single.value, right)
    left = java_text(single.value)
    return compare_texts(predicate.operation, left, java_text(right), predicate.ignore_case)


def _silence_ms(predicate: Predicate, evidence: Evidence) -> int:
    return int(evidence.number(predicate.duration) * UNIT_MS[predicate.unit])


def _all_predicates(predicates: list[Predicate]) -> Iterator[Predicate]:
    for predicate in predicates:
        yield predicate
        yield from _all_predicates(predicate.predicates)
