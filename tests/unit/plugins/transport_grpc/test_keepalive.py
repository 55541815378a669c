"""When a connection is asked whether it lives, and when it is given up; in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio

from plugins.transport_grpc.http2 import Http2

pytestmark = pytest.mark.mock_clock


class SilentLine:
    """Stands for the asyncio transport: takes what is written. answer: what the peer then does."""

    def __init__(self, answer: Callable[[], None] = lambda: None) -> None:
        self.pings: list[float] = []
        self.aborted = False
        self.closing = False
        self._answer = answer

    def write(self, data: bytes) -> None:
        if len(data) == 17 and data[3] == 6:  # a frame of 8 bytes of type PING
            self.pings.append(trio.current_time())
            self._answer()

    def get_extra_info(self, _name: str) -> None:
        return None

    def set_write_buffer_limits(self, high: int) -> None:
        assert high > 0

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.aborted = True


def _connected(answers: bool) -> tuple[Http2, SilentLine]:
    http2 = Http2("peer", client=True)

    def answer() -> None:
        if answers:
            http2.heard_at = trio.current_time()

    line = SilentLine(answer)
    http2.connection_made(line)
    return http2, line


def _told(_peer: str, _silent_s: float) -> None:
    raise AssertionError("a living peer was given up")


async def test_a_silent_peer_is_asked_once_and_given_up_when_it_does_not_answer() -> None:
    http2, line = _connected(answers=False)
    start = trio.current_time()
    silences: list[Any] = []
    await http2.keep_alive(10, 5, lambda *told: silences.append(told))
    assert [at - start for at in line.pings] == [10]
    assert trio.current_time() - start == 15
    assert silences == [("peer", 15)]
    assert line.aborted


async def test_an_idle_peer_that_answers_is_asked_every_time_the_line_is_idle() -> None:
    http2, line = _connected(answers=True)
    start = trio.current_time()
    with trio.move_on_after(100):
        await http2.keep_alive(10, 5, _told)
    assert [at - start for at in line.pings] == [10, 20, 30, 40, 50, 60, 70, 80, 90]
    assert not line.aborted


async def test_a_busy_line_is_never_asked() -> None:
    http2, line = _connected(answers=False)
    with trio.move_on_after(100):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(http2.keep_alive, 10, 5, _told)
            while True:
                await trio.sleep(9)
                http2.heard_at = trio.current_time()
    assert line.pings == []


async def test_data_in_place_of_an_answer_is_a_sign_of_life() -> None:
    http2, line = _connected(answers=False)
    with trio.move_on_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(http2.keep_alive, 10, 5, _told)
            await trio.sleep(12)
            http2.heard_at = trio.current_time()
    assert len(line.pings) == 1
    assert not line.aborted


async def test_a_closed_connection_is_left_alone() -> None:
    http2, line = _connected(answers=False)
    http2.close("done")
    await http2.keep_alive(10, 5, _told)
    assert line.pings == []
