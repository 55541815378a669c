"""A customer's user takes a device that may be claimed, or gives it back (spec §1.6)."""

from __future__ import annotations

import hmac
from typing import Any
from uuid import UUID

import msgspec
from starlette.responses import Response

from appliance.access.claims import CLAIMING_DATA, claiming_data
from appliance.access.users import CUSTOMER_USER
from appliance.model.ids import EntityId
from appliance.model.telemetry import Scope
from appliance.payload import PayloadError, read_text
from appliance.state.kinds import NO_CUSTOMER, id_of
from appliance.web.commands import Change
from appliance.web.errors import ApiError
from appliance.web.rest.call import Call, Table

table = Table(in_turn=True)


@table.on("POST", "/api/customer/device/{name}/claim", roles=(CUSTOMER_USER,))
async def claim(call: Call) -> Any:
    """`{"secretKey"}`: 200 with the device, or 400 with FAILURE or CLAIMED."""
    device = _device(call)
    entity = EntityId("DEVICE", UUID(device["id"]["id"]))
    if id_of(device.get("customerId")) is not None:
        return _refused("CLAIMED")
    if not _matches(call, entity, _secret(call)):
        return _refused("FAILURE")
    owner = EntityId("CUSTOMER", call.principal.customer_id).to_json()
    body = await _give(call, device, owner, "ASSIGNED_TO_CUSTOMER")
    await call.commands.delete_attributes(entity, Scope.SERVER, [CLAIMING_DATA], call.principal)
    return {"device": body, "response": "SUCCESS"}


@table.on("DELETE", "/api/customer/device/{name}/claim", roles=(CUSTOMER_USER,))
async def reclaim(call: Call) -> None:
    """Give the device back."""
    device = _device(call)
    if id_of(device.get("customerId")) is None:
        raise ApiError(400, "Device isn't assigned to any customer!")
    call.check_visible("DEVICE", device)
    await _give(call, device, NO_CUSTOMER, "UNASSIGNED_FROM_CUSTOMER")


def _device(call: Call) -> dict[str, Any]:
    device = call.view.by_name("DEVICE", call.path("name"))
    if device is None:
        raise ApiError(404, "Requested item wasn't found!")
    return device


def _secret(call: Call) -> str:
    try:
        return read_text(call.json_object() if call.body else {}, "secretKey", "")
    except PayloadError as error:
        raise ApiError(400, str(error.args[0])) from error


def _matches(call: Call, entity: EntityId, secret: str) -> bool:
    """Whether the device said that it may be claimed with this secret, and still may."""
    stored = call.view.attributes(entity, Scope.SERVER).get(CLAIMING_DATA)
    said = claiming_data(stored, call.services.clock())
    if said is None:
        return False
    return hmac.compare_digest((said.secret_key or "").encode(), secret.encode())


def _refused(word: str) -> Response:
    return Response(msgspec.json.encode(word), 400, media_type="application/json")


async def _give(
    call: Call, device: dict[str, Any], owner: dict[str, str], action: str
) -> dict[str, Any]:
    body = {**device, "customerId": owner}
    change = Change("DEVICE", UUID(device["id"]["id"]), body, action)
    await call.commands.change([change], call.principal)
    return body
