"""Figures: counters fed by events, everything else read when somebody asks.

A component that has a figure of the moment registers a callable (`watch`); nothing runs between
two reads of /metrics. A counter exists, at zero, from the moment its event class is imported, so
that "no failures" and "not measured" look different. Counting is for any thread, since a
storage's worker emits too; registering and reading are for the Trio thread.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import ClassVar

from appliance.kernel.events import Event
from appliance.kernel.metrics_model import Sample

Source = Callable[[], Iterable[Sample]]
Labels = tuple[tuple[str, str], ...]


class EventMalformed(Event, frozen=True):
    """Events whose class names fields that they do not have."""

    counters: ClassVar[dict[str, str]] = {"events_malformed": ""}
    labels: ClassVar[tuple[str, ...]] = ("event",)
    event: str


class Registry:
    """All figures of one appliance. `Registry.count` is an Emit."""

    def __init__(self) -> None:
        self._counts: dict[type[Event], dict[tuple[str, Labels], float]] = {}
        self._sources: list[Source] = []
        self._lock = threading.Lock()

    def count(self, event: Event) -> None:
        """Add what the event counts. Never raises: an event that cannot be counted is counted."""
        try:
            self._add(event)
        except (AttributeError, TypeError, ValueError):
            self._add(EventMalformed(event=type(event).__name__))

    def watch(self, source: Source) -> None:
        """Ask this callable at every read; it must not wait."""
        self._sources.append(source)

    def gauge(self, name: str, help: str, read: Callable[[], float]) -> None:
        """Watch one number. name: without the "appliance_" prefix, unit last."""
        self.watch(lambda: [Sample(f"appliance_{name}", {}, float(read()), "gauge", help)])

    def histogram(self, name: str, help: str, bounds: Sequence[float]) -> Histogram:
        """A new histogram; the caller observes, the registry reads."""
        histogram = Histogram(f"appliance_{name}", help, bounds)
        self.watch(histogram.samples)
        return histogram

    def samples(self) -> Iterable[Sample]:
        """Everything now; samples of one family stand together."""
        families: dict[str, list[Sample]] = {}
        for sample in self._all():
            families.setdefault(_family(sample), []).append(sample)
        for family in families.values():
            yield from family

    def _add(self, event: Event) -> None:
        kind = type(event)
        if not kind.counters:
            return
        labels = tuple((name, str(getattr(event, name))) for name in kind.labels)
        steps = {
            metric: float(getattr(event, field)) if field else 1.0
            for metric, field in kind.counters.items()
        }
        with self._lock:
            counts = self._counts.setdefault(kind, {})
            for metric, step in steps.items():
                counts[metric, labels] = counts.get((metric, labels), 0.0) + step

    def _all(self) -> Iterator[Sample]:
        for kind in _subclasses(Event):
            with self._lock:
                counts = dict(self._counts.get(kind, {}))
            help = (kind.__doc__ or kind.__name__).strip().splitlines()[0]
            for metric in kind.counters:
                found = [(labels, value) for (name, labels), value in counts.items()
                         if name == metric]  # fmt: skip  # one thought on two lines
                if not found and not kind.labels:
                    found = [((), 0.0)]
                for labels, value in found:
                    yield Sample(f"appliance_{metric}_total", dict(labels), value, "counter", help)
        for source in self._sources:
            yield from source()


class Histogram:
    """Counts of observations up to each bound; cumulative, as OpenMetrics wants them."""

    def __init__(self, name: str, help: str, bounds: Sequence[float]) -> None:
        self._name = name
        self._help = help
        self._bounds = tuple(sorted(bounds))
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def samples(self) -> Iterable[Sample]:
        """The buckets, the sum and the count."""
        total = 0
        for bound, count in zip((*self._bounds, float("inf")), self._counts, strict=True):
            total += count
            le = "+Inf" if bound == float("inf") else f"{bound:g}"
            yield self._sample("bucket", {"le": le}, total)
        yield self._sample("sum", {}, self._sum)
        yield self._sample("count", {}, total)

    def _sample(self, suffix: str, labels: dict[str, str], value: float) -> Sample:
        return Sample(f"{self._name}_{suffix}", labels, float(value), "histogram", self._help)


def _family(sample: Sample) -> str:
    if sample.kind == "histogram":
        return sample.name.rpartition("_")[0]
    return sample.name


def _subclasses(kind: type[Event]) -> Iterator[type[Event]]:
    for subclass in kind.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)
