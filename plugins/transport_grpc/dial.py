"""From a configuration to a connected socket, on Trio: name, TCP, HTTP CONNECT proxy.

Every failure is Retryable and says which step failed, because "cannot connect" sends an operator
to the wrong door.
"""

from __future__ import annotations

import base64
import socket

import trio

from appliance.model.errors import Retryable
from plugins.transport_grpc.config import GrpcConfig

_PROXY_ANSWER_BYTES_MAX = 16_384
"""An HTTP answer's head is a few hundred bytes; what is longer is no proxy."""


async def dial(config: GrpcConfig) -> socket.socket:
    """A connected, non-blocking TCP socket to the server, through the proxy if there is one.

    Raises:
        Retryable: name, connect or proxy failed.
    """
    through_proxy = bool(config.proxy_host and config.proxy_port)
    if through_proxy:
        stream = await _open("the proxy", config.proxy_host, config.proxy_port)
    else:
        stream = await _open("the server", config.host, config.port)
    try:
        if through_proxy:
            await _ask_proxy(stream, config)
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return detached(stream)


def detached(stream: trio.SocketStream) -> socket.socket:
    """The stream's socket, no longer Trio's, for the asyncio room."""
    return socket.socket(fileno=stream.socket.detach())


def authority(host: str, port: int) -> str:
    """host:port as HTTP writes it, IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _open(what: str, host: str, port: int) -> trio.SocketStream:
    try:
        return await trio.open_tcp_stream(host, port)
    except socket.gaierror as error:
        raise Retryable(f"no address for {what} {host}: {error.strerror}") from error
    except OSError as error:
        where = authority(host, port)
        raise Retryable(f"cannot connect to {what} {where}: {_told(error)}") from error


def _told(error: BaseException) -> str:
    """The words for the first of the attempts, which Trio gathers in a group."""
    while isinstance(cause := error.__cause__, BaseExceptionGroup) and cause.exceptions:
        error = cause.exceptions[0]
    return error.args[1] if len(error.args) > 1 else str(error)


async def _ask_proxy(stream: trio.SocketStream, config: GrpcConfig) -> None:
    target = authority(config.host, config.port)
    request = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"
    if config.proxy_username:
        user = f"{config.proxy_username}:{config.proxy_password.reveal()}".encode()
        request += f"Proxy-Authorization: Basic {base64.b64encode(user).decode()}\r\n"
    where = f"the proxy {authority(config.proxy_host, config.proxy_port)}"
    try:
        await stream.send_all(f"{request}\r\n".encode())
        head = await _read_head(stream)
    except (OSError, trio.BrokenResourceError) as error:
        raise Retryable(f"{where} closed the connection") from error
    version, _, rest = head.partition(b"\r\n")[0].partition(b" ")
    if not version.startswith(b"HTTP/1.") or not rest.startswith(b"2"):
        said = rest.decode("latin-1").strip() or "nothing"
        raise Retryable(f"{where} will not connect to {target}: it said {said}")


async def _read_head(stream: trio.SocketStream) -> bytes:
    """The answer up to its empty line and not one byte more: the server may speak right after."""
    head = b""
    while len(head) < _PROXY_ANSWER_BYTES_MAX:
        ahead = await stream.socket.recv(_PROXY_ANSWER_BYTES_MAX, socket.MSG_PEEK)
        if not ahead:
            return b""
        end = (head + ahead).find(b"\r\n\r\n")
        size = len(ahead) if end < 0 else end + 4 - len(head)
        head += await stream.socket.recv(size)
        if end >= 0:
            return head
    return b""
