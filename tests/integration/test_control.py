"""A running appliance answers what the command line asks about its data folder."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import trio

from appliance.control import SOCKET_FILE, ControlSocket, connect
from appliance.extension.hookspecs import Context
from appliance.extension.ports import SeriesQuery
from appliance.kernel.clock import wall_clock_ms
from appliance.kernel.events import ignore
from appliance.model.errors import Permanent, Retryable
from appliance.model.ids import EntityId, new_uuid
from appliance.model.telemetry import AttributeWrite, Scope, Series
from appliance.model.unit import CLOUD, EntityWrite, Lane, OutboxEvent, StateWrite, Unit
from appliance.state.store import State
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


async def test_state_and_history_of_a_folder_in_use(tmp_path: Path) -> None:
    storage = build(DuckdbStorageConfig(), Context("edge", tmp_path, wall_clock_ms, ignore))
    body = msgspec.json.encode({"id": DEVICE.to_json(), "name": "pump", "type": "default"})
    unit = Unit(
        entities=[EntityWrite("DEVICE", DEVICE.id, body)],
        attributes=[AttributeWrite(DEVICE, Scope.SERVER, 7, {"limit": {"a": [1, None, "ä"]}})],
        series=[Series(DEVICE, 5, {"t": 1.5, "n": 1 << 60}), Series(DEVICE, 6, {"t": True})],
        states=[StateWrite("rules", "k", b"\x00\xff")],
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(storage.run)
        await nursery.start(ControlSocket(tmp_path, storage).run)
        await storage.commit([unit])
        async with connect(tmp_path) as distant:
            state = State()
            await state.load(distant)
            known = state.by_name("DEVICE", "pump")
            assert known is not None and known["id"] == DEVICE.to_json()
            stored = state.attributes(DEVICE, Scope.SERVER)["limit"]
            assert (stored.ts, stored.value) == (7, {"a": [1, None, "ä"]})
            assert await distant.load_states("rules") == {"k": b"\x00\xff"}
            query = SeriesQuery(DEVICE, ("t", "n"), 0, 10, ascending=True)
            assert await distant.query_series(query) == await storage.query_series(query)
            assert await distant.latest(DEVICE) == {"t": (6, True), "n": (5, 1 << 60)}
            assert await distant.latest(DEVICE, ["t", "no"]) == {"t": (6, True)}
        nursery.cancel_scope.cancel()


async def test_a_folder_whose_owner_does_not_answer_says_so(tmp_path: Path) -> None:
    with pytest.raises(Retryable, match="does not answer"):
        async with connect(tmp_path):
            pass
