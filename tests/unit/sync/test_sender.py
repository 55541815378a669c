"""One outbox over one link: storage, parcels, batches, acknowledgements, cursor."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

import pytest
import trio

from appliance.extension.ports import LinkClosed
from appliance.kernel.events import Event
from appliance.model.errors import Permanent
from appliance.model.unit import CLOUD, Lane, OutboxEvent, StoredEvent, Unit
from appliance.sync.messages import Ack, Batch, EntityUpdate, Frame, Item, Telemetry
from appliance.sync.outgoing import OutgoingLimits
from appliance.sync.sender import TURN_S, EventQuarantined, EventsDelivered, Sender, merge
from appliance.testing.memory_storage import MemoryStorage
from tests.kit.pair import until
from tests.unit.sync.events import entity

pytestmark = pytest.mark.mock_clock

LIMITS = OutgoingLimits(
    batch_size=10, batch_timeout_s=0.1, retry_interval_s=0.1, retries_max=2, answer_timeout_s=5.0
)


class Peer:
    """A link whose other end does what `react` says; accepts everything by default."""

    peer = "test"

    def __init__(self) -> None:
        self.sender: Sender | None = None
        self.batches: list[Batch] = []
        self.react: Callable[[Batch], Ack | None] = lambda batch: Ack(batch.id, True)
        self.sizes: Callable[[Batch], int] = lambda batch: 10 * len(bodies(batch))

    async def send(self, frames: Sequence[Frame]) -> None:
        await trio.lowlevel.checkpoint()
        for frame in frames:
            assert isinstance(frame, Batch)
            self.batches.append(frame)
            ack = self.react(frame)
            if ack is not None and self.sender is not None:
                self.sender.on_ack(ack)

    async def receive(self) -> Sequence[Frame]:
        await trio.sleep_forever()
        raise AssertionError

    def size(self, frame: Frame) -> int:
        assert isinstance(frame, Batch)
        return self.sizes(frame)


def bodies(batch: Batch) -> list[bytes]:
    return [e for item in batch.items if isinstance(item, Telemetry) for e in item.entries]


def itemize(event: StoredEvent) -> Iterable[Item]:
    """Like the mapper: b"gone" is about what is gone, b"bad" cannot be read."""
    match event.event.body:
        case b"gone":
            return ()
        case b"bad":
            raise KeyError("kv")
    return (Telemetry(event.event.entity, (event.event.body,)),)


class Bench:
    def __init__(self, limits: OutgoingLimits = LIMITS) -> None:
        self.storage = MemoryStorage()
        self.events: list[Event] = []
        self.sender = Sender(self.storage, CLOUD, itemize, limits, self.events.append)
        self.peer = Peer()
        self.peer.sender = self.sender

    async def put(self, *said: bytes, of: int = 0) -> None:
        """All in one commit."""
        made = [
            OutboxEvent(CLOUD, Lane.DATA, "DEVICE", "TIMESERIES_UPDATED", entity(of), body)
            for body in said
        ]
        await self.storage.commit([Unit(events=[event]) for event in made])

    @property
    def arrived(self) -> list[bytes]:
        return [body for batch in self.peer.batches for body in bodies(batch)]

    @property
    def aside(self) -> dict[bytes, str]:
        return {q.event.event.body: q.reason for q in self.storage.quarantined(CLOUD)}

    @property
    def depth(self) -> int:
        return self.storage.depth(CLOUD, Lane.DATA).pending

    async def drained(self) -> None:
        await until(lambda: self.depth == 0, 100)

    async def life(self, peer_bytes_max: int | None = None) -> None:
        """One link, until it breaks."""
        with pytest.raises(ExceptionGroup) as broken:
            await self.sender.run(self.peer, peer_bytes_max)
        assert broken.group_contains(LinkClosed, depth=1)


@asynccontextmanager
async def sending(made: Bench, peer_bytes_max: int | None = None) -> AsyncIterator[Bench]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.sender.run, made.peer, peer_bytes_max)
        yield made
        nursery.cancel_scope.cancel()


async def test_what_is_pending_and_what_comes_later_is_sent_in_order_and_once() -> None:
    made = Bench()
    await made.put(b"1", b"2")
    async with sending(made):
        await made.drained()
        await made.put(b"3")
        await made.drained()
    assert made.arrived == [b"1", b"2", b"3"]
    delivered = [event.count for event in made.events if isinstance(event, EventsDelivered)]
    assert sum(delivered) == 3


async def test_a_new_link_sends_what_has_no_answer_and_nothing_else() -> None:
    made = Bench()
    await made.put(b"1", of=1)
    async with sending(made):
        await made.drained()
        made.peer.react = lambda _batch: None
        await made.put(b"2", of=2)
        await until(lambda: made.arrived == [b"1", b"2"])
    made.peer.react = lambda batch: Ack(batch.id, True)
    async with sending(made):
        await made.drained()
    assert made.arrived == [b"1", b"2", b"2"]


async def test_what_speaks_of_something_gone_needs_no_answer() -> None:
    made = Bench()
    await made.put(b"gone", b"gone")
    async with sending(made):
        await made.drained()
    assert made.peer.batches == []
    assert made.aside == {}


async def test_what_cannot_be_put_on_the_wire_is_put_aside_and_the_rest_goes() -> None:
    made = Bench()
    await made.put(b"1", b"bad", b"2")
    async with sending(made):
        await made.drained()
    assert sorted(made.arrived) == [b"1", b"2"]
    assert list(made.aside) == [b"bad"]
    assert "cannot be sent" in made.aside[b"bad"]


async def test_what_the_wire_has_no_field_for_is_put_aside() -> None:
    made = Bench()

    def sizes(batch: Batch) -> int:
        if b"odd" in bodies(batch):
            raise Permanent("an UplinkMsg carries no such thing")
        return 10

    made.peer.sizes = sizes
    await made.put(b"1", b"odd", b"2")
    async with sending(made):
        await made.drained()
    assert made.arrived == [b"1", b"2"]
    assert "carries no such thing" in made.aside[b"odd"]


async def test_what_is_too_large_together_is_sent_apart_and_what_is_alone_is_put_aside() -> None:
    made = Bench()
    await made.put(b"1", b"22", b"3")
    made.peer.sizes = lambda batch: sum(10 ** len(body) for body in bodies(batch))
    async with sending(made, peer_bytes_max=50):
        await made.drained()
    assert made.arrived == [b"1", b"3"]
    assert made.aside == {b"22": "100 bytes, and the peer takes 50"}
    assert [aside.size for aside in made.storage.quarantined(CLOUD)] == [100]


async def test_a_refused_value_is_put_aside_with_the_peers_words_however_full_the_disk() -> None:
    made = Bench()
    await made.put(b"1")
    made.peer.react = lambda batch: Ack(batch.id, False, "no such key")
    async with sending(made):
        await until(lambda: len(made.peer.batches) == LIMITS.retries_max)
        made.storage.full = True
        await trio.sleep(10)
        assert made.aside == {}
        made.storage.full = False
        await made.drained()
    assert made.aside == {b"1": "no such key"}
    assert [type(event) for event in made.events] == [EventQuarantined]


async def test_a_peer_that_falls_silent_ends_the_link() -> None:
    made = Bench()
    await made.put(b"1")
    made.peer.react = lambda _batch: None
    began = trio.current_time()
    await made.life()
    assert trio.current_time() - began == pytest.approx(LIMITS.answer_timeout_s)


async def test_a_peer_that_falls_silent_is_noticed_while_it_is_being_answered() -> None:
    made = Bench()
    await made.put(b"1")
    made.peer.react = lambda _batch: None

    async def answer_for_ever() -> None:
        await trio.sleep(1)
        async with made.sender.turn:
            await made.put(b"2")
            await trio.sleep_forever()

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer_for_ever)
        with trio.fail_after(60):
            await made.life()
        nursery.cancel_scope.cancel()
    assert trio.current_time() - began <= LIMITS.answer_timeout_s + TURN_S


async def test_a_value_that_breaks_every_link_is_found_among_others_and_put_aside() -> None:
    made = Bench()

    def breaks(batch: Batch) -> Ack | None:
        if b"deadly" in bodies(batch):
            raise LinkClosed("reset by peer")
        return Ack(batch.id, True)

    made.peer.react = breaks
    await made.put(*(b"%d" % number for number in range(15)), b"deadly")
    await made.put(b"last")
    for _ in range(40):
        with trio.move_on_after(60):
            await made.life()
    assert "the link broke" in made.aside[b"deadly"]
    assert made.depth == 0
    assert list(dict.fromkeys(made.arrived))[-1] == b"last"
    assert set(made.aside) == {b"deadly"}


async def test_care_ends_when_what_was_in_flight_then_has_arrived() -> None:
    made = Bench()
    made.peer.react = lambda _batch: None
    await made.put(*(b"%d" % number for number in range(10)))
    for _ in range(3):
        await made.life()
    assert len(bodies(made.peer.batches[-1])) < LIMITS.batch_size
    made.peer.react = lambda batch: Ack(batch.id, True)
    async with sending(made):
        await made.drained()
        await made.put(*(b"%d" % number for number in range(100, 120)))
        await made.drained()
    assert len(bodies(made.peer.batches[-1])) > 1


# --- merging ------------------------------------------------------------------------------------


def test_consecutive_values_of_one_device_become_one_item() -> None:
    one, two = entity(1), entity(2)
    update = EntityUpdate("deviceUpdate", 0, None)
    items = [
        Telemetry(one, (b"a",)),
        Telemetry(one, (b"b", b"c")),
        Telemetry(two, (b"d",)),
        Telemetry(one, (b"e",)),
        update,
        Telemetry(one, (b"f",)),
    ]
    assert merge(items) == [
        Telemetry(one, (b"a", b"b", b"c")),
        Telemetry(two, (b"d",)),
        Telemetry(one, (b"e",)),
        update,
        Telemetry(one, (b"f",)),
    ]
    assert merge([]) == []
