"""Timers of rule nodes: one heap, one waiting task.

Times are epoch milliseconds of the clock given, so a test that owns the clock owns the timers:
it moves the clock and calls `fire_due`. Timers live in memory only; a node that must survive a
restart keeps its own state and sets its timers again when it starts. Cancelled timers are swept
out when they are more than the others: who puts a timer off with every message costs no memory.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

import trio

from appliance.kernel.clock import Clock

SPARE = 64
"""Cancelled timers that are not worth a sweep."""
WAIT_S_MAX = 60.0
"""The wall clock may be set; looking at least this often bounds how late a timer can be."""


class Timers:
    """Calls actions at their time, in order of time, then of setting."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._live: set[int] = set()
        self._numbers = itertools.count()
        self._changed = trio.Event()

    def later(self, delay_ms: int, action: Callable[[], None]) -> Callable[[], None]:
        """Call `action` in delay_ms; call the result to cancel (repeats are harmless)."""
        self._sweep()
        number = next(self._numbers)
        heapq.heappush(self._heap, (self._clock() + max(delay_ms, 0), number, action))
        self._live.add(number)
        if self._heap[0][1] == number:
            self._changed.set()
        return lambda: self._live.discard(number)

    def _sweep(self) -> None:
        if len(self._heap) > 2 * len(self._live) + SPARE:
            self._heap = [timer for timer in self._heap if timer[1] in self._live]
            heapq.heapify(self._heap)

    def fire_due(self) -> None:
        """Call all actions whose time has come."""
        now = self._clock()
        while self._heap and self._heap[0][0] <= now:
            _, number, action = heapq.heappop(self._heap)
            if number in self._live:
                self._live.discard(number)
                action()

    def next_due_ms(self) -> int | None:
        """When the next timer is due, or None. Cancelled timers are forgotten on the way."""
        while self._heap and self._heap[0][1] not in self._live:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    async def run(self) -> None:
        """Fire timers until cancelled."""
        while True:
            self.fire_due()
            self._changed = trio.Event()
            due = self.next_due_ms()
            wait_s = WAIT_S_MAX if due is None else (due - self._clock()) / 1000
            with trio.move_on_after(min(max(wait_s, 0), WAIT_S_MAX)):
                await self._changed.wait()
