"""Alarms and relations over REST where no recording tells."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from tests.kit.rest_client import CUSTOMER, NOWHERE, Client, alarm_body, customer_site, device_ref
from tests.kit.rest_site import NOW, TENANT, USER, USER_BODY, Site

# --- alarms ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"originator": None}, 404),
        ({"originator": {"entityType": "DEVICE", "id": "x"}}, 400),
        ({"originator": {"entityType": "ROBOT", "id": NOWHERE}}, 400),
        ({"originator": {"entityType": "DEVICE", "id": NOWHERE}}, 404),
        ({"id": {"entityType": "ALARM", "id": "x"}}, 400),
        ({"id": {"entityType": "ALARM", "id": NOWHERE}}, 404),
        ({"assigneeId": {"entityType": "USER", "id": NOWHERE}}, 404),
        ({"severity": "LOUD"}, 400),
        ({"type": " "}, 400),
        ({"startTs": "soon"}, 400),
        ({"startTs": 9, "endTs": 5}, 400),
        ({"propagate": "yes"}, 400),
    ],
)
async def test_an_alarm_that_cannot_be_is_refused(more: dict[str, Any], status: int) -> None:
    admin = Client(Site("edge"))
    device = await admin.new_device()
    assert (await admin.ask("POST", "/api/alarm", alarm_body(device, **more)))[0] == status
    assert not list(admin.site.state.entities("ALARM"))


async def test_an_alarm_that_two_raise_at_once_is_one() -> None:
    admin = Client(Site("cloud"))
    device = await admin.new_device()
    async with trio.open_nursery() as nursery:
        for severity in ("MAJOR", "MINOR"):
            body = alarm_body(device, severity=severity)
            nursery.start_soon(admin.ask, "POST", "/api/alarm", body)
    (alarm,) = admin.site.state.entities("ALARM")
    assert not alarm["cleared"]


async def test_of_what_is_done_to_an_alarm_at_once_all_is_kept() -> None:
    admin = Client(Site("cloud"))
    device = await admin.new_device()
    _, alarm = await admin.ask("POST", "/api/alarm", alarm_body(device))
    async with trio.open_nursery() as nursery:
        for done in ("ack", "clear", f"assign/{USER}"):
            nursery.start_soon(admin.ask, "POST", f"/api/alarm/{alarm['id']['id']}/{done}")
    (alarm,) = admin.site.state.entities("ALARM")
    assert alarm["acknowledged"]
    assert alarm["cleared"]
    assert alarm["assigneeId"]["id"] == str(USER)


async def test_of_two_who_take_a_name_at_once_one_is_told_that_it_is_taken() -> None:
    admin = Client(Site("cloud"))
    answers: list[int] = []

    async def make() -> None:
        answers.append((await admin.ask("POST", "/api/device", {"name": "Twin"}))[0])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(make)
        nursery.start_soon(make)
    assert sorted(answers) == [200, 400]


async def test_a_saved_alarm_keeps_its_type_and_takes_what_was_done_to_it() -> None:
    admin = Client(Site("edge"))
    device = await admin.new_device()
    _, alarm = await admin.ask("POST", "/api/alarm", alarm_body(device))
    done = {"acknowledged": True, "ackTs": 5, "cleared": True, "type": "Other"}
    given = {**alarm, **done, "assigneeId": {"entityType": "USER", "id": str(USER)}}
    _, saved = await admin.ask("POST", "/api/alarm", given)
    assert (saved["type"], saved["status"], saved["ackTs"]) == ("Hot", "CLEARED_ACK", 5)
    assert saved["clearTs"] == saved["assignTs"] == NOW
    assert saved["assigneeId"]["id"] == str(USER)
    actions = [c.action for c in admin.site.commands.changes if c.kind == "ALARM"]
    assert actions == ["ADDED", "UPDATED", "ALARM_ACK", "ALARM_CLEAR", "ALARM_ASSIGNED"]
    path = f"/api/alarm/{alarm['id']['id']}"
    _, page = await admin.ask("GET", f"{path}/comment?pageSize=9&page=0")
    subtypes = [comment["comment"]["subtype"] for comment in page["data"]]
    assert subtypes == ["ACK", "CLEAR", "ASSIGN"]
    assert (await admin.ask("POST", f"{path}/assign/{USER}"))[0] == 400
    assert (await admin.ask("DELETE", f"{path}/assign"))[0] == 200
    assert (await admin.ask("DELETE", f"{path}/assign"))[0] == 400


@pytest.mark.parametrize(
    "query",
    ["searchStatus=ACTIVE_ACK", "status=ANY", "statusList=X", "severityList=X", "assigneeId=x"],
)
async def test_alarms_are_not_found_by_words_that_mean_nothing(query: str) -> None:
    path = f"/api/v2/alarms?pageSize=9&page=0&{query}"
    admin = Client(Site("edge"))
    await admin.ask("POST", "/api/alarm", alarm_body(await admin.new_device()))
    assert (await admin.ask("GET", path))[0] == 400


async def test_alarms_are_found_by_status_and_severity() -> None:
    admin = Client(Site("edge"))
    device = await admin.new_device()
    _, hot = await admin.ask("POST", "/api/alarm", alarm_body(device))
    await admin.ask("POST", "/api/alarm", alarm_body(device, type="Cold", severity="MINOR"))
    await admin.ask("POST", f"/api/alarm/{hot['id']['id']}/clear")
    assert (await admin.ask("POST", f"/api/alarm/{hot['id']['id']}/clear"))[0] == 400

    async def types(query: str) -> list[str]:
        path = f"/api/v2/alarms?pageSize=9&page=0&{query}"
        return sorted(alarm["type"] for alarm in (await admin.ask("GET", path))[1]["data"])

    assert await types("") == ["Cold", "Hot"]
    assert await types("statusList=ACTIVE") == ["Cold"]
    assert await types("statusList=CLEARED_UNACK,ACTIVE_ACK") == ["Hot"]
    assert await types("severityList=MINOR,CRITICAL") == ["Cold"]
    assert await types("typeList=Hot") == ["Hot"]
    wrong = "/api/alarms?pageSize=9&page=0&searchStatus=ANY&status=ACTIVE_ACK"
    assert (await admin.ask("GET", wrong))[0] == 400
    unknown = "/api/alarms?pageSize=9&page=0&searchStatus=SOME"
    assert (await admin.ask("GET", unknown))[0] == 400


async def test_an_alarm_after_a_cleared_one_is_a_new_one() -> None:
    admin = Client(Site("edge"))
    device = await admin.new_device()
    _, first = await admin.ask("POST", "/api/alarm", alarm_body(device))
    _, again = await admin.ask("POST", "/api/alarm", alarm_body(device))
    assert again["id"] == first["id"]
    await admin.ask("POST", f"/api/alarm/{first['id']['id']}/clear")
    _, second = await admin.ask("POST", "/api/alarm", alarm_body(device))
    assert second["id"] != first["id"]


async def test_an_alarm_is_given_to_somebody_and_taken_back() -> None:
    admin = Client(Site("edge"))
    device = await admin.new_device()
    _, alarm = await admin.ask("POST", "/api/alarm", alarm_body(device))
    path = f"/api/alarm/{alarm['id']['id']}"
    _, given = await admin.ask("POST", f"{path}/assign/{USER}")
    assert given["assignee"]["email"] == USER_BODY["email"]
    assert (await admin.ask("POST", f"{path}/assign/{NOWHERE}"))[0] == 404
    _, taken = await admin.ask("DELETE", f"{path}/assign")
    assert taken["assignee"] is None


async def test_a_comment_is_changed_by_its_author_only() -> None:
    admin, user = customer_site()
    device = await admin.new_device()
    await admin.ask("POST", f"/api/customer/{CUSTOMER}/device/{device}")
    _, alarm = await admin.ask("POST", "/api/alarm", alarm_body(device))
    path = f"/api/alarm/{alarm['id']['id']}/comment"
    _, comment = await admin.ask("POST", path, {"comment": {"text": "look"}})
    changed = {"id": comment["id"], "comment": {"text": "looked"}}
    assert (await user.ask("POST", path, changed))[0] == 403
    assert (await user.ask("DELETE", f"{path}/{comment['id']['id']}"))[0] == 403
    _, edited = await admin.ask("POST", path, changed)
    assert edited["comment"] == {"text": "looked", "edited": "true"}
    assert (await admin.ask("DELETE", f"{path}/{comment['id']['id']}"))[0] == 200
    _, page = await admin.ask("GET", f"{path}?pageSize=9&page=0")
    assert [one["type"] for one in page["data"]] == ["SYSTEM"]


# --- relations ---------------------------------------------------------------------------------


async def test_relations_are_followed_to_the_depth_asked_for_and_round_a_circle() -> None:
    admin = Client(Site("edge"))
    ids = [await admin.new_device(f"d{number}") for number in range(4)]
    for one, other in [(0, 1), (1, 2), (2, 3), (3, 0)]:
        body = {"from": device_ref(ids[one]), "to": device_ref(ids[other]), "type": "Contains"}
        assert (await admin.ask("POST", "/api/relation", body)) == (200, "")

    async def ends(direction: str, levels: int, **more: Any) -> list[int]:
        parameters = {"rootId": ids[0], "rootType": "DEVICE", "direction": direction}
        parameters |= {"maxLevel": levels, **more}
        _, found = await admin.ask("POST", "/api/relations", {"parameters": parameters})
        end = "to" if direction == "FROM" else "from"
        return [ids.index(relation[end]["id"]) for relation in found]

    assert await ends("FROM", 1) == [1]
    assert await ends("FROM", 2) == [1, 2]
    assert await ends("FROM", 0) == [1, 2, 3, 0]
    assert await ends("TO", 2) == [3, 2]
    assert await ends("FROM", 2, fetchLastLevelOnly=True) == [2]
    every = f"/api/relations?entityId={ids[0]}&entityType=DEVICE"
    assert (await admin.ask("DELETE", every))[0] == 200
    assert await ends("FROM", 0) == []


async def test_relations_are_listed_from_either_end_and_on_either_path() -> None:
    admin = Client(Site("edge"))
    one, two = await admin.new_device("one"), await admin.new_device("two")
    for type in ("Contains", "Manages"):
        body = {"from": device_ref(one), "to": device_ref(two), "type": type}
        assert (await admin.ask("POST", "/api/v2/relation", body))[1]["type"] == type

    async def types(path: str) -> list[str]:
        return sorted(found["type"] for found in (await admin.ask("GET", f"/api/{path}"))[1])

    both = ["Contains", "Manages"]
    assert await types(f"relations?fromId={one}&fromType=DEVICE") == both
    assert await types(f"relations/to/DEVICE/{two}") == both
    assert await types(f"relations/from/DEVICE/{one}/Manages") == ["Manages"]
    assert await types(f"relations?toId={two}&toType=DEVICE&relationType=Manages") == ["Manages"]
    assert await types(f"relations/from/DEVICE/{two}") == []
    _, infos = await admin.ask("GET", f"/api/relations/info/to/DEVICE/{two}")
    assert {info["fromName"] for info in infos} == {"one"}
    assert await admin.ask("GET", f"/api/relations/info?toId={two}&toType=DEVICE") == (200, infos)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"from": device_ref(NOWHERE), "to": device_ref(NOWHERE), "type": "Contains"},
        {"from": {"entityType": "FOO", "id": NOWHERE}, "to": device_ref(NOWHERE), "type": "x"},
    ],
)
async def test_a_relation_needs_two_entities(body: Any) -> None:
    assert (await Client(Site("edge")).ask("POST", "/api/relation", body))[0] in (400, 404)


async def test_a_relation_is_read_by_ends_type_and_a_group_that_exists() -> None:
    admin = Client(Site("edge"))
    ends = await admin.new_device("a"), await admin.new_device("b")
    body = {"from": device_ref(ends[0]), "to": device_ref(ends[1]), "type": "Contains"}
    for wrong in ({"typeGroup": "FRIENDS"}, {"to": device_ref("x")}, {"type": []}):
        assert (await admin.ask("POST", "/api/relation", body | wrong))[0] == 400
    assert (await admin.ask("POST", "/api/relation", body))[0] == 200
    path = f"/api/relation?fromType=DEVICE&fromId={ends[0]}&toType=DEVICE&toId={ends[1]}"
    for more, status in (
        ("&relationType=Contains", 200),
        ("&relationType=Contains&relationTypeGroup=FRIENDS", 200),
        ("&relationType=Contains&relationTypeGroup=EDGE", 404),
        ("&relationType=Uses", 404),
    ):
        assert (await admin.ask("GET", path + more))[0] == status
    tenant = {"entityType": "TENANT", "id": str(TENANT)}
    assert (await admin.ask("POST", "/api/relation", body | {"from": tenant}))[0] == 200


async def test_what_no_customer_has_cannot_be_taken_back() -> None:
    admin, _ = customer_site()
    device = await admin.new_device()
    assert (await admin.ask("DELETE", f"/api/customer/device/{device}"))[0] == 400
    await admin.ask("POST", f"/api/customer/{CUSTOMER}/device/{device}")
    assert (await admin.ask("DELETE", f"/api/customer/device/{device}"))[0] == 200
