"""One client's connection: read, answer, read again."""

from __future__ import annotations

import math
import ssl
import time

import msgspec
import trio

from appliance.extension.ports import HttpHandler, HttpRequest, HttpResponse, RequestHandler
from appliance.kernel.events import Emit
from appliance.web.asgi import Exchange, http_scope
from appliance.web.config import WebConfig
from appliance.web.errors import error_response
from appliance.web.events import ConnectionFailed, RequestFailed, RequestRefused
from appliance.web.http import (
    CONTINUE,
    BodyBudget,
    Incoming,
    Refused,
    RequestReader,
    encode_response,
)
from appliance.web.websocket import WebSocketExchange

_READ_BYTES = 65_536
_LINGER_S = 2.0
_LINGER_BYTES_MAX = 1_048_576


class Shared(msgspec.Struct):
    """What all connections of a door have in common."""

    config: WebConfig
    budget: BodyBudget
    routes: dict[str, HttpHandler | None]
    app: RequestHandler
    emit: Emit
    tls: ssl.SSLContext | None = None
    server: tuple[str, int] = ("localhost", 0)


class Connection:
    """Serves one stream until either side is done with it.

    due: when the client's time is over, in trio's clock. The door looks at it now and then; a
    deadline of the scope would cost four moves in trio's heap per request.
    """

    def __init__(self, shared: Shared, stream: trio.SocketStream, peer: str) -> None:
        self._shared = shared
        self._config = shared.config
        self._peer = peer
        self._stream: trio.abc.Stream = (
            stream if shared.tls is None else trio.SSLStream(stream, shared.tls, server_side=True)
        )
        self._reader = RequestReader(shared.config, shared.budget, peer, self._wait_closed)
        self.due = math.inf
        self._early = b""
        self._scope = trio.CancelScope()
        self._phase = ""
        self._busy = False
        self._upgraded = False
        self._finishing = False

    def finish(self) -> None:
        """Answer what is being worked on, then close; a WebSocket is said goodbye at once."""
        self._finishing = True
        if self._upgraded or not self._busy:
            self._scope.cancel()

    def expire(self) -> None:
        """The client's time is over: hang up."""
        self._scope.cancel()

    async def serve(self) -> None:
        """Until the client hangs up, is refused, is too slow, or `finish` was called."""
        try:
            with self._scope:
                await self._converse()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client is gone; nobody is left to tell
        except Exception as error:  # noqa: BLE001 - one connection must not end the listener
            text = f"{type(error).__name__}: {error}"
            self._shared.emit(ConnectionFailed(peer=self._peer, error=text))
        finally:
            self._reader.close()
            await trio.aclose_forcefully(self._stream)

    async def _converse(self) -> None:
        open_for_more = True
        while open_for_more:
            try:
                open_for_more = await self._read()
            except Refused as refused:
                await self._refuse(refused)
                return
            if open_for_more and self._reader.requests:
                open_for_more = await self._answer_all()

    async def _answer_all(self) -> bool:
        self._busy = True
        self._phase = ""
        self.due = math.inf
        open_for_more = True
        while open_for_more and self._reader.requests:
            open_for_more = await self._answer(self._reader.requests.popleft())
        self._busy = False
        return open_for_more

    async def _read(self) -> bool:
        """Feed the reader once; False at the end of the stream."""
        data, self._early = self._early, b""
        if not data:
            self._limit_patience()
            data = bytes(await self._stream.receive_some(_READ_BYTES))
        if data:
            self._reader.feed(data)
        if self._reader.wants_continue:
            self._reader.wants_continue = False
            await self._stream.send_all(CONTINUE)
        return bool(data)

    def _limit_patience(self) -> None:
        """Each phase has one deadline, so a client that drips bytes gains nothing."""
        reader, config = self._reader, self._config
        if reader.in_body:
            phase, patience_s = "body", config.body_s_max
        elif reader.in_head:
            phase, patience_s = "head", config.head_s_max
        else:
            phase, patience_s = "idle", config.idle_s_max
        if phase != self._phase:
            self._phase = phase
            self.due = trio.current_time() + patience_s

    async def _write(self, data: bytes) -> None:
        """Send within `body_s_max`: a client that does not read must not hold us for ever."""
        self.due = trio.current_time() + self._config.body_s_max
        await self._stream.send_all(data)
        self.due = math.inf

    async def _answer(self, incoming: Incoming) -> bool:
        """Answer one request; False when the connection must not be used again."""
        request = incoming.request
        keep_alive = incoming.keep_alive and not self._finishing
        try:
            if incoming.rest is not None:
                return await self._upgrade(request, incoming.rest)
            for prefix, handler in self._shared.routes.items():
                if request.path.startswith(prefix):
                    return await self._answer_mounted(handler, request, keep_alive)
            return await self._answer_asgi(incoming, keep_alive)
        finally:
            self._shared.budget.give_back(len(request.body))

    async def _answer_mounted(
        self, handler: HttpHandler | None, request: HttpRequest, keep_alive: bool
    ) -> bool:
        if handler is None:
            response = HttpResponse(503, headers=(("retry-after", "1"),))
        else:
            try:
                response = await handler(request)
            except Exception as error:  # noqa: BLE001 - one request must not end the listener
                response = self._failed(request, error)
        keep_alive = keep_alive and not self._finishing
        head_only = request.method == "HEAD"
        await self._write(
            encode_response(response, keep_alive=keep_alive, now_s=time.time(), head_only=head_only)
        )
        return keep_alive

    async def _answer_asgi(self, incoming: Incoming, keep_alive: bool) -> bool:
        request, shared = incoming.request, self._shared
        exchange = Exchange(
            request,
            self._write,
            keep_alive=keep_alive,
            chunkable=incoming.chunkable,
        )
        scope = http_scope(request, shared.server, secure=shared.tls is not None)
        try:
            await exchange.run(shared.app, scope)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise
        except Exception as error:  # noqa: BLE001 - one request must not end the listener
            response = self._failed(request, error)
            if not exchange.started:
                data = encode_response(response, keep_alive=False, now_s=time.time())
                await self._write(data)
            return False
        return exchange.keep_alive and not self._finishing

    async def _upgrade(self, request: HttpRequest, rest: bytes) -> bool:
        """Serve a WebSocket; the connection is used up by it."""
        try:
            exchange = WebSocketExchange(request, rest, self._stream)
        except Exception as error:  # noqa: BLE001 - wsproto and h11 each have errors of their own
            answer = error_response(400, f"Not a WebSocket handshake: {error}")
            await self._refuse(Refused(answer))
            return False
        self._upgraded = True
        scope = http_scope(request, self._shared.server, secure=self._shared.tls is not None)
        try:
            await exchange.run(self._shared.app, scope)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise
        except Exception as error:  # noqa: BLE001 - one socket must not end the listener
            self._failed(request, error)
        return False

    def _failed(self, request: HttpRequest, error: Exception) -> HttpResponse:
        text = f"{type(error).__name__}: {error}"
        self._shared.emit(RequestFailed(method=request.method, path=request.path, error=text))
        return error_response(500, "Internal error; see the log")

    async def _refuse(self, refused: Refused) -> None:
        """Answer, then let the client finish talking: closing at once could destroy the answer.

        A socket closed with unread bytes is reset, and a reset discards what the client has not
        read yet.
        """
        response = refused.response
        self._shared.emit(RequestRefused(peer=self._peer, status=response.status))
        self.due = trio.current_time() + _LINGER_S
        data = encode_response(response, keep_alive=False, now_s=time.time())
        await self._stream.send_all(data)
        if isinstance(self._stream, trio.SocketStream):
            await self._stream.send_eof()
        rest = _LINGER_BYTES_MAX
        while rest > 0 and (data := bytes(await self._stream.receive_some(_READ_BYTES))):
            rest -= len(data)

    async def _wait_closed(self) -> None:
        """Return when the client hangs up; what it sends meanwhile is kept for `_read`."""
        while len(self._early) < _READ_BYTES:
            try:
                data = bytes(await self._stream.receive_some(_READ_BYTES))
            except trio.BrokenResourceError:
                return
            if not data:
                return
            self._early += data
        await trio.sleep_forever()  # too much is waiting to look behind it
