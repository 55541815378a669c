"""What effects cause: each in its turn, and never for ever."""

from __future__ import annotations

from appliance.model.message import Message
from appliance.rules.context import Context
from appliance.rules.messages import derived
from appliance.rules.node import NodeConfig, NodeFactory, NodeHandle, node_types
from appliance.rules.run import GENERATIONS_MAX
from appliance.testing.rules import RuleBench
from tests.unit.rules.nodes import load


class EchoConfig(NodeConfig, frozen=True, kw_only=True):
    """How often an effect causes one more, and how many each causes."""

    deep: int = 0
    wide: int = 1


class Echo:
    """Answers a message with others, until one is as deep as it was told."""

    seen: list[int] = []

    def __init__(self, config: EchoConfig, node: NodeHandle) -> None:
        self._config = config
        Echo.seen = []

    def process(self, message: Message, ctx: Context) -> None:
        Echo.seen.append(message.data)
        if message.data < self._config.deep:
            for _ in range(self._config.wide):
                ctx.follow_up(derived(message, "ECHO", message.data + 1, {}))


NODES = node_types(NodeFactory("Echo", "echo", EchoConfig, Echo))


async def test_effects_that_cause_themselves_are_stopped_early_and_said_so() -> None:
    bench = RuleBench(NODES)
    load(bench, [("Echo", "echo", {"deep": 1_000_000})], [])
    work = await bench.send("X", bench.add_device("D"), 0)
    assert work.failure == "effects cause effects for ever"
    assert len(Echo.seen) == GENERATIONS_MAX + 1


async def test_many_effects_of_one_message_all_run() -> None:
    bench = RuleBench(NODES)
    load(bench, [("Echo", "echo", {"deep": 1, "wide": 500})], [])
    work = await bench.send("X", bench.add_device("D"), 0)
    assert work.failure is None
    assert Echo.seen == [0] + [1] * 500


async def test_a_generation_runs_before_the_next() -> None:
    bench = RuleBench(NODES)
    load(bench, [("Echo", "echo", {"deep": 3, "wide": 2})], [])
    await bench.send("X", bench.add_device("D"), 0)
    assert Echo.seen == sorted(Echo.seen) and len(Echo.seen) == 1 + 2 + 4 + 8
