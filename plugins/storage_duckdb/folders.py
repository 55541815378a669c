"""Where things are in a data folder, and that only one process uses it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import msgspec

from appliance.model.errors import ConfigError

LOCK = "storage.lock"


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


class FolderLock:
    """An advisory lock that dies with its process; the file names the holder."""

    def __init__(self, root: Path) -> None:
        self._path = root / LOCK
        self._file: int | None = None

    def acquire(self) -> None:
        """Raises ConfigError, naming the process that has the folder."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o640)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(file, 32).decode(errors="replace").strip() or "unknown"
            os.close(file)
            raise ConfigError(
                f"the data folder {self._path.parent} is in use by process {holder}",
                hint="stop that process or configure another folder",
            ) from error
        self._file = file
        try:
            os.ftruncate(file, 0)
            os.pwrite(file, str(os.getpid()).encode(), 0)
        except OSError:
            pass  # a full disk: locked all the same, only without a name

    def release(self) -> None:
        """Let the next one in."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def free_bytes(folder: Path) -> int:
    """Bytes an unprivileged process may still write there."""
    figures = os.statvfs(folder)
    return figures.f_bavail * figures.f_frsize
