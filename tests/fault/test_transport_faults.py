"""The line between edge and cloud fails; both ends must see it, and lose nothing they had."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from appliance.extension.ports import Link, LinkClosed
from appliance.kernel.events import Event
from appliance.model.errors import Retryable
from appliance.testing.transport import PATIENCE_S, Served, end_of, receive, telemetry
from plugins.transport_grpc.config import GrpcConfig
from plugins.transport_grpc.events import PeerSilent
from plugins.transport_grpc.transport import GrpcTransport
from tests.kit.faulty_proxy import FaultyProxy, faulty_proxy

pytestmark = pytest.mark.fault

KEEPALIVE_S, WAIT_S = 2.0, 0.5


class Line:
    """Both ends of one link with the faulty proxy between them, and what they told."""

    def __init__(self, client: Link, server: Link, proxy: FaultyProxy, events: list[Event]) -> None:
        self.client = client
        self.server = server
        self.proxy = proxy
        self.events = events


@asynccontextmanager
async def line() -> AsyncIterator[Line]:
    events: list[Event] = []
    arrivals, links = trio.open_memory_channel[Served](8)

    def transport(port: int) -> GrpcTransport:
        config = GrpcConfig(
            host="127.0.0.1",
            listen="127.0.0.1",
            port=port,
            keepalive_s=KEEPALIVE_S,
            keepalive_wait_s=WAIT_S,
        )
        return GrpcTransport(config, events.append)

    async def handle(link: Link) -> None:
        served = Served(link)
        await arrivals.send(served)
        await served.hold()

    with trio.fail_after(PATIENCE_S * 2):
        async with trio.open_nursery() as nursery:
            port = await nursery.start(transport(0).serve, handle)
            async with faulty_proxy(port) as proxy, transport(proxy.port).connect() as client:
                served = await links.receive()
                yield Line(client, served.link, proxy, events)
                proxy.thaw()
                served.end()
            nursery.cancel_scope.cancel()


async def test_a_cut_line_is_seen_by_both_ends() -> None:
    async with line() as ends:
        ends.proxy.cut()
        assert (await end_of(ends.client)).status == "UNAVAILABLE"
        assert (await end_of(ends.server)).status == "UNAVAILABLE"
        for link in (ends.client, ends.server):
            with pytest.raises(LinkClosed):
                await link.send([telemetry(1)])


async def test_a_reset_line_is_seen_by_both_ends() -> None:
    async with line() as ends:
        ends.proxy.reset()
        assert (await end_of(ends.client)).status == "UNAVAILABLE"
        assert (await end_of(ends.server)).status == "UNAVAILABLE"


async def test_what_arrived_before_a_cut_is_still_read() -> None:
    async with line() as ends:
        sent = [telemetry(n) for n in range(50)]
        await ends.client.send(sent)
        while ends.proxy.forwarded["up"] < sum(ends.client.size(one) for one in sent):
            await trio.sleep(0)
        await trio.sleep(0.05)  # from the proxy's socket into the server's inbox
        ends.proxy.cut()
        assert await receive(ends.server, 50) == sent
        assert (await end_of(ends.server)).status == "UNAVAILABLE"


async def test_a_reset_in_the_middle_of_a_message_gives_no_part_of_it() -> None:
    async with line() as ends:
        large = telemetry(1, 1_000_000)
        ends.proxy.reset_after("up", 500_000)
        with pytest.raises(LinkClosed):
            while True:
                await ends.client.send([large])
        assert (await end_of(ends.server)).status == "UNAVAILABLE"


async def test_an_end_of_the_connection_without_an_end_of_the_stream_is_no_polite_end() -> None:
    async with line() as ends:
        ends.proxy.half_close("down")
        assert (await end_of(ends.client)).status == "UNAVAILABLE"


async def test_a_half_open_line_is_noticed_by_both_ends() -> None:
    async with line() as ends:
        ends.proxy.freeze()
        assert (await end_of(ends.client)).status == "UNAVAILABLE"
        assert (await end_of(ends.server)).status == "UNAVAILABLE"
        silences = [event.silent_s for event in ends.events if isinstance(event, PeerSilent)]
        assert len(silences) == 2
        assert all(silent >= KEEPALIVE_S for silent in silences)


async def test_a_half_open_line_is_noticed_even_by_a_writer_whose_buffers_are_full() -> None:
    async with line() as ends:
        ends.proxy.freeze()
        with pytest.raises(LinkClosed) as closed:
            while True:
                await ends.client.send([telemetry(1, 100_000)])
        assert closed.value.status == "UNAVAILABLE"


async def test_an_idle_line_stays_up() -> None:
    async with line() as ends:
        await trio.sleep(KEEPALIVE_S + 3 * WAIT_S)
        await ends.client.send([telemetry(1)])
        assert await receive(ends.server, 1) == [telemetry(1)]
        assert not [event for event in ends.events if isinstance(event, PeerSilent)]


async def test_a_slow_line_is_not_a_dead_line() -> None:
    async with line() as ends:
        ends.proxy.bytes_per_s = 40_000
        sent = [telemetry(n, 10_000) for n in range(12)]
        await ends.client.send(sent)
        assert await receive(ends.server, 12) == sent


async def test_a_line_that_closes_at_once_is_seen() -> None:
    async with line() as ends:
        ends.proxy.refuse = True
        config = GrpcConfig(host="127.0.0.1", port=ends.proxy.port)
        try:
            async with GrpcTransport(config, ends.events.append).connect() as client:
                assert (await end_of(client)).status == "UNAVAILABLE"
        except Retryable:
            pass  # the connection was gone before the stream was open


async def test_a_line_that_accepts_and_says_nothing_does_not_hold_a_client_with_tls() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    config = GrpcConfig(host="127.0.0.1", port=port, tls=True, connect_s_max=0.3)
    with trio.fail_after(PATIENCE_S), pytest.raises(Retryable):
        async with GrpcTransport(config, lambda _event: None).connect():
            raise AssertionError("connected to silence")
    for listener in listeners:
        await listener.aclose()
