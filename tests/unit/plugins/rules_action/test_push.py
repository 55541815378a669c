"""push to cloud and push to edge: which events a message becomes (§8)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from appliance.model.ids import EntityId, new_uuid
from appliance.model.unit import CLOUD, Lane, StoredEvent
from appliance.rules.work import Work
from appliance.sync.packing import order_key
from appliance.sync.wire import decode_entry
from appliance.testing.rules import START_MS, RuleBench
from plugins.rules_action import register_rule_nodes

PUSH = "org.thingsboard.rule.engine.edge.TbMsgPushTo{}Node"


def bench_with(kind: str = "Cloud") -> tuple[RuleBench, EntityId]:
    bench = RuleBench(register_rule_nodes().nodes)
    node = {
        "type": PUSH.format(kind),
        "name": "push",
        "configuration": {"scope": "SERVER_SCOPE"},
    }
    bench.load(
        {"id": {"id": "0e5d5a10-0000-11f0-8000-000000000002"}, "name": "c", "root": True},
        {"firstNodeIndex": 0, "nodes": [node]},
    )
    return bench, bench.add_device("D")


async def push(type: str, data: Any, metadata: dict[str, str] | None = None) -> Work:
    bench, device = bench_with()
    return await bench.send(type, device, data, metadata)


async def test_an_array_of_readings_is_sent_as_its_readings() -> None:
    data = [{"ts": 1, "values": {"a": 1}}, {"b": "2.5"}]
    work = await push("POST_TELEMETRY_REQUEST", data, {"ts": "7"})
    entries = [decode_entry(event.body) for event in work.unit.events]
    assert entries == [(1, {"a": 1}), (7, {"b": 2.5})]


async def test_what_was_saved_before_is_sent_as_the_very_same_bytes() -> None:
    bench = RuleBench(register_rule_nodes().nodes)
    save = "org.thingsboard.rule.engine.telemetry.TbMsgTimeseriesNode"
    nodes = [
        {"type": save, "name": "save", "configuration": {}},
        {"type": PUSH.format("Cloud"), "name": "push", "configuration": {}},
    ]
    bench.load(
        {"id": {"id": "0e5d5a10-0000-11f0-8000-000000000003"}, "name": "c", "root": True},
        {
            "firstNodeIndex": 0,
            "nodes": nodes,
            "connections": [{"fromIndex": 0, "toIndex": 1, "type": "Success"}],
        },
    )
    data = [{"ts": 1, "values": {"a": 1.5}}, {"ts": 2, "values": {"b": "x"}}]
    work = await bench.send("POST_TELEMETRY_REQUEST", bench.add_device("D"), data)
    series, events = work.unit.series, work.unit.events
    assert [decode_entry(event.body) for event in events] == [(1, {"a": 1.5}), (2, {"b": "x"})]
    assert all(one.entry is event.body for one, event in zip(series, events, strict=True))


async def test_a_timeseries_updated_body_is_sent_as_what_it_holds() -> None:
    data = {"timeseries": [{"ts": 1, "values": {"a": True}}]}
    work = await push("TIMESERIES_UPDATED", data)
    assert [decode_entry(event.body) for event in work.unit.events] == [(1, {"a": True})]


@pytest.mark.parametrize(
    ("type", "flag", "action"),
    [
        ("ALARM", "isNewAlarm", "ADDED"),
        ("ALARM", "isExistingAlarm", "UPDATED"),
        ("ALARM_SEVERITY_UPDATED", "isSeverityUpdated", "UPDATED"),
        ("ALARM", "isClearedAlarm", "ALARM_CLEAR"),
        ("ALARM_ACK", "", "ALARM_ACK"),
        ("ALARM_CLEAR", "", "ALARM_CLEAR"),
    ],
)
async def test_alarms_go_by_id_before_everything_else(type: str, flag: str, action: str) -> None:
    alarm = new_uuid()
    about = EntityId("DEVICE", new_uuid())
    data = {"id": {"entityType": "ALARM", "id": str(alarm)}, "originator": about.to_json()}
    work = await push(type, data, {flag: "true"})
    (event,) = work.unit.events
    assert (event.lane, event.type, event.action) == (Lane.PRIORITY, "ALARM", action)
    assert event.entity == EntityId("ALARM", alarm)
    assert order_key(StoredEvent(1, 0, 0, event)) == about


async def test_a_devices_request_goes_up_with_its_way_back() -> None:
    metadata = {"requestId": "7", "serviceId": "s", "sessionId": "x"}
    work = await push("TO_SERVER_RPC_REQUEST", {"method": "m", "params": {"a": 1}}, metadata)
    (event,) = work.unit.events
    assert (event.lane, event.action) == (Lane.PRIORITY, "RPC_CALL")
    assert json.loads(event.body) == {
        "requestId": 7,
        "serviceId": "s",
        "sessionId": "x",
        "method": "m",
        "params": '{"a":1}',
    }


async def test_state_events_are_attributes_with_a_scope_and_telemetry_without() -> None:
    with_scope = await push("CONNECT_EVENT", {"active": True}, {"scope": "SERVER_SCOPE"})
    assert with_scope.unit.events[0].action == "ATTRIBUTES_UPDATED"
    body = {"kv": {"active": True}, "ts": START_MS, "scope": "SERVER_SCOPE"}
    assert json.loads(with_scope.unit.events[0].body) == body
    without = await push("CONNECT_EVENT", {"active": True})
    assert without.unit.events[0].action == "TIMESERIES_UPDATED"


@pytest.mark.parametrize("type", ["ENTITY_CREATED", "RPC_QUEUED", "TIMESERIES_DELETED", "MY_OWN"])
async def test_other_types_fail(type: str) -> None:
    work = await push(type, {"a": 1})
    assert "Unsupported msg type" in (work.failure or "") and not work.unit


async def test_attributes_without_values_make_no_event() -> None:
    work = await push("POST_ATTRIBUTES_REQUEST", {})
    assert work.failure is None and not work.unit.events


async def test_a_rule_node_originator_cannot_be_sent() -> None:
    bench, _ = bench_with()
    originator = EntityId("RULE_NODE", new_uuid())
    work = await bench.send("POST_TELEMETRY_REQUEST", originator, {"a": 1})
    assert "Unsupported originator type" in (work.failure or "")


async def test_push_to_edge_goes_to_every_edge_that_has_the_device() -> None:
    bench, device = bench_with("Edge")
    edges = [bench.add("EDGE", {"name": name}) for name in ("E1", "E2")]
    for edge in edges:
        bench.relate(edge, device)
    work = await bench.send("POST_TELEMETRY_REQUEST", device, {"a": 1})
    assert {event.outbox for event in work.unit.events} == {str(edge.id) for edge in edges}
    assert CLOUD not in {event.outbox for event in work.unit.events}
    own = await bench.send("POST_TELEMETRY_REQUEST", edges[0], {"a": 1})
    assert [event.outbox for event in own.unit.events] == [str(edges[0].id)]
