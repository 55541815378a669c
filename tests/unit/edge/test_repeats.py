"""What of the cloud's values is news here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from appliance.edge.repeats import news
from appliance.model.errors import Retryable
from appliance.model.ids import EntityId, new_uuid
from appliance.model.telemetry import Series
from appliance.model.unit import Unit
from appliance.testing.memory_storage import MemoryStorage

DEVICE = EntityId("DEVICE", new_uuid())


@asynccontextmanager
async def history(*points: tuple[int, dict[str, Any]]) -> AsyncIterator[MemoryStorage]:
    storage = MemoryStorage()
    async with trio.open_nursery() as nursery:
        await nursery.start(storage.run)
        await storage.commit([Unit(series=[Series(DEVICE, ts, values) for ts, values in points])])
        yield storage
        nursery.cancel_scope.cancel()


async def test_what_history_holds_is_no_news() -> None:
    async with history((1, {"t": 1}), (2, {"t": 2, "p": 1})) as storage:
        points = [(1, {"t": 1}), (2, {"t": 2, "p": 1})]
        assert await news(storage, DEVICE, points) == []


async def test_other_values_keys_times_and_types_are_news() -> None:
    async with history((1, {"t": 1}), (3, {"t": 3, "on": True})) as storage:
        points: list[tuple[int, dict[str, Any]]] = [
            (1, {"t": 9}), (2, {"t": 1}), (3, {"t": 3.0, "on": 1, "new": 0}), (4, {"t": 3}),
        ]  # fmt: skip
        assert await news(storage, DEVICE, points) == points


async def test_of_a_point_only_the_new_keys_are_news() -> None:
    async with history((1, {"t": 1})) as storage:
        assert await news(storage, DEVICE, [(1, {"t": 1, "p": 2})]) == [(1, {"p": 2})]


async def test_in_doubt_everything_is_news() -> None:
    class Behind(MemoryStorage):
        async def latest(self, entity: Any, keys: Any = None) -> Any:
            raise Retryable("the database is behind")

    assert await news(Behind(), DEVICE, [(1, {"t": 1})]) == [(1, {"t": 1})]
