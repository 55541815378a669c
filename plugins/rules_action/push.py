"""push to cloud, push to edge: a message as events of an outbox (spec/rule-engine.md §8).

Two faults of the reference are not copied: an array of readings is sent as its readings, and the
`{"timeseries": […]}` body of TIMESERIES_UPDATED as what it holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from appliance.model.ids import EntityId
from appliance.model.message import Message
from appliance.model.telemetry import Scope, Series
from appliance.model.unit import CLOUD, Lane, OutboxEvent
from appliance.rules.context import Context
from appliance.rules.messages import with_data
from appliance.rules.node import PACKAGE, NodeConfig, NodeError, NodeFactory, NodeHandle
from appliance.rules.values import encode_json, telemetry_of, typed_values, whole_number
from appliance.sync.telling import place_of
from appliance.sync.wire import encode_entry

TELEMETRY = frozenset(("POST_TELEMETRY_REQUEST", "TIMESERIES_UPDATED"))
STATE_EVENTS = frozenset(
    ("CONNECT_EVENT", "DISCONNECT_EVENT", "ACTIVITY_EVENT", "INACTIVITY_EVENT")
)
ATTRIBUTES = frozenset(("POST_ATTRIBUTES_REQUEST", "ATTRIBUTES_UPDATED"))
ALARM_CHANGES = frozenset(("ALARM", "ALARM_CREATED", "ALARM_UPDATED", "ALARM_SEVERITY_UPDATED"))
ALARM_ACTIONS = frozenset(("ALARM_ACK", "ALARM_CLEAR"))
ORIGINATORS = frozenset(
    ("DEVICE", "ASSET", "ENTITY_VIEW", "DASHBOARD", "TENANT", "CUSTOMER", "USER", "EDGE")
)


class PushConfig(NodeConfig, frozen=True, kw_only=True):
    """scope: of attributes, where metadata has no `scope`."""

    scope: str = Scope.SERVER


class PushToCloud:
    """push to cloud: Success means durable here, not received there."""

    def __init__(self, config: PushConfig, node: NodeHandle) -> None:
        self._scope = config.scope

    def process(self, message: Message, ctx: Context) -> None:
        """Put the events into the outbox; what came from the cloud ends here."""
        if message.metadata.get("source", "").lower() == "cloud":
            ctx.ack(message)
            return
        ctx.unit.events.extend(events_of(message, self._scope, CLOUD, ctx.unit.series))
        ctx.success(message)


class PushToEdge:
    """push to edge: to the edge that is the originator, or to all that it is assigned to."""

    def __init__(self, config: PushConfig, node: NodeHandle) -> None:
        self._scope = config.scope

    def process(self, message: Message, ctx: Context) -> None:
        """Put the events into each edge's outbox; what came from an edge ends here."""
        if message.metadata.get("source", "").lower() == "edge":
            ctx.ack(message)
            return
        edges = _edges_of(message.originator, ctx)
        for edge in edges or (None,):
            events = list(events_of(message, self._scope, str(edge), ctx.unit.series))
            if edge is not None:
                ctx.unit.events.extend(events)
        if edges:
            ctx.success(message)
        else:
            ctx.ack(message)


def _edges_of(originator: EntityId, ctx: Context) -> tuple[UUID, ...]:
    if originator.type == "EDGE":
        return (originator.id,)
    relations = ctx.state.relations_to(originator)
    return tuple(r.source.id for r in relations if r.source.type == "EDGE" and r.type == "Contains")


