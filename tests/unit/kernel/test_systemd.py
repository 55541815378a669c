"""Datagrams to systemd, checked against a real socket."""

import socket

import pytest
import trio

from appliance.kernel.systemd import Systemd


@pytest.fixture
def listener(tmp_path):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(path)
        bound.setblocking(False)
        yield path, bound


def test_states_arrive_at_the_socket(listener):
    """READY=1 as sd_notify sends it."""
    path, bound = listener
    Systemd({"NOTIFY_SOCKET": path}).tell("READY=1")

    assert bound.recv(100) == b"READY=1"


def test_without_systemd_nothing_is_sent():
    """No variable, no datagram, no error; a socket that is gone is no error either."""
    Systemd({}).tell("READY=1")
    Systemd({"NOTIFY_SOCKET": "/nonexistent/socket"}).tell("READY=1")


@pytest.mark.mock_clock
async def test_the_watchdog_beats_at_half_of_its_limit(listener):
    """Three beats in the time of one limit and a half."""
    path, bound = listener
    systemd = Systemd({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "20000000"})
    with trio.move_on_after(25):
        await systemd.run()

    beats = [bound.recv(100) for _ in range(3)]
    assert beats == [b"WATCHDOG=1"] * 3
    with pytest.raises(BlockingIOError):
        bound.recv(100)
