"""Devices that make themselves known: provisioning (spec/device-and-rest-api.md §1.6)."""

from __future__ import annotations

from typing import Any

import msgspec

from appliance.access.device_credentials import complete
from appliance.edge.devices import credentials_body, entity_event, make_device, random_token, store
from appliance.model.errors import Permanent
from appliance.model.ids import EntityId
from appliance.model.telemetry import AttributeWrite, Scope
from appliance.model.unit import Unit
from appliance.state.kinds import id_of
from appliance.state.view import StateView

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


def provision(
    state: StateView, request: dict[str, Any], now_ms: int
) -> tuple[Unit, dict[str, Any]]:
    """(the unit that makes it so, the answer's JSON); an empty unit with a refusal.

    Raises:
        Permanent: the request lacks its key or secret.
    """
    request = {name: _text(name, request.get(name)) for name in _MEMBERS}
    key, secret = request.get("provisionDeviceKey"), request.get("provisionDeviceSecret")
    if not key or not secret:
        raise Permanent("provisionDeviceKey and provisionDeviceSecret are both needed")
    profile = _profile(state, key, secret)
    if profile is None:
        return Unit(), NOT_FOUND
    try:
        credentials = _credentials(request)
    except Permanent:
        return Unit(), FAILURE
    known = state.by_name("DEVICE", request.get("deviceName") or "")
    match profile.get("provisionType"):
        case "ALLOW_CREATE_NEW_DEVICES" if known is None:
            name = request.get("deviceName") or random_token()
            info = {"gateway": True} if request.get("gateway") == "true" else None
            try:
                _, unit = make_device(
                    state, name, profile["name"], credentials=credentials, additional_info=info
                )
            except Permanent:
                return Unit(), FAILURE
            return unit, _success(credentials)
        case "CHECK_PRE_PROVISIONED_DEVICES" if known is not None:
            return _pre_provisioned(state, known, credentials, now_ms)
    return Unit(), FAILURE


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


def _pre_provisioned(
    state: StateView, known: dict[str, Any], credentials: dict[str, Any], now_ms: int
) -> tuple[Unit, dict[str, Any]]:
    """Once only: the SERVER attribute `provisionState` remembers."""
    device = id_of(known["id"])
    assert device is not None
    entity = EntityId("DEVICE", device)
    taken = state.device_of_credentials(credentials["credentialsId"]) not in (None, device)
    if taken or "provisionState" in state.attributes(entity, Scope.SERVER):
        return Unit(), FAILURE
    unit = Unit()
    mark = AttributeWrite(entity, Scope.SERVER, now_ms, {"provisionState": "provisioned"})
    unit.attributes.append(mark)
    store(unit, "DEVICE_CREDENTIALS", device, credentials_body(device, credentials))
    unit.events.append(entity_event("DEVICE", device, "CREDENTIALS_UPDATED"))
    return unit, _success(credentials)


def _credentials(request: dict[str, Any]) -> dict[str, Any]:
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
