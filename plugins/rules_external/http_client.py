"""One HTTP/1.1 request on Trio: h11 speaks, this carries the bytes.

Limits: a connection per request, 10 s to connect, the response's body bounded by the caller. No
redirects, no cookies, no compression is asked for.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from urllib.parse import SplitResult, urlsplit

import h11
import msgspec
import trio

CONNECT_TIMEOUT_S = 10.0
CHUNK_BYTES = 65_536


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
) -> Response:
    """Send one request and read its response. Raises HttpFailed. Cancelled: the stream closes."""
    parts = _parts(url)
    try:
        stream = await _open(parts, tls)
        async with stream:
            return await _exchange(stream, parts, method, headers, body, body_bytes_max)
    except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
        raise HttpFailed(f"{parts.hostname}: {error}") from None
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


async def _open(parts: SplitResult, tls: Callable[[], ssl.SSLContext]) -> trio.abc.Stream:
    host = parts.hostname or ""
    with trio.move_on_after(CONNECT_TIMEOUT_S):
        if parts.scheme == "http":
            return await trio.open_tcp_stream(host, parts.port or 80)
        stream = await trio.open_ssl_over_tcp_stream(
            host, parts.port or 443, ssl_context=tls(), https_compatible=True
        )
        await stream.do_handshake()
        return stream
    raise HttpFailed(f"{host} did not answer within {CONNECT_TIMEOUT_S:g} s")


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
