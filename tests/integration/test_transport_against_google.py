"""Google's gRPC at the other end: what a server and an edge in Java do, they do alike."""

from __future__ import annotations

import queue
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import grpc
import pytest
import trio
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived

from appliance.extension.ports import Link, LinkClosed
from appliance.kernel.events import Event
from appliance.model.errors import Permanent
from appliance.sync.messages import Batch, Connected, EntityUpdate
from appliance.testing.transport import DOWNWARD, PATIENCE_S, UPWARD, end_of, receive, telemetry
from plugins.transport_grpc.config import GrpcConfig
from plugins.transport_grpc.events import ConnectionRefused, ProtocolViolated
from plugins.transport_grpc.link import PATH
from plugins.transport_grpc.mapping import CLOUD, EDGE
from plugins.transport_grpc.transport import GrpcTransport

Handler = Callable[[Iterator[bytes], grpc.ServicerContext], Iterator[bytes]]


# --- their server, our edge --------------------------------------------------------------------


@contextmanager
def google_server(handler: Handler, *options: tuple[str, Any]) -> Iterator[int]:
    with ThreadPoolExecutor(4) as threads:
        server = grpc.server(threads, options=options)
        method = grpc.stream_stream_rpc_method_handler(handler)
        _, service, name = PATH.split("/")
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service, {name: method}),)
        )
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield port
        finally:
            server.stop(0).wait()


