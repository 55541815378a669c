"""The REST recordings of a real edge and a real server, replayed in order against ours.

Ids and times differ, everything else must not: status, members, types, texts that clients match.
Ids are learned as answers come and replaced in later requests. Where ours is another answer on
purpose, `BETTER` or `NOT_OFFERED` says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from appliance.model.ids import EntityId, new_uuid
from tests.kit.rest_site import DEVICE, Site

FIXTURES = Path(__file__).parent.parent / "fixtures" / "traces" / "api"
RECORDED = [c for c in json.loads((FIXTURES / "rest.json").read_text()) if "request" in c]
EDGE = UUID("ebf57330-e597-11f1-9df8-51fc96047ddf")

# A caller's mistake is 400, never 500.
BETTER = {
    "device: broken json": 400,
    "devices: bad sort": 400,
    "attributes: null": 400,
    "rpc: no method": 400,
    "edge: same key": 400,
}
NOT_OFFERED = {
    "system params",
    "user settings",
    "entities query",
    "entities count",
    "queues",
}
# Lists of what happened to be there; their items are compared, their lengths are not.
LISTS_OF_THE_PLACE = {
    "audit logs",
    "devices: page",
    "devices: infos page",
    "device types",
    "device profiles",
    "rule chains",
    "dashboards",
    "users",
    "customers",
    "edges",
    "edge: devices",
    "edge: types",
    "telemetry: keys",
    "attributes: keys",
}
NEEDS_SQL = {"edge: events", "edge: timeseries events"}
UUID_TEXT = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME_MS_MIN = 1_795_000_000_000


EDGE_BODY = {
    "customerId": DEVICE["customerId"],
    "rootRuleChainId": {"entityType": "RULE_CHAIN", "id": str(new_uuid())},
    "name": "trace-edge",
    "type": "default",
    "label": "line 4b",
    "routingKey": "5e1f0a52-7d3c-4b62-9a64-0e3a2d5c9b11",
    "secret": "tr4ceSecretTr4ceSecr3t",
    "version": 7,
    "additionalInfo": None,
}


class Replay:
    """Asks recorded requests with our ids in place of theirs."""

    def __init__(self, role: str) -> None:
        self.site = Site(role)
        self.ids: dict[str, str] = {}
        self.pair: dict[str, str] = {}

    async def ask(self, case: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        request = case["request"]
        if case["name"] == "telemetry: save":
            self.site.put_series(UUID(self._ours(request["path"]).split("/")[5]))
        if case["name"] == "alarm: comments":  # the recorder had said something, too
            alarm = self._ours(request["path"]).partition("?")[0]
            body = b'{"comment":{"text":"hm"}}'
            assert (await self.site.ask("POST", alarm, body, self.pair["token"]))[0] == 200
        path = self._ours(request["path"])
        body = request["body"]
        if isinstance(body, dict) and "refreshToken" in body:
            body = {"refreshToken": self.pair["refreshToken"]}
        encoded = b"" if body is None else self._ours(_encoded(body)).encode()
        token = "rubbish" if case["name"] == "bad token" else self.pair.get("token")
        status, headers, answer = await self.site.ask(request["method"], path, encoded, token)
        if case["name"] in ("login", "refresh"):
            self.pair = json.loads(answer)
        return status, headers, answer

    def learn(self, theirs: Any, ours: Any) -> None:
        """Remember which id of ours stands where one of theirs stood."""
        if isinstance(theirs, dict) and isinstance(ours, dict):
            for name in theirs.keys() & ours.keys():
                self.learn(theirs[name], ours[name])
        elif isinstance(theirs, str) and isinstance(ours, str) and UUID_TEXT.fullmatch(theirs):
            self.ids.setdefault(theirs, ours)

    def _ours(self, text: str) -> str:
        return UUID_TEXT.sub(lambda found: self.ids.get(found.group(), found.group()), text)


def _encoded(body: Any) -> str:
    return body if isinstance(body, str) else json.dumps(body)


def differences(theirs: Any, ours: Any, at: str, *, exact: bool) -> Iterator[str]:
    """Where ours is not theirs, but for ids and times."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        if theirs.keys() != ours.keys():
            yield f"{at}: members differ by {sorted(theirs.keys() ^ ours.keys())}"
        for name in theirs.keys() & ours.keys():
            yield from differences(theirs[name], ours[name], f"{at}.{name}", exact=exact)
    elif isinstance(theirs, list) and isinstance(ours, list):
        if exact and len(theirs) != len(ours):
            yield f"{at}: {len(theirs)} items, ours {len(ours)}"
        for number, (one, other) in enumerate(zip(theirs, ours, strict=False)):
            yield from differences(one, other, f"{at}[{number}]", exact=exact)
    elif not _same(theirs, ours, exact):
        yield f"{at}: {theirs!r}, ours {ours!r}"


