"""deduplication: of the messages of an originator in an interval, one (spec §9.1).

A message is acknowledged when it is taken in, so it is kept durably until it is sent on: one small
state per message, removed in the unit of work in which its pack leaves. A crash in between sends
the pack again. At most `max_pending_msgs` wait per originator.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import msgspec

from appliance.model.errors import Retryable
from appliance.model.ids import EntityId
from appliance.model.message import Message
from appliance.rules.context import Context
from appliance.rules.messages import copied, derived
from appliance.rules.node import (
    PACKAGE,
    SUCCESS,
    NodeConfig,
    NodeError,
    NodeFactory,
    NodeHandle,
    require,
)

RETRY_MS = 10_000

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Message).decode


class DeduplicationConfig(NodeConfig, frozen=True, kw_only=True):
    """interval: seconds, at least 1. out_msg_type: of the message that strategy ALL makes."""

    interval: int = 0
    strategy: Literal["FIRST", "LAST", "ALL"] = "LAST"
    out_msg_type: str | None = None
    max_pending_msgs: int = 0
    max_retries: int = 0


class Deduplication:
    """deduplication. Intervals are cut by message time, from the earliest message on."""

    def __init__(self, config: DeduplicationConfig, node: NodeHandle) -> None:
        require(config.interval > 0, "the interval must be at least 1 s")
        self._config = config
        self._node = node
        self._interval_ms = config.interval * 1000
        self._pending: dict[EntityId, list[Message]] = {}

    def start(self) -> None:
        """Take up what was pending before a restart, in order of arrival."""
        messages = [_decode(body) for body in self._node.restored.values()]
        for message in sorted(messages, key=lambda one: one.id.time):
            self._add(message)

    def process(self, message: Message, ctx: Context) -> None:
        """Keep the message; it leaves with its pack."""
        pending = self._pending.get(message.originator, ())
        if len(pending) >= self._config.max_pending_msgs:
            raise NodeError("Max limit of pending messages reached for deduplication")
        kept = copied(message)
        ctx.save_state(str(kept.id), _encode(kept))
        self._add(kept)
        ctx.ack(message)

    def _add(self, message: Message) -> None:
        pending = self._pending.setdefault(message.originator, [])
        pending.append(message)
        if len(pending) == 1:
            self._later(message.originator, self._interval_ms + 1)

    def _later(self, originator: EntityId, delay_ms: int) -> None:
        self._node.later(delay_ms, partial(self._tick, originator))

    def _tick(self, originator: EntityId) -> None:
        """Send on every pack whose interval is over; go on while anything is pending."""
        pending = self._pending[originator]
        now = self._node.clock()
        while pending:
            end = min(message.effective_ts for message in pending) + self._interval_ms
            if end > now:
                break
            pack = [message for message in pending if message.effective_ts < end]
            try:
                self._node.resume(partial(self._leave, pack))
            except Retryable:
                self._later(originator, RETRY_MS)
                return
            pending = [message for message in pending if message.effective_ts >= end]
            self._pending[originator] = pending
        if pending:
            self._later(originator, self._interval_ms + 1)
        else:
            del self._pending[originator]

    def _leave(self, pack: list[Message], ctx: Context) -> None:
        for message in pack:
            ctx.save_state(str(message.id), None)
        ctx.enqueue(SUCCESS, copied(self._one_of(pack, ctx.now()), self._node.queue))

    def _one_of(self, pack: list[Message], now: int) -> Message:
        match self._config.strategy:
            case "FIRST":
                return min(pack, key=lambda message: message.effective_ts)
            case "LAST":
                return max(pack, key=lambda message: message.effective_ts)
        data: list[Any] = [{"msg": one.data, "metadata": one.metadata} for one in pack]
        return derived(pack[0], self._config.out_msg_type or "NA", data, {"ts": str(now)})


DEDUPLICATION_NODES = (
    NodeFactory(
        PACKAGE + "deduplication.TbMsgDeduplicationNode",
        "deduplication",
        DeduplicationConfig,
        Deduplication,
        version=1,
        note="pending messages survive a restart; an interval of 0 is refused",
    ),
)
