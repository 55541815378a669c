"""Storage in two layers: an append-only journal, and DuckDB as its queryable form."""

from __future__ import annotations

from appliance.extension.hookspecs import Context, StorageSpec, hookimpl
from plugins.storage_duckdb.config import DuckdbStorageConfig
from plugins.storage_duckdb.fsck import fsck
from plugins.storage_duckdb.parquet import write_parquet
from plugins.storage_duckdb.sql import read_only_sql
from plugins.storage_duckdb.storage import DuckdbStorage


def build(config: DuckdbStorageConfig, context: Context) -> DuckdbStorage:
    """The storage over `context.data_dir`; opens when it runs."""
    return DuckdbStorage(config, context)


@hookimpl
def register_storage() -> StorageSpec:
    """`[storage]` with `plugin = "duckdb"`, the built-in one."""
    return StorageSpec(
        "duckdb",
        DuckdbStorageConfig,
        build,
        fsck=lambda data_dir, repair: fsck(data_dir, repair=repair),
        sql=read_only_sql,
        write_parquet=write_parquet,
    )
