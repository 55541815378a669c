"""What an edge does with entities that come down (spec/edge-protocol.md §4.3, §4.4, §7.5)."""

from __future__ import annotations

import secrets
import string
from collections.abc import Iterable, Iterator
from typing import Any
from uuid import UUID

import msgspec

from appliance.kernel.clock import Clock
from appliance.model.ids import EntityId, new_uuid
from appliance.model.message import Message
from appliance.model.telemetry import AttributeDelete, Scope
from appliance.model.unit import CLOUD, EntityWrite, Lane, OutboxEvent, Unit
from appliance.state.kinds import Kind, id_of
from appliance.state.store import State
from appliance.sync.incoming import Applied, cascade, source_metadata
from appliance.sync.messages import Request

ORDER = {
    field: rank
    for rank, field in enumerate(
        (
            "SyncCompleted",
            "ConfigurationItem",
            "tenantProfileUpdate",
            "tenantUpdate",
            "customerUpdate",
            "deviceProfileUpdate",
            "deviceUpdate",
            "deviceCredentialsUpdate",
            "assetProfileUpdate",
            "assetUpdate",
            "entityViewUpdate",
            "entityData",
            "RpcCall",
            "ruleChainUpdate",
            "ruleChainMetadataUpdate",
            "dashboardUpdate",
            "alarmUpdate",
            "alarmCommentUpdate",
            "relationUpdate",
        )
    )
}
"""Rank of the fields of one DownlinkMsg. §7.5's order, with owners before what they own and data
after the device it is about; a server never mixes more than that in one message."""

FOLLOW_UPS = {
    "DEVICE": ("ATTRIBUTES_REQUEST", "RELATION_REQUEST", "CALCULATED_FIELD_REQUEST"),
    "ASSET": ("ATTRIBUTES_REQUEST", "RELATION_REQUEST", "CALCULATED_FIELD_REQUEST"),
    "DEVICE_PROFILE": ("CALCULATED_FIELD_REQUEST",),
    "ASSET_PROFILE": ("CALCULATED_FIELD_REQUEST",),
    "ENTITY_VIEW": ("ATTRIBUTES_REQUEST", "RELATION_REQUEST"),
    "DASHBOARD": ("ATTRIBUTES_REQUEST", "RELATION_REQUEST"),
    "TENANT": ("ATTRIBUTES_REQUEST", "RELATION_REQUEST"),
    "CUSTOMER": ("ATTRIBUTES_REQUEST", "RELATION_REQUEST"),
    "USER": ("ATTRIBUTES_REQUEST", "RELATION_REQUEST"),
}
"""What to ask the server for when an entity arrives for the first time (§4.4)."""
_ASK_ON_EVERY_UPDATE = frozenset({"CUSTOMER", "USER"})

_REPLACED_BY_NAME = frozenset(
    {"CUSTOMER", "ADMIN_SETTINGS", "QUEUE", "NOTIFICATION_TEMPLATE"}
    | {"NOTIFICATION_TARGET", "NOTIFICATION_RULE"}
)
"""Kinds of which an older one with the same name and another id gives way (§7.5)."""
_RENAMED_BY_NAME = frozenset({"DEVICE", "ASSET", "ENTITY_VIEW"})
"""Kinds of which a local one with the same name and another id is renamed and sent up (§7.5)."""
_MOVED_BY_NAME = {"DEVICE_PROFILE": "DEVICE", "ASSET_PROFILE": "ASSET"}
"""Profiles: what used the older one of the same name moves to the new one (§7.5)."""


def request(entity: EntityId, action: str) -> OutboxEvent:
    """A follow-up request as an outbox event."""
    return OutboxEvent(CLOUD, Lane.ENTITY, entity.type, action, entity)


def answers(requests: Iterable[Request]) -> Iterator[OutboxEvent]:
    """What an old server asks for: the credentials of a device (§7.5)."""
    for asked in requests:
        if asked.field == "deviceCredentialsRequest":
            yield request(asked.entity, "CREDENTIALS_UPDATED")


