"""The storage: journal in front, DuckDB behind (ARCHITECTURE §3). Wiring and nothing else."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from sys import intern
from typing import Any
from uuid import UUID

import msgspec
import trio

from appliance.extension.hookspecs import Context
from appliance.extension.ports import (
    AttributeValue,
    LaneDepth,
    Quarantined,
    SeriesQuery,
)
from appliance.model.errors import Retryable
from appliance.model.ids import EntityId
from appliance.model.telemetry import Scope, Value
from appliance.model.unit import EntityWrite, Lane, OutboxEvent, StoredEvent, Unit
from plugins.storage_duckdb.applier import Applier
from plugins.storage_duckdb.committer import Committer, Group
from plugins.storage_duckdb.config import DuckdbStorageConfig
from plugins.storage_duckdb.damage import Damage, DamageReport
from plugins.storage_duckdb.database import Database
from plugins.storage_duckdb.events import DamageFound, StorageOpened
from plugins.storage_duckdb.folders import FolderLock, Folders, free_bytes
from plugins.storage_duckdb.journal import Journal
from plugins.storage_duckdb.ledger import Position
from plugins.storage_duckdb.outbox import Outboxes
from plugins.storage_duckdb.rebuild import DatabaseOpener
from plugins.storage_duckdb.records import (
    DeleteSeriesNote,
    QuarantineNote,
    Release,
    event_for_note,
    event_of_note,
)
from plugins.storage_duckdb.recovery import RECORDS_GONE, recover
from plugins.storage_duckdb.retention import Retention
from plugins.storage_duckdb.segments import told
from plugins.storage_duckdb.sql import select
from plugins.storage_duckdb.staging import Staging

_ENTITIES = msgspec.msgpack.Decoder(list[tuple[str, UUID, bytes]])
_ATTRIBUTES = msgspec.msgpack.Decoder(list[tuple[str, UUID, str, str, int, str]])


class DuckdbStorage:
    """`Storage` over one data folder. Opens in `run`; until then every call raises Retryable."""

    def __init__(self, config: DuckdbStorageConfig, context: Context) -> None:
        self._config = config
        self._context = context
        self._folders = Folders(context.data_dir)
        self._lock = FolderLock(context.data_dir)
        self._open: _Open | None = None
        self._token: trio.lowlevel.TrioToken | None = None

    # lifetime ------------------------------------------------------------------------------------
    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Open, serve until cancelled, then make the rest durable and close.

        Raises Fatal when the journal can neither be written nor cut back, ConfigError when
        another process has the folder.
        """
        started = trio.current_time()
        self._token = trio.lowlevel.current_trio_token()
        found = await trio.to_thread.run_sync(self._open_folder)
        opened = _Open(self._config, self._context, found)
        self._open = opened
        try:
            await opened.outboxes.prime()
            self._state_opened(opened, trio.current_time() - started)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(opened.committer.run, self._config.acknowledge_interval_s)
                nursery.start_soon(opened.applier.run)
                nursery.start_soon(opened.applier.scrub)
                nursery.start_soon(opened.retention.run)
                task_status.started()
        finally:
            with trio.CancelScope(shield=True):
                await self._close(opened)

    def _open_folder(self) -> _Opened:
        self._folders.make()
        self._lock.acquire()
        try:
            config, clock = self._config, self._context.clock
            report = DamageReport(self._folders.quarantine, clock, self._announce)
            journal = recover(
                self._folders, report, config.segment_bytes, config.free_bytes_min, clock()
            )
            opener = DatabaseOpener(self._folders, config, report, journal)
            database = opener.open()
            if database.applied_seq > journal.durable_seq:
                lost = told([(journal.next_seq, database.applied_seq)])
                report.add_once(RECORDS_GONE, lost)
                journal.next_seq = database.applied_seq + 1
            return _Opened(journal, database, opener, report)
        except BaseException:
            self._lock.release()
            raise

    def _announce(self, damage: Damage) -> None:
        """From a worker thread; events are emitted on the Trio thread."""
        event = DamageFound(what=damage.what, missing=damage.missing)
        assert self._token is not None
        self._token.run_sync_soon(self._context.emit, event)

    def _state_opened(self, opened: _Open, seconds: float) -> None:
        pending = sum(lane.pending for lane in opened.outboxes.ledger.lanes.values())
        self._context.emit(
            StorageOpened(
                durable_seq=opened.journal.durable_seq,
                pending=pending,
                segments=len(opened.journal.segments),
                opened_s=seconds,
            )
        )

    async def _close(self, opened: _Open) -> None:
        try:
            await opened.committer.flush()
        finally:
            opened.committer.close()
            await opened.applier.finish()
            self._open = None
            opened.outboxes.close()
            await trio.to_thread.run_sync(opened.close)
            self._lock.release()

    def _opened(self) -> _Open:
        if self._open is None:
            raise Retryable("the storage is not open")
        return self._open

    # commit and outboxes -------------------------------------------------------------------------
    async def commit(self, units: Sequence[Unit]) -> int:
        """See Storage.commit."""
        return await self._opened().committer.commit(units)

    def outboxes(self) -> Sequence[str]:
        """See Storage.outboxes."""
        return self._opened().outboxes.names()

    async def pending(
        self,
        outbox: str,
        lane: Lane,
        after: Position | None,
        max_events: int,
        max_bytes: int,
    ) -> Sequence[StoredEvent]:
        """See Storage.pending."""
        return await self._opened().outboxes.pending((outbox, lane), after, max_events, max_bytes)

    async def wait_pending(self, outbox: str, lane: Lane, after: Position | None) -> None:
        """See Storage.wait_pending."""
        await self._opened().outboxes.wait_pending((outbox, lane), after)

    def acknowledge(self, outbox: str, lane: Lane, events: Iterable[StoredEvent]) -> None:
        """See Storage.acknowledge."""
        opened = self._opened()
        if opened.outboxes.acknowledge((outbox, lane), events):
            opened.committer.poke()

    def depth(self, outbox: str, lane: Lane) -> LaneDepth:
        """See Storage.depth."""
        return self._opened().outboxes.depth((outbox, lane))

    # quarantine ----------------------------------------------------------------------------------
    async def quarantine(
        self, outbox: str, lane: Lane, event: StoredEvent, reason: str, size: int
    ) -> None:
        """See Storage.quarantine."""
        opened = self._opened()
        if opened.outboxes.lane(outbox, lane).ledger.finished(event.position):
            await trio.lowlevel.checkpoint()
            return
        note = QuarantineNote(
            outbox, lane, event.position, event.committed_ms, event_for_note(event.event),
            reason, self._context.clock(), size,
        )  # fmt: skip
        await opened.committer.note(note)
        opened.outboxes.quarantine((outbox, lane), event)
        opened.aside[event.position] = quarantined_of(note)

    def quarantined(self, outbox: str | None = None) -> Sequence[Quarantined]:
        """See Storage.quarantined."""
        aside = self._opened().aside.values()
        found = [entry for entry in aside if outbox in (None, entry.event.event.outbox)]
        return sorted(found, key=lambda entry: (entry.at_ms, entry.event.position))

    async def retry_quarantined(self, outbox: str, positions: Iterable[Position]) -> int:
        """See Storage.retry_quarantined."""
        opened = self._opened()
        chosen = [
            entry
            for position in sorted(set(positions))
            if (entry := opened.aside.get(position)) and entry.event.event.outbox == outbox
        ]
        if not chosen:
            await trio.lowlevel.checkpoint()
            return 0
        events = [entry.event for entry in chosen]
        releases = [
            Release(e.event.outbox, e.event.lane, e.position, len(e.event.body)) for e in events
        ]
        for event in events:
            del opened.aside[event.position]
            opened.released.add(event.position)
        try:
            await opened.committer.commit([Unit(events=[e.event for e in events])], releases)
        except BaseException:
            opened.aside.update((entry.event.position, entry) for entry in chosen)
            opened.released.difference_update(event.position for event in events)
            raise
        return len(chosen)

    # state ---------------------------------------------------------------------------------------
    async def _current(self) -> _Open:
        """Wait until the tables show everything committed before this call."""
        opened = self._opened()
        await opened.applier.wait_applied(opened.journal.durable_seq)
        return opened

    async def _state_current(self) -> _Open:
        """Wait until the tables of the state do, be the points behind."""
        opened = self._opened()
        await opened.applier.bring_state(opened.journal.durable_seq)
        return opened

    async def load_entities(self) -> AsyncIterator[Sequence[EntityWrite]]:
        """See Storage.load_entities."""
        statement = "SELECT kind, id, body FROM store.entity ORDER BY rowid"
        for chunk in await self._chunks(statement):
            yield [EntityWrite(*row) for row in _ENTITIES.decode(chunk)]

    async def load_attributes(
        self,
    ) -> AsyncIterator[Sequence[tuple[EntityId, Scope, str, AttributeValue]]]:
        """See Storage.load_attributes."""
        statement = "SELECT entity_type, entity_id, scope, key, ts, value FROM store.attribute"
        for chunk in await self._chunks(statement):
            times: dict[int, int] = {}  # what was written together shares the object that says when
            yield [
                (
                    EntityId(intern(kind), id),
                    Scope(scope),
                    intern(key),
                    AttributeValue(times.setdefault(ts, ts), _parsed(value)),
                )
                for kind, id, scope, key, ts, value in _ATTRIBUTES.decode(chunk)
            ]

    async def _chunks(self, statement: str) -> Iterator[bytes]:
        """The rows in chunks, each as MessagePack until it is its turn.

        One look sees one moment, but a million rows as Python objects at once would take more
        memory than everything that is made of them.
        """
        opened = await self._state_current()
        encode = msgspec.msgpack.encode
        chunks = await opened.applier.query(
            lambda database, _: deque(encode(rows) for rows in database.chunks(statement))
        )
        return (chunks.popleft() for _ in range(len(chunks)))

    async def load_states(self, owner: str) -> dict[str, bytes]:
        """See Storage.load_states."""
        opened = await self._state_current()
        statement = "SELECT key, body FROM store.state WHERE owner = ?"
        rows = await opened.applier.query(lambda database, _: database.rows(statement, [owner]))
        return {key: bytes(body) for key, body in rows}

    # history -------------------------------------------------------------------------------------
    async def query_series(self, query: SeriesQuery) -> dict[str, list[tuple[int, Value]]]:
        """See Storage.query_series."""
        opened = await self._current()
        return await opened.applier.query(lambda _, history: history.query(query))

    async def latest(
        self, entity: EntityId, keys: Sequence[str] | None = None
    ) -> dict[str, tuple[int, Value]]:
        """See Storage.latest."""
        opened = await self._current()
        known = await opened.applier.query(lambda _, history: dict(history.latest(entity)))
        return known if keys is None else {key: known[key] for key in keys if key in known}

    async def delete_series(
        self, entity: EntityId, keys: Sequence[str], start_ms: int, end_ms: int
    ) -> None:
        """See Storage.delete_series."""
        note = DeleteSeriesNote(entity.type, entity.id, list(keys), start_ms, end_ms)
        await self._opened().committer.note(note)

    async def sql(self, statement: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """See Storage.sql. Raises Permanent for anything but reading."""
        opened = await self._current()
        config = self._config
        return await opened.applier.query(
            lambda database, _: select(
                database.connection, statement, config.sql_rows_max, config.sql_timeout_s
            )
        )

    async def reclaim(self) -> None:
        """Give space back now instead of at the next look; see retention.py."""
        await (await self._current()).retention.reclaim()

    def statistics(self) -> dict[str, Any]:
        """See Storage.statistics."""
        opened = self._opened()
        journal = opened.journal
        return {
            "bytes": journal.size() + opened.applier.database.file_bytes(),
            "free_bytes": free_bytes(self._folders.root),
            "segments": len(journal.segments),
            "durable_seq": journal.durable_seq,
            "applied_seq": opened.applier.applied_seq,
            "missing": [str(damage) for damage in opened.report.findings],
            "full": opened.committer.refusing,
        }


class _Opened(msgspec.Struct):
    """What opening a folder gives."""

    journal: Journal
    database: Database
    opener: DatabaseOpener
    report: DamageReport


class _Open:
    """Everything that exists while the folder is open."""

    def __init__(self, config: DuckdbStorageConfig, context: Context, found: _Opened) -> None:
        self.journal = journal = found.journal
        self.report = found.report
        self.released: set[Position] = set()
        self.outboxes = Outboxes(journal, config.ring_bytes_max)
        self.aside = {
            position: quarantined_of(note) for position, note in found.database.quarantine_notes()
        }
        self.applier = Applier(
            journal, found.database, found.opener, found.report, config, context, self._applied
        )
        self.committer = Committer(
            journal, self.outboxes.ledger, context, self._durable, config.backlog_bytes_max
        )
        self.retention = Retention(
            Folders(context.data_dir), config, context, journal, self.outboxes.ledger,
            self.committer, self.applier,
        )  # fmt: skip

    def _durable(self, group: Group) -> None:
        for entry in group.entries:
            if entry.releases:
                self.outboxes.ledger.release(entry.releases)
        self.outboxes.committed(group.first_seq, group.committed_ms, group.units)
        self.applier.committed(group)

    def _applied(self, staging: Staging) -> None:
        """Only matters while catching up after a start: these notes were not yet known."""
        for note in staging.quarantines:
            if note.position not in self.released:
                self.aside.setdefault(note.position, quarantined_of(note))
        for release in staging.releases:
            self.aside.pop(release.position, None)

    def close(self) -> None:
        """Close files; blocking."""
        self.journal.close()
        self.applier.database.close()


def quarantined_of(note: QuarantineNote) -> Quarantined:
    """The note as the port shows it."""
    seq, index = note.position
    event: OutboxEvent = event_of_note(note)
    stored = StoredEvent(seq, index, note.committed_ms, event)
    return Quarantined(stored, note.reason, note.at_ms, note.size)


def _parsed(text: str) -> Value:
    value: Value = msgspec.json.decode(text)
    return value
