"""How many packs may be unanswered: additive increase, multiplicative decrease.

The peer acknowledges before it has saved (spec/edge-protocol.md §13), so a sender that floods it
moves the risk there. The window therefore grows by one per window of quick answers and halves when
answers slow down to more than `SLOW_FACTOR` times the quickest seen (and more than `SLOW_S_MIN`),
or when the peer refuses.
"""

from __future__ import annotations

SLOW_FACTOR = 8.0
SLOW_S_MIN = 0.5


class Window:
    """A pure counter; `size` is how many packs may be in flight."""

    def __init__(self, *, size_max: int, size_start: int = 4) -> None:
        self._size = float(min(size_start, size_max))
        self._size_max = size_max
        self._quickest_s = float("inf")
        self._slowed = 0

    @property
    def size(self) -> int:
        """Packs that may be unanswered at once; at least 1."""
        return max(1, int(self._size))

    def answered(self, latency_s: float) -> None:
        """An acknowledgement came after latency_s."""
        self._quickest_s = min(self._quickest_s, latency_s)
        if latency_s > max(SLOW_S_MIN, SLOW_FACTOR * self._quickest_s):
            self._slow()
        else:
            self._slowed = 0
            self._size = min(self._size_max, self._size + 1 / self._size)

    def refused(self) -> None:
        """The peer said no, or said nothing in time."""
        self._size = max(1.0, self._size / 2)

    def _slow(self) -> None:
        """Halve once per window of slow answers, not once per answer."""
        if self._slowed <= 0:
            self._size = max(1.0, self._size / 2)
            self._slowed = self.size
        self._slowed -= 1
