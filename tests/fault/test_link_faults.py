"""Edge and cloud over real gRPC through a line and a cloud that fail on request.

Oracle, whatever fails: every value that the edge accepted is at the cloud or in quarantine, each
device's values were first taken by the cloud in the order in which it sent them, nothing was sent
again once its acknowledgement had come, and the edge's ledger adds up whenever one looks.
APPLIANCE_SEED repeats a run.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import msgspec
import pytest
import trio

from appliance.edge.assembly import Edge
from appliance.extension.ports import DeviceSession, Link, LinkClosed
from appliance.model.ids import EntityId
from appliance.model.telemetry import Value
from appliance.model.unit import CLOUD, Lane, StoredEvent, Unit
from appliance.sync.messages import Ack, Batch, Connect, Connected, Frame, Telemetry
from appliance.sync.outgoing import OutgoingLimits
from appliance.sync.wire import decode_entry
from appliance.testing.memory_storage import MemoryStorage
from plugins.transport_grpc.config import GrpcConfig
from plugins.transport_grpc.transport import GrpcTransport
from tests.kit.faulty_proxy import FaultyProxy, faulty_proxy
from tests.kit.pair import KEY, SECRET, commit, device_unit, running_cloud, running_edge, until
from tests.kit.seed import SEED

pytestmark = pytest.mark.fault

DEVICES = 3
PATIENCE_S = 60.0
LIMITS = OutgoingLimits(
    batch_size=20,
    batch_timeout_s=0.02,
    retry_interval_s=0.02,
    rate_limit_pause_s_max=0.1,
    retries_max=4,
    answer_timeout_s=2.0,
)
Values = tuple[tuple[EntityId, int], ...]


class Cloud:
    """What the cloud's handler sees and says; between the real session and the real link.

    mood: what to answer a batch with its values, or None to let the real session do it.
    came: every value in the order of first taking. silent: answers are kept back. shuffle: they
    come in any order. deadly: values that end the link instead of being answered. takes: the
    largest message, as announced. acked: values of which the edge knows that they are here.
    """

    def __init__(self, chance: random.Random) -> None:
        self.mood: Callable[[Values], str | None] = lambda _values: None
        self.came: dict[EntityId, list[int]] = defaultdict(list)
        self.refusals: list[str] = []
        self.silent = False
        self.shuffle = False
        self.deadly: set[int] = set()
        self.takes: int | None = None
        self.acked: set[int] = set()
        self.chance = chance
        self.sessions = 0

    def wrap(self, link: Link) -> Link:
        self.sessions += 1
        return MoodyLink(link, self)

    def took(self, values: Values) -> None:
        for entity, number in values:
            if number not in self.came[entity]:
                self.came[entity].append(number)


class MoodyLink:
    """The cloud's end of a link in a mood."""

    def __init__(self, link: Link, cloud: Cloud) -> None:
        self.peer = link.peer
        self.inbound_bytes_max = link.inbound_bytes_max
        self._link = link
        self._cloud = cloud
        self._values: dict[int, Values] = {}
        self._kept: list[Frame] = []

    async def receive(self) -> Sequence[Frame]:
        while True:
            out: list[Frame] = []
            for frame in await self._link.receive():
                if not isinstance(frame, Batch) or not await self._refused(frame):
                    out.append(frame)
            if out:
                return out

    async def _refused(self, batch: Batch) -> bool:
        values = self._values[batch.id] = values_of(batch)
        numbers = {number for _, number in values}
        again = numbers & self._cloud.acked
        assert not again, f"{again} were sent again after they had been acknowledged"
        if numbers & self._cloud.deadly:
            raise LinkClosed("what was that?", "INTERNAL")
        error = self._cloud.mood(values)
        if error is None:
            return False
        self._cloud.refusals.append(error)
        await self.send([Ack(batch.id, False, error)])
        return True

    async def send(self, frames: Sequence[Frame]) -> None:
        for frame in frames:
            if isinstance(frame, Ack) and frame.success:
                self._cloud.took(self._values.get(frame.id, ()))
        self._kept += [frame for frame in frames if isinstance(frame, Ack)]
        out = [self._announced(frame) for frame in frames if not isinstance(frame, Ack)]
        if not self._cloud.silent:
            kept, self._kept = self._kept, []
            if self._cloud.shuffle:
                self._cloud.chance.shuffle(kept)
                split = self._cloud.chance.randrange(len(kept) + 1)
                kept, self._kept = kept[split:], kept[:split]
            out += kept
        await self._link.send(out)

    def _announced(self, frame: Frame) -> Frame:
        if isinstance(frame, Connected) and self._cloud.takes is not None:
            return msgspec.structs.replace(frame, max_inbound_bytes=self._cloud.takes)
        return frame

    def size(self, frame: Frame) -> int:
        return self._link.size(frame)


