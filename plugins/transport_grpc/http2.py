"""One HTTP/2 connection: grpclib's engine with five things done our way.

grpclib's client and server stop short of what this stream needs, so we stand on the layer below
them, `grpclib.protocol`, which speaks HTTP/2 over an asyncio transport:

- an inbox that hands out what arrived *before* the end. grpclib's reader is cancelled by a reset
  even with messages still unread, and a refused edge would never see why it was refused;
- any number of messages in one write, and compressed messages (framing.py);
- dead peers: grpclib closes a silent connection politely, which waits for ever while its write
  buffer cannot drain. Here a silent connection is aborted;
- frames of HTTP/2 extensions are ignored, as the protocol demands, instead of raising;
- a stranger's headers that are no text end his connection, and are no error of ours.

Bounds. Inwards: both flow control windows are 4 MiB, one message of the usual limit; a byte is
given back to the window when the reader takes it. Outwards: 256 KiB wait in the transport before
a writer is held, about 16 HTTP/2 frames, which keeps the socket busy between two turns of the
loop.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import trio
from grpclib.config import Configuration
from grpclib.protocol import AbstractHandler, H2Protocol, Stream
from h2.config import H2Configuration
from h2.events import (
    AlternativeServiceAvailable,
    InformationalResponseReceived,
    UnknownFrameReceived,
)

WINDOW_BYTES = 4 * 1024 * 1024
WRITE_BUFFER_BYTES = 256 * 1024
STREAMS_MAX = 100
"""Streams of one connection that wait for their task: h2's own limit of concurrent streams."""

Headers = list[tuple[str, str]]
_IGNORED = (AlternativeServiceAvailable, InformationalResponseReceived, UnknownFrameReceived)


class Inbox:
    """What arrived on one stream and was not taken yet; then, once, how it ended.

    It stands where grpclib has its `Buffer` (add, eof, unacked_size) and its `Wrapper` (cancel).
    """

    def __init__(self) -> None:
        self.on_end: Callable[[], None] = _nothing
        """Called when the peer ends its side or the stream breaks; maybe twice."""
        self.ended = False
        self.orderly = False
        """The peer ended its side, and nothing had broken before."""
        self.error = ""
        """What broke the stream, be it after an orderly end."""
        self._chunks: list[bytes] = []
        self._unacked = 0
        self._arrival = trio.Event()

    # --- grpclib's side ------------------------------------------------------------------------

    def add(self, data: bytes, ack_size: int) -> None:
        """Data arrived; ack_size bytes of the windows are taken by it."""
        self._chunks.append(data)
        self._unacked += ack_size
        self._arrival.set()

    def eof(self) -> None:
        """The peer has ended its side."""
        self.orderly = not self.ended
        self._end()

    def cancel(self, error: Exception) -> None:
        """The stream was reset or the connection is gone."""
        self.error = self.error or str(error) or type(error).__name__
        self._end()

    def unacked_size(self) -> int:
        """Bytes of the windows not given back yet; asked once, when the stream is released."""
        size, self._unacked = self._unacked, 0
        return size

    # --- the reader's side ---------------------------------------------------------------------

    async def wait(self) -> None:
        """Return when there is data or the end."""
        if not self._chunks and not self.ended:
            self._arrival = trio.Event()
            await self._arrival.wait()

    def take(self) -> tuple[bytes, int]:
        """(everything that arrived, bytes to give back to the windows)."""
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        return data, self.unacked_size()

    def _end(self) -> None:
        self.ended = True
        self.on_end()
        self._arrival.set()


def _nothing() -> None:
    """Nobody waits for the end yet."""


class Call(NamedTuple):
    """An open stream: grpclib's Stream, what arrived on it, and what forgets it."""

    stream: Any
    inbox: Inbox
    release: Callable[[], None]


