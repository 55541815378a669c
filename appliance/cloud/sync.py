"""The initial and the partial sync as outbox events, in the order of edge-protocol §4.2.

They are durable events like all others: what a cut interrupts goes on after the reconnect, and a
request that comes while the events of an earlier one still wait adds nothing. Bodies are read when
they are sent, so what waits is never stale.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from appliance.cloud.registry import (
    Edges,
    attributes_updated,
    event_for,
    is_public,
    relation_event,
)
from appliance.extension.ports import AttributeValue
from appliance.model.ids import NULL_UUID, EntityId
from appliance.model.telemetry import Scope
from appliance.model.unit import OutboxEvent
from appliance.state.kinds import id_of
from appliance.state.store import State
from appliance.sync.messages import Request

ACTIVITY_KEYS = frozenset(
    {"active", "lastConnectTime", "lastDisconnectTime", "lastActivityTime", "inactivityAlarmTime"}
)
"""Attributes that a server keeps for itself (§4.4)."""


FULL = b"full"
"""Body of the completion of a full sync; it does not travel."""


class SyncPlan:
    """Which entities an edge gets, in which order."""

    def __init__(self, state: State, edges: Edges) -> None:
        self._state = state
        self._edges = edges

    def events(self, edge: UUID, *, full: bool) -> Iterator[OutboxEvent]:
        """All events of one sync, the completion last."""
        if full:
            yield from self._all(edge, "TENANT", "UPDATED")
            yield from self._all(edge, "QUEUE")
            yield from self._assigned(edge, "RULE_CHAIN")
            yield from self._all(edge, "ADMIN_SETTINGS", "UPDATED")
            yield from self._users(edge, NULL_UUID)
            yield from self._all(edge, "API_KEY")
            for kind in ("DOMAIN", "OAUTH2_CLIENT", "WIDGET_TYPE", "WIDGETS_BUNDLE", "AI_MODEL"):
                yield from self._all(edge, kind)
        yield from self._customer(edge)
        yield from self._assigned(edge, "DASHBOARD")
        for kind in ("DEVICE_PROFILE", "ASSET_PROFILE"):
            yield from self._all(edge, kind)
        for kind in ("DEVICE", "ASSET", "ENTITY_VIEW"):
            yield from self._assigned(edge, kind)
        if full:
            for kind in ("NOTIFICATION_TEMPLATE", "NOTIFICATION_TARGET", "NOTIFICATION_RULE"):
                yield from self._all(edge, kind)
            yield from self._all(edge, "OTA_PACKAGE")
            yield from self._all(edge, "DEVICE_PROFILE")
            yield from self._all(edge, "TB_RESOURCE")
        body = FULL if full else b""
        yield event_for(edge, EntityId("EDGE", edge), "SYNC_COMPLETED", body)

    def _all(self, edge: UUID, kind: str, action: str = "ADDED") -> Iterator[OutboxEvent]:
        for id in self._state.ids(kind):
            yield event_for(edge, EntityId(kind, id), action)

    def _assigned(self, edge: UUID, kind: str) -> Iterator[OutboxEvent]:
        for id in self._edges.assigned(edge, kind):
            yield event_for(edge, EntityId(kind, id), "ADDED")

    def _users(self, edge: UUID, customer: UUID) -> Iterator[OutboxEvent]:
        for user in self._state.entities("USER"):
            own = id_of(user["id"])
            if own is not None and (id_of(user.get("customerId")) or NULL_UUID) == customer:
                yield event_for(edge, EntityId("USER", own), "ADDED")

    def _customer(self, edge: UUID) -> Iterator[OutboxEvent]:
        body = self._state.entity("EDGE", edge) or {}
        customer = id_of(body.get("customerId"))
        for other in self._state.entities("CUSTOMER"):
            own = id_of(other["id"])
            if own is not None and own != customer and is_public(other):
                yield event_for(edge, EntityId("CUSTOMER", own), "ADDED")
        if customer is not None:
            yield event_for(edge, EntityId("CUSTOMER", customer), "ADDED")
            yield from self._users(edge, customer)

    # --- follow-up requests -------------------------------------------------------------------

    def answer(self, edge: UUID, request: Request) -> Iterator[OutboxEvent]:
        """The events that answer one follow-up request (§4.4)."""
        entity = request.entity
        match request.field:
            case "attributesRequest":
                scope = request.scope or Scope.SERVER
                attributes = self._state.attributes(entity, scope)
                yield from attribute_events(edge, entity, scope, attributes)
            case "relationRequest":
                yield from self._relations(edge, entity)
            case "calculatedFieldRequest":
                for field in self._state.owned("CALCULATED_FIELD", entity.id):
                    yield event_for(edge, EntityId("CALCULATED_FIELD", field), "ADDED")
            case "deviceCredentialsRequest" | "userCredentialsRequest":
                yield event_for(edge, entity, "CREDENTIALS_UPDATED")
            case "ruleChainMetadataRequest" | "widgetBundleTypesRequest":
                yield event_for(edge, entity, "UPDATED")
            case "entityViewsRequest":
                for view in self._edges.assigned(edge, "ENTITY_VIEW"):
                    body = self._state.entity("ENTITY_VIEW", view) or {}
                    if id_of(body.get("entityId")) == entity.id:
                        yield event_for(edge, EntityId("ENTITY_VIEW", view), "ADDED")

    def _relations(self, edge: UUID, entity: EntityId) -> Iterator[OutboxEvent]:
        both = [*self._state.relations_from(entity), *self._state.relations_to(entity)]
        for relation in both:
            ends = (relation.source.type, relation.target.type)
            body = self._state.body("RELATION", relation.id)
            if relation.group == "COMMON" and "EDGE" not in ends and body is not None:
                yield relation_event(edge, entity, "RELATION_ADD_OR_UPDATE", body)


def attribute_events(
    edge: UUID, entity: EntityId, scope: Scope, attributes: Mapping[str, AttributeValue]
) -> Iterator[OutboxEvent]:
    """One ATTRIBUTES_UPDATED per time of change, so that each keeps its own timestamp (§8.2)."""
    by_ts: dict[int, dict[str, Any]] = {}
    for key, stored in attributes.items():
        if key not in ACTIVITY_KEYS:
            by_ts.setdefault(stored.ts, {})[key] = stored.value
    for ts in sorted(by_ts):
        yield attributes_updated(edge, entity, scope, ts, by_ts[ts])
