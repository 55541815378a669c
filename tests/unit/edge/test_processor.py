"""The way of a message: rule chain, unit of work, commit, what follows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
import trio

from appliance.edge import processor as module
from appliance.edge.processor import MessageFailed, Processor
from appliance.kernel.events import Event
from appliance.model.errors import Retryable
from appliance.model.ids import EntityId, new_uuid
from appliance.model.message import Message
from appliance.model.telemetry import AttributeWrite, Scope, Series
from appliance.model.unit import EntityWrite, Unit
from appliance.rules.work import Work
from appliance.state.store import State
from appliance.testing.memory_storage import MemoryStorage

pytestmark = pytest.mark.mock_clock

DEVICE = EntityId("DEVICE", UUID(int=1))


class ScriptedEngine:
    """Saves a message's number as a series and as an attribute; slow ones wait a second."""

    def __init__(self) -> None:
        self.after: list[int] = []

    def process(self, message: Message, work: Work) -> Awaitable[None] | None:
        number = message.data
        write = AttributeWrite(DEVICE, Scope.SERVER, message.ts, {"last": number})
        work.unit.attributes.append(write)
        work.unit.series.append(Series(DEVICE, number, {"n": number}))
        work.after.append(lambda: self.after.append(number))
        if message.type == "FAILING":
            work.failure = "as told"
        return trio.sleep(1) if message.type == "SLOW" else None


class Bench:
    def __init__(self) -> None:
        self.storage = MemoryStorage()
        self.state = State()
        self.events: list[Event] = []
        self.engine = ScriptedEngine()
        self.processor = Processor(self.storage, self.state, self.events.append)
        self.processor.engine = self.engine

    @property
    def saved(self) -> list[int]:
        return sorted(self.storage.disk.points.get(DEVICE, {}).get("n", {}))

    @property
    def last_on_disk(self) -> object:
        stored = self.storage.disk.attributes.get((DEVICE, Scope.SERVER, "last"))
        return stored and stored.value

    @property
    def last(self) -> object:
        stored = self.state.attributes(DEVICE, Scope.SERVER).get("last")
        return stored and stored.value


@asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    async with trio.open_nursery() as nursery:
        await nursery.start(made.processor.run)
        yield made
        nursery.cancel_scope.cancel()


def message(number: int, type: str = "QUICK") -> Message:
    return Message(new_uuid(), number, type, DEVICE, number, {})


def messages(*numbers: int) -> Sequence[Message]:
    return [message(number) for number in numbers]


def device(body: bytes) -> Unit:
    return Unit(entities=[EntityWrite(DEVICE.type, DEVICE.id, body)])


async def test_what_messages_cause_is_durable_and_followed_when_process_returns() -> None:
    async with bench() as made:
        await made.processor.process(messages(1, 2))
        assert made.saved == [1, 2]
        assert made.engine.after == [1, 2]
        assert made.last == made.last_on_disk == 2


async def test_messages_that_wait_are_waited_for_side_by_side() -> None:
    async with bench() as made:
        await made.processor.process([message(1, "SLOW"), message(2, "SLOW"), message(3)])
        assert trio.current_time() == pytest.approx(1.0)
        assert made.saved == [1, 2, 3]


async def test_a_failure_in_a_chain_is_told_and_what_was_saved_stays() -> None:
    async with bench() as made:
        await made.processor.process([message(1, "FAILING")])
        (failed,) = [event for event in made.events if isinstance(event, MessageFailed)]
        assert failed.reason == "as told"
        assert made.saved == [1]


@pytest.mark.parametrize("type", ["QUICK", "SLOW"])
async def test_a_full_disk_is_one_plain_refusal(type: str) -> None:
    async with bench() as made:
        made.storage.full = True
        with pytest.raises(Retryable):
            await made.processor.process([message(1, type), message(2), message(3, type)])
        assert made.engine.after == []
        assert made.saved == []


async def test_while_changes_of_state_are_owed_nothing_is_taken_until_they_are_paid() -> None:
    async with bench() as made:
        made.storage.full = True
        with pytest.raises(Retryable):
            await made.processor.process(messages(1))
        made.storage.full = False
        with pytest.raises(Retryable):
            await made.processor.process(messages(2))
        with pytest.raises(Retryable):
            await made.processor.commit(Unit())
        await trio.sleep(2)
        assert made.last_on_disk == made.last == 1
        await made.processor.process(messages(2))
        assert made.last_on_disk == made.last == 2