def events_of(
    message: Message, scope: str, outbox: str, saved: Sequence[Series]
) -> Iterator[OutboxEvent]:
    """The outbox events of a message. Raises NodeError for what cannot be sent.

    saved: series of the same unit; values that are among them need no second encoding.
    """
    kind = message.type
    scope = message.metadata.get("scope") or scope
    if kind in TELEMETRY:
        return _telemetry(message, outbox, saved)
    if kind in ATTRIBUTES:
        return _attributes(message, scope, outbox)
    if kind in STATE_EVENTS:
        if message.metadata.get("scope"):
            return _attributes(message, scope, outbox)
        return _telemetry(message, outbox, saved)
    if kind == "ATTRIBUTES_DELETED":
        keys = _object(message).get("attributes") or []
        body = {"keys": keys, "ts": message.effective_ts, "scope": scope}
        return _one(message, outbox, Lane.DATA, kind, body)
    if kind in ALARM_CHANGES or kind in ALARM_ACTIONS:
        return _alarm(message, outbox)
    if kind == "TO_SERVER_RPC_REQUEST":
        return _one(message, outbox, Lane.PRIORITY, "RPC_CALL", _rpc_body(message))
    raise NodeError(f"Unsupported msg type {kind}")


def _telemetry(message: Message, outbox: str, saved: Sequence[Series]) -> Iterator[OutboxEvent]:
    originator = _pushable(message)
    data = message.data
    if message.type == "TIMESERIES_UPDATED" and isinstance(data, dict):
        message = with_data(message, data.get("timeseries", data))
    # By identity: a message whose values nobody changed hands out the very same ones.
    entries = {(each.ts, id(each.values)): each.entry for each in saved}
    for ts, values in telemetry_of(message):
        if values:
            yield OutboxEvent(
                outbox,
                Lane.DATA,
                originator.type,
                "TIMESERIES_UPDATED",
                originator,
                entries.get((ts, id(values))) or encode_entry(ts, values),
            )


def _attributes(message: Message, scope: str, outbox: str) -> Iterator[OutboxEvent]:
    values = typed_values(message.data)
    if not values:
        return iter(())
    body: dict[str, Any] = {"kv": values, "ts": message.effective_ts, "scope": scope}
    action = "ATTRIBUTES_UPDATED"
    if message.type == "POST_ATTRIBUTES_REQUEST":
        action = "POST_ATTRIBUTES"
        body["isPostAttributes"] = True
    return _one(message, outbox, Lane.DATA, action, body)


def _alarm(message: Message, outbox: str) -> Iterator[OutboxEvent]:
    """The alarm's body is read when it is sent; two quick changes may become one message."""
    try:
        alarm = EntityId("ALARM", UUID(str(message.data["id"]["id"])))
    except (TypeError, KeyError, ValueError):
        raise NodeError("the message holds no alarm") from None
    action = message.type
    if action in ALARM_CHANGES:
        metadata = message.metadata
        action = "UPDATED"
        if metadata.get("isNewAlarm", "").lower() == "true":
            action = "ADDED"
        elif metadata.get("isClearedAlarm", "").lower() == "true":
            action = "ALARM_CLEAR"
    place = place_of(message.data)
    yield OutboxEvent(outbox, Lane.PRIORITY, "ALARM", action, alarm, place)


def _rpc_body(message: Message) -> dict[str, Any]:
    metadata, data = message.metadata, _object(message)
    params = data.get("params")
    return {
        "requestId": whole_number(metadata.get("requestId") or 0),
        "serviceId": metadata.get("serviceId"),
        "sessionId": metadata.get("sessionId"),
        "method": data.get("method"),
        "params": encode_json(params).decode(),
    }


def _one(
    message: Message, outbox: str, lane: Lane, action: str, body: dict[str, Any]
) -> Iterator[OutboxEvent]:
    originator = _pushable(message)
    yield OutboxEvent(outbox, lane, originator.type, action, originator, encode_json(body))


def _object(message: Message) -> dict[str, Any]:
    if not isinstance(message.data, dict):
        raise NodeError("Message body is not a JSON object!")
    return message.data


def _pushable(message: Message) -> EntityId:
    if message.originator.type not in ORIGINATORS:
        raise NodeError(f"Unsupported originator type {message.originator.type}")
    return message.originator


PUSH_NODES = (
    NodeFactory(PACKAGE + "edge.TbMsgPushToCloudNode", "push to cloud", PushConfig, PushToCloud),
    NodeFactory(PACKAGE + "edge.TbMsgPushToEdgeNode", "push to edge", PushConfig, PushToEdge),
)
