"""Entities found by filters, conditions and keys."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kit.rest_client import CUSTOMER, NOWHERE, Client, customer_site, device_ref
from tests.kit.rest_site import Site

FIND, COUNT = "/api/entitiesQuery/find", "/api/entitiesQuery/count"
NAME = {"type": "ENTITY_FIELD", "key": "name"}
LEVEL = {"type": "SERVER_ATTRIBUTE", "key": "level"}
PAGE = {"pageSize": 9, "page": 0, "sortOrder": {"key": NAME, "direction": "ASC"}}


async def a_plant() -> tuple[Client, dict[str, str]]:
    """Three devices beside the four that are there; `level` is 5, 10 and missing."""
    admin = Client(Site("edge"))
    ids = {}
    for name, level in (("Fan 1", 5), ("Fan 2", 10), ("Oven", None)):
        ids[name] = await admin.new_device(name, type="meter" if level is None else "default")
        if level is not None:
            path = f"/api/plugins/telemetry/DEVICE/{ids[name]}/SERVER_SCOPE"
            await admin.ask("POST", path, {"level": level})
    relation = {"from": device_ref(ids["Oven"]), "to": device_ref(ids["Fan 2"]), "type": "Cools"}
    await admin.ask("POST", "/api/relation", relation)
    return admin, ids


async def names(admin: Client, **query: Any) -> list[str]:
    body = {"pageLink": PAGE, "entityFields": [NAME], **query}
    status, page = await admin.ask("POST", FIND, body)
    assert status == 200, page
    assert page["totalElements"] == (await admin.ask("POST", COUNT, query))[1]
    return [item["latest"]["ENTITY_FIELD"]["name"]["value"] for item in page["data"]]


def _searched(root: str, **more: Any) -> dict[str, Any]:
    return {"type": "deviceSearchQuery", "rootEntity": device_ref(root), **more}


async def test_filters_choose_by_kind_type_name_id_and_relation() -> None:
    admin, ids = await a_plant()
    for wanted, found in (
        ({"type": "entityName", "entityType": "DEVICE", "entityNameFilter": "fan"}, "Fan 1,Fan 2"),
        ({"type": "deviceType", "deviceTypes": ["meter"]}, "Oven"),
        ({"type": "deviceType", "deviceType": "default", "deviceNameFilter": "Fan 2"}, "Fan 2"),
        ({"type": "singleEntity", "singleEntity": device_ref(ids["Oven"])}, "Oven"),
        ({"type": "singleEntity", "singleEntity": device_ref(NOWHERE)}, ""),
        ({"type": "entityList", "entityType": "DEVICE", "entityList": [ids["Fan 1"]]}, "Fan 1"),
        ({"type": "relationsQuery", "rootEntity": device_ref(ids["Oven"])}, "Fan 2"),
        (
            {
                "type": "relationsQuery",
                "rootEntity": device_ref(ids["Fan 2"]),
                "direction": "TO",
                "filters": [{"relationType": "Cools", "entityTypes": ["DEVICE"]}],
            },
            "Oven",
        ),
        (_searched(ids["Fan 2"], direction="TO", deviceTypes=["meter", "other"]), "Oven"),
        (_searched(ids["Oven"], relationType="Cools", deviceTypes=["default"]), "Fan 2"),
        (_searched(ids["Oven"], relationType="Heats", deviceTypes=["default"]), ""),
        (_searched(ids["Oven"], deviceTypes=["meter"]), ""),
        ({**_searched(ids["Oven"], assetTypes=["default"]), "type": "assetSearchQuery"}, ""),
    ):
        assert ",".join(await names(admin, entityFilter=wanted)) == found


async def test_conditions_compare_any_key_and_are_joined() -> None:
    admin, _ = await a_plant()
    wanted = {"type": "entityType", "entityType": "DEVICE"}

    def rule(key: dict[str, str], type: str, operation: str, value: Any) -> dict[str, Any]:
        predicate = {"type": type, "operation": operation, "value": {"defaultValue": value}}
        return {"key": key, "predicate": predicate}

    above = rule(LEVEL, "NUMERIC", "GREATER", 5)
    either = [rule(NAME, "STRING", "EQUAL", name)["predicate"] for name in ("Fan 1", "Oven")]
    one_of = {
        "key": NAME,
        "predicate": {"type": "COMPLEX", "operation": "OR", "predicates": either},
    }
    for rules, found in (
        ([above], "Fan 2"),
        ([rule(NAME, "STRING", "CONTAINS", "an")], "Fan 1,Fan 2"),
        ([one_of], "Fan 1,Oven"),
        ([one_of, above], ""),
    ):
        assert ",".join(await names(admin, entityFilter=wanted, keyFilters=rules)) == found


async def test_a_page_shows_keys_as_texts_sorted_by_one_of_them() -> None:
    admin, ids = await a_plant()
    wanted = {"type": "entityName", "entityType": "DEVICE", "entityNameFilter": "Fan"}
    order = {"key": LEVEL, "direction": "DESC"}
    link = {"pageSize": 1, "page": 0, "sortOrder": order, "textSearch": "fan"}
    series = {"type": "TIME_SERIES", "key": "t"}
    body = {"entityFilter": wanted, "pageLink": link, "latestValues": [LEVEL, series]}
    body["entityFields"] = [NAME]
    _, page = await admin.ask("POST", FIND, body)
    assert (page["totalPages"], page["totalElements"], page["hasNext"]) == (2, 2, True)
    (item,) = page["data"]
    assert item["entityId"] == device_ref(ids["Fan 2"])
    assert item["latest"]["SERVER_ATTRIBUTE"]["level"]["value"] == "10"
    assert item["latest"]["TIME_SERIES"] == {"t": {"ts": 0, "value": ""}}
    assert (item["timeseries"], item["aggLatest"]) == ({}, {})


async def test_a_customer_s_user_finds_what_is_the_customer_s() -> None:
    admin, user = customer_site()
    await admin.new_device("other")
    mine = await admin.new_device("mine")
    await admin.ask("POST", f"/api/customer/{CUSTOMER}/device/{mine}")
    query = {"entityFilter": {"type": "entityType", "entityType": "DEVICE"}}
    assert await user.ask("POST", COUNT, query) == (200, 1)


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"entityFilter": {"type": "magic"}},
        {"entityFilter": {"type": {}}},
        {"entityFilter": {"type": "deviceType", "deviceTypes": 7}},
        {"entityFilter": {"type": "entityType", "entityType": "ROBOT"}},
        {"entityFilter": {"type": "singleEntity", "singleEntity": {"id": "x"}}},
        {"entityFilter": {"type": "entityList", "entityType": "DEVICE", "entityList": ["x"]}},
        {"entityFilter": {"type": "entityType", "entityType": "DEVICE"}, "keyFilters": [{}]},
        {"entityFilter": {"type": "entityType", "entityType": "DEVICE"}, "keyFilters": ["x"]},
    ],
)
async def test_a_query_that_makes_no_sense_is_refused(query: dict[str, Any]) -> None:
    assert (await Client(Site("edge")).ask("POST", COUNT, query))[0] == 400


@pytest.mark.parametrize(
    "link", [None, {}, {"pageSize": 0, "page": 0}, {"pageSize": 1, "page": -1}]
)
async def test_a_query_needs_a_page(link: Any) -> None:
    query = {"entityFilter": {"type": "entityType", "entityType": "DEVICE"}, "pageLink": link}
    assert (await Client(Site("edge")).ask("POST", FIND, query))[0] == 400
