"""Outbox events as items on the wire (spec/edge-protocol.md §5.2, §5.3; the same both ways).

Telemetry carries its own bytes. Everything about an entity is built from the state when it is
sent, as the reference does: an update of an entity that has since gone yields nothing. What cannot
be read again later (deletions of alarms, relations, RPCs) is in the event's body.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol
from uuid import UUID

import msgspec

from appliance.model.ids import NULL_UUID, EntityId
from appliance.model.telemetry import Scope
from appliance.model.unit import StoredEvent
from appliance.state.kinds import BY_NAME, id_of, relation_key
from appliance.sync.conflicts import is_deletion_mark, under
from appliance.sync.messages import (
    Attributes,
    AttributesDeleted,
    ConfigurationItem,
    EdgeConfiguration,
    EntityUpdate,
    Item,
    Request,
    RpcCall,
    SyncCompleted,
    Telemetry,
    UpdateKind,
)
from appliance.sync.wire import encode_attributes

UPDATE_KINDS = {
    "ADDED": UpdateKind.CREATED,
    "ALARM_ACK": UpdateKind.ALARM_ACK,
    "ALARM_CLEAR": UpdateKind.ALARM_CLEAR,
    "DELETED": UpdateKind.DELETED,
    "ALARM_DELETE": UpdateKind.DELETED,
    "RELATION_DELETED": UpdateKind.DELETED,
    "DELETED_COMMENT": UpdateKind.DELETED,
    "UNASSIGNED_FROM_EDGE": UpdateKind.DELETED,
    "RELATION_ADD_OR_UPDATE": UpdateKind.CREATED,
    "ADDED_COMMENT": UpdateKind.CREATED,
    "ASSIGNED_TO_EDGE": UpdateKind.CREATED,
}
"""What an action becomes; every other action is an update."""

COMPANIONS: dict[str, tuple[str, ...]] = {
    "DEVICE": ("DEVICE_PROFILE", "DEVICE_CREDENTIALS"),
    "ASSET": ("ASSET_PROFILE",),
    "USER": ("USER_CREDENTIALS",),
    "RULE_CHAIN": ("RULE_CHAIN_METADATA",),
    "TENANT": ("TENANT_PROFILE",),
}
"""What travels in the same message when the entity is new, so that neither waits (§4.2, §5.2)."""

_COMPANION_LINKS = {
    "DEVICE_PROFILE": "deviceProfileId",
    "ASSET_PROFILE": "assetProfileId",
    "TENANT_PROFILE": "tenantProfileId",
}
_ALWAYS_TOGETHER = frozenset({"DEVICE_CREDENTIALS", "USER_CREDENTIALS", "RULE_CHAIN_METADATA"})


class Bodies(Protocol):
    """Where the mapper reads entities; a role may show its peer a different body than its own."""

    def shown(self, kind: str, id: UUID) -> dict[str, Any] | None:
        """The entity's JSON as this peer shall see it, or None where it is gone."""
        ...

    def is_known(self, kind: str, id: UUID) -> bool:
        """Whether this peer has the entity already, under a name of its own (§6.2)."""
        ...

    def other_names(self, kind: str, id: UUID) -> Iterable[UUID]:
        """Under which ids this peer has to hear of the entity as well (§6.2)."""
        ...

    def deleted_ms(self, entity: EntityId, scope: Scope, key: str) -> int | None:
        """When that attribute was deleted, if this peer is not to hear of older values any more."""
        ...


