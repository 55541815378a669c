"""The outboxes: recent events from memory, older ones from the journal. Runs on the Trio thread.

`recent` holds every event of a lane that was committed after `recent_from`, so a sender that
keeps up never touches the disk; together all lanes keep at most `ring_bytes_max`. A sender that
is further behind reads the journal sequentially, about 1 MiB ahead, in a worker thread.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

import trio

from appliance.extension.ports import LaneDepth
from appliance.model.errors import Retryable
from appliance.model.unit import Lane, StoredEvent, Unit
from plugins.storage_duckdb.format import Record
from plugins.storage_duckdb.journal import Journal
from plugins.storage_duckdb.ledger import LaneKey, LaneLedger, Ledger, Position, depth_of
from plugins.storage_duckdb.reader import JournalReader
from plugins.storage_duckdb.records import TELEMETRY, UNIT, decode_events
from plugins.storage_duckdb.segments import Segment

_EVENT_OVERHEAD_BYTES = 700
"""What an event takes in memory beside its body, roughly, measured on CPython 3.11."""


def _place(event: StoredEvent) -> Position:
    return (event.seq, event.index)


class LaneQueue:
    """One lane of one outbox."""

    def __init__(self, key: LaneKey, ledger: LaneLedger, recent_from: Position) -> None:
        self.key = key
        self.ledger = ledger
        self.recent: list[StoredEvent] = []
        self.recent_from = recent_from
        self.recent_bytes = 0
        self.changed = trio.Event()
        self._lock = trio.Lock()
        self._reader = JournalReader(lanes=1 << key[1])
        self._ahead: list[StoredEvent] = []
        self._ahead_from: Position = recent_from

    def append(self, event: StoredEvent) -> int:
        """A new event became durable; returns the memory it takes."""
        self.recent.append(event)
        size = len(event.event.body) + _EVENT_OVERHEAD_BYTES
        self.recent_bytes += size
        self.ledger.accept(len(event.event.body))
        return size

    def evict(self, keep: int) -> int:
        """Forget all but the newest `keep` recent events; returns the memory given back."""
        return self._forget(max(0, len(self.recent) - keep))

    def trim(self) -> int:
        """Forget recent events at or before the cursor; returns the memory given back."""
        count = bisect_right(self.recent, self.ledger.figures.cursor, key=_place)
        return self._forget(count) if count * 2 >= len(self.recent) else 0

    def _forget(self, count: int) -> int:
        gone = self.recent[:count]
        if not gone:
            return 0
        del self.recent[:count]
        self.recent_from = gone[-1].position
        size = sum(len(event.event.body) + _EVENT_OVERHEAD_BYTES for event in gone)
        self.recent_bytes -= size
        return size

    def oldest_ms(self) -> int | None:
        """Commit time of the oldest pending event; of the one before it, where that is unread."""
        cursor = self.ledger.figures.cursor
        if self.ledger.oldest_read_ms is not None or self.recent_from > cursor:
            return self.ledger.oldest_read_ms or self.ledger.floor_ms
        finished = self.ledger.finished
        waiting = (e.committed_ms for e in self.recent if not finished(e.position))
        return next(waiting, None)

    def has_behind(self, after: Position | None) -> bool:
        """Whether something pending is behind `after`, as far as memory can tell for sure."""
        if not self.ledger.pending:
            return False
        start = self._start(after)
        if start < self.recent_from:
            return True
        finished = self.ledger.finished
        at = bisect_right(self.recent, start, key=_place)
        return any(not finished(event.position) for event in self.recent[at:])

    async def read(
        self, journal: Journal, after: Position | None, max_events: int, max_bytes: int
    ) -> list[StoredEvent]:
        """See Storage.pending."""
        start = self._start(after)
        chosen: list[StoredEvent] = []
        while self.ledger.pending and not chosen:
            events = await self._behind(journal, start, max_events)
            if not events:
                break
            chosen, seen = self._choose(events, max_events, max_bytes)
            self.ledger.saw(start, seen)
            start = seen[-1].position
        return chosen

    def _start(self, after: Position | None) -> Position:
        cursor = self.ledger.figures.cursor
        return cursor if after is None else max(after, cursor)

    async def _behind(
        self, journal: Journal, start: Position, max_events: int
    ) -> Sequence[StoredEvent]:
        if start < self.recent_from:
            async with self._lock:
                found = await self._from_disk(journal, start, max_events)
            if found:
                return found
        at = bisect_right(self.recent, start, key=_place)
        return self.recent[at : at + max_events]

    async def _from_disk(
        self, journal: Journal, start: Position, max_events: int
    ) -> Sequence[StoredEvent]:
        at = bisect_right(self._ahead, start, key=_place)
        if start < self._ahead_from or at >= len(self._ahead):
            segments = self._segments(journal, start)
            read = lambda: self._read_ahead(segments, start)  # noqa: E731  # crosses to a thread
            self._ahead = await trio.to_thread.run_sync(read)
            self._ahead_from = start
            at = 0
        return self._ahead[at : at + max_events]

    def _segments(self, journal: Journal, start: Position) -> list[Segment]:
        """Segments that may hold events of this lane at or behind start, before the recent."""
        return [
            segment
            for segment in journal.segments
            if segment.next_seq > start[0]
            and segment.first_seq <= self.recent_from[0]
            and any((span.outbox, span.lane) == self.key for span in segment.spans)
        ]

    def _read_ahead(self, segments: Sequence[Segment], start: Position) -> list[StoredEvent]:
        """In a worker thread: the next events of this lane behind start; [] at the end."""
        from_seq = max(start[0], 1)
        while records := self._reader.read(segments, from_seq):
            events = [
                event
                for record in records
                for event in self._events(record)
                if event.position > start
            ]
            if events:
                return events
            from_seq = records[-1].seq + 1
        return []

    def _events(self, record: Record) -> Iterable[StoredEvent]:
        if record.kind not in (TELEMETRY, UNIT):
            return
        for index, event in enumerate(decode_events(record.kind, record.payload)):
            if (event.outbox, event.lane) == self.key:
                yield StoredEvent(record.seq, index, record.committed_ms, event)

    def _choose(
        self, events: Sequence[StoredEvent], max_events: int, max_bytes: int
    ) -> tuple[list[StoredEvent], list[StoredEvent]]:
        """(what to hand out, everything up to there)."""
        chosen: list[StoredEvent] = []
        size = 0
        for number, event in enumerate(events):
            if self.ledger.finished(event.position):
                continue
            size += len(event.event.body)
            if chosen and (size > max_bytes or len(chosen) >= max_events):
                return chosen, list(events[:number])
            chosen.append(event)
        return chosen, list(events)


class Outboxes:
    """All lanes, live: what is durable, what waits, who waits for it."""

    def __init__(self, journal: Journal, ring_bytes_max: int) -> None:
        self.ledger = Ledger(journal.ledger.figures())
        self._journal = journal
        self._ring_bytes_max = ring_bytes_max
        self._ring_bytes = 0
        self._closed = False
        self._beginning: Position = (journal.durable_seq, 1 << 30)
        self._lanes: dict[LaneKey, LaneQueue] = {}
        for key in self.ledger.lanes:
            self.lane(*key)

    def lane(self, outbox: str, lane: Lane) -> LaneQueue:
        """The lane's queue, made when it is first named."""
        key = (outbox, Lane(lane))
        found = self._lanes.get(key)
        if found is None:
            ledger = self.ledger.lane(*key)
            # Named for the first time: whatever it will hold is committed from now on.
            start = self._beginning if ledger.figures.accepted else (0, -1)
            found = self._lanes[key] = LaneQueue(key, ledger, start)
        return found

    def names(self) -> list[str]:
        """Outboxes that ever got an event."""
        lanes = self.ledger.lanes.items()
        return sorted({outbox for (outbox, _), lane in lanes if lane.figures.accepted})

    def committed(self, first_seq: int, committed_ms: int, units: Sequence[Unit | None]) -> None:
        """These became durable; None stands for a note."""
        changed: dict[LaneKey, LaneQueue] = {}
        lanes = self._lanes
        for seq, unit in enumerate(units, first_seq):
            if unit is None:
                continue
            for index, event in enumerate(unit.events):
                key = (event.outbox, event.lane)
                queue = lanes.get(key) or self.lane(*key)
                self._ring_bytes += queue.append(StoredEvent(seq, index, committed_ms, event))
                changed[key] = queue
        if self._ring_bytes > self._ring_bytes_max:
            self._shrink()
        for queue in changed.values():
            queue.changed.set()
            queue.changed = trio.Event()

    def _shrink(self) -> None:
        while self._ring_bytes > self._ring_bytes_max:
            largest = max(self._lanes.values(), key=lambda queue: queue.recent_bytes)
            freed = largest.evict(len(largest.recent) // 2)
            if not freed:
                return
            self._ring_bytes -= freed

    async def pending(
        self, key: LaneKey, after: Position | None, max_events: int, max_bytes: int
    ) -> Sequence[StoredEvent]:
        """See Storage.pending."""
        await trio.lowlevel.checkpoint()
        queue = self._lanes.get((key[0], Lane(key[1])))
        if queue is None or max_events <= 0:
            return []
        return await queue.read(self._journal, after, max_events, max_bytes)

    async def wait_pending(self, key: LaneKey, after: Position | None) -> None:
        """See Storage.wait_pending."""
        queue = self.lane(*key)
        while True:
            if self._closed:
                raise Retryable("the storage is stopping")
            changed = queue.changed
            if queue.has_behind(after) and await self.pending(key, after, 1, 1):
                return
            await changed.wait()

    def close(self) -> None:
        """Nothing comes any more: who waits is told so."""
        self._closed = True
        for queue in self._lanes.values():
            queue.changed.set()

    def acknowledge(self, key: LaneKey, events: Iterable[StoredEvent]) -> bool:
        """The peer has them; whether anything was news."""
        queue = self.lane(*key)
        news = False
        for event in events:
            news |= queue.ledger.acknowledge(event.position, len(event.event.body))
        if news:
            self._ring_bytes -= queue.trim()
        return news

    def quarantine(self, key: LaneKey, event: StoredEvent) -> None:
        """It is durably put aside."""
        self.lane(*key).ledger.quarantine(event.position, len(event.event.body))

    def depth(self, key: LaneKey) -> LaneDepth:
        """See Storage.depth."""
        queue = self.lane(*key)
        return depth_of(queue.ledger, queue.oldest_ms())

    async def prime(self) -> None:
        """Look at the oldest pending event of every lane, so that its age is known."""
        for key in list(self._lanes):
            await self.pending(key, None, 1, 1)
