"""The front door: the one HTTP port for devices, API and pages.

Device routes (`mount`) are answered straight from the parser; everything else is an ASGI call.
A connection is one task that reads, answers, and reads again, so answers keep the order of their
requests and a slow reader slows only itself.

Stop: no new connections; idle ones end at once; requests in flight have `stop_s_max`. That time
passes inside a shielded scope, because a request that was accepted deserves its answer even when
we ourselves are being cancelled.

Limits: `connections_max` tasks; per connection one read (64 KiB) plus one body; all bodies
together `bodies_bytes_max`.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable

import trio

from appliance.extension.ports import HttpHandler, RequestHandler
from appliance.kernel.events import Emit
from appliance.model.errors import ConfigError, Retryable
from appliance.web.config import WebConfig
from appliance.web.connection import Connection, Shared
from appliance.web.events import ConnectionRefused, WebStarted
from appliance.web.http import BodyBudget

_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\n"
    b"retry-after: 5\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)


class Door:
    """The HTTP port. A Component and an HttpMount.

    app: the ASGI application for what no mounted prefix takes. port: the port bound, once
    `run` has said `started()`.
    """

    def __init__(self, config: WebConfig, app: RequestHandler, emit: Emit) -> None:
        self.port = 0
        self._config = config
        self._emit = emit
        self._routes: dict[str, HttpHandler | None] = {}
        self._budget = BodyBudget(config.bodies_bytes_max)
        self._connections: set[Connection] = set()
        self._shared = Shared(config, self._budget, self._routes, app, emit)
        self._stopping = trio.Event()
        limits = (config.idle_s_max, config.head_s_max, config.body_s_max)
        self._look_s = min(1.0, min(limits) / 10)

    @property
    def connections(self) -> int:
        """Open connections now."""
        return len(self._connections)

    def mount(self, prefix: str, handler: HttpHandler) -> Callable[[], None]:
        """See HttpMount. A prefix can have one handler at a time; ValueError otherwise."""
        if self._routes.get(prefix) is not None:
            raise ValueError(f"{prefix} is already mounted")
        self._routes[prefix] = handler

        def unmount() -> None:
            self._routes[prefix] = None

        return unmount

    def reserve(self, prefix: str) -> None:
        """See HttpMount."""
        self._routes.setdefault(prefix, None)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen and serve until cancelled, then let requests in flight finish.

        Raises ConfigError for an unusable certificate, Retryable when the port is taken: the
        other process may go.
        """
        listeners = await self._open()
        async with trio.open_nursery() as nursery:
            connections = await nursery.start(self._hold_connections)
            self._announce(listeners)
            task_status.started()
            try:
                await trio.serve_listeners(self._serve, listeners, handler_nursery=connections)
            finally:
                self._stop()

    async def _open(self) -> list[trio.SocketListener]:
        context = _tls_context(self._config)
        self._shared.tls = context
        try:
            return await trio.open_tcp_listeners(self._config.port, host=self._config.host or None)
        except OSError as error:
            raise Retryable(
                f"cannot listen on {self._config.host or '*'}:{self._config.port}: {error}",
                hint="another process has the port, or it needs a privilege; see [web] port",
            ) from error

    def _announce(self, listeners: list[trio.SocketListener]) -> None:
        self.port = listeners[0].socket.getsockname()[1]
        self._shared.server = (self._config.host or "localhost", self.port)
        scheme = "https" if self._shared.tls else "http"
        self._emit(WebStarted(address=f"{scheme}://{self._config.host or '*'}:{self.port}"))

    async def _hold_connections(self, *, task_status: trio.TaskStatus[trio.Nursery]) -> None:
        with trio.CancelScope(shield=True) as scope:
            async with trio.open_nursery() as nursery:
                task_status.started(nursery)
                while not self._stopping.is_set():
                    with trio.move_on_after(self._look_s):
                        await self._stopping.wait()
                    self._expire_slow_clients()
                scope.deadline = trio.current_time() + self._config.stop_s_max

    def _expire_slow_clients(self) -> None:
        now = trio.current_time()
        for connection in list(self._connections):
            if connection.due <= now:
                connection.expire()

    def _stop(self) -> None:
        self._stopping.set()
        for connection in self._connections:
            connection.finish()

    async def _serve(self, stream: trio.SocketStream) -> None:
        peer = _peer(stream)
        if self._stopping.is_set() or len(self._connections) >= self._config.connections_max:
            await self._turn_away(stream, peer)
            return
        connection = Connection(self._shared, stream, peer)
        self._connections.add(connection)
        try:
            await connection.serve()
        finally:
            self._connections.discard(connection)

    async def _turn_away(self, stream: trio.SocketStream, peer: str) -> None:
        self._emit(ConnectionRefused(peer=peer, connections=len(self._connections)))
        async with stream:
            if self._shared.tls is not None:
                return  # a handshake for a refusal would cost more than the refusal saves
            with trio.move_on_after(1.0):
                try:
                    await stream.send_all(_BUSY)
                except trio.BrokenResourceError:
                    pass


def _peer(stream: trio.SocketStream) -> str:
    try:
        return str(stream.socket.getpeername()[0])
    except OSError:
        return "?"  # it has hung up already


def _tls_context(config: WebConfig) -> ssl.SSLContext | None:
    if not config.tls_certificate:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(config.tls_certificate, config.tls_key or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"[web] tls_certificate {config.tls_certificate}: {error}",
            hint="give PEM files that this user may read: certificate chain, and private key",
        ) from error
    return context
