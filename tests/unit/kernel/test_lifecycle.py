"""Start runs down, stop runs up, and the sum of deadlines fits the unit file."""

import configparser
import os
import signal
from pathlib import Path

import pytest
import trio

from appliance.kernel import lifecycle
from appliance.kernel.lifecycle import Levels, Lifecycle, SignalWatch, Stop
from appliance.kernel.restart import EDGE_OF_THE_HOUSE, FOUNDATION
from appliance.kernel.status import StatusBoard
from appliance.kernel.supervisor import Child
from appliance.model.errors import Fatal

ROOT = Path(__file__).parents[3]


class Diary:
    """Components that write down when they start, drain and stop."""

    def __init__(self):
        self.lines = []
        self.events = []
        self.stop = Stop()
        self.board = StatusBoard(lambda: 0, self.events.append)

    def child(self, name, drain_s=0.0, policy=EDGE_OF_THE_HOUSE, error=None):
        diary = self

        class Component:
            async def run(self, *, task_status=trio.TASK_STATUS_IGNORED):
                diary.lines.append(f"{name} starts")
                task_status.started()
                try:
                    if error is not None:
                        await trio.sleep(1)
                        raise error
                    await trio.sleep_forever()
                finally:
                    diary.lines.append(f"{name} stops")

            async def drain(self):
                await trio.sleep(drain_s)
                diary.lines.append(f"{name} is drained")

        return Child(name, Component(), policy)

    def lifecycle(self):
        return Lifecycle(self.board, self.events.append, self.stop)


def levels(diary, **changed):
    names = ("appliance", "foundation", "uplink", "processing", "ingest")
    return Levels(**{name: [diary.child(name)] for name in names} | changed)


async def stopped_after(diary, tree, wait_s=10.0):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(diary.lifecycle().live, tree)
        await trio.sleep(wait_s)
        diary.stop.ask("test")


@pytest.mark.mock_clock
async def test_start_runs_down_and_stop_runs_up():
    """The nesting is the order."""
    diary = Diary()

    await stopped_after(diary, levels(diary))

    down = ["appliance", "foundation", "uplink", "processing", "ingest"]
    up = [f"{name} {what}" for name in reversed(down) for what in ("is drained", "stops")]
    assert [f"{name} starts" for name in down] + up == diary.lines


@pytest.mark.mock_clock
async def test_a_drain_longer_than_its_deadline_is_cut_and_told():
    """The level's deadline holds; the next level still gets its turn."""
    diary = Diary()
    started = trio.current_time()

    await stopped_after(diary, levels(diary, uplink=[diary.child("uplink", drain_s=3600)]))

    assert "uplink is drained" not in diary.lines
    assert "foundation is drained" in diary.lines
    assert pytest.approx(trio.current_time() - started) == 10 + lifecycle.UPLINK_DRAIN_S
    assert [type(e).__name__ for e in diary.events if "Drain" in type(e).__name__] == ["DrainCut"]


@pytest.mark.mock_clock
async def test_a_second_wish_to_stop_skips_every_drain():
    """Ctrl-C twice: what is durable stays durable, nothing else is waited for."""
    diary = Diary()
    tree = levels(
        diary,
        uplink=[diary.child("uplink", drain_s=3600)],
        foundation=[diary.child("foundation", drain_s=3600)],
    )
    started = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(diary.lifecycle().live, tree)
        await trio.sleep(10)
        diary.stop.ask("SIGINT")
        await trio.sleep(1)
        diary.stop.ask("SIGINT")

    assert pytest.approx(trio.current_time() - started) == 11
    assert "foundation stops" in diary.lines


@pytest.mark.mock_clock
async def test_fatal_in_the_foundation_ends_everything():
    """The error leaves `live`; every component was cancelled."""
    diary = Diary()
    broken = diary.child("foundation", policy=FOUNDATION, error=Fatal("journal unreadable"))

    with pytest.raises(BaseExceptionGroup) as caught:
        await diary.lifecycle().live(levels(diary, foundation=[broken]))

    assert caught.group_contains(Fatal, match="journal unreadable")
    assert sum(line.endswith("stops") for line in diary.lines) == 5


@pytest.mark.mock_clock
async def test_a_drain_that_fails_is_told_and_stop_goes_on():
    """Nothing that a component does can keep the next level from its turn."""
    diary = Diary()
    child = diary.child("uplink")

    async def drain():
        raise OSError("wire cut")

    child.component.drain = drain

    await stopped_after(diary, levels(diary, uplink=[child]))

    assert "foundation is drained" in diary.lines
    assert [e.error for e in diary.events if type(e).__name__ == "CleanupFailed"] == [
        "OSError: wire cut"
    ]


async def test_sigterm_asks_to_stop():
    """The signal's name is the reason."""
    diary = Diary()
    tree = Levels(appliance=[Child("signals", SignalWatch(diary.stop), EDGE_OF_THE_HOUSE)])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(diary.lifecycle().live, tree)
        await trio.testing.wait_all_tasks_blocked()
        os.kill(os.getpid(), signal.SIGTERM)

    assert diary.stop.reason == "SIGTERM"


def test_the_deadlines_fit_the_units_stop_timeout_with_ten_seconds_to_spare():
    """systemd must never kill an appliance that is stopping as planned."""
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.read(ROOT / "build" / "appliance.service")

    timeout_s = float(unit["Service"]["TimeoutStopSec"])

    assert timeout_s >= lifecycle.STOP_S_MAX + 10
