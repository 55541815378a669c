"""What the port does not say: tables, retention, the lock, repair, and what survives what."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path
from uuid import UUID

import pytest
import trio
import trio.testing

from appliance.extension.hookspecs import Context
from appliance.extension.ports import SeriesQuery
from appliance.kernel.clock import wall_clock_ms
from appliance.kernel.events import Event, ignore
from appliance.model.errors import ConfigError, Permanent, Retryable
from appliance.model.ids import EntityId, new_uuid
from appliance.model.telemetry import AttributeWrite, Scope, Series
from appliance.model.unit import CLOUD, EntityWrite, Lane, StateWrite, StoredEvent, Unit
from appliance.testing.storage import (
    DEVICE,
    all_pending,
    bodies,
    check_conservation,
    entity_event,
    query,
    running,
    telemetry,
)
from plugins.storage_duckdb import DuckdbStorage, applier, build, register_storage
from plugins.storage_duckdb.config import DuckdbStorageConfig
from plugins.storage_duckdb.database import FILE
from plugins.storage_duckdb.events import EventsDropped, GroupCommitted
from plugins.storage_duckdb.fsck import DAMAGED, OK, fsck
from plugins.storage_duckdb.sql import read_only_sql

SMALL = {"segment_bytes": 1 << 16, "history_s": 0.0, "free_bytes_min": 0}
CLOUD_EVENT = "SELECT seq, cloud_event_action, entity_body, status FROM cloud_event ORDER BY seq"


def storage_in(folder: Path, emit=ignore, clock=wall_clock_ms, **changes: object) -> DuckdbStorage:
    config = DuckdbStorageConfig(**(SMALL | changes))
    return build(config, Context("edge", folder, clock, emit))


async def fill_segments(storage: DuckdbStorage, count: int = 3) -> None:
    """Commit until there are that many segments."""
    number = 0
    while len(storage.statistics()["missing"]) or storage.statistics()["segments"] <= count:
        await storage.commit([telemetry(number + n, {"t": number + n}) for n in range(100)])
        number += 100


def test_the_hook_offers_the_storage() -> None:
    spec = register_storage()
    assert (spec.name, spec.config_type) == ("duckdb", DuckdbStorageConfig)


async def test_the_state_is_read_whole_while_the_points_are_behind(tmp_path: Path) -> None:
    """Whoever starts after a kill needs the state at once, and the history later."""
    asset = new_uuid()
    async with running(storage_in(tmp_path, apply_interval_s=3600.0)) as storage:
        await storage.commit([telemetry(number, {"t": number}) for number in range(50)])
        await storage.commit([Unit(entities=[EntityWrite("ASSET", asset, b"old")])])
        await storage.commit([telemetry(number, {"t": number}) for number in range(50, 99)])
        await storage.commit([Unit(entities=[EntityWrite("ASSET", asset, b"new")])])
        await storage.commit([Unit(states=[StateWrite("rules", "k", b"v")])])
        await storage.commit([Unit(attributes=[AttributeWrite(DEVICE, Scope.SHARED, 5, {"a": 1})])])
        loaded = [write async for chunk in storage.load_entities() for write in chunk]
        assert [(write.id, write.body) for write in loaded] == [(asset, b"new")]
        assert await storage.load_states("rules") == {"k": b"v"}
        assert [entry async for chunk in storage.load_attributes() for entry in chunk]
        assert storage.statistics()["applied_seq"] == 0  # nobody had to wait for this

        points = await storage.query_series(SeriesQuery(DEVICE, ("t",), 0, 1_000))
        assert len(points["t"]) == 99  # for which everything is applied, in order
        loaded = [write async for chunk in storage.load_entities() for write in chunk]
        assert [(write.id, write.body) for write in loaded] == [(asset, b"new")]
    async with running(storage_in(tmp_path)) as storage:
        assert await storage.load_states("rules") == {"k": b"v"}


async def test_what_is_applied_again_outlives_the_next_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a machine that crashes again and again starts slower each time."""
    monkeypatch.setattr(applier, "_REPLAY_MIN", 10)
    monkeypatch.setattr(applier, "_REPLAY_STEP", 50)
    lives = [tmp_path / name for name in ("first", "second", "third")]
    async with running(storage_in(lives[0], apply_interval_s=3600.0)) as storage:
        await storage.commit([telemetry(number, {"t": number}) for number in range(300)])
        shutil.copytree(lives[0], lives[1])
    async with running(storage_in(lives[1])) as storage:
        assert (await storage.query_series(query("t")))["t"]
        shutil.copytree(lives[1], lives[2])
    assert await applied_at_start(lives[2]) >= 300


