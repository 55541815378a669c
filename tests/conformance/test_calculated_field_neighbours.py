"""Calculated fields beyond the recorded cases: what a server's own rules say of their neighbours.

A row is one value, script or expression with what comes of it. The recorded cases are in
test_calculated_field_corpus.py; alarms and refused configurations have modules of their own.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.field_case import NOW_MS
from tests.conformance.field_probe import (
    GOOD,
    SERIES,
    T0,
    attribute,
    came,
    latest,
    newest,
    points,
    window,
)

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


@pytest.mark.parametrize(
    ("value", "decimals", "result"),
    [
        (6e9, 0, 6_000_000_000),
        (1e19, 0, 1e19),  # not an integer of 64 bits
        (-2.5, 0, -3),
        (1234.5, -2, 1200.0),
        (1234.5, -5, 0.0),
        (0.1, 20, 0.1),
    ],
)
async def test_a_result_is_rounded(value: float, decimals: int, result: Any) -> None:
    output = {**SERIES, "name": "o", "decimalsByDefault": decimals}
    configuration = {"arguments": {"a": latest("a")}, "expression": "a*1", "output": output}
    found = newest(await came("SIMPLE", configuration, {"a": value}), "o")
    assert (type(found), found) == (type(result), result)


async def test_defaults_keep_their_time_when_the_field_changes() -> None:
    arguments = {"a": latest("a", defaultValue="4")}
    configuration = {"arguments": arguments, "expression": "a*2", "useLatestTs": True}
    change = {"to": "$cf", "kind": "update configuration", "body": {"expression": "a*3"}}
    case = await came("SIMPLE", configuration, change)
    assert [value for _, value in points(case, "o")] == [12.0]


async def test_arithmetic_takes_no_window() -> None:
    arguments = {"a": latest("a"), "w": window("a")}
    case = await came("SIMPLE", {"arguments": arguments, "expression": "a"}, {"a": 1})
    assert newest(case, "o") is None


@pytest.mark.parametrize(
    ("changes", "results"),
    [
        ({"name": "g"}, 1),  # a name calculates nothing
        ({"additionalInfo": {"description": "x"}}, 1),
        ({"configuration": {"clearRule": None, "useLatestTs": False}}, 1),
        ({"configuration": {"expression": "a*3"}}, 2),
    ],
)
async def test_what_lets_a_field_calculate_again(changes: dict[str, Any], results: int) -> None:
    configuration = {"arguments": {"a": latest("a")}, "expression": "a*2"}
    case = await came("SIMPLE", configuration, {"a": 3})
    field = case.fields[0]
    more = {**field["configuration"], **changes.get("configuration", {})}
    id = case.known["$cf"].id
    await case.bench.write("CALCULATED_FIELD", id, {**field, **changes, "configuration": more})
    assert len(points(case, "o")) == results


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


# what becomes of deleted values ------------------------------------------------------------------

GONE = {"to": "$device", "kind": "delete-attributes/SERVER_SCOPE", "body": "k"}
SET = {"to": "$device", "kind": "attributes/SERVER_SCOPE", "body": {"k": 2}}


@pytest.mark.parametrize(("default", "sums"), [(None, [3.0, 7.0]), ("10", [3.0, 11.0, 15.0])])
async def test_a_deleted_attribute_leaves_its_default_or_what_it_was(
    default: str | None, sums: list[float]
) -> None:
    arguments = {"a": latest("a"), "k": attribute("k", defaultValue=default)}
    configuration = {"arguments": arguments, "expression": "a+k"}
    case = await came("SIMPLE", configuration, SET, {"a": 1}, GONE, {"a": 5})
    assert [value for _, value in points(case, "o")] == sums


async def test_the_default_of_a_deleted_attribute_is_as_new_as_its_deletion() -> None:
    arguments = {"a": latest("a"), "k": attribute("k", defaultValue="10")}
    configuration = {"arguments": arguments, "expression": "a+k", "useLatestTs": True}
    case = await came("SIMPLE", configuration, SET, {"ts": T0, "values": {"a": 1}}, GONE)
    (_, first), (deleted_ms, last) = points(case, "o")
    assert (first, last) == (3.0, 11.0)
    assert deleted_ms > NOW_MS


# other types -------------------------------------------------------------------------------------

CHILDREN: tuple[dict[str, Any], ...] = (
    {"entity": "$asset", "entityType": "ASSET"},
    {"entity": "$one", "entityType": "DEVICE"},
    {"entity": "$two", "entityType": "DEVICE"},
    {"relation": {"from": "$asset", "to": "$one", "type": "Contains"}},
    {"relation": {"from": "$asset", "to": "$two", "type": "Contains"}},
)


async def aggregate(
    function: str, first: Any, second: Any, *, given: str | None = None, only: str | None = None
) -> Any:
    """A metric over two devices; given: a script for its input. only: its filter."""
    source = {"type": "function", "function": given} if given else {"type": "key", "key": "t"}
    values = (("$one", first, T0), ("$two", second, T0 + 1000))
    sent = tuple(
        {"to": place, "kind": "timeseries", "body": {"ts": ts, "values": {"t": value}}}
        for place, value, ts in values
        if value is not None
    )
    configuration = {
        **GOOD["RELATED_ENTITIES_AGGREGATION"],
        "relation": {"direction": "FROM", "relationType": "Contains"},
        "arguments": {"t": latest("t")},
        "metrics": {"m": {"function": function, "input": source, "filter": only}},
    }
    case = await came(
        "RELATED_ENTITIES_AGGREGATION", configuration, setup=CHILDREN + sent, owner="$asset"
    )
    return newest(case, "m", "$asset")


@pytest.mark.parametrize(
    ("function", "first", "second", "more", "result"),
    [
        # the newest time is that of all entities
        ("MIN", 1, 4, {"given": "return ctx.latestTs;"}, T0 + 1000),
        # of what an entity has not there is null, at no time
        ("COUNT", 5, None, {"only": "return ctx.args.t.value == null;"}, 0),
        ("SUM", 5, None, {"given": "return ctx.args.t.ts < 0 ? 100 : ctx.args.t.value;"}, 105.0),
        ("COUNT", 5, 6, {"only": "return 'true';"}, 0),
        ("MAX", "Infinity", 1, {}, "Infinity"),
        ("MIN", "NaN", 1, {}, 1.0),
        ("SUM", "NaN", 1, {}, None),
        ("SUM", "1e3", 1, {}, 1001.0),
        ("COUNT_UNIQUE", True, "true", {}, 1),
    ],
)
async def test_an_aggregate_of_two(
    function: str, first: Any, second: Any, more: dict[str, str], result: Any
) -> None:
    assert await aggregate(function, first, second, **more) == result


@pytest.mark.parametrize("broken", [{"function": "SUM"}, {"input": {"type": "key", "key": "t"}}])
async def test_a_metric_without_a_part_spoils_the_others(broken: dict[str, Any]) -> None:
    count = {"function": "COUNT", "input": {"type": "key", "key": "t"}}
    configuration = {
        **GOOD["RELATED_ENTITIES_AGGREGATION"],
        "relation": {"direction": "FROM", "relationType": "Contains"},
        "arguments": {"t": latest("t")},
        "metrics": {"m": broken, "c": count},
    }
    type = "RELATED_ENTITIES_AGGREGATION"
    case = await came(type, configuration, setup=CHILDREN, owner="$asset")
    assert newest(case, "c", "$asset") is None


async def test_an_argument_that_names_no_key_never_comes() -> None:
    arguments = {"a": latest("a"), "b": {}}
    case = await came("SIMPLE", {"arguments": arguments, "expression": "a"}, {"a": 1})
    assert newest(case, "o") is None


HANDED_ON = {
    **GOOD["PROPAGATION"],
    "arguments": {"a": latest("a"), "b": latest("b", defaultValue="7")},
    "output": SERIES,
}
PARENT: tuple[dict[str, Any], ...] = (
    {"entity": "$asset", "entityType": "ASSET"},
    {"relation": {"from": "$asset", "to": "$device", "type": "Contains"}},
)


async def test_what_is_handed_on_is_as_new_as_the_newest_argument() -> None:
    sends = (
        {"to": "$device", "kind": "timeseries", "body": {"ts": T0, "values": {"a": 1}}},
        {"to": "$device", "kind": "timeseries", "body": {"ts": T0 + 1000, "values": {"b": 2}}},
    )
    case = await came("PROPAGATION", HANDED_ON, setup=PARENT + sends)
    assert points(case, "a", "$asset") == [(T0 + 1000, 1)]
    assert points(case, "b", "$asset") == [(T0 + 1000, 2)]


async def test_a_default_is_handed_on_and_makes_nothing_newer() -> None:
    case = await came("PROPAGATION", HANDED_ON, {"ts": T0, "values": {"a": 1}}, setup=PARENT)
    assert points(case, "a", "$asset") == [(T0, 1)]
    assert [value for _, value in points(case, "b", "$asset")] == [7.0]


async def test_an_entity_that_comes_back_gets_what_came_meanwhile() -> None:
    link = {"to": "$device", "type": "Contains"}
    case = await came(
        "PROPAGATION",
        {**GOOD["PROPAGATION"], "output": SERIES},
        {"ts": T0, "values": {"a": 1}},
        {"to": "$asset", "kind": "delete relation", "body": link},
        {"ts": T0 + 1000, "values": {"a": 2}},
        {"to": "$asset", "kind": "relation", "body": link},
        setup=PARENT,
    )
    assert points(case, "a", "$asset") == [(T0, 1), (T0 + 1000, 2)]


@pytest.mark.parametrize(("radius", "status"), [(2000, "INSIDE"), (2, "OUTSIDE")])
async def test_a_radius_is_in_metres_whatever_it_says(radius: int, status: str) -> None:
    circle = {"latitude": 50.5, "longitude": 30.5, "radius": radius, "radiusUnit": "KILOMETER"}
    setup = (
        {"entity": "$asset", "entityType": "ASSET"},
        {"to": "$asset", "kind": "attributes/SERVER_SCOPE", "body": {"p": circle}},
    )
    case = await came("GEOFENCING", GOOD["GEOFENCING"], {"lat": 50.5, "lon": 30.52}, setup=setup)
    assert newest(case, "zStatus") == status
