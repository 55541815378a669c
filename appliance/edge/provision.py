"""Devices that make themselves known: provisioning (spec/device-and-rest-api.md §1.6)."""

from __future__ import annotations

from typing import Any

import msgspec

from appliance.access.device_credentials import complete
from appliance.edge.devices import created, make_device, random_token, set_server_attribute
from appliance.model.errors import Permanent
from appliance.model.ids import EntityId, new_uuid
from appliance.model.message import Message
from appliance.model.telemetry import Scope
from appliance.model.unit import Unit
from appliance.state.kinds import entity_id_of, id_of
from appliance.state.view import StateView

Request = dict[str, str | None]

PROVISION_STATE = "provisionState"
NOT_FOUND = {"status": "NOT_FOUND", "errorMsg": "Provision data was not found!"}
_MEMBERS = (
    "provisionDeviceKey",
    "provisionDeviceSecret",
    "deviceName",
    "gateway",
    "credentialsType",
    "token",
    "clientId",
    "username",
    "password",
    "hash",
)
FAILURE = {"status": "FAILURE", "errorMsg": "Failed to provision device!"}


class Outcome(msgspec.Struct, frozen=True):
    """What a request comes to.

    answer: JSON. unit: what makes it so, empty with a refusal. messages: what rule chains hear; of
    a refusal only where there is a device that it is about.
    """

    answer: dict[str, Any]
    unit: Unit = msgspec.field(default_factory=Unit)
    messages: tuple[Message, ...] = ()


def provision(state: StateView, request: dict[str, Any], now_ms: int) -> Outcome:
    """Answer a request.

    Raises:
        Permanent: the request lacks its key or secret.
    """
    request = {name: _text(name, request.get(name)) for name in _MEMBERS}
    key, secret = request.get("provisionDeviceKey"), request.get("provisionDeviceSecret")
    if not key or not secret:
        raise Permanent("provisionDeviceKey and provisionDeviceSecret are both needed")
    profile = _profile(state, key, secret)
    if profile is None:
        return Outcome(NOT_FOUND)
    if (name := request.get("deviceName") or None) and not name.strip():
        return Outcome(FAILURE)
    request["deviceName"] = name = name and name.strip()
    known = state.by_name("DEVICE", name) if name else None
    match profile.get("provisionType"):
        case "ALLOW_CREATE_NEW_DEVICES":
            if known is None:
                return _new_device(state, profile, request, now_ms)
            return _refused(known, request, now_ms)
        case "CHECK_PRE_PROVISIONED_DEVICES":
            if known is None or known["deviceProfileId"] != profile["id"]:
                return Outcome(FAILURE)
            return _pre_provisioned(state, known, request, now_ms)
    return Outcome(NOT_FOUND)


def _text(name: str, value: Any) -> str | None:
    """Numbers and flags as the text they stand for. Raises Permanent."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise Permanent(f"{name} must be a text")


def _profile(state: StateView, key: str, secret: str) -> dict[str, Any] | None:
    for profile in state.entities("DEVICE_PROFILE"):
        if profile.get("provisionDeviceKey") == key:
            data = (profile.get("profileData") or {}).get("provisionConfiguration") or {}
            return profile if data.get("provisionDeviceSecret") == secret else None
    return None


def _new_device(
    state: StateView, profile: dict[str, Any], request: Request, now_ms: int
) -> Outcome:
    name = request["deviceName"] = request["deviceName"] or random_token()
    info = {"gateway": True} if request.get("gateway") == "true" else None
    try:
        credentials = _credentials(request)
        device, unit = make_device(
            state, name, profile["name"], credentials=credentials, additional_info=info
        )
    except Permanent:
        return Outcome(FAILURE)
    _mark(unit, EntityId("DEVICE", device), now_ms)
    made = created(device, unit, {"tenantId": str(state.tenant_id)}, now_ms)
    told = _told("PROVISION_SUCCESS", made.data, request, now_ms)
    return Outcome(_success(credentials), unit, (made, told))


def _pre_provisioned(
    state: StateView, known: dict[str, Any], request: Request, now_ms: int
) -> Outcome:
    """It is told the credentials that it has; once only, and `provisionState` remembers."""
    device = id_of(known["id"])
    assert device is not None
    entity = EntityId("DEVICE", device)
    credentials = state.entity("DEVICE_CREDENTIALS", device)
    if credentials is None or PROVISION_STATE in state.attributes(entity, Scope.SERVER):
        return _refused(known, request, now_ms)
    unit = Unit()
    _mark(unit, entity, now_ms)
    told = _told("PROVISION_SUCCESS", known, request, now_ms)
    return Outcome(_success(credentials), unit, (told,))


def _refused(known: dict[str, Any], request: Request, now_ms: int) -> Outcome:
    return Outcome(FAILURE, messages=(_told("PROVISION_FAILURE", known, request, now_ms),))


def _mark(unit: Unit, device: EntityId, now_ms: int) -> None:
    set_server_attribute(unit, device, now_ms, PROVISION_STATE, "provisioned")


def _told(type: str, device: dict[str, Any], request: Request, now_ms: int) -> Message:
    """What rule chains hear of a request about a device: the request as the reference has it."""
    entity, tenant = entity_id_of(device["id"]), id_of(device.get("tenantId"))
    assert entity is not None
    data = {
        "deviceName": request["deviceName"],
        "credentialsType": request.get("credentialsType") or "ACCESS_TOKEN",
        "credentialsData": {
            "token": request.get("token"),
            "clientId": request.get("clientId"),
            "username": request.get("username"),
            "password": request.get("password"),
            "x509CertHash": request.get("hash"),
        },
        "credentials": {name: request[name] for name in _MEMBERS[:2]},
        "gateway": request.get("gateway") == "true",
    }
    return Message(new_uuid(), now_ms, type, entity, data, {"tenantId": str(tenant)})


def _credentials(request: Request) -> dict[str, Any]:
    """What the device asked to be known by, else a random token. Raises Permanent."""
    kind, value = request.get("credentialsType") or "ACCESS_TOKEN", None
    match kind:
        case "MQTT_BASIC":
            names = ("clientId", "userName", "password")
            asked = (request.get(name.lower() if name == "userName" else name) for name in names)
            value = msgspec.json.encode(dict(zip(names, asked, strict=True))).decode()
        case "X509_CERTIFICATE":
            value = request.get("hash")
        case "ACCESS_TOKEN":
            pass
        case _:
            raise Permanent(f"credentials of type {kind} cannot be provisioned")
    return complete(
        {
            "credentialsType": kind,
            "credentialsId": request.get("token") or random_token(),
            "credentialsValue": value,
        }
    )


def _success(credentials: dict[str, Any]) -> dict[str, Any]:
    kind = credentials["credentialsType"]
    value: Any = credentials["credentialsId"]
    if kind == "MQTT_BASIC":
        value = msgspec.json.decode(credentials["credentialsValue"])
    elif kind == "X509_CERTIFICATE":
        value = credentials["credentialsValue"]
    return {"status": "SUCCESS", "credentialsType": kind, "credentialsValue": value}
