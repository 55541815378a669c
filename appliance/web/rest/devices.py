"""Devices and their credentials (spec §4.3)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from appliance.access.device_credentials import complete
from appliance.access.users import TENANT_ADMIN
from appliance.state.view import StateView
from appliance.web.commands import Change
from appliance.web.errors import ApiError, not_found, uuid_of
from appliance.web.rest.call import NO_PERMISSION, USERS, Call, Table
from appliance.web.rest.checked import checked
from appliance.web.rest.shapes import device_credentials, profile_for

table = Table(in_turn=True)
_CREDENTIALS = ("credentialsType", "credentialsId", "credentialsValue")
_NO_TOKEN = "Device credentials are already assigned to another device!"


@table.on("POST", "/api/device", roles=USERS)
async def save_device(call: Call) -> Any:
    """Make or change a device; a new one gets `accessToken`, or a token of its own."""
    token = call.query("accessToken")
    return await _save(call, call.json_object(), {"credentialsId": token} if token else None)


@table.on("POST", "/api/device-with-credentials", roles=USERS)
async def save_device_with_credentials(call: Call) -> Any:
    """`{"device", "credentials"}` in one unit."""
    body = call.json_object()
    device, credentials = body.get("device"), body.get("credentials")
    if not isinstance(device, dict) or not isinstance(credentials, dict):
        raise ApiError(400, "'device' and 'credentials' must be objects")
    return await _save(call, device, checked(credentials, _CREDENTIALS))


async def _save(call: Call, given: dict[str, Any], credentials: dict[str, Any] | None) -> Any:
    id, body, new = call.compose("DEVICE", given)
    if new or credentials:
        _check_may_create(call)
    profile, made = profile_for(call.view, "DEVICE", body)
    body |= {"deviceProfileId": profile["id"], "type": profile["name"]}
    changes = [Change("DEVICE", id, body, "ADDED" if new else "UPDATED")]
    if made:
        changes.insert(0, Change("DEVICE_PROFILE", UUID(profile["id"]["id"]), profile, "ADDED"))
    if new or credentials:
        secret = device_credentials(id, credentials)
        if not new:  # a device keeps the identity of its credentials
            stored = call.view.entity("DEVICE_CREDENTIALS", id) or secret
            secret |= {"id": stored["id"], "createdTime": stored["createdTime"]}
        secret = _complete(call.view, id, secret)
        action = "ADDED" if new else "CREDENTIALS_UPDATED"
        changes.append(Change("DEVICE_CREDENTIALS", id, secret, action))
    await call.commands.change(changes, call.principal)
    return body


def _check_may_create(call: Call) -> None:
    """Under CE administrators make devices and their credentials, under PE all who write devices.

    PE's roles do not travel to an edge, and here there are none: on PE every user counts as one
    who may write what is their customer's. Raises ApiError 403.
    """
    if call.principal.authority == TENANT_ADMIN:
        return
    editions = {call.services.edition} if call.services.role == "cloud" else _editions(call)
    if "PE" not in editions:
        raise ApiError(403, NO_PERMISSION)


def _editions(call: Call) -> set[str]:
    return {str(edge.get("cloudType")) for edge in call.view.entities("EDGE")}


@table.on("GET", "/api/device/{id}/credentials", roles=USERS)
async def credentials_of(call: Call) -> Any:
    """The device's credentials."""
    id = call.path_id()
    call.entity("DEVICE", id)
    credentials = call.view.entity("DEVICE_CREDENTIALS", id)
    if credentials is None:
        raise not_found("DEVICE_CREDENTIALS", id)
    return credentials


@table.on("POST", "/api/device/credentials", roles=USERS)
async def save_credentials(call: Call) -> Any:
    """Change a device's credentials; its sessions end."""
    given = checked(call.json_object(), ("deviceId", *_CREDENTIALS))
    reference = given.get("deviceId")
    device = uuid_of(reference.get("id") if isinstance(reference, dict) else None)
    call.entity("DEVICE", device)
    _check_may_create(call)
    stored = call.view.entity("DEVICE_CREDENTIALS", device) or device_credentials(device)
    body = {**stored, **{name: given.get(name) for name in _CREDENTIALS}}
    body = _complete(call.view, device, body)
    change = Change("DEVICE_CREDENTIALS", device, body, "CREDENTIALS_UPDATED")
    await call.commands.change([change], call.principal)
    return body


@table.on("GET", "/api/devices", roles=USERS)
async def devices_by_id(call: Call) -> Any:
    """`deviceIds=a,b`: those that the caller may see."""
    found = [call.view.entity("DEVICE", uuid_of(text)) for text in call.need_names("deviceIds")]
    return [body for body in found if body is not None and call.sees("DEVICE", body)]


def _complete(view: StateView, device: UUID, body: dict[str, Any]) -> dict[str, Any]:
    """The credentials as they are kept. Raises Permanent; ApiError where another device's are."""
    body = complete(body)
    if view.device_of_credentials(body["credentialsId"]) not in (None, device):
        raise ApiError(400, _NO_TOKEN)
    return body
