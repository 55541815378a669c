"""Numbers, intervals and rolling arguments by themselves."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from appliance.fields.arguments import default_of
from appliance.fields.cell import FieldError
from appliance.fields.config import Argument, EntityKey, Interval
from appliance.fields.intervals import HOUR_MS, bounds
from appliance.fields.numbers import rounded, storable, storable_data
from appliance.fields.rolling import RollingArgument
from appliance.rules.tbel import compile_script

KYIV = ZoneInfo("Europe/Kyiv")


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=KYIV).timestamp() * 1000)


@pytest.mark.parametrize(
    ("type", "moment", "start", "end"),
    [
        ("HOUR", "2026-05-05 13:59:59", "2026-05-05 13:00", "2026-05-05 14:00"),
        ("DAY", "2026-05-05 00:00", "2026-05-05", "2026-05-06"),
        ("WEEK", "2026-05-10 23:00", "2026-05-04", "2026-05-11"),
        ("WEEK_SUN_SAT", "2026-05-10 23:00", "2026-05-10", "2026-05-17"),
        ("MONTH", "2026-12-31 23:00", "2026-12-01", "2027-01-01"),
        ("QUARTER", "2026-11-21 10:00", "2026-10-01", "2027-01-01"),
        ("YEAR", "2026-11-21 10:00", "2026-01-01", "2027-01-01"),
        ("DAY", "2026-03-29 12:00", "2026-03-29", "2026-03-30"),
    ],
)
def test_calendar_intervals_follow_the_zone(type: str, moment: str, start: str, end: str) -> None:
    interval = Interval(type=type, tz="Europe/Kyiv")  # type: ignore[arg-type]  # a table
    assert bounds(interval, at(moment)) == (at(start), at(end))


def test_a_day_in_spring_has_23_hours() -> None:
    start, end = bounds(Interval(type="DAY", tz="Europe/Kyiv"), at("2026-03-29 12:00"))
    assert end - start == 23 * HOUR_MS


def test_an_offset_moves_the_boundaries() -> None:
    shifted = Interval(type="DAY", tz="Europe/Kyiv", offset_sec=6 * 3600)
    expected = (at("2026-05-04 06:00"), at("2026-05-05 06:00"))
    assert bounds(shifted, at("2026-05-05 05:59")) == expected


def test_custom_intervals_begin_at_the_zones_midnight() -> None:
    custom = Interval(type="CUSTOM", tz="Europe/Kyiv", duration_sec=12 * 3600)
    expected = (at("2026-05-05 12:00"), at("2026-05-06"))
    assert bounds(custom, at("2026-05-05 13:00")) == expected


@pytest.mark.parametrize(
    ("value", "decimals", "result"),
    [(2.5, 0, 3), (-2.5, 0, -3), (1.005, 2, 1.01), (1234.0, -1, 1230.0), (6e9, 0, 6_000_000_000)],
)
def test_halves_are_rounded_away_from_zero(value: float, decimals: int, result: float) -> None:
    assert rounded(value, decimals) == result
    assert type(rounded(value, decimals)) is type(result)


def test_what_is_no_number_cannot_be_rounded() -> None:
    with pytest.raises(FieldError):
        rounded(float("nan"), 2)


def test_large_whole_doubles_are_stored_as_integers() -> None:
    assert storable_data({"ts": 5, "values": {"a": 2e7, "b": 42.0, "c": None}}) == {
        "ts": 5,
        "values": {"a": 20_000_000, "b": 42.0},
    }
    assert [storable(v) for v in (float("nan"), 1e300, -2e7)] == ["NaN", 1e300, -20_000_000]


@pytest.mark.parametrize(
    ("given", "default"),
    [("", None), (None, None), ("10", 10.0), (7, 7.0), ("true", True), ("abc", "abc")],
)
def test_defaults_are_numbers_booleans_or_text(given: Any, default: Any) -> None:
    key = EntityKey(key="k", type="TS_LATEST")
    assert default_of(Argument(ref_entity_key=key, default_value=given)) == default


def run(text: str, *points: tuple[int, float]) -> Any:
    script = compile_script(text, ("t",))
    return script.run_raw(RollingArgument(0, 100, list(points)))


def test_a_script_goes_through_the_points_of_a_window() -> None:
    text = "var s = 0; foreach (p : t) { s += p.value * p.ts; } return s;"
    assert run(text, (1, 2.0), (3, 4.0)) == 14.0


def test_statistics_skip_what_is_no_number_unless_told_otherwise() -> None:
    points = ((1, float("nan")), (2, 4.0), (3, 8.0))
    assert run("return t.mean();", *points) == 6.0
    assert run("return t.first();", *points) == 4.0
    assert run("return t.max();", (1, -3.0), (2, -2.0)) == -2.0
    assert str(run("return t.min(false);", *points)) == "nan"
