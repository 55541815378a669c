"""Rule nodes beyond the recorded cases: what a server's own rules say of their neighbours.

A row is one node with its configuration and one message of a device: the label and what came out,
or that the node did not start. The recorded cases are in test_rule_node_corpus.py.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from appliance.model.telemetry import Scope
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

CHECK = "filter.TbCheckRelationNode"


@pytest.mark.parametrize(
    ("direction", "version", "expected"),
    [("TO", 1, TRUE), ("FROM", 1, FALSE), ("FROM", 0, TRUE), ("TO", 0, FALSE)],
)
async def test_the_direction_of_a_relation_was_the_other_entitys_in_version_0(
    direction: str, version: int, expected: str
) -> None:
    any_entity = {"entityType": None, "entityId": "", "checkForSingleEntity": False}
    configuration = {"direction": direction, "relationType": "Contains"}
    site = Site(CHECK, {**configuration, **any_entity}, version)
    assert (await site.outcome({}, {}))[0] == expected
    named = {**configuration, "entityType": "ASSET", "entityNamePattern": "house"}
    old = {"entityCacheExpiration": 300} if version == 0 else {}
    site = Site("action.TbCreateRelationNode", {**named, **old}, version)
    await site.outcome({}, {})
    outward = [one.target for one in site.bench.state.relations_from(site.device)]
    assert bool(outward) is (expected == FALSE)


SAVE = "telemetry.TbMsgAttributesNode"
POST = "POST_ATTRIBUTES_REQUEST"
EVERY, SKIP = {"type": "ON_EVERY_MESSAGE"}, {"type": "SKIP"}
SKIP_ALL = {"type": "ADVANCED", "attributes": SKIP, "webSockets": SKIP, "calculatedFields": SKIP}


@pytest.mark.parametrize(
    ("version", "given", "tells_device", "writes_equal"),
    [
        (0, {}, True, True),
        (1, {}, True, False),
        (1, {"notifyDevice": "false", "updateAttributesOnlyOnValueChange": "false"}, False, True),
        (0, {"updateAttributesOnlyOnValueChange": True, "notifyDevice": None}, True, False),
        (2, {"processingSettings": SKIP_ALL}, False, True),
        (3, {"processingSettings": EVERY}, False, True),
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
    site = Site(SAVE, {"processingSettings": SKIP_ALL})
    assert (await site.outcome(data, {}, POST))[0] == expected


async def test_no_attributes_leave_the_slot_to_the_next() -> None:
    settings = {"type": "DEDUPLICATE", "deduplicationIntervalSecs": 60}
    site = Site(SAVE, {"processingSettings": settings, "scope": "SERVER_SCOPE"})
    await site.outcome({}, {}, POST)
    await site.outcome({"a": 1}, {}, POST)
    assert "a" in site.bench.state.attributes(site.device, Scope.SERVER)


FETCH = {
    "latestTsKeyNames": ["t"],
    "startInterval": 5,
    "startIntervalTimeUnit": "SECONDS",
    "endInterval": 0,
    "endIntervalTimeUnit": "MINUTES",
}
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
    site = Site("metadata.TbGetTelemetryNode", {**FETCH, **whole})
    for number, value in enumerate(values, start=1):
        site.bench.put_series(site.device, site.bench.now_ms - number, {"t": value})
    added = (await site.outcome({}, {}))[2]
    found = json.loads(added["t"])[0]["value"] if "t" in added else None
    assert repr(found) == repr(total)


@pytest.mark.parametrize("method", [None, {}, []])
async def test_a_method_is_a_text(method: Any) -> None:
    site = Site("rpc.TbSendRPCRequestNode", {})
    assert (await site.outcome({"method": method, "params": {}}, {}))[0] == FAILURE


ALARM = {"type": "T", "severity": "MINOR", "details": {"q": 1}}
TAKES_DATA = {"useMessageAlarmData": True, "severity": "MAJOR", "alarmDetailsBuildJs": "return 1;"}


async def test_the_alarm_that_is_the_data_keeps_its_times_and_those_who_are_to_see_it() -> None:
    site = Site("action.TbCreateAlarmNode", TAKES_DATA)
    seen = {"propagate": True, "propagateRelationTypes": ["Contains"]}
    label, made, _ = await site.outcome({**ALARM, **seen, "endTs": 7}, {"ts": "3"})
    assert (label, made["startTs"], made["endTs"]) == ("Created", 7, 7)
    assert (made["propagate"], made["propagateRelationTypes"]) == (True, ["Contains"])
    label, made, _ = await site.outcome(ALARM, {})
    assert (label, made["propagate"]) == ("Updated", False)


async def test_the_alarm_that_is_the_data_may_name_its_originator() -> None:
    site = Site("action.TbCreateAlarmNode", TAKES_DATA)
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
        (
            "metadata.TbGetCustomerAttributeNode",
            {"dataMapping": {"a": "b"}, "dataToFetch": "ATTRIBUTES", "fetchTo": "DATA"},
            FAILURE,
        ),
        (
            "metadata.TbGetCustomerDetailsNode",
            {"detailsList": ["TITLE"], "fetchTo": "DATA"},
            SUCCESS,
        ),
    ],
)
async def test_the_customer_of_an_entity_view(
    node: str, configuration: dict[str, Any], expected: str
) -> None:
    site = Site(node, configuration)
    customer = site.bench.add("CUSTOMER", {"title": "C"})
    view = {"name": "V", "customerId": customer.to_json(), "entityId": site.device.to_json()}
    site.device = site.bench.add("ENTITY_VIEW", view)
    outcome = await site.outcome({}, {})
    assert (outcome if outcome is REFUSED else outcome[0]) == expected


INFO = {"siteId": "s7", "flow": 1e10, "at": {"lat": 1.0, "on": True}, "gone": None, "tags": [1]}
FIELDS = ("siteId", "flow", "at.lat", "at.on", "at", "gone", "at.lon", "tags", "tags.0")


@pytest.mark.parametrize("skips", [True, False])
async def test_additional_info_is_a_field_at_any_depth(skips: bool) -> None:
    mapping = {f"additionalInfo.{name}": name for name in FIELDS}
    configuration = {"dataMapping": mapping, "fetchTo": "DATA", "ignoreNullStrings": skips}
    site = Site("metadata.TbGetOriginatorFieldsNode", configuration)
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
    site = Site("metadata.TbFetchDeviceCredentialsNode", {"fetchTo": "DATA"})
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
        (KEYS_OF, 2, {"deleteFrom": "DATA", "keys": [r"(?<k>a)\d++"]}, {"bß": 2}),
        (KEYS_OF, 2, {"deleteFrom": "DATA", "keys": [r"B(?iu)SS|B\Qß\E"]}, {"a1": 1}),
        (KEYS_OF, 2, {"deleteFrom": "DATA", "keys": [r"(?i)B\p{Ll}$"]}, {"a1": 1}),
        (KEYS_OF, 2, {"deleteFrom": "DATA", "keys": ["a{x}"]}, REFUSED),
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
    site = Site("action.TbAssignToCustomerNode", {"customerNamePattern": "${c}"})
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
    site = Site(node, {})
    profile = {"name": "P", "profileData": {"alarms": [{"alarmType": "A"}]}}
    site.bench.add("DEVICE_PROFILE", profile)
    site.device = site.bench.add_device("E", "P")
    site.bench.add("ENTITY_VIEW", {"name": "V", "entityId": site.device.to_json()})
    outcome = await site.outcome(data, {"scope": "SERVER_SCOPE"}, "ATTRIBUTES_DELETED")
    assert outcome[0] == FAILURE


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({}, 60),
        ({"TTL": "5"}, 5),
        ({"TTL": ""}, 60),
        ({"TTL": "-1"}, 0),
        ({"TTL": "9999999999"}, 2**31 - 1),
    ],
)
async def test_points_live_as_long_as_the_node_or_the_message_says(
    metadata: dict[str, str], expected: int
) -> None:
    site = Site("telemetry.TbMsgTimeseriesNode", {"defaultTTL": 60, "processingSettings": EVERY})
    message = site.bench.message("POST_TELEMETRY_REQUEST", site.device, {"a": 1}, metadata)
    work = await site.bench.run_at(site.node.id, message)
    assert [series.ttl_s for series in work.unit.series] == [expected]
