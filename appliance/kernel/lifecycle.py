"""Start order, stop order and what Ctrl-C means: read `live`, it is the supervision tree.

Five levels, one inside the other. Start runs down, stop runs up: leaving a level first lets its
components finish what waits (`drain`, within the level's deadline), then cancels them and waits
for their clean-up, while every level outside is still alive to be drained into.

The deadlines' sum plus CLEANUP_S is STOP_S_MAX; a test holds it against the unit file's
TimeoutStopSec. A second signal skips every drain: what is durable stays durable.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar

import msgspec
import trio

from appliance.kernel.events import Emit, Event
from appliance.kernel.status import StatusBoard
from appliance.kernel.supervisor import Child, drain, supervise

INGEST_DRAIN_S = 3.0
PROCESSING_DRAIN_S = 5.0
UPLINK_DRAIN_S = 5.0
FOUNDATION_DRAIN_S = 10.0
APPLIANCE_DRAIN_S = 2.0
CLEANUP_S = 5.0
"""For the clean-up of all levels after their drains: closing files and sockets."""
STOP_S_MAX = (
    INGEST_DRAIN_S
    + PROCESSING_DRAIN_S
    + UPLINK_DRAIN_S
    + FOUNDATION_DRAIN_S
    + APPLIANCE_DRAIN_S
    + CLEANUP_S
)


class Levels(msgspec.Struct, frozen=True, kw_only=True):
    """The components of each level, in order of start."""

    appliance: Sequence[Child] = ()
    foundation: Sequence[Child] = ()
    uplink: Sequence[Child] = ()
    processing: Sequence[Child] = ()
    ingest: Sequence[Child] = ()


class ApplianceReady(Event, frozen=True):
    """Everything is started."""

    text: ClassVar[str] = "ready after {seconds:.2f} s"
    seconds: float


class ApplianceStopping(Event, frozen=True):
    """Stop has begun."""

    text: ClassVar[str] = "stopping: {reason}"
    reason: str


class ApplianceStopped(Event, frozen=True):
    """Everything is closed."""

    text: ClassVar[str] = "stopped after {seconds:.2f} s"
    seconds: float


class DrainCut(Event, frozen=True):
    """A level's deadline came before its components had finished what waited."""

    level: ClassVar[str] = "warning"
    text: ClassVar[str] = "{tier} had {deadline_s:g} s to finish and did not; it is on disk"
    tier: str
    deadline_s: float


class Stop:
    """The wish to stop. Asking once stops in order; asking again skips the drains."""

    def __init__(self) -> None:
        self.reason = ""
        self._asked = trio.Event()
        self._hurried = trio.Event()

    def ask(self, reason: str) -> None:
        """Ask to stop; the first reason is the one that counts."""
        if self._asked.is_set():
            self._hurried.set()
        else:
            self.reason = reason
            self._asked.set()

    async def wait_asked(self) -> None:
        """Return when somebody asked."""
        await self._asked.wait()

    async def wait_hurried(self) -> None:
        """Return when somebody asked again."""
        await self._hurried.wait()


class Lifecycle:
    """One appliance from start to stop.

    on_ready, on_stopping: called on the Trio thread, must not block.
    """

    def __init__(
        self,
        board: StatusBoard,
        emit: Emit,
        stop: Stop,
        on_ready: Callable[[], None] = lambda: None,
        on_stopping: Callable[[], None] = lambda: None,
    ) -> None:
        self._board = board
        self._emit = emit
        self._stop = stop
        self._on_ready = on_ready
        self._on_stopping = on_stopping

    async def live(self, levels: Levels) -> None:
        """Run the whole tree until `stop` is asked for.

        Raises:
            Fatal: in a group, when a component escalated; everything inside is cancelled.
        """
        born = trio.current_time()
        # N0 appliance: signals, watchdog, web (dies last). Pages get APPLIANCE_DRAIN_S.
        async with self._level("appliance", levels.appliance, APPLIANCE_DRAIN_S):
            # N1 foundation: storage commits what it holds and closes within FOUNDATION_DRAIN_S.
            async with self._level("foundation", levels.foundation, FOUNDATION_DRAIN_S):
                # N2 uplink: a last drain to the cloud of at most UPLINK_DRAIN_S.
                async with self._level("uplink", levels.uplink, UPLINK_DRAIN_S):
                    # N3 processing: flushes what ingest handed over, in PROCESSING_DRAIN_S.
                    async with self._level("processing", levels.processing, PROCESSING_DRAIN_S):
                        # N4 ingest: stops first; requests in flight get INGEST_DRAIN_S.
                        async with self._level("ingest", levels.ingest, INGEST_DRAIN_S):
                            self._ready(born)
                            await self._stop.wait_asked()
                            stopped = self._stopping()
        self._emit(ApplianceStopped(seconds=trio.current_time() - stopped))

    @asynccontextmanager
    async def _level(
        self, name: str, children: Sequence[Child], deadline_s: float
    ) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            for child in children:
                await nursery.start(supervise, child, self._board)
            yield
            await self._drain(name, children, deadline_s)
            nursery.cancel_scope.cancel()

    async def _drain(self, name: str, children: Sequence[Child], deadline_s: float) -> None:
        with trio.move_on_after(deadline_s) as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._hurry, scope)
                async with trio.open_nursery() as drains:
                    for child in reversed(children):
                        drains.start_soon(drain, child, self._board)
                nursery.cancel_scope.cancel()
        if scope.cancelled_caught:
            self._emit(DrainCut(tier=name, deadline_s=deadline_s))

    async def _hurry(self, scope: trio.CancelScope) -> None:
        await self._stop.wait_hurried()
        scope.cancel()

    def _ready(self, born: float) -> None:
        self._emit(ApplianceReady(seconds=trio.current_time() - born))
        self._on_ready()

    def _stopping(self) -> float:
        self._emit(ApplianceStopping(reason=self._stop.reason))
        self._on_stopping()
        return trio.current_time()


class SignalWatch:
    """SIGTERM and SIGINT ask to stop; a component of N0."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Watch until cancelled."""
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            task_status.started()
            async for number in signals:
                self._stop.ask(signal.Signals(number).name)
