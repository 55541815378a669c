"""Calculated fields beyond the recorded cases: what a server's own rules say of their neighbours.

A row is one configuration, or one script or expression, with what comes of it. The recorded cases
are in test_calculated_field_corpus.py.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.conformance.field_case import NOW_MS, Case

T0 = NOW_MS - 60_000
SERIES = {"type": "TIME_SERIES"}
NOTHING: dict[str, Any] = {}


def latest(key: str, **more: Any) -> dict[str, Any]:
    """An argument: the newest value of a series."""
    return {"refEntityKey": {"key": key, "type": "TS_LATEST"}, **more}


def attribute(key: str, **more: Any) -> dict[str, Any]:
    """An argument: a server attribute."""
    scoped = {"key": key, "type": "ATTRIBUTE", "scope": "SERVER_SCOPE"}
    return {"refEntityKey": scoped, **more}


def window(key: str) -> dict[str, Any]:
    """An argument: the last hour of a series."""
    rolling = {"key": key, "type": "TS_ROLLING"}
    return {"refEntityKey": rolling, "limit": 1000, "timeWindow": 3_600_000}


async def came(
    type: str,
    configuration: dict[str, Any],
    *sends: dict[str, Any],
    setup: tuple[dict[str, Any], ...] = (),
    owner: str = "$device",
) -> Case:
    """A field at a device, and what was sent: values, or a step of a case."""
    named = {"name": "o"} if type == "SIMPLE" else {}
    output = {} if type == "ALARM" else {"output": {**SERIES, **named}}
    steps = [
        send
        if send.keys() & {"wait_s", "kind"}
        else {"to": "$device", "kind": "timeseries"} | {"body": send}
        for send in sends
    ]
    case = Case(
        {
            "type": type,
            "name": "f",
            "setup": [{"entity": "$device", "entityType": "DEVICE"}, *setup],
            "calculatedField": {
                "entityId": owner,
                "type": type,
                "name": "f",
                "configuration": {"type": type, **output, **configuration},
            },
            "sends": steps,
            "results": {},
        }
    )
    await case.run()
    return case


def points(case: Case, key: str, place: str = "$device") -> list[tuple[int, Any]]:
    """A series, oldest first."""
    return sorted(case.bench.history.points.get(case.known[place], {}).get(key, {}).items())


def newest(case: Case, key: str, place: str = "$device") -> Any:
    """A series' newest value; None where there is none."""
    return (points(case, key, place) or [(0, None)])[-1][1]


# SIMPLE ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("ab", 15.0),  # a word is the product of the names in it
        ("2ab", 30.0),
        ("a2", 6.0),
        ("12/ab", 20.0),  # and binds no closer than a sign
        ("a(b+1)", 18.0),
        ("2a(b)", 30.0),
        ("api", 9.42477796076938),
        ("abs(a)b", None),
        ("(a)b", None),
        ("a^-1", 1 / 3),
        ("[a+b]*2", 16.0),
        ("a*-b", -15.0),
        ("PI", None),
        ("min(a,b)", None),
        ("log(a,b)", None),
        ("a==b", None),
        ("a&&b", None),
        ("pow(a;b)", None),
    ],
)
async def test_an_expression_is_read_as_the_servers_library_reads_it(
    expression: str, result: Any
) -> None:
    arguments = {"a": latest("a"), "b": latest("b")}
    case = await came(
        "SIMPLE", {"arguments": arguments, "expression": expression}, {"a": 3, "b": 5}
    )
    assert newest(case, "o") == result


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ("NaN", "NaN"),  # Java's words for numbers
        ("-Infinity", "-Infinity"),
        ("1e5", 200_000.0),
        ("12f", 24.0),
        (" 7 ", 14.0),
        ("+5", 10.0),
        ("nan", None),
        ("1_000", None),
        ("", None),
        ([1], None),
    ],
)
async def test_text_is_the_number_that_java_reads_in_it(value: Any, result: Any) -> None:
    configuration = {"arguments": {"a": latest("a")}, "expression": "a*2"}
    assert newest(await came("SIMPLE", configuration, {"a": value}), "o") == result


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("5", 5.0),
        ("-5.25", -5.25),
        (".5", 0.5),
        (5, 5.0),
        (True, True),
        ("FALSE", False),
        (" 5 ", " 5 "),  # only plain digits are a number
        ("+5", "+5"),
        ("1e3", "1e3"),
        ("5.", "5."),
        ("-", "-"),
        ("  ", None),  # blank is none
    ],
)
async def test_a_default_is_a_number_a_boolean_or_text(given: Any, value: Any) -> None:
    arguments = {"a": latest("a"), "b": latest("b", defaultValue=given)}
    script = {"arguments": arguments, "expression": "return {'o': b};"}
    assert newest(await came("SCRIPT", script, {"a": 3}), "o") == value


async def test_defaults_keep_their_time_when_the_field_changes() -> None:
    arguments = {"a": latest("a", defaultValue="4")}
    configuration = {"arguments": arguments, "expression": "a*2", "useLatestTs": True}
    change = {"to": "$cf", "kind": "update configuration", "body": {"expression": "a*3"}}
    case = await came("SIMPLE", configuration, change)
    assert [value for _, value in points(case, "o")] == [12.0]


# SCRIPT ------------------------------------------------------------------------------------------

