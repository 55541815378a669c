"""Talk to systemd: ready, stopping, watchdog. A datagram to $NOTIFY_SOCKET, no library.

The watchdog's beat is sent from the Trio loop itself, so a loop that hangs stops beating and
systemd restarts the unit (sd_notify(3)).
"""

from __future__ import annotations

import socket
from collections.abc import Mapping

import trio


class Systemd:
    """Says nothing where there is no systemd."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        limit_us = int(environ.get("WATCHDOG_USEC") or 0)
        self._beat_s = limit_us / 1_000_000 / 2
        """Half the limit, as sd_watchdog_enabled(3) advises."""

    def tell(self, state: str) -> None:
        """Send one state such as "READY=1"; a missing listener is no error."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.setblocking(False)
            try:
                channel.sendto(state.encode(), address)
            except OSError:
                pass  # whoever listened is gone; the watchdog decides, not we

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Beat until cancelled; returns at once where no watchdog was asked for."""
        task_status.started()
        if not self._address or not self._beat_s:
            return
        while True:
            self.tell("WATCHDOG=1")
            await trio.sleep(self._beat_s)
