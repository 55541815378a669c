"""Small nodes and a way to write chains, for tests of the engine."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid5

import trio

from appliance.model.message import Message
from appliance.rules.context import Context
from appliance.rules.messages import with_data
from appliance.rules.node import NodeConfig, NodeError, NodeFactory, NodeHandle, node_types
from appliance.testing.rules import RuleBench

SPACE = UUID("0e5d5a10-0000-11f0-8000-000000000009")


class LabelConfig(NodeConfig, frozen=True, kw_only=True):
    """What the little nodes are told."""

    label: str = "Success"
    wait_s: float = 0.0


class Step:
    """Appends its name to the data and goes on by its label."""

    def __init__(self, config: LabelConfig, node: NodeHandle) -> None:
        self._label = config.label
        self._name = node.name

    def process(self, message: Message, ctx: Context) -> None:
        ctx.tell(self._label, with_data(message, [*message.data, self._name]))


class Slow(Step):
    """As Step, after a while."""

    def __init__(self, config: LabelConfig, node: NodeHandle) -> None:
        super().__init__(config, node)
        self._wait_s = config.wait_s

    async def process(self, message: Message, ctx: Context) -> None:  # type: ignore[override] # waits
        await trio.sleep(self._wait_s)
        super().process(message, ctx)


class Broken(Step):
    """Raises."""

    def process(self, message: Message, ctx: Context) -> None:
        raise NodeError("boom")


class Flaky(Step):
    """Fails until `heal` is set."""

    healed = False

    def process(self, message: Message, ctx: Context) -> None:
        if not Flaky.healed:
            raise NodeError("not yet")
        super().process(message, ctx)


class Counter(Step):
    """Counts what it sees; the count is its state."""

    def __init__(self, config: LabelConfig, node: NodeHandle) -> None:
        super().__init__(config, node)
        self._count = int(node.restored.get("count", b"0"))
        self.stopped = False

    def process(self, message: Message, ctx: Context) -> None:
        self._count += 1
        ctx.save_state("count", str(self._count).encode())
        ctx.success(with_data(message, [*message.data, self._count]))

    def stop(self) -> None:
        self.stopped = True


class Moody(Step):
    """Raises where it is told to: "start", "stop" or "timer"."""

    mood = ""

    def __init__(self, config: LabelConfig, node: NodeHandle) -> None:
        super().__init__(config, node)
        self._node = node

    def start(self) -> None:
        self._raise("start")
        if Moody.mood == "timer":
            self._node.later(10, lambda: self._raise("timer"))

    def stop(self) -> None:
        self._raise("stop")

    def _raise(self, when: str) -> None:
        if Moody.mood == when:
            raise RuntimeError("no mood")


class End:
    """Keeps what arrives."""

    seen: list[Message]

    def __init__(self, config: LabelConfig, node: NodeHandle) -> None:
        End.seen = []

    def process(self, message: Message, ctx: Context) -> None:
        End.seen.append(message)


NODES = node_types(
    *(
        NodeFactory(kind.__name__, kind.__name__, LabelConfig, kind)
        for kind in (Step, Slow, Broken, Flaky, Counter, Moody, End)
    )
)


def chain_id(name: str) -> UUID:
    """The id of a test chain."""
    return uuid5(SPACE, name)


def load(
    bench: RuleBench,
    nodes: list[tuple[str, str, dict[str, Any]]],
    links: list[tuple[int, int, str]],
    *,
    name: str = "chain",
    root: bool = True,
    **more: Any,
) -> None:
    """Load a chain: (type, name, configuration) and (from, to, label)."""
    reference = {"entityType": "RULE_CHAIN", "id": str(chain_id(name))}
    made = [
        {
            "id": {"entityType": "RULE_NODE", "id": str(uuid5(SPACE, f"{name}/{index}"))},
            "type": type,
            "name": title,
            "configuration": configuration,
            **more,
        }
        for index, (type, title, configuration) in enumerate(nodes)
    ]
    connections = [{"fromIndex": a, "toIndex": b, "type": label} for a, b, label in links]
    bench.load(
        {"id": reference, "name": name, "root": root},
        {"firstNodeIndex": 0, "nodes": made, "connections": connections},
    )
