"""The transport of both roles: `connect` for an edge, `serve` for a cloud."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

import trio

from appliance.extension.ports import Link, LinkClosed
from appliance.kernel.events import Emit
from appliance.model.errors import Retryable
from plugins.transport_grpc.config import GrpcConfig
from plugins.transport_grpc.dial import authority, detached, dial
from plugins.transport_grpc.events import (
    ConnectionRefused,
    LinkOpened,
    PeerSilent,
    ProtocolViolated,
)
from plugins.transport_grpc.http2 import Http2
from plugins.transport_grpc.link import ClientLink, GrpcLink, ServerLink, Violated, call
from plugins.transport_grpc.session import (
    CLOSE_S,
    Room,
    accepted,
    connected,
    hang_up,
    open_room,
    peer_name,
)
from plugins.transport_grpc.tls import client_context, server_context

Handle = Callable[[Link], Any]


class GrpcTransport:
    """gRPC as a ThingsBoard edge and server speak it (spec/edge-protocol.md §1)."""

    def __init__(self, config: GrpcConfig, emit: Emit) -> None:
        self._config = config
        self._emit = emit

    # --- the edge's side -----------------------------------------------------------------------

    def connect(self) -> AbstractAsyncContextManager[Link]:
        """See `Transport.connect`."""
        return self._connect()

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[Link]:
        config = self._config
        tls = client_context(config)
        async with open_room(self._emit) as room:
            http2, link = await self._open(room, tls)
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._keep_alive, http2)
                    self._emit(LinkOpened(peer=link.peer))
                    yield link
                    nursery.cancel_scope.cancel()
            finally:
                with trio.CancelScope(shield=True):
                    await link.close(CLOSE_S)
                await hang_up(http2, "closed by us")

    async def _open(self, room: Room, tls: ssl.SSLContext | None) -> tuple[Http2, ClientLink]:
        config = self._config
        where = authority(config.host, config.port)
        with trio.move_on_after(config.connect_s_max):
            sock = await dial(config)
            http2 = await connected(room, sock, tls, config.host, config.connect_s_max)
            try:
                scheme = "https" if tls else "http"
                begun = await call(room, http2, where, scheme, compress=config.compress)
            except BaseException:
                await hang_up(http2, "not opened")
                raise
            limits = (config.inbound_bytes_max, self._violated(http2))
            return http2, ClientLink(room, http2, begun, *limits, compress=config.compress)
        raise Retryable(f"cannot connect to {where} within {config.connect_s_max:g} s")

    # --- the cloud's side ----------------------------------------------------------------------

    async def serve(
        self,
        handle: Handle,
        *,
        task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """See `Transport.serve`."""
        config = self._config
        tls = server_context(config)
        listeners = await trio.open_tcp_listeners(config.port, host=config.listen or None)
        async with open_room(self._emit) as room, trio.open_nursery() as nursery:
            served = _Served(room, tls, handle)
            serve = partial(self._serve_connection, served)
            await nursery.start(partial(trio.serve_listeners, serve, listeners))
            task_status.started(listeners[0].socket.getsockname()[1])

    async def _serve_connection(self, served: _Served, stream: trio.SocketStream) -> None:
        sock = detached(stream)
        peer = peer_name(sock)
        if served.connections >= self._config.connections_max:
            sock.close()
            self._emit(ConnectionRefused(peer=peer, reason="too many connections"))
            return
        served.connections += 1
        try:
            http2 = await accepted(served.room, sock, served.tls, self._config.connect_s_max)
        except OSError as error:
            self._emit(ConnectionRefused(peer=peer, reason=str(error)))
        else:
            try:
                await self._serve_streams(served, http2)
            finally:
                await hang_up(http2, "the server ends the connection")
        finally:
            served.connections -= 1

    async def _serve_streams(self, served: _Served, http2: Http2) -> None:
        async with trio.open_nursery() as handlers, trio.open_nursery() as upkeep:
            upkeep.start_soon(self._keep_alive, http2)
            limits = (self._config.inbound_bytes_max, self._violated(http2))
            async for accepted_call in http2.accepting.calls:
                link = ServerLink(served.room, http2, accepted_call, *limits)
                handlers.start_soon(self._serve_stream, link, served.handle)
            upkeep.cancel_scope.cancel()

    async def _serve_stream(self, link: ServerLink, handle: Handle) -> None:
        end = ("UNAVAILABLE", "the server stops")
        try:
            await link.accept()
            if link.refusal:
                end = ("UNIMPLEMENTED", link.refusal)
                self._emit(ConnectionRefused(peer=link.peer, reason=link.refusal))
            else:
                self._emit(LinkOpened(peer=link.peer))
                end = await _handled(link, handle)
        finally:
            with trio.move_on_after(CLOSE_S, shield=True):
                await link.finish(*end)
            link.let_go()

    # --- both ----------------------------------------------------------------------------------

    async def _keep_alive(self, http2: Http2) -> None:
        config = self._config
        await http2.keep_alive(config.keepalive_s, config.keepalive_wait_s, self._silent)

    def _silent(self, peer: str, silent_s: float) -> None:
        self._emit(PeerSilent(peer=peer, silent_s=silent_s))

    def _violated(self, http2: Http2) -> Violated:
        def violated(status: str, reason: str) -> None:
            self._emit(ProtocolViolated(peer=http2.peer, status=status, reason=reason))

        return violated


class _Served:
    """What the connections of one server share."""

    def __init__(self, room: Room, tls: ssl.SSLContext | None, handle: Handle) -> None:
        self.room = room
        self.tls = tls
        self.handle = handle
        self.connections = 0


async def _handled(link: GrpcLink, handle: Handle) -> tuple[str, str]:
    """Run the handler; the stream's status and its reason."""
    try:
        await handle(link)
    except LinkClosed as closed:
        return closed.status or "UNKNOWN", closed.args[0]
    if link.failure is not None:
        return link.failure.status, link.failure.args[0]
    return "OK", ""
