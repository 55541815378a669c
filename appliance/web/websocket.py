"""One upgraded connection as one ASGI WebSocket call (ASGI 3.0, WebSocket).

wsproto reads and writes the frames; this drives it on the connection's stream. Bytes are read only
when the application asks for a message, so a flood waits in the socket. Limits: a message of
`MESSAGE_BYTES_MAX`; a ping every `PING_S`, and a peer that was silent for `SILENT_S_MAX` is gone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import MutableMapping
from typing import Any

import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import ProtocolError

from appliance.extension.ports import HttpRequest, RequestHandler

MESSAGE_BYTES_MAX = 1_048_576
PING_S = 10.0
SILENT_S_MAX = 30.0
_READ_BYTES = 65_536
_NORMAL, _GOING_AWAY, _BROKEN, _ABNORMAL, _TOO_BIG, _FAILED = 1000, 1001, 1002, 1006, 1009, 1011


class WebSocketExchange:
    """One call of an application over an upgraded stream.

    rest: what the client sent behind its request.
    """

    def __init__(self, request: HttpRequest, rest: bytes, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._wire = WSConnection(ConnectionType.SERVER)
        self._wire.initiate_upgrade_connection(request.headers, request.path)
        self._rest = rest
        self._events: deque[Event] = deque()
        self._parts: list[str | bytes | bytearray] = []
        self._size = 0
        self._writing = trio.Lock()
        self._heard = trio.current_time()
        self._state = "new"
        self.subprotocols: list[str] = []

    async def run(self, app: RequestHandler, scope: dict[str, Any]) -> None:
        """Call the application until it returns or the peer is gone. Raises what it raises."""
        for event in self._wire.events():
            if isinstance(event, Request):
                self.subprotocols = list(event.subprotocols)
        scope |= {"type": "websocket", "subprotocols": self.subprotocols}
        scope["scheme"] = "wss" if scope["scheme"] == "https" else "ws"
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._keep_alive, nursery.cancel_scope)
                await app(scope, self._receive, self._send)
                await self._close(_NORMAL, "")
                nursery.cancel_scope.cancel()
        except Exception:
            await self._close(_FAILED, "")
            raise
        finally:
            with trio.move_on_after(1.0, shield=True):
                await self._close(_GOING_AWAY, "")

    # --- for the application ---------------------------------------------------------------------

    async def _receive(self) -> MutableMapping[str, Any]:
        if self._state == "new":
            self._state = "asked"
            return {"type": "websocket.connect"}
        while self._state != "closed":
            while self._events:
                message = await self._take(self._events.popleft())
                if message is not None:
                    return message
            await self._read()
        return {"type": "websocket.disconnect", "code": _ABNORMAL, "reason": ""}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        kind = message["type"]
        if kind == "websocket.accept":
            headers = [(bytes(n), bytes(v)) for n, v in message.get("headers") or ()]
            accept = AcceptConnection(subprotocol=message.get("subprotocol"), extra_headers=headers)
            await self._write(accept)
            self._state = "open"
        elif kind == "websocket.send" and self._state == "open":
            text, data = message.get("text"), message.get("bytes")
            await self._write(TextMessage(text) if text is not None else BytesMessage(data or b""))
        elif kind == "websocket.close":
            await self._close(message.get("code", _NORMAL), message.get("reason") or "")

    # --- on the wire -----------------------------------------------------------------------------

    async def _take(self, event: Event) -> MutableMapping[str, Any] | None:
        """What an event means to the application, if anything."""
        if isinstance(event, Ping):
            await self._write(event.response())
        elif isinstance(event, TextMessage | BytesMessage):
            return await self._gather(event)
        elif isinstance(event, CloseConnection):
            if self._state == "open":
                await self._write(event.response())
            self._state = "closed"
            reason = event.reason or ""
            return {"type": "websocket.disconnect", "code": event.code, "reason": reason}
        return None

    async def _gather(self, part: TextMessage | BytesMessage) -> MutableMapping[str, Any] | None:
        """A whole message, once its last part is here."""
        self._parts.append(part.data)
        self._size += len(part.data)
        if self._size > MESSAGE_BYTES_MAX:
            await self._close(_TOO_BIG, f"more than {MESSAGE_BYTES_MAX} bytes")
            return {"type": "websocket.disconnect", "code": _TOO_BIG, "reason": "too big"}
        if not part.message_finished:
            return None
        parts, self._parts, self._size = self._parts, [], 0
        if isinstance(part, TextMessage):
            return {"type": "websocket.receive", "text": "".join(map(str, parts))}
        whole = b"".join(part for part in parts if not isinstance(part, str))
        return {"type": "websocket.receive", "bytes": whole}

    async def _read(self) -> None:
        data, self._rest = self._rest, b""
        if not data:
            try:
                data = bytes(await self._stream.receive_some(_READ_BYTES))
            except trio.BrokenResourceError:
                data = b""
        self._heard = trio.current_time()
        if not data:
            self._state = "closed"
            return
        try:
            self._wire.receive_data(data)
            self._events.extend(self._wire.events())
        except ProtocolError as error:
            await self._close(_BROKEN, str(error)[:100])

    async def _write(self, event: Any) -> None:
        async with self._writing:
            await self._stream.send_all(self._wire.send(event))

    async def _close(self, code: int, reason: str) -> None:
        """Say goodbye in the way that the state asks for; nothing once closed."""
        state, self._state = self._state, "closed"
        try:
            if state == "open":
                await self._write(CloseConnection(code=code, reason=reason[:100]))
            elif state in ("new", "asked"):
                await self._write(RejectConnection(status_code=403))
        except (ProtocolError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the peer did not wait for it

    async def _keep_alive(self, scope: trio.CancelScope) -> None:
        while self._state != "closed":
            await trio.sleep(PING_S)
            if trio.current_time() - self._heard > SILENT_S_MAX:
                self._state = "closed"
                scope.cancel()  # it would not answer a goodbye either
            elif self._state == "open":
                await self._write(Ping())
