"""HTTP/1.1 without IO: bytes in, whole requests out; answers in, bytes out.

Limits: a head of `head_bytes_max`, a body as `WebConfig.body_bytes_max` says, all bodies together
`bodies_bytes_max`. Every limit is checked before the bytes are kept, for chunked bodies too.
A request is given out only when it is whole, so a handler never waits for a slow client. Requests
sent back to back wait in `RequestReader.requests`; one read is 64 KiB, which bounds their number.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from http import HTTPStatus

import httptools
import msgspec

from appliance.extension.ports import HttpRequest, HttpResponse
from appliance.web.config import WebConfig

_UPGRADE_HEADERS = (b"upgrade", b"connection", b"http2-settings")
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Refused(Exception):
    """The request cannot be taken; the connection ends after the answer."""

    def __init__(self, response: HttpResponse) -> None:
        super().__init__(response.status)
        self.response = response


class Incoming(msgspec.Struct, frozen=True):
    """A whole request and what its connection needs to know.

    chunkable: the client understands chunks (HTTP/1.1). rest: for a WebSocket upgrade, what the
    client sent behind its request; otherwise None.
    """

    request: HttpRequest
    keep_alive: bool
    chunkable: bool
    rest: bytes | None = None


class BodyBudget:
    """Bytes of all bodies that are being received or worked on."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.used = 0

    def take(self, size: int) -> bool:
        """Reserve size bytes; False when they do not fit."""
        if self.used + size > self.bytes_max:
            return False
        self.used += size
        return True

    def give_back(self, size: int) -> None:
        """Return what `take` reserved."""
        self.used -= size


class RequestReader:
    """Parses the requests of one connection.

    in_head, in_body: a request has begun and is not whole. wants_continue: the client waits for
    `CONTINUE` before it sends its body. A request's body stays in the budget until whoever takes
    it from `requests` gives it back.
    """

    def __init__(
        self,
        config: WebConfig,
        budget: BodyBudget,
        peer: str,
        wait_closed: Callable[[], Awaitable[None]],
    ) -> None:
        self.requests: deque[Incoming] = deque()
        self.wants_continue = False
        self.in_head = False
        self.in_body = False
        self._config = config
        self._budget = budget
        self._peer = peer
        self._wait_closed = wait_closed
        self._refusal: Refused | None = None
        self._body_size = 0
        self._parser = httptools.HttpRequestParser(self)
        self._reset()

    def feed(self, data: bytes) -> None:
        """Take bytes of the stream. Raises Refused; then nothing more may be fed."""
        while data:
            self._fed += len(data)
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = self._after_upgrade(data[upgrade.args[0] :])
            except httptools.HttpParserError as error:
                raise self._refusal or _refuse(400, f"Not HTTP: {error}") from error
            else:
                break
        if self.in_head and self._fed > self._config.head_bytes_max:
            raise _refuse(431, "Request header is too large")

    def close(self) -> None:
        """The connection is gone: give back what unfinished and unanswered bodies hold."""
        waiting = sum(len(incoming.request.body) for incoming in self.requests)
        self._budget.give_back(self._body_size + waiting)
        self._body_size = 0
        self.requests.clear()

    def _reset(self) -> None:
        self._fed = 0
        self._head_size = 0
        self._body_size = 0
        self._body_max = 0
        self._url = b""
        self._path = ""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []

    def _after_upgrade(self, rest: bytes) -> bytes:
        """Give a WebSocket request on; return any other request without its offer, to be read.

        Some clients (java.net.http) offer h2c on every first request; a server that does not
        want it answers as if nothing had been said.
        """
        incoming = self.requests.pop()
        request = incoming.request
        if any(n == b"upgrade" and v.lower() == b"websocket" for n, v in request.headers):
            self.requests.append(msgspec.structs.replace(incoming, rest=rest))
            return b""
        self._parser = httptools.HttpRequestParser(self)
        kept = [h for h in request.headers if h[0] not in _UPGRADE_HEADERS]
        target = request.path + ("?" + request.query if request.query else "")
        head = b"%s %s HTTP/1.1\r\n" % (request.method.encode(), target.encode("latin-1"))
        return head + b"".join(b"%s: %s\r\n" % header for header in kept) + b"\r\n" + rest

    # --- called by httptools -----------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._reset()
        self.in_head = True

    def on_url(self, part: bytes) -> None:
        self._count_head(len(part))
        self._url += part

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_head(len(name) + len(value) + 4)
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.in_head = False
        self.in_body = True
        self._path, self._query = _split(self._url)
        self._body_max = self._config.body_bytes_max(self._path)
        for name, value in self._headers:
            if name == b"content-length" and int(value) > self._body_max:
                self._refuse_size()
            elif name == b"expect" and value.lower() == b"100-continue":
                self.wants_continue = True

    def on_body(self, part: bytes) -> None:
        if self._body_size + len(part) > self._body_max:
            self._refuse_size()
        if not self._budget.take(len(part)):
            self._refuse(HttpResponse(503, headers=(("retry-after", "1"),)))
        self._body_size += len(part)
        self._body.append(part)

    def on_message_complete(self) -> None:
        self.in_body = self.wants_continue = False
        request = HttpRequest(
            method=self._parser.get_method().decode("ascii"),
            path=self._path,
            query=self._query,
            headers=self._headers,
            body=self._body[0] if len(self._body) == 1 else b"".join(self._body),
            peer=self._peer,
            wait_closed=self._wait_closed,
        )
        self._body_size = 0
        self._fed = 0
        chunkable = self._parser.get_http_version() == "1.1"
        self.requests.append(Incoming(request, self._parser.should_keep_alive(), chunkable))

    def _count_head(self, size: int) -> None:
        self._head_size += size
        if self._head_size > self._config.head_bytes_max:
            self._refuse(_text(431, "Request header is too large"))

    def _refuse_size(self) -> None:
        text = f"Payload size exceeds the limit of {self._body_max} bytes"
        body = msgspec.json.encode(text)
        self._refuse(HttpResponse(413, body, "application/json"))

    def _refuse(self, response: HttpResponse) -> None:
        # httptools wraps what a callback raises, so the reason is kept here as well.
        self._refusal = Refused(response)
        raise self._refusal


