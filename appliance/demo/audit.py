"""Compares what devices sent with what the cloud has, value by value, over the cloud's REST API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from appliance.demo.http import HttpClient
from appliance.demo.plant import RANGES

POINTS_MAX = 50_000
"""Points of one key that are asked for at once; a device would need an hour to send as many."""


class Verdict(msgspec.Struct, frozen=True):
    """Counts of values, not of messages.

    lost: acknowledged to a device and not in the cloud. wrong: there with another value.
    duplicates: there more often than sent, or never sent.
    """

    expected: int = 0
    found: int = 0
    lost: int = 0
    wrong: int = 0
    duplicates: int = 0

    @property
    def clean(self) -> bool:
        """Whether all is well."""
        return not (self.lost or self.wrong or self.duplicates)

    def __add__(self, other: Verdict) -> Verdict:
        return Verdict(
            self.expected + other.expected,
            self.found + other.found,
            self.lost + other.lost,
            self.wrong + other.wrong,
            self.duplicates + other.duplicates,
        )


def compare(expected: Mapping[int, float], points: Iterable[tuple[int, float]]) -> Verdict:
    """One key of one device: time -> value as sent, and the points that the cloud shows."""
    seen: set[int] = set()
    wrong = duplicates = 0
    for ts, value in points:
        if ts in seen or ts not in expected:
            duplicates += 1
        elif expected[ts] != value:
            wrong += 1
        seen.add(ts)
    found = len(seen & expected.keys())
    return Verdict(len(expected), found, len(expected) - found, wrong, duplicates)


async def audit(
    cloud: HttpClient, books: Mapping[str, Mapping[int, Mapping[str, float]]]
) -> Verdict:
    """Look up everything in the books: device id -> time -> values. Raises OSError."""
    verdict = Verdict()
    for device, sent in books.items():
        if sent:
            verdict += await _audit_one(cloud, device, sent)
    return verdict


async def _audit_one(
    cloud: HttpClient, device: str, sent: Mapping[int, Mapping[str, float]]
) -> Verdict:
    path = (
        f"/api/plugins/telemetry/DEVICE/{device}/values/timeseries?keys={','.join(RANGES)}"
        f"&startTs={min(sent)}&endTs={max(sent) + 1}&limit={POINTS_MAX}&useStrictDataTypes=true"
    )
    there = await cloud.json("GET", path)
    verdict = Verdict()
    for key in RANGES:
        expected = {ts: values[key] for ts, values in sent.items()}
        points = ((point["ts"], point["value"]) for point in there.get(key, ()))
        verdict += compare(expected, points)
    return verdict
