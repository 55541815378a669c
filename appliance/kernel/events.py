"""What happened, as typed values; one place turns each into a log line and a metric.

A component never logs: it emits an Event. The subclass says once, beside its fields, how it reads
in a log and what it counts, so that the call site is one line and no metric is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all events; subclasses are named in the past tense (`BatchCommitted`).

    level: "debug", "info", "warning" or "error". text: a format string over the fields, what an
    operator reads. counters: metric name without prefix -> field to add (or "" for 1); the
    OpenMetrics name is `appliance_<name>_total`. labels: fields that become metric labels; their
    values must come from a small set.
    """

    level: ClassVar[str] = "info"
    text: ClassVar[str] = ""
    counters: ClassVar[dict[str, str]] = {}
    labels: ClassVar[tuple[str, ...]] = ()


Emit = Callable[[Event], None]


def ignore(event: Event) -> None:
    """An Emit that drops events: for tests that do not look at them."""
