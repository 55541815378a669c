"""The conformance suite of the `Storage` port.

Subclass `StorageConformance` in a test module, say how to open one, and pytest runs the rest::

    class TestMyStorage(StorageConformance):
        def open(self, folder):
            return running(MyStorage(folder))

Opening the same folder again after the first was closed must show what was committed before.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import trio
import trio.testing

from appliance.extension.ports import AttributeValue, SeriesQuery, Storage
from appliance.model.ids import EntityId
from appliance.model.telemetry import AttributeDelete, AttributeWrite, Scope, Series, Value
from appliance.model.unit import (
    CLOUD,
    EntityWrite,
    Lane,
    OutboxEvent,
    StateWrite,
    StoredEvent,
    Unit,
)
from appliance.sync.wire import encode_entry

StorageT = TypeVar("StorageT", bound=Storage)

DEVICE = EntityId("DEVICE", UUID("11111111-0000-11ee-8000-000000000001"))
OTHER = EntityId("ASSET", UUID("11111111-0000-11ee-8000-000000000002"))


@asynccontextmanager
async def running(storage: StorageT) -> AsyncIterator[StorageT]:
    """The storage with its `run` under way; leaving stops it cleanly."""
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: storage.run(task_status=task_status))
        yield storage
        nursery.cancel_scope.cancel()


def telemetry(ts: int, values: dict[str, Value], *, entity: EntityId = DEVICE) -> Unit:
    """What one telemetry message causes: history and an event with the very same values."""
    event = OutboxEvent(
        CLOUD, Lane.DATA, entity.type, "TIMESERIES_UPDATED", entity, encode_entry(ts, values)
    )
    return Unit(series=[Series(entity, ts, values)], events=[event])


def entity_event(number: int, lane: Lane = Lane.ENTITY, outbox: str = CLOUD) -> Unit:
    """One event with a recognizable body."""
    body = b'{"number":%d}' % number
    return Unit(events=[OutboxEvent(outbox, lane, "DEVICE", "UPDATED", DEVICE, body)])


def query(*keys: str, **options: object) -> SeriesQuery:
    """A query of DEVICE over the first minute."""
    arguments = {"start_ms": 0, "end_ms": 60_000, "limit": 1000, "ascending": True} | options
    return SeriesQuery(DEVICE, keys, **arguments)  # type: ignore[arg-type]  # test shorthand


async def all_pending(
    storage: Storage, lane: Lane = Lane.DATA, outbox: str = CLOUD
) -> Sequence[StoredEvent]:
    """Everything that waits in a lane, read in small steps."""
    events: list[StoredEvent] = []
    after: tuple[int, int] | None = None
    while step := await storage.pending(outbox, lane, after, 7, 10_000):
        events.extend(step)
        after = step[-1].position
    return events


def bodies(events: Sequence[StoredEvent]) -> list[bytes]:
    """The events' bodies, in order."""
    return [stored.event.body for stored in events]


def check_conservation(storage: Storage) -> None:
    """accepted = acknowledged + pending + quarantined + dropped, in every lane."""
    for outbox in storage.outboxes():
        for lane in Lane:
            depth = storage.depth(outbox, lane)
            parts = depth.acknowledged + depth.pending + depth.quarantined
            assert depth.accepted == parts + sum(depth.dropped.values()), (outbox, lane, depth)


