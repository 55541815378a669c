"""Who did what: `/api/audit/logs`, of the tenant, an entity, a customer or a user."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from appliance.web.rest.call import ADMIN, Call, Table
from appliance.web.rest.paging import page_link, page_of

table = Table()
Entry = dict[str, Any]
_SEARCHED = ("entityName", "userName", "actionType", "actionStatus")


@table.on("GET", "/api/audit/logs", roles=ADMIN)
async def of_tenant(call: Call) -> Any:
    """A page of all entries."""
    return await _page(call, lambda entry: True)


@table.on("GET", "/api/audit/logs/entity/{type}/{id}", roles=ADMIN)
async def of_entity(call: Call) -> Any:
    """A page of what was done to an entity, which may be gone."""
    wanted = call.path_entity().to_json()
    return await _page(call, lambda entry: bool(entry["entityId"] == wanted))


@table.on("GET", "/api/audit/logs/customer/{id}", roles=ADMIN)
async def of_customer(call: Call) -> Any:
    """A page of what was done to what is a customer's, or by the customer's users."""
    wanted = str(call.path_id())
    return await _page(call, lambda entry: bool(entry["customerId"]["id"] == wanted))


@table.on("GET", "/api/audit/logs/user/{id}", roles=ADMIN)
async def of_user(call: Call) -> Any:
    """A page of what a user did."""
    wanted = str(call.path_id())
    return await _page(call, lambda entry: bool(entry["userId"]["id"] == wanted))


async def _page(call: Call, wanted: Callable[[Entry], bool]) -> Entry:
    """The newest first unless asked otherwise. `actionTypes=A,B` chooses."""
    link, actions = page_link(call), call.names("actionTypes")
    entries = await call.services.audit.entries() if call.services.audit else []
    found = [
        entry
        for entry in entries
        if wanted(entry)
        and (actions is None or entry["actionType"] in actions)
        and _contains(entry, link.text)
    ]
    if link.sort == "entityType":
        found.sort(key=lambda entry: str(entry["entityId"]["entityType"]), reverse=link.descending)
        link = msgspec.structs.replace(link, sort=None)
    return page_of(found, msgspec.structs.replace(link, text=""))


def _contains(entry: Entry, text: str) -> bool:
    words = [entry["entityId"]["entityType"], *(entry[name] for name in _SEARCHED)]
    return not text or any(text in str(word).lower() for word in words)
