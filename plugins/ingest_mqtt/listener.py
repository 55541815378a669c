"""The MQTT port: accepts connections, keeps one session per device.

Limits: `connections_max` open connections (an idle one costs about 13 kB); a connection beyond
is closed at once. One session per device, as ThingsBoard's default has it: a device that connects
again while its old connection is open takes over, the old one is told (0x8E) and closed.
"""

from __future__ import annotations

import ssl
from functools import partial

import trio

from appliance.extension.hookspecs import Context
from appliance.extension.ports import Gate
from appliance.model.errors import ConfigError, Retryable
from appliance.model.ids import EntityId
from plugins.ingest_mqtt import events
from plugins.ingest_mqtt.config import MqttConfig
from plugins.ingest_mqtt.connection import Connection, Shared

BACKLOG = 1024
"""Connections that may wait to be accepted: a site's devices all return after a power cut."""


class MqttListener:
    """A `Component`: devices' MQTT port, and a TLS port if there is a certificate.

    ports: what was bound, plain first; filled when `run` has started.
    """

    def __init__(self, config: MqttConfig, context: Context, gate: Gate) -> None:
        self._config = config
        self._context = context
        self._sessions: dict[EntityId, Connection] = {}
        self._shared = Shared(config, context, gate, self._enter, self._leave)
        self._open = 0
        self.ports: list[int] = []

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; see `Component`.

        Raises ConfigError for a certificate that cannot be used, Retryable for a port that cannot
        be bound. Cancelled: what is not acknowledged stays so; connections are closed.
        """
        tls = self._tls_context()
        plain = await self._bind(self._config.port)
        secure = await self._bind(self._config.tls_port) if tls else []
        listeners = plain + secure
        self.ports = [listener.socket.getsockname()[1] for listener in listeners]
        self._tell(plain, "plain")
        self._tell(secure, "TLS")
        async with trio.open_nursery() as nursery:
            await nursery.start(trio.serve_listeners, self._serve_plain, plain)
            if tls:
                await nursery.start(trio.serve_listeners, partial(self._serve_tls, tls), secure)
            task_status.started()

    def _tls_context(self) -> ssl.SSLContext | None:
        config = self._config
        if not config.tls_cert_file:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(config.tls_cert_file, config.tls_key_file or None)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"ingest.mqtt.tls_cert_file: {config.tls_cert_file} cannot be used: {error}",
                hint="give a PEM certificate chain and its key, readable by the service",
            ) from error
        return context

    async def _bind(self, port: int) -> list[trio.SocketListener]:
        host = self._config.host
        try:
            return await trio.open_tcp_listeners(port, host=host, backlog=BACKLOG)
        except OSError as error:
            raise Retryable(
                f"cannot listen on {host}:{port}: {error}",
                hint="another program may have the port; see ingest.mqtt.port",
            ) from error

    def _tell(self, listeners: list[trio.SocketListener], security: str) -> None:
        for listener in listeners:
            address = _shown(listener.socket.getsockname())
            self._context.emit(events.MqttListening(address=address, security=security))

    async def _serve_plain(self, stream: trio.SocketStream) -> None:
        await self.serve_stream(stream, _peer(stream))

    async def _serve_tls(self, tls: ssl.SSLContext, stream: trio.SocketStream) -> None:
        peer = _peer(stream)
        secured = trio.SSLStream(stream, tls, server_side=True, https_compatible=True)
        try:
            with trio.fail_after(self._config.connect_timeout_s):
                await secured.do_handshake()
        except (trio.BrokenResourceError, trio.TooSlowError) as error:
            reason = f"no TLS handshake: {error.__cause__ or 'it took too long'}"
            refused = events.MqttProtocolViolated(device="a client", peer=peer, reason=reason)
            self._context.emit(refused)
            await trio.aclose_forcefully(stream)
            return
        await self.serve_stream(secured, peer)

    async def serve_stream(self, stream: trio.abc.Stream, peer: str) -> None:
        """Serve one connection until it ends, however its stream was made."""
        limit = self._config.connections_max
        if self._open >= limit:
            self._context.emit(events.MqttConnectionsFull(peer=peer, limit=limit))
            await trio.aclose_forcefully(stream)
            return
        self._open += 1
        try:
            await Connection(stream, peer, self._shared).run()
        except Exception as error:  # noqa: BLE001 - one connection must not end the others
            self._context.emit(events.MqttConnectionFailed(peer=peer, error=_told(error)))
        finally:
            self._open -= 1

    def _enter(self, connection: Connection) -> None:
        assert connection.device is not None  # called when it is proven
        older = self._sessions.get(connection.device.device)
        self._sessions[connection.device.device] = connection
        if older is not None and older is not connection:
            older.closed("taken over")

    def _leave(self, connection: Connection) -> None:
        device = connection.device
        if device is not None and self._sessions.get(device.device) is connection:
            del self._sessions[device.device]


def _told(error: Exception) -> str:
    """The error, or the first of a group."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


def _peer(stream: trio.SocketStream) -> str:
    try:
        return _shown(stream.socket.getpeername())
    except OSError:  # it is gone already; reading will say so
        return "?"


def _shown(address: tuple[str, int]) -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
