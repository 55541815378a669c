"""WebSockets through the door, with wsproto as the client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)

from appliance.kernel.events import Event as Happened
from appliance.web import websocket
from appliance.web.config import WebConfig
from appliance.web.door import Door

left: list[int] = []


async def echo(socket: WebSocket) -> None:
    await socket.accept(subprotocol=(socket.scope["subprotocols"] or [None])[0])
    try:
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message["code"])
            if message.get("text") is not None:
                await socket.send_text(message["text"])
            else:
                await socket.send_bytes(message["bytes"])
    except WebSocketDisconnect as gone:
        left.append(gone.code)


async def refuse(socket: WebSocket) -> None:
    await socket.close(1008)


async def leave(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close(1008, "no login")


async def fail(socket: WebSocket) -> None:
    await socket.accept()
    raise KeyError("on purpose")


ROUTES = {"/echo": echo, "/refuse": refuse, "/leave": leave, "/fail": fail}


class Client:
    def __init__(self, stream: trio.SocketStream, stop: Callable[[], None]) -> None:
        self.stream = stream
        self.stop = stop
        self.wire = WSConnection(ConnectionType.CLIENT)

    async def say(self, *events: Any) -> None:
        await self.stream.send_all(b"".join(self.wire.send(event) for event in events))

    async def hear(self) -> Event | None:
        """The next event; None when the door hung up."""
        with trio.fail_after(5):
            while True:
                for event in self.wire.events():
                    return event
                data = await self.stream.receive_some()
                if not data:
                    return None
                self.wire.receive_data(data)


@asynccontextmanager
async def opened(path: str, events: list[Happened] | None = None) -> AsyncIterator[Client]:
    app = Starlette(routes=[WebSocketRoute(path, one) for path, one in ROUTES.items()])
    emit: Callable[[Happened], None] = (events if events is not None else []).append
    door = Door(WebConfig(host="127.0.0.1", port=0), app, emit)
    async with trio.open_nursery() as nursery:
        await nursery.start(door.run)
        stream = await trio.open_tcp_stream("127.0.0.1", door.port)
        client = Client(stream, nursery.cancel_scope.cancel)
        try:
            await client.say(Request(host="edge", target=path, subprotocols=["v1", "v2"]))
            yield client
        finally:
            stream.socket.close()
            nursery.cancel_scope.cancel()


async def test_messages_go_both_ways_whole() -> None:
    async with opened("/echo") as client:
        accepted = await client.hear()
        assert isinstance(accepted, AcceptConnection)
        assert accepted.subprotocol == "v1"
        await client.say(TextMessage("ein "), BytesMessage(b"\x00\xff"))
        assert await client.hear() == TextMessage("ein ")
        assert await client.hear() == BytesMessage(bytearray(b"\x00\xff"))
        parts = [TextMessage("a" * 70_000, message_finished=False), TextMessage("b")]
        await client.say(*parts)
        text = ""
        while True:
            part = await client.hear()
            assert isinstance(part, TextMessage)
            text += part.data
            if part.message_finished:
                break
        assert text == "a" * 70_000 + "b"


async def test_a_ping_is_answered() -> None:
    async with opened("/echo") as client:
        await client.hear()
        await client.say(Ping(b"x"))
        assert await client.hear() == Pong(bytearray(b"x"))


async def test_a_close_is_answered_and_the_application_learns_its_code() -> None:
    left.clear()
    async with opened("/echo") as client:
        await client.hear()
        await client.say(CloseConnection(4001))
        assert await client.hear() == CloseConnection(4001, "")
        assert await client.hear() is None
        assert left == [4001]


@pytest.mark.parametrize("path", ["/refuse", "/nowhere"])
async def test_a_socket_that_is_not_accepted_is_answered_403(path: str) -> None:
    async with opened(path) as client:
        answer = await client.hear()
        assert isinstance(answer, RejectConnection)
        assert answer.status_code == 403


async def test_the_applications_close_carries_code_and_reason() -> None:
    async with opened("/leave") as client:
        await client.hear()
        assert await client.hear() == CloseConnection(1008, "no login")


async def test_an_application_that_fails_closes_its_socket_and_is_reported() -> None:
    events: list[Happened] = []
    async with opened("/fail", events) as client:
        await client.hear()
        assert await client.hear() == CloseConnection(1011, "")
        assert await client.hear() is None
    assert [type(event).__name__ for event in events] == ["WebStarted", "RequestFailed"]


async def test_a_message_over_the_limit_ends_the_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "MESSAGE_BYTES_MAX", 1_000)
    left.clear()
    async with opened("/echo") as client:
        await client.hear()
        await client.say(TextMessage("x" * 1_001))
        closed = await client.hear()
        assert isinstance(closed, CloseConnection)
        assert closed.code == 1009
    assert left == [1009]


async def test_rubbish_ends_the_socket() -> None:
    async with opened("/echo") as client:
        await client.hear()
        await client.stream.send_all(b"\xff" * 20)
        closed = await client.hear()
        assert isinstance(closed, CloseConnection)
        assert closed.code == 1002


async def test_a_socket_is_said_goodbye_when_the_door_stops() -> None:
    async with opened("/echo") as client:
        await client.hear()
        client.stop()
        with trio.CancelScope(shield=True):
            assert await client.hear() == CloseConnection(1001, "")


async def test_a_silent_peer_is_pinged_and_then_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "PING_S", 0.05)
    monkeypatch.setattr(websocket, "SILENT_S_MAX", 0.2)
    async with opened("/echo") as client:
        await client.hear()
        assert isinstance(await client.hear(), Ping)
        heard = [await client.hear() for _ in range(2)]
        while heard[-1] is not None:
            heard.append(await client.hear())
        assert any(isinstance(event, Ping) for event in heard)
