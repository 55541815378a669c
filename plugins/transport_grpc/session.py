"""The asyncio room: sockets become HTTP/2 connections here, and nowhere else is asyncio.

trio-asyncio runs an event loop inside a Trio task. A client's room lives as long as its
connection, a server's as long as it serves; whatever is left in a room is cancelled when it
closes, so nothing outlives its scope.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import trio
import trio_asyncio
from trio_asyncio import TrioEventLoop

from appliance.kernel.events import Emit
from appliance.model.errors import Retryable
from plugins.transport_grpc.events import RoomFailed
from plugins.transport_grpc.http2 import Http2

Room: TypeAlias = TrioEventLoop

CLOSE_S = 1.0
"""How long a closing connection may take to get its last bytes out."""


@asynccontextmanager
async def open_room(emit: Emit) -> AsyncIterator[Room]:
    """An asyncio event loop.

    Errors in its callbacks are told, not raised: asyncio has closed the connection they belong
    to, and the others in the room go on. What the body raises comes out as it was, not in the
    groups of the nurseries that make the room.
    """

    def failed(_loop: object, context: dict[str, Any]) -> None:
        error = context.get("exception")
        emit(RoomFailed(error=repr(error) if error is not None else context.get("message", "")))

    try:
        async with trio_asyncio.open_loop() as room:
            room.set_exception_handler(failed)
            yield room
    except BaseExceptionGroup as group:
        error = _only(group)
        raise error from error.__cause__


def _only(error: BaseException) -> BaseException:
    """The error inside groups of one."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


async def connected(
    room: Room,
    sock: socket.socket,
    tls: ssl.SSLContext | None,
    host: str,
    wait_s: float,
) -> Http2:
    """HTTP/2 over a socket that we connected.

    Raises:
        Retryable: TLS failed.
    """
    http2 = Http2(peer_name(sock), client=True)
    names = {"server_hostname": host, "ssl_handshake_timeout": wait_s} if tls else {}

    async def open_aio() -> None:
        await room.create_connection(lambda: http2, sock=sock, ssl=tls, **names)

    try:
        await _hand_over(room, sock, open_aio)
    except ssl.SSLCertVerificationError as error:
        raise Retryable(
            f"TLS: {host} is not trusted: {error.verify_message}",
            hint="check transport.tls_ca and that transport.host is the certificate's name",
        ) from error
    except OSError as error:
        raise Retryable(f"TLS with {host} failed: {error}") from error
    return http2


async def accepted(
    room: Room, sock: socket.socket, tls: ssl.SSLContext | None, wait_s: float
) -> Http2:
    """HTTP/2 over a socket that a peer connected.

    Raises:
        OSError: TLS failed.
    """
    http2 = Http2(peer_name(sock), client=False)
    wait = {"ssl_handshake_timeout": wait_s} if tls else {}

    async def open_aio() -> None:
        await room.connect_accepted_socket(lambda: http2, sock, ssl=tls, **wait)

    await _hand_over(room, sock, open_aio)
    return http2


async def _hand_over(
    room: Room, sock: socket.socket, open_aio: Callable[[], Awaitable[None]]
) -> None:
    """Run open_aio, which owns the socket once it has begun; before that it is ours to close."""
    begun = False

    async def begin_aio() -> None:
        nonlocal begun
        begun = True
        await open_aio()

    try:
        await room.run_aio_coroutine(begin_aio())
    finally:
        if not begun:
            sock.close()


async def hang_up(http2: Http2, reason: str) -> None:
    """Close the connection within `CLOSE_S`, by force if it must be. Not cancelled half-way."""
    with trio.CancelScope(shield=True):
        http2.close(reason)
        with trio.move_on_after(CLOSE_S):
            await http2.lost.wait()
        if not http2.lost.is_set():
            http2.abort(reason)
            await http2.lost.wait()


def peer_name(sock: socket.socket) -> str:
    """The other side's address, for people."""
    try:
        host, port, *_ = sock.getpeername()
    except (OSError, ValueError):
        return "unknown"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