def _same(theirs: Any, ours: Any, exact: bool) -> bool:
    if isinstance(theirs, str) and isinstance(ours, str):
        if theirs == "<jwt>":
            return ours.count(".") == 2
        blank = [UUID_TEXT.sub("id", text) for text in (theirs, ours)]
        return not exact or blank[0] == blank[1]
    if isinstance(theirs, bool) or isinstance(ours, bool) or theirs is None or ours is None:
        return not exact or theirs is ours
    if isinstance(theirs, int | float) and isinstance(ours, int | float):
        times = theirs > TIME_MS_MIN and ours > TIME_MS_MIN
        return type(theirs) is type(ours) and (not exact or times or theirs == ours)
    return False


TEXTS_THAT_CLIENTS_MATCH = (
    "login: wrong password",
    "login: unknown user",
    "login: empty body",
    "login: missing password",
    "bad token",
    "device: same name",
    "device: no name",
    "device: empty name",
    "device: long name",
    "device: stale version",
    "device: get bad id",
    "device: by name unknown",
    "devices: page size 0",
    "alarm: no severity",
    "alarm: ack again",
    "alarm: get deleted",
    "device: delete again",
    "change password: wrong",
    "wrong method",
    "edge: no name",
    "edge: assign unknown device",
    "edge: sync unknown",
)
# What a relation or an older save counted on the recorded machine, and what was done there last.
NOT_OURS = re.compile(
    r"\.version: \d+, ours|\.version: None, ours|description: .*, ours|audit logs.*\.actionData"
)


def problems(
    case: dict[str, Any], status: int, headers: dict[str, str], body: bytes, replay: Replay
) -> Iterator[str]:
    """What is wrong with our answer."""
    name, expected = case["name"], BETTER.get(case["name"], case["status"])
    expected = 404 if name in NOT_OFFERED else expected
    if status != expected:
        yield f"{name}: status {status} instead of {expected}: {body!r}"
    elif name in NOT_OFFERED or (name in BETTER and not body.startswith(b"{")):
        return
    elif isinstance(case["body"], dict) and "cut" in case["body"]:
        return  # too long for the recorder
    elif not body or headers["content-type"].startswith("text/plain"):
        if body.decode() != case["body"]:
            yield f"{name}: {body!r} instead of {case['body']!r}"
    else:
        yield from document_problems(case, status, json.loads(body), replay)


def document_problems(
    case: dict[str, Any], status: int, ours: Any, replay: Replay
) -> Iterator[str]:
    name, theirs = case["name"], case["body"]
    replay.learn(theirs, ours)
    if status >= 400 and name not in TEXTS_THAT_CLIENTS_MATCH:
        if ours["status"] != status or not ours["message"]:
            yield f"{name}: {ours}"
        if name not in BETTER and ours["errorCode"] != theirs["errorCode"]:
            yield f"{name}: errorCode {ours['errorCode']} instead of {theirs['errorCode']}"
        return
    for line in differences(theirs, ours, name, exact=name not in LISTS_OF_THE_PLACE):
        if not NOT_OURS.search(line):
            yield line


@pytest.mark.parametrize(("side", "role"), [("edge", "edge"), ("server", "cloud")])
async def test_every_recorded_answer_is_ours(side: str, role: str) -> None:
    replay = Replay(role)
    if role == "cloud":
        replay.site.put("EDGE", EDGE, EDGE_BODY)
        device = replay.site.state.by_name("DEVICE", "Sync 1")
        assert device is not None
        await replay.site.commands.assign(
            EDGE,
            EntityId("DEVICE", UUID(device["id"]["id"])),
            None,  # type: ignore[arg-type]  # unused by the fake
        )
    asked, found = 0, []
    for case in RECORDED:
        if case["side"] != side or case["name"] in NEEDS_SQL:
            continue
        status, headers, body = await replay.ask(case)
        found += problems(case, status, headers, body, replay)
        asked += 1
    assert not found, "\n".join(found)
    assert asked > 90
