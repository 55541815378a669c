"""Many edges on one cloud: how many messages a second it takes, and how long they wait.

    python -m tests.bench.many_edges [EDGES] [MESSAGES_PER_S] [SECONDS]

The edges are links of this process that speak the protocol and nothing else; the cloud is a
process of its own with its storage. Each message is one value of one device of the edge, numbered;
at the end the cloud's history must hold every number once and in order.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import trio

from appliance.cloud.assembly import TenantKeeper
from appliance.cloud.registry import Edges
from appliance.extension.hookspecs import Context
from appliance.extension.ports import Link
from appliance.kernel.clock import wall_clock_ms
from appliance.kernel.events import ignore
from appliance.model.ids import EntityId
from appliance.state.store import State
from appliance.sync.messages import Ack, Batch, Connect, Telemetry
from appliance.sync.wire import encode_entry
from plugins.storage_duckdb.config import DuckdbStorageConfig
from plugins.storage_duckdb.storage import DuckdbStorage
from plugins.transport_grpc.config import GrpcConfig
from plugins.transport_grpc.transport import GrpcTransport
from tests.bench.full_sync import peak_mb
from tests.bench.ground import Figures, Size
from tests.kit.devices import device_unit
from tests.kit.process import House, arrivals, connects, wait_for

EDGES = 50
PER_S = 1_000


async def register(house: House, edges: int) -> list[EntityId]:
    """Edges `key-<n>` with a device each, in the folder of a cloud that does not run."""
    context = Context("cloud", house.folder / "cloud", wall_clock_ms, ignore)
    storage, state = DuckdbStorage(DuckdbStorageConfig(), context), State()
    devices = []
    async with trio.open_nursery() as nursery:
        await nursery.start(storage.run)
        await nursery.start(TenantKeeper(state, storage).run)
        registry = Edges(state)
        for number in range(edges):
            made = registry.create(f"Fleet {number}", f"key-{number}", "secret")
            device, unit = device_unit(state, f"D{number}", f"D{number}")
            for each in (made, unit):
                state.apply(each)
                await storage.commit([each])
            devices.append(device)
        nursery.cancel_scope.cancel()
    return devices


class Edge:
    """One link that sends a value every so often and counts the answers."""

    def __init__(self, port: int, number: int, device: EntityId) -> None:
        self._transport = GrpcTransport(GrpcConfig(host="127.0.0.1", port=port), ignore)
        self._number = number
        self._device = device
        self._sent: dict[int, float] = {}
        self.latencies_s: list[float] = []

    async def run(self, every_s: float, count: int) -> None:
        """Send `count` values, then wait for the last answer."""
        async with self._transport.connect() as link, trio.open_nursery() as nursery:
            await link.send([Connect(f"key-{self._number}", "secret", 13, 4_194_304)])
            nursery.start_soon(self._listen, link)
            begin = trio.current_time() + every_s * self._number / 50
            for n in range(1, count + 1):
                await trio.sleep_until(begin + n * every_s)
                self._sent[n] = time.perf_counter()
                entry = encode_entry(wall_clock_ms(), {"n": n})
                await link.send([Batch(n, (Telemetry(self._device, (entry,)),))])
            while self._sent:
                await trio.sleep(0.05)
            nursery.cancel_scope.cancel()

    async def _listen(self, link: Link) -> None:
        while True:
            for frame in await link.receive():
                if isinstance(frame, Ack) and frame.id in self._sent:
                    self.latencies_s.append(time.perf_counter() - self._sent.pop(frame.id))
                elif isinstance(frame, Batch):
                    await link.send([Ack(frame.id, True)])


async def load(edges: list[Edge], every_s: float, count: int) -> None:
    """All edges at once."""
    async with trio.open_nursery() as nursery:
        for edge in edges:
            nursery.start_soon(edge.run, every_s, count)


def measure(edges: int, rate: int, seconds: float) -> Figures:
    """Seed, start, load, tell; fails when a message is lost or out of order."""
    with tempfile.TemporaryDirectory(prefix="appliance-bench-") as folder:
        house = House(Path(folder), 1)
        devices = trio.run(register, house, edges)
        count = int(rate * seconds / edges)
        house.cloud.start()
        try:
            wait_for(lambda: connects(house.rpc), 60, "the cloud")
            fleet = [Edge(house.rpc, n, device) for n, device in enumerate(devices)]
            started = time.monotonic()
            trio.run(load, fleet, edges / rate, count)
            took_s = time.monotonic() - started
            latencies = sorted(x for edge in fleet for x in edge.latencies_s)
            cpu_s = house.status(house.cloud_http)["process"]["cpu_s"]
            figures = {
                "edges_per_s": len(latencies) / took_s,
                "edges_ack_p50_ms": latencies[len(latencies) // 2] * 1000,
                "edges_ack_p99_ms": latencies[len(latencies) * 99 // 100] * 1000,
                "edges_cloud_us": cpu_s / len(latencies) * 1e6,
                "edges_cloud_rss_mb": peak_mb(house.cloud.pid),
            }
        finally:
            house.cloud.stop()
        check(house, devices, count)
    return figures


def check(house: House, devices: list[EntityId], count: int) -> None:
    """Of every device every value, in the order in which its edge sent them, each once."""
    came: dict[str, list[int]] = {str(device.id): [] for device in devices}
    for device, number in arrivals(house.folder / "cloud"):
        came[device].append(number)
    for device, numbers in came.items():
        assert numbers == list(range(1, count + 1)), (
            f"{device}: {len(numbers)} of {count}, or not in order"
        )


async def edges(size: Size) -> Figures:
    """The scenario of `make bench`."""
    return await trio.to_thread.run_sync(measure, EDGES, PER_S, size.edges_s)


if __name__ == "__main__":
    defaults = (EDGES, PER_S, 120)
    given = [int(word) for word in sys.argv[1:]]
    for name, value in measure(*given, *defaults[len(given) :]).items():
        print(f"{name} {value:.1f}")
