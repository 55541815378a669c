"""The way of messages through their nodes, step by step, with what it took.

A trace stands where a node's debug events go, so it sees what the Events tab would show, of every
node, in one order. A step begins when a message comes to a node and ends with the node's last word
about it; a node that waits ends late, and its time is the time that passed.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import msgspec

from appliance.model.message import Message
from appliance.model.telemetry import AttributeWrite
from appliance.model.unit import Unit
from appliance.rules.compile import CompiledNode
from appliance.rules.debug import DebugEvent, DebugLog
from appliance.rules.engine import RuleEngine
from appliance.rules.rehearsal import Effect, PassedOver
from appliance.rules.values import json_text
from appliance.rules.work import Work


class Out(msgspec.Struct, frozen=True):
    """A message that left a node: by a relation, or with ACK and the like, by none."""

    relation: str
    message: Message
    error: str | None


class Step(msgspec.Struct):
    """One visit. number: its place on the way, from 1."""

    number: int
    node: CompiledNode
    message: Message
    began_ns: int
    took_ns: int = 0
    outs: list[Out] = []

    @property
    def note(self) -> str:
        """What a reader should know of the node; mostly nothing."""
        if self.node.refusal is not None:
            return f"not started: {self.node.refusal}"
        if isinstance(self.node.impl, PassedOver):
            return "passed over: it speaks with other systems"
        return ""


class Trace:
    """Collects the steps of all nodes of an engine."""

    def __init__(self, engine: RuleEngine) -> None:
        self.steps: list[Step] = []
        for node in engine.nodes():
            node.debug = _Watch(self, node)

    def came(self, node: CompiledNode, message: Message) -> None:
        """A message came to a node."""
        self.steps.append(Step(len(self.steps) + 1, node, message, time.perf_counter_ns()))

    def left(self, node: CompiledNode, event: DebugEvent) -> None:
        """A message left a node; it belongs to the node's visit by that message, or the latest."""
        visits = [step for step in reversed(self.steps) if step.node is node]
        step = next((s for s in visits if s.message.id == event.message.id), None)
        step = step or (visits[0] if visits else None)
        if step is None:  # a node that acts by itself: a generator, the end of a delay
            self.came(node, event.message)
            step = self.steps[-1]
        step.took_ns = time.perf_counter_ns() - step.began_ns
        step.outs.append(Out(event.label or "", event.message, event.error))


class _Watch(DebugLog[DebugEvent]):
    """Hands a node's debug events to the trace, whatever its settings ask for."""

    def __init__(self, trace: Trace, node: CompiledNode) -> None:
        super().__init__({})
        self._trace = trace
        self._node = node

    def record(self, event: DebugEvent) -> None:
        """See DebugLog."""
        if event.direction == "IN":
            self._trace.came(self._node, event.message)
        else:
            self._trace.left(self._node, event)


# --- what came of it ---------------------------------------------------------------------------


def effects_of(works: Iterable[Work], beside: Iterable[Effect]) -> list[Effect]:
    """All that would have been committed, then what would have been done beside it."""
    found = [effect for work in works for effect in _of_unit(work.unit)]
    return [*found, *beside]


def _of_unit(unit: Unit) -> Iterable[Effect]:
    for series in unit.series:
        yield Effect("telemetry", f"{series.entity} ts {series.ts} {json_text(series.values)}")
    for change in unit.attributes:
        what = (
            json_text(change.values)
            if isinstance(change, AttributeWrite)
            else f"without {', '.join(change.keys)}"
        )
        yield Effect("attributes", f"{change.entity} {change.scope.value} {what}")
    for write in unit.entities:
        done = "deleted" if write.body is None else "saved"
        yield Effect("entity", f"{write.kind}:{write.id} {done}")
    for event in unit.events:
        lane = event.lane.name.lower()
        text = f"{event.type} {event.action} {event.entity}, {len(event.body)} bytes, lane {lane}"
        yield Effect("event", f"to {event.outbox}: {text}")
    for state in unit.states:
        yield Effect("kept", state.key)


# --- for people and for programs ---------------------------------------------------------------


def trace_text(trace: Trace, *, bodies: bool) -> Iterable[str]:
    """A line a step; bodies: and a line a message that left it, where the node changed it.

    `─►` goes on, `─■` ends here: no link has that label.
    """
    width = max((len(step.node.name) for step in trace.steps), default=0)
    chain = None
    for step in trace.steps:
        if step.node.chain is not chain:
            chain = step.node.chain
            yield chain.name
        words = "  ".join(_arrow(step.node, out.relation) for out in step.outs) or "■"
        line = f"  {step.number:>3}  {step.node.name:<{width}}  {step.took_ns / 1000:>9.1f} µs  "
        yield line + words + (f"  ({step.note})" if step.note else "")
        for out in step.outs:
            if out.error is not None:
                yield f"       ✗ {out.error}"
            if bodies and _content(out.message) != _content(step.message):
                yield f"       {shown(out.message)}"


def _arrow(node: CompiledNode, relation: str) -> str:
    goes_on = relation in node.links or relation.lower() in node.links
    return f"─ {relation} ─{'►' if goes_on else '■'}"


def _content(message: Message) -> tuple[Any, ...]:
    return message.type, message.originator, message.data, message.metadata


def shown(message: Message) -> str:
    """A message on one line."""
    parts = (message.type, str(message.originator), json_text(message.data))
    return f"{' '.join(parts)} metadata {json_text(message.metadata)}"


def trace_json(trace: Trace) -> list[dict[str, Any]]:
    """The steps as JSON."""
    return [
        {
            "chain": step.node.chain.name,
            "node": step.node.name,
            "type": step.node.spec.type,
            "us": round(step.took_ns / 1000, 1),
            "note": step.note or None,
            "in": message_json(step.message),
            "out": [
                {
                    "relation": out.relation,
                    "message": message_json(out.message),
                    "error": out.error,
                }
                for out in step.outs
            ],
        }
        for step in trace.steps
    ]


def message_json(message: Message) -> dict[str, Any]:
    """A message in the words of a message file."""
    return {
        "msgType": message.type,
        "originator": message.originator.to_json(),
        "ts": message.ts,
        "msg": message.data,
        "metadata": message.metadata,
    }
