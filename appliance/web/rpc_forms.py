"""A request made over REST: as the wire's struct, and as the entity of a persistent one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from appliance.model.ids import EntityId, created_time_ms
from appliance.sync.messages import RpcCall
from appliance.web.commands import RpcCommand

_ENDS = {"": "SUCCESSFUL", "TIMEOUT": "TIMEOUT", "NO_ACTIVE_CONNECTION": "EXPIRED"}


def rpc_status(error: str | None) -> str:
    """The end of a persistent request by the RpcError it had; EXPIRED: the device never came."""
    return _ENDS.get(error or "", "FAILED")


def rpc_call(device: UUID, command: RpcCommand) -> RpcCall:
    """A REST request as the wire's struct."""
    info = command.additional_info
    return RpcCall(
        device_id=device,
        request_uuid=command.request_uuid,
        request_id=0,
        expires_ms=command.expires_ms,
        oneway=command.oneway,
        method=command.method,
        params=msgspec.json.encode(command.params).decode(),
        retries=command.retries,
        additional_info=msgspec.json.encode(info).decode() if info is not None else None,
    )


def rpc_body(uuid: UUID, tenant: UUID, call: RpcCall, status: str, response: Any) -> dict[str, Any]:
    """The entity of a persistent request (device-and-rest-api §4.5)."""
    assert call.device_id is not None
    return {
        "id": EntityId("RPC", uuid).to_json(),
        "createdTime": created_time_ms(uuid),
        "tenantId": EntityId("TENANT", tenant).to_json(),
        "deviceId": EntityId("DEVICE", call.device_id).to_json(),
        "expirationTime": call.expires_ms,
        "request": {
            "id": str(uuid),
            "oneway": call.oneway,
            "expirationTime": call.expires_ms,
            "body": {"method": call.method, "params": call.params},
            "persisted": True,
        },
        "response": response,
        "status": status,
        "additionalInfo": None,
    }
