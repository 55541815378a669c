"""The front door, over real sockets."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from appliance.extension.ports import HttpRequest, HttpResponse
from appliance.kernel.events import Event, ignore
from appliance.model.errors import ConfigError, Retryable
from appliance.web.config import WebConfig
from appliance.web.connection import Connection
from appliance.web.door import Door
from appliance.web.events import ConnectionFailed, RequestFailed
from tests.kit.certificates import Certificates


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Tells what it was asked; streams where the path says so; fails where it says so."""
    body = (await receive())["body"]
    if scope["path"] == "/fail":
        raise RuntimeError("on purpose")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-app", b"1")]})
    if scope["path"] == "/stream":
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await send({"type": "http.response.body", "body": b"two", "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    else:
        text = f"{scope['method']} {scope['path']} {scope['query_string'].decode()} {len(body)}"
        await send({"type": "http.response.body", "body": text.encode()})


async def echo(request: HttpRequest) -> HttpResponse:
    return HttpResponse(200, request.body or b"-", "text/plain")


class Running:
    def __init__(self, door: Door, events: list[Event], nursery: trio.Nursery) -> None:
        self.door = door
        self.events = events
        self.nursery = nursery
        self.streams: list[trio.SocketStream] = []

    async def ask(self, raw: bytes) -> bytes:
        """Send raw bytes, close our side of nothing, read until the door closes."""
        stream = await self.connect()
        await stream.send_all(raw)
        return await rest_of(stream)

    async def connect(self) -> trio.SocketStream:
        stream = await trio.open_tcp_stream("127.0.0.1", self.door.port)
        self.streams.append(stream)
        return stream


async def rest_of(stream: trio.SocketStream) -> bytes:
    answer = b""
    with trio.fail_after(10):
        while data := await stream.receive_some():
            answer += data
    return answer


async def settle() -> None:
    """Until every task waits: what was sent has arrived and was worked on."""
    await trio.testing.wait_all_tasks_blocked(0.02)


@asynccontextmanager
async def running(application: Any = app, **settings: Any) -> AsyncIterator[Running]:
    events: list[Event] = []
    config = WebConfig(host="127.0.0.1", port=0, **settings)
    door = Door(config, application, events.append)
    async with trio.open_nursery() as nursery:
        await nursery.start(door.run)
        web = Running(door, events, nursery)
        try:
            yield web
        finally:
            nursery.cancel_scope.cancel()
            for stream in web.streams:
                stream.socket.close()


def get(path: str, *headers: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "host: x", *headers, "", ""]).encode()


CLOSE = "connection: close"


async def test_a_mounted_prefix_is_answered_without_the_application() -> None:
    async with running() as web:
        web.door.mount("/api/v1/", echo)
        answer = await web.ask(
            b"POST /api/v1/t/telemetry HTTP/1.1\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}"
        )
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"\r\n\r\n{}")
        assert b"x-app" not in answer
        assert b"content-length: 2\r\n" in answer
        assert b"\r\ndate: " in answer


async def test_a_reserved_prefix_is_not_ready_until_it_is_mounted() -> None:
    async with running() as web:
        web.door.reserve("/api/v1/")
        early = await web.ask(get("/api/v1/x") + get("/api/x", CLOSE))
        assert early.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1\r\n" in early
        assert early.endswith(b"GET /api/x  0")
        web.door.mount("/api/v1/", echo)
        web.door.reserve("/api/v1/")
        assert (await web.ask(get("/api/v1/x", CLOSE))).startswith(b"HTTP/1.1 200 ")


async def test_everything_else_goes_to_the_application() -> None:
    async with running() as web:
        answer = await web.ask(get("/a%20b?x=1", CLOSE))
        assert b"x-app: 1" in answer
        assert answer.endswith(b"GET /a b x=1 0")


async def test_requests_sent_back_to_back_are_answered_in_order() -> None:
    async with running() as web:
        web.door.mount("/api/v1/", echo)
        answer = await web.ask(get("/1") + get("/api/v1/x") + get("/2") + get("/3", CLOSE))
        assert answer.count(b"HTTP/1.1 200") == 4
        assert answer.index(b"GET /1") < answer.index(b"\r\n\r\n-") < answer.index(b"GET /2")


