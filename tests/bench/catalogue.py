"""Every figure of the bench: what it is called, its unit, what it must reach, what is aimed at."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence

import msgspec


class Figure(msgspec.Struct, frozen=True):
    """floor: what must be reached; aim: what is aimed at; None = only told.

    up: more is better. reference: the same on ThingsBoard Edge, measured on such a machine.
    """

    title: str
    unit: str
    floor: float | None = None
    aim: float | None = None
    up: bool = False
    reference: str = ""

    def reached(self, value: float) -> bool | None:
        """Whether the floor is; None where there is none."""
        if self.floor is None:
            return None
        return value >= self.floor if self.up else value <= self.floor


CATALOGUE = {
    "steady_durable_per_s": Figure(
        "MQTT, 5,000/s offered: durable", "/s", 4_950, up=True, reference="5,000/s"
    ),
    "steady_uplink_per_s": Figure(
        "  … acknowledged by the cloud", "/s", 4_950, up=True, reference="470/s"
    ),
    "steady_ack_p50_ms": Figure("  … device waits, p50", "ms"),
    "steady_ack_p99_ms": Figure("  … device waits, p99", "ms"),
    "steady_end_p50_ms": Figure("  … device to cloud, p50", "ms"),
    "steady_end_p99_ms": Figure("  … device to cloud, p99", "ms"),
    "steady_edge_us": Figure("  … edge, CPU a message", "µs"),
    "steady_cloud_us": Figure("  … cloud, CPU a message", "µs"),
    "steady_edge_rss_mb": Figure("  … edge, memory at most", "MB", 150, 100, reference="1,300 MB"),
    "steady_cloud_rss_mb": Figure("  … cloud, memory at most", "MB"),
    "mqtt_durable_per_s": Figure(
        "MQTT, as much as it takes: durable", "/s", 5_000, 20_000, up=True, reference="5,000/s"
    ),
    "mqtt_uplink_per_s": Figure(
        "  … acknowledged by the cloud", "/s", 5_000, 20_000, up=True, reference="470/s"
    ),
    "mqtt_edge_rss_mb": Figure("  … edge, memory at most", "MB", 150, 100, reference="1,300 MB"),
    "http_durable_per_s": Figure("HTTP, as much as it takes: durable", "/s", up=True),
    "http_ack_p50_ms": Figure("HTTP, 500/s offered: device waits, p50", "ms"),
    "http_ack_p99_ms": Figure("HTTP, 500/s offered: device waits, p99", "ms"),
    "idle_ack_p50_ms": Figure("idle: device waits, p50", "ms"),
    "idle_end_p50_ms": Figure("idle: device to cloud, p50", "ms", 50),
    "idle_end_p99_ms": Figure("idle: device to cloud, p99", "ms"),
    "rpc_p50_ms": Figure("two-way RPC through the edge, median", "ms", 30, reference="1,000 ms"),
    "rpc_p99_ms": Figure("two-way RPC through the edge, p99", "ms"),
    "start_s": Figure("start with the whole backlog", "s", 2, reference="28 s"),
    "queued_bytes": Figure("disk a datapoint, queued", "B", 40, reference="224 B"),
    "drain_per_s": Figure("drain with live load: delivered", "/s", up=True),
    "drain_to_live": Figure("  … backlog delivered, times the live rate", "x", 3, up=True),
    "drain_ack_p99_ms": Figure("  … live device waits, p99", "ms"),
    "drain_end_p99_ms": Figure("  … live device to cloud, p99", "ms"),
    "kept_bytes": Figure("disk a datapoint, acknowledged", "B", 10),
    "sync_s": Figure(
        "full sync of 10,000 devices: synchronised", "s", 60, reference="50 s for 1,000"
    ),
    "sync_quiet_s": Figure("  … with all attributes and relations", "s", 60),
    "sync_cloud_rss_mb": Figure("  … cloud, memory at most", "MB", 200, 180),
    "sync_edge_rss_mb": Figure("  … edge, memory at most", "MB", 200, 180),
    "edges_per_s": Figure("50 edges, 1,000/s offered: acknowledged", "/s", 980, up=True),
    "edges_ack_p50_ms": Figure("  … an edge waits, p50", "ms"),
    "edges_ack_p99_ms": Figure("  … an edge waits, p99", "ms"),
    "edges_cloud_us": Figure("  … cloud, CPU a message", "µs"),
    "edges_cloud_rss_mb": Figure("  … cloud, memory at most", "MB"),
    "rules_default_us": Figure("default chain, a telemetry message", "µs", 15),
    "rules_tbel_filter_us": Figure("TBEL filter node", "µs", 10),
    "rules_js_filter_us": Figure("JavaScript filter node", "µs", 20),
    "rules_tbel_chains_mb": Figure("300 chains of 10 TBEL filters", "MB", 50),
    "rules_js_chains_mb": Figure("300 chains of 10 JavaScript filters", "MB", 50),
    "binary_mb": Figure("executable", "MB", 90),
}


def medians(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """One value for each figure that any run gave."""
    names = [name for name in CATALOGUE if any(name in run for run in runs)]
    return {name: statistics.median(run[name] for run in runs if name in run) for name in names}


def table(runs: Sequence[Mapping[str, float]]) -> Iterable[str]:
    """The medians as a Markdown table, with lowest and highest run."""
    yield "| figure | median | runs from – to | must | aim | reference |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    for name, value in medians(runs).items():
        figure = CATALOGUE[name]
        all_values = [run[name] for run in runs if name in run]
        span = f"{_number(min(all_values))} – {_number(max(all_values))}"
        mark = {True: " ✓", False: " ✗", None: ""}[figure.reached(value)]
        yield (
            f"| {figure.title} | {_number(value)} {figure.unit}{mark} | {span} "
            f"| {_bound(figure.floor, figure)} | {_bound(figure.aim, figure)} "
            f"| {figure.reference} |"
        )


def _bound(bound: float | None, figure: Figure) -> str:
    return "" if bound is None else f"{'≥' if figure.up else '≤'} {_number(bound)}"


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.3g}"
