"""What the cloud knows of its edges, and which entities belong to which.

Assignment is the relation `Contains` of group EDGE from the edge to the entity (edge-protocol
§3.1); everything here is read from the state.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, Literal
from uuid import UUID

import msgspec
import trio

from appliance.model.errors import Permanent
from appliance.model.ids import EntityId, created_time_ms, new_uuid
from appliance.model.telemetry import Scope, Value
from appliance.model.unit import EntityWrite, Lane, OutboxEvent, Unit
from appliance.state.kinds import NO_CUSTOMER, entity_id_of, id_of, relation_key
from appliance.state.store import State
from appliance.sync.mapping import rpc_to_json
from appliance.sync.messages import RpcCall

ASSIGNABLE = ("DEVICE", "ASSET", "DASHBOARD", "ENTITY_VIEW", "RULE_CHAIN")
SENT_BY_EDGES = frozenset(
    {*ASSIGNABLE, "DEVICE_PROFILE", "ASSET_PROFILE", "USER", "CALCULATED_FIELD", "AI_MODEL"}
    | {"TB_RESOURCE", "ALARM"}
)
"""Kinds of which both sides may speak at once."""
TENANT_WIDE = frozenset(
    {"DEVICE_PROFILE", "ASSET_PROFILE", "TENANT", "TENANT_PROFILE", "WIDGETS_BUNDLE"}
    | {"WIDGET_TYPE", "ADMIN_SETTINGS", "OTA_PACKAGE", "QUEUE", "TB_RESOURCE", "AI_MODEL"}
    | {"NOTIFICATION_RULE", "NOTIFICATION_TARGET", "NOTIFICATION_TEMPLATE", "API_KEY"}
    | {"OAUTH2_CLIENT", "DOMAIN"}
)
"""Kinds that every edge of the tenant has (§7.1)."""

outbox_of = lru_cache(maxsize=1024)(str)
"""The name of an edge's outbox, which thousands of events share."""

CloudType = Literal["CE", "PE"]
"""Which server we play; a real edge of the other edition ends itself (§11.27)."""


class Edges:
    """Reads edges and assignments; changes are returned as units, or added to one."""

    def __init__(self, state: State, cloud_type: CloudType = "CE") -> None:
        self._state = state
        self.cloud_type: CloudType = cloud_type
        self._turn = trio.Lock()

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[None]:
        """Held by a change made here from its commit until the state has it."""
        async with self._turn:
            yield

    @property
    def is_changing(self) -> bool:
        """Whether a change is committed that the state does not have yet."""
        return self._turn.locked()

    async def wait_settled(self) -> None:
        """Wait until the state has all that is committed.

        What an edge says enters the state before its commit. In between the two of a change made
        here it would be the later one on the disk and the earlier one in the state.
        """
        while self._turn.locked():
            async with self._turn:
                pass

    def by_routing_key(self, routing_key: str) -> dict[str, Any] | None:
        """The edge with that key."""
        for edge in self._state.entities("EDGE"):
            if edge["routingKey"] == routing_key:
                return edge
        return None

    def create(self, name: str, routing_key: str, secret: str, type: str = "default") -> Unit:
        """A new edge with the root chain template assigned to it.

        Raises:
            Permanent: name or routing key is taken.
        """
        if self._state.by_name("EDGE", name) is not None:
            raise Permanent(f"Edge with such name already exists: {name!r}")
        if self.by_routing_key(routing_key) is not None:
            raise Permanent("Edge with such routing key already exists")
        unit, edge = Unit(), new_uuid()
        root = self._root_template()
        body = {
            "id": EntityId("EDGE", edge).to_json(),
            "createdTime": created_time_ms(edge),
            "tenantId": EntityId("TENANT", self._state.tenant_id).to_json(),
            "customerId": NO_CUSTOMER,
            "rootRuleChainId": None if root is None else EntityId("RULE_CHAIN", root).to_json(),
            "name": name,
            "type": type,
            "label": None,
            "routingKey": routing_key,
            "secret": secret,
            "additionalInfo": None,
            "version": None,
        }
        unit.entities.append(EntityWrite("EDGE", edge, msgspec.json.encode(body)))
        if root is not None:
            self._relate(unit, edge, EntityId("RULE_CHAIN", root))
        return unit

    def _root_template(self) -> UUID | None:
        for chain in self._state.entities("RULE_CHAIN"):
            if chain.get("root") and chain.get("type") == "EDGE":
                return id_of(chain["id"])
        return None

    def assign(self, unit: Unit, edge: UUID, entity: EntityId) -> Unit:
        """Give an entity to an edge; returns the unit with that and the event that tells it."""
        self._relate(unit, edge, entity)
        unit.events.append(event_for(edge, entity, "ASSIGNED_TO_EDGE"))
        return unit

    def unassign(self, unit: Unit, edge: UUID, entity: EntityId) -> Unit:
        """Take an entity back, of which the edge deletes its copy; returns the unit with that."""
        relation = relation_key(contains(edge, entity))
        unit.entities.append(EntityWrite("RELATION", relation, None))
        unit.events.append(event_for(edge, entity, "UNASSIGNED_FROM_EDGE"))
        return unit

    def _relate(self, unit: Unit, edge: UUID, entity: EntityId) -> None:
        body = contains(edge, entity)
        encoded = msgspec.json.encode(body)
        unit.entities.append(EntityWrite("RELATION", relation_key(body), encoded))

    def assigned(self, edge: UUID, kind: str) -> list[UUID]:
        """Ids of one kind that are assigned to an edge, in order of assignment."""
        relations = self._state.relations_from(EntityId("EDGE", edge))
        return [
            relation.target.id
            for relation in relations
            if relation.group == "EDGE" and relation.target.type == kind
        ]

    def has(self, edge: UUID, entity: EntityId) -> bool:
        """Whether an entity of an assignable kind is assigned to an edge."""
        relation = relation_key(contains(edge, entity))
        return self._state.body("RELATION", relation) is not None

    def edges_with(self, entity: EntityId, body: dict[str, Any] | None = None) -> list[UUID]:
        """The edges that have an entity: by assignment, or all for tenant-wide kinds.

        body: of one that is not stored yet.
        """
        if entity.type in TENANT_WIDE:
            return self._state.ids("EDGE")
        known = body or self._state.entity(entity.type, entity.id) or {}
        match entity.type:
            case "CUSTOMER":
                return self._edges_of(None if is_public(known) else entity.id)
            case "USER":
                return self._edges_of(id_of(known.get("customerId")))
            case "CALCULATED_FIELD":
                owner = self.owner_of(known)
                return self._state.ids("EDGE") if owner is None else self.edges_with(owner)
        return [
            relation.source.id
            for relation in self._state.relations_to(entity)
            if relation.group == "EDGE" and relation.source.type == "EDGE"
        ]

    def _edges_of(self, customer: UUID | None) -> list[UUID]:
        """The edges of a customer; all for what is the tenant's own."""
        edges = self._state.entities("EDGE")
        of = [edge for edge in edges if customer in (None, id_of(edge.get("customerId")))]
        return [UUID(edge["id"]["id"]) for edge in of]

    @staticmethod
    def owner_of(field: dict[str, Any]) -> EntityId | None:
        """What a calculated field belongs to and goes with; None for a profile's, which every edge
        has (§7.1)."""
        owner = entity_id_of(field.get("entityId"))
        return owner if owner is not None and owner.type in ASSIGNABLE else None

    def fan_out(
        self,
        unit: Unit,
        entity: EntityId,
        action: str,
        body: dict[str, Any] | None = None,
        *,
        besides: UUID | None = None,
    ) -> None:
        """Add an event for every edge that has the entity, except the one it came from."""
        for edge in self.edges_with(entity, body):
            if edge != besides:
                unit.events.append(event_for(edge, entity, action))


