"""Chain JSON to linked nodes (spec/rule-engine.md §1.1, §2.3, §2.4).

A chain always loads. A node that this edge cannot run, or whose configuration is wrong, stands in
the chain as refused: messages that reach it fail, the rest of the chain works.

Nodes that did not change keep their object, and so their state, when a chain is loaded again: the
server's id, type, name, queue and configuration must be equal (ThingsBoard's own edge restarts
every node at every update).
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from appliance.kernel.clock import Clock
from appliance.kernel.events import Emit
from appliance.model.errors import ConfigError
from appliance.model.ids import NULL_UUID
from appliance.model.message import Message
from appliance.rules.context import Context
from appliance.rules.debug import DebugEvent, DebugLog
from appliance.rules.events import RuleNodeFaulted, RuleNodeRefused
from appliance.rules.node import PACKAGE, NodeFactory, RuleNode
from appliance.rules.ports import History, RuleServices
from appliance.rules.support import UNSUPPORTED
from appliance.state.view import StateView

if TYPE_CHECKING:
    from appliance.rules.engine import RuleEngine

INPUT_NODE = PACKAGE + "flow.TbRuleChainInputNode"
Process = Callable[[Message, Context], Awaitable[None] | None]


class NodeSpec(msgspec.Struct, frozen=True):
    """What a node is; two equal specs are the same node. id: text of the server's id, or ""."""

    id: str
    type: str
    name: str
    queue: str | None
    version: int
    configuration: bytes

    @property
    def key(self) -> str:
        """Name of the node's kept state."""
        if self.id:
            return self.id
        digest = hashlib.sha256(self.configuration).hexdigest()[:16]
        return f"{self.name}/{self.type.rpartition('.')[2]}/{digest}"


class CompiledChain:
    """A chain ready to run. first is None for a chain without nodes."""

    __slots__ = ("first", "id", "name", "nodes")

    def __init__(self, id: UUID, name: str) -> None:
        self.id = id
        self.name = name
        self.nodes: list[CompiledNode] = []
        self.first: CompiledNode | None = None


