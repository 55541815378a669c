"""What nodes cause beside the unit: notices, requests, replies, signs of life."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from appliance.model.ids import EntityId
from appliance.model.telemetry import AttributeWrite, Scope
from appliance.model.unit import Unit
from appliance.rules.events import RuleNodeFaulted
from appliance.rules.ports import RpcOutcome
from appliance.state.deleted import recalled
from appliance.testing.rules import START_MS, RuleBench
from plugins.rules_action import register_rule_nodes

NODE = UUID("0e5d5a10-0000-11f0-8000-000000000001")
EVERY = {"processingSettings": {"type": "ON_EVERY_MESSAGE"}}


def bench_with(type: str, configuration: dict[str, Any]) -> tuple[RuleBench, EntityId]:
    bench = RuleBench(register_rule_nodes().nodes)
    node = {
        "id": {"id": str(NODE)},
        "type": f"org.thingsboard.rule.engine.{type}",
        "name": "node",
        "configurationVersion": 9,
        "configuration": configuration,
        "debugSettings": {"allEnabled": True},
    }
    bench.load(
        {"id": {"id": "0e5d5a10-0000-11f0-8000-000000000002"}, "name": "c", "root": True},
        {"firstNodeIndex": 0, "nodes": [node]},
    )
    return bench, bench.add_device("D")


async def test_a_device_hears_of_shared_attributes_unless_the_message_says_no() -> None:
    bench, device = bench_with("telemetry.TbMsgAttributesNode", {"scope": "SHARED_SCOPE", **EVERY})
    await bench.send("POST_ATTRIBUTES_REQUEST", device, {"a": 1})
    await bench.send("POST_ATTRIBUTES_REQUEST", device, {"b": 1}, {"notifyDevice": "false"})
    assert bench.services.notified == [(device, Scope.SHARED, {"a": 1}, ())]


async def test_a_device_hears_of_deleted_shared_attributes() -> None:
    configuration = {"scope": "SHARED_SCOPE", "keys": ["a"]}
    bench, device = bench_with("telemetry.TbMsgDeleteAttributesNode", configuration)
    await bench.send("X", device, {}, {})
    assert bench.services.notified == [(device, Scope.SHARED, {}, ("a",))]


async def test_attributes_are_deleted_whatever_their_time_and_no_older_value_comes_back() -> None:
    bench, device = bench_with(
        "telemetry.TbMsgDeleteAttributesNode", {"scope": "SERVER_SCOPE", "keys": ["a"]}
    )
    ahead_ms = bench.now_ms + 5_000
    told = AttributeWrite(device, Scope.SERVER, ahead_ms, {"a": 1})
    bench.state.apply(Unit(attributes=[told]))  # by a peer whose clock is ahead

    work = await bench.send("X", device, {}, {}, ts=7)
    assert "a" not in bench.state.attributes(device, Scope.SERVER)
    assert recalled({w.key: w.body or b"" for w in work.unit.states}) == {
        (device, Scope.SERVER, "a"): ahead_ms + 1
    }


async def test_the_word_of_deleted_attributes_has_the_time_of_the_deletion() -> None:
    configuration = {"keys": ["a"], "scope": "SERVER_SCOPE"}
    configuration |= {"sendAttributesDeletedNotification": True}
    bench, device = bench_with("telemetry.TbMsgDeleteAttributesNode", configuration)
    bench.put_attributes(device, Scope.SERVER, {"a": 1})
    work = await bench.send("X", device, {}, {}, ts=7)
    (node,) = bench.engine.nodes()
    words = [e.message for e in node.debug.events() if e.message.type == "ATTRIBUTES_DELETED"]
    assert words
    assert {word.effective_ts for word in words} <= {each.ts for each in work.unit.attributes}


async def test_attributes_deleted_from_a_view_are_remembered_too() -> None:
    bench, device = bench_with("action.TbCopyAttributesToEntityViewNode", {})
    shown = {"attributes": {"ss": ["a"]}}
    view = bench.add("ENTITY_VIEW", {"name": "V", "entityId": device.to_json(), "keys": shown})
    bench.put_attributes(view, Scope.SERVER, {"a": 1})

    work = await bench.send(
        "ATTRIBUTES_DELETED", device, {"attributes": ["a", "b"]}, {"scope": "SERVER_SCOPE"}, ts=7
    )
    assert "a" not in bench.state.attributes(view, Scope.SERVER)
    (place,) = recalled({w.key: w.body or b"" for w in work.unit.states})
    assert place == (view, Scope.SERVER, "a")


async def test_values_reach_calculated_fields_by_saving_and_without() -> None:
    for type in ("telemetry.TbMsgTimeseriesNode", "telemetry.TbCalculatedFieldsNode"):
        bench, device = bench_with(type, EVERY)
        await bench.send("POST_TELEMETRY_REQUEST", device, {"a": "1.5"}, {"ts": "3"})
        (given,) = bench.services.calculated
        assert (given.entity, given.scope, given.ts, given.values) == (device, None, 3, {"a": 1.5})


async def test_a_sign_of_life_is_told_with_the_messages_time() -> None:
    bench, device = bench_with("action.TbDeviceStateNode", {"event": "CONNECT_EVENT"})
    await bench.send("X", device, {}, {"ts": "1600000000000"})
    assert bench.services.device_events == [(device, "CONNECT_EVENT", 1_600_000_000_000)]


async def test_signs_of_life_are_limited_to_30_a_minute() -> None:
    bench, device = bench_with("action.TbDeviceStateNode", {"event": "ACTIVITY_EVENT"})
    for _ in range(40):
        await bench.send("X", device, {})
        await bench.advance(1_000)
    assert len(bench.services.device_events) == 30


async def test_a_request_of_the_server_keeps_its_number_and_time() -> None:
    bench, device = bench_with("rpc.TbSendRPCRequestNode", {"timeoutInSeconds": 10})
    metadata = {
        "requestUUID": str(NODE),
        "expirationTime": "1700000099000",
        "persistent": "true",
        "retries": "2",
    }
    body = {"method": "m", "params": '"p"', "additionalInfo": {"q": 1}}
    work = await bench.send("RPC_CALL_FROM_SERVER_TO_DEVICE", device, body, metadata)
    (request,) = bench.services.rpc
    assert work.failure is None
    assert (request.request_uuid, request.expires_ms) == (NODE, 1_700_000_099_000)
    assert (request.params, request.persistent, request.retries) == ("p", True, 2)
    assert request.additional_info == {"q": 1}


async def test_an_answer_that_comes_later_is_a_message_with_a_unit_of_its_own() -> None:
    bench, device = bench_with("rpc.TbSendRPCRequestNode", {"timeoutInSeconds": 10})
    waiting = []
    bench.services.answer = lambda request, done: waiting.append(done)
    await bench.send("X", device, {"method": "m", "params": {}}, {"k": "v"})
    assert bench.services.rpc[0].expires_ms == START_MS + 10_000
    waiting[0](RpcOutcome({"ok": True}))
    await bench.settle()
    event = bench.engine.debug_events(NODE)[-1]
    assert (event.label, event.message.type) == ("Success", "X")
    assert (event.message.data, event.message.metadata) == ({"ok": True}, {"k": "v"})


async def test_a_devices_request_is_answered_after_the_commit() -> None:
    bench, device = bench_with("rpc.TbSendRPCReplyNode", {})
    metadata = {"requestId": "3", "serviceId": "s", "sessionId": str(NODE)}
    await bench.send("TO_SERVER_RPC_REQUEST", device, {"a": 1}, metadata)
    assert bench.services.replies == [(device, "s", str(NODE), 3, '{"a":1}')]


async def test_alarm_rules_with_a_duration_fire_by_the_clock() -> None:
    bench, _ = bench_with("profile.TbDeviceProfileNode", {})
    predicate = {"type": "NUMERIC", "operation": "GREATER", "value": {"defaultValue": 0}}
    condition = {
        "condition": [{"key": {"type": "TIME_SERIES", "key": "d"}, "predicate": predicate}],
        "spec": {"type": "DURATION", "unit": "SECONDS", "predicate": {"defaultValue": 30}},
    }
    rules = {"alarmType": "Dur", "createRules": {"MAJOR": {"condition": condition}}}
    bench.add("DEVICE_PROFILE", {"name": "p", "profileData": {"alarms": [rules]}})
    device = bench.add_device("P", "p")
    await bench.send("POST_TELEMETRY_REQUEST", device, {"d": 1})
    assert bench.state.active_alarm(device, "Dur") is None
    await bench.advance(60_000)
    alarm = bench.state.active_alarm(device, "Dur")
    assert alarm is not None and alarm["severity"] == "MAJOR"
    end = alarm["endTs"]
    await bench.advance(120_000)
    again = bench.state.active_alarm(device, "Dur")
    assert again is not None and again["endTs"] == end, "the clock alone does not update it"


async def test_progress_of_alarm_rules_survives_a_restart_where_asked() -> None:
    bench, _ = bench_with("profile.TbDeviceProfileNode", {"persistAlarmRulesState": True})
    predicate = {"type": "NUMERIC", "operation": "GREATER", "value": {"defaultValue": 0}}
    condition = {
        "condition": [{"key": {"type": "TIME_SERIES", "key": "r"}, "predicate": predicate}],
        "spec": {"type": "REPEATING", "predicate": {"defaultValue": 3}},
    }
    rules = {"alarmType": "Rep", "createRules": {"MAJOR": {"condition": condition}}}
    bench.add("DEVICE_PROFILE", {"name": "p", "profileData": {"alarms": [rules]}})
    device = bench.add_device("P", "p")
    for _ in range(2):
        await bench.send("POST_TELEMETRY_REQUEST", device, {"r": 1})
    await bench.restart()
    node = {
        "id": {"id": str(NODE)},
        "type": "org.thingsboard.rule.engine.profile.TbDeviceProfileNode",
        "name": "node",
        "configuration": {"persistAlarmRulesState": True},
    }
    bench.load(
        {"id": {"id": "0e5d5a10-0000-11f0-8000-000000000002"}, "name": "c", "root": True},
        {"firstNodeIndex": 0, "nodes": [node]},
    )
    await bench.send("POST_TELEMETRY_REQUEST", device, {"r": 1})
    assert bench.state.active_alarm(device, "Rep") is not None


async def test_a_rule_that_cannot_be_read_is_told_and_data_goes_on() -> None:
    bench, _ = bench_with("profile.TbDeviceProfileNode", {})
    bad = {"alarmType": "Bad", "createRules": {"MAJOR": {"condition": "nonsense"}}}
    bench.add("DEVICE_PROFILE", {"name": "p", "profileData": {"alarms": [bad]}})
    device = bench.add_device("P", "p")
    for _ in range(2):
        work = await bench.send("POST_TELEMETRY_REQUEST", device, {"d": 1})
        assert work.failure is None
    assert bench.engine.debug_events(NODE)[-1].label == "Success"
    (fault,) = [event for event in bench.events if isinstance(event, RuleNodeFaulted)]
    assert "alarm rule left out" in fault.reason
