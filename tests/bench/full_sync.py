"""How long a full sync of many devices with attributes takes, between two processes.

    python -m tests.bench.full_sync [DEVICES]

Prints the time to the end of the sync, to the last answered follow-up request (attributes,
relations, calculated fields of every device), and the greatest memory of both processes.
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
from plugins.storage_duckdb.config import DuckdbStorageConfig
from plugins.storage_duckdb.storage import DuckdbStorage
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
    return int(found[1]) / 1024


def answers(house: House, port: int) -> bool:
    """Whether the status page is there."""
    try:
        house.status(port)
    except OSError:
        return False
    return True


def main() -> None:
    """Seed, start, watch."""
    devices = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as folder:
        house = House(Path(folder), devices)
        trio.run(give_attributes, house)
        house.cloud.start()
        wait_for(lambda: answers(house, house.cloud_http), 60, "the cloud")
        print(f"cloud before the edge came: at most {peak_mb(house.cloud.pid):.0f} MB")
        started = time.monotonic()
        house.edge.start()
        try:
            wait_for(lambda: answers(house, house.http), 60, "the edge")
            up_s = time.monotonic() - started
            wait_for(lambda: house.status()["links"][0]["last_sync_ms"], 600, "the sync")
            synced_s = time.monotonic() - started
            wait_for(lambda: quiet(house), 600, "the follow-ups")
            quiet_s = time.monotonic() - started
            print(f"{devices} devices: up {up_s:.1f} s, synchronised {synced_s:.1f} s, "
                  f"follow-ups answered {quiet_s:.1f} s")  # fmt: skip
            for name, process in (("cloud", house.cloud), ("edge", house.edge)):
                port = house.http if name == "edge" else house.cloud_http
                cpu_s = house.status(port)["process"]["cpu_s"]
                print(f"{name}: {cpu_s:.1f} s of CPU, at most {peak_mb(process.pid):.0f} MB")
        finally:
            house.edge.stop()
            house.cloud.stop()


def quiet(house: House) -> bool:
    """Whether nothing waits on either side, twice."""
    for _ in range(2):
        if house.pending() or house.status(house.cloud_http)["ledger"]["pending"]:
            time.sleep(0.5)
            return False
        time.sleep(0.2)
    return True


if __name__ == "__main__":
    main()