async def test_a_request_in_single_bytes_is_understood() -> None:
    async with running() as web:
        stream = await web.connect()
        for byte in get("/slow?a", CLOSE):
            await stream.send_all(bytes([byte]))
        answer = await rest_of(stream)
        assert answer.endswith(b"GET /slow a 0")


async def test_an_answer_of_unknown_length_is_chunked_and_the_connection_stays() -> None:
    async with running() as web:
        answer = await web.ask(get("/stream") + get("/next", CLOSE))
        assert b"transfer-encoding: chunked" in answer
        assert b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\nHTTP/1.1 200" in answer


async def test_an_old_client_gets_the_stream_until_the_connection_ends() -> None:
    async with running() as web:
        answer = await web.ask(b"GET /stream HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
        assert b"chunked" not in answer
        assert answer.endswith(b"\r\n\r\nonetwo")


async def test_head_has_no_body() -> None:
    async with running() as web:
        web.door.mount("/api/v1/", echo)
        for path in ("/x", "/api/v1/x"):
            answer = await web.ask(get(path, CLOSE, method="HEAD"))
            assert answer.endswith(b"\r\n\r\n")
            assert b"content-length: 0" not in answer


async def test_a_failing_application_is_answered_500_and_reported() -> None:
    async with running() as web:
        answer = await web.ask(get("/fail"))
        assert answer.startswith(b"HTTP/1.1 500 ")
        assert b'"errorCode":2' in answer
        assert any(isinstance(event, RequestFailed) for event in web.events)
        assert (await web.ask(get("/", CLOSE))).startswith(b"HTTP/1.1 200")


async def test_a_failing_handler_does_not_end_the_connection() -> None:
    async def broken(request: HttpRequest) -> HttpResponse:
        raise KeyError("on purpose")

    async with running() as web:
        web.door.mount("/api/v1/", broken)
        answer = await web.ask(get("/api/v1/x") + get("/after", CLOSE))
        assert answer.startswith(b"HTTP/1.1 500 ")
        assert answer.endswith(b"GET /after  0")


async def test_a_prefix_whose_listener_stopped_says_come_back() -> None:
    async with running() as web:
        unmount = web.door.mount("/api/v1/", echo)
        with pytest.raises(ValueError, match="already mounted"):
            web.door.mount("/api/v1/", echo)
        unmount()
        answer = await web.ask(get("/api/v1/x", CLOSE))
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1" in answer
        web.door.mount("/api/v1/", echo)
        assert (await web.ask(get("/api/v1/x", CLOSE))).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"RUBBISH\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 400),
        (
            b"POST / HTTP/1.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n",
            400,
        ),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nx: " + b"x" * 20_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 4_000, 431),
    ],
)
async def test_what_cannot_be_taken_is_answered_and_the_connection_closed(
    raw: bytes, status: int
) -> None:
    async with running() as web:
        answer = await web.ask(raw)
        assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert b"connection: close" in answer


OFFER = b"GET /api/ws HTTP/1.1\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
KEY = b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"


@pytest.mark.parametrize(
    "more",
    [
        KEY + b"sec-websocket-version: 13\r\n",
        b"host: x\r\n" + KEY,
        b"host: x\r\nsec-websocket-version: 13\r\n",
        b"host: x\r\n" + KEY + b"sec-websocket-version: 7\r\n",
        b"host: x\r\n" + KEY + b"sec-websocket-version: 13\r\nx: \x01\r\n",
    ],
)
async def test_a_bad_websocket_handshake_is_refused_and_ends_nobody(more: bytes) -> None:
    async with running() as web:
        answer = await web.ask(OFFER + more + b"\r\n")
        assert answer.startswith(b"HTTP/1.1 4")
        assert (await web.ask(get("/", CLOSE))).startswith(b"HTTP/1.1 200")


