"""The line between edge and cloud: a TCP relay that can be cut and mended."""

from __future__ import annotations

import trio

_CHUNK_BYTES = 1 << 16
_LOST = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)


class Wire:
    """Forwards connections to a port of this machine while it is whole.

    Cut, it closes what is open and takes nothing new, so both ends see a dead line at once.
    port: where to connect to, once `run` has started.
    """

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self.whole = True
        self._target_port = target_port
        self._open: set[trio.SocketStream] = set()

    async def cut(self) -> None:
        """Break every connection and refuse new ones."""
        self.whole = False
        for stream in list(self._open):
            await trio.aclose_forcefully(stream)

    def mend(self) -> None:
        """Let connections pass again."""
        self.whole = True

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Accept and forward until cancelled."""
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listeners[0].socket.getsockname()[1]
        task_status.started()
        await trio.serve_listeners(self._serve, listeners)

    async def _serve(self, near: trio.SocketStream) -> None:
        if not self.whole:
            return
        try:
            far = await trio.open_tcp_stream("127.0.0.1", self._target_port)
        except OSError:
            return
        pair = {near, far}
        self._open |= pair
        try:
            async with near, far, trio.open_nursery() as nursery:
                nursery.start_soon(self._forward, near, far, nursery.cancel_scope)
                nursery.start_soon(self._forward, far, near, nursery.cancel_scope)
        finally:
            self._open -= pair

    async def _forward(
        self, source: trio.SocketStream, sink: trio.SocketStream, both: trio.CancelScope
    ) -> None:
        try:
            while data := await source.receive_some(_CHUNK_BYTES):
                await sink.send_all(data)
        except _LOST:
            pass
        both.cancel()
