"""Devices made on the edge: over REST, behind a gateway, by provisioning.

Each function returns the unit of work that makes the thing so; the event that sends it up is in the
same unit, so the cloud never hears of a device that is not here, nor the other way round.
"""

from __future__ import annotations

import secrets
import string
from typing import Any
from uuid import UUID

import msgspec

from appliance.model.errors import Permanent
from appliance.model.ids import EntityId, created_time_ms, new_uuid
from appliance.model.message import Message
from appliance.model.telemetry import AttributeWrite, Scope, Value
from appliance.model.unit import CLOUD, EntityWrite, Lane, OutboxEvent, Unit
from appliance.state.kinds import NO_CUSTOMER, id_of, relation_key
from appliance.state.view import StateView, default_profile, fresh_profile

TOKEN_LENGTH = 20
NAME_CHARS_MAX = 255


def make_device(
    state: StateView,
    name: str,
    profile: str | None = None,
    *,
    credentials: dict[str, Any] | None = None,
    additional_info: dict[str, Any] | None = None,
    customer: dict[str, str] | None = None,
    label: str | None = None,
) -> tuple[UUID, Unit]:
    """A new device with its credentials: (its id, the unit).

    Args:
        profile: name of a device profile; None = the default one. An unknown name makes a fresh
            profile, as a gateway's unknown type does on the reference.
        credentials: credentialsType, credentialsId, credentialsValue; None = a random token.

    Raises:
        Permanent: the name is taken or none, the credentials are taken, or there is no default
            profile yet.
    """
    if not name.strip() or len(name) > NAME_CHARS_MAX or "\0" in name:
        raise Permanent(f"not a name for a device: {name[:80]!r}")
    if state.by_name("DEVICE", name) is not None:
        raise Permanent(f"Device with such name already exists: {name!r}")
    if credentials and state.device_of_credentials(credentials["credentialsId"]) is not None:
        raise Permanent("Device credentials are already assigned to another device!")
    unit = Unit()
    profile_body = profile_by_name(state, profile, unit)
    device = new_uuid()
    body = {
        "id": EntityId("DEVICE", device).to_json(),
        "createdTime": created_time_ms(device),
        "tenantId": EntityId("TENANT", state.tenant_id).to_json(),
        "customerId": customer or NO_CUSTOMER,
        "name": name,
        "type": profile_body["name"],
        "label": label,
        "deviceProfileId": profile_body["id"],
        "firmwareId": None,
        "softwareId": None,
        "externalId": None,
        "version": None,
        "additionalInfo": additional_info,
        "deviceData": {
            "configuration": {"type": "DEFAULT"},
            "transportConfiguration": {"type": profile_body.get("transportType") or "DEFAULT"},
        },
    }
    store(unit, "DEVICE", device, body)
    store(unit, "DEVICE_CREDENTIALS", device, credentials_body(device, credentials))
    unit.events.append(entity_event("DEVICE", device, "ADDED"))
    return device, unit


def profile_by_name(state: StateView, name: str | None, unit: Unit) -> dict[str, Any]:
    """The profile with that name; a fresh one where there is none."""
    if name:
        known = state.by_name("DEVICE_PROFILE", name)
        if known is not None:
            return known
    default = default_profile(state, "DEVICE_PROFILE")
    if default is None:
        raise Permanent(
            "there is no device profile yet", hint="connect to the cloud once, it brings them"
        )
    if not name:
        return default
    profile = new_uuid()
    body = fresh_profile("DEVICE_PROFILE", profile, name, default)
    store(unit, "DEVICE_PROFILE", profile, body)
    unit.events.append(entity_event("DEVICE_PROFILE", profile, "ADDED"))
    return body


def credentials_body(device: UUID, given: dict[str, Any] | None = None) -> dict[str, Any]:
    """A DeviceCredentials object; a random access token unless something else is given."""
    own = new_uuid()
    given = given or {}
    return {
        "id": {"id": str(own)},
        "createdTime": created_time_ms(own),
        "deviceId": EntityId("DEVICE", device).to_json(),
        "credentialsType": given.get("credentialsType") or "ACCESS_TOKEN",
        "credentialsId": given.get("credentialsId") or random_token(),
        "credentialsValue": given.get("credentialsValue"),
        "version": None,
    }


def behind_gateway(
    state: StateView, gateway: UUID, name: str, profile: str | None
) -> tuple[UUID, Unit]:
    """A device that a gateway speaks for: made with relation `Created`, or marked (§2.6)."""
    gateway_id = EntityId("DEVICE", gateway)
    owner = state.entity("DEVICE", gateway) or {}
    known = state.by_name("DEVICE", name)
    mark = {"lastConnectedGateway": str(gateway)}
    if known is not None:
        device = id_of(known["id"])
        assert device is not None
        unit = Unit()
        info = known.get("additionalInfo") or {}
        if info.get("lastConnectedGateway") != str(gateway):
            store(unit, "DEVICE", device, {**known, "additionalInfo": {**info, **mark}})
            unit.events.append(entity_event("DEVICE", device, "UPDATED"))
        return device, unit
    device, unit = make_device(
        state,
        name,
        profile or "default",
        additional_info=mark,
        customer=owner.get("customerId"),
    )
    relation = {
        "from": gateway_id.to_json(),
        "to": EntityId("DEVICE", device).to_json(),
        "type": "Created",
        "typeGroup": "COMMON",
        "additionalInfo": None,
        "version": None,
    }
    encoded = msgspec.json.encode(relation)
    unit.entities.append(EntityWrite("RELATION", relation_key(relation), encoded))
    unit.events.append(
        OutboxEvent(CLOUD, Lane.ENTITY, "RELATION", "RELATION_ADD_OR_UPDATE", gateway_id, encoded)
    )
    return device, unit


def created(device: UUID, unit: Unit, metadata: dict[str, str], now_ms: int) -> Message:
    """What rule chains hear of a device that the unit makes."""
    entity = EntityId("DEVICE", device)
    bodies = {(write.kind, write.id): write.body or b"" for write in unit.entities}
    body = msgspec.json.decode(bodies["DEVICE", device])
    return Message(new_uuid(), now_ms, "ENTITY_CREATED", entity, body, metadata)


def set_server_attribute(unit: Unit, entity: EntityId, ts: int, key: str, value: Value) -> None:
    """Set a SERVER attribute of a device, here and on the cloud."""
    values = {key: value}
    unit.attributes.append(AttributeWrite(entity, Scope.SERVER, ts, values))
    body = msgspec.json.encode({"kv": values, "scope": Scope.SERVER, "ts": ts})
    unit.events.append(
        OutboxEvent(CLOUD, Lane.DATA, entity.type, "ATTRIBUTES_UPDATED", entity, body)
    )


def store(unit: Unit, kind: str, id: UUID, body: dict[str, Any]) -> None:
    """Add an upsert to a unit."""
    unit.entities.append(EntityWrite(kind, id, msgspec.json.encode(body)))


def entity_event(kind: str, id: UUID, action: str) -> OutboxEvent:
    """An event that sends an entity up as it is when it is sent."""
    return OutboxEvent(CLOUD, Lane.ENTITY, kind, action, EntityId(kind, id))


def random_token(length: int = TOKEN_LENGTH) -> str:
    """Letters and digits, as the reference makes them."""
    alphabet = string.ascii_letters + string.digits
    return "".join(secrets.choice(alphabet) for _ in range(length))