class Mapper:
    """Maps events to items; one per peer."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies

    def items(self, event: StoredEvent) -> Iterable[Item]:
        """The items of one event, in an order that the peer can apply; empty if nothing is left.

        Raises:
            ValueError, KeyError: the event's body is not what its action promises.
        """
        inner = event.event
        match inner.action:
            case "TIMESERIES_UPDATED":
                return (Telemetry(inner.entity, (inner.body,)),)
            case "ATTRIBUTES_UPDATED" | "POST_ATTRIBUTES":
                body = msgspec.json.decode(inner.body)
                return self._attributes(inner.entity, inner.action, body)
            case "ATTRIBUTES_DELETED":
                body = msgspec.json.decode(inner.body)
                keys = tuple(body["keys"])
                scope = body.get("scope") or Scope.SERVER
                return (AttributesDeleted(inner.entity, scope, keys, body.get("ts")),)
            case "ATTRIBUTES_REQUEST" | "RELATION_REQUEST" | "CALCULATED_FIELD_REQUEST":
                return _requests(inner.entity, inner.action)
            case "RPC_CALL":
                return self._call(inner.entity.id, msgspec.json.decode(inner.body))
            case "SYNC_COMPLETED":
                return (SyncCompleted(),)
            case "CREDENTIALS_UPDATED":
                return self._companion(f"{inner.type}_CREDENTIALS", inner.entity.id, None)
        return self._entity(inner.type, inner.entity, inner.action, inner.body)

    def _call(self, device: UUID, body: dict[str, Any]) -> Iterator[Item]:
        """A request or an answer; of a kept request nothing once it is withdrawn."""
        call = rpc_from_json(device, body)
        kept = call.request_uuid if call.persisted and call.method is not None else None
        if kept is None or self._bodies.shown("RPC", kept) is not None:
            yield call

    def _entity(self, kind: str, entity: EntityId, action: str, body: bytes) -> Iterator[Item]:
        update = _update_kind(kind, action, body)
        if kind == "EDGE":
            yield from self._configuration(entity.id)
            return
        row = BY_NAME[kind]
        known = entity.id if row.has_id else None
        if update is UpdateKind.DELETED or (body and kind != "ALARM"):
            if update is UpdateKind.DELETED or kind != "RELATION" or self._is_there(body):
                yield EntityUpdate(row.field, update, known, body.decode())
            return
        shown = self._bodies.shown(kind, entity.id)
        if shown is None:
            return
        if update is UpdateKind.CREATED and self._bodies.is_known(kind, entity.id):
            update = UpdateKind.UPDATED
        for companion in COMPANIONS.get(kind, ()):
            link = _COMPANION_LINKS.get(companion)
            if link is not None and (update is UpdateKind.CREATED or kind == "TENANT"):
                yield from self._companion(companion, id_of(shown.get(link)), update)
        yield entity_update(kind, entity.id, update, shown)
        for name in self._bodies.other_names(kind, entity.id):
            again = UpdateKind.UPDATED if update is UpdateKind.CREATED else update
            yield entity_update(kind, name, again, under(name, shown))
        for companion in COMPANIONS.get(kind, ()):
            if companion in _ALWAYS_TOGETHER:
                yield from self._companion(companion, entity.id, update)

    def _attributes(self, entity: EntityId, action: str, body: dict[str, Any]) -> Iterator[Item]:
        """What only the device itself says, its client attributes, goes without attributeTs.

        A server's chain stores them with the time of their arrival (trace 03b) and takes nothing
        that is not newer; so of a backlog it would keep the first value and refuse the last, and of
        an edge whose clock is behind everything. What comes without a time is newer than all that
        is there. A cloud of ours reads their true time from a field that a server passes over.
        """
        scope, ts = Scope(body.get("scope") or Scope.SERVER), body.get("ts")
        values = {
            key: value
            for key, value in body["kv"].items()
            if value is not None and not self._is_gone(entity, scope, key, ts)
        }
        if values:  # an empty body would never be answered (§11.4)
            posted = action == "POST_ATTRIBUTES" or bool(body.get("isPostAttributes"))
            encoded = encode_attributes(values)
            if posted and scope is Scope.CLIENT:
                yield Attributes(entity, scope, encoded, None, posted, own_ts=ts)
            else:
                yield Attributes(entity, scope, encoded, ts, posted)

    def _is_gone(self, entity: EntityId, scope: Scope, key: str, ts: int | None) -> bool:
        """Whether an attribute was deleted since. The peer knows of no deletion that came while it
        did not have the entity; what it is told once more, after a link that broke, comes later."""
        deleted_ms = self._bodies.deleted_ms(entity, scope, key)
        return ts is not None and deleted_ms is not None and ts <= deleted_ms

    def _is_there(self, relation: bytes) -> bool:
        """Whether a relation that was made has not gone since."""
        return (
            self._bodies.shown("RELATION", relation_key(msgspec.json.decode(relation))) is not None
        )

    def _configuration(self, edge: UUID) -> Iterator[Item]:
        shown = self._bodies.shown("EDGE", edge)
        if shown is not None:
            yield ConfigurationItem(edge_configuration(edge, shown))

    def _companion(self, kind: str, id: UUID | None, update: UpdateKind | None) -> Iterator[Item]:
        shown = self._bodies.shown(kind, id) if id is not None else None
        if id is not None and shown is not None:
            yield entity_update(kind, id, update, shown)


def _update_kind(kind: str, action: str, body: bytes) -> UpdateKind:
    update = UPDATE_KINDS.get(action, UpdateKind.UPDATED)
    if update is UpdateKind.DELETED and kind == "ALARM_COMMENT":
        mark = is_deletion_mark(kind, msgspec.json.decode(body or b"{}"))
        return UpdateKind.UPDATED if mark else update
    return update


def edge_configuration(edge: UUID, body: dict[str, Any]) -> EdgeConfiguration:
    """What an edge is told about itself (§2.3)."""
    return EdgeConfiguration(
        edge_id=edge,
        tenant_id=id_of(body["tenantId"]),
        customer_id=id_of(body.get("customerId")) or NULL_UUID,
        name=body["name"],
        type=body["type"],
        routing_key=body["routingKey"],
        secret=body["secret"],
        additional_info=msgspec.json.encode(body.get("additionalInfo")).decode(),
        cloud_type=body.get("cloudType") or "CE",
    )


def entity_update(
    kind: str, id: UUID, update: UpdateKind | None, body: dict[str, Any]
) -> EntityUpdate:
    """An upsert of one entity; `version` goes as null so that the peer overwrites (§2.9).

    So does an alarm's customer: the peer knows whose its originator is, and a server refuses an
    alarm of another's, as one that was raised before its device was given away (§6.2).
    """
    row = BY_NAME[kind]
    widgets = body.get("widgets") if kind == "WIDGETS_BUNDLE" else None
    shown = {key: value for key, value in body.items() if key != "widgets"} if widgets else body
    for field in ("version", "customerId") if kind == "ALARM" else ("version",):
        if shown.get(field) is not None:
            shown = {**shown, field: None}
    return EntityUpdate(
        row.field,
        update if row.has_msg_type else None,
        id if row.has_id else None,
        msgspec.json.encode(shown).decode(),
        msgspec.json.encode(widgets).decode() if widgets is not None else None,
    )


def _requests(entity: EntityId, action: str) -> Iterator[Item]:
    if action == "RELATION_REQUEST":
        yield Request("relationRequest", entity)
    elif action == "CALCULATED_FIELD_REQUEST":
        yield Request("calculatedFieldRequest", entity)
    else:
        yield Request("attributesRequest", entity, Scope.SERVER)
        if entity.type == "DEVICE":
            yield Request("attributesRequest", entity, Scope.SHARED)


def rpc_from_json(device_id: UUID, body: dict[str, Any]) -> RpcCall:
    """An RPC_CALL event's body as the wire message; the keys are those of the reference (§8)."""
    uuid = body.get("requestUUID")
    return RpcCall(
        device_id=device_id,
        request_uuid=UUID(uuid) if uuid else None,
        request_id=int(body.get("requestId") or 0),
        expires_ms=int(body.get("expirationTime") or 0),
        oneway=bool(body.get("oneway")),
        method=body.get("method"),
        params=body.get("params") or "",
        response=body.get("response"),
        error=body.get("error"),
        persisted=body.get("persisted"),
        retries=body.get("retries"),
        additional_info=body.get("additionalInfo"),
        service_id=body.get("serviceId"),
        session_id=body.get("sessionId"),
    )


def rpc_to_json(call: RpcCall) -> bytes:
    """The body of an RPC_CALL event; the inverse of `rpc_from_json`."""
    body = {
        "requestId": call.request_id,
        "requestUUID": str(call.request_uuid) if call.request_uuid else None,
        "expirationTime": call.expires_ms,
        "oneway": call.oneway,
        "method": call.method,
        "params": call.params,
        "response": call.response,
        "error": call.error,
        "persisted": call.persisted,
        "retries": call.retries,
        "additionalInfo": call.additional_info,
        "serviceId": call.service_id,
        "sessionId": call.session_id,
    }
    return msgspec.json.encode({key: value for key, value in body.items() if value is not None})