def values_of(batch: Batch) -> Values:
    return tuple(
        (item.entity, number_of(entry))
        for item in batch.items
        if isinstance(item, Telemetry)
        for entry in item.entries
    )


def number_of(entry: bytes) -> int:
    number = decode_entry(entry)[1]["n"]
    assert isinstance(number, int)
    return number


class Memory(MemoryStorage):
    """The edge's storage; tells which values it has acknowledgements for."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__()
        self._cloud = cloud

    def acknowledge(self, outbox: str, lane: Lane, events: Iterable[StoredEvent]) -> None:
        events = list(events)
        super().acknowledge(outbox, lane, events)
        if lane is Lane.DATA:
            self._cloud.acked |= {number_of(event.event.body) for event in events}


class MoodyTransport:
    """The real transport; what it serves is seen through the cloud's mood."""

    def __init__(self, inner: GrpcTransport, cloud: Cloud) -> None:
        self._inner = inner
        self._cloud = cloud

    def connect(self) -> AbstractAsyncContextManager[Link]:
        return self._inner.connect()

    async def serve(
        self, handle: Callable[[Link], Awaitable[None]], *, task_status: Any = None
    ) -> None:
        await self._inner.serve(
            lambda link: handle(self._cloud.wrap(link)), task_status=task_status
        )


class Site:
    """A running edge with devices, its cloud, and the line between them."""

    def __init__(self, edge: Edge, store: MemoryStorage, cloud: Cloud, proxy: FaultyProxy) -> None:
        self.edge = edge
        self.store = store
        self.cloud = cloud
        self.proxy = proxy
        self.sessions: list[DeviceSession] = []
        self.accepted: dict[EntityId, list[int]] = defaultdict(list)
        self.next = 0

    async def post(self, count: int = 1, **more: Value) -> None:
        """Every device sends so many numbers, one after another, and `more` with each."""
        for _ in range(count):
            for session in self.sessions:
                number = self.next
                self.next += 1
                await self.edge.gate.post_telemetry(
                    [(session, [(number + 1, {"n": number, **more})])]
                )
                self.accepted[session.device].append(number)
            self.check_ledger()

    async def drained(self) -> None:
        await until(lambda: self.pending == 0, PATIENCE_S)

    @property
    def pending(self) -> int:
        return sum(self.store.depth(CLOUD, lane).pending for lane in Lane)

    @property
    def quarantined(self) -> dict[int, str]:
        return {
            number_of(entry.event.event.body): entry.reason
            for entry in self.store.quarantined(CLOUD)
        }

    def check_ledger(self) -> None:
        for lane in Lane:
            depth = self.store.depth(CLOUD, lane)
            rest = depth.pending + depth.quarantined + sum(depth.dropped.values())
            assert depth.accepted == depth.acknowledged + rest

    def check(self) -> None:
        """The oracle's verdict."""
        self.check_ledger()
        aside = set(self.quarantined)
        for device, numbers in self.accepted.items():
            assert self.cloud.came[device] == [n for n in numbers if n not in aside]


