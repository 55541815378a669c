"""Nodes that keep messages or make them by the clock."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from appliance.model.errors import Retryable
from appliance.rules.node import SERVICE_ID
from appliance.rules.ports import Task
from appliance.testing.rules import START_MS, RuleBench
from plugins.rules_flow import register_rule_nodes

NODE = UUID("0e5d5a10-0000-11f0-8000-000000000001")
PACKAGE = "org.thingsboard.rule.engine."
PENDING = {"maxPendingMsgs": 100}


def load(bench: RuleBench, type: str, configuration: dict[str, Any]) -> None:
    node = {
        "id": {"id": str(NODE)},
        "type": PACKAGE + type,
        "name": "node",
        "configuration": configuration,
        "debugSettings": {"allEnabled": True},
    }
    bench.load(
        {"id": {"id": "0e5d5a10-0000-11f0-8000-000000000002"}, "name": "c", "root": True},
        {"firstNodeIndex": 0, "nodes": [node]},
    )


def sent(bench: RuleBench) -> list[Any]:
    events = bench.engine.debug_events(NODE)
    return [event.message.data for event in events if event.label == "Success"]


async def test_pending_messages_of_a_deduplication_survive_a_restart() -> None:
    bench = RuleBench(register_rule_nodes().nodes)
    device = bench.add_device("D")
    configuration = {**PENDING, "interval": 2, "strategy": "ALL", "outMsgType": "X"}
    load(bench, "deduplication.TbMsgDeduplicationNode", configuration)
    for number in range(3):
        await bench.send("T", device, {"i": number})
    await bench.restart()
    load(bench, "deduplication.TbMsgDeduplicationNode", configuration)
    await bench.advance(2_001)
    ((pack,),) = [sent(bench)]
    assert [one["msg"]["i"] for one in pack] == [0, 1, 2]
    assert not bench.history.states["rules"], "nothing is kept once the pack has left"


async def test_pending_messages_pass_to_the_node_of_a_changed_configuration() -> None:
    bench = RuleBench(register_rule_nodes().nodes)
    device = bench.add_device("D")
    load(
        bench,
        "deduplication.TbMsgDeduplicationNode",
        {**PENDING, "interval": 60, "strategy": "FIRST"},
    )
    await bench.send("T", device, {"i": 1})
    load(
        bench,
        "deduplication.TbMsgDeduplicationNode",
        {**PENDING, "interval": 1, "strategy": "FIRST"},
    )
    await bench.advance(1_001)
    assert sent(bench) == [{"i": 1}]


async def test_a_pack_waits_while_the_engine_is_too_busy() -> None:
    bench = RuleBench(register_rule_nodes().nodes)
    device = bench.add_device("D")
    load(
        bench,
        "deduplication.TbMsgDeduplicationNode",
        {**PENDING, "interval": 1, "strategy": "LAST"},
    )
    await bench.send("T", device, {"i": 1})
    submit = bench.services.submit

    def refuse(task: Task) -> None:
        raise Retryable("busy")

    bench.services.submit = refuse  # type: ignore[method-assign] # a busy role
    await bench.advance(5_000)
    bench.services.submit = submit  # type: ignore[method-assign] # no longer
    await bench.advance(10_000)
    assert sent(bench) == [{"i": 1}]


async def test_deduplication_is_per_originator() -> None:
    bench = RuleBench(register_rule_nodes().nodes)
    devices = [bench.add_device(name) for name in ("A", "B")]
    load(
        bench,
        "deduplication.TbMsgDeduplicationNode",
        {**PENDING, "interval": 1, "strategy": "FIRST"},
    )
    for number in range(4):
        await bench.send("T", devices[number % 2], {"i": number})
    await bench.advance(1_001)
    assert sent(bench) == [{"i": 0}, {"i": 1}]


async def test_delayed_messages_survive_a_restart_and_keep_their_time() -> None:
    bench = RuleBench(register_rule_nodes().nodes)
    device = bench.add_device("D")
    load(bench, "delay.TbMsgDelayNode", {**PENDING, "periodInSeconds": 10})
    await bench.send("T", device, {"i": 1})
    await bench.advance(4_000)
    await bench.restart()
    load(bench, "delay.TbMsgDelayNode", {**PENDING, "periodInSeconds": 10})
    await bench.advance(5_999)
    assert sent(bench) == []
    await bench.advance(1)
    assert sent(bench) == [{"i": 1}] and not bench.history.states["rules"]


async def test_a_generator_keeps_to_its_plan_and_its_count() -> None:
    bench = RuleBench(register_rule_nodes().nodes)
    script = "return {msg: {n: (prevMsg.n || 0) + 1}, metadata: {}, msgType: 'G'};"
    configuration = {"msgCount": 3, "periodInSeconds": 5, "scriptLang": "JS", "jsScript": script}
    load(bench, "debug.TbMsgGeneratorNode", configuration)
    await bench.advance(60_000)
    events = [e for e in bench.engine.debug_events(NODE) if e.label == "Success"]
    assert [(e.ts - START_MS, e.message.data["n"]) for e in events] == [
        (5_000, 1),
        (10_000, 2),
        (15_000, 3),
    ]


async def test_a_generator_whose_originator_is_gone_fails_and_goes_on() -> None:
    bench = RuleBench(register_rule_nodes().nodes)
    missing = "0e5d5a10-0000-11f0-8000-00000000000e"
    configuration = {
        "periodInSeconds": 1,
        "jsScript": "return {msg: {}, msgType: 'G'};",
        "originatorType": "DEVICE",
        "originatorId": missing,
    }
    load(bench, "debug.TbMsgGeneratorNode", configuration)
    await bench.advance(2_000)
    labels = [event.label for event in bench.engine.debug_events(NODE)]
    assert labels == ["Failure", "Failure"]
    bench.add("DEVICE", {"id": {"entityType": "DEVICE", "id": missing}, "name": "late"})
    await bench.advance(1_000)
    assert bench.engine.debug_events(NODE)[-1].label == "Success"


async def test_a_generator_stops_with_its_chain() -> None:
    bench = RuleBench(register_rule_nodes().nodes)
    load(bench, "debug.TbMsgGeneratorNode", {"jsScript": "return {msg: {}, msgType: 'G'};"})
    bench.engine.remove_chain(UUID("0e5d5a10-0000-11f0-8000-000000000002"))
    assert bench.engine.timers.next_due_ms() is None


async def test_messages_are_counted_per_interval_also_when_none_came() -> None:
    bench = RuleBench(register_rule_nodes().nodes)
    device = bench.add_device("D")
    load(bench, "action.TbMsgCountNode", {"interval": 1, "telemetryPrefix": "n"})
    for _ in range(3):
        await bench.send("T", device, {})
    await bench.advance(2_500)
    events = [e for e in bench.engine.debug_events(NODE) if e.label == "Success"]
    key = f"n_{SERVICE_ID}"
    assert [event.message.data for event in events] == [{key: 3}, {key: 0}]
    assert events[0].message.originator == bench.tenant
    assert (events[0].message.type, events[0].message.metadata) == (
        "POST_TELEMETRY_REQUEST",
        {"delta": "1000"},
    )
