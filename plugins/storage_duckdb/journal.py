"""The journal: one writer, many readers. Blocking calls, made from worker threads.

`append` is called by one thread at a time and returns when the records are on disk. Readers see
`segments`, a tuple replaced as a whole, and never read behind a segment's `end`, which moves only
after the sync. So a reader needs no lock. `next_seq` moves last of all: whoever reads it first and
then `segments` finds every record in front of it there, but for those that are lost.

When a write fails, the file is cut back to its last durable byte and the same sequences are used
again: nothing of a failed group can come back after a restart. Where even that fails the journal
says Fatal, because it no longer knows what the file holds.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from appliance.model.errors import Fatal, Retryable
from appliance.model.unit import OutboxEvent, Unit
from plugins.storage_duckdb.folders import free_bytes
from plugins.storage_duckdb.format import (
    GROUP_RECORDS_MAX,
    NOTES,
    PLAIN,
    RECORD_BYTES_MAX,
    SegmentHeader,
    crc32c,
    crc32c_extend,
    encode_footer,
    encode_group,
    encode_header,
    encode_record,
)
from plugins.storage_duckdb.ledger import Ledger, SpanBuilder
from plugins.storage_duckdb.mark import Mark
from plugins.storage_duckdb.records import Note, Release, encode_note, encode_unit
from plugins.storage_duckdb.segments import (
    Segment,
    footer_of,
    holds_state,
    segment_path,
    sync_folder,
)

_NO_SPACE = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}


class Entry(msgspec.Struct):
    """One record to write: a unit (with what it releases from quarantine) or a note."""

    kind: int
    payload: bytes
    events: Sequence[OutboxEvent] = ()
    releases: Sequence[Release] = ()
    note: Note | None = None


def unit_entry(unit: Unit, releases: list[Release] | None = None) -> Entry:
    """Encode a unit. Raises TypeError, ValueError or OverflowError where it cannot be stored."""
    kind, payload = encode_unit(unit, releases)
    if len(payload) > RECORD_BYTES_MAX - 16:
        raise ValueError(f"a unit of {len(payload)} bytes is larger than a record may be")
    return Entry(kind, payload, unit.events, releases or ())


def note_entry(note: Note) -> Entry:
    """Encode a note."""
    kind, payload = encode_note(note)
    return Entry(kind, payload, note=note)


class Journal:
    """The append side and the list of segments.

    Args:
        folder: where segments live; must exist.
        segments: what recovery found, oldest first.
        ledger: the account behind the last record; the journal keeps it current.
        next_seq: of the next record.
        segment_bytes: size at which a segment is sealed and the next begun.
        free_bytes_min: units are refused when the disk would be left with less.
    """

    def __init__(
        self,
        folder: Path,
        segments: Sequence[Segment],
        ledger: Ledger,
        next_seq: int,
        segment_bytes: int,
        free_bytes_min: int,
    ) -> None:
        self.segments: tuple[Segment, ...] = tuple(segments)
        self.ledger = ledger
        self.next_seq = next_seq
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._free_bytes_min = free_bytes_min
        self._file: int | None = None
        self._crc = 0
        self._spans = SpanBuilder()
        self._mark = Mark(folder)

    @property
    def durable_seq(self) -> int:
        """Sequence of the last durable record."""
        return self.next_seq - 1

    @property
    def first_seq(self) -> int:
        """Sequence of the oldest record that is still here, or of the next one."""
        return self.segments[0].first_seq if self.segments else self.next_seq

    def is_active(self, segment: Segment) -> bool:
        """Whether it is the one being written."""
        return self._file is not None and segment.first_seq == self.segments[-1].first_seq

    def lost(self) -> list[tuple[int, int]]:
        """Ranges of sequences that damage took and that were told, oldest first, none adjacent."""
        found: list[tuple[int, int]] = []
        next_seq, segments = self.next_seq, self.segments
        expected = segments[0].first_seq if segments else next_seq
        for segment in segments:
            found += [(expected, segment.first_seq - 1), *segment.lost]
            expected = segment.next_seq
        return joined([*found, (expected, next_seq - 1)])

    def size(self) -> int:
        """Bytes of all segments."""
        return sum(segment.end for segment in self.segments)

    def append(self, entries: Sequence[Entry], committed_ms: int) -> int:
        """Write entries as one group (or several, if many) and sync once.

        Returns: the sequence of the first entry.
        Raises: Retryable when the disk is full or fails, nothing of it is kept; Fatal.
        """
        if any(entry.note is None for entry in entries):
            self._check_reserve()
        if self._file is None:
            self._begin(committed_ms)
        first = self.next_seq
        data = b"".join(
            self._group(first + at, entries[at : at + GROUP_RECORDS_MAX], committed_ms)
            for at in range(0, len(entries), GROUP_RECORDS_MAX)
        )
        self._write(data)
        self._account(entries, committed_ms, data)
        self.confirm()
        if self.segments[-1].end >= self._segment_bytes:
            self.seal()
        return first

    def confirm(self) -> None:
        """Set the mark to what is durable."""
        self._mark.set(self.durable_seq)

    def close(self) -> None:
        """Seal the active segment; where the disk is full it stays unsealed and is scanned."""
        self.seal()
        self._release_file()
        self._mark.close()

    def forget(self, segments: Sequence[Segment]) -> None:
        """Delete these segments; they must not include the newest."""
        gone = {segment.first_seq for segment in segments}
        self.segments = tuple(s for s in self.segments if s.first_seq not in gone)
        for segment in segments:
            segment.path.unlink(missing_ok=True)

    def _check_reserve(self) -> None:
        free = free_bytes(self._folder)
        if free < self._free_bytes_min:
            raise _full(f"{free >> 20} MiB are free, {self._free_bytes_min >> 20} are kept free")

    def _group(self, first_seq: int, entries: Sequence[Entry], committed_ms: int) -> bytes:
        lanes = 0 if any(holds_state(entry.kind) for entry in entries) else PLAIN
        records = []
        for seq, entry in enumerate(entries, first_seq):
            records.append(encode_record(seq, entry.kind, entry.payload))
            for event in entry.events:
                lanes |= 1 << event.lane
            if entry.note is not None:
                lanes |= NOTES
        return encode_group(first_seq, committed_ms, lanes, records)

    def _begin(self, committed_ms: int) -> None:
        path = segment_path(self._folder, self.next_seq)
        header = encode_header(SegmentHeader(self.next_seq, committed_ms, self.ledger.figures()))
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
            _write_all(self._file, header, 0)
            os.fsync(self._file)
            sync_folder(self._folder)
        except OSError as error:
            self._release_file()
            path.unlink(missing_ok=True)
            raise _retryable(error) from error
        self._crc = crc32c(header)
        self._spans = SpanBuilder()
        fresh = Segment(
            path, self.next_seq, self.next_seq, committed_ms, committed_ms,
            len(header), len(header), False, [], [], False,
        )  # fmt: skip
        self.segments = (*self.segments, fresh)

    def _write(self, data: bytes) -> None:
        assert self._file is not None
        end = self.segments[-1].end
        try:
            _write_all(self._file, data, end)
            os.fdatasync(self._file)
        except OSError as error:
            self._cut_back(end)
            raise _retryable(error) from error

    def _cut_back(self, end: int) -> None:
        assert self._file is not None
        try:
            os.ftruncate(self._file, end)
            os.fdatasync(self._file)
        except OSError as error:
            raise Fatal(
                f"the journal cannot be written nor cut back: {error}", hint="check the disk"
            ) from error

    def _account(self, entries: Sequence[Entry], committed_ms: int, data: bytes) -> None:
        segment = self.segments[-1]
        for seq, entry in enumerate(entries, self.next_seq):
            if entry.note is not None:
                self.ledger.note(entry.note)
            else:
                self.ledger.release(entry.releases)
                self.ledger.accept(entry.events)
                self._spans.add(seq, entry.events)
            segment.has_state = segment.has_state or holds_state(entry.kind)
        segment.next_seq += len(entries)
        segment.last_ms = committed_ms
        segment.end += len(data)
        segment.spans = list(self._spans.spans.values())
        self._crc = crc32c_extend(self._crc, data)
        self.next_seq = segment.next_seq

    def seal(self) -> None:
        """Finish the active segment; the next append begins another.

        A full disk leaves it as it is: what is durable must not be reported as failed, the
        segment grows a little longer and the next time will do.
        """
        if self._file is None:
            return
        try:
            self._write_footer(self._file)
        except OSError:
            return
        self._release_file()

    def _write_footer(self, file: int) -> None:
        segment = self.segments[-1]
        segment.lanes = self.ledger.figures()
        footer = encode_footer(footer_of(segment, self._crc))
        try:
            _write_all(file, footer, segment.end)
            os.fdatasync(file)
        except OSError:
            self._cut_back(segment.end)
            raise
        segment.sealed = True

    def _release_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def joined(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ascending ranges, without the empty ones, neighbours made one."""
    found: list[tuple[int, int]] = []
    for first, last in ranges:
        if first > last:
            continue
        if found and found[-1][1] + 1 == first:
            first = found.pop()[0]
        found.append((first, last))
    return found


def is_no_space(error: OSError) -> bool:
    """Whether the error says that the disk, a quota or a limit is full."""
    return error.errno in _NO_SPACE


def _write_all(file: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, at)
        view, at = view[written:], at + written


def _full(detail: str) -> Retryable:
    return Retryable(f"the disk is full: {detail}", hint="free some space", retry_after_s=5.0)


def _retryable(error: OSError) -> Retryable:
    if is_no_space(error):
        return _full(str(error))
    return Retryable(f"the journal cannot be written: {error}", hint="check the disk")
