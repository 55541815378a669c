"""One gRPC stream as a `Link`: frames to bytes to HTTP/2 and back, either role.

Trio meets asyncio once per batch: `send` writes all its frames in one coroutine of the room,
`receive` takes whatever has arrived without entering the room at all.

A batch is written in pieces of about 1 MiB, each one crossing into the room; a batch read at once
has at most 256 messages, so that decoding never holds the loop for more than some milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import trio
from grpclib.const import Status
from grpclib.metadata import decode_grpc_message, encode_grpc_message
from h2.errors import ErrorCodes
from h2.exceptions import H2Error

from appliance import __version__
from appliance.extension.ports import LinkClosed
from appliance.model.errors import Retryable
from appliance.sync.messages import Frame
from appliance.sync.protobuf import MalformedWire
from plugins.transport_grpc.framing import Deframer, StreamFault, frame
from plugins.transport_grpc.http2 import Call, Headers, Http2
from plugins.transport_grpc.mapping import CLOUD, EDGE, Codec
from plugins.transport_grpc.session import Room

PATH = "/edge.EdgeRpcService/handleMsgs"
CONTENT_TYPE = "application/grpc"
ENVELOPE_BYTES = 4_096
"""How much larger than the announced limit a message may be: the limit counts the inner message,
gRPC counts its envelope too (§11.16), which is a few bytes."""

_WRITE_BYTES = 1024 * 1024
_READ_MESSAGES = 256
_HTTP_STATUS = {"401": "UNAUTHENTICATED", "403": "PERMISSION_DENIED", "404": "UNIMPLEMENTED"}

Violated = Callable[[str, str], None]
"""Called with status and reason when the peer breaks the protocol."""


class GrpcLink:
    """What both roles share.

    failure: set when we end the stream because of what the peer sent.
    """

    codec: Codec

    def __init__(
        self,
        room: Room,
        http2: Http2,
        call: Call,
        inbound_bytes_max: int,
        violated: Violated,
        *,
        compress: bool = False,
    ) -> None:
        self.peer = http2.peer
        self.inbound_bytes_max = inbound_bytes_max
        self.failure: LinkClosed | None = None
        self._room = room
        self._http2 = http2
        self._stream, self._inbox, self._release = call
        self._inbox.on_end = self._interrupt
        self._deframer = Deframer(inbound_bytes_max + ENVELOPE_BYTES)
        self._violated = violated
        self._compress = compress
        self._torn = False
        self._writing = trio.Lock()
        self._write_scope: trio.CancelScope | None = None

    # --- the port ------------------------------------------------------------------------------

    async def send(self, frames: Sequence[Frame]) -> None:
        """See `Link.send`. Raises Permanent, with nothing sent, for a frame that cannot travel."""
        await trio.lowlevel.checkpoint()
        chunks = list(self._chunks(frames))
        async with self._writing:
            for chunk in chunks:
                await self._write(chunk)

    async def receive(self) -> Sequence[Frame]:
        """See `Link.receive`."""
        await trio.lowlevel.checkpoint()
        while True:
            if self.failure is not None:
                raise self.failure
            messages = self._arrived()
            frames = self._decoded(messages)
            if frames:
                return frames
            if messages or self.failure is not None:
                continue
            if self._inbox.ended:
                raise self._end()
            await self._inbox.wait()

    def size(self, frame: Frame) -> int:
        """See `Link.size`."""
        return self.codec.size(frame)

    # --- writing -------------------------------------------------------------------------------

    def _chunks(self, frames: Sequence[Frame]) -> Iterator[bytes]:
        parts: list[bytes] = []
        size = 0
        for one in frames:
            parts.append(frame(self.codec.encode(one), compress=self._compress))
            size += len(parts[-1])
            if size >= _WRITE_BYTES:
                yield b"".join(parts)
                parts, size = [], 0
        if parts:
            yield b"".join(parts)

    async def _write(self, data: bytes) -> None:
        self._refuse_if_over()
        try:
            with trio.CancelScope() as self._write_scope:
                await self._room.run_aio_coroutine(self._stream.send_data(data))
                return
        except H2Error as error:
            self._torn = True
            raise self._end() from error
        except BaseException:
            self._torn = True
            raise
        finally:
            self._write_scope = None
        self._torn = True
        raise self._end()

    def _refuse_if_over(self) -> None:
        if self.failure is not None:
            raise self.failure
        if self._torn or not self._stream.closable or self._is_over():
            raise self._end()

    def _is_over(self) -> bool:
        """Whether the peer takes no more."""
        return bool(self._inbox.error)

    def _interrupt(self) -> None:
        """The stream has ended: nobody will open the window for a writer any more."""
        if self._write_scope is not None and self._is_over():
            self._write_scope.cancel()

    # --- reading -------------------------------------------------------------------------------

    def _arrived(self) -> list[bytes]:
        try:
            messages = self._deframer.take(_READ_MESSAGES)
            if not messages and self._take():
                messages = self._deframer.take(_READ_MESSAGES)
        except StreamFault as fault:
            self._fail(fault.status, str(fault))
            return []
        return messages

    def _decoded(self, messages: list[bytes]) -> list[Frame]:
        frames: list[Frame] = []
        for message in messages:
            try:
                frames += self.codec.decode(message)
            except MalformedWire as fault:
                self._fail("INTERNAL", str(fault))
                break
        return frames

    def _take(self) -> bool:
        """Move what arrived into the deframer; whether there was anything."""
        data, size = self._inbox.take()
        self._http2.acknowledge(self._stream.id, size)
        told = dict(self._stream.headers or ())
        if told.get(":status", "200") != "200":
            return False  # a page of some gateway; its status says enough
        self._deframer.encoding = told.get("grpc-encoding", "identity")
        self._deframer.feed(data)
        return bool(data)

    def _fail(self, status: str, reason: str) -> None:
        """Take nothing more from this peer; what came before is still handed out."""
        self.failure = LinkClosed(reason, status)
        self._violated(status, reason)

    # --- the end -------------------------------------------------------------------------------

    def _end(self) -> LinkClosed:
        """How the stream ended, as far as the peer told."""
        if self._torn and not self._inbox.ended:
            return LinkClosed("a write was interrupted", "CANCELLED")
        return LinkClosed(self._inbox.error or "the connection is closed", "UNAVAILABLE")

    def _let_go(self, code: ErrorCodes) -> None:
        """Reset what is still open of the stream and forget it. Harmless when repeated."""
        if self._stream.closable:
            self._stream.reset_nowait(code)
        release, self._release = self._release, _nothing
        release()


async def call(room: Room, http2: Http2, authority: str, scheme: str, *, compress: bool) -> Call:
    """Begin the one call that an edge makes.

    Raises:
        Retryable: the connection is closed already.
    """
    headers = [
        (":method", "POST"),
        (":scheme", scheme),
        (":path", PATH),
        (":authority", authority),
        ("te", "trailers"),
        ("content-type", CONTENT_TYPE),
        ("user-agent", f"edge-appliance/{__version__}"),
        ("grpc-accept-encoding", "identity,gzip"),
    ]
    if compress:
        headers.append(("grpc-encoding", "gzip"))
    if not http2.is_open:
        raise Retryable(f"{http2.peer} closed the connection at once")
    try:
        begun: Call = await room.run_aio_coroutine(http2.call_aio(headers))
    except H2Error as error:
        raise Retryable(f"{http2.peer} takes no call: {error}") from error
    return begun


class ClientLink(GrpcLink):
    """The edge's end. compress: send gzip, which the call has announced."""

    codec = EDGE

    async def close(self, wait_s: float) -> None:
        """End our side and give the server that long to end its own."""
        with trio.move_on_after(wait_s):
            if not self._torn and not self._inbox.ended and self._stream.closable:
                await self._end_our_side()
                while not self._inbox.ended:
                    _data, size = self._inbox.take()
                    self._http2.acknowledge(self._stream.id, size)
                    await self._inbox.wait()
        self._let_go(ErrorCodes.CANCEL)

    async def _end_our_side(self) -> None:
        try:
            await self._room.run_aio_coroutine(self._stream.end())
        except H2Error:
            pass  # the server was quicker, and the inbox says so

    def _is_over(self) -> bool:
        # A server that has ended its side has answered the call; it hears nothing any more.
        return self._inbox.ended

    def _end(self) -> LinkClosed:
        told = dict(self._stream.trailers or self._stream.headers or ())
        if "grpc-status" in told:
            reason = decode_grpc_message(told.get("grpc-message", ""))
            status = _status_name(told["grpc-status"])
            return LinkClosed(reason or "the server ended the stream", status)
        http = told.get(":status", "200")
        if http != "200":
            return LinkClosed(f"HTTP status {http}", _HTTP_STATUS.get(http, "UNAVAILABLE"))
        if self._inbox.orderly:
            return LinkClosed("the server ended the stream without a status", "UNKNOWN")
        return super()._end()


