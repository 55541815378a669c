"""Devices as a ThingsBoard server has them, for tests that fill a cloud."""

from __future__ import annotations

from appliance.edge.devices import credentials_body, store
from appliance.model.ids import NULL_UUID, EntityId, created_time_ms, new_uuid
from appliance.model.unit import Unit
from appliance.state.store import State


def device_unit(state: State, name: str, token: str) -> tuple[EntityId, Unit]:
    """A device of the default profile with a token: (its id, the unit that makes it so)."""
    unit, device = Unit(), EntityId("DEVICE", new_uuid())
    profile = state.by_name("DEVICE_PROFILE", "default")
    assert profile is not None
    body = {
        "id": device.to_json(),
        "createdTime": created_time_ms(device.id),
        "tenantId": EntityId("TENANT", state.tenant_id).to_json(),
        "customerId": EntityId("CUSTOMER", NULL_UUID).to_json(),
        "name": name,
        "type": "default",
        "label": None,
        "deviceProfileId": profile["id"],
        "deviceData": {
            "configuration": {"type": "DEFAULT"},
            "transportConfiguration": {"type": "DEFAULT"},
        },
        "additionalInfo": None,
        "version": 7,
    }
    store(unit, "DEVICE", device.id, body)
    store(
        unit, "DEVICE_CREDENTIALS", device.id, credentials_body(device.id, {"credentialsId": token})
    )
    return device, unit
