"""Short forms and what the system is."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.model.ids import new_uuid
from tests.kit.rest_client import CUSTOMER, NOWHERE, Client, customer_site
from tests.kit.rest_site import NOW, TENANT, Site


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/api/user/settings/general", {}),
        ("/api/dashboard/serverTime", NOW),
        ("/api/dashboard/maxDatapointsLimit", 50_000),
        ("/api/dashboard/home", ""),
        ("/api/ruleChain/tbelEnabled", True),
        (f"/api/customer/{CUSTOMER}/shortInfo", {"title": "Customer A", "isPublic": False}),
        (f"/api/customer/{CUSTOMER}/title", "Customer A"),
    ],
)
async def test_small_questions_have_small_answers(path: str, answer: Any) -> None:
    admin, _ = customer_site()
    assert await admin.ask("GET", path) == (200, answer)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/api/tenant/{TENANT}", 200),
        (f"/api/tenant/{NOWHERE}", 404),
        ("/api/deviceProfileInfo/default", 200),
        ("/api/assetProfileInfo/default", 200),
        (f"/api/deviceProfileInfo/{NOWHERE}", 404),
        ("/api/queues?pageSize=5&page=0", 400),
        ("/api/queues?serviceType=TB_CORE&pageSize=5&page=0", 200),
        ("/api/queues/name/Main", 404),
        ("/api/devices", 400),
        ("/api/assets?assetIds=", 400),
        ("/api/assets?assetIds=x", 400),
        ("/api/edges?edgeIds=x", 400),
        (f"/api/customer/{CUSTOMER}/users?pageSize=5&page=0", 200),
        (f"/api/customer/{CUSTOMER}/dashboards?pageSize=5&page=0", 200),
        (f"/api/customer/{NOWHERE}/dashboards?pageSize=5&page=0", 404),
        ("/api/tenant/deviceInfos?pageSize=5&page=0&deviceProfileId=x", 400),
        ("/api/deviceProfile/names?activeOnly=maybe", 400),
        (f"/api/edge/instructions/install/{NOWHERE}/docker", 500),
        (f"/api/edge/{NOWHERE}/upgrade/available", 500),
    ],
)
async def test_lookups_answer_in_the_status_of_the_reference(path: str, status: int) -> None:
    admin, _ = customer_site()
    assert (await admin.ask("GET", path))[0] == status


async def test_profile_names_are_sorted_and_those_in_use_on_request() -> None:
    admin = Client(Site("edge"))
    _, names = await admin.ask("GET", "/api/deviceProfile/names")
    assert [name["name"] for name in names] == ["default", "meter"]
    _, used = await admin.ask("GET", "/api/deviceProfile/names?activeOnly=true")
    assert [name["name"] for name in used] == ["default"]


async def test_lists_of_dashboards_leave_out_what_they_draw() -> None:
    admin = Client(Site("edge"))
    body = {"title": "Hall", "configuration": {"widgets": {}}}
    _, made = await admin.ask("POST", "/api/dashboard", body)
    assert (made["configuration"], made["resources"]) == ({"widgets": {}}, None)
    _, page = await admin.ask("GET", "/api/tenant/dashboards?pageSize=5&page=0")
    _, one = await admin.ask("GET", f"/api/dashboard/info/{made['id']['id']}")
    assert page["data"] == [one]
    assert not {"configuration", "externalId", "resources"} & one.keys()
    assert (one["title"], one["name"]) == ("Hall", "Hall")


async def test_an_edge_is_told_how_it_is_started() -> None:
    admin = Client(Site("cloud"))
    _, edge = await admin.ask("POST", "/api/edge", {"name": "hall"})
    path = f"/api/edge/instructions/install/{edge['id']['id']}"
    _, told = await admin.ask("GET", f"{path}/docker")
    assert edge["routingKey"] in told["instructions"]
    assert (await admin.ask("GET", f"{path}/abacus"))[0] == 400
    assert await admin.ask("GET", f"/api/edges?edgeIds={edge['id']['id']}") == (200, [edge])


async def test_an_edge_s_lists_show_assets_whole_and_devices_with_names() -> None:
    site = Site("cloud")
    admin = Client(site)
    _, edge = await admin.ask("POST", "/api/edge", {"name": "hall"})
    path = f"/api/edge/{edge['id']['id']}"
    _, asset = await admin.ask("POST", "/api/asset", {"name": "line"})
    device = await admin.new_device()
    await admin.ask("POST", f"{path}/asset/{asset['id']['id']}")
    await admin.ask("POST", f"{path}/device/{device}")
    assert (await admin.ask("GET", f"{path}/assets?pageSize=5&page=0"))[1]["data"] == [asset]
    _, page = await admin.ask("GET", f"{path}/devices?pageSize=5&page=0")
    assert page["data"][0]["deviceProfileName"] == "default"


async def test_queues_are_those_that_came() -> None:
    site = Site("edge")
    site.put("QUEUE", new_uuid(), {"name": "Main", "topic": "tb_rule_engine.main"})
    admin = Client(site)
    path = "/api/queues?serviceType=TB_RULE_ENGINE&pageSize=5&page=0"
    _, page = await admin.ask("GET", path)
    assert [queue["name"] for queue in page["data"]] == ["Main"]
    _, by_name = await admin.ask("GET", "/api/queues/name/Main")
    assert page["data"] == [by_name]