async def applied_at_start(folder: Path) -> int:
    async with running(storage_in(folder, apply_interval_s=3600.0)) as storage:
        return int(storage.statistics()["applied_seq"])


# --- tables --------------------------------------------------------------------------------------


async def test_cloud_event_shows_telemetry_from_history_and_status_from_the_cursor(
    tmp_path: Path,
) -> None:
    async with running(storage_in(tmp_path)) as storage:
        first = await storage.commit([telemetry(5, {"t": 1.5, "on": True, "s": 'a"b'})])
        await storage.commit([entity_event(1, Lane.DATA), entity_event(2, Lane.DATA)])
        await storage.commit([entity_event(3, Lane.DATA)])
        events = await all_pending(storage)
        storage.acknowledge(CLOUD, Lane.DATA, [events[0], events[3]])
        await storage.quarantine(CLOUD, Lane.DATA, events[2], "too large", 9)
        names, rows = await storage.sql(CLOUD_EVENT)
        assert names == ["seq", "cloud_event_action", "entity_body", "status"]
        assert rows[0] == (
            first,
            "TIMESERIES_UPDATED",
            '{"data":{"t":1.5,"on":true,"s":"a\\"b"},"ts":5}',
            "DEPLOYED",
        )
        assert [row[2:] for row in rows[1:]] == [
            ('{"number":1}', "PENDING"),
            ('{"number":2}', "QUARANTINED"),
            ('{"number":3}', "DEPLOYED"),
        ]
        columns, _ = await storage.sql("SELECT * FROM cloud_event")
        assert columns[:10] == [
            "id", "created_time", "tenant_id", "edge_id", "cloud_event_type", "entity_type",
            "entity_id", "cloud_event_action", "entity_body", "ts",
        ]  # fmt: skip


async def test_every_documented_table_can_be_asked(tmp_path: Path) -> None:
    device = UUID(int=5, version=1)
    async with running(storage_in(tmp_path)) as storage:
        await storage.commit(
            [
                telemetry(1, {"t": 1}),
                Unit(
                    entities=[EntityWrite("DEVICE", device, b'{"name":"a"}')],
                    attributes=[AttributeWrite(DEVICE, Scope.SHARED, 3, {"k": [1]})],
                    states=[StateWrite("o", "k", b"v")],
                ),
                entity_event(1, outbox="peer"),
            ]
        )
        assert (await storage.sql("SELECT entity_type, key, ts, long_v FROM ts_kv"))[1] == [
            ("DEVICE", "t", 1, 1)
        ]
        assert (await storage.sql("SELECT * FROM entity"))[1] == [
            ("DEVICE", device, '{"name":"a"}')
        ]
        attributes = "SELECT attribute_type, attribute_key, value FROM attribute_kv"
        assert (await storage.sql(attributes))[1] == [("SHARED_SCOPE", "k", "[1]")]
        assert (await storage.sql("SELECT edge_id, status FROM edge_event"))[1] == [
            ("peer", "PENDING")
        ]
        assert (await storage.sql("FROM state"))[1] == [("o", "k", b"v")]
        for table in ("quarantine", "cursor"):
            await storage.sql(f"FROM {table}")
    names, rows = read_only_sql(tmp_path, "SELECT count(*) AS n FROM ts_kv")
    assert (names, rows) == (["n"], [(1,)])


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM store.history",
        "SELECT 1; DELETE FROM store.history",
        "WITH x AS (SELECT 1) INSERT INTO store.state SELECT 'a', 'b', NULL",
        "COPY (SELECT 1) TO 'stolen.csv'",
        "ATTACH 'other.db'",
        "PRAGMA database_size",
        "SET threads = 8",
        "CREATE TABLE t (a INTEGER)",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "EXPLAIN ANALYZE DELETE FROM store.history",
        "CALL checkpoint()",
        "nonsense",
        "",
    ],
)
async def test_sql_only_reads(tmp_path: Path, statement: str) -> None:
    async with running(storage_in(tmp_path)) as storage:
        await storage.commit([telemetry(1, {"t": 1})])
        with pytest.raises(Permanent):
            await storage.sql(statement)
        assert (await storage.sql("SELECT count(*) FROM ts_kv"))[1] == [(1,)]
        await storage.commit([telemetry(2, {"t": 2})])
        assert (await storage.sql("SELECT count(*) FROM ts_kv"))[1] == [(2,)]


