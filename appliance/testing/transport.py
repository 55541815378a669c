"""What every transport must do: one clause per promise of `Link` and `Transport`.

A test hands in a `Maker` and runs each clause by name:

    @pytest.mark.parametrize("clause", transport.CLAUSES, ids=lambda clause: clause.__name__)
    async def test_transport(clause): await clause(MyMaker())

A clause fails with an assertion or, where something never happens, with TooSlowError after
`PATIENCE_S`; none measures time.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol
from uuid import UUID

import trio

from appliance.extension.ports import Link, LinkClosed, Transport
from appliance.model.errors import Retryable
from appliance.model.ids import EntityId
from appliance.sync.messages import (
    Ack,
    Attributes,
    AttributesDeleted,
    Batch,
    ConfigurationItem,
    Connect,
    Connected,
    EdgeConfiguration,
    EdgeUpdate,
    EntityUpdate,
    Frame,
    Item,
    Request,
    RpcCall,
    SyncCompleted,
    SyncRequest,
    Telemetry,
    Unknown,
)
from appliance.sync.wire import encode_attributes, encode_entry

PATIENCE_S = 10.0
"""How long a clause waits for what must happen; far above what any of it takes."""


class Maker(Protocol):
    """Makes the two ends that a clause plays with."""

    def server(self) -> Transport:
        """A transport of the cloud role that will listen on a free port."""
        ...

    def client(self, port: int) -> Transport:
        """A transport of the edge role for the server that listens there."""
        ...


class Served:
    """The server's end of a link, held open until `end` is called."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self._error: LinkClosed | None = None
        self._ended = trio.Event()

    def end(self, error: LinkClosed | None = None) -> None:
        """Let the handler return, or raise."""
        self._error = error
        self._ended.set()

    async def hold(self) -> None:
        """What the handler does meanwhile."""
        await self._ended.wait()
        if self._error is not None:
            raise self._error


class Playground:
    """A server that is up and clients for it."""

    def __init__(self, maker: Maker) -> None:
        self._maker = maker
        self._served, self._arrivals = trio.open_memory_channel[Served](16)
        self.port = 0

    async def handle(self, link: Link) -> None:
        """The server's handler: hands its link to the clause."""
        served = Served(link)
        await self._served.send(served)
        await served.hold()

    @asynccontextmanager
    async def connect(self, *, client_ends: bool = False) -> AsyncIterator[tuple[Link, Served]]:
        """Both ends of one fresh link; afterwards the server ends it, or else the client."""
        async with self._maker.client(self.port).connect() as link:
            served = await self._arrivals.receive()
            yield link, served
            if not client_ends:
                served.end()


@asynccontextmanager
async def playground(maker: Maker) -> AsyncIterator[Playground]:
    """A running server, cancelled at the end; everything within `PATIENCE_S`."""
    ground = Playground(maker)
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            ground.port = await nursery.start(maker.server().serve, ground.handle)
            yield ground
            nursery.cancel_scope.cancel()


# --- frames to play with -----------------------------------------------------------------------

DEVICE = EntityId("DEVICE", UUID("784f394c-42b6-11ed-9e6f-1f2a3b4c5d6e"))
_CONFIGURATION = EdgeConfiguration(DEVICE.id, DEVICE.id, None, name="Edge", secret="s")
_ENTRY = encode_entry(1_700_000_000_000, {"temperature": 21.5, "on": True})
_BOTH_WAYS: tuple[Item, ...] = (
    Telemetry(DEVICE, (_ENTRY, _ENTRY)),
    Attributes(DEVICE, "SHARED_SCOPE", encode_attributes({"a": 1, "b": "ö"}), 5),
    Attributes(DEVICE, "CLIENT_SCOPE", encode_attributes({"a": {"b": []}}), None, True, 5),
    AttributesDeleted(DEVICE, "SERVER_SCOPE", ("a", "b"), 7),
    EntityUpdate("deviceUpdate", 1, DEVICE.id, '{"name":"Pump"}'),
    RpcCall(DEVICE.id, DEVICE.id, 3, 9, True, "setPin", "{}"),
    Unknown(99, b"\x9a\x06\x03new"),
)
UPWARD: tuple[Frame, ...] = (
    Connect("key", "secret", 4312, 4_194_304),
    SyncRequest(True),
    Ack(3, True),
    Batch(1, (*_BOTH_WAYS, Request("relationRequest", DEVICE))),
)
DOWNWARD: tuple[Frame, ...] = (
    Connected(0, "", _CONFIGURATION, 4_194_304),
    EdgeUpdate(_CONFIGURATION),
    Ack(3, False, "no"),
    Batch(2, (*_BOTH_WAYS, ConfigurationItem(_CONFIGURATION), SyncCompleted())),
)


