"""After an outage: disk of the backlog, start with it, drain beside live load, disk afterwards.

The backlog is committed to the edge's folder through its own storage while the edge does not run:
the same units that its rule chain makes, a million in half a minute.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import trio

from appliance.demo.plant import RANGES, Signal
from appliance.extension.hookspecs import Context
from appliance.kernel.clock import wall_clock_ms
from appliance.kernel.events import ignore
from appliance.model.ids import EntityId
from appliance.model.telemetry import Series
from appliance.model.unit import CLOUD, Lane, OutboxEvent, Unit
from appliance.sync.wire import encode_entry
from plugins.storage_duckdb.config import DuckdbStorageConfig
from plugins.storage_duckdb.storage import DuckdbStorage
from tests.bench.ground import (
    DEVICES,
    DRAIN_S_MAX,
    Figures,
    Ground,
    Size,
    count_on,
    disk_bytes,
    ground,
    way_ms,
)

LIVE_PER_S = 1_000
SETTLE_S = 5.0
"""Beyond the interval in which acknowledgements become durable and segments are given back."""
_GROUP = 1_000


async def outage(size: Size) -> Figures:
    """See the module."""
    async with ground() as here:
        site, edge_folder = here.site, here.site.folder / "edge"
        await here.stop()
        before = disk_bytes(edge_folder)
        await fill(edge_folder, [UUID(device.id) for device in here.devices], size.backlog)
        values = size.backlog * len(RANGES)
        queued = (disk_bytes(edge_folder) - before) / values
        began = time.perf_counter()
        await here.start_edge()
        start_s = time.perf_counter() - began
        drained = await _drain(here, size)
        await trio.sleep(SETTLE_S)
        await here.stop_when_applied()
        all_values = values + drained.pop("live_sent") * len(RANGES)
        kept = (disk_bytes(edge_folder) - before) / all_values
        assert count_on(site.folder / "cloud") * len(RANGES) == all_values, "the cloud lacks some"
        (end_p99,) = way_ms(site.folder / "cloud", int(drained.pop("began_ms")), (0.99,))
    return {
        "start_s": start_s,
        "queued_bytes": queued,
        "kept_bytes": kept,
        "drain_end_p99_ms": end_p99,
        **drained,
    }


async def _drain(here: Ground, size: Size) -> Figures:
    """Start the cloud and live load; until the whole backlog is delivered."""
    site, loads = here.site, []

    async def live() -> None:
        loads.append(await here.load("mqtt", LIVE_PER_S, max(5.0, size.backlog / 10_000)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(live)
        await trio.sleep(1)
        await site.cloud.start(here.nursery)
        await site.cloud.wait_ready()
        began, first = trio.current_time(), await here.uplinked()
        while (last := await here.uplinked()) - first < size.backlog:
            if trio.current_time() - began > DRAIN_S_MAX:
                raise trio.TooSlowError
            await trio.sleep(0.1)
        took_s = trio.current_time() - began
    await site.wait_drained(DRAIN_S_MAX)
    (load,) = loads
    assert load["acknowledged"] == load["sent"]
    return {
        "drain_per_s": (last - first) / took_s,
        "drain_to_live": ((last - first) / took_s) / LIVE_PER_S,
        "drain_ack_p99_ms": load["p99_ms"],
        "live_sent": load["sent"],
        "began_ms": load["began_ms"],
    }


async def fill(folder: Path, devices: list[UUID], count: int) -> None:
    """Commit so many messages of five values to a folder that no edge is using."""
    context = Context("edge", folder, wall_clock_ms, ignore)
    storage = DuckdbStorage(DuckdbStorageConfig(), context)
    async with trio.open_nursery() as nursery:
        await nursery.start(storage.run)
        group: list[Unit] = []
        for unit in units(devices, count):
            group.append(unit)
            if len(group) == _GROUP:
                await storage.commit(group)
                group = []
        await storage.commit(group)
        nursery.cancel_scope.cancel()


def units(devices: list[UUID], count: int) -> Iterator[Unit]:
    """What the default rule chain makes of `count` messages, 1,000 a second until a minute ago."""
    chance = random.Random(1)
    entities = [EntityId("DEVICE", device) for device in devices[:DEVICES]]
    signals = [{key: Signal(*r, chance) for key, r in RANGES.items()} for _ in entities]
    first_ms = wall_clock_ms() - 60_000 - count
    for number in range(count):
        entity = entities[number % len(entities)]
        values = {key: s.read() for key, s in signals[number % len(entities)].items()}
        ts = first_ms + number
        body = encode_entry(ts, values)
        event = OutboxEvent(CLOUD, Lane.DATA, "DEVICE", "TIMESERIES_UPDATED", entity, body)
        yield Unit(series=[Series(entity, ts, values)], events=[event])
