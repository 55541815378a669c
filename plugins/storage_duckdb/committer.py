"""Group commit: whoever asks while one fdatasync runs shares the next. Runs on the Trio thread.

What waits is bounded by `backlog_bytes_max` of memory; beyond that a commit is refused with
Retryable, which reaches the device as "wait", long before memory is short. Order of calls is order
of sequences.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio

from appliance.extension.hookspecs import Context
from appliance.model.errors import ApplianceError, Fatal, Permanent, Retryable
from appliance.model.unit import Unit
from plugins.storage_duckdb.events import CommitRefused, CommitsResumed, GroupCommitted
from plugins.storage_duckdb.journal import Entry, Journal, note_entry, unit_entry
from plugins.storage_duckdb.ledger import Ledger
from plugins.storage_duckdb.records import Note, Release

GROUP_BYTES_MAX = 4 << 20
"""Memory of what one group gathers, 3,300 telemetry messages of 5 points; a request larger than
that is a group of its own."""
_UNIT_OVERHEAD_BYTES = 1_100
"""What a unit of one telemetry message takes in memory beside its payload, measured on CPython
3.11: series, values, event and entry. A hundred bytes of payload weigh over a thousand."""


class Group:
    """What became durable together, in order. units: None stands for a note."""

    __slots__ = ("committed_ms", "entries", "first_seq", "units")

    def __init__(
        self,
        first_seq: int,
        committed_ms: int,
        entries: Sequence[Entry],
        units: Sequence[Unit | None],
    ) -> None:
        self.first_seq = first_seq
        self.committed_ms = committed_ms
        self.entries = entries
        self.units = units


class _Request:
    """One caller's entries, and what became of them."""

    __slots__ = ("bytes", "done", "entries", "error", "first_seq", "units")

    def __init__(self, entries: list[Entry], units: Sequence[Unit | None]) -> None:
        self.entries = entries
        self.units = units
        self.bytes = sum(len(entry.payload) + _UNIT_OVERHEAD_BYTES for entry in entries)
        self.done = trio.Event()
        self.error: ApplianceError | None = None
        self.first_seq = 0


class Committer:
    """Args: on_durable is called on the Trio thread with each group, before callers wake."""

    def __init__(
        self,
        journal: Journal,
        ledger: Ledger,
        context: Context,
        on_durable: Callable[[Group], None],
        backlog_bytes_max: int,
    ) -> None:
        self.refusing = False
        self._journal = journal
        self._ledger = ledger
        self._context = context
        self._on_durable = on_durable
        self._backlog_bytes_max = backlog_bytes_max
        self._waiting: list[_Request] = []
        self._waiting_bytes = 0
        self._work = trio.Event()
        self._asked = trio.Event()
        self._limiter = trio.CapacityLimiter(1)
        self._closed: ApplianceError | None = None

    async def run(self, acknowledge_interval_s: float) -> None:
        """Write groups until cancelled; acknowledgements at the latest after the interval."""
        try:
            while True:
                await self._work.wait()
                with trio.move_on_after(acknowledge_interval_s):
                    await self._asked.wait()
                await self.flush()
        finally:
            self._closed = self._closed or Retryable("the storage is stopping")

    def poke(self) -> None:
        """Acknowledgements changed: start the clock for writing them."""
        self._work.set()

    async def commit(self, units: Sequence[Unit], releases: Sequence[Release] = ()) -> int:
        """See Storage.commit. releases: taken back from quarantine by the first unit."""
        if not units:
            await trio.lowlevel.checkpoint()
            return self._journal.next_seq
        try:
            entries = [unit_entry(unit) for unit in units[1:]]
            entries.insert(0, unit_entry(units[0], list(releases)))
        except (TypeError, ValueError, OverflowError) as error:
            raise Permanent(f"a value cannot be stored: {error}") from error
        return await self._submit(_Request(entries, units))

    async def note(self, note: Note) -> int:
        """Make a note durable; returns its sequence."""
        return await self._submit(_Request([note_entry(note)], [None]))

    async def exclusively(self, work: Callable[[], None]) -> None:
        """Run blocking work in the writer's thread, between two groups."""
        await trio.to_thread.run_sync(work, limiter=self._limiter)

    async def roll(self) -> None:
        """Begin a new segment, so that the present one can go."""
        await self.exclusively(self._journal.seal)
        await self.note(self._ledger.figures())

    async def _submit(self, request: _Request) -> int:
        if self._closed is not None:
            raise self._closed
        if self._waiting and self._waiting_bytes + request.bytes > self._backlog_bytes_max:
            raise Retryable("too much waits for the disk", hint="the disk is slow")
        self._waiting.append(request)
        self._waiting_bytes += request.bytes
        self._work.set()
        self._asked.set()
        await request.done.wait()
        if request.error is not None:
            raise request.error
        return request.first_seq

    def _ledger_dirty(self) -> bool:
        return any(lane.dirty for lane in self._ledger.lanes.values())

    async def flush(self) -> None:
        """Write all that waits, and the acknowledgements."""
        self._work, self._asked = trio.Event(), trio.Event()
        requests = self._gather()
        while requests or self._ledger_dirty():
            await self._write(requests)
            requests = self._gather()
            if self.refusing and not requests:
                break

    def _gather(self) -> list[_Request]:
        size, count = 0, 0
        for request in self._waiting:
            if count and size + request.bytes > GROUP_BYTES_MAX:
                break
            size += request.bytes
            count += 1
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        self._waiting_bytes -= size
        return taken

    async def _write(self, requests: list[_Request]) -> None:
        changed = self._ledger.dirty()
        entries = [note_entry(changed)] if changed else []
        units: list[Unit | None] = [None] * len(entries)
        for request in requests:
            request.first_seq = len(entries)
            entries.extend(request.entries)
            units.extend(request.units)
        now = self._context.clock()
        try:
            with trio.CancelScope(shield=True):
                first = await trio.to_thread.run_sync(
                    self._journal.append, entries, now, limiter=self._limiter
                )
        except (Retryable, Fatal) as error:
            for figures in changed:
                self._ledger.lane(figures.outbox, figures.lane).dirty = True
            self._refuse(requests, error)
            return
        self._accept(requests, Group(first, now, entries, units))

    def _accept(self, requests: list[_Request], group: Group) -> None:
        if self.refusing:
            self.refusing = False
            self._context.emit(CommitsResumed())
        self._on_durable(group)
        size = sum(len(entry.payload) for entry in group.entries)
        self._context.emit(GroupCommitted(units=len(group.units), bytes=size))
        for request in requests:
            request.first_seq += group.first_seq
            request.done.set()

    def _refuse(self, requests: list[_Request], error: ApplianceError) -> None:
        if not self.refusing:
            self.refusing = True
            self._context.emit(CommitRefused(reason=str(error)))
        for request in requests:
            request.error = error
            request.done.set()
        if isinstance(error, Fatal):
            self._closed = error
            raise error

    def close(self) -> None:
        """Refuse what still waits; nothing is written any more."""
        error = self._closed or Retryable("the storage is stopping")
        self._closed = error
        for request in self._waiting:
            request.error = error
            request.done.set()
        self._waiting.clear()
