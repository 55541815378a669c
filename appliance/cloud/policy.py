"""What a cloud does with entities that come up (spec/edge-protocol.md §6.2, recorded 06–06c)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec

from appliance.cloud.groups import into_group, out_of_groups
from appliance.cloud.registry import ASSIGNABLE, Edges, contains, event_for
from appliance.cloud.telling import Telling
from appliance.kernel.clock import Clock
from appliance.model.errors import Permanent
from appliance.model.ids import EntityId, new_uuid
from appliance.model.message import Message
from appliance.model.unit import EntityWrite, Unit
from appliance.state.kinds import NO_CUSTOMER, Kind, entity_id_of, id_of, relation_key
from appliance.state.store import State
from appliance.state.view import default_profile
from appliance.sync.conflicts import UNIQUE_NAMES, cascade, namesake, other_name
from appliance.sync.incoming import Applied
from appliance.web.commands import Change

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

_MANAGED = frozenset({*ASSIGNABLE, "DEVICE_PROFILE", "ASSET_PROFILE", "USER"})
"""Kinds that are related to the edge that made them."""
_HEARD = _MANAGED | {"CALCULATED_FIELD", "AI_MODEL", "API_KEY"}
"""Kinds of which rule chains hear that an edge made one."""
_PASSED_ON = {
    "DEVICE_CREDENTIALS": ("CREDENTIALS_UPDATED", "CREDENTIALS_UPDATED", ""),
    "USER_CREDENTIALS": ("CREDENTIALS_UPDATED", "CREDENTIALS_UPDATED", ""),
    "RELATION": ("RELATION_ADD_OR_UPDATE", "RELATION_ADD_OR_UPDATE", "RELATION_DELETED"),
    "ALARM": ("", "", "ALARM_DELETE"),
    "ALARM_COMMENT": ("ADDED_COMMENT", "UPDATED_COMMENT", "DELETED_COMMENT"),
}
"""What the other edges with what it belongs to are told of: as what when it is new, changed, gone.
An alarm that is new or changed is for rule chains to push (§6.2)."""
_OF_A_CUSTOMER = frozenset({"DEVICE", "ASSET", "ENTITY_VIEW"})
_CREDENTIALS = frozenset({"DEVICE_CREDENTIALS", "USER_CREDENTIALS"})
_NOT_DELETED_FROM_EDGE = frozenset({"DEVICE_PROFILE", "ASSET_PROFILE", "TB_RESOURCE"})


class CloudPolicy:
    """Implements sync.incoming.Policy for what one edge sends."""

    source = "edge"
    peer_wins_ties = False
    peer_keeps_order = False
    peer_names_alarms = True
    stores_posted = True

    def __init__(
        self,
        state: State,
        edges: Edges,
        edge: UUID,
        leaving: Callable[[EntityId], bool],
        clock: Clock,
    ) -> None:
        """leaving: whether the edge has yet to hear that an entity is gone."""
        self._state = state
        self._edges = edges
        self._edge = edge
        self._leaving = leaving
        self._clock = clock
        self._telling = Telling(state, edges)

    def admit(
        self, kind: Kind, id: UUID, body: dict[str, Any], applied: Applied
    ) -> dict[str, Any] | None:
        """See Policy. What was deleted here stays so, whatever the edge said before it heard."""
        known = self._state.entity(kind.name, id)
        entity = EntityId(kind.name, id)
        if known is None and (self._leaving(entity) or self._is_nobodys(kind, body)):
            return None
        self._edges.fan_out(applied.unit, entity, "UPDATED", body, besides=self._edge)
        if kind.name in _PASSED_ON and body != known:
            action = _PASSED_ON[kind.name][known is not None]
            self._pass_on(Change(kind.name, id, body, action), applied.unit)
        body = self._own_name(kind, id, body, applied)
        body = self._own_links(entity, body, applied)
        match kind.name:
            case "DEVICE_PROFILE" | "ASSET_PROFILE":
                body = _cloud_profile(body, known)
            case "RULE_CHAIN":
                if body.get("root"):
                    self._root_chain(entity, applied)
                root = known.get("root", False) if known else False
                body = {**body, "type": "EDGE", "root": root}
            case "DASHBOARD":
                body = self._own_customer(body, known)
            case "RULE_CHAIN_METADATA" if not body.get("nodes") and known is not None:
                return known
        if known is None:
            self._own(entity, applied)
            if kind.name in _HEARD:
                applied.messages.append(self._told("ENTITY_CREATED", entity, body))
        if known is None and kind.name in ASSIGNABLE:
            if self._edges.cloud_type == "PE":
                into_group(self._state, self._edge, entity, applied.unit)
            if self._shows_what_left(body, applied):
                self._unassign(entity, applied)
        return body

    def remove(self, kind: Kind, id: UUID, body: dict[str, Any] | None, applied: Applied) -> None:
        """See Policy. What an edge deletes is unassigned here where it was assigned (06c)."""
        if kind.name in _NOT_DELETED_FROM_EDGE:
            raise Permanent("Unsupported msg type ENTITY_DELETED_RPC_MESSAGE")
        entity = EntityId(kind.name, id)
        if kind.name in ASSIGNABLE:
            for view in self._state.owned("ENTITY_VIEW", id):  # gone there with what they show
                self._unassign(EntityId("ENTITY_VIEW", view), applied)
            self._unassign(entity, applied)
            return
        known = self._state.entity(kind.name, id)
        if known is not None and kind.name == "USER":
            applied.messages.append(self._told("ENTITY_DELETED", entity, known))
        if known is not None and kind.name in _PASSED_ON:
            self._pass_on(Change(kind.name, id, None, _PASSED_ON[kind.name][2]), applied.unit)
        applied.unit.entities.append(EntityWrite(kind.name, id, None))
        cascade(entity, self._state, applied.unit)
        self._edges.fan_out(applied.unit, entity, "DELETED", besides=self._edge)

    def _pass_on(self, change: Change, unit: Unit) -> None:
        """Tell the other edges; of credentials not those that hear of the whole entity anyway."""
        told = Unit()
        if change.action:
            self._telling.tell(change, told)
        heard = {(e.outbox, e.entity) for e in unit.events if change.kind in _CREDENTIALS}
        others = (event for event in told.events if event.outbox != str(self._edge))
        unit.events += [event for event in others if (event.outbox, event.entity) not in heard]

    def _shows_what_left(self, body: dict[str, Any], applied: Applied) -> bool:
        """Whether it is a view of something that the edge was to give up meanwhile."""
        shown = entity_id_of(body.get("entityId"))
        if shown is None or shown.type not in ASSIGNABLE or self._edges.has(self._edge, shown):
            return False
        relation = relation_key(contains(self._edge, shown))
        return all(write.id != relation for write in applied.unit.entities)

    def _unassign(self, entity: EntityId, applied: Applied) -> None:
        relation = relation_key(contains(self._edge, entity))
        applied.unit.entities.append(EntityWrite("RELATION", relation, None))
        out_of_groups(self._state, entity, applied.unit)
        # What was on its way down, or is said again after a cut, must not bring it back there.
        applied.unit.events.append(event_for(self._edge, entity, "UNASSIGNED_FROM_EDGE"))

    def _own(self, entity: EntityId, applied: Applied) -> None:
        """New here: belongs to the edge that made it."""
        managed = {
            "from": EntityId("EDGE", self._edge).to_json(),
            "to": entity.to_json(),
            "type": "ManagedByEdge",
            "typeGroup": "COMMON",
            "additionalInfo": None,
        }
        relations = [managed] if entity.type in _MANAGED else []
        if entity.type in ASSIGNABLE:
            relations.append(contains(self._edge, entity))
        for relation in relations:
            encoded = msgspec.json.encode(relation)
            applied.unit.entities.append(EntityWrite("RELATION", relation_key(relation), encoded))

    def _told(self, type: str, entity: EntityId, body: dict[str, Any]) -> Message:
        """What rule chains hear of an edge's doing."""
        edge = self._state.entity("EDGE", self._edge) or {}
        metadata = {"edgeId": str(self._edge), "edgeName": edge.get("name") or ""}
        return Message(new_uuid(), self._clock(), type, entity, body, metadata)

    def _root_chain(self, chain: EntityId, applied: Applied) -> None:
        """The edge runs this chain as its root; unsaid here, a sync would take the mark away."""
        edge = self._state.entity("EDGE", self._edge)
        if edge is not None and id_of(edge.get("rootRuleChainId")) != chain.id:
            encoded = msgspec.json.encode({**edge, "rootRuleChainId": chain.to_json()})
            applied.unit.entities.append(EntityWrite("EDGE", self._edge, encoded))

    def _own_name(
        self, kind: Kind, id: UUID, body: dict[str, Any], applied: Applied
    ) -> dict[str, Any]:
        other = namesake(self._state, kind, id, body)
        if kind.name not in UNIQUE_NAMES or other is None:
            return body
        field = kind.unique or kind.title
        applied.unit.events.append(event_for(self._edge, EntityId(kind.name, id), "UPDATED"))
        return {**body, field: other_name(body[field])}

    def _is_nobodys(self, kind: Kind, body: dict[str, Any]) -> bool:
        """Whether it is a user of a customer who is not here; the edge hears of that end."""
        return kind.name == "USER" and self._customer_is_gone(body)

    def _customer_is_gone(self, body: dict[str, Any]) -> bool:
        customer = id_of(body.get("customerId"))
        return customer is not None and self._state.entity("CUSTOMER", customer) is None

    def _own_links(
        self, entity: EntityId, body: dict[str, Any], applied: Applied
    ) -> dict[str, Any]:
        """Without what went here at the same moment: the default profile, no customer."""
        links: dict[str, Any] = {}
        known = (self._state.entity(entity.type, entity.id) or {}).get("customerId")
        if entity.type in _OF_A_CUSTOMER and body.get("customerId") is None and id_of(known):
            links["customerId"] = known  # none is said, which takes none away (§6.2)
        if self._customer_is_gone(body):
            links["customerId"] = NO_CUSTOMER
        if entity.type in ("DEVICE", "ASSET"):
            field, kind = f"{entity.type.lower()}ProfileId", f"{entity.type}_PROFILE"
            profile = id_of(body.get(field))
            new = any(write.id == profile for write in applied.unit.entities)
            if not new and (profile is None or self._state.entity(kind, profile) is None):
                default = default_profile(self._state, kind)
                links |= {field: default["id"], "type": default["name"]} if default else {}
        if links:
            applied.unit.events.append(event_for(self._edge, entity, "UPDATED"))
        return {**body, **links}

    def _own_customer(self, body: dict[str, Any], known: dict[str, Any] | None) -> dict[str, Any]:
        """Of a dashboard's customers an edge adds and removes its own only (§6.2)."""
        edge = self._state.entity("EDGE", self._edge) or {}
        own = id_of(edge.get("customerId"))
        theirs = [c for c in body.get("assignedCustomers") or () if _is(c, own)]
        others = [c for c in (known or {}).get("assignedCustomers") or () if not _is(c, own)]
        return {**body, "assignedCustomers": others + theirs}


def _is(assigned: dict[str, Any], customer: UUID | None) -> bool:
    return customer is not None and id_of(assigned.get("customerId")) == customer


def _cloud_profile(body: dict[str, Any], known: dict[str, Any] | None) -> dict[str, Any]:
    """The edge's default chain is the default *edge* chain here; `default` is ours to say."""
    return {
        **body,
        "default": known.get("default", False) if known else False,
        "defaultEdgeRuleChainId": body.get("defaultRuleChainId"),
        "defaultRuleChainId": known.get("defaultRuleChainId") if known else None,
    }
