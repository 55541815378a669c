"""Numbers and places beyond the recorded cases: math function, calculate delta, geofencing."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.model.telemetry import Scope
from tests.conformance.rule_node_site import FAILURE, FALSE, REFUSED, SUCCESS, TRUE, Site


def math_node(operation: str, digits: int, *arguments: Any, **result: Any) -> dict[str, Any]:
    named = [
        {"name": name, "type": "CONSTANT", "key": value}
        for name, value in zip("xyz", arguments, strict=False)
    ]
    into = {"type": "MESSAGE_BODY", "key": "r", "resultValuePrecision": digits, **result}
    return {"operation": operation, "arguments": named, "result": into}


LONG_MAX = 2**63 - 1
MATH: list[tuple[dict[str, Any], Any]] = [
    (math_node("ADD", 1, 1.25, 1), 2.3),  # the UI stores a constant as a number
    (math_node("SQRT", 0, -1), 0),  # cut to a long, NaN is 0 and Infinity the largest
    (math_node("DIV", 0, 1, 0), LONG_MAX),
    (math_node("LOG", 0, 0), -LONG_MAX - 1),
    (math_node("EXP", 0, 1000), LONG_MAX),
    (math_node("EXP", 2, 1000), FAILURE),
    (math_node("POW", 0, -2, 0.5), 0),
    (math_node("POW", 0, -10, 309), -LONG_MAX - 1),
    (math_node("FLOOR_DIV", 1, -7, 2), -4.0),
    (math_node("FLOOR_DIV", 1, 7, 0.9), FAILURE),
    (math_node("FLOOR_MOD", 1, -7, 2), 1.0),
    (math_node("GET_EXP", 3, 0), -1023),
    (math_node("GET_EXP", 3, 1e-310), -1023),
    (math_node("CBRT", 3, 27), 3.0),
    (math_node("COSH", 0, -1000), LONG_MAX),
    (math_node("SIGNUM", 2, 0), 0.0),
    (math_node("MULT", 2, "1e30", "1"), 1e30),
    (math_node("ADD", -1, 14, 1), 20.0),
    (math_node("ADD", 1, "x", 1), FAILURE),
    (math_node("ADD", 0, "9" * 400, 1), LONG_MAX),
    (math_node("ADD", 1, "1_0", 1), FAILURE),
    (math_node("ADD", 1, " 1.5 ", "2f"), 3.5),
    (math_node("ADD", 1, 1), REFUSED),
    (math_node("SIN", 1, 1, 2), REFUSED),
    ({**math_node("CUSTOM", 2, 2, 3), "customFunction": "x^y"}, 8.0),
    ({**math_node("CUSTOM", 2, 4), "customFunction": "pow(0,0-x)"}, FAILURE),
    ({**math_node("CUSTOM", 2), "customFunction": "6*7"}, 42.0),
    ({**math_node("CUSTOM", 2, 4), "customFunction": "  "}, REFUSED),
    ({**math_node("CUSTOM", 2, 4), "customFunction": "x" + "+x" * 200}, REFUSED),
]


@pytest.mark.parametrize(("configuration", "expected"), MATH)
async def test_math(configuration: dict[str, Any], expected: Any) -> None:
    outcome = await Site("math.TbMathNode", configuration).outcome({}, {})
    if expected is REFUSED:
        assert outcome is REFUSED
    elif expected is FAILURE:
        assert outcome[0] == FAILURE
    else:
        assert (outcome[0], repr(outcome[1]["r"])) == (SUCCESS, repr(expected))


@pytest.mark.parametrize("source", ["MESSAGE_BODY", "MESSAGE_METADATA"])
async def test_a_blank_text_is_no_argument_and_the_default_holds(source: str) -> None:
    argument = {"name": "x", "type": source, "key": "v", "defaultValue": 4}
    configuration = {**math_node("SQRT", 1), "arguments": [argument]}
    site = Site("math.TbMathNode", configuration)
    assert await site.outcome({"v": " "}, {"v": ""}) == (SUCCESS, {"v": " ", "r": 2.0}, {})


async def test_a_point_is_exact_an_attribute_rounded_and_both_have_the_key_as_typed() -> None:
    saved: list[Any] = []
    for type in ("TIME_SERIES", "ATTRIBUTE"):
        for digits in (0, 1):
            result = {"type": type, "key": "${k}", "addToMetadata": True}
            site = Site("math.TbMathNode", math_node("DIV", digits, 11, 4, **result))
            assert (await site.outcome({}, {"k": "q"}))[2] == {"q": "2" if not digits else "2.8"}
            points = site.bench.history.points.get(site.device, {}).get("${k}", {})
            stored = site.bench.state.attributes(site.device, Scope.SERVER)
            saved += [*points.values(), *(one.value for one in stored.values())]
    assert repr(saved) == "[2.75, 2.75, 2, 2.8]"


DELTA = {"inputValueKey": "v", "outputValueKey": "d", "useCache": True}


@pytest.mark.parametrize(
    ("first", "second", "more", "expected"),
    [
        (0, True, {}, 1),
        ("7", " 9.5 ", {}, 2.5),
        ("7", "1_0", {}, -7),
        (0, 1e30, {}, FAILURE),
        (0, 1e30 + 0.0, {"round": 2}, FAILURE),
        (0.0, 1.005, {"round": 2}, 1.01),
        (0, 15, {"round": -1}, 20),
        (0, {"a": 1}, {}, 0),
        (0, 0.001, {"round": 2, "excludeZeroDeltas": True}, 0),
    ],
)
async def test_delta(first: Any, second: Any, more: dict[str, Any], expected: Any) -> None:
    site = Site("metadata.CalculateDeltaNode", {**DELTA, **more})
    await site.outcome({"v": first}, {})
    label, data, _ = await site.outcome({"v": second}, {})
    assert label == FAILURE if expected is FAILURE else repr(data["d"]) == repr(expected)


@pytest.mark.parametrize("lacks", ["inputValueKey", "outputValueKey", "periodValueKey"])
async def test_a_delta_without_its_keys_does_not_start(lacks: str) -> None:
    whole = {**DELTA, "addPeriodBetweenMsgs": True, "periodValueKey": "p", lacks: " "}
    assert await Site("metadata.CalculateDeltaNode", whole).outcome({}, {}) is REFUSED


def square(low: int, high: int) -> str:
    return f"[[{low},{low}],[{low},{high}],[{high},{high}],[{high},{low}]]"


GEO = "geo.TbGpsGeofencingFilterNode"
KEYS = {"latitudeKeyName": "lat", "longitudeKeyName": "lon"}
TOLD = {
    **KEYS,
    "perimeterType": "POLYGON",
    "fetchPerimeterInfoFromMessageMetadata": True,
    "perimeterKeyName": "p",
}
OLD = {**KEYS, "fetchPerimeterInfoFromMessageMetadata": True, "perimeterKeyName": None}
CIRCLE = {"centerLatitude": "5", "centerLongitude": "5", "range": "1", "rangeUnit": "KILOMETER"}


@pytest.mark.parametrize(
    ("perimeter", "expected"),
    [
        (f"[{square(0, 10)},{square(4, 15)}]", TRUE),  # areas that overlap are joined
        (f"[{square(0, 10)},{square(1, 9)},{square(4, 6)}]", FALSE),  # nothing is in a hole
        (f"[{square(0, 10)},{square(0, 10)}]", TRUE),
        (f"[{square(0, 10)},{square(5, 8)}]", FALSE),  # the hole's border belongs to it
        (f"[[{square(20, 30)}],[{square(0, 10)}]]", TRUE),
        # a border that two areas share is none, as far as there is one on either side
        ("[[[0,0],[5,10]],[[5,0],[10,10]]]", TRUE),
        ("[[[0,0],[5,5]],[[5,5],[10,10]],[[0,5],[5,10]],[[5,0],[10,5]]]", TRUE),
        ("[[[0,0],[5,5]],[[5,5],[10,10]],[[0,5],[5,10]]]", FALSE),
        ("[[[0,0],[5,10]],[[6,0],[10,10]]]", FALSE),
        ("[[0,0],[5,10]]", FALSE),
        ("[[5,5],[5,5]]", FALSE),
        # a slanted border is exact
        ("[[4.9,4.7],[5.1,5.3],[9,4]]", FALSE),
        ("[[4.9,4.7],[5.1000000000001,5.3],[9,4]]", FALSE),
        ("[[4.9,4.7],[5.0999999999999,5.3],[9,4]]", TRUE),
        # what a ring winds around twice is inside
        ("[[4,5],[7,9],[2,6],[8,6],[3,9]]", FALSE),
        ("[[0,0],[10,10],[0,10],[10,0],[5,12]]", FALSE),
        ("[[1,4],[9,4],[2,9],[5,1],[8,9]]", TRUE),
        ("[[0,0,100],[10,10,100]]", TRUE),
        ('[["0","0"],["10","10"]]', TRUE),
        ("[]", FALSE),
        ("[[5,5]]", FAILURE),
        ("[5,5]", FAILURE),
        ('{"latitude":5}', FAILURE),
    ],
)
async def test_a_polygon(perimeter: str, expected: str) -> None:
    told = await Site(GEO, TOLD).outcome({"lat": 5, "lon": 5}, {"p": perimeter})
    assert told[0] == expected
    fixed = {**KEYS, "perimeterType": "POLYGON", "polygonsDefinition": perimeter}
    assert (await Site(GEO, fixed).outcome({"lat": 5, "lon": 5}, {}))[0] == expected


@pytest.mark.parametrize(
    ("configuration", "data", "metadata", "expected"),
    [
        (OLD, {"lat": 5, "lon": 5}, {"perimeter": square(0, 9)}, TRUE),
        (OLD, {"lat": 5, "lon": 5.1}, CIRCLE, FALSE),
        (OLD, {"lat": 5, "lon": 5.001}, CIRCLE, TRUE),
        (OLD, {"lat": 5, "lon": 5}, {}, FAILURE),
        ({**TOLD, "perimeterType": None}, {"lat": 5, "lon": 5}, {"p": square(0, 9)}, FAILURE),
        ({**KEYS, "perimeterType": "POLYGON"}, {"lat": 5, "lon": 5}, {}, FAILURE),
        ({**KEYS, "perimeterType": "CIRCLE", "range": 1}, {"lat": 5, "lon": 5}, {}, FAILURE),
        ({**KEYS, "rangeUnit": "YARD"}, {"lat": 5, "lon": 5}, {}, REFUSED),
        (TOLD, {"lat": {}, "lon": 5}, {"p": square(0, 9), "lat": "5"}, TRUE),
        (TOLD, {"lat": True, "lon": 5}, {"p": square(0, 9), "lat": "5"}, FAILURE),
    ],
)
async def test_where_places_and_perimeters_come_from(
    configuration: dict[str, Any], data: Any, metadata: dict[str, str], expected: str
) -> None:
    outcome = await Site(GEO, configuration).outcome(data, metadata)
    assert (outcome if outcome is REFUSED else outcome[0]) == expected
