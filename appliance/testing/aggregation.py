"""What a series query means, said in plain Python: the reference that storages are held to.

Buckets start at start_ms, are interval_ms long, the last one cut at end_ms; a bucket's ts is its
middle; an empty one is left out. COUNT counts every value. SUM and AVG see numbers only; MIN and
MAX see numbers where there are any, else booleans, else text. A result is LONG when every number
in the bucket is, DOUBLE otherwise; AVG is always DOUBLE. `limit` cuts raw points only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from appliance.extension.ports import SeriesQuery
from appliance.model.telemetry import Value


def select_points(query: SeriesQuery, points: Mapping[int, Value]) -> list[tuple[int, Value]]:
    """The answer for one key, given all of its points by ts."""
    chosen = sorted(
        (p for p in points.items() if query.start_ms <= p[0] < query.end_ms), key=lambda p: p[0]
    )
    if query.agg != "NONE":
        chosen = _aggregated(query, chosen)
    if not query.ascending:
        chosen.reverse()
    return chosen[: query.limit] if query.agg == "NONE" else chosen


def _aggregated(query: SeriesQuery, points: Sequence[tuple[int, Value]]) -> list[tuple[int, Value]]:
    interval = query.interval_ms or query.end_ms - query.start_ms
    buckets: dict[int, list[Value]] = {}
    for ts, value in points:
        buckets.setdefault((ts - query.start_ms) // interval, []).append(value)
    answer: list[tuple[int, Value]] = []
    for number, values in buckets.items():
        start = query.start_ms + number * interval
        result = aggregate(query.agg, values)
        if result is not None:
            answer.append((start + (min(start + interval, query.end_ms) - start) // 2, result))
    return answer


def aggregate(agg: str, values: Sequence[Value]) -> Value | None:
    """One bucket's value, or None where the aggregation has nothing to say about it."""
    if agg == "COUNT":
        return len(values)
    numbers: list[int | float] = [
        v for v in values if isinstance(v, int | float) and not isinstance(v, bool)
    ]
    if numbers:
        if any(isinstance(n, float) for n in numbers):
            numbers = [float(n) for n in numbers]
        return _of_numbers(agg, numbers)
    if agg in ("SUM", "AVG"):
        return None
    pick = min if agg == "MIN" else max
    booleans = [v for v in values if isinstance(v, bool)]
    if booleans:
        return pick(booleans)
    texts = [v for v in values if isinstance(v, str)]
    return pick(texts) if texts else None


def _of_numbers(agg: str, numbers: Sequence[int | float]) -> Value:
    if agg == "AVG":
        return sum(numbers) / len(numbers)
    if agg == "SUM":
        return sum(numbers)
    return min(numbers) if agg == "MIN" else max(numbers)
