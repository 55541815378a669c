"""Judging one alarm rule of a calculated field over its arguments (spec/rule-engine.md §6.2).

Pure. A rule with a duration counts from the time of the first event that made it true, by the
clock: an old event may fire at once, one in the future waits. A rule that repeats counts events.
NO_DATA looks at how old an argument is. A rule outside its schedule is false; whether it is in it
is asked of the time of the event. Where only time passed, a rule may fire if its duration is over,
its schedule has begun, or it looks for silence; it never starts over by that, and a duration is
over once, so that the rules after it are judged.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from enum import Enum
from typing import Any

import msgspec

from appliance.fields.arguments import Arguments, Single
from appliance.fields.cell import FieldError
from appliance.fields.config import AlarmRule, Condition, Filter, HoursValue, Predicate, RuleValue
from appliance.fields.numbers import double_of
from appliance.fields.scripting import FieldScript
from appliance.model.telemetry import Value
from appliance.rules.conditions import (
    DAY_MS,
    UNIT_MS,
    Hours,
    compare_booleans,
    compare_numbers,
    compare_texts,
)
from appliance.rules.values import decode_json, java_text

EVER_MS = 1_000 * 365 * DAY_MS
"""The longest time that is waited for."""
_WHOLE_MAX = 1e18
_UNIT_NS = {name: ms * 1_000_000 for name, ms in UNIT_MS.items()} | {
    "NANOSECONDS": 1,
    "MICROSECONDS": 1_000,
    "MILLISECONDS": 1_000_000,
}


class Verdict(Enum):
    """What a rule says: fires, may still fire, or starts over."""

    TRUE = "true"
    NOT_YET = "not yet"
    FALSE = "false"


class Progress(msgspec.Struct):
    """How far a rule has come. since_ms: event time of the first true event, 0 = none.

    active: whether it was in its schedule when it was judged last. lasted: whether its duration
    was over then.
    """

    count: int = 0
    since_ms: int = 0
    active: bool | None = None
    lasted: bool = False

    def reset(self) -> None:
        """Start over."""
        self.count = self.since_ms = 0
        self.lasted = False


class Evidence(msgspec.Struct, frozen=True):
    """What a rule is judged by. is_event: something came. by_clock: only time passed.

    reevaluation_ms: how often schedules are looked at.
    """

    arguments: Arguments
    now_ms: int
    is_event: bool
    by_clock: bool
    reevaluation_ms: int = 60_000

    def single(self, name: str) -> Single:
        """An argument. Raises FieldError where there is none."""
        single = self.arguments.singles.get(name)
        if single is None:
            raise FieldError(f"Argument '{name}' is missing")
        return single

    def resolve(self, value: RuleValue) -> Any:
        """A value given, or that of an argument. Raises FieldError."""
        if value.dynamic_value_argument:
            return self.single(value.dynamic_value_argument).value
        return value.static_value

    def number(self, value: RuleValue) -> float:
        """The same as a number. Raises FieldError where it is none."""
        number = double_of(self.resolve(value))
        if number is None:
            name = value.dynamic_value_argument
            raise FieldError(f"No proper value found for argument {name}")
        return number

    def whole(self, value: RuleValue) -> int:
        """The same cut to a whole number, as Java cuts it. Raises FieldError."""
        number = self.number(value)
        return 0 if math.isnan(number) else int(max(-_WHOLE_MAX, min(number, _WHOLE_MAX)))

    def milliseconds(self, value: RuleValue, unit: str) -> int:
        """The same as a time of whole units; 0 and less never pass. Raises FieldError."""
        return min(self.whole(value) * _UNIT_NS[unit] // 1_000_000, EVER_MS)


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
        at_ms, was_active = evidence.now_ms, progress.active
        if evidence.is_event:
            at_ms = evidence.arguments.latest_ts(at_ms)
        hours = _hours(self.config.condition.schedule, evidence)
        progress.active = hours.contain(at_ms)
        if not evidence.by_clock:
            return self._judged(evidence, progress) if progress.active else Verdict.FALSE
        if self.config.condition.type == "DURATION":
            if not progress.active:
                return Verdict.FALSE
            return Verdict.NOT_YET if progress.lasted else self._lasted(evidence, progress)
        has_begun = hours.type != "ANY_TIME" and not was_active
        if progress.active and (has_begun or self._looks_for_silence):
            return _reached(self._judged(evidence, progress) is Verdict.TRUE)
        return Verdict.NOT_YET

    def _judged(self, evidence: Evidence, progress: Progress) -> Verdict:
        condition = self.config.condition
        if not self._holds(evidence):
            return Verdict.FALSE
        if condition.type == "REPEATING":
            progress.count += evidence.is_event
            return _reached(0 < evidence.whole(condition.count) <= progress.count)
        if condition.type == "DURATION":
            progress.since_ms = progress.since_ms or evidence.arguments.latest_ts(evidence.now_ms)
            return self._lasted(evidence, progress)
        return Verdict.TRUE

    def _lasted(self, evidence: Evidence, progress: Progress) -> Verdict:
        elapsed_ms = evidence.now_ms - progress.since_ms
        progress.lasted = progress.since_ms > 0 and 0 < self._required_ms(evidence) <= elapsed_ms
        return _reached(progress.lasted)

    def _required_ms(self, evidence: Evidence) -> int:
        """How long the condition of a DURATION rule must be true."""
        condition = self.config.condition
        return evidence.milliseconds(condition.value, condition.unit)

    @property
    def _looks_for_silence(self) -> bool:
        filters = self.config.condition.expression.filters
        return any(
            one.type == "NO_DATA" for each in filters for one in _all_predicates(each.predicates)
        )

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
            yield progress.since_ms + self._required_ms(evidence)
        for each in condition.expression.filters:
            for predicate in _all_predicates(each.predicates):
                if predicate.type == "NO_DATA":
                    yield evidence.single(each.argument).ts + _silence_ms(predicate, evidence)
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
    name = schedule.dynamic_value_argument
    value = evidence.single(name).value
    try:
        body = decode_json(value) if isinstance(value, str) else value
        if isinstance(body, dict) and "type" not in body:
            body = {"type": _deduced(body), **body}
        return msgspec.convert(body, Hours, strict=False)
    except ValueError:
        raise FieldError(f"No proper value found for argument {name}") from None


def _deduced(hours: dict[str, Any]) -> str | None:
    """The type of a schedule that does not say it; any time, where it says nothing."""
    if "daysOfWeek" in hours:
        return "SPECIFIC_TIME"
    if "items" in hours:
        return "CUSTOM"
    return None if hours else "ANY_TIME"


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
    single = evidence.single(each.argument)
    if predicate.type == "NO_DATA":
        return 0 < _silence_ms(predicate, evidence) <= evidence.now_ms - single.ts
    if predicate.type == "NUMERIC":
        found = double_of(single.value)
        wanted = None if found is None else evidence.number(predicate.value)
        return compare_numbers(predicate.operation, found, wanted)
    right = evidence.resolve(predicate.value)
    if right is None:
        raise FieldError(f"No proper value found for argument {each.argument}")
    if predicate.type == "BOOLEAN":
        return compare_booleans(predicate.operation, _truth(single.value), _truth(right))
    left = java_text(single.value)
    return compare_texts(predicate.operation, left, java_text(right), predicate.ignore_case)


def _truth(value: Value) -> bool:
    """A value as a boolean: a number unless it is 0; text where it says so; never JSON."""
    return value != 0 if isinstance(value, int | float) else str(value).lower() == "true"


def _silence_ms(predicate: Predicate, evidence: Evidence) -> int:
    return evidence.milliseconds(predicate.duration, predicate.unit)


def _all_predicates(predicates: list[Predicate]) -> Iterator[Predicate]:
    for predicate in predicates:
        yield predicate
        yield from _all_predicates(predicate.predicates)