class ServerLink(GrpcLink):
    """The cloud's end."""

    codec = CLOUD

    @property
    def refusal(self) -> str:
        """Why the request is not for us, or nothing."""
        asked = dict(self._stream.headers or ())
        if asked.get(":path") != PATH or asked.get(":method") != "POST":
            return "no such method"
        if asked.get("content-type", "").partition("+")[0].partition(";")[0] != CONTENT_TYPE:
            return "not a gRPC request"
        return ""

    async def accept(self) -> None:
        """Answer the request's headers."""
        answer = [(":status", "200"), ("content-type", CONTENT_TYPE)]
        await self._headers([*answer, ("grpc-accept-encoding", "identity,gzip")], end=False)

    async def finish(self, status: str, reason: str) -> None:
        """Tell the client how its stream ended."""
        trailers = [("grpc-status", str(_status(status).value))]
        if status != "OK" and reason:
            trailers.append(("grpc-message", encode_grpc_message(reason)))
        await self._headers(trailers, end=True)

    def let_go(self) -> None:
        """The stream is over; a client that still sends is told to stop."""
        self._let_go(ErrorCodes.NO_ERROR)

    async def _headers(self, headers: Headers, *, end: bool) -> None:
        if not self._stream.closable:
            return
        try:
            await self._room.run_aio_coroutine(self._stream.send_headers(headers, end))
        except H2Error:
            pass  # the client is gone, and its inbox says so

    def _end(self) -> LinkClosed:
        if self._inbox.orderly:
            return LinkClosed("the client ended the stream", "OK")
        return super()._end()


def _status(name: str) -> Status:
    return Status.__members__.get(name, Status.UNKNOWN)


def _status_name(number: str) -> str:
    try:
        return Status(int(number)).name
    except ValueError:
        return "UNKNOWN"


def _nothing() -> None:
    """The stream has been released already."""
