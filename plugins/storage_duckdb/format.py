"""The journal's bytes: segments of groups of records. Pure; no files here.

Limits: a record is at most 16 MiB - 1, a group at most 4,096 records or about 8 MiB (one record
may exceed that), a segment counts at most 2^24 records, times are 48 bits of milliseconds.

    segment   header  group*  [footer]
    header    8 "EAJRNL01", u32 length, u32 crc, msgpack SegmentHeader
    group     2 magic, u32 crc, u32 length of its records, u64 first sequence, u64 commit time,
              u16 count, u8 lanes; then its records (31 bytes of overhead for a whole group)
    record    u32 (length << 8 | marker), u32 crc, u32 (low 24 bits of sequence << 8 | kind),
              payload (12 bytes of overhead; crc and length cover the third word and the payload)
    footer    msgpack SegmentFooter, u32 length, u32 crc, 8 "EAJRNLFT"

All integers are little-endian, every crc is CRC32C.

Invariant: *a record proves itself*. It names its length, its checksum and its place in the
sequence, so damage to a group's header costs no record (they are found again by marker and
checksum, their full sequence follows from the segment's first) and damage to a record costs that
record: the scan goes on at the next place that proves itself. A group exists so that readers can
step over many records at once and because it is what one fdatasync makes durable.

What cannot be told apart: a file cut after it was synced, and a write that never finished. Both
end in bytes that prove nothing; a scan reports them as a `Gap` that reaches the end.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

import google_crc32c
import msgspec

from appliance.model.unit import Lane

HEADER_MAGIC = b"EAJRNL01"
FOOTER_MAGIC = b"EAJRNLFT"
GROUP_MAGIC = b"\xe7\x47"
MARKER = 0xA5
RECORD_BYTES_MAX = (1 << 24) - 1
GROUP_RECORDS_MAX = 4096

ALL_LANES = sum(1 << lane for lane in Lane)
NOTES = 1 << 7
"""Bit of a group's lanes: it holds records that are not units of work."""
PLAIN = 1 << 6
"""Bit of a group's lanes: nothing but telemetry and cursors is in it, so no state changes."""

_GROUP = struct.Struct("<2sIIQQHB")
_GROUP_TAIL = struct.Struct("<IQQHB")
_RECORD = struct.Struct("<III")
_WORD = struct.Struct("<I")
_TWO_WORDS = struct.Struct("<II")
GROUP_HEADER_BYTES = _GROUP.size
RECORD_HEADER_BYTES = _RECORD.size


def crc32c(data: bytes) -> int:
    """CRC32C of the bytes."""
    return google_crc32c.value(data)  # type: ignore[no-any-return]  # the library has no types


def crc32c_extend(crc: int, data: bytes) -> int:
    """CRC32C of bytes whose beginning has that crc and whose rest is data."""
    return google_crc32c.extend(crc, data)  # type: ignore[no-any-return]  # as above


class Group(NamedTuple):
    """A group header. start..end: where its records are, offsets in the segment."""

    first_seq: int
    committed_ms: int
    records: int
    lanes: int
    start: int
    end: int


class Record(NamedTuple):
    """One intact record with its full sequence and the commit time of its group."""

    seq: int
    committed_ms: int
    kind: int
    payload: bytes


class Gap(NamedTuple):
    """Bytes that prove nothing. first_seq..last_seq: what may have been there, if known."""

    start: int
    end: int
    first_seq: int | None
    last_seq: int | None


def encode_record(seq: int, kind: int, payload: bytes) -> bytes:
    """One framed record."""
    body = _WORD.pack((seq & 0xFFFFFF) << 8 | kind) + payload
    return _TWO_WORDS.pack(len(body) << 8 | MARKER, crc32c(body)) + body


def encode_group(first_seq: int, committed_ms: int, lanes: int, records: list[bytes]) -> bytes:
    """The group of already framed records, ready to be appended in one write."""
    body = b"".join(records)
    tail = _GROUP_TAIL.pack(len(body), first_seq, committed_ms, len(records), lanes)
    return b"".join((GROUP_MAGIC, _WORD.pack(crc32c(tail)), tail, body))


