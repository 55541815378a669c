"""A running appliance answers what the command line asks about its data folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from appliance.control import SOCKET_FILE, ControlSocket, connect
from appliance.extension.hookspecs import Context
from appliance.kernel.clock import wall_clock_ms
from appliance.kernel.events import ignore
from appliance.model.errors import Permanent, Retryable
from appliance.model.ids import EntityId, new_uuid
from appliance.model.telemetry import Series
from appliance.model.unit import CLOUD, Lane, OutboxEvent, Unit
from plugins.storage_duckdb import build
from plugins.storage_duckdb.config import DuckdbStorageConfig

DEVICE = EntityId("DEVICE", new_uuid())


async def test_sql_and_quarantine_of_a_folder_in_use(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 30)
    folder.mkdir()
    storage = build(DuckdbStorageConfig(), Context("edge", folder, wall_clock_ms, ignore))
    event = OutboxEvent(CLOUD, Lane.ENTITY, "DEVICE", "UPDATED", DEVICE)
    async with trio.open_nursery() as nursery:
        await nursery.start(storage.run)
        await nursery.start(ControlSocket(folder, storage).run)
        await storage.commit([Unit(series=[Series(DEVICE, 5, {"t": 1.5})], events=[event])])
        (stored,) = await storage.pending(CLOUD, Lane.ENTITY, None, 10, 1000)
        await storage.quarantine(CLOUD, Lane.ENTITY, stored, "no such thing", 12)

        async with connect(folder) as distant:
            columns, rows = await distant.sql("SELECT key, ts, dbl_v FROM ts_kv")
            assert (columns, rows) == (["key", "ts", "dbl_v"], [("t", 5, 1.5)])
            with pytest.raises(Permanent, match="reading"):
                await distant.sql("DROP TABLE store.history")
            (aside,) = distant.quarantined(CLOUD)
            assert ("no such thing", event) == (aside.reason, aside.event.event)
            assert await distant.retry_quarantined(CLOUD, [aside.event.position]) == 1
            assert storage.depth(CLOUD, Lane.ENTITY).pending == 1
            assert (folder / SOCKET_FILE).stat().st_mode & 0o777 == 0o600
        nursery.cancel_scope.cancel()


async def test_a_folder_whose_owner_does_not_answer_says_so(tmp_path: Path) -> None:
    with pytest.raises(Retryable, match="does not answer"):
        async with connect(tmp_path):
            pass