def telemetry(number: int, size: int = 100) -> Batch:
    """A numbered batch of at least that many bytes, which no compression makes much smaller."""
    noise = random.Random(number).randbytes(size // 2 + 1).hex()
    return Batch(number, (Telemetry(DEVICE, (encode_entry(number, {"x": noise}),)),))


async def receive(link: Link, count: int) -> list[Frame]:
    """The next frames, exactly so many."""
    frames: list[Frame] = []
    while len(frames) < count:
        more = await link.receive()
        assert more, "receive gave nothing"
        frames += more
    assert len(frames) == count
    return frames


async def end_of(link: Link) -> LinkClosed:
    """How the link ends; nothing may arrive before that."""
    try:
        frames = await link.receive()
    except LinkClosed as closed:
        return closed
    raise AssertionError(f"the link gave {frames!r} where it should have ended")


async def refusal(sending: Awaitable[None]) -> LinkClosed:
    """How a send fails; it must."""
    try:
        await sending
    except LinkClosed as closed:
        return closed
    raise AssertionError("a link that has ended took frames")


# --- clauses -----------------------------------------------------------------------------------


async def every_frame_arrives_as_it_was_sent(maker: Maker) -> None:
    async with playground(maker) as ground, ground.connect() as (client, server):
        await client.send(UPWARD)
        assert await receive(server.link, len(UPWARD)) == list(UPWARD)
        await server.link.send(DOWNWARD)
        assert await receive(client, len(DOWNWARD)) == list(DOWNWARD)


async def frames_keep_their_order(maker: Maker) -> None:
    count = 500
    async with (
        playground(maker) as ground,
        ground.connect() as (client, server),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(client.send, [telemetry(n) for n in range(count)])
        nursery.start_soon(server.link.send, [telemetry(n) for n in range(count)])
        for link in (client, server.link):
            frames = await receive(link, count)
            assert [frame.id for frame in frames if isinstance(frame, Batch)] == [*range(count)]


async def frames_of_many_writers_stay_whole(maker: Maker) -> None:
    async with playground(maker) as ground, ground.connect() as (client, server):
        async with trio.open_nursery() as nursery:
            for writer in range(8):
                sent = [telemetry(writer * 100 + n, 20_000) for n in range(10)]
                nursery.start_soon(client.send, sent)
            frames = await receive(server.link, 80)
        ids = [frame.id for frame in frames if isinstance(frame, Batch)]
        for writer in range(8):
            assert [n for n in ids if n // 100 == writer] == [writer * 100 + n for n in range(10)]


async def a_message_of_the_largest_size_passes(maker: Maker) -> None:
    large = telemetry(1, 4_194_304 - 200)
    async with playground(maker) as ground, ground.connect() as (client, server):
        assert client.size(large) > 4_194_000
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send, [large, telemetry(2)])
            assert await receive(server.link, 2) == [large, telemetry(2)]
            nursery.start_soon(server.link.send, [large, telemetry(2)])
            assert await receive(client, 2) == [large, telemetry(2)]


async def a_slow_reader_holds_the_writer_back(maker: Maker) -> None:
    sent = 0

    async def send_many(link: Link) -> None:
        nonlocal sent
        for number in range(400):
            await link.send([telemetry(number, 100_000)])
            sent += 1

    async with (
        playground(maker) as ground,
        ground.connect() as (client, server),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(send_many, client)
        before = -1
        while sent > before:  # until the buffers on the way are full
            before = sent
            with trio.move_on_after(0.5):
                await trio.sleep_forever()
        assert sent < 400
        assert len(await receive(server.link, 400)) == 400


async def a_cancelled_receive_loses_nothing(maker: Maker) -> None:
    async with playground(maker) as ground, ground.connect() as (client, server):
        for number in range(20):
            with trio.move_on_after(0):
                await server.link.receive()
            await client.send([telemetry(number)])
            assert await receive(server.link, 1) == [telemetry(number)]


async def a_handler_that_returns_ends_the_stream_with_ok(maker: Maker) -> None:
    async with playground(maker) as ground, ground.connect() as (client, server):
        await server.link.send([telemetry(1)])
        server.end()
        assert await receive(client, 1) == [telemetry(1)]
        assert (await end_of(client)).status == "OK"


async def a_handler_gives_the_stream_its_status(maker: Maker) -> None:
    for status, seen in (("", "UNKNOWN"), ("UNAVAILABLE", "UNAVAILABLE"), ("OK", "OK")):
        async with playground(maker) as ground, ground.connect() as (client, server):
            await server.link.send([telemetry(1)])
            server.end(LinkClosed("for a reason", status))
            # What was said before the end still arrives: a refusal carries its text so.
            assert await receive(client, 1) == [telemetry(1)]
            assert (await end_of(client)).status == seen


async def an_ended_link_stays_ended(maker: Maker) -> None:
    async with playground(maker) as ground, ground.connect() as (client, server):
        server.end(LinkClosed("over", "ABORTED"))
        for _ in range(3):
            assert (await end_of(client)).status == "ABORTED"
        assert (await refusal(client.send([telemetry(1)]))).status == "ABORTED"


async def the_end_interrupts_a_waiting_writer(maker: Maker) -> None:
    async def send_for_ever(link: Link) -> None:
        while True:
            await link.send([telemetry(1, 100_000)])

    async with (
        playground(maker) as ground,
        ground.connect() as (client, server),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(refusal, send_for_ever(client))
        await server.link.receive()
        server.end(LinkClosed("enough", "ABORTED"))


async def a_client_that_leaves_is_seen_to_leave(maker: Maker) -> None:
    async with playground(maker) as ground:
        async with ground.connect(client_ends=True) as (client, server):
            await client.send([telemetry(1)])
        assert await receive(server.link, 1) == [telemetry(1)]
        assert (await end_of(server.link)).status == "OK"
        server.end()


async def a_server_that_stops_never_says_ok(maker: Maker) -> None:
    ground = Playground(maker)
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            ground.port = await nursery.start(maker.server().serve, ground.handle)
            async with ground.connect() as (client, _server):
                nursery.cancel_scope.cancel()
                with trio.CancelScope(shield=True):
                    assert (await end_of(client)).status not in ("", "OK")


async def links_are_apart_from_each_other(maker: Maker) -> None:
    async with (
        playground(maker) as ground,
        ground.connect() as (one, server_one),
        ground.connect() as (two, server_two),
    ):
        await one.send([telemetry(1)])
        await two.send([telemetry(2)])
        server_one.end()
        assert (await end_of(one)).status == "OK"
        assert await receive(server_two.link, 1) == [telemetry(2)]
        await server_two.link.send([telemetry(3)])
        assert await receive(two, 1) == [telemetry(3)]


async def a_link_can_be_opened_again(maker: Maker) -> None:
    async with playground(maker) as ground:
        for number in range(3):
            async with ground.connect() as (client, server):
                await client.send([telemetry(number)])
                assert await receive(server.link, 1) == [telemetry(number)]
                server.end()


async def nobody_there_is_retryable(maker: Maker) -> None:
    async with playground(maker) as ground:
        port = ground.port
    with trio.fail_after(PATIENCE_S):
        try:
            async with maker.client(port).connect():
                raise AssertionError("connected to nobody")
        except Retryable:
            pass


async def a_link_says_who_is_there_and_how_large_a_frame_is(maker: Maker) -> None:
    async with playground(maker) as ground, ground.connect() as (client, server):
        assert client.peer
        assert server.link.peer
        for link in (client, server.link):
            assert 1000 < link.size(telemetry(1, 1000)) < 1200
            assert link.size(telemetry(1, 2000)) >= link.size(telemetry(1, 1000)) + 1000


Clause = Callable[[Maker], Awaitable[None]]
CLAUSES: tuple[Clause, ...] = (
    every_frame_arrives_as_it_was_sent,
    frames_keep_their_order,
    frames_of_many_writers_stay_whole,
    a_message_of_the_largest_size_passes,
    a_slow_reader_holds_the_writer_back,
    a_cancelled_receive_loses_nothing,
    a_handler_that_returns_ends_the_stream_with_ok,
    a_handler_gives_the_stream_its_status,
    an_ended_link_stays_ended,
    the_end_interrupts_a_waiting_writer,
    a_client_that_leaves_is_seen_to_leave,
    a_server_that_stops_never_says_ok,
    links_are_apart_from_each_other,
    a_link_can_be_opened_again,
    nobody_there_is_retryable,
    a_link_says_who_is_there_and_how_large_a_frame_is,
)