async def test_a_statement_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    async with running(storage_in(tmp_path, sql_timeout_s=0.05)) as storage:
        with pytest.raises(Permanent, match="longer"):
            await storage.sql(
                "SELECT sum(a.range * b.range) FROM range(1000000) a, range(100000) b"
            )
        assert (await storage.sql("SELECT 1"))[1] == [(1,)]


# --- the ways out --------------------------------------------------------------------------------


async def test_delivered_segments_go_and_everything_else_stays(tmp_path: Path) -> None:
    async with running(storage_in(tmp_path)) as storage:
        await storage.commit([entity_event(7)])
        await storage.commit([Unit(entities=[EntityWrite("DEVICE", DEVICE.id, b"{}")])])
        (stuck,) = await all_pending(storage, Lane.ENTITY)
        await storage.quarantine(CLOUD, Lane.ENTITY, stuck, "refused", 3)
        await fill_segments(storage)
        count = storage.depth(CLOUD, Lane.DATA).accepted
        storage.acknowledge(CLOUD, Lane.DATA, await all_pending(storage))
        before = storage.statistics()["segments"]
        await storage.commit([telemetry(1 << 30, {"t": 0})])
        await storage.reclaim()
        assert storage.statistics()["segments"] < before
    (tmp_path / FILE).unlink()
    async with running(storage_in(tmp_path)) as storage:
        assert "history and events before" in storage.statistics()["missing"][0]
        entities = [entity async for chunk in storage.load_entities() for entity in chunk]
        assert entities == [EntityWrite("DEVICE", DEVICE.id, b"{}")]
        (entry,) = storage.quarantined()
        assert entry.event == stuck
        depth = storage.depth(CLOUD, Lane.DATA)
        assert (depth.acknowledged, depth.pending) == (count, 1)
        assert await storage.retry_quarantined(CLOUD, [stuck.position]) == 1
        assert bodies(await all_pending(storage, Lane.ENTITY)) == [stuck.event.body]
        check_conservation(storage)


async def test_undelivered_segments_stay_unless_a_limit_says_otherwise(tmp_path: Path) -> None:
    async with running(storage_in(tmp_path)) as storage:
        await fill_segments(storage)
        await storage.reclaim()
        accepted = storage.depth(CLOUD, Lane.DATA).accepted
        assert storage.depth(CLOUD, Lane.DATA).pending == accepted
    emitted: list[Event] = []
    limited = storage_in(tmp_path, emit=emitted.append, outbox_bytes_max=100_000)
    async with running(limited) as storage:
        events = await all_pending(storage)
        storage.acknowledge(CLOUD, Lane.DATA, [events[1], events[-1]])
        await storage.reclaim()
        depth = storage.depth(CLOUD, Lane.DATA)
        dropped = depth.dropped["size"]
        assert depth.accepted == accepted
        assert depth.acknowledged == 2
        assert depth.pending == accepted - 2 - dropped > 0
        assert len(await all_pending(storage)) == depth.pending
        told = [event for event in emitted if isinstance(event, EventsDropped)]
        assert sum(event.count for event in told) == dropped
        status = "SELECT status, count(*)::INTEGER FROM cloud_event GROUP BY 1 ORDER BY 1"
        rows = dict((await storage.sql(status))[1])
        assert rows["DROPPED"] == dropped + 1  # one of them had been delivered out of order
        check_conservation(storage)
    async with running(storage_in(tmp_path)) as storage:
        assert storage.depth(CLOUD, Lane.DATA).dropped == {"size": dropped}
        check_conservation(storage)


