"""The write side of one connection: what waits is joined into as few writes as possible.

Bounded by the session's window and, for pushes of QoS 0 that no window counts, by
`BYTES_MAX`. A peer that takes nothing for `send_timeout_s` is lost.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

BYTES_MAX = 1 << 20
LAST_WORDS_S = 1.0
"""Time to write a last packet to a connection that is being closed."""
CHUNK_BYTES = 8192
"""Read at once: some sixty messages. With more, devices that send as fast as they can would hold
the processor for so long that what they sent does not get away."""

LOST = (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError)
"""How a stream says that nobody is there any more."""


class Outgoing:
    """Writes to one stream from several tasks, in the order of `add`.

    on_lost: called once the peer cannot be written to; must not block.
    """

    def __init__(
        self, stream: trio.abc.Stream, send_timeout_s: float, on_lost: Callable[[], None]
    ) -> None:
        self._stream = stream
        self._send_timeout_s = send_timeout_s
        self._on_lost = on_lost
        self._sending = trio.Lock()
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._torn = False

    @property
    def is_full(self) -> bool:
        """Whether pushes must be refused."""
        return self._waiting_bytes > BYTES_MAX

    def add(self, data: bytes) -> None:
        """Put bytes behind what waits; `flush` writes them."""
        if data:
            self._waiting.append(data)
            self._waiting_bytes += len(data)

    def flush_soon(self, nursery: trio.Nursery) -> None:
        """Flush from a task that must not block; one that is flushing takes this along."""
        if self._waiting and not self._sending.locked():
            nursery.start_soon(self.flush)

    async def flush(self) -> None:
        """Return when all that was added is written, or nobody is there to read it."""
        await trio.lowlevel.checkpoint_if_cancelled()  # with nothing torn
        try:
            self._sending.acquire_nowait()  # without a round of the scheduler, nearly always
        except trio.WouldBlock:
            await self._sending.acquire()
        try:
            while self._waiting:
                await self._send(b"".join(self._waiting))
        except LOST:
            self._on_lost()
        finally:
            self._sending.release()

    async def _send(self, data: bytes) -> None:
        self._waiting.clear()
        self._waiting_bytes = 0
        self._torn = True  # until all of it is out, a cancel leaves half a packet
        with trio.fail_after(self._send_timeout_s):
            await self._stream.send_all(data)
        self._torn = False

    async def close(self) -> None:
        """Write what is still to say, briefly, then close the stream.

        A socket closed with input unread is reset, and the reset can overtake our last packet;
        so we only say that we are done and read on until the peer closes too.
        """
        with trio.move_on_after(LAST_WORDS_S, shield=True):
            if not self._torn:
                await self.flush()
            if isinstance(self._stream, trio.SocketStream):
                await self._linger(self._stream)
            await self._stream.aclose()

    async def _linger(self, stream: trio.SocketStream) -> None:
        try:
            await stream.send_eof()
            while await stream.receive_some(CHUNK_BYTES):
                pass
        except LOST:
            pass