async def test_telemetry_that_was_refused_is_not_owed_since_its_device_sends_it_again() -> None:
    async with bench() as made:
        made.storage.full = True
        with pytest.raises(Retryable):
            await made.processor.process(messages(1))
        made.storage.full = False
        await trio.sleep(2)
        assert made.saved == []
        assert made.engine.after == []


async def test_a_task_that_was_refused_is_owed_whole_and_followed_when_paid() -> None:
    async with bench() as made:
        made.storage.full = True
        made.processor.submit(lambda work: made.processor.through_chain(message(7), work))
        await trio.sleep(1)
        assert made.engine.after == []
        made.storage.full = False
        await trio.sleep(2)
        assert made.saved == [7]
        assert made.engine.after == [7]


async def test_tasks_wait_while_something_is_owed_so_that_debts_do_not_grow() -> None:
    async with bench() as made:
        made.storage.full = True
        ran: list[int] = []
        made.processor.submit(lambda work: made.processor.through_chain(message(1), work))
        made.processor.submit(lambda _work: ran.append(2))
        await trio.sleep(60)
        assert ran == []
        made.storage.full = False
        await trio.sleep(2)
        assert ran == [2]


async def test_what_a_peer_says_does_not_overtake_on_the_disk_what_is_owed() -> None:
    async with bench() as made:
        made.storage.full = True
        with pytest.raises(Retryable):
            await made.processor.commit(device(b'{"label":"ours"}'))
        made.storage.full = False
        said = device(b'{"label":"theirs"}')
        made.state.apply(said)
        await made.processor.commit_received([said])
        await trio.sleep(2)
        labels = [write.body for unit in made.storage.disk.units for write in unit.entities]
        assert labels == [b'{"label":"ours"}', b'{"label":"theirs"}']


async def test_what_comes_to_be_owed_while_debts_are_paid_is_paid_too() -> None:
    async with bench() as made:
        made.storage.full = True
        made.processor.submit(lambda work: made.processor.through_chain(message(1), work))
        await trio.sleep(0.5)
        paying = SlowCommit(made.storage)
        made.storage.full = False
        await paying.begun.wait()
        made.storage.full = True
        made.processor.submit(lambda work: made.processor.through_chain(message(2), work))
        await trio.testing.wait_all_tasks_blocked()
        made.storage.full = False
        paying.go_on.set()
        await trio.sleep(3)
        assert made.saved == [1, 2]


class SlowCommit:
    """Makes the storage's next commit that succeeds take until `go_on`."""

    def __init__(self, storage: MemoryStorage) -> None:
        self.begun, self.go_on = trio.Event(), trio.Event()
        self._storage = storage
        self._commit = storage.commit
        storage.commit = self._slow  # type: ignore[method-assign] - the seam of this test

    async def _slow(self, units: Sequence[Unit]) -> int:
        first = await self._commit(units)
        self._storage.commit = self._commit  # type: ignore[method-assign] - as it was
        self.begun.set()
        await self.go_on.wait()
        return first


async def test_a_commit_is_not_torn_by_a_device_that_hangs_up() -> None:
    async with bench() as made:
        with trio.CancelScope() as scope:
            scope.cancel()
            await made.processor.process(messages(1))
        assert made.saved == [1]


async def test_what_a_peer_sent_is_committed_however_long_it_takes() -> None:
    async with bench() as made, trio.open_nursery() as nursery:
        made.storage.full = True
        unit = Unit(series=[Series(DEVICE, 5, {"n": 5})])
        nursery.start_soon(made.processor.commit_received, [unit])
        await trio.sleep(10)
        assert made.saved == []
        made.storage.full = False
        await trio.sleep(2)
        assert made.saved == [5]


async def test_more_tasks_than_may_wait_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TASKS_MAX", 2)
    made = Bench()
    task: Callable[[Work], None] = lambda _work: None  # noqa: E731 - one word three times
    made.processor.submit(task)
    made.processor.submit(task)
    with pytest.raises(Retryable):
        made.processor.submit(task)