async def test_history_goes_by_age_since_arrival_but_not_what_waits(tmp_path: Path) -> None:
    now = [1_000_000 * 86_400]
    month = 30 * 86_400.0
    storage = storage_in(tmp_path, clock=lambda: now[0], history_s=month)
    async with running(storage):
        await storage.commit([telemetry(5, {"t": 1})])
        storage.acknowledge(CLOUD, Lane.DATA, await all_pending(storage))
        await storage.commit([telemetry(6, {"t": 2})])
        now[0] += 40 * 86_400_000
        await storage.commit([telemetry(7, {"t": 3}), telemetry(now[0], {"t": 4})])
        await storage.reclaim()
        found = await storage.query_series(query("t", start_ms=0, end_ms=now[0] + 1))
        assert found == {"t": [(6, 2), (7, 3), (now[0], 4)]}


async def test_a_point_at_the_end_of_time_does_not_stop_what_expires(tmp_path: Path) -> None:
    now = 1_000_000 * 86_400_000
    async with running(storage_in(tmp_path, clock=lambda: now)) as storage:
        times = (1, (1 << 63) - 1)
        series = [Series(DEVICE, ts, {"t": 1}, ttl_s=60) for ts in times]
        await storage.commit([Unit(series=[point]) for point in series])
        await storage.reclaim()
        assert await storage.latest(DEVICE) == {"t": (times[1], 1)}
        found = await storage.query_series(query("t", start_ms=0, end_ms=times[1]))
        assert found == {}


# --- the journal read from disk ------------------------------------------------------------------


async def test_a_sender_far_behind_reads_the_journal_in_order(tmp_path: Path) -> None:
    async with running(storage_in(tmp_path, ring_bytes_max=20_000)) as storage:
        await storage.commit([entity_event(0)])
        await fill_segments(storage)
        await storage.commit([entity_event(1)])
        events: list[StoredEvent] = []
        while step := await storage.pending(CLOUD, Lane.DATA, None, 64, 1 << 20):
            storage.acknowledge(CLOUD, Lane.DATA, step)
            events += step
        assert len(events) == storage.depth(CLOUD, Lane.DATA).accepted
        assert [e.position for e in events] == sorted(e.position for e in events)
        assert bodies(await all_pending(storage, Lane.ENTITY)) == [
            b'{"number":0}', b'{"number":1}',
        ]  # fmt: skip


async def test_what_waits_for_the_disk_is_bounded_by_its_memory(tmp_path: Path) -> None:
    taken: list[int] = []
    refused: list[Retryable] = []

    async def commit(storage: DuckdbStorage, number: int) -> None:
        try:
            await storage.commit([telemetry(number, {"t": number})])
            taken.append(number)
        except Retryable as error:
            refused.append(error)

    disk = threading.Event()
    async with running(storage_in(tmp_path, backlog_bytes_max=10_000)) as storage:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(storage._opened().committer.exclusively, disk.wait)
            for number in range(40):
                nursery.start_soon(commit, storage, number)
                await trio.testing.wait_all_tasks_blocked(0.001)
            assert len(refused) > 30
            disk.set()
        assert len(taken) + len(refused) == 40
        assert sorted(v for _, v in (await storage.query_series(query("t")))["t"]) == sorted(taken)


async def test_a_value_that_cannot_be_stored_is_the_callers_problem(tmp_path: Path) -> None:
    async with running(storage_in(tmp_path)) as storage:
        with pytest.raises(Permanent):
            await storage.commit([Unit(states=[StateWrite("o", "k", object())])])  # type: ignore[arg-type]  # on purpose
        await storage.commit([entity_event(1)])


async def test_a_record_that_the_database_cannot_take_is_stepped_over_and_told(
    tmp_path: Path,
) -> None:
    poison = Unit(attributes=[AttributeWrite(DEVICE, Scope.SHARED, 1 << 63, {"a": 1})])
    async with running(storage_in(tmp_path)) as storage:
        await storage.commit([telemetry(1, {"t": 1}), poison, telemetry(2, {"t": 2})])
        assert await storage.query_series(query("t")) == {"t": [(1, 1), (2, 2)]}
        assert "record 2 cannot be shown" in storage.statistics()["missing"][0]


