"""Entities of all kinds: read, list, save, delete (spec §4.3, §7)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from appliance.model.ids import EntityId
from appliance.model.telemetry import Scope
from appliance.state.kinds import NO_CUSTOMER, id_of
from appliance.state.view import StateView
from appliance.web.commands import Change
from appliance.web.errors import ApiError, uuid_of
from appliance.web.rest.call import ADMIN, USERS, Call, Handler, Table
from appliance.web.rest.paging import page_link, page_of
from appliance.web.rest.shapes import RULE_CHAIN_TYPES, profile_for

table = Table(in_turn=True)

NAMES = {
    "device": "DEVICE",
    "asset": "ASSET",
    "entityView": "ENTITY_VIEW",
    "dashboard": "DASHBOARD",
    "customer": "CUSTOMER",
    "user": "USER",
    "edge": "EDGE",
    "ruleChain": "RULE_CHAIN",
    "deviceProfile": "DEVICE_PROFILE",
    "assetProfile": "ASSET_PROFILE",
}
"""The word in the path, and the kind."""

_LISTS = {
    "/api/tenant/devices": "DEVICE",
    "/api/tenant/assets": "ASSET",
    "/api/tenant/entityViews": "ENTITY_VIEW",
    "/api/tenant/dashboards": "DASHBOARD",
    "/api/tenant/edges": "EDGE",
    "/api/edges": "EDGE",
    "/api/customers": "CUSTOMER",
    "/api/tenant/customers": "CUSTOMER",
    "/api/users": "USER",
    "/api/ruleChains": "RULE_CHAIN",
    "/api/deviceProfiles": "DEVICE_PROFILE",
    "/api/assetProfiles": "ASSET_PROFILE",
}
_INFO_LISTS = {
    "/api/tenant/deviceInfos": "DEVICE",
    "/api/tenant/assetInfos": "ASSET",
    "/api/tenant/entityViewInfos": "ENTITY_VIEW",
    "/api/tenant/edgeInfos": "EDGE",
}
_BY_NAME = {
    "/api/tenant/devices": "deviceName",
    "/api/tenant/assets": "assetName",
    "/api/tenant/edges": "edgeName",
    "/api/tenant/entityViews": "entityViewName",
    "/api/tenant/customers": "customerTitle",
    "/api/tenant/device": "deviceName",
    "/api/tenant/asset": "assetName",
    "/api/tenant/edge": "edgeName",
    "/api/tenant/entityView": "entityViewName",
}
"""Where one is found by its name. Up to 4.2 on the path of the list, later on one of its own."""
_ASSIGNABLE = ("DEVICE", "ASSET", "ENTITY_VIEW", "EDGE")
_SAVED_HERE = (
    "ENTITY_VIEW",
    "CUSTOMER",
    "RULE_CHAIN",
    "DASHBOARD",
    "DEVICE_PROFILE",
    "ASSET_PROFILE",
)


def info(view: StateView, kind: str, body: dict[str, Any]) -> dict[str, Any]:
    """The entity with what lists show beside it: DeviceInfo and its like."""
    customer = _entity(view, "CUSTOMER", body.get("customerId"))
    extra = customer.get("additionalInfo") or {}
    shown = {
        **body,
        "customerTitle": customer.get("title"),
        "customerIsPublic": bool(extra.get("isPublic")),
    }
    if kind in ("DEVICE", "ASSET"):
        field = f"{kind.lower()}ProfileId"
        profile = _entity(view, f"{kind}_PROFILE", body.get(field))
        shown[f"{kind.lower()}ProfileName"] = profile.get("name")
    if kind == "DEVICE":
        id = id_of(body["id"])
        assert id is not None
        active = view.attributes(EntityId("DEVICE", id), Scope.SERVER).get("active")
        shown["active"] = active is not None and active.value is True
    return shown


def _entity(view: StateView, kind: str, reference: Any) -> dict[str, Any]:
    id = id_of(reference)
    return (id and view.entity(kind, id)) or {}


def dashboard_info(body: dict[str, Any]) -> dict[str, Any]:
    """DashboardInfo: the dashboard without what it draws."""
    return {name: value for name, value in body.items() if name not in _DRAWN}


_DRAWN = ("configuration", "externalId", "resources")
_PROFILE_INFO = ("id", "tenantId", "name", "image", "defaultDashboardId")
_PROFILE_MORE = {"DEVICE_PROFILE": ("type", "transportType"), "ASSET_PROFILE": ()}


def profile_info(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    """DeviceProfileInfo, AssetProfileInfo."""
    return {name: body.get(name) for name in (*_PROFILE_INFO, *_PROFILE_MORE[kind])}


# --- one ---------------------------------------------------------------------------------------


def _reader(kind: str, *, with_info: bool) -> Handler:
    async def read(call: Call) -> Any:
        body = call.entity(kind, call.path_id())
        return info(call.view, kind, body) if with_info else body

    return read


def _deleter(kind: str) -> Handler:
    async def delete(call: Call) -> None:
        _check_ours(call, kind)
        id = call.path_id()
        call.entity(kind, id)
        await call.commands.change([Change(kind, id, None, "DELETED")], call.principal)

    return delete


def _check_ours(call: Call, kind: str) -> None:
    """Raises ApiError for what no server takes from an edge, and refuses devices because of."""
    if kind == "CUSTOMER" and call.services.role == "edge":
        raise ApiError(400, "Customers are made, changed and deleted on the server, not on an edge")


def _saver(kind: str) -> Handler:
    async def save(call: Call) -> Any:
        _check_ours(call, kind)
        id, body, new = call.compose(kind, call.json_object())
        change = Change(kind, id, body, "ADDED" if new else "UPDATED")
        await call.commands.change([change], call.principal)
        return body

    return save


@table.on("POST", "/api/asset", roles=USERS)
async def save_asset(call: Call) -> Any:
    """Make or change an asset; an unknown type makes an asset profile."""
    id, body, new = call.compose("ASSET", call.json_object())
    profile, made = profile_for(call.view, "ASSET", body)
    body |= {"assetProfileId": profile["id"], "type": profile["name"]}
    changes = [Change("ASSET", id, body, "ADDED" if new else "UPDATED")]
    if made:
        changes.insert(0, Change("ASSET_PROFILE", UUID(profile["id"]["id"]), profile, "ADDED"))
    await call.commands.change(changes, call.principal)
    return body


# --- lists -------------------------------------------------------------------------------------


def _lister(path: str, kind: str, *, with_info: bool) -> Handler:
    async def show(call: Call) -> Any:
        if call.query(_BY_NAME.get(path, "")) is not None:
            return await _by_name(path, kind)(call)
        if kind == "EDGE" and call.query("edgeIds") is not None:
            return [call.entity(kind, uuid_of(text)) for text in call.need_names("edgeIds")]
        link = page_link(call)
        return page_of(_filtered(call, kind, call.view.entities(kind), with_info), link)

    return show


def _by_name(path: str, kind: str) -> Handler:
    async def read(call: Call) -> Any:
        found = call.view.by_name(kind, call.need(_BY_NAME[path]))
        if found is None:
            raise ApiError(404, "Requested item wasn't found!")
        return found

    return read


def _filtered(
    call: Call, kind: str, found: Iterable[dict[str, Any]], with_info: bool
) -> Iterable[dict[str, Any]]:
    """The entities with the given type, profile and activity."""
    type, active = call.query("type"), call.query("active")
    if kind == "RULE_CHAIN":
        type = type or "CORE"
        if type not in RULE_CHAIN_TYPES:
            raise ApiError(400, f"No rule chain type {type}")
    profile = call.query(f"{kind.lower()}ProfileId")
    profile = profile and str(uuid_of(profile))
    transport = call.query("transportType") if kind == "DEVICE_PROFILE" else None
    for body in found:
        if transport and body.get("transportType") != transport:
            continue
        if type and body.get("type") != type:
            continue
        if profile and (body.get(f"{kind.lower()}ProfileId") or {}).get("id") != profile:
            continue
        shown = info(call.view, kind, body) if with_info else body
        if kind == "DASHBOARD":
            shown = dashboard_info(body)
        if with_info and active and shown.get("active") is not (active.lower() == "true"):
            continue
        yield shown


def of_customer(call: Call, kind: str) -> Iterable[dict[str, Any]]:
    """What of a kind is the customer's whom the path names. Raises ApiError."""
    customer = call.path_id("customer")
    call.entity("CUSTOMER", customer)
    return (b for b in call.view.entities(kind) if id_of(b.get("customerId")) == customer)


