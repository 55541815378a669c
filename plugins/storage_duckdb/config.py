"""Section `[storage]`: what the storage may take and how long it keeps things."""

from __future__ import annotations

from typing import Annotated

import msgspec

_Bytes = Annotated[int, msgspec.Meta(ge=0)]
_Seconds = Annotated[float, msgspec.Meta(ge=0)]


class DuckdbStorageConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds of the journal, of DuckDB and of what is kept.

    segment_bytes: size of a journal segment; space is given back in these steps.
    backlog_bytes_max: memory of units that may wait for the disk before commits are refused; a
    message of 5 values takes 1,250 bytes.
    free_bytes_min: commits are refused rather than leave less than this free on the disk.
    ring_bytes_max: memory for recent events, so that a sender that keeps up reads no disk.
    acknowledge_interval_s: how late an acknowledgement may become durable.
    apply_interval_s: how late history and tables may be; queries never wait for it.
    memory_bytes, threads: of DuckDB. wal_bytes_max: of its log before a checkpoint.
    checkpoint_interval_s: a checkpoint at the latest this long after a change.
    history_s: age at which points go, counted from their ts or, if that was later, their commit;
    0 keeps them. history_bytes_max: of the database file.
    events_s: age at which delivered events other than telemetry leave `cloud_event`.
    outbox_s, outbox_bytes_max: age and journal bytes at which events that were *not* delivered
    are given up, oldest segment first, counted by reason; 0 never does.
    retention_interval_s: how often space is given back.
    sql_timeout_s, sql_rows_max: of `appliance sql`.
    """

    segment_bytes: Annotated[int, msgspec.Meta(ge=1 << 16, le=1 << 30)] = 4 << 20
    backlog_bytes_max: _Bytes = 16 << 20
    free_bytes_min: _Bytes = 64 << 20
    ring_bytes_max: _Bytes = 4 << 20
    acknowledge_interval_s: _Seconds = 1.0
    apply_interval_s: _Seconds = 0.25
    memory_bytes: Annotated[int, msgspec.Meta(ge=16 << 20)] = 24 << 20
    threads: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    wal_bytes_max: _Bytes = 8 << 20
    checkpoint_interval_s: _Seconds = 300.0
    history_s: _Seconds = 30 * 86_400.0
    history_bytes_max: _Bytes = 0
    events_s: _Seconds = 30 * 86_400.0
    outbox_s: _Seconds = 0.0
    outbox_bytes_max: _Bytes = 0
    retention_interval_s: Annotated[float, msgspec.Meta(gt=0)] = 10.0
    sql_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 30.0
    sql_rows_max: Annotated[int, msgspec.Meta(ge=1)] = 100_000
