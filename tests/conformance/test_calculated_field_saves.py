"""Which configurations of calculated fields are saved, beyond the recorded cases.

A row is a good configuration with one place changed, and why a server would not have it.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.conformance.field_case import Case
from tests.conformance.field_probe import CONDITION, GOOD, ZONE, latest

ABSENT = object()


def changed(type: str, path: str, value: Any) -> dict[str, Any]:
    """The good configuration of a type with one place changed."""
    configuration: Any = {"type": type, **copy.deepcopy(GOOD[type])}
    *way, last = path.split("/")
    at = configuration
    for step in way:
        at = at[int(step)] if isinstance(at, list) else at[step]
    if value is ABSENT:
        del at[last]
    else:
        at[last] = value
    return dict(configuration)


async def refusal(
    type: str, configuration: dict[str, Any], owner: str = "$device", name: str = "f"
) -> str | None:
    """Why a server would not save it."""
    setup = [
        {"entity": "$device", "entityType": "DEVICE"},
        {"entity": "$asset", "entityType": "ASSET"},
        {"entity": "$customer", "entityType": "CUSTOMER"},
    ]
    field = {"entityId": owner, "type": type, "name": name, "configuration": configuration}
    case = Case({"type": type, "name": name, "setup": setup, "calculatedField": field})
    for step in setup:
        await case.set_up(step)
    return case.refusal()


MISSING = "11111111-1111-1111-1111-111111111111"
CONDITION_AT = "createRules/MAJOR/condition"
FILTER_AT = f"{CONDITION_AT}/expression/filters/0"
PREDICATE_AT = f"{FILTER_AT}/predicates/0"
EITHER = "Validation error: Either staticValue or dynamicValueArgument must be set"
REFRESH = "Scheduled update interval is less than configured minimum allowed interval"
BUNDLE = "Deduplication interval is less than configured minimum allowed interval"
BAD_ZONE = "Invalid timezone in interval: "


def null(name: str) -> str:
    """What a server says of a key without a value."""
    return f"Validation error: {name} must not be null"


@pytest.mark.parametrize(
    ("type", "path", "value", "reason"),
    [
        ("SIMPLE", "expression", 5, None),  # a number for text, and the other way
        ("SIMPLE", "output/decimalsByDefault", "2", None),
        ("SIMPLE", "output/decimalsByDefault", 1.5, None),
        ("SIMPLE", "output/decimalsByDefault", "x", "bad configuration"),
        ("SIMPLE", "useLatestTs", "yes", "bad configuration"),
        ("SIMPLE", "output/scope", "FOO", "bad configuration"),
        ("SIMPLE", "arguments/a/refEntityKey/scope", "FOO", "bad configuration"),
        ("SIMPLE", "arguments/a/defaultValue", {}, "bad configuration"),
        ("SIMPLE", "arguments/a/refEntityKey", ABSENT, None),  # saved, though it never runs
        ("SCRIPT", "arguments/a/refEntityKey/key", ABSENT, None),
        (
            *("PROPAGATION", "arguments/a/refEntityKey", ABSENT),
            "Argument: 'a' doesn't have reference entity key configured!",
        ),
        ("RELATED_ENTITIES_AGGREGATION", "metrics/m/input", ABSENT, None),
        ("RELATED_ENTITIES_AGGREGATION", "metrics/m/function", ABSENT, None),
        ("ENTITY_AGGREGATION", "metrics/m/input", ABSENT, "Metric key can only refer to argument."),
        ("SIMPLE", "type", ABSENT, "JSON parse error"),
        ("SIMPLE", "type", "SCRIPT", None),
        ("SIMPLE", "type", ["SCRIPT"], "unknown type"),
        (
            *("SIMPLE", "arguments/a/refEntityId", {"entityType": "DEVICE", "id": MISSING}),
            f"Device with id [{MISSING}] is not found",
        ),
        (
            *("SIMPLE", "arguments/a/refEntityId", {"entityType": "USER", "id": MISSING}),
            "Calculated fields do not support 'USER' for referenced entities.",
        ),
        ("SIMPLE", "arguments/a/refEntityId", "$asset", None),
        ("GEOFENCING", "zoneGroups", ABSENT, null("zoneGroups")),
        ("GEOFENCING", "zoneGroups", {}, None),
        (
            *("GEOFENCING", "zoneGroups/z/refEntityId", {"entityType": "ASSET", "id": MISSING}),
            f"Asset with id [{MISSING}] is not found",
        ),
        (
            *("GEOFENCING", "zoneGroups/z/perimeterKeyName", " "),
            "Validation error: perimeterKeyName must not be blank",
        ),
        (
            *("GEOFENCING", "zoneGroups/z", {**ZONE, "createRelationsWithMatchedZones": True}),
            "Relation type must be specified for 'z' zone group!",
        ),
        ("GEOFENCING", "scheduledUpdateEnabled", True, REFRESH),
        ("GEOFENCING", "scheduledUpdateInterval", 5, None),
        ("PROPAGATION", "relation", ABSENT, null("relation")),
        ("PROPAGATION", "relation/direction", ABSENT, "Direction must be specified!"),
        (
            *("PROPAGATION", "arguments/propagationCtx", latest("a")),
            "Argument name 'propagationCtx' is reserved and cannot be used.",
        ),
        ("RELATED_ENTITIES_AGGREGATION", "deduplicationIntervalInSec", ABSENT, BUNDLE),
        ("RELATED_ENTITIES_AGGREGATION", "scheduledUpdateInterval", ABSENT, REFRESH),
        ("RELATED_ENTITIES_AGGREGATION", "scheduledUpdateInterval", 9, REFRESH),
        ("ENTITY_AGGREGATION", "interval/durationSec", ABSENT, null("durationSec")),
        (
            *("ENTITY_AGGREGATION", "interval/durationSec", 0),
            "Validation error: durationSec must be greater than or equal to 1",
        ),
        (
            *("ENTITY_AGGREGATION", "watermark", {"duration": -1}),
            "Validation error: duration must be greater than or equal to 0",
        ),
        ("ENTITY_AGGREGATION", "interval/tz", "UTC+2", None),  # an offset is a zone
        ("ENTITY_AGGREGATION", "interval/tz", "-03:30", None),
        ("ENTITY_AGGREGATION", "interval/tz", "+19:00", f"{BAD_ZONE}Invalid ID for ZoneOffset"),
        ("ENTITY_AGGREGATION", "interval/tz", "a b", f"{BAD_ZONE}Invalid ID for region-based"),
        ("ENTITY_AGGREGATION", "interval/tz", "Europe", f"{BAD_ZONE}Unknown time-zone ID: Europe"),
        ("ENTITY_AGGREGATION", "interval/tz", "Mars/X", f"{BAD_ZONE}Unknown time-zone ID: Mars/X"),
        ("ALARM", "arguments/ctx", latest("c"), None),
        ("ALARM", f"{CONDITION_AT}/expression", ABSENT, null("expression")),
        ("ALARM", f"{FILTER_AT}/valueType", ABSENT, null("valueType")),
        ("ALARM", f"{FILTER_AT}/valueType", "FOO", "bad configuration"),
        ("ALARM", f"{PREDICATE_AT}/operation", ABSENT, null("operation")),
        ("ALARM", f"{PREDICATE_AT}/operation", "CONTAINS", "JSON parse error"),
        ("ALARM", f"{PREDICATE_AT}/value", ABSENT, null("value")),
        ("ALARM", f"{PREDICATE_AT}/value", {}, EITHER),
        ("ALARM", f"{PREDICATE_AT}/value", {"staticValue": "x"}, "JSON parse error"),
        ("ALARM", f"{PREDICATE_AT}/value", {"staticValue": "5"}, None),
        ("ALARM", f"{FILTER_AT}/predicates", [{"type": "NO_DATA"}], null("unit")),
        ("ALARM", CONDITION_AT, {**CONDITION, "type": "DURATION"}, null("unit")),
        ("ALARM", CONDITION_AT, {**CONDITION, "type": "REPEATING"}, null("count")),
        (
            *(
                "ALARM",
                CONDITION_AT,
                {**CONDITION, "type": "REPEATING", "count": {"staticValue": "x"}},
            ),
            "JSON parse error",
        ),
        ("ALARM", f"{CONDITION_AT}/schedule", {}, EITHER),
        ("ALARM", "createRules/MAJOR/dashboardId", {"id": MISSING}, None),
    ],
)
async def test_what_is_saved_and_what_not(
    type: str, path: str, value: Any, reason: str | None
) -> None:
    said = await refusal(type, changed(type, path, value))
    assert said is None if reason is None else (said or "").startswith(reason)


@pytest.mark.parametrize("type", GOOD)
async def test_a_customer_has_alarm_rules_only(type: str) -> None:
    said = await refusal(type, {"type": type, **GOOD[type]}, owner="$customer")
    text = f"Entity type 'CUSTOMER' does not support '{type}' calculated fields"
    assert said == (None if type == "ALARM" else text)


@pytest.mark.parametrize(("length", "is_saved"), [(0, True), (255, True), (256, False)])
async def test_a_name_has_255_characters_at_most(length: int, is_saved: bool) -> None:
    said = await refusal("SIMPLE", {"type": "SIMPLE", **GOOD["SIMPLE"]}, name="x" * length)
    assert (said is None) is is_saved
