"""The chains that servers ship, from their recordings, do what an edge needs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from appliance.model.telemetry import Scope
from appliance.model.unit import CLOUD, Lane
from appliance.rules.default_chain import default_root_chain
from appliance.sync.wire import decode_entry
from appliance.testing.rules import START_MS, RuleBench
from plugins.rules_action import register_rule_nodes as action_nodes
from plugins.rules_filter import register_rule_nodes as filter_nodes
from tests.conftest import FIXTURES

FACTORIES = {**action_nodes().nodes, **filter_nodes().nodes}


def recorded(trace: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The first chain and metadata that a recorded server sent."""
    for line in (FIXTURES / "traces" / trace).read_text().splitlines():
        message = json.loads(line).get("msg", {}).get("downlinkMsg", {})
        if "ruleChainMetadataUpdateMsg" in message:
            chain = json.loads(message["ruleChainUpdateMsg"][0]["entity"])
            return chain, json.loads(message["ruleChainMetadataUpdateMsg"][0]["entity"])
    raise LookupError(trace)


def of_3_9() -> tuple[dict[str, Any], dict[str, Any]]:
    """The 4.2 chain as it was in 3.9: older save nodes, one push with server scope."""
    chain, metadata = recorded("01-connect-and-initial-sync.jsonl")
    for node in metadata["nodes"]:
        node["configuration"].pop("processingSettings", None)
        if node["type"].endswith("TbMsgTimeseriesNode"):
            node["configurationVersion"] = 0
        elif node["type"].endswith("TbMsgAttributesNode"):
            node["configurationVersion"] = 2
        elif node["type"].endswith("TbMsgPushToCloudNode"):
            node["configuration"]["scope"] = "SERVER_SCOPE"
    return chain, metadata


CHAINS = {
    "3.9": (of_3_9, "SERVER_SCOPE"),
    "4.2": (lambda: recorded("01-connect-and-initial-sync.jsonl"), "CLIENT_SCOPE"),
    "4.3": (lambda: recorded("20-connect-to-a-4.3-server.jsonl"), "CLIENT_SCOPE"),
    "built in": (default_root_chain, "CLIENT_SCOPE"),
}


@pytest.fixture(params=CHAINS)
def bench(request: pytest.FixtureRequest) -> RuleBench:
    bench = RuleBench(FACTORIES)
    bench.push_scope = CHAINS[request.param][1]  # type: ignore[attr-defined] # for one assertion
    bench.load(*CHAINS[request.param][0]())
    assert not [event for event in bench.events if type(event).__name__ == "RuleNodeRefused"]
    return bench


async def test_telemetry_is_saved_and_pushed(bench: RuleBench) -> None:
    device = bench.add_device("D1")
    work = await bench.send("POST_TELEMETRY_REQUEST", device, {"t": 21, "s": "x"}, {"ts": "5"})
    assert work.failure is None
    (series,) = work.unit.series
    assert (series.entity, series.ts, series.values) == (device, 5, {"t": 21, "s": "x"})
    (event,) = work.unit.events
    assert (event.outbox, event.lane, event.type) == (CLOUD, Lane.DATA, "DEVICE")
    assert (event.action, event.entity) == ("TIMESERIES_UPDATED", device)
    assert decode_entry(event.body) == (5, {"t": 21, "s": "x"})


async def test_client_attributes_are_saved_when_changed_and_pushed_always(bench: RuleBench) -> None:
    device = bench.add_device("D1")
    bench.put_attributes(device, Scope.CLIENT, {"a": 1})
    work = await bench.send("POST_ATTRIBUTES_REQUEST", device, {"a": 1, "b": 2})
    (write,) = work.unit.attributes
    assert (write.scope, write.values) == (Scope.CLIENT, {"b": 2})
    (event,) = work.unit.events
    assert event.action == "POST_ATTRIBUTES"
    assert json.loads(event.body) == {
        "kv": {"a": 1, "b": 2},
        "ts": START_MS,
        "scope": bench.push_scope,  # type: ignore[attr-defined]
        "isPostAttributes": True,
    }


async def test_what_came_from_the_cloud_is_saved_but_not_sent_back(bench: RuleBench) -> None:
    device = bench.add_device("D1")
    work = await bench.send("POST_TELEMETRY_REQUEST", device, {"t": 21}, {"source": "cloud"})
    assert work.unit.series and not work.unit.events


async def test_attribute_changes_go_up_with_their_scope(bench: RuleBench) -> None:
    device = bench.add_device("D1")
    updated = await bench.send("ATTRIBUTES_UPDATED", device, {"a": 1}, {"scope": "SHARED_SCOPE"})
    body = {"kv": {"a": 1}, "ts": START_MS, "scope": "SHARED_SCOPE"}
    assert json.loads(updated.unit.events[0].body) == body
    data = {"attributes": ["a"]}
    deleted = await bench.send("ATTRIBUTES_DELETED", device, data, {"scope": "SHARED_SCOPE"})
    assert deleted.unit.events[0].action == "ATTRIBUTES_DELETED"
    body = {"keys": ["a"], "ts": START_MS, "scope": "SHARED_SCOPE"}
    assert json.loads(deleted.unit.events[0].body) == body


async def test_a_request_for_a_device_reaches_it(bench: RuleBench) -> None:
    device = bench.add_device("D1")
    body = {"method": "setX", "params": '{"a":1}'}
    work = await bench.send("RPC_CALL_FROM_SERVER_TO_DEVICE", device, body, {"oneway": "true"})
    assert work.failure is None
    (request,) = bench.services.rpc
    assert (request.device, request.method, request.params) == (device, "setX", {"a": 1})
    assert request.oneway and request.expires_ms == START_MS + 60_000


async def test_events_without_a_link_end_quietly(bench: RuleBench) -> None:
    device = bench.add_device("D1")
    for kind in ("CONNECT_EVENT", "ENTITY_CREATED", "ALARM", "MY_OWN", "TO_SERVER_RPC_REQUEST"):
        work = await bench.send(kind, device, {"a": 1})
        assert work.failure is None and not work.unit
