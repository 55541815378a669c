"""The built-in storage is held to the suite."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from appliance.extension.hookspecs import Context
from appliance.extension.ports import Storage
from appliance.kernel.clock import wall_clock_ms
from appliance.kernel.events import ignore
from appliance.testing.storage import StorageConformance, running
from plugins.storage_duckdb import build
from plugins.storage_duckdb.config import DuckdbStorageConfig


class TestDuckdbStorage(StorageConformance):
    def open(self, folder: Path) -> AbstractAsyncContextManager[Storage]:
        context = Context("edge", folder, wall_clock_ms, ignore)
        return running(build(DuckdbStorageConfig(), context))
