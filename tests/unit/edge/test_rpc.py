"""Requests on their way to devices and back."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest
import trio

from appliance.edge import rpc
from appliance.edge.rpc import ReplyDesk, RpcDesk, RpcOutcome, RpcRequest
from tests.unit.edge.world import Phone

pytestmark = pytest.mark.mock_clock

DEVICE, OTHER = UUID(int=1), UUID(int=2)


def desk() -> RpcDesk:
    return RpcDesk(lambda: int(trio.current_time() * 1000))


def request(device: UUID = DEVICE, *, oneway: bool = False, timeout_s: float = 10.0) -> RpcRequest:
    expires_ms = int((trio.current_time() + timeout_s) * 1000)
    return RpcRequest(device, "get", {"pin": 1}, oneway, expires_ms)


class Call:
    """A request under way in a task of its own."""

    def __init__(self, nursery: trio.Nursery, desk: RpcDesk, asked: RpcRequest) -> None:
        self.outcome: RpcOutcome | None = None
        self._ended = trio.Event()
        nursery.start_soon(self._run, desk, asked)

    async def _run(self, desk: RpcDesk, asked: RpcRequest) -> None:
        self.outcome = await desk.call(asked)
        self._ended.set()

    async def end(self) -> RpcOutcome:
        await self._ended.wait()
        assert self.outcome is not None
        return self.outcome


async def test_a_device_is_asked_and_its_answer_comes_back() -> None:
    made, phone = desk(), Phone()
    made.listen(DEVICE, phone)
    async with trio.open_nursery() as nursery:
        call = Call(nursery, made, request())
        await trio.testing.wait_all_tasks_blocked()
        assert phone.requests == [(0, "get", {"pin": 1})]
        assert made.reply(DEVICE, 0, {"v": 7})
        assert await call.end() == RpcOutcome(response={"v": 7})


async def test_request_ids_count_up_per_device() -> None:
    made, one, other = desk(), Phone(), Phone()
    made.listen(DEVICE, one)
    made.listen(OTHER, other)
    for device in (DEVICE, DEVICE, OTHER):
        await made.call(request(device, oneway=True))
    assert [id for id, _, _ in one.requests] == [0, 1]
    assert [id for id, _, _ in other.requests] == [0]


async def test_a_persistent_request_waits_for_a_session_even_if_it_is_one_way() -> None:
    made, phone = desk(), Phone()
    async with trio.open_nursery() as nursery:
        asked = msgspec.structs.replace(request(oneway=True), persistent=True)
        call = Call(nursery, made, asked)
        await trio.sleep(5)
        made.listen(DEVICE, phone)
        assert await call.end() == RpcOutcome(response={})
        assert len(phone.requests) == 1


async def test_a_request_waits_for_a_session_to_come() -> None:
    made, phone = desk(), Phone()
    async with trio.open_nursery() as nursery:
        call = Call(nursery, made, request())
        await trio.sleep(5)
        made.listen(DEVICE, phone)
        assert made.reply(DEVICE, phone.requests[0][0], "ok")
        assert (await call.end()).response == "ok"


@pytest.mark.parametrize(
    ("phone", "oneway", "error"),
    [
        pytest.param(None, False, "NO_ACTIVE_CONNECTION", id="nobody came"),
        pytest.param(None, True, "NO_ACTIVE_CONNECTION", id="one-way and nobody there"),
        pytest.param(Phone(takes=False), False, "NO_ACTIVE_CONNECTION", id="it took nothing"),
        pytest.param(Phone(), False, "TIMEOUT", id="it took it and said nothing"),
        pytest.param(Phone(), True, None, id="one-way and taken"),
    ],
)
async def test_how_a_request_ends_without_an_answer(
    phone: Phone | None, oneway: bool, error: str | None
) -> None:
    made = desk()
    if phone is not None:
        made.listen(DEVICE, phone)
    assert (await made.call(request(oneway=oneway))).error == error


async def test_a_oneway_request_does_not_wait() -> None:
    before = trio.current_time()
    await desk().call(request(oneway=True))
    assert trio.current_time() == before


async def test_of_two_sessions_the_newest_is_asked_and_then_the_other_again() -> None:
    made, old, new = desk(), Phone(), Phone()
    made.listen(DEVICE, old)
    stop = made.listen(DEVICE, new)
    await made.call(request(oneway=True))
    stop()
    await made.call(request(oneway=True))
    assert (len(old.requests), len(new.requests)) == (1, 1)


async def test_a_session_that_takes_nothing_leaves_it_to_the_other() -> None:
    made, old, new = desk(), Phone(), Phone(takes=False)
    made.listen(DEVICE, old)
    made.listen(DEVICE, new)
    await made.call(request(oneway=True))
    assert len(old.requests) == 1


async def test_stopping_twice_is_harmless() -> None:
    made = desk()
    stop = made.listen(DEVICE, Phone())
    stop()
    stop()
    assert not made.listens(DEVICE)


async def test_answers_nobody_waits_for_are_told_apart() -> None:
    made = desk()
    assert not made.reply(DEVICE, 0, "late")
    made.delivered(DEVICE, 0)


async def test_a_confirmed_delivery_makes_it_a_timeout() -> None:
    made, phone = desk(), Phone(takes=False)
    made.listen(DEVICE, phone)
    async with trio.open_nursery() as nursery:
        call = Call(nursery, made, request())
        await trio.testing.wait_all_tasks_blocked()
        made.delivered(DEVICE, 0)
        assert (await call.end()).error == "TIMEOUT"


async def test_too_many_waiting_requests_are_refused_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rpc, "PENDING_MAX", 2)
    made = desk()
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            Call(nursery, made, request())
        await trio.testing.wait_all_tasks_blocked()
        assert (await made.call(request())).error == "INTERNAL"


# --- devices' own requests ----------------------------------------------------------------------


async def test_an_answer_reaches_who_expects_it() -> None:
    replies = ReplyDesk()
    with replies.expecting(DEVICE, 1) as expected:
        assert replies.reply(DEVICE, 1, {"a": 1})
        assert await expected.wait(1.0) == {"a": 1}


async def test_without_an_answer_it_is_too_slow_and_forgotten() -> None:
    replies = ReplyDesk()
    with pytest.raises(trio.TooSlowError), replies.expecting(DEVICE, 1) as expected:
        await expected.wait(5.0)
    assert not replies.reply(DEVICE, 1, {})


async def test_other_numbers_and_sessions_are_others() -> None:
    replies = ReplyDesk()
    body: Any = {}
    with replies.expecting(DEVICE, 1):
        assert not replies.reply(DEVICE, 2, body)
        assert not replies.reply(OTHER, 1, body)