async def test_calls_before_and_after_running_say_wait(tmp_path: Path) -> None:
    storage = storage_in(tmp_path)
    with pytest.raises(Retryable):
        await storage.commit([entity_event(1)])
    async with running(storage):
        await storage.commit([entity_event(1)])
    with pytest.raises(Retryable):
        await storage.commit([entity_event(1)])


# --- lock and fsck -------------------------------------------------------------------------------


async def test_a_second_process_is_told_who_has_the_folder(tmp_path: Path) -> None:
    async with running(storage_in(tmp_path)):
        with pytest.raises(ConfigError, match=str(os.getpid())):
            await storage_in(tmp_path).run()
        with pytest.raises(ConfigError, match="in use"):
            read_only_sql(tmp_path, "SELECT 1")
        with pytest.raises(ConfigError, match="in use"):
            fsck(tmp_path)
    assert fsck(tmp_path).exit_code == OK


def test_fsck_refuses_what_is_no_data_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a data folder"):
        fsck(tmp_path)


async def test_fsck_finds_damage_changes_nothing_and_repairs_on_request(tmp_path: Path) -> None:
    async with running(storage_in(tmp_path)) as storage:
        await fill_segments(storage, 1)
        count = storage.depth(CLOUD, Lane.DATA).accepted
    victim = sorted((tmp_path / "journal").iterdir())[0]
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    report = fsck(tmp_path)
    assert report.exit_code == DAMAGED
    assert "1 undelivered events of cloud/DATA" in report.problems[0]
    assert report.problems[0] in report.to_text()
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert fsck(tmp_path, repair=True).exit_code == OK
    again = fsck(tmp_path)
    assert (again.exit_code, again.problems) == (OK, [])
    assert again.lanes[0].dropped == {"damage": 1}
    assert again.lanes[0].pending == count - 1
    assert '"problems": []' in again.to_json()


@pytest.mark.parametrize("victim", [0, 1])
async def test_a_segment_that_is_gone_is_told_and_accounted(tmp_path: Path, victim: int) -> None:
    async with running(storage_in(tmp_path)) as storage:
        await fill_segments(storage)
        whole = await all_pending(storage)
    gone = sorted((tmp_path / "journal").iterdir())[victim]
    gone.unlink()
    for _ in range(2):
        async with running(storage_in(tmp_path)) as storage:
            left = await all_pending(storage)
            depth = storage.depth(CLOUD, Lane.DATA)
            assert len(left) == depth.pending < len(whole) == depth.accepted
            assert depth.dropped == {"damage": len(whole) - len(left)}
            (line,) = storage.statistics()["missing"]
            assert line.startswith("journal records gone: records ")
            check_conservation(storage)


async def test_acknowledgements_wait_for_a_commit_or_a_second(tmp_path: Path) -> None:
    emitted: list[Event] = []
    storage = storage_in(tmp_path, emit=emitted.append, acknowledge_interval_s=60.0)
    async with running(storage):
        await storage.commit([entity_event(n) for n in range(3)])
        groups = sum(isinstance(event, GroupCommitted) for event in emitted)
        storage.acknowledge(CLOUD, Lane.ENTITY, (await all_pending(storage, Lane.ENTITY))[:1])
        await trio.sleep(0.05)
        assert sum(isinstance(event, GroupCommitted) for event in emitted) == groups
        await storage.commit([entity_event(4)])
        status = "SELECT status FROM cloud_event ORDER BY seq"
        assert (await storage.sql(status))[1][0] == ("DEPLOYED",)


async def test_entities_of_many_kinds_survive_a_lost_database(tmp_path: Path) -> None:
    entity = EntityId("DEVICE", new_uuid())
    async with running(storage_in(tmp_path)) as storage:
        await storage.commit([telemetry(n, {"t": n}, entity=entity) for n in range(10)])
    (tmp_path / FILE).write_bytes(b"not a database at all")
    async with running(storage_in(tmp_path)) as storage:
        assert await storage.latest(entity) == {"t": (9, 9)}
        assert len(await all_pending(storage)) == 10