def _of_customer(kind: str, *, with_info: bool) -> Handler:
    async def show(call: Call) -> Any:
        return page_of(_filtered(call, kind, of_customer(call, kind), with_info), page_link(call))

    return show


def _types(kind: str) -> Handler:
    async def show(call: Call) -> Any:
        tenant = EntityId("TENANT", call.view.tenant_id).to_json()
        names = sorted({str(body.get("type")) for body in call.view.entities(kind)})
        return [{"tenantId": tenant, "entityType": kind, "type": name} for name in names]

    return show


def _profile_infos(kind: str) -> Handler:
    async def show(call: Call) -> Any:
        found = _filtered(call, kind, call.view.entities(kind), with_info=False)
        return page_of((profile_info(kind, body) for body in found), page_link(call))

    return show


# --- customers ---------------------------------------------------------------------------------


def _assigner(kind: str) -> Handler:
    async def assign(call: Call) -> Any:
        customer = call.path_id("customer")
        call.entity("CUSTOMER", customer)
        reference = EntityId("CUSTOMER", customer).to_json()
        return await _set_customer(call, kind, reference, "ASSIGNED_TO_CUSTOMER")

    return assign


def _unassigner(kind: str) -> Handler:
    async def unassign(call: Call) -> Any:
        if id_of(call.entity(kind, call.path_id()).get("customerId")) is None:
            words = kind.replace("_", " ").title()
            raise ApiError(400, f"{words} isn't assigned to any customer!")
        return await _set_customer(call, kind, NO_CUSTOMER, "UNASSIGNED_FROM_CUSTOMER")

    return unassign


