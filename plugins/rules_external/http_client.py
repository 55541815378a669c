"""One HTTP/1.1 request on Trio: h11 speaks, this carries the bytes.

Limits: a connection per request, 10 s to connect, the response's body bounded by the caller. No
redirects, no cookies, no compression is asked for. A proxy is asked for a tunnel (CONNECT) to plain
and to encrypted servers alike, as the reference does.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from urllib.parse import SplitResult, urlsplit

import h11
import msgspec
import trio

from plugins.rules_external.clients import reason_of

CONNECT_TIMEOUT_S = 10.0
CHUNK_BYTES = 65_536


PROXY_ANSWER_BYTES_MAX = 16_384


class Proxy(msgspec.Struct, frozen=True):
    """An HTTP proxy. authorization: the value of its header, or None."""

    host: str
    port: int
    authorization: str | None = None


class HttpFailed(Exception):
    """No response: the text says what failed."""


class Response(msgspec.Struct, frozen=True):
    """headers: as they came, names in their own case."""

    status: int
    reason: str
    headers: Sequence[tuple[str, str]]
    body: bytes


async def request(
    method: str,
    url: str,
    headers: Sequence[tuple[str, str]],
    body: bytes,
    *,
    tls: Callable[[], ssl.SSLContext],
    body_bytes_max: int,
    proxy: Proxy | None = None,
) -> Response:
    """Send one request and read its response. Raises HttpFailed. Cancelled: the stream closes."""
    parts = _parts(url)
    try:
        stream = await _open(parts, tls, proxy)
        async with stream:
            return await _exchange(stream, parts, method, headers, body, body_bytes_max)
    except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
        raise HttpFailed(f"{parts.hostname}: {reason_of(error)}") from None
    except h11.ProtocolError as error:
        raise HttpFailed(f"{parts.hostname}: {error}") from None


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises for a port that is no number
    except ValueError as error:
        raise HttpFailed(f"bad URL {url!r}: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise HttpFailed(f"bad URL {url!r}: a scheme and a host are needed")
    return parts


async def _open(
    parts: SplitResult, tls: Callable[[], ssl.SSLContext], proxy: Proxy | None
) -> trio.abc.Stream:
    host = parts.hostname or ""
    port = parts.port or (80 if parts.scheme == "http" else 443)
    with trio.move_on_after(CONNECT_TIMEOUT_S):
        stream = await (_tunnel(proxy, host, port) if proxy else trio.open_tcp_stream(host, port))
        if parts.scheme == "http":
            return stream
        secured = trio.SSLStream(stream, tls(), server_hostname=host, https_compatible=True)
        try:
            await secured.do_handshake()
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return secured
    raise HttpFailed(f"{host} did not answer within {CONNECT_TIMEOUT_S:g} s")


async def _tunnel(proxy: Proxy, host: str, port: int) -> trio.SocketStream:
    """A connection to the server through the proxy."""
    stream = await trio.open_tcp_stream(proxy.host, proxy.port)
    try:
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        head = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"
        if proxy.authorization is not None:
            head += f"Proxy-Authorization: {proxy.authorization}\r\n"
        await stream.send_all(f"{head}\r\n".encode())
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):  # not a byte of the tunnel's may be taken
            byte = await stream.receive_some(1)
            if not byte or len(answer) > PROXY_ANSWER_BYTES_MAX:
                raise HttpFailed(f"the proxy {proxy.host} closed the connection")
            answer += byte
        status = answer.split(b"\r\n")[0].decode("latin-1")
        if status.split(" ")[1:2] != ["200"]:
            raise HttpFailed(f"the proxy {proxy.host} answered {status}")
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return stream


async def _exchange(
    stream: trio.abc.Stream,
    parts: SplitResult,
    method: str,
    headers: Sequence[tuple[str, str]],
    body: bytes,
    body_bytes_max: int,
) -> Response:
    connection = h11.Connection(h11.CLIENT)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    own = [("Host", parts.netloc.rpartition("@")[2]), ("Connection", "close")]
    if body:
        own.append(("Content-Length", str(len(body))))
    taken = {name.lower() for name, _ in own} | {"transfer-encoding"}
    sent = own + [pair for pair in headers if pair[0].lower() not in taken]
    encoded = [(name.encode(), text.encode()) for name, text in sent]
    head = h11.Request(method=method, target=target, headers=encoded)
    data = connection.send(head) or b""
    if body:
        data += connection.send(h11.Data(data=body)) or b""
    data += connection.send(h11.EndOfMessage()) or b""
    await stream.send_all(data)
    return await _receive(stream, connection, body_bytes_max)


async def _receive(
    stream: trio.abc.Stream, connection: h11.Connection, body_bytes_max: int
) -> Response:
    response: h11.Response | None = None
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(bytes(await stream.receive_some(CHUNK_BYTES)))
        elif isinstance(event, h11.Response):
            response = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > body_bytes_max:
                raise HttpFailed(f"the response is larger than {body_bytes_max} bytes")
        elif isinstance(event, h11.EndOfMessage) and response is not None:
            headers = [(n.decode(), v.decode("latin-1")) for n, v in response.headers.raw_items()]
            reason = response.reason.decode("latin-1")
            return Response(response.status_code, reason, headers, bytes(body))
        elif isinstance(event, h11.ConnectionClosed):
            raise HttpFailed("the connection was closed without a response")
