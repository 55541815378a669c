"""When to connect again, and which version to announce."""

from __future__ import annotations

import pytest

from appliance.edge.reconnect import LASTING_S, Backoff, older_version


def waits(backoff: Backoff, count: int) -> list[float]:
    return [backoff.wait_s(0.5) for _ in range(count)]


def test_waits_double_up_to_the_longest() -> None:
    assert waits(Backoff(3.0, 20.0), 5) == [3.0, 6.0, 12.0, 20.0, 20.0]


def test_chance_spreads_a_wait_by_a_fifth_to_either_side() -> None:
    assert Backoff(10.0, 60.0).wait_s(0.0) == pytest.approx(8.0)
    assert Backoff(10.0, 60.0).wait_s(1.0) == pytest.approx(12.0)


@pytest.mark.parametrize(
    ("lasted_s", "polite", "next_s"),
    [
        pytest.param(1.0, False, 3.0, id="a broken link starts over"),
        pytest.param(1.0, True, 12.0, id="a polite end soon after does not"),
        pytest.param(LASTING_S, True, 3.0, id="a polite end of a link that lasted does"),
    ],
)
def test_an_accepted_link(lasted_s: float, polite: bool, next_s: float) -> None:
    backoff = Backoff(3.0, 60.0)
    waits(backoff, 2)
    backoff.accepted(lasted_s, polite=polite)
    assert waits(backoff, 1) == [next_s]


@pytest.mark.parametrize(
    ("announced", "older"),
    [(4312, 13), (15, 13), (13, 12), (12, 11), (10, 9), (9, None), (0, None)],
)
def test_the_next_older_version(announced: int, older: int | None) -> None:
    assert older_version(announced) == older
