"""Segment files: how they are named, read, found damaged and put right. Blocking calls.

A segment is named by its first sequence (`00000000000000000001.journal`), so that the order of
names is the order of records even where a header is lost. It is written once, from front to back,
by one process; a restart always begins a new one. Sealed means: its footer is on disk.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from plugins.storage_duckdb.format import (
    Gap,
    LaneFigures,
    LaneSpan,
    Record,
    SegmentFooter,
    SegmentHeader,
    crc32c,
    decode_footer,
    decode_header,
    encode_footer,
    encode_header,
    footer_length,
    scan,
)
from plugins.storage_duckdb.ledger import Ledger, SpanBuilder
from plugins.storage_duckdb.records import (
    CURSOR,
    DELETE_SERIES,
    TELEMETRY,
    UNIT,
    decode_events,
    decode_note,
    decode_unit,
)

SUFFIX = ".journal"
_HEADER_READ = 1 << 16
_BLOCK = 4096


class Segment(msgspec.Struct):
    """One file of the journal and what it holds.

    start..end: where its groups are. next_seq: behind its last record. lanes: the account behind
    its last record. lost: ranges of sequences that damage took out of it.
    """

    path: Path
    first_seq: int
    next_seq: int
    first_ms: int
    last_ms: int
    start: int
    end: int
    has_state: bool
    spans: list[LaneSpan]
    lanes: list[LaneFigures]
    sealed: bool
    lost: list[tuple[int, int]] = []

    @property
    def last_seq(self) -> int:
        """Of its last record."""
        return self.next_seq - 1


class Scan(msgspec.Struct):
    """A segment read record by record. ledger: the account behind its last intact record."""

    segment: Segment
    records: list[Record]
    gaps: list[Gap]
    ledger: Ledger


def segment_path(folder: Path, first_seq: int) -> Path:
    """Where the segment that starts with that sequence lives."""
    return folder / f"{first_seq:020d}{SUFFIX}"


def segment_paths(folder: Path) -> list[Path]:
    """All segments, oldest first; files with other names are not ours."""
    found = (path for path in folder.glob(f"*{SUFFIX}") if path.stem.isdigit())
    return sorted(found, key=lambda path: int(path.stem))


def pread(file: int, length: int, at: int) -> bytes:
    """Bytes of an open file, fewer only at its end. Raises OSError.

    A block that the disk cannot read is zeros, in which nothing proves itself: it costs the records
    that were there and not the start.
    """
    parts = []
    while length > 0:
        try:
            data = os.pread(file, length, at)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            data = bytes(min(_BLOCK - at % _BLOCK, length))
        if not data:
            break
        parts.append(data)
        length, at = length - len(data), at + len(data)
    return b"".join(parts)


def read_file(path: Path, start: int = 0, end: int | None = None) -> bytes:
    """A file's bytes from start to end, as `pread` gives them. Raises OSError."""
    file = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(file).st_size
        return pread(file, (size if end is None else min(end, size)) - start, start)
    finally:
        os.close(file)


def read_footer(path: Path) -> tuple[SegmentFooter | None, int]:
    """(footer, bytes before it); (None, size of the file) where there is no intact one."""
    size = path.stat().st_size
    length = footer_length(read_file(path, max(0, size - 16)))
    if not 0 < length <= size:
        return None, size
    footer = decode_footer(read_file(path, size - length))
    return (footer, size - length) if footer else (None, size)


def read_header(path: Path) -> tuple[SegmentHeader | None, int]:
    """(header, its length); (None, 0) where it is damaged."""
    header, length = decode_header(read_file(path, 0, _HEADER_READ))
    if header is None:
        header, length = decode_header(read_file(path))
    return header, length


def open_sealed(path: Path) -> Segment | None:
    """The segment as its footer describes it; None if header or footer cannot tell."""
    footer, end = read_footer(path)
    header, start = read_header(path)
    if footer is None or header is None or footer.first_seq != int(path.stem):
        return None
    return Segment(
        path, footer.first_seq, footer.next_seq, footer.first_ms, footer.last_ms,
        start, end, footer.has_state, footer.spans, footer.lanes, True, footer.lost,
    )  # fmt: skip


def is_intact(path: Path) -> bool:
    """Whether every byte before the footer is as it was sealed."""
    footer, end = read_footer(path)
    if footer is None:
        return False
    return crc32c(read_file(path, 0, end)) == footer.crc