def group_at(data: bytes, at: int) -> Group | None:
    """The group whose header stands at `at`, or None if no intact header is there."""
    if len(data) - at < GROUP_HEADER_BYTES or data[at : at + 2] != GROUP_MAGIC:
        return None
    _, crc, length, first_seq, committed_ms, count, lanes = _GROUP.unpack_from(data, at)
    if crc32c(data[at + 6 : at + GROUP_HEADER_BYTES]) != crc:
        return None
    start = at + GROUP_HEADER_BYTES
    return Group(first_seq, committed_ms, count, lanes, start, start + length)


def group_records(data: bytes, group: Group) -> Iterator[Record | Gap]:
    """What is in a group: its intact records in order, and a Gap for each damaged stretch."""
    at, expected = group.start, group.first_seq
    end = min(group.end, len(data))
    while at < end:
        record = _record_at(data, at, end, expected)
        if record is None:
            resumed = _next_record(data, at + 1, end)
            following = _full_sequence(data, resumed, expected) if resumed < end else None
            last = (following or group.first_seq + group.records) - 1
            yield Gap(at, resumed, expected, last)
            at = resumed
            expected = last + 1
            continue
        yield Record(record.seq, group.committed_ms, record.kind, record.payload)
        at += RECORD_HEADER_BYTES + len(record.payload)
        expected = record.seq + 1
    if expected < group.first_seq + group.records and at >= end:
        yield Gap(end, end, expected, group.first_seq + group.records - 1)


def scan(data: bytes, start: int, first_seq: int, committed_ms: int = 0) -> Iterator[Record | Gap]:
    """Everything provable in data[start:], whatever else is there.

    Args:
        data: a segment without its footer.
        first_seq: the least sequence that may come; full sequences follow from it.
        committed_ms: for records whose group header is lost, until another group tells.
    """
    at, expected = start, first_seq
    while at < len(data):
        group = group_at(data, at)
        if group is not None:
            if group.first_seq > expected:
                yield Gap(at, at, expected, group.first_seq - 1)
            yield from group_records(data, group)
            committed_ms = group.committed_ms
            expected = group.first_seq + group.records
            at = min(group.end, len(data))
            continue
        record = _record_at(data, at, len(data), expected)
        if record is not None:
            if record.seq > expected:
                yield Gap(at, at, expected, record.seq - 1)
            yield Record(record.seq, committed_ms, record.kind, record.payload)
            at += RECORD_HEADER_BYTES + len(record.payload)
            expected = record.seq + 1
            continue
        resumed = min(_next_group(data, at + 1), _next_record(data, at + 1, len(data)))
        yield Gap(at, resumed, None, None)
        at = resumed


def _record_at(data: bytes, at: int, end: int, expected: int) -> Record | None:
    if end - at < RECORD_HEADER_BYTES or data[at] != MARKER:
        return None
    head, crc, place = _RECORD.unpack_from(data, at)
    length = head >> 8
    if length < 4 or at + 8 + length > end:
        return None
    body = data[at + 8 : at + 8 + length]
    if crc32c(body) != crc:
        return None
    seq = expected + ((place >> 8) - expected & 0xFFFFFF)
    return Record(seq, 0, place & 0xFF, body[4:])


def _full_sequence(data: bytes, at: int, expected: int) -> int:
    (place,) = _WORD.unpack_from(data, at + 8)
    return expected + (int(place >> 8) - expected & 0xFFFFFF)


def _next_record(data: bytes, at: int, end: int) -> int:
    """Where the next provable record starts; `end` if none does."""
    while (at := data.find(MARKER, at, end)) >= 0:
        if _record_at(data, at, end, 0) is not None:
            return at
        at += 1
    return end


def _next_group(data: bytes, at: int) -> int:
    while (at := data.find(GROUP_MAGIC, at)) >= 0:
        if group_at(data, at) is not None:
            return at
        at += 1
    return len(data)