async def _set_customer(call: Call, kind: str, reference: dict[str, str], action: str) -> Any:
    id = call.path_id()
    body = {**call.entity(kind, id), "customerId": reference}
    await call.commands.change([Change(kind, id, body, action)], call.principal)
    return body


# --- the table ---------------------------------------------------------------------------------


def _enter() -> None:
    for word, kind in NAMES.items():
        table.on("GET", f"/api/{word}/{{id}}", roles=USERS)(_reader(kind, with_info=False))
        table.on("DELETE", f"/api/{word}/{{id}}", roles=ADMIN)(_deleter(kind))
        if kind in _SAVED_HERE:
            table.on("POST", f"/api/{word}", roles=ADMIN)(_saver(kind))
        if kind in _ASSIGNABLE:
            _enter_assignable(word, kind)
        if f"/api/tenant/{word}" in _BY_NAME:
            path = f"/api/tenant/{word}"
            table.on("GET", path, roles=ADMIN)(_by_name(path, kind))
    for path, kind in _LISTS.items():
        table.on("GET", path, roles=ADMIN)(_lister(path, kind, with_info=False))
    for path, kind in _INFO_LISTS.items():
        table.on("GET", path, roles=ADMIN)(_lister(path, kind, with_info=True))
    table.on("GET", "/api/deviceProfileInfos", roles=USERS)(_profile_infos("DEVICE_PROFILE"))
    table.on("GET", "/api/assetProfileInfos", roles=USERS)(_profile_infos("ASSET_PROFILE"))


def _enter_assignable(word: str, kind: str) -> None:
    of_customer = "/api/customer/{customer}/" + word
    table.on("GET", f"/api/{word}/info/{{id}}", roles=USERS)(_reader(kind, with_info=True))
    table.on("GET", f"/api/{word}/types", roles=USERS)(_types(kind))
    table.on("GET", f"{of_customer}s", roles=USERS)(_of_customer(kind, with_info=False))
    table.on("GET", f"{of_customer}Infos", roles=USERS)(_of_customer(kind, with_info=True))
    table.on("POST", f"{of_customer}/{{id}}", roles=ADMIN)(_assigner(kind))
    table.on("DELETE", f"/api/customer/{word}/{{id}}", roles=ADMIN)(_unassigner(kind))


_enter()