SINGLE = {"type": "SINGLE_VALUE", "ts": T0, "value": 3}


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("ctx.args.a", SINGLE),
        ("ctx.args", {"a": SINGLE}),
        ("ctx", {"latestTs": T0, "args": {"a": SINGLE}}),
        ("ctx.args.a.type", "SINGLE_VALUE"),
        ("ctx.args.a.getValue()", 3),
        ("ctx.args.a.getTs() == ctx.getLatestTs()", True),
        ("ctx.getArgs().a.value + 1", 4),
        ("ctx.args['a'].value", 3),
        ("ctx.args.size()", 1),
        ("ctx.args.b == null", True),
    ],
)
async def test_what_a_script_sees_of_a_value(expression: str, result: Any) -> None:
    script = {"arguments": {"a": latest("a")}, "expression": f"return {{'o': {expression}}};"}
    case = await came("SCRIPT", script, {"ts": T0, "values": {"a": 3}})
    assert newest(case, "o") == result


POINTS = [{"ts": T0, "value": 1.0}, {"ts": T0 + 1000, "value": 2.5}]
ROW = {"ts": T0 + 1000, "values": [2.5, 2.5]}


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("t.values[0]", POINTS[0]),
        ("t.values[1].value", 2.5),
        ("t.values[1].getTs() - t.values[0].ts", 1000),
        ("t.value.size()", 2),
        ("t.type", "TS_ROLLING"),
        ("t.timeWindow.getEndTs() - t.timeWindow.startTs", 3_600_000),
        ("t.timeWindow.matches(t.timeWindow.endTs)", False),
        ("t.merge(t).values[1]", ROW),  # as JSON without v1, v2
        ("t.merge(t).values[1].values", [2.5, 2.5]),
        ("t.merge(t).values[1].values[1] + 1", 3.5),
        ("t.merge(t).values[1].v2", 2.5),
        ("t.merge(t).values[1].v3", None),
        ("t.mergeAll([t, t, t, t, t]).values[0].values.length", 6),
        ("t.merge(t, {'timeWindow': t.timeWindow}).values.size()", 2),
        ("ctx.args.t.sum()", 3.5),
        ("t[0]", None),
        ("t.values", None),
    ],
)
async def test_what_a_script_sees_of_a_window(expression: str, result: Any) -> None:
    script = {"arguments": {"t": window("t")}, "expression": f"return {{'o': {expression}}};"}
    sends = [{"ts": point["ts"], "values": {"t": point["value"]}} for point in POINTS]
    assert newest(await came("SCRIPT", script, *sends), "o") == result


@pytest.mark.parametrize(
    ("values", "call", "result"),
    [
        (["x", "y"], "mean()", "NaN"),  # of nothing but text
        (["x", "y"], "std()", "NaN"),
        (["x", "y"], "sum()", 0.0),
        (["x", "y"], "count()", 0),
        (["x", "y"], "median()", None),
        (["x", "y"], "first()", None),
        (["x", "y"], "last(false)", "NaN"),
        (["x", 1, 2.5], "mean(false)", "NaN"),
        ([0.1] * 10, "sum()", 0.9999999999999999),  # one after the other
        ([1e200, -1e200], "std()", "Infinity"),
        ([True, False], "mean()", 0.5),
    ],
)
async def test_statistics_of_a_window(values: list[Any], call: str, result: Any) -> None:
    script = {"arguments": {"t": window("t")}, "expression": f"return {{'o': t.{call}}};"}
    sends = [{"ts": T0 + at, "values": {"t": value}} for at, value in enumerate(values)]
    assert newest(await came("SCRIPT", script, *sends), "o") == result


# what is saved -----------------------------------------------------------------------------------

GREATER = {"type": "NUMERIC", "operation": "GREATER", "value": {"staticValue": 1}}
FILTER = {"argument": "a", "valueType": "NUMERIC", "predicates": [GREATER]}
CONDITION = {"type": "SIMPLE", "expression": {"type": "SIMPLE", "filters": [FILTER]}}
ZONE = {
    "refEntityId": "$asset",
    "perimeterKeyName": "p",
    "reportStrategy": "REPORT_PRESENCE_STATUS_ONLY",
    "createRelationsWithMatchedZones": False,
}
OVER_A = {"arguments": {"a": latest("a")}, "output": {**SERIES, "name": "o"}}
SUM_OF_A = {"m": {"function": "SUM", "input": {"type": "key", "key": "a"}}}
ALONG = {"direction": "TO", "relationType": "Contains"}
GOOD: dict[str, dict[str, Any]] = {
    "SIMPLE": {**OVER_A, "expression": "a"},
    "SCRIPT": {**OVER_A, "expression": "return {};"},
    "GEOFENCING": {
        "entityCoordinates": {"latitudeKeyName": "lat", "longitudeKeyName": "lon"},
        "zoneGroups": {"z": ZONE},
        "output": SERIES,
    },
    "PROPAGATION": {**OVER_A, "relation": ALONG, "applyExpressionToResolvedArguments": False},
    "RELATED_ENTITIES_AGGREGATION": {
        **OVER_A,
        "relation": ALONG,
        "metrics": SUM_OF_A,
        "deduplicationIntervalInSec": 10,
        "scheduledUpdateInterval": 10,
    },
    "ENTITY_AGGREGATION": {
        **OVER_A,
        "metrics": SUM_OF_A,
        "interval": {"type": "CUSTOM", "tz": "UTC", "durationSec": 60},
    },
    "ALARM": {"arguments": {"a": latest("a")}, "createRules": {"MAJOR": {"condition": CONDITION}}},
}
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
        ("SIMPLE", "arguments/a/refEntityKey", ABSENT, null("refEntityKey")),
        ("SIMPLE", "type", ABSENT, "JSON parse error"),
        ("SIMPLE", "type", "SCRIPT", None),
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