async def test_an_error_of_ours_ends_one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise LookupError("oops")

    async with running() as web:
        with monkeypatch.context() as patch:
            patch.setattr(Connection, "_answer_all", broken)
            assert await web.ask(get("/", CLOSE)) == b""
        assert (await web.ask(get("/", CLOSE))).startswith(b"HTTP/1.1 200")
        (told,) = [event for event in web.events if isinstance(event, ConnectionFailed)]
        assert told.error == "LookupError: oops"


@pytest.mark.parametrize(
    ("path", "limit"),
    [("/api/v1/t/rpc", 2_000), ("/api/v1/t/rpc/7", 2_000), ("/api/v1/t/telemetry", 4_000)],
)
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_of_its_path_is_refused(
    path: str, limit: int, chunked: bool
) -> None:
    async with running(rpc_body_bytes_max=2_000, device_body_bytes_max=4_000) as web:
        web.door.mount("/api/v1/", echo)
        assert (await web.ask(_post(path, limit, chunked))).startswith(b"HTTP/1.1 200")
        answer = await web.ask(_post(path, limit + 1, chunked))
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert answer.endswith(b'"Payload size exceeds the limit of %d bytes"' % limit)


def _post(path: str, size: int, chunked: bool) -> bytes:
    body = b"x" * size
    if chunked:
        head = get(path, CLOSE, "transfer-encoding: chunked", method="POST")
        return head + b"%x\r\n%s\r\n0\r\n\r\n" % (size, body)
    return get(path, CLOSE, f"content-length: {size}", method="POST") + body


async def test_all_bodies_together_are_bounded_and_given_back() -> None:
    async with running(bodies_bytes_max=3_000) as web:
        web.door.mount("/api/v1/", echo)
        for _ in range(3):
            answer = await web.ask(_post("/api/v1/t/telemetry", 2_000, False))
            assert answer.startswith(b"HTTP/1.1 200")
        assert (await web.ask(_post("/x", 3_001, False))).startswith(b"HTTP/1.1 503 ")
        half = await web.connect()
        await half.send_all(_post("/x", 2_500, False)[:-10])
        await settle()
        assert (await web.ask(_post("/x", 2_000, False))).startswith(b"HTTP/1.1 503 ")
        await half.aclose()
        await settle()
        assert (await web.ask(_post("/x", 2_000, False))).startswith(b"HTTP/1.1 200 ")


async def test_a_client_that_expects_continue_is_told_to_go_on() -> None:
    async with running() as web:
        stream = await web.connect()
        head = get("/x", CLOSE, "content-length: 2", "expect: 100-continue", method="POST")
        await stream.send_all(head)
        assert await stream.receive_some() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await stream.send_all(b"{}")
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")


async def test_a_client_that_offers_http2_is_answered_in_http1() -> None:
    async with running() as web:
        web.door.mount("/api/v1/", echo)
        offer = ("upgrade: h2c", "connection: Upgrade, HTTP2-Settings", "http2-settings: AAMAAABk")
        post = get("/api/v1/t/telemetry", *offer, "content-length: 3", method="POST") + b"abc"
        answer = await web.ask(post * 3 + get("/end", CLOSE))
        assert answer.count(b"\r\n\r\nabc") == 3
        assert answer.endswith(b"GET /end  0")


async def test_thousands_of_upgrade_offers_in_one_read_do_not_exhaust_the_stack() -> None:
    async with running() as web:
        offers = b"GET / HTTP/1.1\r\nupgrade:x\r\nconnection:upgrade\r\n\r\n" * 1_100
        answer = await web.ask(offers + get("/end", CLOSE))
        assert answer.count(b"HTTP/1.1 200") == 1_101


async def test_a_handler_learns_that_its_client_hung_up() -> None:
    gone = trio.Event()

    async def poll(request: HttpRequest) -> HttpResponse:
        await request.wait_closed()
        gone.set()
        return HttpResponse(408)

    async with running() as web:
        web.door.mount("/api/v1/", poll)
        stream = await web.connect()
        await stream.send_all(get("/api/v1/t/rpc"))
        await settle()
        assert not gone.is_set()
        await stream.aclose()
        with trio.fail_after(5):
            await gone.wait()


