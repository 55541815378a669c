"""One request of ours as one ASGI call (ASGI 3.0, HTTP).

The body is whole before the application is called, so `receive` gives it in one piece and then
waits for the client to hang up. The answer goes out as the application sends it: with the length
it names, chunked otherwise. There is no lifespan call: our components have their own.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

import trio

from appliance.extension.ports import HttpRequest, RequestHandler
from appliance.web.http import encode_head

_BODILESS = {204, 304}


def http_scope(request: HttpRequest, server: tuple[str, int], *, secure: bool) -> dict[str, Any]:
    """The ASGI scope of a request."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "https" if secure else "http",
        "path": unquote(request.path),
        "raw_path": request.path.encode("latin-1"),
        "query_string": request.query.encode("latin-1"),
        "root_path": "",
        "headers": request.headers,
        "client": (request.peer, 0),
        "server": server,
        "state": {},
    }


class Exchange:
    """One call of an application.

    started: the head is out, so a failure can no longer become a 500. keep_alive: whether the
    connection can be used again afterwards.
    """

    def __init__(
        self,
        request: HttpRequest,
        write: Callable[[bytes], Awaitable[None]],
        *,
        keep_alive: bool,
        chunkable: bool,
    ) -> None:
        self.started = False
        self.keep_alive = keep_alive
        self._chunkable = chunkable
        self._request = request
        self._write = write
        self._given = False
        self._chunked = False
        self._done = trio.Event()
        self._head: tuple[int, list[tuple[str, str]]] | None = None

    async def run(self, app: RequestHandler, scope: dict[str, Any]) -> None:
        """Call the application. Raises whatever it raises."""
        await app(scope, self._receive, self._send)
        if not self._done.is_set():
            raise RuntimeError("the application returned without a complete answer")

    async def _receive(self) -> MutableMapping[str, Any]:
        if not self._given:
            self._given = True
            return {"type": "http.request", "body": self._request.body, "more_body": False}
        if not self._done.is_set():
            await self._request.wait_closed()
        return {"type": "http.disconnect"}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in message["headers"]]
            self._head = (message["status"], headers)
        elif message["type"] == "http.response.body":
            await self._send_body(message.get("body", b""), bool(message.get("more_body")))

    async def _send_body(self, body: bytes, more: bool) -> None:
        data = b"" if self.started else self._start(len(body), more)
        if self._request.method != "HEAD":
            data += self._frame(body, more)
        if not more:
            self._done.set()
        if data:
            await self._write(data)

    def _start(self, size: int, more: bool) -> bytes:
        if self._head is None:
            raise RuntimeError("the application sent a body before its status")
        status, headers = self._head
        named = {name.lower() for name, _ in headers}
        if "content-length" not in named and status not in _BODILESS:
            headers.append(self._length(size, more))
        self.started = True
        return encode_head(status, headers, keep_alive=self.keep_alive, now_s=time.time())

    def _length(self, size: int, more: bool) -> tuple[str, str]:
        if not more:
            return ("content-length", str(size))
        if not self._chunkable:
            self.keep_alive = False  # the end of the connection is the end of the body
            return ("connection", "close")
        self._chunked = True
        return ("transfer-encoding", "chunked")

    def _frame(self, body: bytes, more: bool) -> bytes:
        if not self._chunked:
            return body
        chunk = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
        return chunk if more else chunk + b"0\r\n\r\n"