@asynccontextmanager
async def our_client(port: int, **settings: Any) -> AsyncIterator[Link]:
    config = GrpcConfig(host="127.0.0.1", port=port, **settings)
    events: list[Event] = []
    with trio.fail_after(PATIENCE_S):
        async with GrpcTransport(config, events.append).connect() as link:
            yield link


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "gzip"])
async def test_their_server_hears_and_answers_us(compress: bool) -> None:
    heard: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def handler(requests: Iterator[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
        for _ in UPWARD:
            heard.put(*CLOUD.decode(next(requests)))
        yield from map(CLOUD.encode, DOWNWARD)

    with google_server(handler) as port:
        async with our_client(port, compress=compress) as link:
            await link.send(UPWARD)
            assert await receive(link, len(DOWNWARD)) == list(DOWNWARD)
            assert (await end_of(link)).status == "OK"
        assert [heard.get_nowait() for _ in UPWARD] == list(UPWARD)


async def test_a_refusal_is_read_before_the_error_that_follows_it() -> None:
    def handler(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        next(requests)
        yield CLOUD.encode(Connected(1, "no such key"))
        context.abort(grpc.StatusCode.UNKNOWN, "Größe ist nicht alles")

    with google_server(handler) as port:
        for _ in range(20):  # data, trailers and reset often come in one packet
            async with our_client(port) as link:
                await link.send(UPWARD[:1])
                assert await receive(link, 1) == [Connected(1, "no such key")]
                closed = await end_of(link)
                assert closed.status == "UNKNOWN"
                assert "Größe ist nicht alles" in str(closed)


async def test_compressed_answers_are_read() -> None:
    def handler(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        context.set_compression(grpc.Compression.Gzip)
        for request in requests:
            (frame,) = CLOUD.decode(request)
            yield CLOUD.encode(frame)

    with google_server(handler) as port:
        async with our_client(port) as link:
            await link.send([telemetry(n, 10_000) for n in range(20)])
            assert await receive(link, 20) == [telemetry(n, 10_000) for n in range(20)]


async def test_a_message_beyond_our_limit_ends_the_link_after_those_before_it() -> None:
    def handler(requests: Iterator[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
        next(requests)
        yield CLOUD.encode(telemetry(1))
        yield CLOUD.encode(telemetry(2, 100_000))

    with google_server(handler) as port:
        async with our_client(port, inbound_bytes_max=65_536) as link:
            assert link.inbound_bytes_max == 65_536
            await link.send(UPWARD[:1])
            assert await receive(link, 1) == [telemetry(1)]
            assert (await end_of(link)).status == "RESOURCE_EXHAUSTED"


async def test_a_stream_that_the_server_closes_while_we_close_it_is_closed_in_peace() -> None:
    def handler(requests: Iterator[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
        yield from (CLOUD.encode(telemetry(1)) for _ in requests)

    with google_server(handler) as port:
        async with our_client(port) as link:
            stream: Any = link._stream  # type: ignore[attr-defined]  # to be there in between
            end = stream.end

            async def closed_by_the_server_first() -> None:
                stream._h2_connection.streams[stream.id].reset_stream()
                await end()

            stream.end = closed_by_the_server_first
            await link.close(0.1)  # type: ignore[attr-defined]  # as the transport does


async def test_a_message_beyond_their_limit_ends_the_link_with_their_status() -> None:
    def handler(requests: Iterator[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
        for _ in requests:
            yield CLOUD.encode(telemetry(1))

    with google_server(handler, ("grpc.max_receive_message_length", 10_000)) as port:
        async with our_client(port) as link:
            await link.send([telemetry(1, 20_000)])
            assert (await end_of(link)).status == "RESOURCE_EXHAUSTED"


async def test_a_server_without_our_method_says_so() -> None:
    with ThreadPoolExecutor(1) as threads:
        server = grpc.server(threads)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        async with our_client(port) as link:
            assert (await end_of(link)).status == "UNIMPLEMENTED"
        server.stop(0).wait()


async def test_our_pings_are_within_what_a_server_permits() -> None:
    def handler(requests: Iterator[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
        for _ in requests:
            yield CLOUD.encode(telemetry(1))

    permitted = (
        ("grpc.http2.min_ping_interval_without_data_ms", 1_000),
        ("grpc.keepalive_permit_without_calls", 1),
    )
    with google_server(handler, *permitted) as port:
        async with our_client(port, keepalive_s=2.0, keepalive_wait_s=0.5) as link:
            await trio.sleep(6.5)  # three pings; two too many would close the connection
            await link.send(UPWARD[:1])
            assert await receive(link, 1) == [telemetry(1)]


async def test_a_server_that_stops_gives_an_error_not_ok() -> None:
    def handler(requests: Iterator[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
        for _ in requests:
            yield CLOUD.encode(telemetry(1))

    with google_server(handler) as port:
        async with our_client(port) as link:
            await link.send(UPWARD[:1])
            assert await receive(link, 1) == [telemetry(1)]
    with trio.fail_after(PATIENCE_S):
        with google_server(handler) as port:
            connecting = our_client(port)
            link = await connecting.__aenter__()
            await link.send(UPWARD[:1])
            assert await receive(link, 1) == [telemetry(1)]
        try:
            assert (await end_of(link)).status not in ("", "OK")
        finally:
            await connecting.__aexit__(None, None, None)


async def test_a_frame_that_cannot_travel_is_refused_and_nothing_is_sent() -> None:
    def handler(requests: Iterator[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
        for request in requests:
            (frame,) = CLOUD.decode(request)
            yield CLOUD.encode(frame)

    downward_only = Batch(2, (EntityUpdate("customerUpdate", 0, None, "{}"),))
    with google_server(handler) as port:
        async with our_client(port) as link:
            with pytest.raises(Permanent, match="customerUpdate"):
                await link.send([telemetry(1), downward_only])
            await link.send([telemetry(3)])
            assert await receive(link, 1) == [telemetry(3)]


async def test_a_write_that_was_cancelled_half_way_ends_the_link() -> None:
    def handler(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        yield CLOUD.encode(telemetry(1))
        while context.is_active():
            time.sleep(0.01)

    with google_server(handler) as port:
        async with our_client(port) as link:
            await link.receive()
            with trio.move_on_after(0.2) as scope:
                while True:
                    await link.send([telemetry(1, 1_000_000)])
            assert scope.cancelled_caught
            with pytest.raises(LinkClosed, match="interrupted"):
                await link.send([telemetry(2)])


async def test_a_page_of_a_gateway_is_no_message() -> None:
    async def gateway(stream: trio.SocketStream) -> None:
        h2 = H2Connection(H2Configuration(client_side=False))
        h2.initiate_connection()
        while data := await stream.receive_some():
            for event in h2.receive_data(data):
                if isinstance(event, RequestReceived):
                    h2.send_headers(1, [(":status", "502"), ("content-type", "text/html")])
                    h2.send_data(1, b"<html>Bad Gateway", end_stream=True)
            await stream.send_all(h2.data_to_send())

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, gateway, listeners)
        async with our_client(listeners[0].socket.getsockname()[1]) as link:
            closed = await end_of(link)
            assert closed.status == "UNAVAILABLE"
            assert "502" in str(closed)
        nursery.cancel_scope.cancel()


# --- their edge, our server --------------------------------------------------------------------


class Edge:
    """Google's client on our stream; its calls run in threads."""

    def __init__(self, port: int, compression: grpc.Compression) -> None:
        self.port = port
        own_connection = ("grpc.use_local_subchannel_pool", 1)
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=[own_connection])
        self._requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        call = self._channel.stream_stream(PATH)
        self.answers = call(iter(self._requests.get, None), compression=compression)

    def say(self, data: bytes | None) -> None:
        self._requests.put(data)

    async def hear(self) -> bytes:
        return await trio.to_thread.run_sync(next, self.answers)

    async def status(self) -> grpc.StatusCode:
        return await trio.to_thread.run_sync(self.answers.code)

    def close(self) -> None:
        self.answers.cancel()
        self._requests.put(None)
        self._channel.close()


@asynccontextmanager
async def our_server(
    handle: Callable[[Link], Any], compression: grpc.Compression, **settings: Any
) -> AsyncIterator[tuple[Edge, list[Event]]]:
    events: list[Event] = []
    transport = GrpcTransport(GrpcConfig(listen="127.0.0.1", port=0, **settings), events.append)
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            edge = Edge(await nursery.start(transport.serve, handle), compression)
            yield edge, events
            edge.close()
            nursery.cancel_scope.cancel()


GZIP, PLAIN = grpc.Compression.Gzip, grpc.Compression.NoCompression


@pytest.mark.parametrize("compression", [PLAIN, GZIP], ids=["plain", "gzip"])
async def test_their_edge_hears_and_answers_us(compression: grpc.Compression) -> None:
    heard: list[Any] = []

    async def handle(link: Link) -> None:
        heard.extend(await receive(link, len(UPWARD) + 10))
        await link.send(DOWNWARD)

    async with our_server(handle, compression) as (edge, _events):
        for frame in UPWARD:
            edge.say(EDGE.encode(frame))
        for number in range(10):
            edge.say(EDGE.encode(telemetry(number, 200_000)))
        for frame in DOWNWARD:
            assert EDGE.decode(await edge.hear()) == [frame]
        assert await edge.status() is grpc.StatusCode.OK
    assert heard == [*UPWARD, *(telemetry(number, 200_000) for number in range(10))]


async def test_our_status_reaches_their_edge() -> None:
    async def handle(link: Link) -> None:
        await link.send([Connected(1, "no such key")])
        raise LinkClosed("größer", "")

    async with our_server(handle, GZIP) as (edge, _events):
        assert EDGE.decode(await edge.hear()) == [Connected(1, "no such key")]
        assert await edge.status() is grpc.StatusCode.UNKNOWN
        assert edge.answers.details() == "größer"


@pytest.mark.parametrize("compression", [PLAIN, GZIP], ids=["plain", "gzip"])
async def test_their_message_beyond_our_limit_ends_the_stream(
    compression: grpc.Compression,
) -> None:
    async def handle(link: Link) -> None:
        assert await receive(link, 1) == [telemetry(1)]
        await link.receive()

    settings = {"inbound_bytes_max": 65_536}
    async with our_server(handle, compression, **settings) as (edge, events):
        edge.say(EDGE.encode(telemetry(1)))
        edge.say(EDGE.encode(telemetry(2, 100_000)))
        assert await edge.status() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert [event.status for event in events if isinstance(event, ProtocolViolated)] == [
        "RESOURCE_EXHAUSTED"
    ]


async def test_bytes_that_are_no_message_end_the_stream_after_those_before_them() -> None:
    async def handle(link: Link) -> None:
        assert await receive(link, 2) == [telemetry(1), telemetry(2)]
        for _ in range(2):
            with pytest.raises(LinkClosed):
                await link.receive()

    async with our_server(handle, PLAIN) as (edge, _events):
        edge.say(EDGE.encode(telemetry(1)))
        edge.say(EDGE.encode(telemetry(2)))
        edge.say(b"\xff" * 20)
        assert await edge.status() is grpc.StatusCode.INTERNAL


async def test_requests_that_say_nothing_are_passed_over() -> None:
    async def handle(link: Link) -> None:
        assert await receive(link, 1) == [telemetry(1)]

    async with our_server(handle, PLAIN) as (edge, _events):
        for _ in range(1_000):  # more than are read at once
            edge.say(b"")
        edge.say(EDGE.encode(telemetry(1)))
        assert await edge.status() is grpc.StatusCode.OK


async def test_more_connections_than_are_served_are_closed() -> None:
    async def handle(link: Link) -> None:
        await link.receive()

    async with our_server(handle, PLAIN, connections_max=1) as (edge, events):
        edge.say(None)
        assert await edge.status() is grpc.StatusCode.OK
        other = Edge(edge.port, PLAIN)
        assert await other.status() is grpc.StatusCode.UNAVAILABLE
        other.close()
    reasons = [event.reason for event in events if isinstance(event, ConnectionRefused)]
    assert reasons
    assert set(reasons) == {"too many connections"}


async def test_their_edge_that_leaves_is_seen_to_leave() -> None:
    ends: list[str] = []

    async def handle(link: Link) -> None:
        try:
            await link.receive()
        except LinkClosed as closed:
            ends.append(closed.status)
            raise

    async with our_server(handle, PLAIN) as (edge, _events):
        edge.say(None)
        assert await edge.status() is grpc.StatusCode.OK
    assert ends == ["OK"]


async def test_their_edge_that_cancels_is_seen_to_be_gone() -> None:
    ends: list[str] = []
    gone = trio.Event()

    async def handle(link: Link) -> None:
        try:
            await link.send([telemetry(1)])
            await link.receive()
        except LinkClosed as closed:
            ends.append(closed.status)
            gone.set()
            raise

    async with our_server(handle, PLAIN) as (edge, _events):
        await edge.hear()
        edge.answers.cancel()
        await gone.wait()
    assert ends == ["UNAVAILABLE"]


async def test_another_method_is_refused() -> None:
    async def handle(link: Link) -> None:
        await link.receive()

    async with our_server(handle, PLAIN) as (edge, events):
        call = edge._channel.unary_unary("/edge.EdgeRpcService/other")
        with pytest.raises(grpc.RpcError) as error:
            await trio.to_thread.run_sync(call, b"")
        assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED
        reasons = [event.reason for event in events if isinstance(event, ConnectionRefused)]
        assert reasons == ["no such method"]
