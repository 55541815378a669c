"""Claiming devices over REST."""

from __future__ import annotations

import json
from uuid import UUID

from appliance.model.ids import EntityId
from appliance.model.telemetry import AttributeWrite, Scope
from appliance.model.unit import Unit
from tests.kit.rest_client import CUSTOMER, Client, customer_site
from tests.kit.rest_site import NOW

PATH = "/api/customer/device/pump/claim"


async def claimable(admin: Client, secret: str, until_ms: int = NOW) -> str:
    """A device that said it may be claimed."""
    device = await admin.new_device("pump")
    text = json.dumps({"secretKey": secret, "expirationTime": until_ms})
    entity = EntityId("DEVICE", UUID(device))
    write = AttributeWrite(entity, Scope.SERVER, NOW, {"claimingData": text})
    admin.site.state.apply(Unit(attributes=[write]))
    return device


async def test_a_device_is_claimed_once_and_given_back() -> None:
    admin, user = customer_site()
    device = await claimable(admin, "s3cret")
    assert await user.ask("POST", PATH, {"secretKey": "guess"}) == (400, "FAILURE")
    status, answer = await user.ask("POST", PATH, {"secretKey": "s3cret"})
    assert (status, answer["response"]) == (200, "SUCCESS")
    assert answer["device"]["customerId"]["id"] == str(CUSTOMER)
    assert (await user.ask("GET", f"/api/device/{device}"))[0] == 200
    assert await user.ask("POST", PATH, {"secretKey": "s3cret"}) == (400, "CLAIMED")
    assert (await user.ask("DELETE", PATH))[0] == 200
    assert (await user.ask("DELETE", PATH))[0] == 400
    assert await user.ask("POST", PATH, {"secretKey": "s3cret"}) == (400, "FAILURE")


async def test_a_claim_needs_a_device_that_said_so_in_time_and_a_customer() -> None:
    admin, user = customer_site()
    assert (await user.ask("POST", PATH))[0] == 404
    await claimable(admin, "", until_ms=NOW - 1)
    assert await user.ask("POST", PATH) == (400, "FAILURE")
    assert (await user.ask("POST", PATH, {"secretKey": {}}))[0] == 400
    assert (await admin.ask("POST", PATH))[0] == 403


async def test_no_secret_is_a_secret_too() -> None:
    admin, user = customer_site()
    await claimable(admin, "")
    assert (await user.ask("POST", PATH))[0] == 200
