"""Small answers that pages and tools ask for: names, short forms, what the system is (§4.3, §4.9).

What nobody keeps here is answered as what it is where nobody has set it: no settings of users, no
home dashboard, no OAuth2 clients.
"""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from appliance.model.ids import EntityId
from appliance.state.view import default_profile
from appliance.web.errors import ApiError, uuid_of
from appliance.web.rest.call import ADMIN, ALL, ANYONE, USERS, Call, Handler, Table
from appliance.web.rest.entities import dashboard_info, of_customer, profile_info
from appliance.web.rest.paging import page_link, page_of

table = Table()
DATAPOINTS_MAX = 50_000
_DEBUG_LIMIT = "50000:3600"
_DEBUG_MINUTES_MAX = 15
_ARGUMENTS_MAX, _ROLLING_POINTS_MAX = 10, 1_000


# --- the system --------------------------------------------------------------------------------


@table.on("GET", "/api/system/params", roles=ALL)
async def system_params(call: Call) -> Any:
    """What a page must know before it draws anything."""
    return {
        "userTokenAccessEnabled": True,
        "allowedDashboardIds": [],
        "edgesSupportEnabled": call.services.role == "cloud",
        "hasRepository": False,
        "tbelEnabled": True,
        "persistDeviceStateToTelemetry": False,
        "userSettings": {"openedMenuSections": []},
        "maxDatapointsLimit": DATAPOINTS_MAX,
        "maxResourceSize": 0,
        "mobileQrEnabled": True,
        "maxDebugModeDurationMinutes": _DEBUG_MINUTES_MAX,
        "ruleChainDebugPerTenantLimitsConfiguration": _DEBUG_LIMIT,
        "calculatedFieldDebugPerTenantLimitsConfiguration": _DEBUG_LIMIT,
        "maxArgumentsPerCF": _ARGUMENTS_MAX,
        "maxDataPointsPerRollingArg": _ROLLING_POINTS_MAX,
        "trendzSettings": {"enabled": False, "baseUrl": None, "apiKey": None},
    }


@table.on("GET", "/api/user/settings", "/api/user/settings/{type}", roles=ALL)
async def user_settings(call: Call) -> Any:
    """None are kept."""
    return {}


@table.on("POST", "/api/noauth/oauth2Clients", roles=ANYONE)
async def oauth2_clients(call: Call) -> Any:
    """Nobody logs in by another provider."""
    return []


@table.on("GET", "/api/dashboard/serverTime", roles=ALL)
async def server_time(call: Call) -> Any:
    """Epoch milliseconds."""
    return call.services.clock()


@table.on("GET", "/api/dashboard/maxDatapointsLimit", roles=ALL)
async def datapoints_limit(call: Call) -> Any:
    """The most points that one query gives."""
    return DATAPOINTS_MAX


@table.on("GET", "/api/ruleChain/tbelEnabled", roles=ADMIN)
async def tbel_enabled(call: Call) -> Any:
    """TBEL runs here."""
    return True


@table.on("GET", "/api/dashboard/home", roles=ALL)
async def home_dashboard(call: Call) -> None:
    """Nobody has one."""


@table.on("GET", "/api/tenant/{id}", roles=ADMIN)
async def tenant(call: Call) -> Any:
    """The tenant as it was synchronised."""
    return call.entity("TENANT", call.path_id())


@table.on("GET", "/api/queues", roles=ADMIN)
async def queues(call: Call) -> Any:
    """A page of the rule engine's queues; other services have none."""
    link, service = page_link(call), call.need("serviceType")
    known = call.view.entities("QUEUE") if service == "TB_RULE_ENGINE" else ()
    return page_of(known, link)


@table.on("GET", "/api/queues/{id}", roles=ADMIN)
async def queue(call: Call) -> Any:
    """One queue."""
    return call.entity("QUEUE", call.path_id())


@table.on("GET", "/api/queues/name/{name}", roles=ADMIN)
async def queue_by_name(call: Call) -> Any:
    """One queue by its name."""
    found = call.view.by_name("QUEUE", call.path("name"))
    if found is None:
        raise ApiError(404, "Requested item wasn't found!")
    return found


# --- short forms -------------------------------------------------------------------------------


def _profile_info(kind: str) -> Handler:
    async def show(call: Call) -> Any:
        return profile_info(kind, call.entity(kind, call.path_id()))

    return show


def _default_info(kind: str) -> Handler:
    async def show(call: Call) -> Any:
        found = default_profile(call.view, kind)
        if found is None:
            raise ApiError(404, "Requested item wasn't found!")
        return profile_info(kind, found)

    return show


def _names(kind: str, user: str) -> Handler:
    async def show(call: Call) -> Any:
        used: set[Any] | None = None
        if call.flag("activeOnly"):
            used = {body.get("type") for body in call.view.entities(user)}
        found = (p for p in call.view.entities(kind) if used is None or p["name"] in used)
        return [{"id": p["id"], "name": p["name"]} for p in sorted(found, key=lambda p: p["name"])]

    return show


for _word, _user in (("device", "DEVICE"), ("asset", "ASSET")):
    _kind = f"{_user}_PROFILE"
    table.on("GET", f"/api/{_word}ProfileInfo/{{id}}", roles=USERS)(_profile_info(_kind))
    table.on("GET", f"/api/{_word}ProfileInfo/default", roles=USERS)(_default_info(_kind))
    table.on("GET", f"/api/{_word}Profile/names", roles=USERS)(_names(_kind, _user))


@table.on("GET", "/api/dashboard/info/{id}", roles=USERS)
async def one_dashboard_info(call: Call) -> Any:
    """A dashboard without what it draws."""
    return dashboard_info(call.entity("DASHBOARD", call.path_id()))


@table.on("GET", "/api/customer/{id}/title", roles=USERS)
async def customer_title(call: Call) -> Any:
    """The title, as plain text."""
    title = str(call.entity("CUSTOMER", call.path_id()).get("title"))
    return Response(title, media_type="application/text")


@table.on("GET", "/api/customer/{id}/shortInfo", roles=USERS)
async def customer_short_info(call: Call) -> Any:
    """The title and whether everybody is this customer."""
    customer = call.entity("CUSTOMER", call.path_id())
    is_public = bool((customer.get("additionalInfo") or {}).get("isPublic"))
    return {"title": customer.get("title"), "isPublic": is_public}


@table.on("GET", "/api/customer/{customer}/users", roles=ADMIN)
async def customer_users(call: Call) -> Any:
    """A page of the customer's users."""
    return page_of(of_customer(call, "USER"), page_link(call))


@table.on("GET", "/api/customer/{customer}/dashboards", roles=USERS)
async def customer_dashboards(call: Call) -> Any:
    """A page of the dashboards that the customer was given."""
    customer = call.path_id("customer")
    call.entity("CUSTOMER", customer)
    reference = EntityId("CUSTOMER", customer).to_json()
    found = (
        dashboard_info(body)
        for body in call.view.entities("DASHBOARD")
        for given in body.get("assignedCustomers") or ()
        if given.get("customerId") == reference
    )
    return page_of(found, page_link(call))


@table.on("GET", "/api/assets", roles=USERS)
async def assets_by_id(call: Call) -> Any:
    """`assetIds=a,b`: those that the caller may see."""
    found = [call.view.entity("ASSET", uuid_of(text)) for text in call.need_names("assetIds")]
    return [body for body in found if body is not None and call.sees("ASSET", body)]
