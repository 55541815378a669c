"""delay (deprecated): send messages on later (spec §9.3).

A message is acknowledged when it is taken in, so it is kept durably until it leaves.
"""

from __future__ import annotations

import re
from functools import partial

import msgspec

from appliance.model.errors import Retryable
from appliance.model.message import Message
from appliance.rules.context import Context
from appliance.rules.messages import copied
from appliance.rules.node import PACKAGE, SUCCESS, NodeConfig, NodeError, NodeFactory, NodeHandle
from appliance.rules.patterns import Pattern

_WHOLE = re.compile(r"-?[0-9]{1,10}")
BUSY_MS = 1_000
"""Until the next try when the engine has too much to do."""


class DelayConfig(NodeConfig, frozen=True, kw_only=True):
    """period_in_seconds_pattern: a pattern that gives whole seconds."""

    period_in_seconds: int = 0
    max_pending_msgs: int = 0
    period_in_seconds_pattern: str | None = None
    use_metadata_period_in_seconds_patterns: bool = False


class Delayed(msgspec.Struct, frozen=True):
    """A message and when it is due, epoch milliseconds."""

    due_ms: int
    message: Message


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Delayed).decode


class Delay:
    """delay."""

    def __init__(self, config: DelayConfig, node: NodeHandle) -> None:
        self._config = config
        self._node = node
        self._pattern = Pattern(config.period_in_seconds_pattern)
        self._count = 0

    def start(self) -> None:
        """Take up what was pending before a restart."""
        for body in self._node.restored.values():
            self._wait(_decode(body))

    def process(self, message: Message, ctx: Context) -> None:
        """Keep the message for its time."""
        period_s = self._period_s(message)
        if self._count >= self._config.max_pending_msgs:
            raise NodeError("Max limit of pending messages reached!")
        delayed = Delayed(ctx.now() + period_s * 1000, copied(message))
        ctx.save_state(str(delayed.message.id), _encode(delayed))
        ctx.ack(message)
        self._wait(delayed)

    def _period_s(self, message: Message) -> int:
        if not self._config.use_metadata_period_in_seconds_patterns:
            return self._config.period_in_seconds
        text = self._pattern.fill(message)
        if not _WHOLE.fullmatch(text):
            raise NodeError(f"Can't parse period in seconds from {text!r}")
        return int(text)

    def _wait(self, delayed: Delayed) -> None:
        self._count += 1
        self._node.later(delayed.due_ms - self._node.clock(), partial(self._due, delayed))

    def _due(self, delayed: Delayed) -> None:
        try:
            self._node.resume(partial(self._leave, delayed.message))
        except Retryable:
            self._node.later(BUSY_MS, partial(self._due, delayed))

    def _leave(self, message: Message, ctx: Context) -> None:
        self._count -= 1
        ctx.save_state(str(message.id), None)
        ctx.enqueue(SUCCESS, message)


DELAY_NODES = (
    NodeFactory(
        PACKAGE + "delay.TbMsgDelayNode",
        "delay (deprecated)",
        DelayConfig,
        Delay,
        note="pending messages survive a restart",
    ),
)
