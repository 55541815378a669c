"""Figures of the built-in storage: `python tests/bench/storage_figures.py [units]`.

Prints commit throughput in batches, bytes of disk per datapoint with the whole queue and after it
is acknowledged, memory over the imports, and the time of a start with all events pending.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import trio

from appliance.extension.hookspecs import Context
from appliance.extension.ports import SeriesQuery
from appliance.kernel.clock import wall_clock_ms
from appliance.kernel.events import ignore
from appliance.model.ids import EntityId, new_uuid
from appliance.model.telemetry import Series, Value
from appliance.model.unit import CLOUD, Lane, OutboxEvent, Unit
from appliance.sync.wire import encode_entry
from appliance.testing.storage import running
from plugins.storage_duckdb import build
from plugins.storage_duckdb.config import DuckdbStorageConfig

KEYS = ("temperature", "humidity", "pressure", "vibration", "current")
BATCH = 500


def storage_in(folder: Path):
    return build(DuckdbStorageConfig(), Context("edge", folder, wall_clock_ms, ignore))


def rss_mib() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def disk_bytes(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def make_batches(units: int):
    devices = [EntityId("DEVICE", new_uuid()) for _ in range(100)]
    start = wall_clock_ms() - units
    for base in range(0, units, BATCH):
        batch = []
        for number in range(base, min(base + BATCH, units)):
            device = devices[number % len(devices)]
            values: dict[str, Value] = {key: round(random.gauss(20, 5), 2) for key in KEYS}
            ts = start + number
            event = OutboxEvent(
                CLOUD, Lane.DATA, "DEVICE", "TIMESERIES_UPDATED", device, encode_entry(ts, values)
            )
            batch.append(Unit(series=[Series(device, ts, values)], events=[event]))
        yield batch


async def load(folder: Path, units: int) -> dict[str, float]:
    figures: dict[str, float] = {"units": units, "rss_import_mib": rss_mib()}
    peak = busy = 0.0
    async with running(storage_in(folder)) as storage:
        async with trio.open_nursery() as nursery:
            slots = trio.Semaphore(8)

            async def commit(batch):
                await storage.commit(batch)
                slots.release()

            for batch in make_batches(units):
                await slots.acquire()
                started = time.perf_counter()
                nursery.start_soon(commit, batch)
                await trio.sleep(0)
                busy += time.perf_counter() - started
                peak = max(peak, rss_mib())
        figures["rss_peak_mib"] = peak
        query = SeriesQuery(EntityId("DEVICE", new_uuid()), ("x",), 0, 1)
        started = time.perf_counter()
        await storage.query_series(query)
        figures["apply_lag_s"] = time.perf_counter() - started
    return figures


async def throughput(folder: Path, units: int) -> float:
    batches = list(make_batches(units))
    async with running(storage_in(folder)) as storage:
        started = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for batch in batches:
                nursery.start_soon(storage.commit, batch)
                if nursery.child_tasks and len(nursery.child_tasks) > 8:
                    await trio.sleep(0.001)
        return units / (time.perf_counter() - started)


async def restart(folder: Path) -> dict[str, float]:
    started = time.perf_counter()
    async with running(storage_in(folder)) as storage:
        opened = time.perf_counter() - started
        depth = storage.depth(CLOUD, Lane.DATA)
    return {"start_s": opened, "pending": depth.pending}


async def drain(folder: Path) -> dict[str, float]:
    figures = {}
    async with running(storage_in(folder)) as storage:
        started = time.perf_counter()
        count = 0
        after = None
        while events := await storage.pending(CLOUD, Lane.DATA, after, 1000, 1 << 20):
            storage.acknowledge(CLOUD, Lane.DATA, events)
            after = events[-1].position
            count += len(events)
        figures["drain_per_s"] = count / (time.perf_counter() - started)
        figures["rss_drain_mib"] = rss_mib()
        await trio.sleep(1.5)
        await storage.reclaim()
    return figures


def in_process(function: str, *arguments: str) -> object:
    command = [sys.executable, __file__, "--run", function, *arguments]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    if sys.argv[1:2] == ["--run"]:
        function, folder, *rest = sys.argv[2:]
        numbers = [int(word) for word in rest]
        print(json.dumps(trio.run(globals()[function], Path(folder), *numbers)))
        return
    units = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as quick:
        print("commit units/s:", round(in_process("throughput", quick, "60000")))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        points = units * len(KEYS)
        print("load:", in_process("load", name, str(units)))
        print("bytes a datapoint, queued:", round(disk_bytes(folder) / points, 2))
        print("start:", in_process("restart", name))
        print("drain:", in_process("drain", name))
        print("bytes a datapoint, acknowledged:", round(disk_bytes(folder) / points, 2))


if __name__ == "__main__":
    main()
