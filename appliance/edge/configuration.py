"""What a server answers to a CONNECT: who this edge is, as an entity and as a setting, or why not.

See edge-protocol §3.2, §3.5, §4.8.
"""

from __future__ import annotations

from typing import Any

import msgspec

from appliance.model.ids import NULL_UUID, EntityId
from appliance.sync.messages import Connected, EdgeConfiguration


def edge_body(configuration: EdgeConfiguration) -> bytes:
    """The local Edge entity as JSON text."""
    assert configuration.edge_id is not None
    assert configuration.tenant_id is not None
    body = {
        "id": EntityId("EDGE", configuration.edge_id).to_json(),
        "tenantId": EntityId("TENANT", configuration.tenant_id).to_json(),
        "customerId": EntityId("CUSTOMER", configuration.customer_id or NULL_UUID).to_json(),
        "name": configuration.name,
        "type": configuration.type,
        "routingKey": configuration.routing_key,
        "secret": configuration.secret,
        "additionalInfo": _json_or_none(configuration.additional_info),
        "cloudType": configuration.cloud_type,
    }
    return msgspec.json.encode(body)


def settings_text(configuration: EdgeConfiguration, full_sync_required: bool = False) -> str:
    """The `edgeSettings` attribute (§4.8)."""
    settings = {
        "edgeId": str(configuration.edge_id),
        "tenantId": str(configuration.tenant_id),
        "name": configuration.name,
        "type": configuration.type,
        "routingKey": configuration.routing_key,
        "fullSyncRequired": full_sync_required,
    }
    return msgspec.json.encode(settings).decode()


def refusal(answer: Connected) -> str:
    """Why a server's answer lets nobody in."""
    reasons = {
        0: "the server accepted without saying who this edge is",
        1: "the routing key or the secret is wrong",
        2: "the server is not available",
    }
    reason = reasons.get(answer.code, f"refused with code {answer.code}")
    return f"{reason}: {answer.error}" if answer.error else reason


def _json_or_none(text: str) -> Any:
    try:
        return msgspec.json.decode(text) if text else None
    except msgspec.DecodeError:
        return None