def scan_segment(path: Path, before: Ledger) -> Scan:
    """Read a segment record by record, whatever its state.

    Args:
        path: the file; its footer, if any, is not looked at for content.
        before: the account in front of it, used where its own header is lost.
    """
    _, end = read_footer(path)
    data = read_file(path, 0, end)
    header, start = decode_header(data)
    first_seq = int(path.stem)
    ledger = Ledger(header.lanes if header else before.figures())
    spans = SpanBuilder()
    records: list[Record] = []
    gaps: list[Gap] = []
    has_state = False
    for found in scan(data, start, first_seq, header.created_ms if header else 0):
        if isinstance(found, Gap):
            gaps.append(found)
            continue
        records.append(found)
        fold(found, ledger, spans)
        has_state = has_state or holds_state(found.kind)
    segment = Segment(
        path, first_seq, records[-1].seq + 1 if records else first_seq,
        records[0].committed_ms if records else 0, records[-1].committed_ms if records else 0,
        start, gaps[-1].start if gaps and gaps[-1].end == end else end,
        has_state, list(spans.spans.values()), ledger.figures(), False,
    )  # fmt: skip
    return Scan(segment, records, gaps, ledger)


def holes(records: Sequence[Record], first_seq: int, next_seq: int) -> list[tuple[int, int]]:
    """Ranges of first_seq..next_seq - 1 that no record has."""
    found = []
    expected = first_seq
    for record in records:
        if record.seq > expected:
            found.append((expected, record.seq - 1))
        expected = record.seq + 1
    if next_seq > expected:
        found.append((expected, next_seq - 1))
    return found


def told(ranges: Sequence[tuple[int, int]]) -> str:
    """Ranges of sequences in words: `records 3, 7..9`."""
    shown = [str(a) if a == b else f"{a}..{b}" for a, b in ranges[:20]]
    if len(ranges) > 20:
        shown.append(f"and {len(ranges) - 20} more ranges")
    return f"records {', '.join(shown)}"


def fold(record: Record, ledger: Ledger, spans: SpanBuilder | None = None) -> None:
    """Bring an account, and a segment's spans, up to behind this record."""
    if record.kind == TELEMETRY:
        events = decode_events(record.kind, record.payload)
    elif record.kind == UNIT:
        unit, releases = decode_unit(record.kind, record.payload)
        ledger.release(releases)
        events = unit.events
    else:
        ledger.note(decode_note(record.kind, record.payload))
        return
    ledger.accept(events)
    if spans is not None:
        spans.add(record.seq, events)


def holds_state(kind: int) -> bool:
    """Whether a record of that kind may change what a snapshot must hold."""
    return kind not in (TELEMETRY, CURSOR, DELETE_SERIES)


def seal(segment: Segment) -> None:
    """Cut what is behind the last record and write the footer. Raises OSError."""
    with segment.path.open("r+b") as file:
        file.truncate(segment.end)
        crc = crc32c(file.read())
        file.seek(segment.end)
        file.write(encode_footer(footer_of(segment, crc)))
        file.flush()
        os.fdatasync(file.fileno())
    segment.sealed = True


def footer_of(segment: Segment, crc: int) -> SegmentFooter:
    """The footer that describes the segment; crc: of everything before it."""
    return SegmentFooter(
        segment.first_seq, segment.next_seq, segment.first_ms, segment.last_ms,
        crc, segment.has_state, segment.spans, segment.lanes, segment.lost,
    )  # fmt: skip


def rewrite(found: Scan, before: Ledger, groups: Iterator[bytes]) -> Segment:
    """Replace a damaged segment by one that holds its intact records. Raises OSError.

    Atomic: the new file is complete before it takes the name.
    """
    old = found.segment
    first_ms = old.first_ms
    header = encode_header(SegmentHeader(old.first_seq, first_ms, before.figures()))
    body = b"".join((header, *groups))
    fresh = msgspec.structs.replace(old, start=len(header), end=len(body), sealed=True)
    temporary = old.path.with_suffix(".new")
    write_durably(temporary, (body, encode_footer(footer_of(fresh, crc32c(body)))))
    temporary.replace(old.path)
    sync_folder(old.path.parent)
    return fresh


def write_durably(path: Path, parts: Iterable[bytes]) -> None:
    """Write a whole file and sync it. Raises OSError, and what making a part raises."""
    with path.open("wb") as file:
        file.writelines(parts)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make names in the folder durable. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
