"""The conformance suite of rule nodes: what every node must keep, whoever wrote it.

    @pytest.mark.parametrize("factory", my_plugin.register_rule_nodes().nodes.values())
    async def test_a_node_keeps_the_rules(factory):
        await check_rule_node(factory, {"scale": 2})

The rules: a wrong configuration is a ConfigError; a message's data and metadata are never changed
in place; whatever comes in, a node goes on or fails with an error made for people (NodeError or
another error of ours), never with a stray exception; the same messages in the same order take the
same labels; a stopped node leaves no timer behind.
"""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Mapping
from typing import Any

import msgspec

from appliance.model.errors import ApplianceError, ConfigError
from appliance.model.ids import EntityId
from appliance.model.message import Message
from appliance.model.telemetry import Scope
from appliance.rules.compile import CompiledNode
from appliance.rules.context import Context
from appliance.rules.debug import DebugLog
from appliance.rules.node import NodeError, NodeFactory, node_types
from appliance.testing.rules import RuleBench

BODIES: tuple[Any, ...] = (
    {"temperature": 21.5, "s": "text", "o": {"a": [1, {"b": None}]}, "n": None, "": 1},
    {},
    [],
    [{"ts": 1, "values": {"a": 1}}, {"b": 2}],
    [1, None, "x"],
    "text",
    "",
    5,
    None,
    True,
)
TYPES = (
    "POST_TELEMETRY_REQUEST",
    "POST_ATTRIBUTES_REQUEST",
    "ATTRIBUTES_UPDATED",
    "ATTRIBUTES_DELETED",
    "ALARM",
    "TO_SERVER_RPC_REQUEST",
    "MY_OWN",
)
METADATA = {
    "scope": "SERVER_SCOPE",
    "requestId": "1",
    "serviceId": "s",
    "sessionId": "0e5d5a10-0000-11f0-8000-00000000000b",
}


async def check_rule_node(
    factory: NodeFactory[Any], configuration: Mapping[str, Any] | None = None
) -> None:
    """Check one kind of node, with a configuration that should start (default: the empty one).

    Raises AssertionError with what is wrong.
    """
    _check_bad_configuration(factory)
    bench = RuleBench(node_types(factory))
    node = bench.load_node(factory, configuration)
    if node.refusal is not None:
        assert configuration is None, f"{factory.type} does not start: {node.refusal}"
        return
    first = await _labels(bench, node)
    again = RuleBench(node_types(factory))
    second = await _labels(again, again.load_node(factory, configuration))
    assert first == second, f"{factory.type}: the same messages took other labels"


async def _labels(bench: RuleBench, node: CompiledNode) -> list[str | None]:
    """Give the node messages of all kinds; the labels that they took, in order."""
    type = node.spec.type
    labels: list[str | None] = []
    device = bench.add_device("device", additionalInfo=None)
    bench.put_attributes(device, Scope.SERVER, {"a": 1})
    stray: list[str] = []
    _watch(node, stray)
    for originator in (device, bench.tenant, EntityId("RULE_NODE", node.id)):
        for kind in TYPES:
            for body in BODIES:
                message = bench.message(kind, originator, body, dict(METADATA))
                labels += await _give(bench, node, message)
    assert not stray, f"{type}: {stray[0]} ({len(stray)} in all)"
    await bench.advance(120_000)
    bench.engine.remove_chain(node.chain_id)
    assert bench.engine.timers.next_due_ms() is None, f"{type} leaves a timer behind"
    return labels


def _check_bad_configuration(factory: NodeFactory[Any]) -> None:
    """Any value of a wrong kind is a ConfigError, or is ignored."""
    bench = RuleBench({})
    handle = bench.load_node(factory)
    names = [field.encode_name for field in _fields(factory.config)]
    for wrong in ({"no": "such"}, [{"no": "such"}], "no such", -1):
        for name in names:
            try:
                factory.make({name: wrong}, factory.version, handle)
            except ConfigError:
                continue
            finally:
                handle.stop()


def _fields(config: type[Any]) -> tuple[Any, ...]:
    return msgspec.structs.fields(config)


def _watch(node: CompiledNode, stray: list[str]) -> None:
    """Note every exception that is not made for people."""
    process = node.process

    def watched(message: Message, ctx: Context) -> Awaitable[None] | None:
        try:
            waiting = process(message, ctx)
        except Exception as error:
            _note(error, message, stray)
            raise
        return None if waiting is None else _watched(waiting, message, stray)

    node.process = watched


async def _watched(waiting: Awaitable[None], message: Message, stray: list[str]) -> None:
    try:
        await waiting
    except Exception as error:
        _note(error, message, stray)
        raise


def _note(error: Exception, message: Message, stray: list[str]) -> None:
    if not isinstance(error, NodeError | ApplianceError):
        stray.append(f"{type(error).__name__}: {error} for {message.type} {message.data!r}")


async def _give(bench: RuleBench, node: CompiledNode, message: Message) -> list[str | None]:
    data, metadata = copy.deepcopy(message.data), dict(message.metadata)
    node.debug = DebugLog({"allEnabled": True})
    await bench.run_at(node.id, message)
    assert (message.data, message.metadata) == (data, metadata), "a message was changed in place"
    return [event.label for event in node.debug.events() if event.direction == "OUT"]
