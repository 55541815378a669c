"""A small HTTP/1.1 client for one server on this machine: one connection, one request at a time."""

from __future__ import annotations

from typing import Any

import msgspec
import trio

ANSWER_S_MAX = 20.0
_BODY_BYTES_MAX = 64 << 20


class HttpClient:
    """Keeps its connection between requests and makes a new one when it broke.

    headers: sent with every request, by name.
    """

    def __init__(self, port: int) -> None:
        self.headers: dict[str, str] = {}
        self._port = port
        self._stream: trio.SocketStream | None = None
        self._turn = trio.Lock()

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Send a request: (status, body of the answer).

        Raises OSError when there is no answer. A GET on a connection that the server has closed
        meanwhile is repeated; whether another request may be, the caller knows.
        """
        async with self._turn:
            if method == "GET" and self._stream is not None:
                try:
                    return await self._ask_once(method, path, body)
                except OSError:
                    pass  # the server may close what is idle at any time
            return await self._ask_once(method, path, body)

    async def _ask_once(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        try:
            with trio.fail_after(ANSWER_S_MAX):
                return await self._ask(method, path, body)
        except (OSError, ValueError, trio.BrokenResourceError, trio.TooSlowError) as error:
            await self._hang_up()
            raise OSError(f"{method} {path}: {error}") from error
        except trio.Cancelled:
            await self._hang_up()  # an answer on its way would be taken for the next one's
            raise

    async def json(self, method: str, path: str, body: Any = None) -> Any:
        """Like `ask`, in JSON. Raises OSError for every status but 2xx."""
        sent = b"" if body is None else msgspec.json.encode(body)
        status, answer = await self.ask(method, path, sent)
        if not 200 <= status < 300:
            raise OSError(f"{method} {path}: {status} {answer[:200].decode('utf-8', 'replace')}")
        return msgspec.json.decode(answer) if answer else None

    async def aclose(self) -> None:
        """Hang up."""
        await self._hang_up()

    async def _ask(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if self._stream is None:
            self._stream = await trio.open_tcp_stream("127.0.0.1", self._port)
        headers = {"Host": "localhost", "Content-Length": str(len(body)), **self.headers}
        if body:
            headers["Content-Type"] = "application/json"
        lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items()), "", ""]
        await self._stream.send_all("\r\n".join(lines).encode() + body)
        return await self._answer(self._stream)

    async def _answer(self, stream: trio.SocketStream) -> tuple[int, bytes]:
        data = b""
        while b"\r\n\r\n" not in data:
            data += await _more(stream)
        head, _, data = data.partition(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        named = dict(line.lower().split(": ", 1) for line in lines)
        size = int(named.get("content-length", "0"))
        if size > _BODY_BYTES_MAX:
            raise ValueError(f"an answer of {size} bytes")
        while len(data) < size:
            data += await _more(stream)
        if named.get("connection") == "close":
            await self._hang_up()
        return int(status_line.split()[1]), data

    async def _hang_up(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            await trio.aclose_forcefully(stream)


async def _more(stream: trio.SocketStream) -> bytes:
    data = await stream.receive_some(1 << 16)
    if not data:
        raise OSError("the server closed the connection")
    return bytes(data)
