"""Rule chains over REST: trying scripts, and what nodes in debug have seen."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest

from appliance.model.ids import EntityId
from appliance.testing.rules import RuleBench
from appliance.web.app import build_app
from plugins import rules_filter
from tests.kit.rest_site import NoFigures, NoStatus, Site
from tests.unit.web.test_rest import Client

NODE = "0e5d5a10-0000-11f0-8000-00000000000c"
SCRIPT = {
    "script": "return msg.t > 20;",
    "scriptType": "filter",
    "argNames": ["msg", "metadata", "msgType"],
    "msg": '{"t":21}',
    "metadata": {"deviceName": "D"},
    "msgType": "POST_TELEMETRY_REQUEST",
}


@pytest.mark.parametrize("language", ["TBEL", "JS"])
async def test_a_script_is_tried_in_either_language(language: str) -> None:
    client = Client(Site("edge"))
    path = f"/api/ruleChain/testScript?scriptLang={language}"
    assert await client.ask("POST", path, SCRIPT) == (200, {"output": "true", "error": ""})


async def test_a_script_without_a_language_is_javascript() -> None:
    script = {**SCRIPT, "script": "let t = msg.t; return t === 21;"}
    status, answer = await Client(Site("edge")).ask("POST", "/api/ruleChain/testScript", script)
    assert (status, answer["output"]) == (200, "true")


async def test_a_script_that_fails_is_an_answer_not_an_error() -> None:
    path = "/api/ruleChain/testScript?scriptLang=TBEL"
    status, answer = await Client(Site("edge")).ask("POST", path, {**SCRIPT, "script": "return (;"})
    assert status == 200 and answer["output"] == "" and answer["error"]


async def test_an_author_is_told_what_a_server_would_refuse() -> None:
    path = "/api/ruleChain/testScript?scriptLang=TBEL"
    script = {**SCRIPT, "script": "msg.t++; return msg;", "scriptType": "json"}
    status, answer = await Client(Site("edge")).ask("POST", path, script)
    assert (status, answer["output"]) == (200, '{"t":22}')
    assert [warning["family"] for warning in answer["warnings"]] == ["property-increment"]
    assert answer["warnings"][0]["line"] == 1


@pytest.mark.parametrize(
    ("query", "changes"),
    [
        ("?scriptLang=LUA", {}),
        ("?scriptLang=JS", {"script": None}),
        ("?scriptLang=JS", {"scriptType": 5}),
    ],
)
async def test_a_test_that_says_too_little_is_refused(query: str, changes: dict[str, Any]) -> None:
    client = Client(Site("edge"))
    status, _ = await client.ask("POST", f"/api/ruleChain/testScript{query}", SCRIPT | changes)
    assert status == 400


async def events_site() -> tuple[Client, EntityId]:
    """A site whose one rule node, a filter in debug, has seen a message pass and one fail."""
    bench = RuleBench(rules_filter.register_rule_nodes().nodes)
    node = {
        "id": {"entityType": "RULE_NODE", "id": NODE},
        "type": "org.thingsboard.rule.engine.filter.TbJsFilterNode",
        "name": "filter",
        "configuration": {"scriptLang": "TBEL", "tbelScript": "return msg.t == 21 ? true : msg.t;"},
        "debugSettings": {"failuresEnabled": True, "allEnabled": True, "allEnabledUntil": 0},
    }
    chain = {"id": {"entityType": "RULE_CHAIN", "id": NODE}, "name": "c", "root": True}
    bench.load(chain, {"firstNodeIndex": 0, "nodes": [node]})
    device = bench.add_device("D")
    await bench.send("POST_TELEMETRY_REQUEST", device, {"t": 21}, {"k": "v"})
    bench.now_ms += 1
    await bench.send("POST_TELEMETRY_REQUEST", device, {"t": [1]})
    site = Site("edge")
    services = msgspec.structs.replace(site.services, debug=bench.engine)
    site.app = build_app(services, NoStatus(), NoFigures())
    return Client(site), device


EVENTS = f"/api/events/RULE_NODE/{NODE}"


async def test_debug_events_have_the_shape_that_the_events_tab_reads() -> None:
    client, device = await events_site()
    status, page = await client.ask("GET", f"{EVENTS}/DEBUG_RULE_NODE?pageSize=10&page=0")
    assert status == 200 and page["totalElements"] == 4
    newest = page["data"][0]
    assert newest["type"] == "DEBUG_RULE_NODE"
    assert newest["entityId"] == {"entityType": "RULE_NODE", "id": NODE}
    assert newest["id"]["id"] == newest["uid"] and UUID(newest["uid"])
    assert (newest["body"]["type"], newest["body"]["relationType"]) == ("OUT", "Failure")
    assert newest["body"]["error"] and newest["body"]["data"] == '{"t":[1]}'
    oldest = page["data"][-1]["body"]
    assert oldest == {
        "server": "edge-appliance",
        "type": "IN",
        "entityType": "DEVICE",
        "entityId": str(device.id),
        "msgId": oldest["msgId"],
        "msgType": "POST_TELEMETRY_REQUEST",
        "dataType": "JSON",
        "data": '{"t":21}',
        "metadata": '{"k":"v"}',
    }


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ({"isError": True}, 1),
        ({"isError": False}, 3),
        ({"msgDirectionType": "OUT"}, 2),
        ({"relationType": "tru"}, 1),
        ({"dataSearch": '"t":21'}, 2),
        ({"metadataSearch": "v"}, 2),
        ({"entityType": "ASSET"}, 0),
        ({"eventType": "LC_EVENT"}, 0),
    ],
)
async def test_events_are_found_by_what_is_in_them(wanted: dict[str, Any], count: int) -> None:
    client, _ = await events_site()
    body = {"eventType": "DEBUG_RULE_NODE", **wanted}
    status, page = await client.ask("POST", f"{EVENTS}?pageSize=10&page=0", body)
    assert (status, page["totalElements"]) == (200, count)


async def test_events_of_an_interval_are_read_sorted_and_cleared() -> None:
    client, _ = await events_site()
    query = "pageSize=1&page=0&sortProperty=ts&sortOrder=ASC"
    _, page = await client.ask("GET", f"{EVENTS}?{query}")
    first = page["data"][0]["createdTime"]
    assert page["hasNext"]
    assert (await client.ask("POST", f"{EVENTS}/clear?endTime={first}", {}))[0] == 200
    _, page = await client.ask("GET", f"{EVENTS}?{query}")
    assert page["totalElements"] == 2 and page["data"][0]["createdTime"] == first + 1


async def test_a_role_without_rules_has_no_events() -> None:
    status, page = await Client(Site("cloud")).ask("GET", f"{EVENTS}?pageSize=10&page=0")
    assert (status, page["data"]) == (200, [])