class CompiledNode:
    """A node, its links, and (as NodeHandle) its place in the engine."""

    __slots__ = (
        "_cancels",
        "chain",
        "debug",
        "engine",
        "id",
        "impl",
        "key",
        "links",
        "process",
        "refusal",
        "spec",
    )

    def __init__(self, engine: RuleEngine, chain: CompiledChain, spec: NodeSpec) -> None:
        self.engine = engine
        self.chain = chain
        self.spec = spec
        self.id = UUID(spec.id) if spec.id else NULL_UUID
        self.key = spec.key
        self.links: dict[str, tuple[CompiledNode, ...]] = {}
        self.impl: RuleNode | None = None
        self.refusal: str | None = None
        self.process: Process = self._refuse
        self.debug: DebugLog[DebugEvent] | None = None
        self._cancels: set[Callable[[], None]] = set()

    def _refuse(self, message: Message, ctx: Context) -> None:
        ctx.reject(message, self.refusal or "the node is not started")

    # NodeHandle ----------------------------------------------------------------------------------
    @property
    def name(self) -> str:
        """See NodeHandle."""
        return self.spec.name

    @property
    def queue(self) -> str | None:
        """See NodeHandle."""
        return self.spec.queue

    @property
    def chain_id(self) -> UUID:
        """See NodeHandle."""
        return self.chain.id

    @property
    def state(self) -> StateView:
        """See NodeHandle."""
        return self.engine.state

    @property
    def storage(self) -> History:
        """See NodeHandle."""
        return self.engine.storage

    @property
    def clock(self) -> Clock:
        """See NodeHandle."""
        return self.engine.clock

    @property
    def emit(self) -> Emit:
        """See NodeHandle."""
        return self.engine.emit

    @property
    def services(self) -> RuleServices:
        """See NodeHandle."""
        return self.engine.services

    @property
    def restored(self) -> Mapping[str, bytes]:
        """See NodeHandle."""
        return self.engine.restored.get(self.key, {})

    def later(self, delay_ms: int, action: Callable[[], None]) -> Callable[[], None]:
        """See NodeHandle."""

        def fire() -> None:
            self._cancels.discard(cancel)
            try:
                action()
            except Exception as error:  # noqa: BLE001 - a node must not stop all timers (§2.4)
                self._faulted(error)

        def give_up() -> None:
            self._cancels.discard(cancel)
            cancel()

        cancel = self.engine.timers.later(delay_ms, fire)
        self._cancels.add(cancel)
        return give_up

    def resume(self, action: Callable[[Context], Awaitable[None] | None]) -> None:
        """See NodeHandle."""
        self.engine.services.submit(lambda work: self.engine.resume(self, action, work))

    # life ----------------------------------------------------------------------------------------
    def build(self, factories: Mapping[str, NodeFactory[Any]]) -> None:
        """Make the node, or remember why not."""
        factory = factories.get(self.spec.type)
        try:
            if factory is None:
                reason = UNSUPPORTED.get(self.spec.type)
                name = self.spec.type + (f" ({reason})" if reason else "")
                raise ConfigError(f"not supported on this edge: {name}")
            configuration = msgspec.json.decode(self.spec.configuration)
            self.impl = factory.make(configuration, self.spec.version, self)
        except Exception as error:  # noqa: BLE001 - a foreign node must not stop a chain (§2.4)
            self._refused(error)
        else:
            self.process = self.impl.process

    def start(self) -> None:
        """Let the node begin what it does by itself; one that cannot is refused."""
        start = getattr(self.impl, "start", None)
        if start is not None:
            try:
                start()
            except Exception as error:  # noqa: BLE001 - a foreign node must not stop a chain
                self._refused(error)

    def stop(self) -> None:
        """End the node: its timers, then the node itself."""
        for cancel in self._cancels:
            cancel()
        self._cancels.clear()
        stop = getattr(self.impl, "stop", None)
        if stop is not None:
            try:
                stop()
            except Exception as error:  # noqa: BLE001 - it is gone either way
                self._faulted(error)

    def _refused(self, error: Exception) -> None:
        reason = self.refusal = str(error) or type(error).__name__
        self.impl, self.process = None, self._refuse
        self.engine.emit(RuleNodeRefused(chain=self.chain.name, node=self.name, reason=reason))

    def _faulted(self, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"
        self.engine.emit(RuleNodeFaulted(chain=self.chain.name, node=self.name, reason=reason))


def compile_chain(
    engine: RuleEngine,
    chain: Mapping[str, Any],
    metadata: Mapping[str, Any],
    previous: CompiledChain | None,
    factories: Mapping[str, NodeFactory[Any]],
) -> tuple[CompiledChain, list[CompiledNode]]:
    """Build and link; also returns the nodes that are new and want `start`."""
    compiled = CompiledChain(UUID(chain["id"]["id"]), chain.get("name") or "")
    known = {node.spec: node for node in previous.nodes} if previous else {}
    new: list[CompiledNode] = []
    nodes, connections = _modern(metadata)
    for raw in nodes:
        spec = _spec(raw)
        node = known.pop(spec, None) if spec.id else None
        if node is None or node.refusal is not None:
            node = CompiledNode(engine, compiled, spec)
            node.build(factories)
            new.append(node)
        node.chain = compiled
        node.debug = DebugLog.wanted(raw.get("debugSettings"), node.debug)
        compiled.nodes.append(node)
    _link(compiled, connections)
    first = metadata.get("firstNodeIndex")
    if first is not None and 0 <= first < len(compiled.nodes):
        compiled.first = compiled.nodes[first]
    return compiled, new


def _spec(raw: Mapping[str, Any]) -> NodeSpec:
    return NodeSpec(
        id=(raw.get("id") or {}).get("id") or "",
        type=raw["type"],
        name=raw.get("name") or "",
        queue=raw.get("queueName"),
        version=raw.get("configurationVersion") or 0,
        configuration=msgspec.json.encode(raw.get("configuration") or {}, order="sorted"),
    )


def _modern(metadata: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
    """Nodes and connections, with each legacy link to a chain made a node of its own (§1.1)."""
    nodes = list(metadata.get("nodes") or ())
    connections = list(metadata.get("connections") or ())
    for link in metadata.get("ruleChainConnections") or ():
        target = link["targetRuleChainId"]["id"]
        connections.append(
            {"fromIndex": link["fromIndex"], "toIndex": len(nodes), "type": link["type"]}
        )
        nodes.append(
            {
                "type": INPUT_NODE,
                "name": target,
                "configurationVersion": 1,
                "configuration": {"ruleChainId": target},
            }
        )
    return nodes, connections


def _link(chain: CompiledChain, connections: list[Any]) -> None:
    """Set every node's links, by label as written and in lower case; bad indexes are left out
    (a server that drops nodes unknown to us does not renumber, §1.2)."""
    links: dict[CompiledNode, dict[str, list[CompiledNode]]] = {n: {} for n in chain.nodes}
    count = len(chain.nodes)
    written: dict[str, set[str]] = {}
    for connection in connections:
        source, target = connection["fromIndex"], connection["toIndex"]
        if not (0 <= source < count and 0 <= target < count):
            continue
        label = connection["type"]
        written.setdefault(label.lower(), set()).add(label)
        links[chain.nodes[source]].setdefault(label.lower(), []).append(chain.nodes[target])
    for node, by_label in links.items():
        node.links = {
            spelling: tuple(targets)
            for label, targets in by_label.items()
            for spelling in {label, *written[label]}
        }
