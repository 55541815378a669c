"""The supervisor's driver: a script of lives in virtual time, then the list of what was told."""

import pytest
import trio

from appliance.kernel.restart import EDGE_OF_THE_HOUSE, FOUNDATION, UPLINK, Policy
from appliance.kernel.status import StatusBoard
from appliance.kernel.supervisor import Child, supervise
from appliance.model.errors import Fatal, Retryable


class Scripted:
    """A component whose lives follow a script: an error to raise, or None to end well.

    `up`: it says started before it ends.
    """

    def __init__(self, *lives, up=True):
        self.lives = list(lives)
        self.up = up
        self.starts = 0

    async def run(self, *, task_status=trio.TASK_STATUS_IGNORED):
        self.starts += 1
        end = self.lives.pop(0) if self.lives else trio.sleep_forever
        if self.up:
            task_status.started()
        if end is trio.sleep_forever:
            task_status.started() if not self.up else None
            await trio.sleep_forever()
        if isinstance(end, BaseException):
            raise end
        if not self.up:
            task_status.started()


def told(events):
    return [type(event).__name__ for event in events]


@pytest.fixture
def world():
    events = []
    return StatusBoard(lambda: int(trio.current_time() * 1000), events.append), events


@pytest.mark.mock_clock
async def test_an_hour_of_failures_passes_in_virtual_time_and_the_last_life_holds(world):
    """A policy without a limit never gives up."""
    board, events = world
    component = Scripted(*[OSError("no route")] * 80)
    child = Child("uplink", component, UPLINK)

    with trio.move_on_after(3 * 3600):
        await supervise(child, board)

    assert component.starts == 81
    assert told(events).count("ComponentFailed") == 80
    assert told(events)[-2:] == ["ComponentStarted", "ComponentEnded"]
    assert board.lines()[0].state == "stopped"


@pytest.mark.mock_clock
async def test_a_foundation_is_restarted_three_times_and_then_the_appliance_ends(world):
    """The fourth failure within the window escalates."""
    board, events = world
    component = Scripted(*[OSError("disk")] * 9)

    with pytest.raises(Fatal, match="failed 4 times"):
        await supervise(Child("storage", component, FOUNDATION), board)

    assert component.starts == 4
    assert told(events)[-1] == "ComponentEscalated"


async def test_fatal_from_a_plugin_isolates_it_and_nothing_else(world):
    """The supervisor returns; nobody is cancelled."""
    board, events = world

    await supervise(Child("x", Scripted(Fatal("broken")), EDGE_OF_THE_HOUSE), board)

    assert board.lines()[0].state == "isolated"
    assert board.lines()[0].error == "broken"
    assert told(events)[-1] == "ComponentIsolated"


async def test_a_plugin_that_calls_sys_exit_is_a_failed_plugin(world):
    """SystemExit from a component does not leave the supervisor."""
    board, _ = world
    policy = Policy(restarts_max=0)

    await supervise(Child("x", Scripted(SystemExit(3)), policy), board)

    assert board.lines()[0].error == "SystemExit: 3"


async def test_start_up_goes_on_without_a_component_that_is_not_awaited(world):
    """A port that is taken delays nobody."""
    board, _ = world
    async with trio.open_nursery() as nursery:
        child = Child("http", Scripted(Retryable("port taken"), up=False), EDGE_OF_THE_HOUSE)
        await nursery.start(supervise, child, board)

        assert board.lines()[0].state == "waiting"
        nursery.cancel_scope.cancel()


@pytest.mark.mock_clock
async def test_start_up_waits_for_an_awaited_component_until_it_is_up(world):
    """Storage that comes up at the third try holds the start until then."""
    board, _ = world
    component = Scripted(Retryable("a"), Retryable("b"), up=False)
    async with trio.open_nursery() as nursery:
        await nursery.start(supervise, Child("s", component, FOUNDATION, awaited=True), board)

        assert board.lines()[0].state == "running"
        assert component.starts == 3
        nursery.cancel_scope.cancel()


async def test_a_failure_while_cleaning_up_is_told_and_cancellation_still_wins(world):
    """Cancelled passes through; the clean-up's error is an event, not a restart."""
    board, events = world

    class Messy:
        async def run(self, *, task_status=trio.TASK_STATUS_IGNORED):
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(trio.sleep_forever)
                    raise OSError("cannot close")

    async with trio.open_nursery() as nursery:
        await nursery.start(supervise, Child("x", Messy(), EDGE_OF_THE_HOUSE), board)
        nursery.cancel_scope.cancel()

    assert board.lines()[0].state == "stopped"
    assert told(events) == ["ComponentStarted", "ComponentEnded", "CleanupFailed"]


async def test_a_finished_component_stays_finished(world):
    """A reader that has read its file is done."""
    board, _ = world

    await supervise(Child("reader", Scripted(None), EDGE_OF_THE_HOUSE), board)

    assert board.lines()[0].state == "finished"
