"""Rule nodes beyond the recorded cases: what a server's own rules say of their neighbours.

A row is one node with its configuration and one message of a device "D": the label and what came
out, or the reason why the node did not start. The recorded cases are in test_rule_node_corpus.py.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from appliance.model.telemetry import Scope
from appliance.rules.debug import DebugLog
from appliance.testing.rules import RuleBench
from plugins.rules_action import register_rule_nodes as action_nodes
from plugins.rules_enrich import register_rule_nodes as enrich_nodes
from plugins.rules_filter import register_rule_nodes as filter_nodes
from plugins.rules_transform import register_rule_nodes as transform_nodes

ROOT = "0e5d5a10-0000-11f0-8000-000000000003"
PACKAGE = "org.thingsboard.rule.engine."
FACTORIES = {
    **action_nodes().nodes,
    **enrich_nodes().nodes,
    **filter_nodes().nodes,
    **transform_nodes().nodes,
}
TELEMETRY = "POST_TELEMETRY_REQUEST"
FAILURE, SUCCESS, TRUE, FALSE = "Failure", "Success", "True", "False"
REFUSED = "the node did not start"


class Site:
    """A device in a room in a house, and one node in front of it."""

    def __init__(self, node: str, configuration: dict[str, Any], version: int | None) -> None:
        self.bench = RuleBench(FACTORIES)
        self.device = self.bench.add_device("D")
        room, house = (self.bench.add("ASSET", {"name": name}) for name in ("room", "house"))
        self.bench.relate(house, room)
        self.bench.relate(room, self.device)
        factory = FACTORIES[PACKAGE + node]
        self.node = self.bench.load_node(factory, configuration, version)
        root = {"id": {"entityType": "RULE_CHAIN", "id": ROOT}, "name": "root", "root": True}
        self.bench.load(root, {"nodes": [{"type": PACKAGE + "filter.TbMsgTypeSwitchNode"}]})

    async def outcome(self, data: Any, metadata: dict[str, str], type: str = TELEMETRY) -> Any:
        """(label, data, metadata that the node added) of the first message out, or REFUSED."""
        if self.node.refusal:
            return REFUSED
        message = self.bench.message(type, self.device, data, metadata)
        self.node.debug = DebugLog({"allEnabled": True})
        await self.bench.run_at(self.node.id, message)
        for event in self.node.debug.events():
            out = event.message
            if event.label and event.label not in ("ACK", "To Root Rule Chain"):
                added = {k: v for k, v in out.metadata.items() if metadata.get(k) != v}
                return event.label, out.data, added
        return None


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
    outcome = await Site("math.TbMathNode", configuration, None).outcome({}, {})
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
    site = Site("math.TbMathNode", configuration, None)
    assert await site.outcome({"v": " "}, {"v": ""}) == (SUCCESS, {"v": " ", "r": 2.0}, {})


async def test_a_point_is_exact_an_attribute_rounded_and_both_have_the_key_as_typed() -> None:
    saved: list[Any] = []
    for type in ("TIME_SERIES", "ATTRIBUTE"):
        for digits in (0, 1):
            result = {"type": type, "key": "${k}", "addToMetadata": True}
            site = Site("math.TbMathNode", math_node("DIV", digits, 11, 4, **result), None)
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
    site = Site("metadata.CalculateDeltaNode", {**DELTA, **more}, None)
    await site.outcome({"v": first}, {})
    label, data, _ = await site.outcome({"v": second}, {})
    assert label == FAILURE if expected is FAILURE else repr(data["d"]) == repr(expected)


def square(low: int, high: int) -> str:
    return f"[[{low},{low}],[{low},{high}],[{high},{high}],[{high},{low}]]"


GEO = "geo.TbGpsGeofencingFilterNode"
KEYS = {"latitudeKeyName": "lat", "longitudeKeyName": "lon"}
TOLD = {**KEYS, "fetchPerimeterInfoFromMessageMetadata": True, "perimeterKeyName": "p"}
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
        ("[[0,0,100],[10,10,100]]", TRUE),
        ('[["0","0"],["10","10"]]', TRUE),
        ("[]", FALSE),
        ("[[5,5]]", FAILURE),
        ("[5,5]", FAILURE),
        ('{"latitude":5}', FAILURE),
    ],
)
async def test_a_polygon(perimeter: str, expected: str) -> None:
    told = await Site(GEO, TOLD, None).outcome({"lat": 5, "lon": 5}, {"p": perimeter})
    assert told[0] == expected
    fixed = {**KEYS, "perimeterType": "POLYGON", "polygonsDefinition": perimeter}
    assert (await Site(GEO, fixed, None).outcome({"lat": 5, "lon": 5}, {}))[0] == expected


@pytest.mark.parametrize(
    ("configuration", "data", "metadata", "expected"),
    [
        (OLD, {"lat": 5, "lon": 5}, {"perimeter": square(0, 9)}, TRUE),
        (OLD, {"lat": 5, "lon": 5.1}, CIRCLE, FALSE),
        (OLD, {"lat": 5, "lon": 5.001}, CIRCLE, TRUE),
        (OLD, {"lat": 5, "lon": 5}, {}, FAILURE),
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
    outcome = await Site(GEO, configuration, None).outcome(data, metadata)
    assert (outcome if outcome is REFUSED else outcome[0]) == expected


CHECK = "filter.TbCheckRelationNode"


@pytest.mark.parametrize(
    ("direction", "version", "expected"),
    [("TO", 1, TRUE), ("FROM", 1, FALSE), ("FROM", 0, TRUE), ("TO", 0, FALSE)],
)
async def test_the_direction_of_a_relation_was_the_other_entitys_in_version_0(
    direction: str, version: int, expected: str
) -> None:
    any_entity = {"entityType": None, "entityId": "", "checkForSingleEntity": False}
    configuration = {"direction": direction, "relationType": "Contains", **any_entity}
    assert (await Site(CHECK, configuration, version).outcome({}, {}))[0] == expected
    named = {**configuration, "entityType": "ASSET", "entityNamePattern": "house"}
    old = {"entityCacheExpiration": 300} if version == 0 else {}
    site = Site("action.TbCreateRelationNode", {**named, **old}, version)
    await site.outcome({}, {})
    outward = [one.target for one in site.bench.state.relations_from(site.device)]
    assert bool(outward) is (expected == FALSE)


SAVE = "telemetry.TbMsgAttributesNode"
POST = "POST_ATTRIBUTES_REQUEST"
SKIP = {"type": "SKIP"}
SKIP_ALL = {"type": "ADVANCED", "attributes": SKIP, "webSockets": SKIP, "calculatedFields": SKIP}


@pytest.mark.parametrize(
    ("version", "given", "tells_device", "writes_equal"),
    [
        (0, {}, True, True),
        (1, {}, True, False),
        (1, {"notifyDevice": "false", "updateAttributesOnlyOnValueChange": "false"}, False, True),
        (0, {"updateAttributesOnlyOnValueChange": True, "notifyDevice": None}, True, False),
        (2, {"processingSettings": SKIP_ALL}, False, True),
        (3, {}, False, True),
    ],
)
async def test_what_an_old_save_attributes_node_did_it_does(
    version: int, given: dict[str, Any], tells_device: bool, writes_equal: bool
) -> None:
    site = Site(SAVE, {"scope": "SHARED_SCOPE", **given}, version)
    site.bench.put_attributes(site.device, Scope.SHARED, {"a": 1})
    site.bench.now_ms += 5
    await site.outcome({"a": 1, "b": 2}, {"notifyDevice": "false"}, POST)
    stored = site.bench.state.attributes(site.device, Scope.SHARED)
    assert bool(site.bench.services.notified) is tells_device
    assert (stored["a"].ts == site.bench.now_ms) is writes_equal
    assert stored["b"].ts == site.bench.now_ms


@pytest.mark.parametrize(("data", "expected"), [("x", FAILURE), ({"a": None}, FAILURE)])
async def test_data_that_cannot_be_saved_fail_though_nothing_is_saved(
    data: Any, expected: str
) -> None:
    site = Site(SAVE, {"processingSettings": SKIP_ALL}, None)
    assert (await site.outcome(data, {}, POST))[0] == expected


async def test_no_attributes_leave_the_slot_to_the_next() -> None:
    settings = {"type": "DEDUPLICATE", "deduplicationIntervalSecs": 60}
    site = Site(SAVE, {"processingSettings": settings}, None)
    await site.outcome({}, {}, POST)
    await site.outcome({"a": 1}, {}, POST)
    assert "a" in site.bench.state.attributes(site.device, Scope.SERVER)


FETCH = {"latestTsKeyNames": ["t"], "startInterval": 5, "endInterval": 0}
BY_PATTERN = {"useMetadataIntervalPatterns": True, "startIntervalPattern": "${s}"}


@pytest.mark.parametrize(
    ("version", "given", "expected"),
    [
        (2, {"fetchMode": "LAST"}, '"2.5"'),
        (2, {}, REFUSED),
        (2, {"fetchMode": "ALL", "limit": 5, "aggregation": "NONE"}, REFUSED),
        (2, {"fetchMode": "ALL", "limit": 5, "orderBy": "ASC"}, REFUSED),
        (0, {"fetchMode": "ALL", "orderBy": "", "aggregation": None}, '[{"ts":1,"value":1},'),
        (0, {"fetchMode": "ANY", "orderBy": ""}, '"2.5"'),
        (2, {"fetchMode": "FIRST", **BY_PATTERN, "endIntervalPattern": "$[e]"}, '"1"'),
        (2, {"fetchMode": "FIRST", **BY_PATTERN, "endIntervalPattern": "9"}, FAILURE),
        (2, {"fetchMode": "FIRST", **BY_PATTERN, "endIntervalPattern": "$[e].5"}, FAILURE),
    ],
)
async def test_telemetry_is_fetched(version: int, given: dict[str, Any], expected: str) -> None:
    site = Site("metadata.TbGetTelemetryNode", {**FETCH, **given}, version)
    now = site.bench.now_ms
    site.bench.put_series(site.device, now - 20, {"t": 1})
    site.bench.put_series(site.device, now - 10, {"t": 2.5})
    outcome = await site.outcome({"e": now}, {"s": str(now - 1000)})
    if expected in (REFUSED, FAILURE):
        assert outcome is REFUSED or outcome[0] == expected
    else:
        assert outcome[2]["t"].replace(str(now - 20), "1").startswith(expected)


@pytest.mark.parametrize(
    ("values", "how", "total"),
    [
        ([5, 1.5, 7], "MAX", 7.0),
        ([5, True, 7], "MIN", 5),
        ([5, "b", {"a": 1}, "a"], "MAX", "b"),
        ([True, {"a": 1}], "MAX", None),
        ([True, {"a": 1}], "SUM", 0),
        ([True, 3, "a"], "AVG", 3.0),
        ([True, {"a": 1}, "a"], "COUNT", 3),
    ],
)
async def test_telemetry_is_put_together(values: list[Any], how: str, total: Any) -> None:
    whole = {"fetchMode": "ALL", "limit": 2, "orderBy": "ASC", "aggregation": how}
    site = Site("metadata.TbGetTelemetryNode", {**FETCH, **whole}, None)
    for number, value in enumerate(values, start=1):
        site.bench.put_series(site.device, site.bench.now_ms - number, {"t": value})
    added = (await site.outcome({}, {}))[2]
    found = json.loads(added["t"])[0]["value"] if "t" in added else None
    assert repr(found) == repr(total)


@pytest.mark.parametrize("method", [None, {}, []])
async def test_a_method_is_a_text(method: Any) -> None:
    site = Site("rpc.TbSendRPCRequestNode", {}, None)
    assert (await site.outcome({"method": method, "params": {}}, {}))[0] == FAILURE


ALARM = {"type": "T", "severity": "MINOR", "details": {"q": 1}}


async def test_the_alarm_that_is_the_data_keeps_its_times_and_those_who_are_to_see_it() -> None:
    site = Site("action.TbCreateAlarmNode", {"useMessageAlarmData": True}, None)
    seen = {"propagate": True, "propagateRelationTypes": ["Contains"]}
    label, made, _ = await site.outcome({**ALARM, **seen, "endTs": 7}, {"ts": "3"})
    assert (label, made["startTs"], made["endTs"]) == ("Created", 7, 7)
    assert (made["propagate"], made["propagateRelationTypes"]) == (True, ["Contains"])
    label, made, _ = await site.outcome(ALARM, {})
    assert (label, made["propagate"]) == ("Updated", False)


async def test_the_alarm_that_is_the_data_may_name_its_originator() -> None:
    site = Site("action.TbCreateAlarmNode", {"useMessageAlarmData": True}, None)
    other = site.bench.add_device("other").to_json()
    _, made, _ = await site.outcome({**ALARM, "originator": other}, {"ts": "3"})
    assert (made["originator"], made["startTs"]) == (other, site.bench.now_ms)


ORIGINATOR = "transform.TbChangeOriginatorNode"


@pytest.mark.parametrize(
    ("node", "configuration", "expected"),
    [
        (ORIGINATOR, {}, REFUSED),
        (ORIGINATOR, {"originatorSource": "CUSTOMER"}, FAILURE),
        (
            ORIGINATOR,
            {"originatorSource": "ENTITY", "entityType": "CUSTOMER", "entityNamePattern": "C"},
            REFUSED,
        ),
        ("metadata.TbGetCustomerAttributeNode", {"dataMapping": {"a": "b"}}, FAILURE),
        ("metadata.TbGetCustomerDetailsNode", {"detailsList": ["TITLE"]}, SUCCESS),
    ],
)
async def test_the_customer_of_an_entity_view(
    node: str, configuration: dict[str, Any], expected: str
) -> None:
    site = Site(node, {"fetchTo": "DATA", **configuration}, None)
    customer = site.bench.add("CUSTOMER", {"title": "C"})
    view = {"name": "V", "customerId": customer.to_json(), "entityId": site.device.to_json()}
    site.device = site.bench.add("ENTITY_VIEW", view)
    outcome = await site.outcome({}, {})
    assert (outcome if outcome is REFUSED else outcome[0]) == expected


DATA = {
    "a": 1,
    "l": [3, 1.5, 2],
    "n": None,
    "s": "txt",
    "o": {"x": {"a": 2, "b": 3}, "y": {"a": 4}},
    "p": [{"a": 1, "t": "x"}, {"a": 2, "t": "Yes"}, {"a": "2"}, {"t": True, "e": []}],
}
PATHS: list[tuple[str, Any]] = [
    ("a", 1),
    (" $['a'] ", 1),
    ("$['a','n','zz']", {"a": 1, "n": None}),
    ("$['o','zz']['x'].b", [3]),
    ("$.n", None),
    ("$.n.a", FAILURE),
    ("$.l[-1]", 2),
    ("$.l[-9]", None),
    ("$.l[9].a", FAILURE),
    ("$.l[0,9]", [3, None]),
    ("$.l[1:]", [1.5, 2]),
    ("$.l[-2:]", [1.5, 2]),
    ("$.l[:-1]", [3, 1.5]),
    ("$.l[1:-1]", []),
    ("$.l[1:9]", [1.5, 2]),
    ("$.a[0]", FAILURE),
    ("$.s[0:1]", FAILURE),
    ("$.s[*]", []),
    ("$.zz[*]", FAILURE),
    ("$.s[?(@.a)]", FAILURE),
    ("$.o.*.b", [3]),
    ("$.o.*.b.c", []),
    ("$..b", [3]),
    ("$..x.a", [2]),
    ("$..[?(@.b)]", [{"a": 2, "b": 3}]),
    ("$..p[?(@.t == 'x')].a", [1]),
    ("$.p[?(@.a == 2)].t", ["Yes"]),
    ("$.p[?(@.a === 2)]", [{"a": 2, "t": "Yes"}]),
    ("$.p[?(@.a > 1)].a", [2]),
    ("$.p[?(@.a >= $.a)].a", [1, 2]),
    ("$.p[?(@.t == true)].e", [[]]),
    ("$.p[?(@.t == 1)]", []),
    ("$.p[?(!@.t)].a", ["2"]),
    ("$.p[?(@.t && !(@.a == 1 || @.a == 2))].t", [True]),
    ("$.p[?(@.t =~ /y.*/i)].a", [2]),
    ("$.p[?(@.t in ['x', 'Yes'])].a", [1, 2]),
    ("$.p[?(@.t nin ['x', 'Yes'])].a", ["2"]),
    ("$.p[?(@.t contains 'e')].a", [2]),
    ("$.p[?(@.e empty true)].t", [True]),
    ("$.p[?(@.t size 1)].a", [1]),
    ("$[?(@.s == 'a || b')]", []),
    ("$.l[?(@ > 1.5)]", [3, 2]),
    ("$.l.length()", 3),
    ("$.o.size()", 2),
    ("$.s.length()", None),
    ("$.o.keys()", ["x", "y"]),
    ("$.l.max()", 3.0),
    ("$.l.avg()", 6.5 / 3),
    ("$.l.sum()", 6.5),
    ("$.l.first()", 3),
    ("$.l.index(-2)", 1.5),
    ("$.o.*.length()", [2, 1]),
    ("$..a.length()", 6),
    ("$.s.max()", FAILURE),
    ("$.", REFUSED),
    ("$.a b", REFUSED),
    ("$.l[1:2:1]", REFUSED),
    ("$.p[?(@.a == )]", REFUSED),
    ("$.p[?(@.t =~ /(/)]", REFUSED),
]


@pytest.mark.parametrize(("path", "expected"), PATHS)
async def test_a_json_path(path: str, expected: Any) -> None:
    outcome = await Site("transform.TbJsonPathNode", {"jsonPath": path}, None).outcome(DATA, {})
    if expected in (FAILURE, REFUSED):
        assert (outcome if outcome is REFUSED else outcome[0]) == expected
    else:
        assert (outcome[0], repr(outcome[1])) == (SUCCESS, repr(expected))


INFO = {"siteId": "s7", "flow": 1e10, "at": {"lat": 1.0, "on": True}, "gone": None, "tags": [1]}
FIELDS = ("siteId", "flow", "at.lat", "at.on", "at", "gone", "at.lon", "tags", "tags.0")


@pytest.mark.parametrize("skips", [True, False])
async def test_additional_info_is_a_field_at_any_depth(skips: bool) -> None:
    mapping = {f"additionalInfo.{name}": name for name in FIELDS}
    configuration = {"dataMapping": mapping, "fetchTo": "DATA", "ignoreNullStrings": skips}
    site = Site("metadata.TbGetOriginatorFieldsNode", configuration, None)
    site.device = site.bench.add_device("E", additionalInfo=INFO)
    found = (await site.outcome({}, {}))[1]
    assert found == {
        "siteId": "s7",
        "flow": "1.0E10",
        "at.lat": "1.0",
        "at.on": "true",
        "tags": "[1]",
        "at": '{"lat":1.0,"on":true}',
        **({} if skips else {"gone": "null"}),
    }


@pytest.mark.parametrize(
    ("kind", "body", "found"),
    [
        ("DEVICE", {"name": "E", "firmwareId": {"entityType": "OTA_PACKAGE", "id": "f"}}, "E f ?"),
        ("USER", {"email": "u@x", "authority": "TENANT_ADMIN"}, "u@x ? TENANT_ADMIN"),
        ("DASHBOARD", {"title": "D"}, FAILURE),
    ],
)
async def test_fields(kind: str, body: dict[str, Any], found: str) -> None:
    mapping = {name: name for name in ("name", "firmwareId", "authority")}
    site = Site(
        "metadata.TbGetOriginatorFieldsNode", {"dataMapping": mapping, "fetchTo": "DATA"}, None
    )
    site.device = site.bench.add(kind, body)
    label, data, _ = await site.outcome({}, {})
    assert found in (label, " ".join(data.get(name, "?") for name in mapping))


@pytest.mark.parametrize(
    ("type", "value", "credentials"),
    [
        ("MQTT_BASIC", '{"clientId":"c","userName":null}', {"clientId": "c", "userName": None}),
        ("X509_CERTIFICATE", "-----BEGIN", "-----BEGIN"),
        ("ACCESS_TOKEN", None, "T"),
    ],
)
async def test_device_credentials(type: str, value: str | None, credentials: Any) -> None:
    site = Site("metadata.TbFetchDeviceCredentialsNode", {"fetchTo": "DATA"}, None)
    stored = {"credentialsType": type, "credentialsId": "T", "credentialsValue": value}
    site.bench.add("DEVICE_CREDENTIALS", {"deviceId": site.device.to_json(), **stored})
    assert (await site.outcome({}, {}))[1] == {"credentialsType": type, "credentials": credentials}


SENT = {"a1": 1, "bß": 2}
KEYS_OF = "transform.TbDeleteKeysNode"


@pytest.mark.parametrize(
    ("node", "version", "configuration", "expected"),
    [
        (KEYS_OF, 2, {"keys": ["a"]}, REFUSED),
        ("transform.TbCopyKeysNode", 2, {"keys": ["a"]}, REFUSED),
        ("transform.TbRenameKeysNode", 2, {"renameKeysMapping": {"a": "b"}}, REFUSED),
        (KEYS_OF, 0, {"fromMetadata": "false", "keys": [r"\p{Alpha}\p{Digit}"]}, {"bß": 2}),
        (KEYS_OF, 1, {"fromMetadata": True, "keys": [".*"]}, SENT),
        (KEYS_OF, 2, {"deleteFrom": "DATA", "keys": [r"\w*"]}, {"bß": 2}),
        (
            "metadata.TbGetOriginatorFieldsNode",
            0,
            {"fieldsMapping": {"name": "n"}, "ignoreNullStrings": "false"},
            SENT,
        ),
    ],
)
async def test_keys(node: str, version: int, configuration: dict[str, Any], expected: Any) -> None:
    outcome = await Site(node, configuration, version).outcome(SENT, {})
    assert (outcome if outcome is REFUSED else outcome[1]) == expected


async def test_a_dashboard_has_several_customers() -> None:
    titles: list[list[str]] = []
    site = Site("action.TbAssignToCustomerNode", {"customerNamePattern": "${c}"}, None)
    for title in "AB":
        site.bench.add("CUSTOMER", {"title": title})
    dashboard = site.device = site.bench.add("DASHBOARD", {"title": "Dash"})

    async def run(customer: str) -> None:
        await site.outcome({}, {"c": customer})
        body = site.bench.state.entity("DASHBOARD", dashboard.id) or {}
        titles.append([one["title"] for one in body["assignedCustomers"]])

    for customer in "ABA":
        await run(customer)
    unassign = FACTORIES[PACKAGE + "action.TbUnassignFromCustomerNode"]
    site.node = site.bench.load_node(unassign, {"customerNamePattern": "${c}"})
    for customer in "AA":
        await run(customer)
    assert titles == [["A"], ["A", "B"], ["A", "B"], ["B"], ["B"]]


@pytest.mark.parametrize("data", ["x", [], {}, {"attributes": 5}, {"attributes": None}])
@pytest.mark.parametrize(
    "node", ["action.TbCopyAttributesToEntityViewNode", "profile.TbDeviceProfileNode"]
)
async def test_a_deletion_that_names_nothing_fails(node: str, data: Any) -> None:
    site = Site(node, {}, None)
    profile = {"name": "P", "profileData": {"alarms": [{"alarmType": "A"}]}}
    site.bench.add("DEVICE_PROFILE", profile)
    site.device = site.bench.add_device("E", "P")
    site.bench.add("ENTITY_VIEW", {"name": "V", "entityId": site.device.to_json()})
    outcome = await site.outcome(data, {"scope": "SERVER_SCOPE"}, "ATTRIBUTES_DELETED")
    assert outcome[0] == FAILURE
