"""The restart policy, by table: no clock, no chance."""

import pytest

from appliance.kernel.restart import (
    EDGE_OF_THE_HOUSE,
    FOUNDATION,
    UPLINK,
    Escalate,
    Finish,
    Isolate,
    Outcome,
    Policy,
    Restart,
    decide,
    recent,
)

FAILED, FATAL, FINISHED = Outcome.FAILED, Outcome.FATAL, Outcome.FINISHED
TABLE = [
    # policy, outcome, earlier failures, now, chance -> decision
    (UPLINK, FAILED, (), 0.0, 1.0, Restart(3.0)),
    (UPLINK, FAILED, (), 0.0, 0.0, Restart(1.5)),
    (UPLINK, FAILED, (0.0,), 5.0, 1.0, Restart(6.0)),
    (UPLINK, FAILED, (0.0,) * 50, 5.0, 1.0, Restart(60.0)),
    (UPLINK, FAILED, (0.0,) * 5000, 5.0, 1.0, Restart(60.0)),
    (UPLINK, FAILED, (0.0,), 600.0, 1.0, Restart(3.0)),
    (UPLINK, FINISHED, (), 0.0, 1.0, Restart(3.0)),
    (FOUNDATION, FAILED, (0.0, 1.0), 2.0, 1.0, Restart(4.0)),
    (FOUNDATION, FAILED, (0.0, 1.0, 2.0), 3.0, 1.0,
     Escalate("it failed 4 times within 600 s")),
    (FOUNDATION, FAILED, (0.0, 1.0, 2.0), 700.0, 1.0, Restart(1.0)),
    (FOUNDATION, FATAL, (), 0.0, 1.0, Escalate("it cannot go on")),
    (EDGE_OF_THE_HOUSE, FATAL, (), 0.0, 1.0, Isolate("it cannot go on")),
    (EDGE_OF_THE_HOUSE, FINISHED, (), 0.0, 1.0, Finish()),
    (EDGE_OF_THE_HOUSE, FAILED, (0.0,) * 9, 1.0, 1.0, Restart(60.0)),
    (Policy(restarts_max=0), FAILED, (), 0.0, 1.0, Isolate("it failed 1 times within 600 s")),
]  # fmt: skip


@pytest.mark.parametrize(("policy", "outcome", "failures", "now", "chance", "expected"), TABLE)
def test_each_end_leads_to_the_decision_of_the_table(
    policy, outcome, failures, now, chance, expected
):
    """One row of the table, one decision."""
    assert expected == decide(policy, outcome, failures, now, chance)


def test_only_escalating_policies_can_end_the_appliance():
    """Whatever a plugin from outside raises, the house stands."""
    harmless = Policy(restarts_max=1, may_finish=False)

    decisions = {
        type(decide(harmless, outcome, (0.0,) * n, 1.0, 0.5)) for outcome in Outcome for n in (0, 9)
    }

    assert decisions == {Restart, Isolate}


def test_failures_outside_the_window_are_forgotten():
    """The edge of the window is outside."""
    assert recent((-1.0, 0.0, 1.0, 599.0), 600.0, UPLINK) == (1.0, 599.0)
