"""The demo, played quickly: real processes, real sockets, a line that is really cut."""

from __future__ import annotations

import io

import pytest

from appliance.cli import demo
from appliance.demo import plant, story
from appliance.demo.screen import Screen
from appliance.demo.story import Story, Tempo


@pytest.mark.slow
async def test_nothing_is_lost_when_the_line_is_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(story, "ONCE", Tempo(0.5, 1.5, 0.5))
    out = io.StringIO()

    report = await Story(tmp_path, Screen(out)).play(once=True)

    assert report.verdict.clean
    assert report.verdict.expected == report.figures.acknowledged * 5 > 0
    assert report.cuts == 1 and report.backlog_max > 50
    assert "-- The line to the cloud is cut" in out.getvalue()


@pytest.mark.slow
async def test_a_value_that_is_not_in_the_cloud_is_told_as_lost(tmp_path, monkeypatch):
    """The count at the end is only worth something if it can come out bad."""
    monkeypatch.setattr(story, "ONCE", Tempo(0.5, 0.5, 0.5))
    settle = plant.Plant.settle

    def one_more(self):
        books = settle(self)
        book = next(iter(books.values()))
        book[max(book) + 1_000] = dict.fromkeys(plant.RANGES, 1.0)
        return books

    monkeypatch.setattr(plant.Plant, "settle", one_more)
    report = await Story(tmp_path, Screen(io.StringIO())).play(once=True)

    assert report.verdict.lost == len(plant.RANGES)
    assert not report.verdict.clean


def test_the_folder_is_gone_afterwards_unless_it_was_named(tmp_path):
    with demo.folder(None) as made:
        assert made.is_dir()
    assert not made.exists()
    with demo.folder(tmp_path / "kept") as named:
        pass
    assert named.is_dir()
