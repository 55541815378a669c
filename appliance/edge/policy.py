"""What an edge does with entities that come down (spec/edge-protocol.md §4.3, §4.4, §7.5)."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from typing import Any
from uuid import UUID

import msgspec

from appliance.kernel.clock import Clock
from appliance.model.ids import NULL_UUID, EntityId, new_uuid
from appliance.model.message import Message
from appliance.model.unit import CLOUD, EntityWrite, Lane, OutboxEvent, Unit
from appliance.state.kinds import Kind, id_of
from appliance.state.store import State
from appliance.state.view import default_profile
from appliance.sync.conflicts import cascade, merged_alarm, namesake, other_name
from appliance.sync.incoming import Applied, source_metadata
from appliance.sync.messages import Request
from appliance.sync.packing import About
from appliance.sync.telling import place_of

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

_REPLACED_BY_NAME = {
    "CUSTOMER": (),
    "ADMIN_SETTINGS": ("tenantId",),
    "QUEUE": ("tenantId",),
    "NOTIFICATION_TEMPLATE": ("tenantId",),
    "NOTIFICATION_TARGET": ("tenantId",),
    "NOTIFICATION_RULE": ("tenantId",),
    "WIDGET_TYPE": ("tenantId",),
    "WIDGETS_BUNDLE": ("tenantId",),
    "TB_RESOURCE": ("tenantId", "resourceType"),
}
"""Kinds of which an older one with the same name or key and another id gives way, if these fields
are the same too (§7.5)."""
_RENAMED_BY_NAME = frozenset({"DEVICE", "ASSET", "ENTITY_VIEW", "USER", "AI_MODEL"})
"""Kinds of which a local one with the same name and another id is renamed and sent up (§7.5)."""
_MOVED_BY_NAME = {
    "DEVICE_PROFILE": ("DEVICE", "deviceProfileId"),
    "ASSET_PROFILE": ("ASSET", "assetProfileId"),
    "TENANT_PROFILE": ("TENANT", "tenantProfileId"),
}
"""Profiles: what used the older one of the same name moves to the new one (§7.5)."""


_STEPS = {"acknowledged": "ALARM_ACK", "cleared": "ALARM_CLEAR"}
"""What happens to an alarm once, and the only action by which a server takes it (§6.2)."""


def request(entity: EntityId, action: str) -> OutboxEvent:
    """A follow-up request as an outbox event."""
    return OutboxEvent(CLOUD, Lane.ENTITY, entity.type, action, entity)


def answers(requests: Iterable[Request]) -> Iterator[OutboxEvent]:
    """What an old server asks for: the credentials of a device (§7.5)."""
    for asked in requests:
        if asked.field == "deviceCredentialsRequest":
            yield request(asked.entity, "CREDENTIALS_UPDATED")


def retold(applied: Applied, state: State) -> Iterator[OutboxEvent]:
    """What a peer's word about its own alarm ended, acknowledged or deleted here, under our id.

    The peer may know ours, too, as another alarm; steps have no way back, so this comes to an end.
    """
    for alarm in applied.merged:
        known = state.entity(alarm.type, alarm.id) or {}
        for write in applied.unit.entities:
            if write.id == alarm.id and write.body is None and known:
                said = msgspec.json.encode(known)
                yield OutboxEvent(CLOUD, Lane.PRIORITY, alarm.type, "ALARM_DELETE", alarm, said)
            elif write.id == alarm.id and write.body is not None:
                body = msgspec.json.decode(write.body)
                for step, action in _STEPS.items():
                    if body.get(step) and not known.get(step):
                        place = place_of(body)
                        yield OutboxEvent(CLOUD, Lane.PRIORITY, alarm.type, action, alarm, place)


class EdgePolicy:
    """Implements sync.incoming.Policy for the edge role."""

    source = "cloud"
    peer_wins_ties = True
    peer_keeps_order = True
    peer_names_alarms = False
    stores_posted = False

    def __init__(self, state: State, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self.unheard: Container[About] = ()
        """What was changed here and is not acknowledged by the cloud (Sender.unheard)."""

    def admit(
        self, kind: Kind, id: UUID, body: dict[str, Any], applied: Applied
    ) -> dict[str, Any] | None:
        """See Policy."""
        known = self._state.entity(kind.name, id)
        if About(kind.name, id, gone=known is None) in self.unheard:
            # What comes was said before ours is heard, often long before, in a sync. Ours follows:
            # a change, or a deletion.
            return merged_alarm(body, known) if known and kind.name == "ALARM" else known
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
                return self._local_profile(kind, id, body, applied.unit)
            case "RULE_CHAIN":
                return self._local_chain(id, body, applied.unit)
            case "DASHBOARD":
                return self._local_dashboard(body)
            case "RULE_CHAIN_METADATA" if not body.get("nodes") and known is not None:
                return known  # an empty node list means no change (§1.2 of the rule-engine spec)
        return body

    def remove(self, kind: Kind, id: UUID, body: dict[str, Any] | None, applied: Applied) -> None:
        """See Policy. What was given a profile that goes at the same moment has the default one."""
        if (
            kind.name in _MOVED_BY_NAME
            and (default := default_profile(self._state, kind.name)) is not None
        ):
            self._move(kind, id, default, applied.unit)
        self._delete(kind, id, applied.unit)

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
        self._only_one("RULE_CHAIN", id, "root", body, unit)
        return {**body, "type": "CORE"}

    def _local_profile(
        self, kind: Kind, id: UUID, body: dict[str, Any], unit: Unit
    ) -> dict[str, Any]:
        """The edge's default chain is the cloud's default *edge* chain; the chain may come later.

        A new default profile takes the mark from the old one (§7.5).
        """
        self._only_one(kind.name, id, "default", body, unit)
        chain = body.get("defaultEdgeRuleChainId")
        return {**body, "defaultRuleChainId": chain, "defaultEdgeRuleChainId": None}

    def _only_one(self, kind: str, id: UUID, mark: str, body: dict[str, Any], unit: Unit) -> None:
        """Take the mark from whoever has it, if this one brings it."""
        if not body.get(mark):
            return
        gone = {write.id for write in unit.entities if write.body is None}
        for other in self._state.entities(kind):
            other_id = id_of(other["id"])
            if other.get(mark) and other_id is not None and other_id not in gone | {id}:
                _store(unit, kind, other_id, {**other, mark: False})

    def _same_name(self, kind: Kind, id: UUID, body: dict[str, Any], unit: Unit) -> None:
        other = namesake(self._state, kind, id, body)
        if other is None:
            return
        other_id = UUID(other["id"]["id"])
        same = (other.get(f) == body.get(f) for f in _REPLACED_BY_NAME.get(kind.name, ()))
        if kind.name in _REPLACED_BY_NAME and all(same):
            self._delete(kind, other_id, unit)
        elif kind.name in _RENAMED_BY_NAME or kind.name == "CALCULATED_FIELD":
            renamed = {**other, kind.title: other_name(other[kind.title])}
            _store(unit, kind.name, other_id, renamed)
            entity = EntityId(kind.name, other_id)
            unit.events.append(OutboxEvent(CLOUD, Lane.ENTITY, kind.name, "UPDATED", entity))
        elif kind.name in _MOVED_BY_NAME:
            self._move(kind, other_id, body, unit)
            self._delete(kind, other_id, unit)

    def _delete(self, kind: Kind, id: UUID, unit: Unit) -> None:
        unit.entities.append(EntityWrite(kind.name, id, None))
        cascade(EntityId(kind.name, id), self._state, unit)

    def _move(self, kind: Kind, old: UUID, new: dict[str, Any], unit: Unit) -> None:
        """Give what has one profile another; the cloud hears of it."""
        users, field = _MOVED_BY_NAME[kind.name]
        for body in self._state.entities(users):
            own = id_of(body["id"])
            if own is not None and id_of(body.get(field)) == old:
                moved = {**body, field: new["id"]}
                if users != "TENANT":
                    moved["type"] = new["name"]
                    event = OutboxEvent(CLOUD, Lane.ENTITY, users, "UPDATED", EntityId(users, own))
                    unit.events.append(event)
                _store(unit, users, own, moved)

    def _local_dashboard(self, body: dict[str, Any]) -> dict[str, Any]:
        """Assignments to customers that are not here go (§7.5)."""
        assigned = body.get("assignedCustomers")
        if not assigned:
            return body
        here = [a for a in assigned if self._state.entity("CUSTOMER", _customer_of(a)) is not None]
        return {**body, "assignedCustomers": here}


def _customer_of(assigned: dict[str, Any]) -> UUID:
    return id_of(assigned.get("customerId")) or NULL_UUID


def _store(unit: Unit, kind: str, id: UUID, body: dict[str, Any]) -> None:
    unit.entities.append(EntityWrite(kind, id, msgspec.json.encode(body)))
