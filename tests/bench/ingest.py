"""Durable ingest, and what of it the cloud acknowledges: steady at the floor, and at full load."""

from __future__ import annotations

import time

import trio

from tests.bench.ground import (
    DRAIN_S_MAX,
    Figures,
    Ground,
    Peak,
    Size,
    count_on,
    cpu_s,
    ground,
    way_ms,
)

STEADY_PER_S = 5_000
FULL_PER_S = 40_000
"""More than it takes; the generator holds back what has no room."""
HTTP_STEADY_PER_S = 500


async def steady(size: Size) -> Figures:
    """The load that must be carried, for a minute."""
    async with ground() as here:
        figures = await _carry(here, "steady", STEADY_PER_S, size.steady_s)
        await here.stop_when_applied()
        cloud = here.site.folder / "cloud"
        p50, p99 = way_ms(cloud, 0)
        assert count_on(cloud) == figures["sent"], "the cloud does not have all"
    return {**figures, "steady_end_p50_ms": p50, "steady_end_p99_ms": p99}


async def full(size: Size) -> Figures:
    """As much as it takes over MQTT."""
    async with ground() as here:
        figures = await _carry(here, "mqtt", FULL_PER_S, size.full_s)
        await here.stop_when_applied()
        assert count_on(here.site.folder / "cloud") == figures["sent"], "the cloud lacks some"
    return figures


async def http(size: Size) -> Figures:
    """Posts: as many as it takes, and the wait at a load that is usual."""
    async with ground() as here:
        calm = await here.load("http", HTTP_STEADY_PER_S, size.full_s)
        hard = await here.load("http", FULL_PER_S / 10, size.full_s)
    return {
        "http_durable_per_s": hard["acknowledged"] / hard["seconds"],
        "http_ack_p50_ms": calm["p50_ms"],
        "http_ack_p99_ms": calm["p99_ms"],
    }


async def _carry(here: Ground, name: str, rate: float, seconds: float) -> Figures:
    """Offer load and wait until the cloud has acknowledged the last of it."""
    site = here.site
    edge, cloud = Peak(site.edge), Peak(site.cloud)
    before = await cpu_s(site.edge), await cpu_s(site.cloud)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(edge.watch)
        nursery.start_soon(cloud.watch)
        progress = await nursery.start(here.watch_uplink)
        load = await here.load("mqtt", rate, seconds)
        await site.wait_drained(DRAIN_S_MAX)
        nursery.cancel_scope.cancel()
    after = await cpu_s(site.edge), await cpu_s(site.cloud)
    count = load["acknowledged"]
    assert count == load["sent"], f"{load['sent'] - count} messages were not acknowledged"
    drained_ms = next((at for at, there in progress if there >= count), time.time() * 1000)
    return {
        "sent": count,
        f"{name}_durable_per_s": count / load["seconds"],
        f"{name}_uplink_per_s": count / (drained_ms - load["began_ms"]) * 1000,
        f"{name}_ack_p50_ms": load["p50_ms"],
        f"{name}_ack_p99_ms": load["p99_ms"],
        f"{name}_edge_us": (after[0] - before[0]) / count * 1e6,
        f"{name}_cloud_us": (after[1] - before[1]) / count * 1e6,
        f"{name}_edge_rss_mb": edge.rss_bytes / 1e6,
        f"{name}_cloud_rss_mb": cloud.rss_bytes / 1e6,
    }
