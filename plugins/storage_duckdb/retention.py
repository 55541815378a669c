"""Giving space back. Runs on the Trio thread; the work is done by its owners' threads.

A journal segment goes when four things hold: it is not the newest, DuckDB has *checkpointed* past
it, every event in it is delivered or put aside (by the cursor as the journal has it, not only as
memory has it), and a snapshot covers the state it changed. Segments go from the oldest on.

Undelivered events are given up only where `outbox_s` or `outbox_bytes_max` says so, whole segments
at a time, counted by reason. History goes by age and by size of the database; what still waits to
be sent is left in it. A point's age counts from its time or its arrival, whichever is later: what
a device with a wrong clock sent, or a backlog of last year, is kept as long as everything else.
"""

from __future__ import annotations

from collections.abc import Iterator

import trio

from appliance.extension.hookspecs import Context
from appliance.model.errors import Retryable
from appliance.model.unit import Lane
from plugins.storage_duckdb import snapshot
from plugins.storage_duckdb.applier import Applier
from plugins.storage_duckdb.committer import Committer
from plugins.storage_duckdb.config import DuckdbStorageConfig
from plugins.storage_duckdb.database import Database
from plugins.storage_duckdb.events import EventsDropped, SegmentsDeleted
from plugins.storage_duckdb.folders import Folders
from plugins.storage_duckdb.history import History
from plugins.storage_duckdb.journal import Journal
from plugins.storage_duckdb.ledger import Ledger, unfinished_until
from plugins.storage_duckdb.records import DropNote
from plugins.storage_duckdb.segments import Segment

_INDEX_MAX = 1 << 30
_IDLE_BYTES_MIN = 1 << 20
_HISTORY_INTERVAL_S = 600.0

_EXPIRED = """
DELETE FROM store.history
WHERE (greatest(ts, committed_ms) < $1 OR (ttl_s > 0 AND ts < $2 - ttl_s::BIGINT * 1000))
    AND NOT (idx >= 0 AND seq > (SELECT coalesce(max(cursor_seq), 0) FROM store.lane
                                 WHERE outbox = 'cloud' AND lane = 2))
"""
_OLD_EVENTS = """
DELETE FROM store.event e USING store.lane l
WHERE l.outbox = e.outbox AND l.lane = e.lane AND e.seq <= l.cursor_seq AND e.committed_ms < $1
"""
_OLDEST_TENTH = """
DELETE FROM store.history WHERE seq < (SELECT min(seq) + (max(seq) - min(seq)) // 10
                                       FROM store.history)
"""


class Retention:
    """Args: ledger is the live account of the outboxes."""

    def __init__(
        self,
        folders: Folders,
        config: DuckdbStorageConfig,
        context: Context,
        journal: Journal,
        ledger: Ledger,
        committer: Committer,
        applier: Applier,
    ) -> None:
        self._folders = folders
        self._config = config
        self._context = context
        self._journal = journal
        self._ledger = ledger
        self._committer = committer
        self._applier = applier
        self._snapshot_seq = 0
        self._history_at = trio.current_time()

    async def run(self) -> None:
        """Look every `retention_interval_s`, until cancelled."""
        while True:
            await trio.sleep(self._config.retention_interval_s)
            try:
                await self.reclaim()
            except (Retryable, OSError):
                pass  # a full disk, which the refused commits have told; the next look will do

    async def reclaim(self) -> None:
        """Give back what can be given back now. Raises Retryable when the disk refuses."""
        if trio.current_time() >= self._history_at:
            self._history_at = trio.current_time() + _HISTORY_INTERVAL_S
            await self._applier.query(self._expire)
        await self._give_up()
        if self._active_is_done():
            await self._committer.roll()
        gone = list(self._finished_segments())
        if gone:
            await self._delete(gone)

    # segments ------------------------------------------------------------------------------------
    def _active_is_done(self) -> bool:
        segments = self._journal.segments
        if not segments or segments[-1].end - segments[-1].start < _IDLE_BYTES_MIN:
            return False
        return self._is_done(segments[-1])

    def _finished_segments(self) -> Iterator[Segment]:
        for segment in self._journal.segments[:-1]:
            if not self._is_done(segment):
                return
            yield segment

    def _is_done(self, segment: Segment) -> bool:
        cursor = self._journal.ledger.lane
        return segment.last_seq <= self._applier.applied_seq and all(
            cursor(span.outbox, span.lane).figures.cursor >= tuple(span.last)
            for span in segment.spans
        )

    async def _delete(self, gone: list[Segment]) -> None:
        last_seq = gone[-1].last_seq
        has_state = any(segment.has_state for segment in gone)
        secured = await self._applier.query(
            lambda database, _: self._secure(database, last_seq, has_state)
        )
        if secured >= last_seq:
            await self._committer.exclusively(lambda: self._journal.forget(gone))
            self._context.emit(SegmentsDeleted(count=len(gone)))

    def _secure(self, database: Database, last_seq: int, has_state: bool) -> int:
        """In the database's thread: what the segments hold is safe elsewhere afterwards."""
        if database.checkpointed_seq < last_seq and database.has_room():
            database.checkpoint()
        known = max(self._snapshot_seq, 0)
        if (has_state and known < last_seq) or database.dictionary_seq > known:
            self._snapshot_seq = snapshot.take(database, self._folders.snapshot)
        return database.checkpointed_seq

    # giving up -----------------------------------------------------------------------------------
    async def _give_up(self) -> None:
        if not (self._config.outbox_s or self._config.outbox_bytes_max):
            return
        size = self._journal.size()
        for segment in self._journal.segments[:-1]:
            reason = self._reason(segment, size)
            if not reason:
                return
            size -= segment.end
            for figures in segment.lanes:
                lane = self._ledger.lane(figures.outbox, figures.lane)
                last = (segment.last_seq, _INDEX_MAX)
                count, bytes_ = unfinished_until(lane, figures, last)
                if count > 0:
                    seq, index = lane.figures.cursor
                    note = DropNote(
                        figures.outbox, figures.lane, (seq, index + 1), last, count, bytes_, reason
                    )
                    await self._drop(note)

    def _reason(self, segment: Segment, journal_bytes: int) -> str:
        age_ms = self._context.clock() - segment.last_ms
        if self._config.outbox_s and age_ms > self._config.outbox_s * 1000:
            return "age"
        if self._config.outbox_bytes_max and journal_bytes > self._config.outbox_bytes_max:
            return "size"
        return ""

    async def _drop(self, note: DropNote) -> None:
        await self._committer.note(note)
        self._ledger.note(note)
        self._context.emit(
            EventsDropped(
                outbox=note.outbox, lane=Lane(note.lane).name, reason=note.reason, count=note.count
            )
        )

    # history -------------------------------------------------------------------------------------
    def _expire(self, database: Database, history: History) -> None:
        """In the database's thread."""
        history.forget()
        now, config = self._context.clock(), self._config
        oldest = now - int(config.history_s * 1000) if config.history_s else -(1 << 62)
        database.connection.execute(_EXPIRED, [oldest, now])
        if config.events_s:
            database.connection.execute(_OLD_EVENTS, [now - int(config.events_s * 1000)])
        if config.history_bytes_max and database.used_bytes() > config.history_bytes_max:
            database.connection.execute(_OLDEST_TENTH)
        if database.has_room():
            database.checkpoint()