@asynccontextmanager
async def site(limits: OutgoingLimits = LIMITS) -> AsyncIterator[Site]:
    print(f"seed {SEED}")
    cloud = Cloud(random.Random(SEED))
    cloud_store, store = MemoryStorage(), Memory(cloud)
    with trio.fail_after(2 * PATIENCE_S):
        listening = MoodyTransport(grpc(0), cloud)
        async with (
            running_cloud(cloud_store, listening) as house,
            faulty_proxy(house.service.port) as proxy,
        ):
            for number in range(DEVICES):
                device, unit = device_unit(house.state, f"D{number}", f"T{number}")
                await commit(house, cloud_store, unit)
                await commit(
                    house,
                    cloud_store,
                    house.edges.assign(Unit(), house.state.ids("EDGE")[0], device),
                )
            async with running_edge(store, grpc(proxy.port), limits=limits) as edge:
                place = Site(edge, store, cloud, proxy)
                await until(lambda: edge.state.count("DEVICE_CREDENTIALS") == DEVICES)
                for number in range(DEVICES):
                    session = edge.gate.authenticate_token(f"T{number}")
                    assert session is not None
                    place.sessions.append(session)
                await place.drained()
                yield place
                proxy.thaw()


def grpc(port: int) -> GrpcTransport:
    config = GrpcConfig(
        host="127.0.0.1", listen="127.0.0.1", port=port, keepalive_s=2.0, keepalive_wait_s=0.5
    )
    return GrpcTransport(config, lambda _event: None)


# --- the line -----------------------------------------------------------------------------------


async def test_cuts_and_resets_under_load_lose_nothing() -> None:
    async with site() as place:
        chance = place.cloud.chance
        for _ in range(12):
            await place.post(chance.randrange(1, 25))
            chance.choice([place.proxy.cut, place.proxy.reset, lambda: None])()
            await trio.sleep(chance.uniform(0, 0.05))
        await place.drained()
        place.check()
        assert not place.quarantined


async def test_a_reset_in_the_middle_of_a_pack_loses_nothing() -> None:
    async with site() as place:
        for direction in ("up", "down", "up"):
            place.proxy.reset_after(direction, place.cloud.chance.randrange(50, 2000))  # type: ignore[arg-type] - one of two
            await place.post(40)
            await place.drained()
        place.check()
        assert not place.quarantined


async def test_a_half_open_line_is_given_up_and_what_was_on_it_sent_again() -> None:
    async with site() as place:
        place.proxy.freeze()
        await place.post(30)
        await until(lambda: place.edge.link.status.state != "connected", PATIENCE_S)
        place.proxy.thaw()
        await place.drained()
        place.check()


async def test_a_slow_line_only_takes_longer() -> None:
    async with site() as place:
        place.proxy.bytes_per_s = 20_000
        await place.post(60)
        await place.drained()
        place.check()
        assert place.cloud.sessions == 1


async def test_an_edge_that_is_away_for_a_while_catches_up_in_order() -> None:
    async with site() as place:
        place.proxy.refuse = True
        place.proxy.cut()
        await place.post(100)
        assert place.pending >= 300
        place.proxy.refuse = False
        await place.drained()
        place.check()


# --- the cloud ----------------------------------------------------------------------------------


async def test_a_value_that_is_refused_for_ever_is_put_aside_with_the_clouds_words() -> None:
    async with site() as place:
        poison = {7, 40, 41, 100}
        place.cloud.mood = lambda values: "bad value" if poison & {n for _, n in values} else None
        await place.post(50)
        await place.drained()
        place.check()
        assert place.quarantined == dict.fromkeys(poison, "bad value")


async def test_a_cloud_that_refuses_everything_for_a_while_puts_nothing_aside() -> None:
    async with site(msgspec.structs.replace(LIMITS, retries_max=40)) as place:
        place.cloud.mood = lambda values: "database is down" if values else None
        await place.post(30)
        await until(lambda: len(place.cloud.refusals) > 40, PATIENCE_S)
        place.cloud.mood = lambda _values: None
        await place.post(10)
        await place.drained()
        place.check()
        assert not place.quarantined