def encode_head(
    status: int, headers: list[tuple[str, str]], *, keep_alive: bool, now_s: float
) -> bytes:
    """Status line and headers, with the date; `connection: close` unless keep_alive."""
    lines = [_STATUS_LINES.get(status) or f"HTTP/1.1 {status} \r\n", _date_line(int(now_s))]
    lines += [f"{name}: {value}\r\n" for name, value in headers]
    lines.append("\r\n" if keep_alive else "connection: close\r\n\r\n")
    return "".join(lines).encode("latin-1")


def encode_response(
    response: HttpResponse, *, keep_alive: bool, now_s: float, head_only: bool = False
) -> bytes:
    """A whole answer as bytes."""
    headers = [("content-length", str(len(response.body)))]
    if response.content_type is not None:
        headers.append(("content-type", response.content_type))
    headers.extend(response.headers)
    head = encode_head(response.status, headers, keep_alive=keep_alive, now_s=now_s)
    return head if head_only else head + response.body


def _split(url: bytes) -> tuple[str, str]:
    if not url.startswith(b"/"):
        parsed = httptools.parse_url(url)
        url = (parsed.path or b"/") + (b"?" + parsed.query if parsed.query else b"")
    path, _, query = url.partition(b"#")[0].partition(b"?")
    return path.decode("latin-1"), query.decode("latin-1")


def _text(status: int, message: str) -> HttpResponse:
    return HttpResponse(status, message.encode(), "text/plain;charset=UTF-8")


def _refuse(status: int, message: str) -> Refused:
    return Refused(_text(status, message))


@functools.lru_cache(maxsize=4)
def _date_line(now_s: int) -> str:
    return f"date: {formatdate(now_s, usegmt=True)}\r\n"


_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus
}