# --- header and footer -------------------------------------------------------------------------


class LaneFigures(msgspec.Struct, array_like=True):
    """The running account of one lane of one outbox; see ledger.py.

    accepted: places ever taken; released: those left for a new one by a retry from quarantine.
    done: positions finished ahead of the cursor, with the bytes of each. damaged: the same for
    events that damage ended, whose positions nobody knows: (first, last, count, bytes).
    """

    outbox: str
    lane: Lane
    accepted: int = 0
    accepted_bytes: int = 0
    acknowledged: int = 0
    acknowledged_bytes: int = 0
    quarantined: int = 0
    quarantined_bytes: int = 0
    released: int = 0
    released_bytes: int = 0
    dropped: dict[str, int] = msgspec.field(default_factory=dict)
    dropped_bytes: int = 0
    cursor: tuple[int, int] = (0, -1)
    done: dict[tuple[int, int], int] = msgspec.field(default_factory=dict)
    damaged: list[tuple[tuple[int, int], tuple[int, int], int, int]] = []


class LaneSpan(msgspec.Struct, array_like=True):
    """The events of one lane within one segment."""

    outbox: str
    lane: Lane
    count: int
    bytes: int
    first: tuple[int, int]
    last: tuple[int, int]


class SegmentHeader(msgspec.Struct, array_like=True, frozen=True):
    """lanes: the account before its first record. The file's name repeats first_seq."""

    first_seq: int
    created_ms: int
    lanes: list[LaneFigures]


class SegmentFooter(msgspec.Struct, array_like=True, frozen=True):
    """What a sealed segment holds, so that nobody needs to read it to know.

    next_seq: behind its last record. crc: of everything before the footer. has_state: records
    beyond telemetry and cursors are in it. lanes: the account behind its last record. lost: ranges
    of sequences that damage took out of it.
    """

    first_seq: int
    next_seq: int
    first_ms: int
    last_ms: int
    crc: int
    has_state: bool
    spans: list[LaneSpan]
    lanes: list[LaneFigures]
    lost: list[tuple[int, int]] = []


def encode_header(header: SegmentHeader) -> bytes:
    """The first bytes of a segment."""
    body = msgspec.msgpack.encode(header)
    return HEADER_MAGIC + _TWO_WORDS.pack(len(body), crc32c(body)) + body


def decode_header(data: bytes) -> tuple[SegmentHeader | None, int]:
    """(header, its length); (None, 0) if it is damaged."""
    if len(data) < 16 or data[:8] != HEADER_MAGIC:
        return None, 0
    length, crc = _TWO_WORDS.unpack_from(data, 8)
    body = data[16 : 16 + length]
    if not body or len(body) != length or crc32c(body) != crc:
        return None, 0
    return msgspec.msgpack.decode(body, type=SegmentHeader), 16 + length


def encode_footer(footer: SegmentFooter) -> bytes:
    """The last bytes of a sealed segment."""
    body = msgspec.msgpack.encode(footer)
    return body + _TWO_WORDS.pack(len(body), crc32c(body)) + FOOTER_MAGIC


def footer_length(tail: bytes) -> int:
    """Bytes of the footer that ends with `tail` (16 bytes); 0 if none does.

    An empty one is none: zeros where length and checksum were prove themselves.
    """
    if len(tail) != 16 or tail[8:] != FOOTER_MAGIC:
        return 0
    length, _ = _TWO_WORDS.unpack_from(tail)
    return int(length) + 16 if length else 0


def decode_footer(data: bytes) -> SegmentFooter | None:
    """The footer, given exactly its bytes; None if it is damaged."""
    if footer_length(data[-16:]) != len(data):
        return None
    _, crc = _TWO_WORDS.unpack_from(data, len(data) - 16)
    if crc32c(data[:-16]) != crc:
        return None
    return msgspec.msgpack.decode(data[:-16], type=SegmentFooter)
