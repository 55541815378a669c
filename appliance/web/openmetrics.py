"""OpenMetrics text (openmetrics.io 1.0), which Prometheus reads.

Written here because it is a page of code: names and label values are escaped, a family's HELP and
TYPE stand once before its samples, and the text ends with `# EOF`, so that a cut answer is seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from appliance.kernel.metrics_model import Sample
from appliance.web.status import LaneStatus, LinkStatus, Status, StorageStatus

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ()}


def render(samples: Iterable[Sample]) -> str:
    """The text of all samples; those of one family are brought together."""
    families: dict[str, list[Sample]] = {}
    for sample in samples:
        families.setdefault(family_of(sample), []).append(sample)
    lines: list[str] = []
    for family, members in families.items():
        lines.append(f"# HELP {family} {_escape_help(members[0].help)}")
        lines.append(f"# TYPE {family} {members[0].kind}")
        lines.extend(_line(sample) for sample in members)
    return "\n".join([*lines, "# EOF", ""])


def family_of(sample: Sample) -> str:
    """The name without the suffix that its kind demands."""
    for suffix in _SUFFIXES[sample.kind]:
        if sample.name.endswith(suffix):
            return sample.name.removesuffix(suffix)
    return sample.name


def _line(sample: Sample) -> str:
    labels = ",".join(f'{name}="{_escape(value)}"' for name, value in sample.labels.items())
    name = f"{sample.name}{{{labels}}}" if labels else sample.name
    return f"{name} {_number(sample.value)}"


def _number(value: float) -> str:
    """Whole numbers without a fraction; infinities and NaN by their OpenMetrics names."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(float(value))


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _escape_help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


# --- the status as samples ---------------------------------------------------------------------


def status_samples(status: Status) -> Iterator[Sample]:
    """Gauges and counters that nobody counts because they are read."""
    for lane in status.lanes:
        yield from _lane_samples(lane)
    for link in status.links:
        yield from _link_samples(link)
    ledger, process = status.ledger, status.process
    yield _gauge("ledger_missing", ledger.missing, "Accepted events that are unaccounted for.")
    yield _gauge("storage_open", status.storage is not None, "0 while the storage is not open.")
    if status.storage is not None:
        yield from _storage_samples(status.storage)
    yield _gauge("process_resident_memory_bytes", process.rss_bytes, "Resident memory.")
    yield _counter("process_cpu_seconds_total", process.cpu_s, "Processor time used.")
    start_s = process.started_ms / 1000
    yield _gauge("process_start_time_seconds", start_s, "Unix time of the start.")


def _lane_samples(lane: LaneStatus) -> Iterator[Sample]:
    at = {"outbox": lane.outbox, "lane": lane.lane.lower()}
    yield _counter("outbox_accepted_total", lane.accepted, "Events ever committed.", at)
    yield _counter("outbox_delivered_total", lane.acknowledged, "Events the peer has.", at)
    yield _gauge("outbox_pending", lane.pending, "Events that wait.", at)
    yield _gauge("outbox_pending_bytes", lane.pending_bytes, "Bytes that wait.", at)
    yield _gauge("outbox_quarantined", lane.quarantined, "Events put aside.", at)
    yield _gauge("outbox_oldest_seconds", lane.oldest_age_s, "Age of the oldest event.", at)
    for reason, count in lane.dropped.items():
        labels = {**at, "reason": reason}
        yield _counter("outbox_dropped_total", count, "Events given up by policy.", labels)


def _storage_samples(storage: StorageStatus) -> Iterator[Sample]:
    yield _gauge("storage_bytes", storage.bytes, "Bytes that the storage holds on disk.")
    yield _gauge("storage_free_bytes", storage.free_bytes, "Bytes free on the storage's disk.")
    yield _gauge("storage_full", storage.full, "1 when no more data is accepted.")
    for name, value in storage.figures.items():
        if isinstance(value, int | float):
            yield _gauge(f"storage_{name}", value, "A figure of the storage.")


def _link_samples(link: LinkStatus) -> Iterator[Sample]:
    at = {"outbox": link.outbox}
    yield _gauge("link_connected", link.state == "connected", "1 when connected.", at)
    if link.sync_latency_s is not None:
        text = "From commit to acknowledgement, newest event."
        yield _gauge("link_sync_latency_seconds", link.sync_latency_s, text, at)


def _gauge(name: str, value: float, text: str, labels: dict[str, str] | None = None) -> Sample:
    return Sample(f"appliance_{name}", labels or {}, float(value), "gauge", text)


def _counter(name: str, value: float, text: str, labels: dict[str, str] | None = None) -> Sample:
    return Sample(f"appliance_{name}", labels or {}, float(value), "counter", text)
