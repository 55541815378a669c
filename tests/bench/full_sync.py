"""How long a full sync of many devices with attributes takes, between two processes.

    python -m tests.bench.full_sync [DEVICES]

Tells the time to the end of the sync, to the last answered follow-up request (attributes,
relations, calculated fields of every device), and the greatest memory of both processes; then
looks whether every device has every attribute on the edge.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from pathlib import Path

import trio

from appliance.extension.hookspecs import Context
from appliance.kernel.clock import wall_clock_ms
from appliance.kernel.events import ignore
from appliance.model.telemetry import AttributeWrite, Scope, Value
from appliance.model.unit import Unit
from appliance.state.store import State
from plugins.storage_duckdb.config import DuckdbStorageConfig
from plugins.storage_duckdb.storage import DuckdbStorage
from tests.bench.ground import Figures, Size
from tests.kit.process import House, wait_for

VALUES: dict[str, Value] = {"site": "A", "limit": 21.5, "on": True, "floor": 3, "note": "x" * 40}


async def give_attributes(house: House) -> None:
    """Five server and five shared attributes for every device of a cloud that does not run."""
    context = Context("cloud", house.folder / "cloud", wall_clock_ms, ignore)
    storage = DuckdbStorage(DuckdbStorageConfig(), context)
    async with trio.open_nursery() as nursery:
        await nursery.start(storage.run)
        scopes = (Scope.SERVER, Scope.SHARED)
        await storage.commit(
            [
                Unit(attributes=[AttributeWrite(d, s, 1_700_000_000_000, VALUES) for s in scopes])
                for d in house.devices
            ]
        )
        nursery.cancel_scope.cancel()


def peak_mb(pid: int) -> float:
    """The greatest resident memory so far."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024 / 1e6


def answers(house: House, port: int) -> bool:
    """Whether the status page is there."""
    try:
        house.status(port)
    except OSError:
        return False
    return True


def measure(devices: int) -> Figures:
    """Seed, start, watch."""
    with tempfile.TemporaryDirectory(prefix="appliance-bench-") as folder:
        house = House(Path(folder), devices)
        trio.run(give_attributes, house)
        house.cloud.start()
        wait_for(lambda: answers(house, house.cloud_http), 60, "the cloud")
        started = time.monotonic()
        house.edge.start()
        try:
            wait_for(lambda: answers(house, house.http), 60, "the edge")
            wait_for(lambda: house.status()["links"][0]["last_sync_ms"], 600, "the sync")
            synced_s = time.monotonic() - started
            wait_for(lambda: quiet(house), 600, "the follow-ups")
            quiet_s = time.monotonic() - started
            figures = {"sync_s": synced_s, "sync_quiet_s": quiet_s}
            for name, process in (("cloud", house.cloud), ("edge", house.edge)):
                port = house.http if name == "edge" else house.cloud_http
                figures[f"sync_{name}_s"] = house.status(port)["process"]["cpu_s"]
                figures[f"sync_{name}_rss_mb"] = peak_mb(process.pid)
        finally:
            house.edge.stop()
            house.cloud.stop()
        trio.run(check, house)
    return figures


async def check(house: House) -> None:
    """Every device and every attribute has arrived."""
    context = Context("edge", house.folder / "edge", wall_clock_ms, ignore)
    storage, state = DuckdbStorage(DuckdbStorageConfig(), context), State()
    async with trio.open_nursery() as nursery:
        await nursery.start(storage.run)
        await state.load(storage)
        nursery.cancel_scope.cancel()
    for device in house.devices:
        for scope in (Scope.SERVER, Scope.SHARED):
            got = {key: found.value for key, found in state.attributes(device, scope).items()}
            assert got.items() >= VALUES.items(), f"{device} lacks attributes: {got}"


async def sync(size: Size) -> Figures:
    """The scenario of `make bench`."""
    return await trio.to_thread.run_sync(measure, size.sync_devices)


def quiet(house: House) -> bool:
    """Whether nothing waits on either side, twice."""
    for _ in range(2):
        if house.pending() or house.status(house.cloud_http)["ledger"]["pending"]:
            time.sleep(0.5)
            return False
        time.sleep(0.2)
    return True


if __name__ == "__main__":
    for name, value in measure(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000).items():
        print(f"{name} {value:.1f}")
