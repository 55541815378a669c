"""A storage that forgets: the fake that passes the storage conformance suite.

Everything lives in a `MemoryDisk`, so that a test can close one `MemoryStorage` and open another
over the same disk, as a restart would. Commits are durable at once; `full` makes them refuse.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any
from uuid import UUID

import msgspec
import trio

from appliance.extension.ports import AttributeValue, LaneDepth, Quarantined, SeriesQuery
from appliance.kernel.clock import Clock, wall_clock_ms
from appliance.model.errors import Permanent, Retryable
from appliance.model.ids import EntityId
from appliance.model.telemetry import AttributeWrite, Scope, Series, Value
from appliance.model.unit import EntityWrite, Lane, OutboxEvent, StoredEvent, Unit
from appliance.testing.aggregation import select_points

_Position = tuple[int, int]


class _Lane(msgspec.Struct):
    waiting: dict[_Position, StoredEvent] = msgspec.field(default_factory=dict)
    aside: dict[_Position, Quarantined] = msgspec.field(default_factory=dict)
    acknowledged: int = 0
    accepted: int = 0


class MemoryDisk:
    """What a data folder holds, as plain dictionaries."""

    def __init__(self) -> None:
        self.next_seq = 1
        self.units: list[Unit] = []
        self.lanes: dict[tuple[str, Lane], _Lane] = {}
        self.points: dict[EntityId, dict[str, dict[int, Value]]] = {}
        self.attributes: dict[tuple[EntityId, Scope, str], AttributeValue] = {}
        self.entities: dict[tuple[str, UUID], EntityWrite] = {}
        self.states: dict[str, dict[str, bytes]] = {}

    def lane(self, outbox: str, lane: Lane) -> _Lane:
        """The lane, made when it is first named."""
        return self.lanes.setdefault((outbox, lane), _Lane())


class MemoryStorage:
    """`Storage` over a `MemoryDisk`. Set `full` to make commits raise Retryable."""

    def __init__(self, disk: MemoryDisk | None = None, clock: Clock = wall_clock_ms) -> None:
        self.disk = disk or MemoryDisk()
        self.full = False
        self._clock = clock
        self._changed = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; there is nothing to open or close."""
        task_status.started()
        await trio.sleep_forever()

    # commit --------------------------------------------------------------------------------------
    async def commit(self, units: Sequence[Unit]) -> int:
        """See Storage.commit."""
        await trio.lowlevel.checkpoint()
        self._refuse_if_full()
        first, now = self.disk.next_seq, self._clock()
        self.disk.next_seq += len(units)
        for seq, unit in enumerate(units, first):
            self._apply(seq, now, unit)
        self._wake()
        return first

    def _refuse_if_full(self) -> None:
        if self.full:
            raise Retryable("the disk is full", hint="free some space")

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def _apply(self, seq: int, now: int, unit: Unit) -> None:
        self.disk.units.append(unit)
        for series in unit.series:
            self._apply_series(series)
        for write in unit.attributes:
            if isinstance(write, AttributeWrite):
                self._apply_attributes(write)
            else:
                for key in write.keys:
                    stored = self.disk.attributes.get((write.entity, write.scope, key))
                    if stored is not None and not 0 < write.ts < stored.ts:
                        del self.disk.attributes[write.entity, write.scope, key]
        for entity in unit.entities:
            self.disk.entities.pop((entity.kind, entity.id), None)
            if entity.body is not None:
                self.disk.entities[entity.kind, entity.id] = entity
        for state in unit.states:
            owned = self.disk.states.setdefault(state.owner, {})
            owned.pop(state.key, None)
            if state.body is not None:
                owned[state.key] = state.body
        for index, event in enumerate(unit.events):
            self._queue(StoredEvent(seq, index, now, event)).accepted += 1

    def _queue(self, event: StoredEvent) -> _Lane:
        lane = self.disk.lane(event.event.outbox, event.event.lane)
        lane.waiting[event.position] = event
        return lane

    def _apply_series(self, series: Series) -> None:
        by_key = self.disk.points.setdefault(series.entity, {})
        for key, value in series.values.items():
            by_key.setdefault(key, {})[series.ts] = value

    def _apply_attributes(self, write: AttributeWrite) -> None:
        for key, value in write.values.items():
            place = (write.entity, write.scope, key)
            stored = self.disk.attributes.get(place)
            if stored is None or stored.ts <= write.ts:
                self.disk.attributes[place] = AttributeValue(write.ts, value)

    # outboxes ------------------------------------------------------------------------------------
    def outboxes(self) -> Sequence[str]:
        """See Storage.outboxes."""
        return sorted({outbox for (outbox, _), lane in self.disk.lanes.items() if lane.accepted})

    def _behind(self, outbox: str, lane: Lane, after: _Position | None) -> list[StoredEvent]:
        waiting = self.disk.lane(outbox, lane).waiting.values()
        return [event for event in waiting if after is None or event.position > after]

    async def pending(
        self,
        outbox: str,
        lane: Lane,
        after: _Position | None,
        max_events: int,
        max_bytes: int,
    ) -> Sequence[StoredEvent]:
        """See Storage.pending."""
        await trio.lowlevel.checkpoint()
        chosen: list[StoredEvent] = []
        size = 0
        for event in self._behind(outbox, lane, after)[:max_events]:
            size += len(event.event.body)
            if chosen and size > max_bytes:
                break
            chosen.append(event)
        return chosen

    async def wait_pending(self, outbox: str, lane: Lane, after: _Position | None) -> None:
        """See Storage.wait_pending."""
        await trio.lowlevel.checkpoint()
        while not self._behind(outbox, lane, after):
            await self._changed.wait()

    def acknowledge(self, outbox: str, lane: Lane, events: Iterable[StoredEvent]) -> None:
        """See Storage.acknowledge."""
        state = self.disk.lane(outbox, lane)
        for event in events:
            if state.waiting.pop(event.position, None):
                state.acknowledged += 1

    async def quarantine(
        self, outbox: str, lane: Lane, event: StoredEvent, reason: str, size: int
    ) -> None:
        """See Storage.quarantine."""
        await trio.lowlevel.checkpoint()
        self._refuse_if_full()
        state = self.disk.lane(outbox, lane)
        if state.waiting.pop(event.position, None):
            state.aside[event.position] = Quarantined(event, reason, self._clock(), size)

    def quarantined(self, outbox: str | None = None) -> Sequence[Quarantined]:
        """See Storage.quarantined."""
        found = [
            entry
            for (name, _), lane in self.disk.lanes.items()
            if outbox is None or name == outbox
            for entry in lane.aside.values()
        ]
        return sorted(found, key=lambda entry: (entry.at_ms, entry.event.position))

    async def retry_quarantined(self, outbox: str, positions: Iterable[_Position]) -> int:
        """See Storage.retry_quarantined."""
        await trio.lowlevel.checkpoint()
        self._refuse_if_full()
        chosen = sorted(set(positions))
        retried: list[OutboxEvent] = []
        for (name, _), lane in self.disk.lanes.items():
            if name == outbox:
                taken = [lane.aside.pop(position, None) for position in chosen]
                retried.extend(entry.event.event for entry in taken if entry)
        for event in retried:
            self._queue(StoredEvent(self.disk.next_seq, 0, self._clock(), event))
            self.disk.next_seq += 1
        self._wake()
        return len(retried)

    def depth(self, outbox: str, lane: Lane) -> LaneDepth:
        """See Storage.depth."""
        state = self.disk.lane(outbox, lane)
        waiting = state.waiting.values()
        return LaneDepth(
            pending=len(waiting),
            pending_bytes=sum(len(event.event.body) for event in waiting),
            oldest_ms=next((event.committed_ms for event in waiting), None),
            acknowledged=state.acknowledged,
            quarantined=len(state.aside),
            dropped={},
            accepted=state.accepted,
        )

    # state ---------------------------------------------------------------------------------------
    async def load_entities(self) -> AsyncIterator[Sequence[EntityWrite]]:
        """See Storage.load_entities."""
        await trio.lowlevel.checkpoint()
        if self.disk.entities:
            yield list(self.disk.entities.values())

    async def load_attributes(
        self,
    ) -> AsyncIterator[Sequence[tuple[EntityId, Scope, str, AttributeValue]]]:
        """See Storage.load_attributes."""
        await trio.lowlevel.checkpoint()
        if self.disk.attributes:
            yield [(*place, stored) for place, stored in self.disk.attributes.items()]

    async def load_states(self, owner: str) -> dict[str, bytes]:
        """See Storage.load_states."""
        await trio.lowlevel.checkpoint()
        return dict(self.disk.states.get(owner, {}))

    # history -------------------------------------------------------------------------------------
    async def query_series(self, query: SeriesQuery) -> dict[str, list[tuple[int, Value]]]:
        """See Storage.query_series."""
        await trio.lowlevel.checkpoint()
        by_key = self.disk.points.get(query.entity, {})
        found = {key: select_points(query, by_key.get(key, {})) for key in query.keys}
        return {key: points for key, points in found.items() if points}

    async def latest(
        self, entity: EntityId, keys: Sequence[str] | None = None
    ) -> dict[str, tuple[int, Value]]:
        """See Storage.latest."""
        await trio.lowlevel.checkpoint()
        by_key = self.disk.points.get(entity, {})
        wanted = by_key if keys is None else [key for key in keys if key in by_key]
        return {key: max(by_key[key].items(), key=lambda p: p[0]) for key in wanted if by_key[key]}

    async def delete_series(
        self, entity: EntityId, keys: Sequence[str], start_ms: int, end_ms: int
    ) -> None:
        """See Storage.delete_series."""
        await trio.lowlevel.checkpoint()
        by_key = self.disk.points.get(entity, {})
        for key in keys:
            for ts in [ts for ts in by_key.get(key, ()) if start_ms <= ts < end_ms]:
                del by_key[key][ts]

    async def sql(self, statement: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Raises Permanent: there are no tables here."""
        await trio.lowlevel.checkpoint()
        raise Permanent("this storage has no SQL")

    def statistics(self) -> dict[str, Any]:
        """See Storage.statistics."""
        last = self.disk.next_seq - 1
        return {
            "bytes": 0,
            "free_bytes": 0,
            "segments": 0,
            "durable_seq": last,
            "applied_seq": last,
            "missing": [],
            "full": self.full,
        }
