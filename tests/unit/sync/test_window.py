"""How many packs may be unanswered."""

from __future__ import annotations

from appliance.sync.window import Window


def test_it_grows_by_about_one_per_window_of_quick_answers() -> None:
    window = Window(size_max=100, size_start=4)
    for _ in range(5):
        window.answered(0.01)
    assert window.size == 5


def test_it_never_exceeds_its_bound() -> None:
    window = Window(size_max=6, size_start=4)
    for _ in range(1000):
        window.answered(0.01)
    assert window.size == 6


def test_a_refusal_halves_it_and_it_never_falls_below_one() -> None:
    window = Window(size_max=32, size_start=32)
    window.refused()
    assert window.size == 16
    for _ in range(20):
        window.refused()
    assert window.size == 1


def test_answers_that_slow_down_halve_it_once_per_window() -> None:
    window = Window(size_max=32, size_start=32)
    window.answered(0.1)
    for _ in range(16):
        window.answered(5.0)
    assert window.size == 16
    window.answered(5.0)
    assert window.size == 8


def test_answers_slower_by_a_little_are_no_reason() -> None:
    window = Window(size_max=8, size_start=8)
    window.answered(0.01)
    for _ in range(50):
        window.answered(0.4)
    assert window.size == 8


def test_it_recovers_once_answers_are_quick_again() -> None:
    window = Window(size_max=8, size_start=8)
    window.answered(0.1)
    for _ in range(30):
        window.answered(9.0)
    assert window.size == 1
    for _ in range(60):
        window.answered(0.1)
    assert window.size == 8
