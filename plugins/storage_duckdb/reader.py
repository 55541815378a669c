"""Sequential reading of the journal from any sequence on. Blocking calls.

Reads ahead in steps of 1 MiB and steps over whole groups that hold nothing of interest, by their
headers. Where a header does not prove itself, the rest of that segment is scanned instead.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Sequence

from plugins.storage_duckdb.format import (
    GROUP_HEADER_BYTES,
    Gap,
    Group,
    Record,
    group_at,
    group_records,
    scan,
)
from plugins.storage_duckdb.segments import Segment, pread

_READ_BYTES = 1 << 20


class JournalReader:
    """Reads records in order. Not thread-safe; one call at a time.

    Args:
        lanes: bits of the lanes (format.ALL_LANES, NOTES) whose groups are wanted; 0 wants all.
        without: bits (format.PLAIN) whose groups are not.
    """

    def __init__(self, lanes: int = 0, *, without: int = 0) -> None:
        self._lanes = lanes
        self._without = without
        self._first_seq = -1
        self._offset = 0
        self._next_seq = -1

    def read(self, segments: Sequence[Segment], from_seq: int) -> list[Record]:
        """The next records with seq >= from_seq: about 1 MiB of them, or [] at the end.

        A call that goes on where the last one ended is sequential; any other one seeks.
        Segments that vanish meanwhile were given up and count as read.
        """
        while True:
            at = self._segment(segments, from_seq)
            if at is None:
                return []
            segment = segments[at]
            if segment.first_seq != self._first_seq or from_seq < self._next_seq:
                self._first_seq, self._offset = segment.first_seq, segment.start
            try:
                records = self._read_segment(segment, from_seq)
            except FileNotFoundError:
                records = []
            if records:
                self._next_seq = records[-1].seq + 1
                return records
            if at + 1 == len(segments):
                self._next_seq = from_seq
                return []
            from_seq = max(segment.next_seq, segments[at + 1].first_seq)

    def _segment(self, segments: Sequence[Segment], from_seq: int) -> int | None:
        if not segments:
            return None
        at = bisect_right(segments, from_seq, key=lambda segment: segment.first_seq) - 1
        return max(at, 0)

    def _read_segment(self, segment: Segment, from_seq: int) -> list[Record]:
        end = segment.end
        found: list[Record] = []
        if self._offset >= end:
            return found
        file = os.open(segment.path, os.O_RDONLY)
        try:
            while not found and self._offset < end:
                data = pread(file, min(_READ_BYTES, end - self._offset), self._offset)
                if not data:
                    break
                self._take(file, data, segment, from_seq, found)
        finally:
            os.close(file)
        return found

    def _take(
        self, file: int, data: bytes, segment: Segment, from_seq: int, found: list[Record]
    ) -> None:
        """Go through the groups that start in data and move the offset behind them."""
        at = 0
        while at < len(data):
            group = group_at(data, at)
            if group is None and len(data) - at < GROUP_HEADER_BYTES and at:
                break
            if group is None or self._offset + group.end > segment.end:
                self._offset += at
                self._scan_rest(file, segment, from_seq, found)
                return
            if self._wanted(group, from_seq):
                if group.end > len(data):
                    if found:
                        break
                    length = group.end - at
                    data = pread(file, length, self._offset + at)
                    self._offset, at = self._offset + at, 0
                    group = group_at(data, 0) or group
                found.extend(
                    record
                    for record in group_records(data, group)
                    if not isinstance(record, Gap) and record.seq >= from_seq
                )
            at = group.end
        self._offset += at

    def _wanted(self, group: Group, from_seq: int) -> bool:
        if group.first_seq + group.records <= from_seq:
            return False
        if group.lanes & self._without:
            return False
        return not self._lanes or bool(group.lanes & self._lanes)

    def _scan_rest(self, file: int, segment: Segment, from_seq: int, found: list[Record]) -> None:
        data = pread(file, segment.end - self._offset, self._offset)
        self._offset = segment.end
        found.extend(
            record
            for record in scan(data, 0, segment.first_seq, segment.first_ms)
            if not isinstance(record, Gap) and record.seq >= from_seq
        )