class StorageConformance:
    """What every storage must do. Each test gets an empty folder of its own."""

    def open(self, folder: Path) -> AbstractAsyncContextManager[Storage]:
        """A running storage over `folder`; leaving the context is a clean stop."""
        raise TypeError("a conformance class says how to open its storage")

    # commit and outbox ---------------------------------------------------------------------------
    async def test_sequences_count_up_across_commits(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as storage:
            first = await storage.commit([entity_event(0), entity_event(1)])
            assert await storage.commit([entity_event(2)]) == first + 2
            events = await all_pending(storage, Lane.ENTITY)
            assert [event.seq for event in events] == [first, first + 1, first + 2]
            assert bodies(events) == [b'{"number":%d}' % n for n in range(3)]

    async def test_empty_units_are_allowed(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as storage:
            await storage.commit([])
            first = await storage.commit([Unit(), entity_event(1), Unit()])
            (event,) = await all_pending(storage, Lane.ENTITY)
            assert event.seq == first + 1

    async def test_events_of_one_unit_keep_their_places(self, tmp_path: Path) -> None:
        unit = Unit(events=[entity_event(n, Lane(n % 3)).events[0] for n in range(9)])
        async with self.open(tmp_path) as storage:
            seq = await storage.commit([unit])
            for lane in Lane:
                positions = [event.position for event in await all_pending(storage, lane)]
                assert positions == [(seq, n) for n in range(9) if n % 3 == lane]

    async def test_an_event_comes_back_as_it_was_given(self, tmp_path: Path) -> None:
        unit = telemetry(5_000, {"t": 21.5, "n": -7, "on": True, "s": "ä", "j": {"a": [1]}})
        named = OutboxEvent(
            "peer", Lane.PRIORITY, "ALARM", "ADDED", OTHER, b"{}", UUID(int=7, version=1)
        )
        async with self.open(tmp_path) as storage:
            await storage.commit([unit, Unit(events=[named])])
        async with self.open(tmp_path) as storage:
            assert (await all_pending(storage))[0].event == unit.events[0]
            (event,) = await all_pending(storage, Lane.PRIORITY, "peer")
            assert event.event == named
            assert list(storage.outboxes()) == [CLOUD, "peer"]

    async def test_concurrent_commits_are_durable_in_the_order_of_their_calls(
        self, tmp_path: Path
    ) -> None:
        async with self.open(tmp_path) as storage:
            async with trio.open_nursery() as nursery:
                for number in range(50):
                    nursery.start_soon(storage.commit, [entity_event(number)])
                    await trio.testing.wait_all_tasks_blocked(0.0)
            expected = [b'{"number":%d}' % n for n in range(50)]
            assert bodies(await all_pending(storage, Lane.ENTITY)) == expected

    async def test_pending_honours_its_limits_but_gives_at_least_one(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as storage:
            await storage.commit([entity_event(n) for n in range(10)])
            assert len(await storage.pending(CLOUD, Lane.ENTITY, None, 4, 1 << 20)) == 4
            assert len(await storage.pending(CLOUD, Lane.ENTITY, None, 4, 1)) == 1
            assert len(await storage.pending(CLOUD, Lane.ENTITY, None, 10, 25)) == 2
            assert not await storage.pending(CLOUD, Lane.DATA, None, 4, 1 << 20)
            assert not await storage.pending("nobody", Lane.DATA, None, 4, 1 << 20)

    async def test_wait_pending_wakes_when_something_is_committed(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as storage, trio.open_nursery() as nursery:
            woken: list[str] = []

            async def wait(name: str, lane: Lane, after: tuple[int, int] | None) -> None:
                await storage.wait_pending(CLOUD, lane, after)
                woken.append(name)

            seq = await storage.commit([entity_event(0)])
            await wait("at once", Lane.ENTITY, None)
            nursery.start_soon(wait, "next", Lane.ENTITY, (seq, 0))
            nursery.start_soon(wait, "never", Lane.DATA, None)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert woken == ["at once"]
            await storage.commit([entity_event(1)])
            while len(woken) < 2:
                await trio.sleep(0.001)
            assert woken == ["at once", "next"]
            nursery.cancel_scope.cancel()

    async def test_acknowledged_events_are_gone_in_any_order_and_more_than_once(
        self, tmp_path: Path
    ) -> None:
        async with self.open(tmp_path) as storage:
            await storage.commit([entity_event(n) for n in range(10)])
            events = await all_pending(storage, Lane.ENTITY)
            for event in (events[3], events[0], events[3], events[9]):
                storage.acknowledge(CLOUD, Lane.ENTITY, [event])
            kept = [n for n in range(10) if n not in (0, 3, 9)]
            expected = [b'{"number":%d}' % n for n in kept]
            assert bodies(await all_pending(storage, Lane.ENTITY)) == expected
            assert storage.depth(CLOUD, Lane.ENTITY).acknowledged == 3
            check_conservation(storage)
        async with self.open(tmp_path) as storage:
            assert bodies(await all_pending(storage, Lane.ENTITY)) == expected
            storage.acknowledge(CLOUD, Lane.ENTITY, await all_pending(storage, Lane.ENTITY))
            assert not await all_pending(storage, Lane.ENTITY)
            depth = storage.depth(CLOUD, Lane.ENTITY)
            assert (depth.pending, depth.pending_bytes, depth.oldest_ms) == (0, 0, None)
            assert (depth.accepted, depth.acknowledged) == (10, 10)
            check_conservation(storage)

    async def test_depth_counts_what_waits(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as storage:
            await storage.commit([telemetry(n, {"t": float(n)}) for n in range(5)])
            events = await all_pending(storage)
            storage.acknowledge(CLOUD, Lane.DATA, events[:2])
            depth = storage.depth(CLOUD, Lane.DATA)
            assert (depth.accepted, depth.pending, depth.acknowledged) == (5, 3, 2)
            assert depth.pending_bytes == sum(len(body) for body in bodies(events[2:]))
            assert depth.oldest_ms == events[2].committed_ms
        async with self.open(tmp_path) as storage:
            assert storage.depth(CLOUD, Lane.DATA) == depth

    # quarantine ----------------------------------------------------------------------------------
    async def test_a_quarantined_event_is_set_aside_and_can_be_retried(
        self, tmp_path: Path
    ) -> None:
        async with self.open(tmp_path) as storage:
            await storage.commit([entity_event(n) for n in range(3)])
            events = await all_pending(storage, Lane.ENTITY)
            await storage.quarantine(CLOUD, Lane.ENTITY, events[1], "Device name taken", 99)
            storage.acknowledge(CLOUD, Lane.ENTITY, [events[0]])
            assert bodies(await all_pending(storage, Lane.ENTITY)) == [b'{"number":2}']
            assert storage.depth(CLOUD, Lane.ENTITY).quarantined == 1
            check_conservation(storage)
        async with self.open(tmp_path) as storage:
            (entry,) = storage.quarantined(CLOUD)
            assert (entry.event, entry.reason, entry.size) == (events[1], "Device name taken", 99)
            assert not storage.quarantined("nobody")
            assert bodies(await all_pending(storage, Lane.ENTITY)) == [b'{"number":2}']
            positions = [events[1].position, (999_999, 0)]
            assert await storage.retry_quarantined(CLOUD, positions) == 1
            assert not storage.quarantined()
            expected = [b'{"number":2}', b'{"number":1}']
            assert bodies(await all_pending(storage, Lane.ENTITY)) == expected
            check_conservation(storage)
        async with self.open(tmp_path) as storage:
            assert bodies(await all_pending(storage, Lane.ENTITY)) == expected
            assert not storage.quarantined()
            check_conservation(storage)

    # state ---------------------------------------------------------------------------------------
    async def test_entities_attributes_and_states_survive_a_restart(self, tmp_path: Path) -> None:
        one, two = UUID(int=1, version=1), UUID(int=2, version=1)
        async with self.open(tmp_path) as storage:
            await storage.commit(
                [
                    Unit(
                        entities=[
                            EntityWrite("DEVICE", one, b'{"name":"a"}'),
                            EntityWrite("DEVICE", two, b"{}"),
                            EntityWrite("ASSET", one, b"{}"),
                        ],
                        attributes=[AttributeWrite(DEVICE, Scope.SHARED, 10, {"a": 1, "b": "x"})],
                        states=[
                            StateWrite("sync", "cursor", b"\x00\x01"),
                            StateWrite("sync", "gone", b""),
                        ],
                    ),
                    Unit(
                        entities=[
                            EntityWrite("DEVICE", one, b'{"name":"b"}'),
                            EntityWrite("DEVICE", two, None),
                        ],
                        attributes=[
                            AttributeWrite(DEVICE, Scope.SHARED, 9, {"a": 2}),
                            AttributeWrite(DEVICE, Scope.SERVER, 11, {"a": [1.5]}),
                            AttributeDelete(DEVICE, Scope.SHARED, ("b",), 12),
                            AttributeDelete(DEVICE, Scope.SHARED, ("a",), 9),
                            AttributeWrite(DEVICE, Scope.CLIENT, 13, {"c": 1}),
                            AttributeDelete(DEVICE, Scope.CLIENT, ("c",), 0),
                        ],
                        states=[StateWrite("sync", "gone", None), StateWrite("other", "k", b"v")],
                    ),
                ]
            )
            await self._check_state(storage, one)
        async with self.open(tmp_path) as storage:
            await self._check_state(storage, one)

    async def _check_state(self, storage: Storage, one: UUID) -> None:
        entities = [entity async for chunk in storage.load_entities() for entity in chunk]
        assert {(e.kind, e.id): e.body for e in entities} == {
            ("DEVICE", one): b'{"name":"b"}',
            ("ASSET", one): b"{}",
        }
        assert len(entities) == 2
        attributes = [row async for chunk in storage.load_attributes() for row in chunk]
        assert sorted(attributes, key=lambda row: row[1]) == [
            (DEVICE, Scope.SERVER, "a", AttributeValue(11, [1.5])),
            (DEVICE, Scope.SHARED, "a", AttributeValue(10, 1)),
        ]
        assert await storage.load_states("sync") == {"cursor": b"\x00\x01"}
        assert await storage.load_states("other") == {"k": b"v"}
        assert await storage.load_states("nobody") == {}

    # history -------------------------------------------------------------------------------------
    async def test_series_are_seen_at_once_with_their_types(self, tmp_path: Path) -> None:
        values: dict[str, Value] = {
            "t": 21.5, "n": -(2**63), "on": False, "s": "ä\n", "j": {"a": [1, None, "x"]}
        }  # fmt: skip
        async with self.open(tmp_path) as storage:
            await storage.commit([telemetry(1_000, values)])
            found = await storage.query_series(query(*values, "unknown"))
            assert found == {key: [(1_000, value)] for key, value in values.items()}
            assert {key: type(points[0][1]) for key, points in found.items()} == {
                key: type(value) for key, value in values.items()
            }
        async with self.open(tmp_path) as storage:
            assert await storage.query_series(query(*values)) == found
            assert await storage.latest(OTHER) == {}

    async def test_a_point_written_again_shows_once_and_the_last_commit_wins(
        self, tmp_path: Path
    ) -> None:
        async with self.open(tmp_path) as storage:
            await storage.commit([telemetry(1_000, {"t": 1}), telemetry(2_000, {"t": 2})])
            await storage.commit([telemetry(1_000, {"t": 10}), telemetry(1_000, {"t": "x"})])
            assert await storage.query_series(query("t")) == {"t": [(1_000, "x"), (2_000, 2)]}
            assert await storage.latest(DEVICE) == {"t": (2_000, 2)}
            counted = await storage.query_series(query("t", agg="COUNT"))
            assert counted == {"t": [(30_000, 2)]}

    async def test_queries_bound_order_and_limit_points(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as storage:
            await storage.commit([telemetry(n, {"t": n, "u": -n}) for n in range(10)])
            some = await storage.query_series(query("t", start_ms=3, end_ms=6))
            assert some == {"t": [(3, 3), (4, 4), (5, 5)]}
            newest = await storage.query_series(query("t", "u", limit=2, ascending=False))
            assert newest == {"t": [(9, 9), (8, 8)], "u": [(9, -9), (8, -8)]}
            assert await storage.latest(DEVICE, ["u", "unknown"]) == {"u": (9, -9)}

    async def test_aggregates_by_interval(self, tmp_path: Path) -> None:
        rows: list[dict[str, Value]] = [
            {"i": 1, "f": 1.5, "s": "b", "m": 1},
            {"i": 2, "f": 2, "s": "a", "m": "x"},
            {"i": 6, "f": 4.0, "b": True},
        ]
        async with self.open(tmp_path) as storage:
            await storage.commit([telemetry(n * 10, row) for n, row in enumerate(rows)])
            asked: Callable[[str], SeriesQuery] = lambda agg: query(  # noqa: E731  # six short uses
                "i", "f", "s", "b", "m", start_ms=0, end_ms=25, interval_ms=20, agg=agg
            )
            assert await storage.query_series(asked("COUNT")) == {
                "i": [(10, 2), (22, 1)],
                "f": [(10, 2), (22, 1)],
                "s": [(10, 2)],
                "b": [(22, 1)],
                "m": [(10, 2)],
            }
            assert await storage.query_series(asked("SUM")) == {
                "i": [(10, 3), (22, 6)],
                "f": [(10, 3.5), (22, 4.0)],
                "m": [(10, 1)],
            }
            assert await storage.query_series(asked("AVG")) == {
                "i": [(10, 1.5), (22, 6.0)],
                "f": [(10, 1.75), (22, 4.0)],
                "m": [(10, 1.0)],
            }
            assert await storage.query_series(asked("MIN")) == {
                "i": [(10, 1), (22, 6)],
                "f": [(10, 1.5), (22, 4.0)],
                "s": [(10, "a")],
                "b": [(22, True)],
                "m": [(10, 1)],
            }
            most = await storage.query_series(asked("MAX"))
            assert most["f"] == [(10, 2.0), (22, 4.0)]
            assert [type(value) for _, value in most["i"] + most["f"]] == [int, int, float, float]

    async def test_deleted_series_are_gone_and_stay_gone(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as storage:
            await storage.commit([telemetry(n, {"t": n, "u": n}) for n in range(5)])
            await storage.delete_series(DEVICE, ["t"], 1, 4)
            left = {"t": [(0, 0), (4, 4)], "u": [(n, n) for n in range(5)]}
            assert await storage.query_series(query("t", "u")) == left
        async with self.open(tmp_path) as storage:
            assert await storage.query_series(query("t", "u")) == left
            await storage.commit([telemetry(2, {"t": 22})])
            assert (await storage.query_series(query("t")))["t"] == [(0, 0), (2, 22), (4, 4)]

    async def test_series_and_events_need_not_come_together(self, tmp_path: Path) -> None:
        event = telemetry(7, {"t": 1}).events[0]
        async with self.open(tmp_path) as storage:
            await storage.commit(
                [
                    Unit(series=[Series(DEVICE, 5, {"t": 5}), Series(OTHER, 5, {"t": 6})]),
                    Unit(events=[event, event]),
                    Unit(series=[Series(DEVICE, 6, {"t": 1, "kept": 2})], events=[event]),
                ]
            )
        async with self.open(tmp_path) as storage:
            assert bodies(await all_pending(storage)) == [event.body] * 3
            found = await storage.query_series(query("t", "kept"))
            assert found == {"t": [(5, 5), (6, 1)], "kept": [(6, 2)]}

    async def test_statistics_have_the_promised_names(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as storage:
            seq = await storage.commit([telemetry(1, {"t": 1})])
            await storage.query_series(query("t"))
            figures = storage.statistics()
            assert figures["durable_seq"] == figures["applied_seq"] == seq
            assert figures["missing"] == []
            assert figures["full"] is False
            assert {"bytes", "free_bytes", "segments"} <= figures.keys()