async def test_what_arrives_during_a_poll_is_answered_afterwards() -> None:
    async def poll(request: HttpRequest) -> HttpResponse:
        with trio.move_on_after(0.2):
            await request.wait_closed()
        return HttpResponse(408)

    async with running() as web:
        web.door.mount("/api/v1/", poll)
        stream = await web.connect()
        await stream.send_all(get("/api/v1/t/rpc"))
        await settle()
        await stream.send_all(get("/after", CLOSE))
        answer = await rest_of(stream)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert answer.endswith(b"GET /after  0")


async def test_more_connections_than_allowed_are_told_so() -> None:
    async with running(connections_max=1) as web:
        first = await web.connect()
        await first.send_all(get("/1"))
        assert (await first.receive_some()).startswith(b"HTTP/1.1 200")
        assert (await web.ask(b"")).startswith(b"HTTP/1.1 503 ")
        await first.aclose()
        await settle()
        assert (await web.ask(get("/2", CLOSE))).startswith(b"HTTP/1.1 200")


async def test_a_request_in_flight_is_answered_when_the_door_stops() -> None:
    entered, may_go_on = trio.Event(), trio.Event()

    async def slow(request: HttpRequest) -> HttpResponse:
        entered.set()
        await may_go_on.wait()
        return HttpResponse(200, b"done")

    async with running() as web:
        web.door.mount("/api/v1/", slow)
        idle = await web.connect()
        stream = await web.connect()
        await stream.send_all(get("/api/v1/x"))
        await entered.wait()
        web.nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            with trio.fail_after(5):
                assert await idle.receive_some() == b""
            may_go_on.set()
            answer = await stream.receive_some()
            assert b"connection: close" in answer
            assert answer.endswith(b"done")


async def test_stopping_waits_no_longer_than_configured() -> None:
    async def endless(request: HttpRequest) -> HttpResponse:
        await trio.sleep_forever()
        raise AssertionError

    with trio.fail_after(5):
        async with running(stop_s_max=0.1) as web:
            web.door.mount("/api/v1/", endless)
            stream = await web.connect()
            await stream.send_all(get("/api/v1/x"))
            await settle()


@pytest.mark.parametrize(
    "begin", [b"", b"GET / HT", get("/x", "content-length: 5", method="POST") + b"ab"]
)
async def test_a_client_that_takes_too_long_is_dropped(begin: bytes) -> None:
    async with running(idle_s_max=0.1, head_s_max=0.1, body_s_max=0.1) as web:
        with trio.fail_after(5):
            assert await web.ask(begin) == b""


async def test_dripping_bytes_does_not_extend_the_time_for_a_head() -> None:
    async with running(head_s_max=0.2) as web:
        stream = await web.connect()
        with trio.fail_after(5), pytest.raises(trio.BrokenResourceError):
            await stream.send_all(b"GET / HTTP/1.1\r\n")
            while True:
                await stream.send_all(b"a: b\r\n")
                await trio.sleep(0.05)


async def test_with_a_certificate_the_port_speaks_tls(tmp_path: Path) -> None:
    made = Certificates(tmp_path)
    async with running(tls_certificate=str(made.certificate), tls_key=str(made.key)) as web:
        raw = await web.connect()
        context = ssl.create_default_context(cafile=str(made.ca))
        stream = trio.SSLStream(raw, context, server_hostname="localhost", https_compatible=True)
        await stream.send_all(get("/secret", CLOSE))
        answer = b""
        with trio.fail_after(10):
            while data := await stream.receive_some():
                answer += data
        assert answer.endswith(b"GET /secret  0")


async def test_a_certificate_that_cannot_be_read_is_a_mistake_in_the_configuration(
    tmp_path: Path,
) -> None:
    config = WebConfig(host="127.0.0.1", port=0, tls_certificate=str(tmp_path / "none.pem"))
    with pytest.raises(ConfigError, match="tls_certificate"):
        await Door(config, app, ignore).run()


async def test_a_port_that_is_taken_is_named() -> None:
    async with running() as web:
        config = WebConfig(host="127.0.0.1", port=web.door.port)
        with pytest.raises(Retryable, match=f"127.0.0.1:{web.door.port}"):
            await Door(config, app, ignore).run()
