"""Runs one component for as long as it should live. The only place that catches Exception.

The decision is pure (kernel/restart.py); here are only the nursery, the clock and the board.
`Cancelled` passes through untouched: being stopped is not a failure.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec
import trio

from appliance.extension.ports import Component, Draining
from appliance.kernel.restart import Escalate, Finish, Isolate, Outcome, Policy, decide, recent
from appliance.kernel.status import StatusBoard, leaves, told
from appliance.model.errors import Fatal


class Child(msgspec.Struct, frozen=True):
    """A component with a name and a policy.

    component: its `run` may be called again after it ended, so it opens what it needs in there.
    awaited: start-up waits until it is up; otherwise the first end, good or bad, lets it go on.
    """

    name: str
    component: Component
    policy: Policy
    awaited: bool = False


async def supervise(
    child: Child,
    board: StatusBoard,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run the child until it finishes, is isolated or is cancelled.

    Raises:
        Fatal: the policy escalates and restarts are used up, or the child said Fatal.
    """
    failures: tuple[float, ...] = ()
    told_start = _once(task_status.started)
    while True:
        board.starting(child.name)
        error = await _live_once(child, board, told_start)
        now = trio.current_time()
        outcome = _outcome(error)
        decision = decide(child.policy, outcome, failures, now, random.random())
        error = error or Fatal(f"{child.name} ended by itself")
        match decision:
            case Finish():
                board.finished(child.name)
                return told_start()
            case Escalate(reason):
                board.escalated(child.name, error, reason)
                raise Fatal(f"{child.name}: {reason}: {told(error)}") from error
            case Isolate(reason):
                board.isolated(child.name, error, reason)
                return told_start()
        failures = (*recent(failures, now, child.policy), now)
        board.waiting(child.name, error, decision.after_s)
        if not child.awaited:
            told_start()
        await trio.sleep(decision.after_s)


async def _live_once(
    child: Child, board: StatusBoard, told_start: Callable[[], None]
) -> BaseException | None:
    """One life: None when it finished, its errors when it failed; cancellation goes through."""
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(child.component.run)
            board.running(child.name)
            told_start()
    except trio.Cancelled:
        board.stopped(child.name, None)
        raise
    except BaseExceptionGroup as group:
        # SystemExit counts as an error: a plugin's sys.exit() is not the operator's.
        errors, rest = group.split((Exception, SystemExit))
        if rest is not None:
            board.stopped(child.name, errors)
            raise rest from None
        return errors
    return None


async def drain(child: Child, board: StatusBoard) -> None:
    """Let the child finish what waits, if it knows how; its failure is told, not raised."""
    if not isinstance(child.component, Draining):
        return
    try:
        await child.component.drain()
    except Exception as error:  # noqa: BLE001 - the supervisor is where everything is caught
        board.drain_failed(child.name, error)


def _outcome(error: BaseException | None) -> Outcome:
    if error is None:
        return Outcome.FINISHED
    fatal = any(isinstance(leaf, Fatal) for leaf in leaves(error))
    return Outcome.FATAL if fatal else Outcome.FAILED


def _once(call: Callable[[], None]) -> Callable[[], None]:
    called = False

    def first_time() -> None:
        nonlocal called
        if not called:
            called = True
            call()

    return first_time
