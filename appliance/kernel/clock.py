"""Wall-clock time as an argument, so that tests own it."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Epoch milliseconds."""


def wall_clock_ms() -> int:
    """Epoch milliseconds of the machine."""
    return time.time_ns() // 1_000_000
