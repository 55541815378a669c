"""What rules cost: microseconds a message and memory of loaded chains, beside their targets.

    python -m tests.bench.rules_figures

Each time is the best of `ROUNDS` rounds, so that a neighbour on the machine does not count; memory
is what the process grew by. A line that misses its target is marked; the exit code is then 1.
"""

from __future__ import annotations

import gc
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from appliance.kernel.events import ignore
from appliance.model.ids import EntityId, new_uuid
from appliance.model.message import Message
from appliance.rules.default_chain import default_root_chain
from appliance.rules.engine import RuleEngine
from appliance.rules.node import PACKAGE, NodeFactory
from appliance.rules.scripts import Script
from appliance.rules.work import Work
from appliance.testing.rules import BenchHistory, BenchServices, RuleBench
from plugins import BUILT_IN

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


class Figure(msgspec.Struct, frozen=True):
    """One line of the report."""

    what: str
    value: float
    target: float
    unit: str

    def __str__(self) -> str:
        mark = "" if self.value <= self.target else "   MISSED"
        return f"{self.what:<44}{self.value:8.2f} {self.unit:<3} target {self.target:g}{mark}"


def best_us(call: Callable[[], None]) -> float:
    """Microseconds a call, best round."""
    call()
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter_ns()
        for _ in range(MESSAGES):
            call()
        best = min(best, (time.perf_counter_ns() - began) / MESSAGES / 1000)
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


def script_us(language: str) -> float:
    """The script alone, with the message's five values."""
    script = Script(language, FILTER, ("msg", "metadata", "msgType"))
    message = message_of(EntityId("DEVICE", new_uuid()))
    arguments = (message.data, message.metadata, message.type)

    def use(result: Any) -> None:
        assert result is True

    def once() -> None:
        script.then(arguments, use)

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


def main() -> int:
    """Print the figures."""
    figures = [
        Figure(f"{CHAINS} chains × {NODES} TBEL filters", chains_mb("TBEL"), 50, "MB"),
        Figure(f"{CHAINS} chains × {NODES} JS filters", chains_mb("JS"), 50, "MB"),
        Figure("default chain, a telemetry message", default_chain_us(), 15, "µs"),
        Figure("TBEL filter node", filter_us("TBEL"), 10, "µs"),
        Figure("TBEL filter, the script alone", script_us("TBEL"), 10, "µs"),
        Figure("JS filter node", filter_us("JS"), 20, "µs"),
        Figure("JS filter, the script alone", script_us("JS"), 20, "µs"),
    ]
    for figure in figures:
        print(figure)
    return int(any(figure.value > figure.target for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