class EdgePolicy:
    """Implements sync.incoming.Policy for the edge role."""

    source = "cloud"

    def __init__(self, state: State, clock: Clock) -> None:
        self._state = state
        self._clock = clock

    def admit(self, kind: Kind, id: UUID, body: dict[str, Any], applied: Applied) -> dict[str, Any]:
        """See Policy."""
        known = self._state.entity(kind.name, id)
        if body.get("version") is not None:
            body = {**body, "version": None}  # locking is the server's; an edge has none (§7)
        if known is None or kind.name in _ASK_ON_EVERY_UPDATE:
            entity = EntityId(kind.name, id)
            for action in FOLLOW_UPS.get(kind.name, ()):
                applied.unit.events.append(request(entity, action))
        if known is None and kind.name in ("DEVICE", "ASSET"):
            applied.messages.append(self._created(kind, id, body))
        self._same_name(kind, id, body, applied.unit)
        match kind.name:
            case "DEVICE_PROFILE" | "ASSET_PROFILE":
                return _local_profile(body)
            case "RULE_CHAIN":
                return self._local_chain(id, body, applied.unit)
            case "RULE_CHAIN_METADATA" if not body.get("nodes") and known is not None:
                return known  # an empty node list means no change (§1.2 of the rule-engine spec)
        return body

    def remove(self, kind: Kind, id: UUID, body: dict[str, Any] | None, applied: Applied) -> None:
        """See Policy."""
        entity = EntityId(kind.name, id)
        applied.unit.entities.append(EntityWrite(kind.name, id, None))
        companions = {
            "DEVICE": ("DEVICE_CREDENTIALS",),
            "USER": ("USER_CREDENTIALS",),
            "RULE_CHAIN": ("RULE_CHAIN_METADATA",),
        }.get(kind.name, ())
        cascade(entity, self._state, applied.unit, companions)
        for scope in Scope:
            keys = tuple(self._state.attributes(entity, scope))
            if keys:
                delete = AttributeDelete(entity, scope, keys, self._clock())
                applied.unit.attributes.append(delete)

    def _created(self, kind: Kind, id: UUID, body: dict[str, Any]) -> Message:
        entity = EntityId(kind.name, id)
        metadata = source_metadata(entity, self._state, self.source)
        prefix = kind.name.lower()
        metadata |= {
            f"{prefix}Name": body.get("name") or "",
            f"{prefix}Type": body.get("type") or "",
        }
        return Message(new_uuid(), self._clock(), "ENTITY_CREATED", entity, body, metadata)

    def _local_chain(self, id: UUID, body: dict[str, Any], unit: Unit) -> dict[str, Any]:
        """Stored as CORE; a new root takes the mark from the old one (§8.4)."""
        if body.get("root"):
            for other in self._state.entities("RULE_CHAIN"):
                other_id = id_of(other["id"])
                if other.get("root") and other_id is not None and other_id != id:
                    _store(unit, "RULE_CHAIN", other_id, {**other, "root": False})
        return {**body, "type": "CORE"}

    def _same_name(self, kind: Kind, id: UUID, body: dict[str, Any], unit: Unit) -> None:
        name = body.get(kind.title) if kind.title else None
        other = self._state.by_name(kind.name, name) if name else None
        other_id = id_of(other["id"]) if other else None
        if other is None or other_id is None or other_id == id:
            return
        if kind.name in _REPLACED_BY_NAME and other.get("tenantId") == body.get("tenantId"):
            unit.entities.append(EntityWrite(kind.name, other_id, None))
        elif kind.name in _RENAMED_BY_NAME:
            renamed = {**other, "name": f"{name}_{_random_suffix()}"}
            _store(unit, kind.name, other_id, renamed)
            entity = EntityId(kind.name, other_id)
            unit.events.append(OutboxEvent(CLOUD, Lane.ENTITY, kind.name, "UPDATED", entity))
        elif kind.name in _MOVED_BY_NAME:
            self._move(kind, other_id, id, unit)
            unit.entities.append(EntityWrite(kind.name, other_id, None))

    def _move(self, profile: Kind, old: UUID, new: UUID, unit: Unit) -> None:
        users = _MOVED_BY_NAME[profile.name]
        field = "deviceProfileId" if users == "DEVICE" else "assetProfileId"
        for body in self._state.entities(users):
            own = id_of(body["id"])
            if own is not None and id_of(body.get(field)) == old:
                moved = {**body, field: EntityId(profile.name, new).to_json()}
                _store(unit, users, own, moved)


def _local_profile(body: dict[str, Any]) -> dict[str, Any]:
    """The edge's default chain is the cloud's default *edge* chain; the chain may come later."""
    chain = body.get("defaultEdgeRuleChainId")
    return {**body, "defaultRuleChainId": chain, "defaultEdgeRuleChainId": None}


def _store(unit: Unit, kind: str, id: UUID, body: dict[str, Any]) -> None:
    unit.entities.append(EntityWrite(kind, id, msgspec.json.encode(body)))


def _random_suffix() -> str:
    return "".join(secrets.choice(string.ascii_letters) for _ in range(15))