def take_over(stream: Any, release: Callable[[], None]) -> Call:
    """Put our inbox under a stream. At once when it opens: data may follow in the same packet."""
    inbox = Inbox()
    stream.buffer = stream.wrapper = inbox
    return Call(stream, inbox, release)


class Accepting(AbstractHandler):
    """grpclib's handler: passes new streams on and forgets them."""

    def __init__(self) -> None:
        self._opened, self.calls = trio.open_memory_channel[Call](STREAMS_MAX)

    def accept(self, stream: Stream, headers: Headers, release_stream: Callable[[], None]) -> None:
        """A peer opened a stream."""
        stream.headers = headers
        self._opened.send_nowait(take_over(stream, release_stream))

    def cancel(self, stream: Stream) -> None:
        """A stream was reset; its inbox knows."""

    def close(self) -> None:
        """The connection is over; no more streams."""
        self._opened.close()


class Http2(H2Protocol):
    """The protocol object of one connection.

    accepting: where new streams of a peer turn up. lost: the socket is closed.
    """

    def __init__(self, peer: str, *, client: bool) -> None:
        self.peer = peer
        self.accepting = Accepting()
        self.lost = trio.Event()
        self.heard_at = trio.current_time()
        self._transport: Any = None
        configuration = Configuration(
            _keepalive_time=None,
            http2_connection_window_size=WINDOW_BYTES,
            http2_stream_window_size=WINDOW_BYTES,
        )
        rules = H2Configuration(
            client_side=client,
            header_encoding="utf-8",
            validate_inbound_headers=False,
            validate_outbound_headers=False,
            normalize_inbound_headers=False,
            normalize_outbound_headers=False,
        )
        super().__init__(self.accepting, configuration.__for_client__(), rules)

    # --- asyncio's callbacks -------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        super().connection_made(transport)
        self.processor.processors.update(dict.fromkeys(_IGNORED, lambda _event: None))

    def data_received(self, data: bytes) -> None:
        self.heard_at = trio.current_time()
        try:
            super().data_received(data)
        except (UnicodeDecodeError, trio.WouldBlock) as error:
            # Headers that are no text, or calls that come faster than anybody can look at them.
            self.abort(str(error))

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self.lost.set()

    # --- ours ----------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Not closed and not closing."""
        return self._transport is not None and not self.connection.is_closing()

    def acknowledge(self, stream_id: int, size: int) -> None:
        """Give bytes back to the windows."""
        if size and self.is_open:
            self.connection.ack(stream_id, size)

    def close(self, reason: str) -> None:
        """End politely: what is written still leaves, if the peer takes it."""
        self.processor.close(reason)

    def abort(self, reason: str) -> None:
        """End at once: what is written and has not left is lost."""
        self.processor.close(reason)
        self._transport.abort()

    async def call_aio(self, headers: Headers) -> Call:
        """Open a stream to the server, from inside the room."""
        stream = self.connection.create_stream()
        return take_over(stream, await stream.send_request(headers, _processor=self.processor))

    async def keep_alive(
        self, after_s: float, wait_s: float, on_silence: Callable[[str, float], None]
    ) -> None:
        """Ping when nothing came for after_s; abort when nothing comes for wait_s after that.

        So a dead peer is noticed within after_s + wait_s, and a busy link is never pinged.
        """
        while True:
            await trio.sleep_until(self.heard_at + after_s)
            asked_at = trio.current_time()
            if self.heard_at + after_s > asked_at:
                continue
            if not self.is_open:
                return
            self.connection._connection.ping(struct.pack(">Q", int(asked_at * 1e6) & (1 << 63) - 1))
            self.connection.flush()
            await trio.sleep(wait_s)
            # Had something else held the loop, an answer may wait in the socket: read it first.
            await trio.lowlevel.checkpoint()
            if self.heard_at < asked_at:
                silent_s = trio.current_time() - self.heard_at
                on_silence(self.peer, silent_s)
                self.abort(f"the peer was silent for {silent_s:.1f} s")
                return
