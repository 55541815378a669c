"""Requests to devices (spec §4.5). v1 and v2 differ in how they say that nothing came."""

from __future__ import annotations

from typing import Any

import trio
from starlette.responses import Response

from appliance.state.kinds import id_of
from appliance.web.commands import Change, NotConnected, RpcCommand
from appliance.web.errors import ApiError, not_found, uuid_of
from appliance.web.rest.call import USERS, Call, Handler, Table
from appliance.web.rest.paging import page_link, page_of

table = Table()
TIMEOUT_MS_DEFAULT = 10_000
TIMEOUT_MS_MIN = 5_000


def _sender(*, oneway: bool, timed_out: int, away: int) -> Handler:
    async def send(call: Call) -> Any:
        device = call.path_id()
        call.entity("DEVICE", device)
        body = call.json_object()
        command = _command(body, oneway, call.services.clock())
        if body.get("persistent"):
            return {"rpcId": str(await call.commands.queue_rpc(device, command))}
        try:
            answer = await call.commands.call_device(device, command)
        except trio.TooSlowError:
            return Response(status_code=timed_out)
        except NotConnected:
            return Response(status_code=away)
        return None if oneway else _json(answer)

    return send


def _command(body: dict[str, Any], oneway: bool, now_ms: int) -> RpcCommand:
    method, timeout_ms = body.get("method"), body.get("timeout", TIMEOUT_MS_DEFAULT)
    if not isinstance(method, str) or not method:
        raise ApiError(400, "'method' must be a text")
    if not isinstance(timeout_ms, int):
        raise ApiError(400, "'timeout' must be a number of milliseconds")
    given = body.get("expirationTime")
    expires_ms = given if isinstance(given, int) else now_ms + max(timeout_ms, TIMEOUT_MS_MIN)
    uuid = body.get("requestUUID")
    retries = body.get("retries")
    return RpcCommand(
        method=method,
        params=body.get("params"),
        oneway=oneway,
        expires_ms=expires_ms,
        request_uuid=uuid_of(uuid) if uuid is not None else None,
        retries=retries if isinstance(retries, int) else None,
        additional_info=body.get("additionalInfo"),
    )


def _json(answer: Any) -> Any:
    """The device's answer; null needs words of its own, as None is an empty answer here."""
    return Response(b"null", media_type="application/json") if answer is None else answer


@table.on("GET", "/api/rpc/persistent/{id}", roles=USERS)
async def read_persistent(call: Call) -> Any:
    """A persistent request and how far it has come."""
    return _persistent(call)


@table.on("DELETE", "/api/rpc/persistent/{id}", roles=USERS)
async def delete_persistent(call: Call) -> None:
    """Withdraw a persistent request."""
    _persistent(call)
    await call.commands.change([Change("RPC", call.path_id(), None, "DELETED")], call.principal)


@table.on("GET", "/api/rpc/persistent/device/{id}", roles=USERS)
async def persistent_of_device(call: Call) -> Any:
    """A page of the device's persistent requests; `rpcStatus` chooses."""
    device, status = call.path_id(), call.query("rpcStatus")
    call.entity("DEVICE", device)
    found = (
        body
        for body in call.view.entities("RPC")
        if id_of(body.get("deviceId")) == device and status in (None, body.get("status"))
    )
    return page_of(found, page_link(call))


def _persistent(call: Call) -> dict[str, Any]:
    id = call.path_id()
    body = call.view.entity("RPC", id)
    device = id_of(body.get("deviceId")) if body else None
    if body is None or device is None:
        raise not_found("RPC", id)
    call.entity("DEVICE", device)
    return body


for _way, _oneway in (("oneway", True), ("twoway", False)):
    table.on("POST", f"/api/rpc/{_way}/{{id}}", roles=USERS)(
        _sender(oneway=_oneway, timed_out=504, away=504)
    )
    table.on("POST", f"/api/plugins/rpc/{_way}/{{id}}", roles=USERS)(
        _sender(oneway=_oneway, timed_out=408, away=409)
    )
