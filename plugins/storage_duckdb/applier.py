"""Feeds DuckDB from the journal, off the path of acknowledgements. Runs on the Trio thread.

While it keeps up it takes what was just committed from memory, as encoded records; when more than
4 MiB of them wait it reads the journal instead, so a slow database costs no memory. One lock makes
it the only caller of the database; queries take the same lock.

What the journal lost is stepped over, so that every wait for a sequence ends: each step applies a
record, or finds that there is none up to the last durable one and counts them all as applied. What
was not known to be lost when the storage opened is told.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TypeVar

import duckdb
import trio

from appliance.extension.hookspecs import Context
from appliance.model.errors import ApplianceError, Retryable
from plugins.storage_duckdb.committer import Group
from plugins.storage_duckdb.config import DuckdbStorageConfig
from plugins.storage_duckdb.damage import DamageReport
from plugins.storage_duckdb.database import Database
from plugins.storage_duckdb.events import ApplyFailed, BatchApplied
from plugins.storage_duckdb.format import PLAIN, Record
from plugins.storage_duckdb.history import History
from plugins.storage_duckdb.journal import Journal
from plugins.storage_duckdb.reader import JournalReader
from plugins.storage_duckdb.rebuild import DatabaseOpener, is_about_data, is_damage, is_dead
from plugins.storage_duckdb.records import TELEMETRY, UNIT
from plugins.storage_duckdb.schema import GROWING_TABLES, KEYED_TABLES
from plugins.storage_duckdb.segments import holes, told
from plugins.storage_duckdb.staging import Staging

_WAITING_BYTES_MAX = 4 << 20
_RECORD_OVERHEAD_BYTES = 120
_REPLAY_MIN = 2_000
"""Records applied again at a start (40 ms) that are worth a checkpoint when it is done, so that a
machine that crashes again and again does not start slower each time."""
_REPLAY_STEP = 20_000
"""Records applied again (half a second) after which what is done shall outlive the next crash."""
_BATCH_MAX = 4096
_HEAVY_BYTES_MAX = 128 << 10
"""Bytes of records other than telemetry that one transaction takes: a full sync's attributes take
twenty times as much memory on their way as in the journal."""
_RETRY_S = 1.0
_FINISH_S = 2.0
_UNREADABLE = (ValueError, TypeError, OverflowError, LookupError)
_REFUSALS = (duckdb.Error, *_UNREADABLE)

T = TypeVar("T")


class Applier:
    """Args: on_applied is told of each batch, on the Trio thread."""

    def __init__(
        self,
        journal: Journal,
        database: Database,
        opener: DatabaseOpener,
        report: DamageReport,
        config: DuckdbStorageConfig,
        context: Context,
        on_applied: Callable[[Staging], None],
    ) -> None:
        self.database = database
        self.history = History(database)
        self._journal = journal
        self._opener = opener
        self._report = report
        self._config = config
        self._context = context
        self._on_applied = on_applied
        self._reader = JournalReader()
        self._waiting: deque[Record] = deque()
        self._waiting_bytes = 0
        # Of the record that may follow those in memory; others are read from the journal.
        self._next_seq = database.applied_seq + 1
        self._lock = trio.Lock()
        self._limiter = trio.CapacityLimiter(1)
        self._wanted_seq = 0
        self._work = trio.Event()
        self._hurry = trio.Event()
        self._progress = trio.Event()
        self._failures = 0
        self._refusal: Exception | None = None
        self._stopped = False
        self._checkpoint_at = time.monotonic() + config.checkpoint_interval_s
        behind = journal.durable_seq - database.applied_seq
        self._replay_until = journal.durable_seq if behind > _REPLAY_MIN else 0
        self._replayed_seq = database.applied_seq

    @property
    def applied_seq(self) -> int:
        """Sequence up to which the tables are current."""
        return self.database.applied_seq

    def committed(self, group: Group) -> None:
        """A group became durable."""
        if group.first_seq == self._next_seq and self._waiting_bytes < _WAITING_BYTES_MAX:
            for seq, entry in enumerate(group.entries, group.first_seq):
                self._waiting.append(Record(seq, group.committed_ms, entry.kind, entry.payload))
                self._waiting_bytes += len(entry.payload) + _RECORD_OVERHEAD_BYTES
            self._next_seq += len(group.entries)
        self._work.set()
        if len(self._waiting) >= _BATCH_MAX:
            self._hurry.set()

    async def wait_applied(self, seq: int) -> None:
        """Return when the tables contain everything up to seq.

        Raises Retryable while the database refuses to be written: waiting has no end in sight.
        """
        await trio.lowlevel.checkpoint()
        while self.applied_seq < seq:
            self._check_running()
            if self._refusal is not None:
                raise Retryable(f"the database is behind: {self._refusal}")
            progress = self._progress
            self._wanted_seq = max(self._wanted_seq, seq)
            self._work.set()
            self._hurry.set()
            await progress.wait()

    async def bring_state(self, seq: int) -> None:
        """Return when the tables of the state contain everything up to seq.

        Points and events may be behind, by a million after an outage and a kill: whoever starts
        needs the state and must not wait for them. Raises Retryable as `wait_applied`.
        """
        await trio.lowlevel.checkpoint()
        if self.applied_seq < seq:
            try:
                await self.query(lambda database, _: self._bring_state(database, seq))
            except Retryable:
                await self.wait_applied(seq)  # which steps over what cannot be stored

    def _bring_state(self, database: Database, seq: int) -> None:
        next_seq = max(database.applied_seq, database.state_seq) + 1
        try:
            for piece in _pieces(self._units(next_seq, seq)):
                database.apply_state(piece)
        except _UNREADABLE as error:
            raise Retryable(f"a record cannot be read: {error}") from error
        database.state_seq = max(database.state_seq, seq)

    def _units(self, next_seq: int, seq: int) -> Iterator[Record]:
        """Records up to about seq that may change the state."""
        reader = JournalReader(without=PLAIN)
        while next_seq <= seq and (records := reader.read(self._journal.segments, next_seq)):
            yield from (record for record in records if record.kind == UNIT)
            next_seq = records[-1].seq + 1

    async def call(self, work: Callable[[], T]) -> T:
        """Run work in the database's thread, alone. Raises what work raises."""
        async with self._lock:
            return await trio.to_thread.run_sync(work, limiter=self._limiter)

    def _check_running(self) -> None:
        if self._stopped:
            raise Retryable("the storage is stopping")

    async def query(self, work: Callable[[Database, History], T]) -> T:
        """Run a read. A damaged file is rebuilt and the read done again, once.

        Raises Retryable when the database cannot answer now.
        """
        for attempt in range(3):
            self._check_running()
            database = self.database
            try:
                return await self.call(lambda: work(self.database, self.history))
            except duckdb.Error as error:
                if attempt == 2 or not (is_damage(error) or is_dead(error)):
                    raise Retryable(f"the database cannot answer: {error}") from error
                rebuild = is_damage(error) and (attempt > 0 or not is_dead(error))
                await self._reopen(database, error, rebuild=rebuild)
                await self.wait_applied(self._journal.durable_seq)
        raise AssertionError("unreachable")

    async def _reopen(self, failed: Database, error: Exception, *, rebuild: bool) -> None:
        """Close and open again, unless another task did that already.

        rebuild: from what is intact, without trusting the file. Raises Retryable if it cannot be
        opened now; the next use tries again.
        """

        def exchange() -> None:
            self._check_running()
            if self.database is failed:
                failed.close()
                opener = self._opener
                self.database = opener.rebuild(error) if rebuild else opener.open()
                self.history = History(self.database)

        try:
            with trio.CancelScope(shield=True):
                await self.call(exchange)
        except (duckdb.Error, OSError, ApplianceError) as second:
            raise Retryable(f"the database cannot be opened: {second}") from second
        self._forget_waiting()
        self._work.set()

    def _apply_singly(self, records: Sequence[Record]) -> Staging:
        """One record cannot be stored: step over it and say so; the journal had it delivered."""
        staging = Staging(self.database.entities, self.database.keys)
        for record in records:
            try:
                staging = self.database.apply([record])
            except _REFUSALS as error:
                if not is_about_data(error):
                    raise
                self._report.add(f"record {record.seq} cannot be shown", f"its rows: {error}")
                self.database.step_over(record.seq)
            else:
                self.history.applied(staging)
        return staging

    def _forget_waiting(self) -> None:
        """Go on from the journal: memory and database may no longer fit together."""
        self._waiting.clear()
        self._waiting_bytes = 0
        self._next_seq = self.applied_seq + 1

    async def scrub(self) -> None:
        """Read every row once, a row group at a time, so that damage is found before it is met."""
        for table in (*KEYED_TABLES, *GROWING_TABLES):
            start: int | None = 0
            while start is not None:
                read = partial(_read_rows, table, start)
                try:
                    start = await self.query(read)
                except Retryable:
                    await trio.sleep(_RETRY_S)

    async def run(self) -> None:
        """Apply until cancelled."""
        while True:
            await self._work.wait()
            if self.applied_seq >= self._journal.durable_seq:
                self._work = trio.Event()
                continue
            with trio.move_on_after(self._config.apply_interval_s):
                await self._hurry.wait()
            if self._wanted_seq <= self.applied_seq:
                self._hurry = trio.Event()
            await self.step()

    async def step(self) -> bool:
        """Apply the next batch; False if it failed (then a second has passed)."""
        records = self._take()
        database = self.database
        try:
            with trio.CancelScope(shield=True):
                applied = await self.call(lambda: self._apply(records))
        except (duckdb.Error, OSError) as error:
            await self._recover(database, error)
            return False
        self._failures = 0
        self._refusal = None
        if records and self.applied_seq < records[-1].seq:
            self._forget_waiting()
        if not self._waiting and self._next_seq <= self.applied_seq:
            self._next_seq = self.applied_seq + 1
        for staging in applied:
            self._on_applied(staging)
            self._context.emit(BatchApplied(records=staging.records, seq=staging.last_seq))
        self._wake()
        return True

    def _wake(self) -> None:
        self._progress.set()
        self._progress = trio.Event()

    def _take(self) -> list[Record]:
        records = [self._waiting.popleft() for _ in range(min(_BATCH_MAX, len(self._waiting)))]
        taken = sum(len(record.payload) + _RECORD_OVERHEAD_BYTES for record in records)
        self._waiting_bytes -= taken
        return records

    def _apply(self, records: list[Record]) -> list[Staging]:
        database = self.database
        records = records or self._read_on(database)
        applied: list[Staging] = []
        for piece in _pieces(records):
            try:
                staging = database.apply(piece)
            except _REFUSALS as error:
                if not is_about_data(error):
                    if applied:
                        break  # the next step reads on in the journal and meets it again
                    raise
                staging = self._apply_singly(piece)
            self.history.applied(staging)
            if staging.last_seq:
                applied.append(staging)
        overdue = time.monotonic() > self._checkpoint_at
        large = database.wal_bytes() > self._config.wal_bytes_max
        if (overdue or large or self._has_replayed(database)) and database.has_room():
            database.checkpoint()
            self._replayed_seq = database.applied_seq
            self._checkpoint_at = time.monotonic() + self._config.checkpoint_interval_s
        return applied

    def _has_replayed(self, database: Database) -> bool:
        """Whether a good part of what had to be applied again is, or the last of it."""
        if self._replayed_seq >= self._replay_until:
            return False
        done = database.applied_seq - self._replayed_seq
        return done >= _REPLAY_STEP or database.applied_seq >= self._replay_until

    def _read_on(self, database: Database) -> list[Record]:
        """The next records of the journal; where it has none any more they are stepped over."""
        durable_seq = self._journal.durable_seq  # before the segments: see journal.py
        records = self._reader.read(self._journal.segments, database.applied_seq + 1)
        end = records[-1].seq if records else durable_seq
        if end - database.applied_seq > len(records):
            self._tell_lost(holes(records, database.applied_seq + 1, end + 1))
            if not records:
                database.step_over(end)
        return records

    def _tell_lost(self, ranges: list[tuple[int, int]]) -> None:
        known = self._journal.lost()
        fresh = [
            (first, last)
            for first, last in ranges
            if not any(start <= first and last <= end for start, end in known)
        ]
        if fresh:
            self._report.add("the journal could not be read", told(fresh))

    async def _recover(self, failed: Database, error: Exception) -> None:
        """Wait where the disk is full; else open again, and if that did not help, rebuild."""
        self._context.emit(ApplyFailed(reason=str(error)))
        self._forget_waiting()
        damage = is_damage(error)
        self._refusal = None if damage else error  # damage is mended below: whoever waits may wait
        self._wake()
        self._failures += damage
        if damage or is_dead(error):
            # A checkpoint reads what stands in the file: opening that again would not help.
            hopeless = self._failures > 1 or "checkpoint" in str(error).lower()
            try:
                await self._reopen(failed, error, rebuild=damage and hopeless)
            except Retryable as second:
                self._context.emit(ApplyFailed(reason=str(second)))
                self._refusal = second
                self._wake()
        await trio.sleep(_RETRY_S)

    async def finish(self) -> None:
        """Apply what is durable and fold it in, unless the database refuses.

        For two seconds at most: what remains is in the journal and applied after the next start.
        Whoever still waits then is told that the storage is stopping.
        """
        deadline = trio.current_time() + _FINISH_S
        try:
            while self.applied_seq < self._journal.durable_seq and trio.current_time() < deadline:
                if not await self.step():
                    return
            await self.call(self._fold)
        except duckdb.Error as error:
            self._context.emit(ApplyFailed(reason=str(error)))
        finally:
            self._stopped = True
            self._wake()

    def _fold(self) -> None:
        if self.database.has_room():
            self.database.checkpoint()


def _pieces(records: Iterable[Record]) -> Iterator[Sequence[Record]]:
    """The records in portions for one transaction each."""
    piece: list[Record] = []
    size = 0
    for record in records:
        piece.append(record)
        size += 0 if record.kind == TELEMETRY else len(record.payload)
        if size >= _HEAVY_BYTES_MAX:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece


def _read_rows(table: str, start: int, database: Database, history: History) -> int | None:
    return database.read_rows(table, start)
