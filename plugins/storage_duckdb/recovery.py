"""Opening a data folder, whatever state it is in. Blocking, once, before anything else.

The journal is made whole first: the last segment is scanned if it was not sealed, every other one
is compared with the checksum in its footer, and a damaged one is copied to `quarantine/` and
rewritten with its intact records. Then the database is opened; see rebuild.py for when it is not
as it should be. Nothing that is found wrong stops the start; all of it is in `Opened.missing`.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from plugins.storage_duckdb.ledger import Ledger
from plugins.storage_duckdb.segments import Segment, open_sealed, scan_segment, seal, segment_paths


class Folders(msgspec.Struct, frozen=True):
    """Where things are."""

    root: Path

    @property
    def journal(self) -> Path:
        """Segments."""
        return self.root / "journal"

    @property
    def quarantine(self) -> Path:
        """Originals of what was found damaged."""
        return self.root / "quarantine"

    @property
    def snapshot(self) -> Path:
        """Copies of the state outside DuckDB."""
        return self.root / "snapshot"

    @property
    def temp(self) -> Path:
        """Where DuckDB may spill."""
        return self.root / "temp"

    def make(self) -> None:
        """Create what is missing."""
        for folder in (self.journal, self.quarantine, self.snapshot, self.temp):
            folder.mkdir(parents=True, exist_ok=True)


class OpenedJournal(msgspec.Struct):
    """What recovery made of the journal."""

    segments: list[Segment]
    ledger: Ledger
    next_seq: int


def open_journal(folders: Folders) -> OpenedJournal:
    """Read every segment's footer; scan those that have none."""
    ledger = Ledger()
    segments: list[Segment] = []
    next_seq = 1
    for path in segment_paths(folders.journal):
        segment = open_sealed(path)
        if segment is None:
            segment = scan_segment(path, ledger).segment
            if segment.next_seq == segment.first_seq:
                path.unlink()
                continue
            try:
                seal(segment)
            except OSError:
                pass
        segments.append(segment)
        ledger = Ledger(segment.lanes)
        next_seq = segment.next_seq
    return OpenedJournal(segments, ledger, next_seq)
