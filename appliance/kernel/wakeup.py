"""A wake-up call that is never lost and never queues."""

from __future__ import annotations

import trio


class Wakeup:
    """Any number of `set` calls before a `wait` count as one; for a single waiting task."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = trio.Event()

    def set(self) -> None:
        """Let the waiting task go on, or the next `wait` return at once."""
        self._event.set()

    async def wait(self) -> None:
        """Wait for `set` since the last return."""
        await self._event.wait()
        self._event = trio.Event()

    async def wait_until(self, deadline_s: float) -> None:
        """`wait`, but no longer than until this trio time."""
        with trio.move_on_at(deadline_s):
            await self.wait()
