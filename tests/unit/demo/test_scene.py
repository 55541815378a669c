"""The demo's picture, line and summary as people see them."""

from __future__ import annotations

import io

import msgspec
import pytest

from appliance.demo.audit import Verdict
from appliance.demo.scene import (
    WIDTH,
    Figures,
    Report,
    Scene,
    Style,
    line,
    page,
    sparkline,
    summary,
)
from appliance.demo.screen import Screen

FIGURES = Figures(64.2, 3_618, 3_615, 1_200, 1_612, 6.5, 200.0, 0.0, 112 << 20, 118 << 20)
CUT = Scene("The line is cut", "One\nTwo", "cut", 5.2, FIGURES, (0, 10, 20, 40))
REPORT = Report(Verdict(100, 100), FIGURES, 0.021, 8.2, 1, 8.0, 0.9, 1_612, "folder")


def test_the_sparkline_reaches_from_the_lowest_bar_to_the_highest():
    assert sparkline([0, 20, 40], 3) == "▁▄█"


def test_the_sparkline_shows_the_newest_and_fills_its_width():
    assert sparkline([9] * 9 + [0, 1], 2) == "▁█"
    assert sparkline([0], 4) == "▁   "


@pytest.mark.parametrize("link", ["up", "cut", "none"])
def test_the_page_keeps_its_height_and_width_whatever_it_shows(link):
    """It is drawn over itself; nothing may move."""
    shown = page(msgspec.structs.replace(CUT, link=link), Style(False))
    empty = page(Scene("Setting up", "One line"), Style(False))

    assert len(shown) == len(empty)
    assert max(map(len, [*shown, *empty])) <= WIDTH


def test_the_page_shows_the_figures():
    text = "\n".join(page(CUT, Style(False)))

    for shown in ("01:04", "3,618", "3,615", "1,612", "1,200", "112.0 MB", "118.0 MB", "5 s"):
        assert shown in text


def test_colours_change_no_letter():
    plain, painted = page(CUT, Style(False)), page(CUT, Style(True))

    assert "\x1b[31m" in "".join(painted)
    assert "\x1b" not in "".join(plain)


def test_without_a_terminal_there_is_a_line_for_each_chapter_and_no_escape():
    out = io.StringIO()
    screen = Screen(out)

    screen.show(CUT)
    screen.close()

    assert out.getvalue() == "-- The line is cut: One Two\n"


def test_the_line_has_the_same_figures():
    assert line(CUT) == (
        " 64.2 s  link cut   sent 3,618  acknowledged 3,615  waiting 1,612  at the cloud 1,200"
    )


def test_the_summary_says_first_whether_anything_was_lost():
    assert "Nothing was lost." in summary(REPORT, Style(False))[1]


@pytest.mark.parametrize(
    "verdict", [Verdict(100, 99, lost=1), Verdict(100, 100, wrong=1), Verdict(1, 1, duplicates=1)]
)
def test_the_summary_does_not_say_so_when_something_is_amiss(verdict):
    text = "\n".join(summary(msgspec.structs.replace(REPORT, verdict=verdict), Style(False)))

    assert "Nothing was lost" not in text


def test_nothing_sent_is_no_success():
    nothing = msgspec.structs.replace(REPORT, figures=Figures(), verdict=Verdict())

    assert "Nothing was lost" not in "\n".join(summary(nothing, Style(False)))
