"""A transport that lets a test see what comes in, and say what its own side would never say."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import trio

from appliance.extension.ports import Link, Transport
from appliance.sync.messages import Ack, Batch, Frame, Item


class Tapped:
    """A link whose received frames are noted."""

    def __init__(self, link: Link, tap: Tap) -> None:
        self._link = link
        self._tap = tap
        self.peer = link.peer
        self.inbound_bytes_max = link.inbound_bytes_max

    async def send(self, frames: Sequence[Frame]) -> None:
        """See Link."""
        await self._link.send(frames)

    async def receive(self) -> Sequence[Frame]:
        """See Link."""
        frames = await self._link.receive()
        self._tap.note(frames)
        return frames

    def size(self, frame: Frame) -> int:
        """See Link."""
        return self._link.size(frame)


class Tap:
    """Wraps a transport. seen: items received so far. link: the newest one."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.seen: list[Item] = []
        self.answers: dict[int, Ack] = {}
        self.link: Link | None = None

    def note(self, frames: Sequence[Frame]) -> None:
        """Remember what a batch brought, and what became of ours."""
        for frame in frames:
            if isinstance(frame, Batch):
                self.seen.extend(frame.items)
            elif isinstance(frame, Ack):
                self.answers[frame.id] = frame

    async def say(self, *items: Item) -> Ack:
        """Send items to the peer past our own outbox; its acknowledgement."""
        assert self.link is not None
        number = random.randrange(1, 2**31 - 1)
        await self.link.send([Batch(number, items)])
        with trio.fail_after(10):
            while number not in self.answers:
                await trio.sleep(0.005)
        return self.answers[number]

    def connect(self) -> AbstractAsyncContextManager[Link]:
        """See Transport."""
        return self._connect()

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[Link]:
        async with self._transport.connect() as link:
            self.link = Tapped(link, self)
            yield self.link

    async def serve(
        self,
        handle: Callable[[Link], Any],
        *,
        task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """See Transport."""

        async def tapped(link: Link) -> None:
            self.link = Tapped(link, self)
            await handle(self.link)

        await self._transport.serve(tapped, task_status=task_status)