def is_public(customer: dict[str, Any]) -> bool:
    """Whether this is the customer to whom public things are assigned; every edge has it (§4.2)."""
    info = customer.get("additionalInfo")
    return isinstance(info, dict) and info.get("isPublic") is True


def contains(edge: UUID, entity: EntityId) -> dict[str, Any]:
    """The relation that assigns an entity to an edge."""
    return {
        "from": EntityId("EDGE", edge).to_json(),
        "to": entity.to_json(),
        "type": "Contains",
        "typeGroup": "EDGE",
        "additionalInfo": None,
        "version": None,
    }


def event_for(
    edge: UUID, entity: EntityId, action: str, body: bytes = b"", lane: Lane = Lane.ENTITY
) -> OutboxEvent:
    """A row of that edge's `edge_event`."""
    return OutboxEvent(outbox_of(edge), lane, entity.type, action, entity, body)


def rpc_event(edge: UUID, call: RpcCall) -> OutboxEvent:
    """A request to a device of that edge, or the answer to one of the device's own (§8.1)."""
    assert call.device_id is not None
    device = EntityId("DEVICE", call.device_id)
    return event_for(edge, device, "RPC_CALL", rpc_to_json(call), Lane.PRIORITY)


def attributes_updated(
    edge: UUID, entity: EntityId, scope: Scope, ts: int, values: dict[str, Value]
) -> OutboxEvent:
    """Attributes that changed here, for that edge (§5.3)."""
    body = msgspec.json.encode({"kv": values, "scope": scope.value, "ts": ts})
    return event_for(edge, entity, "ATTRIBUTES_UPDATED", body, Lane.DATA)


def attributes_deleted(
    edge: UUID, entity: EntityId, scope: Scope, ts: int, keys: list[str]
) -> OutboxEvent:
    """Attributes that were deleted here, for that edge (§5.3)."""
    body = msgspec.json.encode({"keys": keys, "scope": scope.value, "ts": ts})
    return event_for(edge, entity, "ATTRIBUTES_DELETED", body, Lane.DATA)


def relation_event(edge: UUID, entity: EntityId, action: str, body: bytes) -> OutboxEvent:
    """A relation that touches `entity`, for that edge; its JSON travels in the event."""
    return OutboxEvent(outbox_of(edge), Lane.ENTITY, "RELATION", action, entity, body)
