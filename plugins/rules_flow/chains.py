"""rule chain, output, checkpoint, acknowledge, and the old synchronization pair."""

from __future__ import annotations

from uuid import UUID

from appliance.model.ids import NULL_UUID
from appliance.model.message import Message
from appliance.rules.context import Context
from appliance.rules.messages import copied
from appliance.rules.node import PACKAGE, SUCCESS, NodeConfig, NodeFactory, NodeHandle, require


class ChainInputConfig(NodeConfig, frozen=True, kw_only=True):
    """forward_msg_to_default_rule_chain: the originator profile's chain where it has one."""

    rule_chain_id: UUID | None = None
    forward_msg_to_default_rule_chain: bool = False


class ChainInput:
    """rule chain. The other chain may arrive later than this one, so it is looked up each time."""

    def __init__(self, config: ChainInputConfig, node: NodeHandle) -> None:
        require(config.rule_chain_id, "Rule chain must be set!")
        self._target = config.rule_chain_id or NULL_UUID
        self._forward = config.forward_msg_to_default_rule_chain

    def process(self, message: Message, ctx: Context) -> None:
        """Go on in the other chain; what fails there does not come back here."""
        target = ctx.profile_chain(message) if self._forward else None
        ctx.call_chain(target or self._target, message)
        ctx.ack(message)


class ChainOutput:
    """output: back to the caller, by this node's name."""

    def __init__(self, config: NodeConfig, node: NodeHandle) -> None:
        self._label = node.name

    def process(self, message: Message, ctx: Context) -> None:
        """Without a caller the message is done."""
        if not ctx.return_to_caller(self._label, message):
            ctx.ack(message)


class Checkpoint:
    """checkpoint: go on as a copy on this node's queue, whose rules then say what a failure does.

    The unit of work is one, so the copy is as durable as what came before it.
    """

    def __init__(self, config: NodeConfig, node: NodeHandle) -> None:
        self._queue = node.queue

    def process(self, message: Message, ctx: Context) -> None:
        """Success for the copy, the end for the message."""
        ctx.enqueue(SUCCESS, copied(message, self._queue))
        ctx.ack(message)


class Acknowledge:
    """acknowledge: the message counts as done, and still goes on."""

    def __init__(self, config: NodeConfig, node: NodeHandle) -> None:
        pass

    def process(self, message: Message, ctx: Context) -> None:
        """Acknowledge, then Success."""
        ctx.ack(message)
        ctx.success(message)


class Synchronization:
    """synchronization start and end: nothing is left to do for them."""

    def __init__(self, config: NodeConfig, node: NodeHandle) -> None:
        pass

    def process(self, message: Message, ctx: Context) -> None:
        """Success."""
        ctx.success(message)


CHAIN_NODES = (
    NodeFactory(
        PACKAGE + "flow.TbRuleChainInputNode", "rule chain", ChainInputConfig, ChainInput, version=1
    ),
    NodeFactory(PACKAGE + "flow.TbRuleChainOutputNode", "output", NodeConfig, ChainOutput),
    NodeFactory(PACKAGE + "flow.TbCheckpointNode", "checkpoint", NodeConfig, Checkpoint, version=1),
    NodeFactory(PACKAGE + "flow.TbAckNode", "acknowledge", NodeConfig, Acknowledge),
    NodeFactory(
        PACKAGE + "transaction.TbSynchronizationBeginNode",
        "synchronization start",
        NodeConfig,
        Synchronization,
    ),
    NodeFactory(
        PACKAGE + "transaction.TbSynchronizationEndNode",
        "synchronization end",
        NodeConfig,
        Synchronization,
    ),
)
