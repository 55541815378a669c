"""Node configurations that lack a key, have one too many, or a value of no use.

A server applies nothing of what its UI offers by default: a missing key is null, 0 or false. Some
nodes see that when they start, others with each message. A row is a node, its configuration, and
what becomes of a message: its label, REFUSED where the node does not start, HELD where the message
is kept.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.rule_node_site import (
    FACTORIES,
    FAILURE,
    FALSE,
    PACKAGE,
    REFUSED,
    SUCCESS,
    TRUE,
    Site,
)

HELD = "the message is kept"
EVERY = {"type": "ON_EVERY_MESSAGE"}
SKIP = {"type": "SKIP"}
JS = "return true;"
WALK = {"direction": "FROM", "maxLevel": 1, "filters": []}
ARGUMENTS = [{"name": "x", "type": "CONSTANT", "key": "4"}]
SQUARE = "[[0,0],[0,9],[9,9],[9,0]]"
FENCE = {
    "perimeterType": "POLYGON",
    "polygonsDefinition": SQUARE,
    "latitudeKeyName": "lat",
    "longitudeKeyName": "lon",
}
MATH = {"operation": "SQRT", "arguments": ARGUMENTS, "result": {"type": "MESSAGE_BODY", "key": "r"}}
MAPPED = {"fetchTo": "DATA", "dataMapping": {"a": "b"}, "dataToFetch": "ATTRIBUTES"}
FETCH = {"latestTsKeyNames": ["t"], "fetchMode": "LAST"}
UNITS = {"startIntervalTimeUnit": "HOURS", "endIntervalTimeUnit": "MICROSECONDS"}
ALARM = {"alarmType": "A", "severity": "MAJOR", "alarmDetailsBuildJs": JS}
ROWS: list[tuple[str, dict[str, Any], str]] = [
    # what a class does not know
    ("filter.TbJsFilterNode", {"jsScript": JS}, TRUE),
    ("filter.TbJsFilterNode", {"jsScript": JS, "script": None}, REFUSED),
    ("filter.TbJsFilterNode", {"jsScript": JS, "scriptLang": "js"}, REFUSED),
    ("filter.TbOriginatorTypeSwitchNode", {"version": 0}, "Device"),
    ("filter.TbOriginatorTypeSwitchNode", {"types": []}, REFUSED),
    ("filter.TbMsgTypeSwitchNode", {"types": []}, "Post telemetry"),
    ("transform.TbSplitArrayMsgNode", {"x": 1}, FAILURE),
    ("profile.TbDeviceProfileNode", {"alarms": []}, SUCCESS),
    ("transform.TbChangeOriginatorNode", {"originatorSource": "TENANT", "query": 1}, REFUSED),
    (
        "transform.TbChangeOriginatorNode",
        {"originatorSource": "TENANT", "relationsQuery": {**WALK, "levels": 1}},
        REFUSED,
    ),
    ("math.TbMathNode", {**MATH, "arguments": [{**ARGUMENTS[0], "value": 4}]}, REFUSED),
    ("telemetry.TbMsgTimeseriesNode", {"defaultTtl": 1, "processingSettings": EVERY}, REFUSED),
    # filters
    ("filter.TbCheckMessageNode", {"metadataNames": ["m"], "messageNames": []}, TRUE),
    ("filter.TbCheckMessageNode", {"metadataNames": ["m"]}, FAILURE),
    ("filter.TbCheckMessageNode", {"messageNames": ["lat"]}, TRUE),
    ("filter.TbCheckMessageNode", {"messageNames": ["no"], "checkAllKeys": True}, FALSE),
    ("filter.TbCheckMessageNode", {"messageNames": ["lat"], "checkAllKeys": True}, FAILURE),
    ("filter.TbMsgTypeFilterNode", {}, FAILURE),
    ("filter.TbOriginatorTypeFilterNode", {}, FAILURE),
    ("filter.TbOriginatorTypeFilterNode", {"originatorTypes": ["ROLE"]}, FALSE),
    ("filter.TbOriginatorTypeFilterNode", {"originatorTypes": ["Device"]}, REFUSED),
    ("filter.TbCheckRelationNode", {}, FAILURE),
    ("filter.TbCheckRelationNode", {"relationType": "Contains"}, TRUE),
    ("filter.TbCheckRelationNode", {"relationType": "Contains", "direction": "FROM"}, FALSE),
    ("filter.TbCheckRelationNode", {"relationType": "Contains", "entityId": "no UUID"}, TRUE),
    (
        "filter.TbCheckRelationNode",
        {"checkForSingleEntity": True, "entityType": "ASSET", "entityId": "no UUID"},
        REFUSED,
    ),
    ("filter.TbCheckAlarmStatusNode", {}, REFUSED),
    ("geo.TbGpsGeofencingFilterNode", FENCE, TRUE),
    ("geo.TbGpsGeofencingFilterNode", {**FENCE, "perimeterType": None}, FAILURE),
    ("geo.TbGpsGeofencingFilterNode", {**FENCE, "perimeterType": "Polygon"}, REFUSED),
    # enrichment
    ("metadata.TbGetAttributesNode", {"fetchTo": "DATA", "serverAttributeNames": ["q"]}, SUCCESS),
    ("metadata.TbGetAttributesNode", {"serverAttributeNames": ["q"]}, REFUSED),
    ("metadata.TbGetDeviceAttrNode", {"fetchTo": "DATA"}, REFUSED),
    (
        "metadata.TbGetDeviceAttrNode",
        {"fetchTo": "DATA", "deviceRelationsQuery": {"deviceTypes": ["default"]}},
        FAILURE,
    ),
    ("metadata.TbGetTenantAttributeNode", MAPPED, SUCCESS),
    ("metadata.TbGetTenantAttributeNode", {**MAPPED, "dataToFetch": None}, REFUSED),
    ("metadata.TbGetRelatedAttributeNode", MAPPED, FAILURE),
    ("metadata.TbGetRelatedAttributeNode", {**MAPPED, "dataToFetch": None}, REFUSED),
    ("metadata.TbGetTelemetryNode", {**FETCH, **UNITS}, SUCCESS),
    ("metadata.TbGetTelemetryNode", FETCH, FAILURE),
    ("metadata.TbGetTelemetryNode", {**FETCH, **UNITS, "endIntervalTimeUnit": "WEEKS"}, FAILURE),
    # transformation
    ("transform.TbCopyKeysNode", {"copyFrom": "DATA"}, REFUSED),
    ("transform.TbDeleteKeysNode", {"deleteFrom": "DATA"}, REFUSED),
    ("transform.TbJsonPathNode", {}, REFUSED),
    ("transform.TbChangeOriginatorNode", {"originatorSource": "RELATED"}, REFUSED),
    (
        "transform.TbChangeOriginatorNode",
        {"originatorSource": "RELATED", "relationsQuery": {}},
        FAILURE,
    ),
    ("deduplication.TbMsgDeduplicationNode", {"interval": 1}, FAILURE),
    ("deduplication.TbMsgDeduplicationNode", {"interval": 1, "maxPendingMsgs": 1}, HELD),
    # action
    ("action.TbCreateAlarmNode", ALARM, "Created"),
    ("action.TbCreateAlarmNode", {**ALARM, "severity": None}, REFUSED),
    ("action.TbCreateAlarmNode", {**ALARM, "alarmType": None}, FAILURE),
    ("action.TbCreateAlarmNode", {**ALARM, "alarmDetailsBuildJs": None}, REFUSED),
    (
        "action.TbCreateAlarmNode",
        {**ALARM, "useMessageAlarmData": True, "severity": "BAD"},
        REFUSED,
    ),
    ("action.TbClearAlarmNode", {"alarmDetailsBuildJs": JS}, FAILURE),
    ("action.TbAssignToCustomerNode", {}, FAILURE),
    ("action.TbCreateRelationNode", {"entityType": "TENANT"}, FAILURE),
    ("action.TbCreateRelationNode", {"entityType": "TENANT", "relationType": "R"}, SUCCESS),
    ("action.TbDeleteRelationNode", {}, FAILURE),
    ("delay.TbMsgDelayNode", {"periodInSeconds": 1}, FAILURE),
    ("delay.TbMsgDelayNode", {"periodInSeconds": 1, "maxPendingMsgs": 1}, HELD),
    (
        "delay.TbMsgDelayNode",
        {"useMetadataPeriodInSecondsPatterns": True, "maxPendingMsgs": 1},
        FAILURE,
    ),
    ("geo.TbGpsGeofencingActionNode", FENCE, "Entered"),
    ("geo.TbGpsGeofencingActionNode", {**FENCE, "minInsideDurationTimeUnit": "WEEKS"}, "Entered"),
    ("math.TbMathNode", MATH, SUCCESS),
    ("math.TbMathNode", {**MATH, "arguments": None}, REFUSED),
    ("math.TbMathNode", {**MATH, "operation": "sqrt"}, REFUSED),
    ("math.TbMathNode", {**MATH, "result": {"type": "CONSTANT", "key": "r"}}, FAILURE),
    ("telemetry.TbMsgTimeseriesNode", {"processingSettings": EVERY}, SUCCESS),
    ("telemetry.TbMsgTimeseriesNode", {}, REFUSED),
    ("telemetry.TbMsgTimeseriesNode", {"processingSettings": {}}, REFUSED),
    (
        "telemetry.TbMsgTimeseriesNode",
        {"processingSettings": {"type": "ADVANCED", "timeseries": SKIP, "latest": SKIP}},
        REFUSED,
    ),
    ("debug.TbMsgGeneratorNode", {"jsScript": JS, "periodInSeconds": 1}, REFUSED),
    (
        "debug.TbMsgGeneratorNode",
        {"jsScript": JS, "periodInSeconds": 1, "originatorType": "DEVICE"},
        REFUSED,
    ),
]


@pytest.mark.parametrize(("node", "configuration", "expected"), ROWS)
async def test_what_a_configuration_leaves_out_or_adds(
    node: str, configuration: dict[str, Any], expected: str
) -> None:
    site = Site(node, configuration)
    outcome = await site.outcome({"lat": 1, "lon": 1}, {"m": "1"})
    label = outcome if isinstance(outcome, str) else outcome[0] if outcome else HELD
    assert label == expected, site.node.refusal


@pytest.mark.parametrize("version", [0, 9])
async def test_a_key_of_another_version_keeps_no_node_from_starting(version: int) -> None:
    node = {"metadata.TbGetAttributesNode": {"fetchTo": "DATA", "else": 1}}
    for type, configuration in node.items():
        assert FACTORIES[PACKAGE + type].version not in (0, 9)
        assert Site(type, configuration, version).node.refusal is None


SETTINGS = {"processingSettings": EVERY}


@pytest.mark.parametrize(
    ("given", "metadata", "expected"),
    [
        (SETTINGS, {}, FAILURE),
        (SETTINGS, {"scope": "SHARED_SCOPE"}, SUCCESS),
        ({**SETTINGS, "scope": "SERVER_SCOPE"}, {}, SUCCESS),
        ({**SETTINGS, "scope": "server"}, {}, FAILURE),
        ({"scope": "SERVER_SCOPE"}, {}, REFUSED),
    ],
)
async def test_attributes_need_a_scope(
    given: dict[str, Any], metadata: dict[str, str], expected: str
) -> None:
    site = Site("telemetry.TbMsgAttributesNode", given)
    outcome = await site.outcome({"a": 1}, metadata, "POST_ATTRIBUTES_REQUEST")
    assert (outcome if outcome is REFUSED else outcome[0]) == expected


@pytest.mark.parametrize(("data", "expected"), [([], TRUE), ("text", TRUE), (None, TRUE)])
async def test_data_of_any_shape_do_where_only_metadata_are_asked(data: Any, expected: str) -> None:
    names: dict[str, Any] = {"messageNames": [], "metadataNames": ["m"]}
    for all_keys in (True, False):
        site = Site("filter.TbCheckMessageNode", {**names, "checkAllKeys": all_keys})
        assert (await site.outcome(data, {"m": ""}))[0] == expected


async def test_the_stay_is_measured_in_the_units_of_the_node() -> None:
    site = Site("geo.TbGpsGeofencingActionNode", FENCE)
    first, second = [(await site.outcome({"lat": 1, "lon": 1}, {}))[0] for _ in range(2)]
    assert (first, second) == ("Entered", FAILURE)
