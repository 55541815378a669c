"""copy to view: attribute changes go on to the originator's entity views, in their time window."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from appliance.model.ids import EntityId
from appliance.model.message import Message
from appliance.model.telemetry import AttributeWrite, Scope
from appliance.rules.attributes import delete_attributes, deleted_keys, scope_of
from appliance.rules.context import Context
from appliance.rules.messages import copied, with_originator
from appliance.rules.node import PACKAGE, SUCCESS, NodeConfig, NodeError, NodeFactory, NodeHandle
from appliance.rules.values import typed_values

TYPES = (
    "ATTRIBUTES_UPDATED",
    "ATTRIBUTES_DELETED",
    "ACTIVITY_EVENT",
    "INACTIVITY_EVENT",
    "POST_ATTRIBUTES_REQUEST",
)
LISTS = {Scope.CLIENT: "cs", Scope.SHARED: "sh", Scope.SERVER: "ss"}


class CopyToView:
    """copy to view: ends the message, and sends one on for each view."""

    def __init__(self, config: NodeConfig, node: NodeHandle) -> None:
        pass

    def process(self, message: Message, ctx: Context) -> None:
        """Success from each view; from one that shows none of the deleted keys nothing."""
        if message.type not in TYPES:
            raise NodeError(f"Unsupported msg type [{message.type}]")
        if not message.metadata:
            raise NodeError("Message metadata is empty")
        posted = message.type == "POST_ATTRIBUTES_REQUEST"
        scope = Scope.CLIENT if posted else scope_of(message.metadata.get("scope") or "")
        for view in _views(message.originator, ctx):
            self._copy(message, view, scope, ctx)
        ctx.ack(message)

    def _copy(self, message: Message, view: dict[str, Any], scope: Scope, ctx: Context) -> None:
        entity = EntityId("ENTITY_VIEW", UUID(view["id"]["id"]))
        attributes = (view.get("keys") or {}).get("attributes") or {}
        shown = attributes.get(LISTS[scope]) or ()
        now = ctx.now()
        if message.type == "ATTRIBUTES_DELETED":
            keys = tuple(key for key in deleted_keys(message) if key in shown)
            if not keys:
                return
            delete_attributes(ctx, entity, scope, keys)
        else:
            values = {k: v for k, v in typed_values(message.data).items() if k in shown}
            if values:
                ctx.unit.attributes.append(AttributeWrite(entity, scope, now, values))
        ctx.enqueue(SUCCESS, copied(with_originator(message, entity)))


def _views(originator: EntityId, ctx: Context) -> Iterator[dict[str, Any]]:
    now = ctx.now()
    for view in ctx.state.entities("ENTITY_VIEW"):
        if (view.get("entityId") or {}).get("id") != str(originator.id):
            continue
        start, end = view.get("startTimeMs") or 0, view.get("endTimeMs") or 0
        if start < now and (end == 0 or end > now):
            yield view


VIEW_NODES = (
    NodeFactory(
        PACKAGE + "action.TbCopyAttributesToEntityViewNode", "copy to view", NodeConfig, CopyToView
    ),
)
