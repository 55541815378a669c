"""A chain drawn as text: a tree from its first node, each node once, links back by number.

    Edge Root Rule Chain · root · 8 nodes
    3 Message Type Switch · TbMsgTypeSwitchNode
    ├─ Post telemetry ─► 1 Save Timeseries · TbMsgTimeseriesNode
    │  └─ Success ─► 7 Push to cloud · TbMsgPushToCloudNode
    └─ Other ─► 5 Log Other · TbLogNode

A node that was drawn before stands as `↑ 7 Push to cloud`. What no link leads to comes last: such
nodes run only if they make messages by themselves.
"""

from __future__ import annotations

from collections.abc import Iterator

from appliance.rules.compile import CompiledChain, CompiledNode

Branches = list[tuple[str, CompiledNode]]


def draw_chain(chain: CompiledChain, *, root: bool) -> Iterator[str]:
    """The lines of the picture."""
    count = len(chain.nodes)
    facts = [chain.name, *(["root"] if root else []), f"{count} node{'' if count == 1 else 's'}"]
    yield " · ".join(facts)
    drawing = _Drawing(chain)
    if chain.first is not None:
        yield from drawing.tree(chain.first)
    alone = drawing.left_over()
    if alone:
        yield "no message comes to:"
        for node in alone:
            if node not in drawing.drawn:
                yield from drawing.tree(node)


class _Drawing:
    """What was drawn, and the numbers that nodes have in their chain."""

    def __init__(self, chain: CompiledChain) -> None:
        self.drawn: set[CompiledNode] = set()
        self._chain = chain
        self._numbers = {node: number for number, node in enumerate(chain.nodes, start=1)}

    def tree(self, node: CompiledNode) -> Iterator[str]:
        """A node and everything behind it."""
        yield from self._node("", "", node)

    def left_over(self) -> list[CompiledNode]:
        """Nodes not drawn yet, those that no other of them leads to first."""
        rest = [node for node in self._chain.nodes if node not in self.drawn]
        led_to = {target for node in rest for _, target in branches(node)}
        return sorted(rest, key=lambda node: node in led_to)

    def _node(self, lead: str, below: str, node: CompiledNode) -> Iterator[str]:
        if node in self.drawn:
            yield f"{lead}↑ {self._numbers[node]} {node.name}"
            return
        self.drawn.add(node)
        yield f"{lead}{self._numbers[node]} {node.name} · {node.spec.type.rpartition('.')[2]}"
        if node.refusal is not None:
            yield f"{below}   ✗ {node.refusal}"
        found = branches(node)
        for place, (label, target) in enumerate(found, start=1):
            last = place == len(found)
            corner, rail = ("└─", "   ") if last else ("├─", "│  ")
            yield from self._node(f"{below}{corner} {label} ─► ", below + rail, target)


def branches(node: CompiledNode) -> Branches:
    """Where a node's links lead, links to the same node as one; labels as they were written."""
    labels: dict[CompiledNode, list[str]] = {}
    for label, targets in node.links.items():
        twin = label.lower()
        if label == twin and any(other != twin and other.lower() == twin for other in node.links):
            continue  # the lower-case spelling is the engine's own
        for target in targets:
            known = labels.setdefault(target, [])
            if twin not in (other.lower() for other in known):
                known.append(label)
    return [(", ".join(known), target) for target, known in labels.items()]
