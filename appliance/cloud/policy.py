"""What a cloud does with entities that come up (spec/edge-protocol.md §6.2, recorded 06–06c)."""

from __future__ import annotations

import secrets
import string
from typing import Any
from uuid import UUID

import msgspec

from appliance.cloud.registry import ASSIGNABLE, Edges, contains, event_for
from appliance.model.errors import Permanent
from appliance.model.ids import EntityId
from appliance.model.unit import EntityWrite
from appliance.state.kinds import Kind, id_of, relation_key
from appliance.state.store import State
from appliance.sync.incoming import Applied, cascade

ORDER = {
    field: rank
    for rank, field in enumerate(
        (
            "deviceProfileUpdate",
            "deviceUpdate",
            "deviceCredentialsUpdate",
            "assetProfileUpdate",
            "assetUpdate",
            "ruleChainUpdate",
            "ruleChainMetadataUpdate",
            "entityViewUpdate",
            "entityData",
            "alarmUpdate",
            "alarmCommentUpdate",
            "relationUpdate",
            "dashboardUpdate",
            "resourceUpdate",
            "attributesRequest",
            "relationRequest",
            "calculatedFieldRequest",
            "RpcCall",
            "calculatedFieldUpdate",
            "aiModelUpdate",
            "userUpdate",
            "userCredentialsUpdate",
            "apiKeyUpdate",
        )
    )
}
"""Rank of the fields of one UplinkMsg (§6.1)."""

_UNIQUE_NAMES = frozenset(
    {"DEVICE", "ASSET", "ENTITY_VIEW", "DEVICE_PROFILE", "ASSET_PROFILE", "USER"}
    | {"CALCULATED_FIELD", "AI_MODEL"}
)
"""Kinds whose copy is renamed here when another one has the name; the edge gets the new name."""
_NOT_DELETED_FROM_EDGE = frozenset({"DEVICE_PROFILE", "ASSET_PROFILE", "TB_RESOURCE"})


class CloudPolicy:
    """Implements sync.incoming.Policy for what one edge sends."""

    source = "edge"

    def __init__(self, state: State, edges: Edges, edge: UUID) -> None:
        self._state = state
        self._edges = edges
        self._edge = edge

    def admit(self, kind: Kind, id: UUID, body: dict[str, Any], applied: Applied) -> dict[str, Any]:
        """See Policy."""
        known = self._state.entity(kind.name, id)
        entity = EntityId(kind.name, id)
        self._edges.fan_out(applied.unit, entity, "UPDATED", besides=self._edge)
        body = self._own_name(kind, id, body, applied)
        match kind.name:
            case "DEVICE_PROFILE" | "ASSET_PROFILE":
                body = _cloud_profile(body, known)
            case "RULE_CHAIN":
                root = known.get("root", False) if known else False
                body = {**body, "type": "EDGE", "root": root}
            case "ALARM":
                return self._same_alarm(id, body, applied)
            case "RULE_CHAIN_METADATA" if not body.get("nodes") and known is not None:
                return known
        if known is None and kind.name in ASSIGNABLE:
            self._own(entity, applied)
        return body

    def remove(self, kind: Kind, id: UUID, body: dict[str, Any] | None, applied: Applied) -> None:
        """See Policy. What an edge deletes is unassigned here where it was assigned (06c)."""
        if kind.name in _NOT_DELETED_FROM_EDGE:
            raise Permanent("Unsupported msg type ENTITY_DELETED_RPC_MESSAGE")
        entity = EntityId(kind.name, id)
        if kind.name in ASSIGNABLE:
            relation = relation_key(contains(self._edge, entity))
            applied.unit.entities.append(EntityWrite("RELATION", relation, None))
            return
        applied.unit.entities.append(EntityWrite(kind.name, id, None))
        cascade(entity, self._state, applied.unit)
        self._edges.fan_out(applied.unit, entity, "DELETED", besides=self._edge)

    def _own(self, entity: EntityId, applied: Applied) -> None:
        """New here: belongs to the edge that made it."""
        managed = {
            "from": EntityId("EDGE", self._edge).to_json(),
            "to": entity.to_json(),
            "type": "ManagedByEdge",
            "typeGroup": "COMMON",
            "additionalInfo": None,
        }
        for relation in (contains(self._edge, entity), managed):
            encoded = msgspec.json.encode(relation)
            applied.unit.entities.append(EntityWrite("RELATION", relation_key(relation), encoded))

    def _own_name(
        self, kind: Kind, id: UUID, body: dict[str, Any], applied: Applied
    ) -> dict[str, Any]:
        name = body.get(kind.title) if kind.title else None
        other = self._state.by_name(kind.name, name) if name else None
        if kind.name not in _UNIQUE_NAMES or other is None or id_of(other["id"]) == id:
            return body
        suffix = "".join(secrets.choice(string.ascii_letters) for _ in range(15))
        applied.unit.events.append(event_for(self._edge, EntityId(kind.name, id), "UPDATED"))
        return {**body, kind.title: f"{name}_{suffix}"}

    def _same_alarm(self, id: UUID, body: dict[str, Any], applied: Applied) -> dict[str, Any]:
        """An active alarm of that originator and type is the same alarm, whatever its id (§6.2)."""
        originator = body.get("originator") or {}
        if self._state.entity("ALARM", id) is not None or "id" not in originator:
            return body
        owner = EntityId(originator["entityType"], UUID(originator["id"]))
        active = self._state.active_alarm(owner, body.get("type") or "")
        if active is not None:
            applied.unit.entities.append(EntityWrite("ALARM", UUID(active["id"]["id"]), None))
        return body


def _cloud_profile(body: dict[str, Any], known: dict[str, Any] | None) -> dict[str, Any]:
    """The edge's default chain is the default *edge* chain here; `default` is ours to say."""
    return {
        **body,
        "default": known.get("default", False) if known else False,
        "defaultEdgeRuleChainId": body.get("defaultRuleChainId"),
        "defaultRuleChainId": known.get("defaultRuleChainId") if known else None,
    }
