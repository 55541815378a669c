"""When a failed component is started again. Pure: time and chance are arguments.

Limits: a wait grows from `backoff_s_min` by doubling to `backoff_s_max`; of each wait the upper
half is left to chance, so that a fleet does not come back in step. Failures older than `window_s`
are forgotten, so a component that held for a while starts over with the shortest wait.

Invariant: only a policy that `escalates` can end the appliance. A device listener or a plugin
from outside never has such a policy, whatever it raises.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec


class Outcome(StrEnum):
    """How one life of a component ended, other than by being stopped."""

    FINISHED = "finished"
    FAILED = "failed"
    FATAL = "fatal"
    """It raised `Fatal`: trying again cannot help."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What to do about ends.

    restarts_max: within window_s; None = for ever. escalates: when restarts are used up or the
    failure is Fatal, end the appliance; otherwise leave the component out and go on.
    may_finish: ending without an error is a normal end, not a failure.
    """

    restarts_max: int | None = None
    window_s: float = 600.0
    backoff_s_min: float = 1.0
    backoff_s_max: float = 60.0
    escalates: bool = False
    may_finish: bool = True


FOUNDATION = Policy(restarts_max=3, escalates=True, may_finish=False)
"""Without storage nothing can be accepted: three tries, then a clean exit for systemd to retry."""
UPLINK = Policy(backoff_s_min=3.0, may_finish=False)
"""A cloud may be away for weeks."""
PROCESSING = Policy(restarts_max=3, escalates=True, may_finish=False)
"""Nothing is accepted without it either; single rule nodes are isolated further in."""
EDGE_OF_THE_HOUSE = Policy()
"""Listeners, pages, plugins from outside: tried for ever, never the reason for an exit."""


class Restart(msgspec.Struct, frozen=True):
    """Start again after a wait."""

    after_s: float


class Isolate(msgspec.Struct, frozen=True):
    """Leave it out; the rest goes on."""

    reason: str


class Escalate(msgspec.Struct, frozen=True):
    """End the appliance."""

    reason: str


class Finish(msgspec.Struct, frozen=True):
    """It is done; nothing to do."""


Decision = Restart | Isolate | Escalate | Finish


def recent(failures: Sequence[float], now: float, policy: Policy) -> tuple[float, ...]:
    """Those failures that the policy still remembers, oldest first."""
    return tuple(when for when in failures if now - when < policy.window_s)


def decide(
    policy: Policy, outcome: Outcome, failures: Sequence[float], now: float, chance: float
) -> Decision:
    """What follows from one end.

    Args:
        failures: times of the earlier failures, oldest first, without this one; seconds of
            the same clock as now.
        chance: 0 .. 1.
    """
    if outcome is Outcome.FINISHED and policy.may_finish:
        return Finish()
    give_up = Escalate if policy.escalates else Isolate
    if outcome is Outcome.FATAL:
        return give_up("it cannot go on")
    earlier = len(recent(failures, now, policy))
    if policy.restarts_max is not None and earlier >= policy.restarts_max:
        return give_up(f"it failed {earlier + 1} times within {policy.window_s:g} s")
    # 2.0 ** 64 waits would be far above any maximum, and a float still holds it.
    wait_s = min(policy.backoff_s_max, policy.backoff_s_min * 2.0 ** min(earlier, 64))
    return Restart(wait_s * (0.5 + 0.5 * chance))
