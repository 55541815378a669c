"""A TCP proxy that fails on request: what lies between a site and its cloud.

    async with faulty_proxy(server_port) as proxy:
        ... connect to 127.0.0.1:proxy.port ...
        proxy.cut()

`freeze` is the half-open link: everything stays connected, nothing passes. Faults act on the
connections that are open now, except `refuse`, `freeze` and `bytes_per_s`, which last until they
are taken back.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import trio

Direction = Literal["up", "down"]
_CHUNK = 16_384


class FaultyProxy:
    """See the module. forwarded: bytes passed per direction, over all connections.

    connections: how many were accepted so far.
    """

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self.connections = 0
        self.forwarded: dict[Direction, int] = {"up": 0, "down": 0}
        self.refuse = False
        self.bytes_per_s: float | None = None
        self._target_port = target_port
        self._open: set[tuple[trio.SocketStream, trio.SocketStream]] = set()
        self._flowing = trio.Event()
        self._flowing.set()
        self._cuts: dict[Direction, int] = {}

    # --- faults --------------------------------------------------------------------------------

    def cut(self) -> None:
        """Close both sides of every connection, as a stopping middlebox does."""
        for sides in self._open:
            for side in sides:
                side.socket.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """Reset both sides of every connection."""
        for sides in list(self._open):
            self._reset(sides)

    def reset_after(self, direction: Direction, count: int) -> None:
        """Reset the connection that carries so many more bytes that way, in the middle of them."""
        self._cuts[direction] = count

    def freeze(self) -> None:
        """Let nothing pass, without a sign of it, until `thaw`."""
        self._flowing = trio.Event()

    def thaw(self) -> None:
        """Pass on what is waiting and all that follows."""
        self._flowing.set()

    def half_close(self, direction: Direction) -> None:
        """End one direction politely: the reader sees the end of the stream."""
        for client, server in self._open:
            (server if direction == "up" else client).socket.shutdown(socket.SHUT_WR)

    def _reset(self, sides: tuple[trio.SocketStream, trio.SocketStream]) -> None:
        self._open.discard(sides)
        for side in sides:
            no_linger = struct.pack("ii", 1, 0)
            side.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_linger)
            side.socket.close()

    # --- forwarding ----------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
        """Accept and forward until cancelled; started() gives the port."""
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listeners[0].socket.getsockname()[1]
        task_status.started(self.port)
        await trio.serve_listeners(self._serve, listeners)

    async def _serve(self, client: trio.SocketStream) -> None:
        self.connections += 1
        if self.refuse:
            return
        try:
            server = await trio.open_tcp_stream("127.0.0.1", self._target_port)
        except OSError:
            return
        sides = (client, server)
        self._open.add(sides)
        try:
            async with client, server, trio.open_nursery() as nursery:
                nursery.start_soon(self._pump, sides, "up")
                nursery.start_soon(self._pump, sides, "down")
        finally:
            self._open.discard(sides)

    async def _pump(
        self, sides: tuple[trio.SocketStream, trio.SocketStream], direction: Direction
    ) -> None:
        source, sink = sides if direction == "up" else sides[::-1]
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while data := await source.receive_some(_CHUNK):
                await self._flowing.wait()
                if self.bytes_per_s is not None:
                    await trio.sleep(len(data) / self.bytes_per_s)
                if direction in self._cuts:
                    self._cuts[direction] -= len(data)
                    if self._cuts[direction] <= 0:
                        await sink.send_all(data[: len(data) // 2])
                        del self._cuts[direction]
                        self._reset(sides)
                        return
                await sink.send_all(data)
                self.forwarded[direction] += len(data)
            await sink.send_eof()


@asynccontextmanager
async def faulty_proxy(target_port: int) -> AsyncIterator[FaultyProxy]:
    """A running proxy in front of that port of this machine."""
    proxy = FaultyProxy(target_port)
    async with trio.open_nursery() as nursery:
        await nursery.start(proxy.run)
        yield proxy
        nursery.cancel_scope.cancel()
