"""A change made on the cloud and an edge's word, at the same moment."""

from __future__ import annotations

import trio
import trio.testing

from appliance.cloud.registry import Edges
from appliance.state.store import State


async def test_what_an_edge_says_waits_until_the_state_has_what_the_disk_has() -> None:
    edges = Edges(State())
    order: list[str] = []
    durable = trio.Event()

    async def change() -> None:
        async with edges.changing():
            order.append("committing")
            await durable.wait()
            order.append("applied")

    async def hear() -> None:
        await edges.wait_settled()
        order.append("heard")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(change)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(hear)
        await trio.testing.wait_all_tasks_blocked()
        durable.set()

    assert order == ["committing", "applied", "heard"]
    await edges.wait_settled()
