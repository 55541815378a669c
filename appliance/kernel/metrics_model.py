"""The shape of a metric sample: what the registry gives and the page `/metrics` writes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Protocol

import msgspec

Kind = Literal["counter", "gauge", "histogram"]


class Sample(msgspec.Struct, frozen=True):
    """One number with its name and labels.

    name: the sample's own OpenMetrics name: a counter ends in `_total`, a histogram's samples in
    `_bucket` (with the label `le`), `_sum` and `_count`; base units (seconds, bytes).
    help: one sentence, the same for all samples of a family.
    """

    name: str
    labels: dict[str, str]
    value: float
    kind: Kind
    help: str


class Metrics(Protocol):
    """Where samples come from."""

    def samples(self) -> Iterable[Sample]:
        """All samples now; those of one family one after another."""
        ...
