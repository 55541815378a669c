"""kill −9 while rule nodes hold messages: what was acknowledged comes out, at least once.

Each device has its own way through the chain. Three are acknowledged when a node has taken the
message in: it waits in a delay, in a deduplication, for a device that never answers an RPC. One
waits in a delay and then, acknowledged, in a REST call to a slow server; one waits in a REST call
before it is acknowledged. A generator makes messages of its own all along. Oracle: in the end each
number that got a PUBACK is in the history, and the generator goes on after the last kill.

APPLIANCE_RULE_KILL_ROUNDS says how many rounds (30), APPLIANCE_SEED repeats one.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
import trio

from appliance.extension.hookspecs import Context
from appliance.kernel.clock import wall_clock_ms
from appliance.kernel.events import ignore
from appliance.model.ids import EntityId, new_uuid
from appliance.model.unit import EntityWrite, Unit
from appliance.rules.node import PACKAGE
from appliance.state.store import State
from plugins.storage_duckdb.config import DuckdbStorageConfig
from plugins.storage_duckdb.storage import DuckdbStorage
from tests.kit.devices import device_unit
from tests.kit.mqtt_load import Publisher
from tests.kit.process import Process, connects, free_port, history, wait_for
from tests.kit.seed import SEED

ROUNDS = int(os.environ.get("APPLIANCE_RULE_KILL_ROUNDS", "30"))
WAYS = {"delay": 5, "deduplication": 5, "rpc": 5, "late rest": 1, "rest": 1}
"""A device per way, and how many messages it sends in a burst; a request costs more than a node."""
BASE_MS = 1_700_000_000_000
LIFE_S = (0.2, 1.4)
"""From the first connection to the kill: shorter and longer than what nodes hold a message for."""
LAST_LIVES_MAX = 20
"""Lives of 3 s in which all that waits must come out; nodes hold a message for 2 s at most."""

PACK = """
var out = [];
foreach (one : msg) { out.add({"ts": one.metadata.ts, "values": one.msg}); }
return {"msg": out, "metadata": metadata, "msgType": "POST_TELEMETRY_REQUEST"};
"""
UNPACK = f"""
return {{"msg": {{"n": parseLong(metadata.ts) - {BASE_MS}L}}, "metadata": metadata,
         "msgType": "POST_TELEMETRY_REQUEST"}};
"""
ASK = 'return {"msg": {"method": "go", "params": msg}, "metadata": metadata, "msgType": msgType};'
MAKE = """
var count = prevMsg.g == null ? 1 : prevMsg.g + 1;
return {"msg": {"g": count}, "metadata": {}, "msgType": "POST_TELEMETRY_REQUEST"};
"""


def script(kind: str, name: str, text: str, **more: Any) -> dict[str, Any]:
    return node(kind, name, scriptLang="TBEL", tbelScript=text, **more)


def node(kind: str, name: str, **configuration: Any) -> dict[str, Any]:
    id = {"entityType": "RULE_NODE", "id": str(new_uuid())}
    return {"id": id, "type": PACKAGE + kind, "name": name, "configuration": configuration}


def chain(generated_for: EntityId, url: str) -> dict[str, Any]:
    """The ways of the devices, and the generator; all end at the save node."""
    nodes = [
        script("filter.TbJsSwitchNode", "way", "return metadata.deviceName;"),
        node("delay.TbMsgDelayNode", "delay", periodInSeconds=1, maxPendingMsgs=1_000_000),
        node(
            "deduplication.TbMsgDeduplicationNode",
            "deduplication",
            interval=1,
            strategy="ALL",
            outMsgType="PACK",
            maxPendingMsgs=1_000_000,
        ),
        script("transform.TbTransformMsgNode", "pack", PACK),
        script("transform.TbTransformMsgNode", "ask", ASK),
        node("rpc.TbSendRPCRequestNode", "rpc", timeoutInSeconds=2),
        script("transform.TbTransformMsgNode", "unpack", UNPACK),
        script(
            "debug.TbMsgGeneratorNode",
            "generator",
            MAKE,
            periodInSeconds=1,
            originatorType="DEVICE",
            originatorId=str(generated_for.id),
        ),
        node("telemetry.TbMsgTimeseriesNode", "save"),
        node("delay.TbMsgDelayNode", "late", periodInSeconds=1, maxPendingMsgs=1_000_000),
        node("rest.TbRestApiCallNode", "rest", restEndpointUrlPattern=url, requestMethod="POST"),
    ]
    links = [
        (0, 1, "delay"),
        (1, 8, "Success"),
        (0, 2, "deduplication"),
        (2, 3, "Success"),
        (3, 8, "Success"),
        (0, 4, "rpc"),
        (4, 5, "Success"),
        (5, 6, "Failure"),
        (6, 8, "Success"),
        (7, 8, "Success"),
        (0, 9, "late rest"),
        (9, 10, "Success"),
        (0, 10, "rest"),
        (10, 8, "Success"),
    ]  # fmt: skip - one way a line
    connections = [{"fromIndex": a, "toIndex": b, "type": label} for a, b, label in links]
    return {"firstNodeIndex": 0, "nodes": nodes, "connections": connections}


class Echo(BaseHTTPRequestHandler):
    """Answers with what it was sent, after a while."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(random.uniform(0.0, 0.1))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing to say."""


