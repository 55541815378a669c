"""Calculated fields: read, list, save, delete; what a server refuses is refused here too.

On an edge what is saved goes up, as it does from a ThingsBoard Edge; on the cloud it goes to every
edge that has the field's owner.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from appliance.fields.check import OWNERS, check_field
from appliance.fields.trial import try_field_script
from appliance.model.errors import ConfigError
from appliance.model.ids import EntityId, created_time_ms, new_uuid
from appliance.state.kinds import entity_id_of, id_of
from appliance.web.commands import Change
from appliance.web.errors import ApiError, not_found, uuid_of
from appliance.web.rest.call import Call, Table
from appliance.web.rest.checked import checked
from appliance.web.rest.paging import page_link, page_of
from appliance.web.rest.shapes import check_length, next_version

table = Table()
_KIND = "CALCULATED_FIELD"


@table.on("GET", "/api/calculatedField/{id}")
async def read_field(call: Call) -> Any:
    """One field."""
    return call.entity(_KIND, call.path_id())


@table.on("DELETE", "/api/calculatedField/{id}")
async def delete_field(call: Call) -> None:
    """It calculates no more; its results stay."""
    id = call.path_id()
    call.entity(_KIND, id)
    await call.commands.change([Change(_KIND, id, None, "DELETED")], call.principal)


@table.on("GET", "/api/calculatedFields")
async def all_fields(call: Call) -> Any:
    """A page of all fields with their owners' names; types, entityType, entities narrow it."""
    types, kind = call.names("types"), call.query("entityType")
    owners = {uuid_of(text) for text in call.names("entities") or ()}
    found = (
        {**body, "entityName": _owner_name(call, body)}
        for body in call.view.entities(_KIND)
        if (not types or body.get("type") in types)
        and (kind is None or (body.get("entityId") or {}).get("entityType") == kind)
        and (not owners or id_of(body.get("entityId")) in owners)
    )
    return page_of(found, page_link(call))


@table.on("GET", "/api/{type}/{id}/calculatedFields", "/api/calculatedField/{type}/{id}")
async def fields_of(call: Call) -> Any:
    """A page of an entity's own fields."""
    owner, type = call.path_entity(), call.query("type")
    if owner.type not in OWNERS:
        raise ApiError(400, f"Entities of type {owner.type} have no calculated fields")
    call.entity(owner.type, owner.id)
    found: Iterable[dict[str, Any]] = (
        body
        for body in call.view.entities(_KIND)
        if id_of(body.get("entityId")) == owner.id and type in (None, body.get("type"))
    )
    return page_of(found, page_link(call))


@table.on("POST", "/api/calculatedField")
async def save_field(call: Call) -> Any:
    """Make or change a field."""
    body, new = _composed(call, call.json_object())
    try:
        field = check_field(body, call.view)
    except ConfigError as error:
        raise ApiError(400, str(error)) from None
    change = Change(_KIND, field.id, body, "ADDED" if new else "UPDATED")
    await call.commands.change([change], call.principal)
    return body


@table.on("POST", "/api/calculatedField/testScript")
async def test_script(call: Call) -> Any:
    """Run a field's script once with the arguments given: `{output, error}`."""
    try:
        return try_field_script(call.json_object(), call.services.clock())
    except msgspec.ValidationError as error:
        raise ApiError(400, f"Bad script test: {error}") from None


def _composed(call: Call, given: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """The whole field of what was posted, and whether it is new."""
    given = {**given, **checked(given, ("type", "name", "version"))}
    stored: dict[str, Any] | None = None
    id = new_uuid()
    if given.get("id") is not None:
        own = given["id"]
        id = uuid_of(own.get("id") if isinstance(own, dict) else None)
        stored = call.view.entity(_KIND, id)
        if stored is None:
            raise not_found(_KIND, id)
    check_length("name", given.get("name"))
    versioned = call.services.role == "cloud"
    body = {
        "id": EntityId(_KIND, id).to_json(),
        "createdTime": stored["createdTime"] if stored else created_time_ms(id),
        "tenantId": EntityId("TENANT", call.view.tenant_id).to_json(),
        "entityId": given.get("entityId"),
        "type": given.get("type"),
        "name": given.get("name"),
        "debugSettings": given.get("debugSettings"),
        "configurationVersion": given.get("configurationVersion") or 0,
        "configuration": given.get("configuration"),
        "additionalInfo": given.get("additionalInfo"),
        "version": next_version(_KIND, stored, given) if versioned else None,
    }
    return body, stored is None


def _owner_name(call: Call, body: dict[str, Any]) -> str:
    owner = entity_id_of(body.get("entityId"))
    stored = owner and call.view.entity(owner.type, owner.id)
    return str((stored or {}).get("name") or (stored or {}).get("title") or "")
