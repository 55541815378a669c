"""What a gateway is told of the devices behind it, so that it goes on under the right names.

A device that is renamed here, or deleted, is told to the gateway that spoke for it last, with the
requests that ThingsBoard has for it. They are one-way, persistent and valid for a day: a gateway
that is away hears of it when it comes back. A server tells the same of its own changes; what a
gateway hears twice says nothing new.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import msgspec

from appliance.model.ids import new_uuid
from appliance.model.unit import Unit
from appliance.state.store import State
from appliance.sync.messages import RpcCall

RENAMED, DELETED = "gateway_device_renamed", "gateway_device_deleted"
VALID_MS = 86_400_000


def news_for_gateways(unit: Unit, state: State, now_ms: int) -> Iterator[RpcCall]:
    """Requests about what a unit renames or deletes, before it is applied."""
    for write in unit.entities:
        known = state.entity("DEVICE", write.id) if write.kind == "DEVICE" else None
        gateway = _gateway(known, state) if known else None
        if known is None or gateway is None:
            continue
        name = known["name"]
        if write.body is None:
            yield _call(gateway, DELETED, name, now_ms)
        elif (now := msgspec.json.decode(write.body)["name"]) != name:
            yield _call(gateway, RENAMED, {name: now}, now_ms)


def _gateway(device: dict[str, Any], state: State) -> UUID | None:
    """The gateway that spoke for a device last, if it is here."""
    info = device.get("additionalInfo")
    try:
        id = UUID(info["lastConnectedGateway"]) if isinstance(info, dict) else None
    except (KeyError, TypeError, ValueError, AttributeError):  # anybody may write there
        return None
    return id if id is not None and state.entity("DEVICE", id) is not None else None


def _call(gateway: UUID, method: str, params: Any, now_ms: int) -> RpcCall:
    return RpcCall(
        device_id=gateway,
        request_uuid=new_uuid(),
        request_id=0,
        expires_ms=now_ms + VALID_MS,
        oneway=True,
        method=method,
        params=msgspec.json.encode(params).decode(),
        persisted=True,
    )
