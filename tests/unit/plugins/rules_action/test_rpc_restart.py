"""Requests to devices over a restart: the message behind them was acknowledged long ago."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from appliance.model.ids import EntityId
from appliance.rules.ports import RpcOutcome
from appliance.testing.rules import RuleBench
from plugins.rules_action import register_rule_nodes

NODE = UUID("0e5d5a10-0000-11f0-8000-000000000001")
CHAIN = {"id": {"id": "0e5d5a10-0000-11f0-8000-000000000002"}, "name": "c", "root": True}
METADATA = {
    "firstNodeIndex": 0,
    "nodes": [
        {
            "id": {"id": str(NODE)},
            "type": "org.thingsboard.rule.engine.rpc.TbSendRPCRequestNode",
            "name": "ask",
            "configuration": {"timeoutInSeconds": 10},
            "debugSettings": {"allEnabled": True},
        }
    ],
}
ASK = {"method": "m", "params": {"a": 1}}


async def asked(metadata: dict[str, str]) -> tuple[RuleBench, EntityId]:
    """A bench whose device was asked and has not answered."""
    bench = RuleBench(register_rule_nodes().nodes)
    bench.load(CHAIN, METADATA)
    device = bench.add_device("D")
    await bench.send("X", device, ASK, metadata)
    assert len(bench.services.rpc) == 1
    return bench, device


async def restarted(bench: RuleBench) -> list[Any]:
    """The requests made after a restart."""
    bench.services.rpc.clear()
    await bench.restart()
    bench.load(CHAIN, METADATA)
    await bench.settle()
    return bench.services.rpc


async def test_a_device_that_has_not_answered_is_asked_again_and_answers_once() -> None:
    bench, device = await asked({"k": "v"})
    bench.services.answer = lambda request, done: done(RpcOutcome({"ok": True}))
    (again,) = await restarted(bench)
    assert (again.device, again.method, again.params) == (device, "m", {"a": 1})
    event = bench.engine.debug_events(NODE)[-1]
    assert (event.label, event.message.data) == ("Success", {"ok": True})
    assert event.message.metadata == {"k": "v"}
    assert await restarted(bench) == []


async def test_a_request_that_expired_meanwhile_fails_without_asking() -> None:
    bench, _ = await asked({})
    bench.now_ms += 10_001
    assert await restarted(bench) == []
    event = bench.engine.debug_events(NODE)[-1]
    assert (event.label, event.error) == ("Failure", "TIMEOUT")


async def test_a_request_that_somebody_made_ends_with_him() -> None:
    """He heard of a timeout; his command must not come as a surprise later."""
    bench, _ = await asked({"requestUUID": str(NODE), "expirationTime": "1700000099000"})
    assert await restarted(bench) == []
