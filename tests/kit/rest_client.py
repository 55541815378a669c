"""Who asks a `Site`, and what they ask about."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from appliance.access.tokens import token_pair
from appliance.model.ids import EntityId
from tests.kit.rest_site import NOW, USER, USER_BODY, Site

CUSTOMER = UUID("26ab50e0-e597-11f1-aa1f-f1f52a346aed")
CUSTOMER_USER = UUID("26efd3b0-e597-11f1-aa1f-f1f52a346aed")
NOWHERE = "00000000-0000-0000-0000-000000000001"


class Client:
    """One who has logged in."""

    def __init__(self, site: Site, user: UUID = USER) -> None:
        self.site = site
        body = site.state.entity("USER", user)
        assert body is not None
        self.token = token_pair(body, site.access.settings(), NOW)["token"]

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        encoded = body if isinstance(body, bytes) else b"" if body is None else _json(body)
        status, headers, answer = await self.site.ask(method, path, encoded, self.token)
        if headers.get("content-type") == "application/json":
            return status, json.loads(answer)
        return status, answer.decode()

    async def new_device(self, name: str = "pump", **more: Any) -> str:
        status, body = await self.ask("POST", "/api/device", {"name": name, **more})
        assert status == 200
        return str(body["id"]["id"])


def _json(body: Any) -> bytes:
    return json.dumps(body).encode()


def customer_site(role: str = "edge", edition: str = "CE") -> tuple[Client, Client]:
    """The tenant's administrator and a customer's user of one site."""
    site = Site(role, edition)
    site.put("CUSTOMER", CUSTOMER, {"title": "Customer A"})
    reference = EntityId("CUSTOMER", CUSTOMER).to_json()
    user = {**USER_BODY, "email": "c@x", "authority": "CUSTOMER_USER", "customerId": reference}
    site.put("USER", CUSTOMER_USER, user)
    owner = EntityId("USER", CUSTOMER_USER).to_json()
    credentials = {"userId": owner, "enabled": True, "password": None}
    site.put("USER_CREDENTIALS", CUSTOMER_USER, credentials)
    return Client(site), Client(site, CUSTOMER_USER)


def device_ref(id: str) -> dict[str, str]:
    """The EntityId object of a device."""
    return {"entityType": "DEVICE", "id": id}


def alarm_body(device: str, **more: Any) -> dict[str, Any]:
    """A good alarm of the device, to be posted."""
    return {"originator": device_ref(device), "type": "Hot", "severity": "MAJOR", **more}
