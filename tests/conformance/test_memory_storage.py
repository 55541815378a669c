"""The memory fake is held to the same suite as the real storage."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from appliance.extension.ports import Storage
from appliance.testing.memory_storage import MemoryDisk, MemoryStorage
from appliance.testing.storage import StorageConformance, running


class TestMemoryStorage(StorageConformance):
    def setup_method(self) -> None:
        self.disks: dict[Path, MemoryDisk] = {}

    def open(self, folder: Path) -> AbstractAsyncContextManager[Storage]:
        return running(MemoryStorage(self.disks.setdefault(folder, MemoryDisk())))
