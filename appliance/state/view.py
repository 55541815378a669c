"""What rules, listeners and pages may read of the state. Plain calls, no waiting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol
from uuid import UUID

import msgspec

from appliance.extension.ports import AttributeValue
from appliance.model.ids import EntityId, created_time_ms
from appliance.model.telemetry import Scope


class Relation(msgspec.Struct, frozen=True, gc=False):
    """An EntityRelation; group COMMON unless said otherwise. id: ours, see kinds.relation_key."""

    id: UUID
    source: EntityId
    target: EntityId
    type: str
    group: str = "COMMON"
    additional_info: Any = None


class StateView(Protocol):
    """A read-only look; bodies are parsed ThingsBoard JSON and must not be changed in place."""

    tenant_id: UUID
    """The tenant this edge belongs to; NULL_UUID before the first connect."""

    def entity(self, kind: str, id: UUID) -> dict[str, Any] | None:
        """The stored JSON object, or None. kind as in EntityWrite."""
        ...

    def by_name(self, kind: str, name: str) -> dict[str, Any] | None:
        """The entity of that kind with that name (title, email for CUSTOMER, USER)."""
        ...

    def entities(self, kind: str) -> Iterable[dict[str, Any]]:
        """All of a kind, in order of creation."""
        ...

    def attributes(self, entity: EntityId, scope: Scope) -> Mapping[str, AttributeValue]:
        """The scope's attributes; an empty mapping when there are none."""
        ...

    def next_ms(self, entity: EntityId, scope: Scope, keys: Iterable[str], now_ms: int) -> int:
        """The time for a change of attributes now: behind what was written or deleted before."""
        ...

    def relations_from(self, entity: EntityId) -> Iterable[Relation]:
        """Relations whose source it is."""
        ...

    def relations_to(self, entity: EntityId) -> Iterable[Relation]:
        """Relations whose target it is."""
        ...

    def device_of_credentials(self, credentials_id: str) -> UUID | None:
        """The device whose credentials have that id: a token, or a hash for MQTT_BASIC, X.509."""
        ...

    def active_alarm(self, originator: EntityId, type: str) -> dict[str, Any] | None:
        """The newest alarm of that originator and type that is not cleared."""
        ...

    def profile_of(self, entity: EntityId) -> dict[str, Any] | None:
        """The device or asset profile JSON of a DEVICE or ASSET."""
        ...


def default_profile(view: StateView, kind: str) -> dict[str, Any] | None:
    """The tenant's DEVICE_PROFILE or ASSET_PROFILE for what names none; None before a sync."""
    return next((profile for profile in view.entities(kind) if profile.get("default")), None)


def fresh_profile(kind: str, id: UUID, name: str, default: dict[str, Any]) -> dict[str, Any]:
    """A DEVICE_PROFILE or ASSET_PROFILE as a server and an edge make one for an unknown type.

    It has the default one's tenant and nothing else of it (trace 06): a server refuses a second
    profile with the same provisioning key or external id, or with another profile's firmware.
    """
    body = {
        **dict.fromkeys(default),
        "id": EntityId(kind, id).to_json(),
        "createdTime": created_time_ms(id),
        "tenantId": default.get("tenantId"),
        "name": name,
        "default": False,
    }
    if kind == "ASSET_PROFILE":
        return body | {"description": "Default asset profile"}
    plain = {"type": "DEFAULT"}
    return body | {
        "description": "Default device profile",
        "type": "DEFAULT",
        "transportType": "DEFAULT",
        "provisionType": "DISABLED",
        "profileData": {
            "configuration": plain,
            "transportConfiguration": plain,
            "provisionConfiguration": {"type": "DISABLED", "provisionDeviceSecret": None},
            "alarms": None,
        },
    }
