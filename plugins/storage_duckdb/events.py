"""What the storage states about itself."""

from __future__ import annotations

from typing import ClassVar

from appliance.kernel.events import Event


class StorageOpened(Event, frozen=True, kw_only=True):
    """Ready. opened_s: how long it took."""

    durable_seq: int
    pending: int
    segments: int
    opened_s: float
    text: ClassVar[str] = (
        "storage open in {opened_s:.2f} s: {segments} segments, {pending} events wait"
    )


class GroupCommitted(Event, frozen=True, kw_only=True):
    """One fdatasync made these durable."""

    units: int
    bytes: int
    level: ClassVar[str] = "debug"
    text: ClassVar[str] = "committed {units} units, {bytes} bytes"
    counters: ClassVar[dict[str, str]] = {
        "storage_groups": "", "storage_units": "units", "storage_journal_bytes": "bytes",
    }  # fmt: skip


class CommitRefused(Event, frozen=True, kw_only=True):
    """The disk is full or fails; callers were told to wait. Stated once until it is over."""

    reason: str
    level: ClassVar[str] = "error"
    text: ClassVar[str] = "commits are refused: {reason}"
    counters: ClassVar[dict[str, str]] = {"storage_refusals": ""}


class CommitsResumed(Event, frozen=True, kw_only=True):
    """A commit succeeded after refusals."""

    text: ClassVar[str] = "commits are accepted again"


class BatchApplied(Event, frozen=True, kw_only=True):
    """Records reached DuckDB."""

    records: int
    seq: int
    level: ClassVar[str] = "debug"
    text: ClassVar[str] = "applied {records} records up to {seq}"
    counters: ClassVar[dict[str, str]] = {"storage_applied_records": "records"}


class ApplyFailed(Event, frozen=True, kw_only=True):
    """DuckDB refused a batch; it is tried again, the journal keeps it meanwhile."""

    reason: str
    level: ClassVar[str] = "error"
    text: ClassVar[str] = "the database cannot be written, trying again: {reason}"
    counters: ClassVar[dict[str, str]] = {"storage_apply_failures": ""}


class DamageFound(Event, frozen=True, kw_only=True):
    """Something on disk was not as it was written. missing: what cannot be brought back."""

    what: str
    missing: str
    level: ClassVar[str] = "error"
    text: ClassVar[str] = "damage in {what}: {missing}"
    counters: ClassVar[dict[str, str]] = {"storage_damages": ""}


class EventsDropped(Event, frozen=True, kw_only=True):
    """Undelivered events were given up because a configured limit says so."""

    outbox: str
    lane: str
    reason: str
    count: int
    level: ClassVar[str] = "error"
    text: ClassVar[str] = "{count} undelivered events of {outbox}/{lane} dropped: {reason}"
    counters: ClassVar[dict[str, str]] = {"storage_dropped_events": "count"}
    labels: ClassVar[tuple[str, ...]] = ("reason",)


class SegmentsDeleted(Event, frozen=True, kw_only=True):
    """Journal that nobody needs any more is gone."""

    count: int
    level: ClassVar[str] = "debug"
    text: ClassVar[str] = "deleted {count} journal segments"
