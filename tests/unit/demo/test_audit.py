"""The count at the end of the demo tells what is lost, wrong and there twice."""

from __future__ import annotations

from appliance.demo.audit import Verdict, compare

SENT = {10: 1.5, 20: 2.5, 30: 3.5}


def test_all_there_is_clean():
    verdict = compare(SENT, SENT.items())

    assert verdict == Verdict(expected=3, found=3)
    assert verdict.clean


def test_a_missing_value_is_lost():
    assert compare(SENT, [(10, 1.5), (30, 3.5)]) == Verdict(expected=3, found=2, lost=1)


def test_another_value_is_wrong_though_it_is_there():
    assert compare(SENT, [(10, 1.5), (20, 9.9), (30, 3.5)]) == Verdict(3, 3, wrong=1)


def test_a_value_twice_or_never_sent_is_a_duplicate():
    points = [(10, 1.5), (10, 1.5), (20, 2.5), (25, 0.0), (30, 3.5)]

    assert compare(SENT, points) == Verdict(3, 3, duplicates=2)


def test_verdicts_add_up():
    total = Verdict(2, 1, lost=1) + Verdict(3, 3, wrong=1, duplicates=2)

    assert total == Verdict(5, 4, 1, 1, 2)
    assert not total.clean
