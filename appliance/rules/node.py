"""The node API: all that the author of a rule node needs.

A rule node is a small object with one method:

    class Scale:
        def __init__(self, config: ScaleConfig, node: NodeHandle) -> None: ...

        def process(self, message: Message, ctx: Context) -> None:
            data = {key: value * self.factor for key, value in message.data.items()}
            ctx.success(with_data(message, data))

`process` may be `async def` where it must wait (history, network); a node that need not wait
should not, because plain calls are the fast path. Raising is the Failure label with the error's
text (spec/rule-engine.md §2.4). Optional `start()` runs once the chain is linked, `stop()` when
the node is removed or replaced.

A family of nodes is offered by the hook `register_rule_nodes`; `appliance.testing.rule_nodes`
runs one node alone and checks what every node must keep.
"""

from __future__ import annotations

import builtins
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar
from uuid import UUID

import msgspec

from appliance.kernel.clock import Clock
from appliance.kernel.events import Emit
from appliance.model.errors import ConfigError
from appliance.model.message import Message
from appliance.rules.configuration import read_configuration
from appliance.rules.ports import History, RuleServices
from appliance.state.view import StateView

if TYPE_CHECKING:
    from appliance.rules.context import Context

SUCCESS = "Success"
FAILURE = "Failure"
TRUE = "True"
FALSE = "False"
OTHER = "Other"

SERVICE_ID = "edge-appliance"
"""This process where a server would put its service id: names of attributes and of counters."""

PACKAGE = "org.thingsboard.rule.engine."
"""What every class name of ThingsBoard's own nodes begins with."""


class NodeError(Exception):
    """What a node raises to fail a message; the text is shown to people."""


class NodeConfig(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Base of configuration structs: Java's names on the wire, ours in the code.

    Defaults are what the server's classes have where a key is missing, which is not always what
    its UI offers. A key that is not among the fields keeps the node from starting, as on the
    server, unless the configuration is of another version than ours (see configuration.py).
    """

    ignores_unknown: ClassVar[bool] = False
    """Whether the server's class takes any key."""


class RuleNode(Protocol):
    """One node of a chain."""

    def process(self, message: Message, ctx: Context) -> Awaitable[None] | None:
        """Handle one message; say where it goes with `ctx.tell`. Not telling ends it quietly."""
        ...


class NodeHandle(Protocol):
    """A node's place in the engine; lives as long as the node."""

    @property
    def id(self) -> UUID:
        """The server's id of the node."""
        ...

    @property
    def name(self) -> str:
        """As the chain calls it."""
        ...

    @property
    def chain_id(self) -> UUID:
        """Of the chain that it is in."""
        ...

    @property
    def queue(self) -> str | None:
        """The queue that its output goes to, where it makes messages of its own."""
        ...

    @property
    def state(self) -> StateView:
        """Committed state; while a message is processed, use the context's."""
        ...

    @property
    def storage(self) -> History:
        """History of values."""
        ...

    @property
    def clock(self) -> Clock:
        """Epoch milliseconds."""
        ...

    @property
    def emit(self) -> Emit:
        """States what happened."""
        ...

    @property
    def services(self) -> RuleServices:
        """Effects outside the unit of work."""
        ...

    @property
    def restored(self) -> Mapping[str, bytes]:
        """What `ctx.save_state` keeps, also from before a restart; to be read when starting."""
        ...

    def later(self, delay_ms: int, action: Callable[[], None]) -> Callable[[], None]:
        """Call `action` after a delay; call the result to cancel. Gone when the node stops."""
        ...

    def resume(self, action: Callable[[Context], Awaitable[None] | None]) -> None:
        """Run `action` soon as this node, with a unit of work of its own.

        Raises Retryable when too much waits already; try again later.
        """
        ...


C = TypeVar("C", bound=NodeConfig)


class NodeFactory(msgspec.Struct, Generic[C], frozen=True):
    """How to make one kind of node.

    type: full Java class name. name: as the UI calls it. config: its configuration struct.
    build: makes the node, or raises ConfigError: then the node is "not started" and messages that
    reach it fail. version: the newest configurationVersion known; upgrade: turns the raw object
    of an older version (given with its number) into today's. note: what differs from the server,
    for docs/rule-nodes.md. outside: the node speaks with other systems by itself, so that a
    rehearsal (`appliance rules test`, `dry-run`) passes it over.
    """

    type: str
    name: str
    config: builtins.type[C]
    build: Callable[[C, NodeHandle], RuleNode]
    version: int = 0
    upgrade: Callable[[dict[str, Any], int], dict[str, Any]] | None = None
    note: str = ""
    outside: bool = False

    def make(self, raw: Mapping[str, Any], version: int, handle: NodeHandle) -> RuleNode:
        """Build a node from a chain's JSON. Raises ConfigError with what is wrong."""
        config = dict(raw)
        if self.upgrade is not None and version < self.version:
            config = self.upgrade(config, version)
        whole = version == self.version
        return self.build(read_configuration(config, self.config, whole=whole), handle)


def node_types(*factories: NodeFactory[Any]) -> dict[str, NodeFactory[Any]]:
    """The mapping that `RuleNodesSpec.nodes` wants."""
    return {factory.type: factory for factory in factories}


def require(condition: object, reason: str) -> None:
    """Refuse a configuration. Raises ConfigError(reason) unless condition."""
    if not condition:
        raise ConfigError(reason)
