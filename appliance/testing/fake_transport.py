"""A transport without a network: both ends in one process, faults on request.

It passes the same conformance suite as the real one (testing/transport.py), so a test of the
session, the packer or a role may use it and still mean something. One `FakeTransport` is the wire
and both its ends: the cloud calls `serve`, any number of edges `connect`.

Each direction of a link holds at most 64 frames, about one pack in flight and enough for a sender
to feel a slow reader within one test.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import msgspec
import trio

from appliance.extension.ports import Link, LinkClosed
from appliance.model.errors import Retryable
from appliance.sync.messages import Frame

BUFFER_FRAMES = 64
INBOUND_BYTES_MAX = 4_194_304


class _Pipe:
    """One direction: a bounded queue that ends once, for both of its sides."""

    def __init__(self) -> None:
        self.frames: deque[Frame] = deque()
        self.end: tuple[str, str] | None = None
        self.stalled = False
        self._changed = trio.lowlevel.ParkingLot()

    def close(self, reason: str, status: str, *, lose: bool = False) -> None:
        if lose:
            self.frames.clear()
        if self.end is None:
            self.end = (reason, status)
        self.wake()

    def wake(self) -> None:
        self._changed.unpark_all()

    async def put(self, frame: Frame) -> None:
        while self.end is None and len(self.frames) >= BUFFER_FRAMES:
            await self._changed.park()
        if self.end is not None:
            raise LinkClosed(*self.end)
        self.frames.append(frame)
        self.wake()

    async def take(self) -> list[Frame]:
        while self.stalled or not (self.frames or self.end):
            await self._changed.park()
        if not self.frames and self.end is not None:
            raise LinkClosed(*self.end)
        frames = list(self.frames)
        self.frames.clear()
        self.wake()
        return frames


class FakeLink:
    """One end of a link. `size` counts the bytes of a MessagePack form, a stand-in."""

    def __init__(self, peer: str, outgoing: _Pipe, incoming: _Pipe) -> None:
        self.peer = peer
        self.inbound_bytes_max = INBOUND_BYTES_MAX
        self.outgoing = outgoing
        self.incoming = incoming
        self._writing = trio.Lock()

    async def send(self, frames: Sequence[Frame]) -> None:
        async with self._writing:
            for frame in frames:
                await self.outgoing.put(frame)

    async def receive(self) -> Sequence[Frame]:
        await trio.lowlevel.checkpoint()
        return await self.incoming.take()

    def size(self, frame: Frame) -> int:
        return len(msgspec.msgpack.encode(frame))


class FakeTransport:
    """The wire and both its ends.

    refuse: what `connect` raises while it is set. links: the client ends that are open now.
    """

    def __init__(self) -> None:
        self.refuse: Exception | None = None
        self.links: list[FakeLink] = []
        self._accept: trio.MemorySendChannel[tuple[_Pipe, _Pipe]] | None = None

    # --- faults --------------------------------------------------------------------------------

    def cut(self, *, lose: bool = True) -> None:
        """Break every link: what is in flight is lost, or arrives; both ends notice."""
        for link in self.links:
            for pipe in (link.outgoing, link.incoming):
                pipe.stalled = False
                pipe.close("connection lost", "UNAVAILABLE", lose=lose)

    def stall(self, stalled: bool = True) -> None:
        """Deliver nothing on any open link, without any sign of it, until called with False."""
        for link in self.links:
            for pipe in (link.outgoing, link.incoming):
                pipe.stalled = stalled
                pipe.wake()

    # --- the port ------------------------------------------------------------------------------

    def connect(self) -> AbstractAsyncContextManager[Link]:
        """Open a link to whoever serves."""
        return self._connect()

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[Link]:
        await trio.lowlevel.checkpoint()
        if self.refuse is not None:
            raise self.refuse
        if self._accept is None:
            raise Retryable("nobody listens")
        up, down = _Pipe(), _Pipe()
        link = FakeLink("fake cloud", up, down)
        try:
            await self._accept.send((up, down))
        except trio.BrokenResourceError:
            raise Retryable("who listened has stopped") from None
        self.links.append(link)
        try:
            yield link
        finally:
            self.links.remove(link)
            up.close("closed by the client", "OK")
            down.close("closed by the client", "OK")

    async def serve(
        self,
        handle: Callable[[Link], Any],
        *,
        task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept links; one server at a time."""
        self._accept, accepted = trio.open_memory_channel[tuple[_Pipe, _Pipe]](0)
        try:
            async with accepted, trio.open_nursery() as nursery:
                task_status.started(1)
                async for up, down in accepted:
                    nursery.start_soon(_handle, handle, up, down)
        finally:
            self._accept = None


async def _handle(handle: Callable[[Link], Any], up: _Pipe, down: _Pipe) -> None:
    end = ("the server stops", "UNAVAILABLE")
    try:
        await handle(FakeLink("fake edge", down, up))
        end = ("the server ended the stream", "OK")
    except LinkClosed as closed:
        end = (str(closed), closed.status or "UNKNOWN")
    finally:
        down.close(*end)
        up.close(*end, lose=True)
