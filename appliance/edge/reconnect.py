"""When to connect again, and which version to announce. Pure: chance is an argument.

The wait begins at `interval_s` and doubles up to `interval_s_max` while connections fail; a link
that was accepted starts over. A polite end (status OK) is no reason to hurry: it means "another
session of yours has come" (edge-protocol §3.7, §11.18), and two edges with one key would chase
each other for ever, so it starts over only after a link that has lasted.
"""

from __future__ import annotations

V_3_9_0 = 9
KNOWN_VERSIONS = (13, 12, 11, 10, V_3_9_0)
"""V_4_3_0 down to V_3_9_0: what to announce to ever older servers (§3.3)."""
UNRECOGNIZED = "UNRECOGNIZED"
"""What a server writes into the edge's attribute `edgeVersion` for a number it does not know."""
LASTING_S = 60.0


class Backoff:
    """The waits between links."""

    def __init__(self, interval_s: float, interval_s_max: float) -> None:
        self._interval_s = interval_s
        self._interval_s_max = interval_s_max
        self._next_s = interval_s

    def wait_s(self, chance: float) -> float:
        """How long to wait now. chance: 0 … 1, spreads a fleet by a fifth to either side."""
        wait_s = self._next_s
        self._next_s = min(self._interval_s_max, wait_s * 2)
        return wait_s * (0.8 + 0.4 * chance)

    def accepted(self, lasted_s: float, *, polite: bool) -> None:
        """A link that the server had accepted ended after so long."""
        if not polite or lasted_s >= LASTING_S:
            self._next_s = self._interval_s


def older_version(version: int) -> int | None:
    """The version to try when the server does not know this one; None when none is left."""
    return next((known for known in KNOWN_VERSIONS if known < version), None)
