"""What rules cost: microseconds a message, memory of loaded chains.

    make bench ARGS="--only rules"

Each time is the CPU time of the best of `ROUNDS` rounds, so that neighbours on the machine hardly
count; memory is what the process grew by. The bounds are in the catalogue.
"""

from __future__ import annotations

import gc
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import trio

from appliance.kernel.events import ignore
from appliance.model.ids import EntityId, new_uuid
from appliance.model.message import Message
from appliance.rules.default_chain import default_root_chain
from appliance.rules.engine import RuleEngine
from appliance.rules.node import PACKAGE, NodeFactory
from appliance.rules.work import Work
from appliance.testing.rules import BenchHistory, BenchServices, RuleBench
from plugins import BUILT_IN
from tests.bench.ground import Figures, Size

ROUNDS = 15
MESSAGES = 2_000
CHAINS, NODES = 300, 10
FILTER = "return msg.temperature > 20;"
FACTORIES: dict[str, NodeFactory[Any]] = {
    type: factory
    for plugin in BUILT_IN
    if hasattr(plugin, "register_rule_nodes")
    for type, factory in plugin.register_rule_nodes().nodes.items()
}


def best_us(call: Callable[[], None]) -> float:
    """Microseconds a call, best round."""
    call()
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time_ns()
        for _ in range(MESSAGES):
            call()
        best = min(best, (time.process_time_ns() - began) / MESSAGES / 1000)
    return best


def bench() -> tuple[RuleBench, EntityId]:
    """An engine with every built-in node, and a device with its profile."""
    made = RuleBench(FACTORIES)
    return made, made.add_device("D1")


def message_of(device: EntityId) -> Message:
    """Five values, as in the other figures."""
    values = {"temperature": 21.5, "humidity": 40, "pressure": 1013.2, "on": True, "mode": "auto"}
    metadata = {"deviceName": "D1", "deviceType": "default", "ts": "1700000000000"}
    kind = "POST_TELEMETRY_REQUEST"
    return Message(new_uuid(), 1_700_000_000_000, kind, device, values, metadata)


def default_chain_us() -> float:
    """A telemetry message through the default edge chain: switch, save, push."""
    made, device = bench()
    made.load(*default_root_chain())
    message = message_of(device)
    work = Work()
    made.engine.process(message, work)
    assert work.failure is None and len(work.unit.series) == len(work.unit.events) == 1

    def once() -> None:
        made.engine.process(message, Work())

    return best_us(once)


def chain_of(nodes: int, chain: UUID, language: str, name: str = "chain") -> tuple[Any, Any]:
    """A line of script filters."""
    reference = {"entityType": "RULE_CHAIN", "id": str(chain)}
    made = [
        {
            "id": {"entityType": "RULE_NODE", "id": str(new_uuid())},
            "type": PACKAGE + "filter.TbJsFilterNode",
            "name": f"filter {number}",
            "configuration": {"scriptLang": language, "jsScript": FILTER, "tbelScript": FILTER},
        }
        for number in range(nodes)
    ]
    links = [
        {"fromIndex": number, "toIndex": number + 1, "type": "True"} for number in range(nodes - 1)
    ]
    body = {"id": reference, "name": name, "root": True}
    return body, {"firstNodeIndex": 0, "nodes": made, "connections": links}


def filter_us(language: str) -> float:
    """What one filter node adds: a chain of eleven against a chain of one."""
    return (_line_us(11, language) - _line_us(1, language)) / 10


def _line_us(nodes: int, language: str) -> float:
    made, device = bench()
    made.load(*chain_of(nodes, new_uuid(), language))
    message = message_of(device)

    def once() -> None:
        made.engine.process(message, Work())

    return best_us(once)


def chains_mb(language: str) -> float:
    """What 300 chains of 10 nodes take."""
    made, _ = bench()
    engine = RuleEngine(made.state, BenchHistory(), lambda: 0, ignore, BenchServices(), FACTORIES)
    engine.load_chain(*chain_of(NODES, new_uuid(), language))
    gc.collect()
    before = resident_mb()
    for number in range(CHAINS):
        engine.load_chain(*chain_of(NODES, new_uuid(), language, f"chain {number}"))
    gc.collect()
    return resident_mb() - before


def resident_mb() -> float:
    """What the process has in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def figures() -> dict[str, float]:
    """By their names in the catalogue; memory first, while the process is small."""
    return {
        "rules_tbel_chains_mb": chains_mb("TBEL"),
        "rules_js_chains_mb": chains_mb("JS"),
        "rules_default_us": default_chain_us(),
        "rules_tbel_filter_us": filter_us("TBEL"),
        "rules_js_filter_us": filter_us("JS"),
    }


async def rules(size: Size) -> Figures:
    """The scenario: in a process of its own, for the memory's sake."""
    command = [sys.executable, "-m", "tests.bench.rules_figures"]
    done = await trio.run_process(command, capture_stdout=True)
    found: Figures = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    print(json.dumps(figures()))
