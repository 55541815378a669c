"""generator and message count: nodes that make messages by the clock (spec §10.1)."""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial
from typing import Any
from uuid import UUID

from appliance.model.errors import Retryable
from appliance.model.ids import NULL_UUID, EntityId, new_uuid
from appliance.model.message import Message
from appliance.rules.context import Context
from appliance.rules.node import (
    FAILURE,
    PACKAGE,
    SERVICE_ID,
    SUCCESS,
    NodeConfig,
    NodeError,
    NodeFactory,
    NodeHandle,
    require,
)
from appliance.rules.scripts import ScriptConfig
from appliance.rules.tbel import TbelError
from appliance.rules.values import java_string

SELF_MESSAGE = "GENERATOR_NODE_SELF_MSG"
OWN_TYPES = ("RULE_NODE", "TENANT")
ORIGINATORS = (
    *OWN_TYPES,
    *("DEVICE", "ASSET", "ENTITY_VIEW", "CUSTOMER", "USER", "DASHBOARD", "EDGE"),
)


class GeneratorConfig(ScriptConfig, frozen=True, kw_only=True):
    """msg_count: 0 = without end. originator_id: of all types but OWN_TYPES."""

    msg_count: int = 0
    period_in_seconds: int = 0
    originator_id: UUID | None = None
    originator_type: str | None = None


class Generator:
    """generator. Ticks keep to the plan however long the script takes; none is made up for."""

    def __init__(self, config: GeneratorConfig, node: NodeHandle) -> None:
        require(config.period_in_seconds > 0, "the period must be at least 1 s")
        self._script = config.compile(("prevMsg", "prevMetadata", "prevMsgType"))
        self._node = node
        self._period_ms = config.period_in_seconds * 1000
        self._left = config.msg_count or None
        self._originator = _originator(config, node)
        self._previous: tuple[Any, Any, str] = ({}, {}, "")
        self._planned_ms = 0

    def start(self) -> None:
        """Plan the first tick."""
        self._planned_ms = self._node.clock()
        self._plan()

    def process(self, message: Message, ctx: Context) -> None:
        """A generator has no input; what comes in ends."""
        ctx.ack(message)

    def _plan(self) -> None:
        now = self._node.clock()
        self._planned_ms = max(self._planned_ms + self._period_ms, now)
        self._node.later(self._planned_ms - now, self._tick)

    def _tick(self) -> None:
        if self._left is not None:
            self._left -= 1
        try:
            self._node.resume(self._generate)
        except Retryable:
            pass  # too much waits already: this tick is left out
        if self._left != 0:
            self._plan()

    def _generate(self, ctx: Context) -> Awaitable[None] | None:
        if self._originator.type not in OWN_TYPES:
            body = ctx.state.entity(self._originator.type, self._originator.id)
            if body is None:
                self._fail(ctx, f"originator {self._originator} is not on this edge")
                return None
        try:
            return self._script.then(self._previous, partial(self._send, ctx))
        except (NodeError, TbelError) as error:
            self._fail(ctx, str(error))
            return None

    def _fail(self, ctx: Context, error: str) -> None:
        ctx.tell(FAILURE, self._message(ctx, SELF_MESSAGE, "", {}), error)

    def _send(self, ctx: Context, result: Any) -> None:
        if not isinstance(result, dict):
            raise NodeError("the script must return an object")
        kind = java_string(result.get("msgType") or "")
        texts = (result.get("metadata") or {}).items()
        metadata = {key: java_string(value) for key, value in texts if value is not None}
        data = result.get("msg")
        self._previous = (data, metadata, kind)
        ctx.enqueue(SUCCESS, self._message(ctx, kind, data, metadata))

    def _message(self, ctx: Context, kind: str, data: Any, metadata: dict[str, str]) -> Message:
        queue = self._node.queue
        return Message(new_uuid(), ctx.now(), kind, self._originator, data, metadata, queue=queue)


def _originator(config: GeneratorConfig, node: NodeHandle) -> EntityId:
    """Whose messages they are. Raises ConfigError for nobody."""
    kind = config.originator_type
    own = {"RULE_NODE": node.id, "TENANT": node.state.tenant_id}
    require(kind in ORIGINATORS, f"Originator type '{kind}' is not supported.")
    require(kind in own or config.originator_id, "Originator entity must be selected.")
    return EntityId(kind or "", own.get(kind or "") or config.originator_id or NULL_UUID)


def _upgrade(config: dict[str, Any], version: int) -> dict[str, Any]:
    """Without both of type and id it was the node itself."""
    if config.get("originatorType") and config.get("originatorId"):
        return config
    return {**config, "originatorType": "RULE_NODE"}


class CountConfig(NodeConfig, frozen=True, kw_only=True):
    """interval: seconds."""

    interval: int = 0
    telemetry_prefix: str = "null"


class Count:
    """message count: how many came in each interval, from the tenant; also when none did."""

    def __init__(self, config: CountConfig, node: NodeHandle) -> None:
        require(config.interval > 0, "the interval must be at least 1 s")
        self._key = f"{config.telemetry_prefix}_{SERVICE_ID}"
        self._interval_ms = config.interval * 1000
        self._node = node
        self._count = 0
        self._since_ms = 0

    def start(self) -> None:
        """Begin the first interval."""
        self._since_ms = self._node.clock()
        self._node.later(self._interval_ms, self._tick)

    def process(self, message: Message, ctx: Context) -> None:
        """Count; the message ends here."""
        self._count += 1
        ctx.ack(message)

    def _tick(self) -> None:
        count, self._count = self._count, 0
        now = self._node.clock()
        delta, self._since_ms = now - self._since_ms, now
        try:
            self._node.resume(partial(self._send, count, delta))
        except Retryable:
            self._count += count
        self._node.later(self._interval_ms, self._tick)

    def _send(self, count: int, delta_ms: int, ctx: Context) -> None:
        tenant = EntityId("TENANT", ctx.state.tenant_id)
        body, metadata = {self._key: count}, {"delta": str(delta_ms)}
        message = Message(new_uuid(), ctx.now(), "POST_TELEMETRY_REQUEST", tenant, body, metadata)
        ctx.enqueue(SUCCESS, message)


SOURCE_NODES = (
    NodeFactory(
        PACKAGE + "debug.TbMsgGeneratorNode",
        "generator",
        GeneratorConfig,
        Generator,
        version=2,
        upgrade=_upgrade,
        note="an originator that is not there yet is looked for at each tick",
    ),
    NodeFactory(PACKAGE + "action.TbMsgCountNode", "message count", CountConfig, Count),
)
