"""What every role stands on, put together once: clock, events, figures, board, lifecycle."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Mapping
from typing import TextIO

from appliance.kernel.channels import Channels
from appliance.kernel.clock import Clock, wall_clock_ms
from appliance.kernel.events import Emit, Event
from appliance.kernel.lifecycle import STOP_S_MAX, Levels, Lifecycle, SignalWatch, Stop
from appliance.kernel.logs import LogWriter, capture_library_logs, fan_out
from appliance.kernel.metrics import Registry
from appliance.kernel.restart import EDGE_OF_THE_HOUSE
from appliance.kernel.status import StatusBoard
from appliance.kernel.supervisor import Child
from appliance.kernel.systemd import Systemd


class Kernel:
    """One per appliance. Made before `trio.run`; `live` runs inside.

    metrics, board, channels: read by pages. emit: given to every component.
    """

    def __init__(
        self,
        log: LogWriter,
        environ: Mapping[str, str],
        *,
        clock: Clock = wall_clock_ms,
        also: tuple[Emit, ...] = (),
    ) -> None:
        self.clock = clock
        self.metrics = Registry()
        self._listeners: list[Emit] = list(also)
        self.emit: Emit = fan_out(self.metrics.count, log.write, self._tell_listeners)
        self.board = StatusBoard(clock, self.emit)
        self.channels = Channels()
        self.metrics.watch(self.board.samples)
        self.metrics.watch(self.channels.samples)
        self._systemd = Systemd(environ)
        self.serving = False
        """Everything is started and stop has not begun."""

    def listen(self, listener: Emit) -> None:
        """Give every event from now on to one more listener; it must not wait or raise."""
        self._listeners.append(listener)

    def _tell_listeners(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)

    async def live(
        self,
        levels: Levels,
        stop: Stop,
        *,
        on_ready: Callable[[], None] = lambda: None,
        on_stopping: Callable[[], None] = lambda: None,
    ) -> None:
        """Run the levels until asked to stop; signals and watchdog are added to N0.

        Raises:
            Fatal: in a group; see Lifecycle.live.
        """
        own = [
            Child("signals", SignalWatch(stop), EDGE_OF_THE_HOUSE),
            Child("watchdog", self._systemd, EDGE_OF_THE_HOUSE),
        ]
        last_resort = threading.Timer(STOP_S_MAX, leave_at_once)
        last_resort.daemon = True

        def ready() -> None:
            self.serving = True
            self._systemd.tell("READY=1")
            on_ready()

        def stopping() -> None:
            self.serving = False
            self._systemd.tell("STOPPING=1")
            last_resort.start()
            on_stopping()

        tree = Levels(
            appliance=[*own, *levels.appliance],
            foundation=levels.foundation,
            uplink=levels.uplink,
            processing=levels.processing,
            ingest=levels.ingest,
        )
        try:
            await Lifecycle(self.board, self.emit, stop, ready, stopping).live(tree)
        finally:
            last_resort.cancel()


def make_kernel(format: str, level: str, environ: Mapping[str, str], stream: TextIO) -> Kernel:
    """The kernel of a process: its log goes to the stream, libraries' logs into events."""
    kernel = Kernel(LogWriter(stream, format, level, wall_clock_ms), environ)
    capture_library_logs(kernel.emit)
    return kernel


def leave_at_once() -> None:
    """A clean-up hangs beyond every deadline: leave; what is durable stays durable."""
    print(f"still stopping after {STOP_S_MAX:g} s; leaving at once", file=sys.stderr, flush=True)
    os._exit(70)