async def test_a_rate_limit_pauses_and_nothing_is_lost() -> None:
    async with site() as place:
        chance, refusals = place.cloud.chance, place.cloud.refusals
        often = LIMITS.retries_max + 2  # in a row, so that any other refusal would put aside

        def mood(values: Values) -> str | None:
            limited = len(refusals) < often or chance.random() < 0.6
            return "Rate limit reached for edge" if values and limited else None

        place.cloud.mood = mood
        await place.post(60)
        await place.drained()
        assert len(refusals) >= often
        place.check()
        assert not place.quarantined


async def test_a_cloud_that_stops_answering_gets_a_new_link_and_in_the_end_everything() -> None:
    async with site(msgspec.structs.replace(LIMITS, answer_timeout_s=0.5)) as place:
        place.cloud.silent = True
        await place.post(30)
        await until(lambda: place.cloud.sessions > 2, PATIENCE_S)
        place.cloud.silent = False
        await place.drained()
        place.check()
        assert not place.quarantined


async def test_answers_in_any_order_and_late_are_as_good() -> None:
    async with site() as place:
        place.cloud.shuffle = True
        await place.post(80)
        await trio.sleep(0.2)
        place.cloud.shuffle = False
        await place.post(5)
        await place.drained()
        place.check()


async def test_a_second_session_of_the_same_edge_wins_and_the_first_comes_back_politely() -> None:
    async with site() as place:
        sessions = place.cloud.sessions
        async with grpc(place.proxy.port).connect() as rival:
            await rival.send([Connect(KEY, SECRET, 13)])
            assert isinstance((await rival.receive())[0], Connected)
            await until(lambda: place.edge.link.status.state != "connected", PATIENCE_S)
            assert place.edge.link.status.last_error.startswith("OK")
            with pytest.raises(LinkClosed) as closed:  # until the edge takes its place again
                while True:
                    await rival.receive()
            assert closed.value.status == "OK"
        await place.post(20)
        await place.drained()
        place.check()
        assert place.cloud.sessions >= sessions + 2


async def test_a_value_that_ends_every_link_is_found_and_put_aside() -> None:
    async with site() as place:
        place.cloud.deadly = {33}
        await place.post(30)
        await place.drained()
        place.check()
        (reason,) = place.quarantined.values()
        assert set(place.quarantined) == {33}
        assert "the link broke" in reason


async def test_a_value_that_is_too_large_for_the_cloud_is_put_aside_with_its_size() -> None:
    async with site() as place:
        place.cloud.takes = 3000
        place.proxy.cut()
        await place.post(20, text="x" * 200)
        await place.post(1, text="x" * 4000)
        await place.post(20)
        await place.drained()
        place.check()
        assert set(place.quarantined) == {60, 61, 62}
        assert all("and the peer takes 3000" in reason for reason in place.quarantined.values())
        assert all(entry.size > 4000 for entry in place.store.quarantined(CLOUD))


async def test_everything_at_once() -> None:
    async with site() as place:
        chance, cloud, proxy = place.cloud.chance, place.cloud, place.proxy
        poison = {chance.randrange(300) for _ in range(3)}

        def mood(values: Values) -> str | None:
            if poison & {n for _, n in values}:
                return "bad value"
            return "Rate limit reached" if values and chance.random() < 0.1 else None

        cloud.mood = mood
        for _ in range(15):
            await place.post(chance.randrange(1, 14))
            cloud.shuffle = chance.random() < 0.3
            chance.choice([proxy.cut, proxy.reset, *([lambda: None] * 3)])()
            await trio.sleep(chance.uniform(0, 0.05))
        cloud.shuffle = False
        await place.post(1)
        await place.drained()
        place.check()
        assert set(place.quarantined) == {n for n in poison if n < place.next}