class Server(ThreadingHTTPServer):
    """One whose callers are killed."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The caller is gone: what this test does."""


@contextmanager
def echoing() -> Iterator[str]:
    """The slow server, for the time of the test; gives its URL."""
    with Server(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/echo"
        server.shutdown()


class Site:
    """An edge without a cloud, in a folder that has devices and the chain."""

    def __init__(self, folder: Path, url: str) -> None:
        self.data = folder / "edge"
        self._url = url
        self.mqtt = free_port()
        self.devices: dict[str, EntityId] = {}
        trio.run(self._seed)
        environ = {
            "HTTP_BIND_PORT": str(free_port()),
            "MQTT_BIND_PORT": str(self.mqtt),
            "MQTT_BIND_ADDRESS": "127.0.0.1",
        }
        self.edge = Process(["run", "--data-dir", str(self.data)], folder / "edge.log", environ)

    async def _seed(self) -> None:
        self.data.mkdir()
        context = Context("edge", self.data, wall_clock_ms, ignore)
        storage, state = DuckdbStorage(DuckdbStorageConfig(), context), State()
        profile = EntityId("DEVICE_PROFILE", new_uuid())
        units = [Unit(entities=[stored(profile, {"name": "default", "default": True})])]
        state.apply(units[0])
        for way in WAYS:
            self.devices[way], unit = device_unit(state, way, way)
            units.append(unit)
        root = EntityId("RULE_CHAIN", new_uuid())
        metadata = {"ruleChainId": root.to_json(), **chain(self.devices["delay"], self._url)}
        body = msgspec.json.encode(metadata)
        kept = stored(root, {"name": "Holds", "root": True, "type": "EDGE"})
        kind = "RULE_CHAIN_METADATA"
        units.append(Unit(entities=[kept, EntityWrite(kind, root.id, body)]))
        async with trio.open_nursery() as nursery:
            await nursery.start(storage.run)
            await storage.commit(units)
            nursery.cancel_scope.cancel()

    def start(self) -> None:
        """Start the edge and wait until devices can talk to it."""
        self.edge.start()
        wait_for(lambda: connects(self.mqtt), 30.0, "the MQTT listener")

    def saved(self, way: str, key: str = "n") -> set[int]:
        """The numbers of a device that the history has; the edge must not run."""
        mine: UUID = self.devices[way].id
        return {number for id, _, number in history(self.data, key) if id == str(mine)}


def stored(entity: EntityId, body: dict[str, Any]) -> EntityWrite:
    whole = {"id": entity.to_json(), "createdTime": 0, **body}
    return EntityWrite(entity.type, entity.id, msgspec.json.encode(whole))


@pytest.mark.fault
@pytest.mark.slow
def test_what_rule_nodes_hold_survives_kills(tmp_path: Path) -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    with echoing() as url:
        site = Site(tmp_path, url)
        acked: dict[str, set[int]] = {way: set() for way in WAYS}
        first = {way: index * 1_000_000 for index, way in enumerate(WAYS)}
        try:
            for _ in range(ROUNDS):
                one_life(site, chance.uniform(*LIFE_S), acked, first)
            killed_ms = wall_clock_ms()
            lost = last_lives(site, acked)
        finally:
            site.edge.kill()
    counts = {way: len(numbers) for way, numbers in acked.items()}
    print(f"acknowledged {counts}")
    assert all(counts.values()), "every way was taken"
    assert lost == {way: set() for way in WAYS}
    assert any(ts > killed_ms for _, ts, _ in history(site.data, "g")), "the generator goes on"


def one_life(site: Site, life_s: float, acked: dict[str, set[int]], first: dict[str, int]) -> None:
    """Start, publish on every way, kill while nodes hold messages of all ages."""
    site.start()
    publishers = {
        way: Publisher(
            site.mqtt, way, first[way], burst=burst, pause_s=0.04, ts_of=lambda n: BASE_MS + n
        )
        for way, burst in WAYS.items()
    }
    for publisher in publishers.values():
        publisher.start()
    time.sleep(life_s)
    site.edge.kill()
    for way, publisher in publishers.items():
        publisher.stop()
        publisher.join()
        acked[way] |= publisher.acked
        first[way] = publisher.next


def last_lives(site: Site, acked: dict[str, set[int]]) -> dict[str, set[int]]:
    """Lives without a kill, until nothing acknowledged is missing; what is missing in the end."""
    missing = acked
    for _ in range(LAST_LIVES_MAX):
        site.start()
        time.sleep(3.0)
        assert site.edge.stop() == 0
        missing = {way: acked[way] - site.saved(way) for way in WAYS}
        if not any(missing.values()):
            break
    return missing
