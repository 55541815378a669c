"""Whatever is asked of whatever path: an answer, never an error of ours."""

from __future__ import annotations

import copy
import json
import random
import re
from typing import Any

import pytest
from starlette.routing import Route

from appliance.web.app import api_routes
from tests.kit.rest_client import NOWHERE, Client, alarm_body
from tests.kit.rest_site import Site
from tests.kit.seed import SEED

ROUNDS = 2_000
JUNK: list[Any] = [
    None, True, 0, -1, 1.5, 2**63, "", "x", "\0", "é" * 300, NOWHERE, [], [1], ["x"], {},
    {"id": "x"}, {"id": 5}, {"entityType": "DEVICE", "id": NOWHERE},
    {"entityType": "ROBOT", "id": NOWHERE}, {"text": "a"}, {"a": {"b": [None]}}, "ACTIVE",
]  # fmt: skip
MEMBERS = [
    "id",
    "name",
    "title",
    "type",
    "label",
    "originator",
    "severity",
    "details",
    "deviceProfileId",
    "customerId",
    "keys",
    "from",
    "to",
    "additionalInfo",
    "deviceData",
    "entityId",
    "typeGroup",
    "method",
    "params",
    "timeout",
    "persistent",
    "retries",
    "requestUUID",
    "comment",
    "credentialsType",
    "credentialsId",
    "credentialsValue",
    "deviceId",
    "device",
    "credentials",
    "ruleChainId",
    "nodes",
    "connections",
    "firstNodeIndex",
    "parameters",
    "filters",
    "rootId",
    "rootType",
    "direction",
    "maxLevel",
    "entityFilter",
    "pageLink",
    "keyFilters",
    "entityFields",
    "latestValues",
    "secretKey",
    "version",
    "startTs",
    "endTs",
    "acknowledged",
    "assigneeId",
    "configuration",
    "profileData",
    "ts",
    "values",
    "script",
]
QUERY = [
    "sortProperty",
    "sortOrder",
    "textSearch",
    "startTime",
    "endTime",
    "keys",
    "startTs",
    "endTs",
    "agg",
    "interval",
    "limit",
    "orderBy",
    "intervalType",
    "timeZone",
    "type",
    "deviceProfileId",
    "deviceIds",
    "assetIds",
    "edgeIds",
    "fromId",
    "fromType",
    "toId",
    "toType",
    "relationType",
    "searchStatus",
    "status",
    "severityList",
    "assigneeId",
    "rpcStatus",
    "accessToken",
    "useStrictDataTypes",
    "deleteAllDataForKeys",
    "serviceType",
    "activeOnly",
]
WORDS = [
    "1",
    "0",
    "-1",
    "x",
    "DESC",
    "name",
    "createdTime",
    "details",
    "id",
    "9223372036854775807",
    "AVG",
    "MONTH",
    "UTC",
    "No/Where",
    "true",
    "DEVICE",
    "ROBOT",
    "ACTIVE",
    "MAJOR",
    "t,a",
    "COMMON",
]
TYPES = ("DEVICE", "DEVICE", "ASSET", "TENANT", "ROBOT", "ALARM", "SERVER_SCOPE", "RULE_CHAIN")


class Asker:
    """Makes requests up."""

    def __init__(self, seed: int, ids: list[str]) -> None:
        self.random = random.Random(seed)
        self.ids = ids
        self.known = [{"entityType": kind, "id": id} for id in ids for kind in TYPES[:3]]

    def value(self, depth: int = 0) -> Any:
        dice = self.random.random()
        if dice < 0.25:
            return dict(self.random.choice(self.known))
        if dice < 0.8 or depth > 2:
            return copy.deepcopy(self.random.choice(JUNK))
        if dice < 0.9:
            return [self.value(depth + 1) for _ in range(self.random.randint(0, 3))]
        return self.body(depth + 1)

    def body(self, depth: int = 0) -> dict[str, Any]:
        count = self.random.randint(0, 8)
        body = {self.random.choice(MEMBERS): self.value(depth) for _ in range(count)}
        if self.random.random() < 0.7:  # enough of an object to get past the first check
            name = f"N {self.random.random()}"
            alarm = alarm_body(self.ids[0]) if self.random.random() < 0.3 else {}
            body = {"name": name, "title": name, **alarm, **body}
        return body

    def path(self, pattern: str) -> str:
        def part(found: re.Match[str]) -> str:
            kind = found[1] in ("type", "scope")
            return self.random.choice(TYPES if kind else [*self.ids * 3, "x", "SERVER_SCOPE"])

        names = self.random.sample(QUERY, self.random.randint(0, 5))
        query = [f"{name}={self.random.choice([*WORDS, *self.ids])}" for name in names]
        query += ["pageSize=5", "page=0"] if self.random.random() < 0.6 else []
        return re.sub(r"{(\w+)}", part, pattern) + "?" + "&".join(query)


@pytest.mark.parametrize("role", ["edge", "cloud"])
async def test_no_request_is_answered_by_an_error_of_ours(role: str) -> None:
    print(f"seed {SEED}")
    admin = Client(Site(role))
    device = await admin.new_device()
    ids = [device]
    for path, body in (
        ("/api/asset", {"name": "line"}),
        ("/api/alarm", alarm_body(device)),
        ("/api/ruleChain", {"name": "chain"}),
    ):
        ids.append((await admin.ask("POST", path, body))[1]["id"]["id"])
    asker = Asker(SEED, ids)
    routes = [route for route in api_routes(admin.site.services) if "auth" not in route.path]
    for _ in range(ROUNDS):
        route: Route = asker.random.choice(routes)
        method = asker.random.choice(sorted((route.methods or set()) - {"HEAD"}))
        path, body = asker.path(route.path), json.dumps(asker.body()).encode()
        status, _ = await admin.ask(method, path, body)
        assert status < 500 or route.path.startswith(("/api/edge", "/api/rpc")), path
