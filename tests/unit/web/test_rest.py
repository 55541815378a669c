"""The REST API where no recording tells: permissions, RPC, relations, what is refused and why."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import trio
from starlette.routing import Route

from appliance.access.device_credentials import sha3
from appliance.access.tokens import token_pair
from appliance.model.errors import Permanent, Retryable
from appliance.model.ids import new_uuid
from appliance.web.app import api_routes
from appliance.web.commands import RpcCommand
from tests.kit.rest_client import (
    CUSTOMER,
    NOWHERE,
    Client,
    alarm_body,
    customer_site,
)
from tests.kit.rest_site import NOW, TENANT, USER, Site

PEM = "-----BEGIN CERTIFICATE-----\nAB\nC\n-----END CERTIFICATE-----"
FIXTURES = Path(__file__).parents[2] / "fixtures" / "traces" / "api"


# --- who may what ------------------------------------------------------------------------------

OPEN = {"/", "/status", "/healthz", "/readyz", "/metrics", "/api/auth/login", "/api/auth/token"}
OPEN |= {"/api/noauth/oauth2Clients"}


async def test_every_other_path_needs_a_login() -> None:
    site = Site("cloud")
    paths = [route for route in site.app.router.routes if isinstance(route, Route)]
    assert len(paths) > 120
    for route in paths:
        if route.path in OPEN:
            continue
        method = next(iter(route.methods or {"GET"} - {"HEAD"}))
        path = route.path.replace("{", "").replace("}", "")
        status, _, _ = await site.ask(method, path, b"{}", None)
        assert status == 401, route.path


@pytest.mark.parametrize(
    ("method", "path", "stranger", "friend"),
    [
        ("GET", "/api/nowhere", 401, 404),
        ("PUT", "/api/tenant/devices", 401, 405),
        ("GET", "/nowhere", 404, 404),
        ("GET", "/api/noauth/nowhere", 404, 404),
    ],
)
async def test_a_stranger_does_not_learn_which_paths_there_are(
    method: str, path: str, stranger: int, friend: int
) -> None:
    site = Site("edge")
    assert (await site.ask(method, path, b"", None))[0] == stranger
    assert (await Client(site).ask(method, path))[0] == friend


@pytest.mark.parametrize(
    ("method", "path", "body", "message"),
    [
        ("POST", "login", {"username": " ", "password": "x"}, "Authentication failed"),
        ("POST", "login", {"username": "x", "password": ""}, "Authentication failed"),
        ("POST", "login", [], "Authentication failed"),
        ("POST", "token", {}, "Authentication failed"),
        ("POST", "token", {"refreshToken": ""}, "Authentication failed"),
        ("POST", "token", {"refreshToken": "a.b.c"}, "Invalid username or password"),
        ("GET", "login", None, "Authentication method not supported"),
    ],
)
async def test_a_login_that_cannot_be_is_refused(
    method: str, path: str, body: Any, message: str
) -> None:
    encoded = b"" if body is None else json.dumps(body).encode()
    status, _, answer = await Site("edge").ask(method, f"/api/auth/{path}", encoded, None)
    assert (status, json.loads(answer)["message"]) == (401, message)


async def test_a_token_that_ended_is_told_so() -> None:
    site = Site("edge")
    body = site.state.entity("USER", USER)
    assert body is not None
    old = token_pair(body, site.access.settings(), NOW - 10_000_000)["token"]
    status, _, answer = await site.ask("GET", "/api/auth/user", b"", old)
    assert (status, json.loads(answer)["errorCode"]) == (401, 11)
    assert json.loads(answer)["message"] == "Token has expired"


async def test_a_customers_user_sees_only_what_is_the_customers() -> None:
    admin, user = customer_site()
    mine, other = await admin.new_device("mine"), await admin.new_device("other")
    assert (await admin.ask("POST", f"/api/customer/{CUSTOMER}/device/{mine}"))[0] == 200
    assert (await user.ask("GET", f"/api/device/{mine}"))[0] == 200
    for method, path, body in [
        ("GET", f"/api/device/{other}", None),
        ("GET", f"/api/device/{other}/credentials", None),
        ("GET", f"/api/device/info/{other}", None),
        ("GET", f"/api/plugins/telemetry/DEVICE/{other}/values/timeseries", None),
        ("POST", f"/api/plugins/telemetry/DEVICE/{other}/SERVER_SCOPE", {"a": 1}),
        ("POST", f"/api/plugins/telemetry/{other}/SHARED_SCOPE", {"a": 1}),
        ("GET", f"/api/plugins/telemetry/TENANT/{TENANT}/values/attributes", None),
        ("POST", f"/api/rpc/twoway/{other}", {"method": "m"}),
        ("GET", f"/api/alarm/DEVICE/{other}?pageSize=1&page=0", None),
        ("GET", f"/api/relations?fromId={other}&fromType=DEVICE", None),
        ("POST", "/api/alarm", alarm_body(other)),
        ("POST", "/api/device", {"id": {"id": other}, "name": "stolen"}),
        ("GET", "/api/tenant/devices?pageSize=10&page=0", None),
        ("DELETE", f"/api/device/{mine}", None),
        ("GET", f"/api/customer/{new_uuid()}/devices?pageSize=1&page=0", None),
    ]:
        status, answer = await user.ask(method, path, body)
        assert status in (403, 404), (path, answer)
    status, page = await user.ask("GET", f"/api/customer/{CUSTOMER}/deviceInfos?pageSize=9&page=0")
    assert [device["name"] for device in page["data"]] == ["mine"]
    assert page["data"][0]["customerTitle"] == "Customer A"
    for ids in (f"{mine},{other}", f"{mine}&deviceIds={other}"):  # both are lists for a client
        status, found = await user.ask("GET", f"/api/devices?deviceIds={ids}")
        assert [device["name"] for device in found] == ["mine"]


async def test_what_a_customers_user_makes_is_the_customers() -> None:
    _, user = customer_site()
    user.site.put("EDGE", new_uuid(), {"name": "E", "cloudType": "PE"})
    id = await user.new_device("made", customerId={"entityType": "CUSTOMER", "id": NOWHERE})
    status, device = await user.ask("GET", f"/api/device/{id}")
    assert (status, device["customerId"]["id"]) == (200, str(CUSTOMER))


async def test_on_an_edge_of_a_ce_server_only_administrators_make_devices() -> None:
    admin, user = customer_site()
    admin.site.put("EDGE", new_uuid(), {"name": "E", "cloudType": "CE"})
    assert (await user.ask("POST", "/api/device", {"name": "made"}))[0] == 403
    assert await admin.new_device("made")


@pytest.mark.parametrize(("edition", "status"), [("CE", 403), ("PE", 200)])
@pytest.mark.parametrize("role", ["edge", "cloud"])
async def test_under_pe_users_make_devices_and_their_credentials_under_ce_they_do_not(
    role: str, edition: str, status: int
) -> None:
    admin, user = customer_site(role, edition)
    admin.site.put("EDGE", new_uuid(), {"name": "E", "cloudType": edition})
    credentials = {"credentialsType": "ACCESS_TOKEN", "credentialsId": "own"}
    both = {"device": {"name": "whole"}, "credentials": credentials}
    assert (await user.ask("POST", "/api/device", {"name": "made"}))[0] == status
    assert (await user.ask("POST", "/api/device-with-credentials", both))[0] == status
    device = await admin.new_device("given")
    reference = {"deviceId": {"entityType": "DEVICE", "id": device}}
    changed = {**reference, **credentials, "credentialsId": "changed"}
    assert (await user.ask("POST", "/api/device/credentials", changed))[0] == 403  # not theirs
    await admin.ask("POST", f"/api/customer/{CUSTOMER}/device/{device}")
    assert (await user.ask("POST", "/api/device/credentials", changed))[0] == status


async def test_a_customers_user_sees_alarms_of_own_devices_only() -> None:
    admin, user = customer_site()
    mine, other = await admin.new_device("mine"), await admin.new_device("other")
    await admin.ask("POST", f"/api/customer/{CUSTOMER}/device/{mine}")
    _, own = await admin.ask("POST", "/api/alarm", alarm_body(mine))
    _, foreign = await admin.ask("POST", "/api/alarm", alarm_body(other))
    assert (await user.ask("GET", f"/api/alarm/{own['id']['id']}"))[0] == 200
    assert (await user.ask("POST", f"/api/alarm/{foreign['id']['id']}/ack"))[0] == 403


# --- devices -----------------------------------------------------------------------------------


async def test_a_new_device_has_a_token_of_its_own_unless_it_is_given() -> None:
    admin = Client(Site("edge"))
    one = await admin.new_device("one")
    _, credentials = await admin.ask("GET", f"/api/device/{one}/credentials")
    assert len(credentials["credentialsId"]) == 20
    status, _ = await admin.ask("POST", "/api/device?accessToken=TOK", {"name": "two"})
    assert status == 200
    status, body = await admin.ask("POST", "/api/device?accessToken=TOK", {"name": "three"})
    assert (status, body["errorCode"]) == (400, 31)
    assert admin.site.state.by_name("DEVICE", "three") is None


async def test_device_and_credentials_are_one_change() -> None:
    admin = Client(Site("edge"))
    value = '{"clientId":"c","userName":"u","password":"p"}'
    secret = {"credentialsType": "MQTT_BASIC", "credentialsId": None, "credentialsValue": value}
    body = {"device": {"name": "basic"}, "credentials": secret}
    status, device = await admin.ask("POST", "/api/device-with-credentials", body)
    assert status == 200
    _, credentials = await admin.ask("GET", f"/api/device/{device['id']['id']}/credentials")
    secret["credentialsId"] = sha3("c|u")
    assert {name: credentials[name] for name in secret} == secret
    assert [c.kind for c in admin.site.commands.changes] == ["DEVICE", "DEVICE_CREDENTIALS"]


async def test_credentials_are_changed_but_never_shared() -> None:
    admin = Client(Site("edge"))
    one, two = await admin.new_device("one"), await admin.new_device("two")
    _, first = await admin.ask("GET", f"/api/device/{one}/credentials")
    _, second = await admin.ask("GET", f"/api/device/{two}/credentials")
    status, _ = await admin.ask("POST", "/api/device/credentials", {**first, "credentialsId": "N"})
    assert status == 200
    _, now = await admin.ask("GET", f"/api/device/{one}/credentials")
    assert (now["credentialsId"], now["id"]) == ("N", first["id"])
    taken = {**second, "credentialsId": "N"}
    assert (await admin.ask("POST", "/api/device/credentials", taken))[0] == 400
    for wrong in ({"credentialsType": "X"}, {"credentialsId": ""}, {"deviceId": None}):
        assert (await admin.ask("POST", "/api/device/credentials", {**second, **wrong}))[0] == 400


@pytest.mark.parametrize(
    ("type", "value", "id"),
    [
        ("MQTT_BASIC", '{"clientId":"c"}', sha3("c")),
        ("MQTT_BASIC", '{"userName":"u","password":"p"}', "u"),
        ("MQTT_BASIC", '{"clientId":"c","userName":"u"}', sha3("c|u")),
        ("MQTT_BASIC", '{"clientId":"c","password":"p"}', None),
        ("MQTT_BASIC", '{"password":"p"}', None),
        ("MQTT_BASIC", '{"clientId":5}', None),
        ("MQTT_BASIC", "[]", None),
        ("MQTT_BASIC", None, None),
        ("X509_CERTIFICATE", PEM, sha3("ABC")),
        ("X509_CERTIFICATE", "", None),
        (None, None, None),
    ],
)
async def test_credentials_are_found_by_an_id_that_follows_from_them(
    type: str | None, value: str | None, id: str | None
) -> None:
    admin = Client(Site("edge"))
    device = await admin.new_device()
    _, own = await admin.ask("GET", f"/api/device/{device}/credentials")
    asked = {**own, "credentialsType": type, "credentialsId": None, "credentialsValue": value}
    status, _ = await admin.ask("POST", "/api/device/credentials", asked)
    assert status == (400 if id is None else 200)
    if id is not None:
        assert admin.site.state.device_of_credentials(id) == UUID(device)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"7",
        b"\xff",
        b'{"name": {}}',
        b'{"name": "x", "label": ["y"]}',
        b'{"name": "x", "deviceProfileId": {"entityType": "DEVICE_PROFILE", "id": "y"}}',
        b'{"name": "x", "firmwareId": {"entityType": "OTA_PACKAGE", "id": "y"}}',
        b'{"name": "x", "customerId": {"entityType": "CUSTOMER", "id": "y"}}',
        b'{"name": "x", "customerId": {"entityType": "CUSTOMER", "id": "%s"}}' % NOWHERE.encode(),
        b'{"name": "x", "deviceProfileId": {"id": "%s"}}' % NOWHERE.encode(),
        b'{"name": "x", "deviceData": 5}',
        b'{"name": "a\\u0000b"}',
        b'{"name": " "}',
        b'{"name": "x", "id": 7}',
        b'{"name": "x", "id": {"id": "y"}}',
        b'{"name": "x", "id": {}}',
    ],
)
async def test_a_body_that_is_no_device_is_refused(body: bytes) -> None:
    assert (await Client(Site("edge")).ask("POST", "/api/device", body))[0] == 400


@pytest.mark.parametrize(
    ("error", "status"),
    [(Permanent("too many devices"), 400), (Retryable("disk full", retry_after_s=3), 503)],
)
async def test_what_a_role_refuses_is_told(error: Exception, status: int) -> None:
    site = Site("edge")

    async def refuse(changes: Any, actor: Any) -> None:
        raise error

    site.commands.change = refuse  # type: ignore[method-assign]  # stands for a role
    found, body = await Client(site).ask("POST", "/api/device", {"name": "x"})
    assert (found, body["status"], body["message"]) == (status, status, str(error))


# --- lists -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        "",
        "pageSize=1",
        "page=0",
        "pageSize=x&page=0",
        "pageSize=1&page=-1",
        "pageSize=-1&page=0",
        "pageSize=1&page=0&sortProperty=zzz",
        "pageSize=1&page=0&sortOrder=UP",
        "pageSize=1&page=0&startTime=x",
    ],
)
async def test_a_page_link_that_is_wrong_is_refused(query: str) -> None:
    assert (await Client(Site("edge")).ask("GET", f"/api/tenant/devices?{query}"))[0] == 400


async def test_pages_are_sorted_searched_and_counted() -> None:
    admin = Client(Site("edge"))
    for name in ("b", "A", "c", "aa"):
        await admin.new_device(f"x {name}")
    base = "/api/tenant/devices?sortProperty=name&textSearch=X%20&pageSize=3"
    _, page = await admin.ask("GET", base.replace("%20", " ") + "&page=0")
    assert [device["name"] for device in page["data"]] == ["x A", "x aa", "x b"]
    assert (page["totalElements"], page["totalPages"], page["hasNext"]) == (4, 2, True)
    _, page = await admin.ask("GET", base.replace("%20", " ") + "&page=1&sortOrder=DESC")
    assert [device["name"] for device in page["data"]] == ["x A"]
    assert not page["hasNext"]


@pytest.mark.parametrize("path", ["/api/tenant/devices", "/api/tenant/device"])
async def test_one_is_found_by_its_name(path: str) -> None:
    admin = Client(Site("edge"))
    id = await admin.new_device("pump 7")
    status, device = await admin.ask("GET", f"{path}?deviceName=pump 7")
    assert (status, device["id"]["id"]) == (200, id)
    assert (await admin.ask("GET", f"{path}?deviceName=pump 8"))[0] == 404
    assert (await admin.ask("GET", path))[0] == 400


# --- rpc ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "away", "late"), [("/api/rpc", 504, 504), ("/api/plugins/rpc", 409, 408)]
)
async def test_both_versions_say_in_their_way_that_nothing_came(
    path: str, away: int, late: int
) -> None:
    admin = Client(Site("edge"))
    device = await admin.new_device()
    call = f"{path}/twoway/{device}", {"method": "m"}
    assert (await admin.ask("POST", *call))[0] == away

    async def silent(command: RpcCommand) -> Any:
        raise trio.TooSlowError

    admin.site.commands.devices[UUID(device)] = silent
    assert (await admin.ask("POST", *call))[0] == late


async def test_the_devices_answer_is_the_answer_and_a_timeout_has_a_floor() -> None:
    admin = Client(Site("edge"))
    device = await admin.new_device()
    commands: list[RpcCommand] = []

    async def echo(command: RpcCommand) -> Any:
        commands.append(command)
        return command.params

    admin.site.commands.devices[UUID(device)] = echo
    path = f"/api/rpc/twoway/{device}"
    for params in ({"a": 1}, [1], "text", None, False):
        body = {"method": "m", "params": params, "timeout": 20}
        assert await admin.ask("POST", path, body) == (200, params)
    assert commands[0].expires_ms == NOW + 5_000
    oneway = await admin.ask("POST", f"/api/rpc/oneway/{device}", {"method": "m", "params": 1})
    assert oneway == (200, "")
    for wrong in ({}, {"method": 1}, {"method": "m", "timeout": "x"}):
        assert (await admin.ask("POST", path, wrong))[0] == 400


async def test_customers_are_the_servers_and_an_edge_says_so() -> None:
    (edge, _), (cloud, _) = customer_site("edge"), customer_site("cloud")
    one = f"/api/customer/{CUSTOMER}"
    for body in ({"title": "New"}, {**(await edge.ask("GET", one))[1], "phone": "1"}):
        status, answer = await edge.ask("POST", "/api/customer", body)
        assert status == 400
        assert "on the server" in answer["message"]
        assert (await cloud.ask("POST", "/api/customer", body))[0] == 200
    assert (await edge.ask("DELETE", one))[0] == 400
    assert (await edge.ask("GET", one))[1]["title"] == "Customer A"
    assert (await cloud.ask("DELETE", one))[0] == 200


async def test_a_persistent_request_is_kept_and_can_be_withdrawn() -> None:
    admin = Client(Site("edge"))
    device = await admin.new_device()
    body = {"method": "m", "params": {}, "persistent": True}
    _, answer = await admin.ask("POST", f"/api/rpc/oneway/{device}", body)
    one = f"/api/rpc/persistent/{answer['rpcId']}"
    assert (await admin.ask("GET", one))[1]["status"] == "QUEUED"
    listed = f"/api/rpc/persistent/device/{device}?pageSize=9&page=0"
    assert (await admin.ask("GET", listed))[1]["totalElements"] == 1
    assert (await admin.ask("GET", f"{listed}&rpcStatus=SENT"))[1]["totalElements"] == 0
    assert (await admin.ask("DELETE", one))[0] == 200
    assert (await admin.ask("GET", one))[0] == 404


# --- edges -------------------------------------------------------------------------------------


async def test_a_new_edge_gets_key_and_secret_and_what_is_assigned_to_it() -> None:
    site = Site("cloud")
    admin = Client(site)
    _, edge = await admin.ask("POST", "/api/edge", {"name": "hall", "type": "default"})
    assert edge["routingKey"]
    assert edge["secret"]
    device = await admin.new_device()
    path = f"/api/edge/{edge['id']['id']}"
    assert (await admin.ask("POST", f"{path}/device/{device}"))[0] == 200
    _, page = await admin.ask("GET", f"{path}/devices?pageSize=9&page=0")
    assert [one["name"] for one in page["data"]] == ["pump"]
    assert (await admin.ask("DELETE", f"{path}/device/{device}"))[0] == 200
    assert (await admin.ask("GET", f"{path}/devices?pageSize=9&page=0"))[1]["data"] == []
    site.commands.connected_edges.add(UUID(edge["id"]["id"]))
    assert (await admin.ask("POST", f"/api/edge/sync/{edge['id']['id']}"))[0] == 200


async def test_an_edge_manages_no_edges() -> None:
    admin = Client(Site("edge"))
    status, body = await admin.ask("POST", "/api/edge", {"name": "hall"})
    assert (status, body["message"]) == (500, "Edges support disabled")


async def test_a_chain_that_hands_on_to_one_that_is_not_assigned_is_named() -> None:
    site = Site("cloud")
    admin = Client(site)
    _, edge = await admin.ask("POST", "/api/edge", {"name": "hall"})
    chains = []
    for name in ("one", "two"):
        _, chain = await admin.ask("POST", "/api/ruleChain", {"name": name, "type": "EDGE"})
        chains.append(chain["id"]["id"])
    node = {
        "type": "org.thingsboard.rule.engine.flow.TbRuleChainInputNode",
        "configuration": {"ruleChainId": chains[1]},
    }
    metadata = {"ruleChainId": {"id": chains[0]}, "nodes": [node]}
    site.put("RULE_CHAIN_METADATA", UUID(chains[0]), metadata)
    id = edge["id"]["id"]
    await admin.ask("POST", f"/api/edge/{id}/ruleChain/{chains[0]}")
    path = f"/api/edge/missingToRelatedRuleChains/{id}"
    assert await admin.ask("GET", path) == (200, {"one": ["two"]})
    await admin.ask("POST", f"/api/edge/{id}/ruleChain/{chains[1]}")
    assert await admin.ask("GET", path) == (200, {})


async def test_an_edge_that_never_connected_has_no_settings() -> None:
    admin = Client(Site("edge"))
    assert (await admin.ask("GET", "/api/edge/settings"))[0] == 404
    text = '{"name":"hall","fullSyncRequired":false}'
    path = f"/api/plugins/telemetry/TENANT/{TENANT}/attributes/SERVER_SCOPE"
    assert (await admin.ask("POST", path, {"edgeSettings": text}))[0] == 200
    assert (await admin.ask("GET", "/api/edge/settings"))[1]["name"] == "hall"


# --- rule chains -------------------------------------------------------------------------------

NODES = [
    {"type": "org.thingsboard.rule.engine.filter.TbMsgTypeSwitchNode", "name": "Switch"},
    {"type": "org.thingsboard.rule.engine.telemetry.TbMsgTimeseriesNode", "name": "Save"},
]


async def new_chain(admin: Client, name: str, type: str = "CORE") -> str:
    _, chain = await admin.ask("POST", "/api/ruleChain", {"name": name, "type": type})
    return str(chain["id"]["id"])


async def test_a_chains_nodes_get_ids_and_its_first_node_is_known() -> None:
    admin = Client(Site("edge"))
    id = await new_chain(admin, "line")
    _, empty = await admin.ask("GET", f"/api/ruleChain/{id}/metadata")
    assert (empty["nodes"], empty["firstNodeIndex"], empty["connections"]) == ([], None, [])
    links = [{"fromIndex": 0, "toIndex": 1, "type": "Post telemetry"}]
    given = {**empty, "firstNodeIndex": 0, "nodes": NODES, "connections": links}
    status, saved = await admin.ask("POST", "/api/ruleChain/metadata", given)
    assert status == 200
    assert len({node["id"]["id"] for node in saved["nodes"]}) == 2
    assert (await admin.ask("GET", f"/api/ruleChain/{id}/metadata"))[1] == saved
    _, chain = await admin.ask("GET", f"/api/ruleChain/{id}")
    assert chain["firstRuleNodeId"] == saved["nodes"][0]["id"]
    _, again = await admin.ask("POST", "/api/ruleChain/metadata", saved)
    assert again["nodes"] == saved["nodes"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"firstNodeIndex": 2},
        {"firstNodeIndex": True},
        {"nodes": [{"name": "x"}]},
        {"nodes": ["x"]},
        {"nodes": {"0": NODES[0]}},
        {"connections": [{"fromIndex": 0, "toIndex": 2, "type": "x"}]},
        {"connections": [{"fromIndex": 0, "toIndex": 1}]},
        {"ruleChainId": None},
    ],
)
async def test_metadata_that_holds_together_badly_is_refused(wrong: dict[str, Any]) -> None:
    admin = Client(Site("edge"))
    id = await new_chain(admin, "line")
    given = {"ruleChainId": {"id": id}, "firstNodeIndex": 0, "nodes": NODES, **wrong}
    assert (await admin.ask("POST", "/api/ruleChain/metadata", given))[0] == 400


async def test_there_is_one_root_of_each_type() -> None:
    admin = Client(Site("cloud"))
    one, two = await new_chain(admin, "one"), await new_chain(admin, "two")
    edge = await new_chain(admin, "edge", "EDGE")
    for id in (one, two):
        assert (await admin.ask("POST", f"/api/ruleChain/{id}/root"))[1]["root"] is True
    assert (await admin.ask("POST", f"/api/ruleChain/{edge}/edgeTemplateRoot"))[0] == 200
    assert (await admin.ask("POST", f"/api/ruleChain/{edge}/root"))[0] == 400
    path, roots = "/api/ruleChains?pageSize=9&page=0", []
    for more in ("", "&type=CORE", "&type=EDGE"):
        _, page = await admin.ask("GET", path + more)
        roots += [chain["name"] for chain in page["data"] if chain["root"]]
    assert roots == ["two", "two", "edge"]
    assert (await admin.ask("GET", path + "&type=ROUND"))[0] == 400
    _, made = await admin.ask("POST", "/api/edge", {"name": "hall"})
    assert made["rootRuleChainId"]["id"] == edge


async def test_chains_for_every_new_edge_are_kept_as_relations() -> None:
    admin = Client(Site("cloud"))
    id = await new_chain(admin, "edge", "EDGE")
    listed = "/api/ruleChain/autoAssignToEdgeRuleChains"
    await admin.ask("POST", f"/api/ruleChain/{id}/autoAssignToEdge")
    assert [chain["name"] for chain in (await admin.ask("GET", listed))[1]] == ["edge"]
    await admin.ask("DELETE", f"/api/ruleChain/{id}/autoAssignToEdge")
    assert (await admin.ask("GET", listed))[1] == []


# --- passwords ---------------------------------------------------------------------------------


async def test_a_changed_password_is_the_one_that_counts() -> None:
    site = Site("edge")
    admin = Client(site)
    change = {"currentPassword": "tenant", "newPassword": "better than that"}
    status, pair = await admin.ask("POST", "/api/auth/changePassword", change)
    assert status == 200
    assert set(pair) == {"token", "refreshToken"}
    assert (await admin.ask("POST", "/api/auth/changePassword", change))[0] == 400
    same = {"currentPassword": "better than that", "newPassword": "better than that"}
    assert (await admin.ask("POST", "/api/auth/changePassword", same))[0] == 400
    short = {"currentPassword": "better than that", "newPassword": "x"}
    assert (await admin.ask("POST", "/api/auth/changePassword", short))[0] == 400
    stored = site.state.entity("USER_CREDENTIALS", USER)
    assert stored is not None
    assert stored["password"].startswith("$2a$10$")


def test_every_path_is_one_of_thingsboards() -> None:
    recorded = json.loads((FIXTURES / "edge-openapi-shapes.json").read_text())["paths"]
    theirs = {(method, _shape(path)) for path, methods in recorded.items() for method in methods}
    ours = {
        (method.lower(), _shape(route.path))
        for route in api_routes(Site("edge").services)
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert ours - theirs == NEWER
    assert len(ours) > 140


NEWER = {
    *(("get", f"/api/tenant/{word}") for word in ("device", "asset", "edge", "entityView")),
    *(("get", f"/api/relations/{way}/{{}}/{{}}") for way in ("from", "to")),
    *(("get", f"/api/relations/{way}/{{}}/{{}}/{{}}") for way in ("from", "to")),
    *(("get", f"/api/relations/info/{way}/{{}}/{{}}") for way in ("from", "to")),
    ("get", "/api/plugins/telemetry/{}/{}/values/timeseries/history"),
    ("get", "/api/calculatedFields"),
    ("get", "/api/calculatedField/{}/{}"),
    ("get", "/api/system/params"),
}
"""Of 4.3 and later, where the recorded list is of 4.2; or left out of every list."""


def _shape(path: str) -> str:
    """The path without names of its variables and without its query."""
    return re.sub(r"{\w+}", "{}", re.sub(r"{\?.*}", "", path))


def test_no_path_is_answered_twice() -> None:
    seen: set[tuple[str, str]] = set()
    site = Site("edge")
    for route in api_routes(site.services):
        for method in route.methods or ():
            shape = _shape(route.path)
            assert (method, shape) not in seen, route.path
            seen.add((method, shape))
