"""Events become counters; figures of the moment are read when asked."""

import threading
from typing import ClassVar

from appliance.kernel.events import Event
from appliance.kernel.metrics import Registry


class PointsTaken(Event, frozen=True):
    """Points were taken."""

    counters: ClassVar[dict[str, str]] = {"test_points": "count", "test_posts": ""}
    labels: ClassVar[tuple[str, ...]] = ("source",)
    source: str
    count: int


class NeverHappened(Event, frozen=True):
    """It has not happened yet."""

    counters: ClassVar[dict[str, str]] = {"test_never": ""}


def values(registry, prefix):
    return {
        (sample.name, *sample.labels.values()): sample.value
        for sample in registry.samples()
        if sample.name.startswith(prefix)
    }


def test_an_event_adds_its_field_or_one_under_its_labels():
    """counters: "" counts the event, a name adds that field."""
    registry = Registry()
    registry.count(PointsTaken(source="mqtt", count=5))
    registry.count(PointsTaken(source="mqtt", count=2))
    registry.count(PointsTaken(source="http", count=1))

    assert values(registry, "appliance_test_po") == {
        ("appliance_test_points_total", "mqtt"): 7.0,
        ("appliance_test_points_total", "http"): 1.0,
        ("appliance_test_posts_total", "mqtt"): 2.0,
        ("appliance_test_posts_total", "http"): 1.0,
    }


def test_what_never_happened_counts_zero():
    """ "No failures" and "not measured" look different."""
    assert values(Registry(), "appliance_test_never") == {("appliance_test_never_total",): 0.0}


def test_a_gauge_is_read_at_every_look():
    """The registry keeps no copy."""
    registry, depth = Registry(), [3]
    registry.gauge("test_depth", "Depth.", lambda: depth[0])
    before = values(registry, "appliance_test_depth")
    depth[0] = 4

    assert list(before.values()) == [3.0]
    assert list(values(registry, "appliance_test_depth").values()) == [4.0]


def test_a_histogram_is_cumulative_and_ends_in_infinity():
    """A value on a bound belongs to that bound's bucket."""
    registry = Registry()
    histogram = registry.histogram("test_seconds", "Time.", [0.1, 1.0])
    for value in (0.05, 0.1, 0.5, 7.0):
        histogram.observe(value)

    assert values(registry, "appliance_test_seconds") == {
        ("appliance_test_seconds_bucket", "0.1"): 2.0,
        ("appliance_test_seconds_bucket", "1"): 3.0,
        ("appliance_test_seconds_bucket", "+Inf"): 4.0,
        ("appliance_test_seconds_sum",): 7.65,
        ("appliance_test_seconds_count",): 4.0,
    }


def test_samples_of_one_family_stand_together():
    """OpenMetrics forbids interleaving families."""
    registry = Registry()
    registry.gauge("test_a", "A.", lambda: 1)
    registry.gauge("test_b", "B.", lambda: 2)
    registry.gauge("test_a", "A.", lambda: 3)

    names = [s.name for s in registry.samples() if s.name.startswith("appliance_test_")]

    assert names.index("appliance_test_b") > names.index("appliance_test_a") + 1


def test_an_event_that_cannot_be_counted_is_counted_as_such():
    """Counting never raises into the caller."""

    class Crooked(Event, frozen=True):
        """It counts a field that is no number."""

        counters: ClassVar[dict[str, str]] = {"test_crooked": "size"}
        size: str

    registry = Registry()
    registry.count(Crooked(size="big"))

    assert values(registry, "appliance_events_malformed") == {
        ("appliance_events_malformed_total", "Crooked"): 1.0
    }


def test_counts_from_many_threads_are_all_there():
    """A storage's worker emits beside the Trio thread."""
    registry = Registry()

    def work():
        for _ in range(5_000):
            registry.count(PointsTaken(source="x", count=1))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert values(registry, "appliance_test_posts") == {
        ("appliance_test_posts_total", "x"): 20_000.0
    }
