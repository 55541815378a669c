"""A side that dies as a process does: in the middle of what it does, and without a last word.

A `Life` is one run of one side. It does deeds (a frame sent or received, a commit before and after
it is durable, an acknowledgement noted), and a fuse says after how many of them it dies. From that
moment on nothing that its tasks still do reaches the disk or the wire, and of the acknowledgements
of the last second some are forgotten, as a journal's are that were not written yet. What it had
said before still arrives.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import trio

from appliance.extension.ports import Link, LinkClosed, Transport
from appliance.kernel.clock import Clock
from appliance.model.errors import Retryable
from appliance.model.unit import Lane, StoredEvent, Unit
from appliance.sync.messages import Frame
from appliance.testing.memory_storage import MemoryDisk, MemoryStorage

LATE_S = 1.0
"""How late an acknowledgement may become durable (plugins/storage_duckdb/config.py)."""


class Life:
    """One run of a side. fuse: after how many deeds it dies; None: it is left in peace."""

    def __init__(self) -> None:
        self.fuse: int | None = None
        self.dead = False
        self.died = trio.Event()
        self.last_wishes: list[Callable[[], None]] = []

    def deed(self) -> None:
        """Something is about to be done that another can see."""
        if self.fuse is not None and not self.dead:
            self.fuse -= 1
            if self.fuse < 0:
                self.die()

    def die(self) -> None:
        """Nothing it does counts from now on."""
        if not self.dead:
            for wish in self.last_wishes:
                wish()
            self.end()

    def end(self) -> None:
        """It stopped in good order, and nobody is left who could do anything."""
        self.dead = True
        self.died.set()


class MortalStorage(MemoryStorage):
    """Storage of one life over a disk that survives it."""

    def __init__(self, disk: MemoryDisk, clock: Clock, life: Life, chance: random.Random) -> None:
        super().__init__(disk, clock)
        self._life = life
        self._chance = chance
        self._lately: list[tuple[float, str, Lane, StoredEvent]] = []
        life.last_wishes.append(self._forget)

    def _refuse_if_full(self) -> None:
        self._life.deed()
        if self._life.dead:
            raise Retryable("this process is dead")
        super()._refuse_if_full()

    async def commit(self, units: Sequence[Unit]) -> int:
        """Durable, and then perhaps nobody left to say so."""
        first = await super().commit(units)
        self._life.deed()
        return first

    async def pending(
        self, outbox: str, lane: Lane, after: Any, max_events: int, max_bytes: int
    ) -> Sequence[StoredEvent]:
        """The dead read nothing."""
        if self._life.dead:
            await trio.sleep_forever()
        return await super().pending(outbox, lane, after, max_events, max_bytes)

    def acknowledge(self, outbox: str, lane: Lane, events: Iterable[StoredEvent]) -> None:
        """Noted in memory, durable within a second."""
        self._life.deed()
        if self._life.dead:
            return
        events = list(events)
        super().acknowledge(outbox, lane, events)
        now_s = trio.current_time()
        self._lately = [late for late in self._lately if late[0] > now_s - LATE_S]
        self._lately += [(now_s, outbox, lane, event) for event in events]

    @property
    def forgettable(self) -> list[StoredEvent]:
        """What was acknowledged so lately that a death would forget it."""
        since_s = trio.current_time() - LATE_S
        return [event for moment_s, _, _, event in self._lately if moment_s >= since_s]

    def _forget(self) -> None:
        since_s = trio.current_time() - self._chance.uniform(0, LATE_S)
        for moment_s, outbox, lane, event in self._lately:
            if moment_s >= since_s:
                queue = self.disk.lane(outbox, lane)
                waiting = {**queue.waiting, event.position: event}
                queue.waiting = dict(sorted(waiting.items()))
                queue.acknowledged -= 1


class MortalLink:
    """One end of a link; hear and say see what passes."""

    def __init__(self, link: Link, life: Life, hear: Watch, say: Watch) -> None:
        self.peer = link.peer
        self.inbound_bytes_max = link.inbound_bytes_max
        self._link = link
        self._life = life
        self._hear = hear
        self._say = say

    async def send(self, frames: Sequence[Frame]) -> None:
        """See Link."""
        for frame in frames:
            self._live()
            await self._link.send([frame])
            self._say(frame)

    async def receive(self) -> Sequence[Frame]:
        """See Link."""
        frames = await self._link.receive()
        self._live()
        for frame in frames:
            self._hear(frame)
        return frames

    def size(self, frame: Frame) -> int:
        """See Link."""
        return self._link.size(frame)

    def _live(self) -> None:
        self._life.deed()
        if self._life.dead:
            raise LinkClosed("this process is dead")


Watch = Callable[[Frame], None]


class MortalTransport:
    """A transport as one life has it."""

    def __init__(self, inner: Transport, life: Life, hear: Watch, say: Watch) -> None:
        self._inner = inner
        self._wrap = lambda link: MortalLink(link, life, hear, say)

    def connect(self) -> AbstractAsyncContextManager[Link]:
        """See Transport."""
        return self._connect()

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[Link]:
        async with self._inner.connect() as link:
            yield self._wrap(link)

    async def serve(
        self,
        handle: Callable[[Link], Any],
        *,
        task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """See Transport."""
        await self._inner.serve(lambda link: handle(self._wrap(link)), task_status=task_status)
