"""How far the journal was confirmed, beside the journal. Blocking calls.

A file that lost its end looks like one whose last write never finished. The mark tells the two
apart: it is the last sequence whose sync had returned, so whatever is missing up to there was
confirmed and is a loss. It is not synced itself, since a page that the system writes when it likes
is never ahead of the journal: after a crash of the process it is exact, after a loss of power it
may be some seconds old. Where it is damaged nobody knows the end of the journal, which is told.

    u64 sequence, u32 crc32c of the eight bytes; little-endian, overwritten in place
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from plugins.storage_duckdb.format import crc32c

MARK = "confirmed"
_SEQ = struct.Struct("<Q")
_CRC = struct.Struct("<I")
_BYTES = _SEQ.size + _CRC.size


def read_mark(folder: Path) -> int | None:
    """The last sequence known to be confirmed; 0 where there is no mark, None if it is damaged."""
    try:
        data = (folder / MARK).read_bytes()[:_BYTES]
    except FileNotFoundError:
        return 0
    except OSError:
        return None
    if len(data) != _BYTES or _CRC.pack(crc32c(data[: _SEQ.size])) != data[_SEQ.size :]:
        return None
    return int(_SEQ.unpack_from(data)[0])


class Mark:
    """The mark of one journal folder, kept open. What cannot be written is left as it was."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / MARK
        self._file: int | None = None

    def set(self, seq: int) -> None:
        """Everything up to seq is confirmed."""
        number = _SEQ.pack(seq)
        try:
            if self._file is None:
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o640)
            os.pwrite(self._file, number + _CRC.pack(crc32c(number)), 0)
        except OSError:
            pass  # the journal has it; only a loss of its end would be harder to tell

    def close(self) -> None:
        """Let the file go."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
