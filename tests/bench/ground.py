"""What the scenarios share: a site with devices, load, looks at processes, the cloud's history."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import trio

from appliance.demo.site import Device, Role, Site, poll
from tests.bench.load import token

DEVICES = 50
DRAIN_S_MAX = 900.0
Figures = dict[str, float]


class Size(msgspec.Struct, frozen=True):
    """How much is measured. Seconds are of load; backlog is in messages of five values."""

    steady_s: float = 60.0
    full_s: float = 20.0
    idle_s: float = 20.0
    calls: int = 300
    backlog: int = 1_000_000
    sync_devices: int = 10_000
    edges_s: float = 120.0


QUICK = Size(
    steady_s=10.0,
    full_s=5.0,
    idle_s=5.0,
    calls=100,
    backlog=100_000,
    sync_devices=1_000,
    edges_s=10.0,
)


class Ground:
    """A running cloud with its edge and devices in a folder of their own."""

    def __init__(self, site: Site, nursery: trio.Nursery) -> None:
        self.site = site
        self.nursery = nursery
        self.devices: list[Device] = []

    async def start(self) -> None:
        """Cloud, devices, edge, connected."""
        self.site.configure()
        await self.site.cloud.start(self.nursery)
        await self.site.cloud.wait_ready()
        self.devices = await self.site.populate([token(number) for number in range(DEVICES)])
        await self.start_edge()
        await self.site.wait_connected()

    async def start_edge(self) -> None:
        """Start the edge and wait until it is ready."""
        await self.site.edge.start(self.nursery)
        await self.site.edge.wait_ready()

    async def stop(self) -> None:
        """Stop both in order."""
        await self.site.edge.stop()
        await self.site.cloud.stop()

    async def stop_when_applied(self) -> None:
        """The same, when tables have what journals have: a stop waits two seconds for that."""
        for role in (self.site.edge, self.site.cloud):
            await poll(partial(_has_applied, role), DRAIN_S_MAX, 0.1)
        await self.stop()

    async def uplinked(self) -> int:
        """Events of lane DATA that the cloud has acknowledged since the folder was made."""
        lanes = (await self.site.edge.status())["lanes"]
        return sum(lane["acknowledged"] for lane in lanes if lane["lane"] == "DATA")

    async def watch_uplink(self, *, task_status: trio.TaskStatus[list[tuple[float, int]]]) -> None:
        """Note (epoch ms, acknowledged since now) every fifth of a second until cancelled."""
        first, noted = await self.uplinked(), list[tuple[float, int]]()
        task_status.started(noted)
        while True:
            noted.append((time.time() * 1000, await self.uplinked() - first))
            await trio.sleep(0.2)

    async def load(self, kind: str, rate: float, seconds: float) -> dict[str, Any]:
        """Offer load from a process of its own; its result."""
        port = self.site.mqtt_port if kind == "mqtt" else self.site.edge.port
        command = [sys.executable, "-m", "tests.bench.load", kind, str(port)]
        command += ["--devices", str(DEVICES), "--rate", str(rate), "--seconds", str(seconds)]
        done = await trio.run_process(command, capture_stdout=True)
        return dict(json.loads(done.stdout))


async def _has_applied(role: Role) -> bool:
    figures = (await role.status())["storage"]["figures"]
    return bool(figures["applied_seq"] >= figures["durable_seq"])


@asynccontextmanager
async def ground() -> AsyncIterator[Ground]:
    """A new site, up and connected; its folder goes at the end."""
    with tempfile.TemporaryDirectory(prefix="appliance-bench-") as folder:
        async with trio.open_nursery() as nursery:
            made = Ground(Site(Path(folder)), nursery)
            await made.start()
            yield made
            await made.stop()
            nursery.cancel_scope.cancel()


class Peak:
    """Watches a role's memory every half second while its nursery lives."""

    def __init__(self, role: Role) -> None:
        self._role = role
        self.rss_bytes = 0

    async def watch(self) -> None:
        """Run until cancelled."""
        while True:
            pages = int(Path(f"/proc/{self._role.pid}/statm").read_text().split()[1])
            self.rss_bytes = max(self.rss_bytes, pages * 4096)
            await trio.sleep(0.5)


async def cpu_s(role: Role) -> float:
    """Processor time of a role so far."""
    return float((await role.status())["process"]["cpu_s"])


def way_ms(cloud: Path, from_ms: int, parts: tuple[float, ...] = (0.5, 0.99)) -> list[float]:
    """Quantiles of the time from a value's own time to its commit on the cloud, which is stopped.

    from_ms: only values that are not older. The commit's time is taken just before its fdatasync.
    """
    statement = """
        SELECT quantile_cont(committed_ms - ts, ?) FROM store.history
        WHERE ts >= ? AND key = (SELECT number FROM store.key_dictionary WHERE key = 'speed')"""
    with duckdb.connect(str(cloud / "appliance.duckdb"), read_only=True) as connection:
        row = connection.execute(statement, [list(parts), from_ms]).fetchone()
    assert row is not None and row[0] is not None, "the cloud has no such values"
    return [float(value) for value in row[0]]


def count_on(cloud: Path) -> int:
    """Messages in the cloud's history, repeats counted once; the cloud is stopped."""
    statement = """
        SELECT count(DISTINCT (entity, ts)) FROM store.history
        WHERE key = (SELECT number FROM store.key_dictionary WHERE key = 'speed')"""
    with duckdb.connect(str(cloud / "appliance.duckdb"), read_only=True) as connection:
        row = connection.execute(statement).fetchone()
    return int(row[0]) if row else 0


def disk_bytes(folder: Path) -> int:
    """Like du: blocks that the files of a folder take."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
