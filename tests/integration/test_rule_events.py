"""A running edge shows what a node in debug has seen, tries scripts, and is asked for chains."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import msgspec
import trio

from appliance.extension.hookspecs import Context
from appliance.kernel.clock import wall_clock_ms
from appliance.kernel.events import ignore
from appliance.model.ids import EntityId, new_uuid
from appliance.model.unit import EntityWrite, Unit
from appliance.rules.default_chain import default_root_chain
from appliance.state.store import State
from plugins.storage_duckdb.config import DuckdbStorageConfig
from plugins.storage_duckdb.storage import DuckdbStorage
from tests.kit.devices import device_unit
from tests.kit.process import ROOT, Process, command, connects, free_port, wait_for
from tests.kit.rest_site import PASSWORD_HASH, USER, USER_BODY


def stored(entity: EntityId, body: dict[str, Any], kind: str | None = None) -> EntityWrite:
    whole = {"id": entity.to_json(), "createdTime": 0, **body}
    return EntityWrite(kind or entity.type, entity.id, msgspec.json.encode(whole))


async def seed(folder: Path) -> str:
    """A tenant's user, a device and the default chain with its first node in debug; the node."""
    storage = DuckdbStorage(DuckdbStorageConfig(), Context("edge", folder, wall_clock_ms, ignore))
    state, user = State(), EntityId("USER", USER)
    chain, metadata = default_root_chain()
    node = metadata["nodes"][metadata["firstNodeIndex"]]
    node["debugSettings"] = {"allEnabled": True}
    root = EntityId("RULE_CHAIN", new_uuid())
    credentials = {"userId": user.to_json(), "enabled": True, "password": PASSWORD_HASH}
    tenant = EntityId("TENANT", new_uuid())
    unit = Unit(
        entities=[
            stored(tenant, {"title": "Tenant"}),
            stored(EntityId("DEVICE_PROFILE", new_uuid()), {"name": "default", "default": True}),
            stored(user, {**USER_BODY, "tenantId": tenant.to_json()}),
            stored(user, credentials, "USER_CREDENTIALS"),
            stored(root, {**chain, "id": root.to_json()}),
            stored(root, {**metadata, "ruleChainId": root.to_json()}, "RULE_CHAIN_METADATA"),
        ]
    )
    state.apply(unit)
    async with trio.open_nursery() as nursery:
        await nursery.start(storage.run)
        await storage.commit([unit, device_unit(state, "boiler", "TOKEN")[1]])
        nursery.cancel_scope.cancel()
    return str(node["id"]["id"])


class Client:
    """Talks JSON to one port."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"
        self._headers = {"content-type": "application/json"}

    def login(self) -> None:
        answer = self.ask("/api/auth/login", {"username": USER_BODY["email"], "password": "tenant"})
        self._headers["x-authorization"] = f"Bearer {answer['token']}"

    def ask(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data, self._headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None


def test_a_running_edge_shows_debug_events_and_tries_scripts(tmp_path: Path) -> None:
    folder, port = tmp_path / "edge", free_port()
    folder.mkdir()
    node = trio.run(seed, folder)
    environ = {"HTTP_BIND_PORT": str(port), "MQTT_BIND_PORT": str(free_port())}
    edge = Process(["run", "--data-dir", str(folder)], tmp_path / "edge.log", environ)
    edge.start()
    try:
        wait_for(lambda: connects(port), 30.0, "the HTTP port")
        client = Client(port)
        wait_for(lambda: posted(client), 30.0, "the device API")
        client.login()
        wanted = {"eventType": "DEBUG_RULE_NODE", "relationType": "Post telemetry"}
        page = client.ask(f"/api/events/RULE_NODE/{node}?pageSize=9&page=0", wanted)
        assert [event["body"]["data"] for event in page["data"]] == ['{"temperature":21}']
        script = {"script": "return msg.t;", "scriptType": "json", "msg": '{"t":1}', "msgType": "X"}
        for language in ("TBEL", "JS"):
            answer = client.ask(f"/api/ruleChain/testScript?scriptLang={language}", script)
            assert answer == {"output": "1", "error": ""}
        asked_beside_it(folder, tmp_path)
    finally:
        assert edge.stop() == 0


def asked_beside_it(folder: Path, scratch: Path) -> None:
    """`appliance rules` asks the appliance that has the folder."""
    (chain,) = rules(folder, "list")
    assert (chain["root"], chain["refused"]) == ("root", 0)
    assert rules(folder, "show", chain["name"])[0]["name"]
    message = scratch / "message.json"
    message.write_text('{"msg": {"temperature": 22}, "originator": "boiler"}')
    (traced,) = rules(folder, "trace", "--message", str(message))
    assert traced["failure"] is None
    assert "Save Timeseries" in [step["node"] for step in traced["steps"]]
    rows = rules(folder, "dry-run", chain["name"], "--since", "1h")
    (boiler,) = (row for row in rows if row["device"] == "boiler")
    assert boiler["messages"] >= 1 and boiler["events_before"] == boiler["events_after"]


def rules(folder: Path, *arguments: str) -> list[Any]:
    """The answer of `appliance rules`, as JSON."""
    done = subprocess.run(
        [*command(), "rules", *arguments, "--json", "--data-dir", str(folder)],
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    text = done.stdout.decode()
    found = [json.loads(line) for line in text.splitlines()] if text[0] == "{" else json.loads(text)
    return list(found)


def posted(client: Client) -> bool:
    """Whether the device's value was taken; the listener may come a moment after the port."""
    try:
        client.ask("/api/v1/TOKEN/telemetry", {"temperature": 21})
    except OSError:
        return False
    return True
