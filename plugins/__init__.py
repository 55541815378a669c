"""The built-in plugins, imported directly: a module named by a string would vanish when frozen.

Each line below is one plugin folder; `appliance/__main__.py` is the only reader of this list.
"""

from __future__ import annotations

from typing import Any

from plugins import (
    ingest_http,
    ingest_mqtt,
    rules_action,
    rules_enrich,
    rules_external,
    rules_filter,
    rules_flow,
    rules_transform,
    storage_duckdb,
    sync_select,
    transport_grpc,
)

BUILT_IN: tuple[Any, ...] = (
    storage_duckdb,
    transport_grpc,
    ingest_http,
    ingest_mqtt,
    rules_filter,
    rules_enrich,
    rules_transform,
    rules_action,
    rules_flow,
    sync_select,
    rules_external,
)
