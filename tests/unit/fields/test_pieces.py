"""Numbers, intervals and rolling arguments by themselves."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from appliance.fields.arguments import default_of
from appliance.fields.cell import FieldError
from appliance.fields.config import Argument, EntityKey, Interval, Metric, MetricInput
from appliance.fields.intervals import HOUR_MS, bounds
from appliance.fields.metrics import aggregate
from appliance.fields.numbers import rounded, storable, storable_data
from appliance.fields.rolling import RollingArgument
from appliance.rules.tbel import TbelError, compile_script

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
    [("", None), (" ", None), (None, None), ("10", 10.0), ("true", True), ("1e3", "1e3")],
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


@pytest.mark.parametrize(
    ("call", "result"),
    [
        ("sum()", 0.0),
        ("sum(false)", "nan"),
        ("count()", 0),
        ("count(false)", 1),
        ("mean()", "nan"),
        ("avg()", "nan"),
        ("std()", "nan"),
    ],
)
def test_a_window_without_a_number_has_a_sum_a_count_and_no_mean(call: str, result: Any) -> None:
    found = run(f"return t.{call};", (1, float("nan")))
    assert found == result or str(found) == result


@pytest.mark.parametrize("call", ["max", "min", "median", "first", "last"])
def test_a_window_without_a_number_has_nothing_else(call: str) -> None:
    with pytest.raises(TbelError, match="Rolling argument values are empty"):
        run(f"return t.{call}();", (1, float("nan")))


@pytest.mark.parametrize(
    ("settings", "rows"),
    [
        ("{}", [(2, 10.0, 5.0), (3, 30.0, 5.0)]),
        ("{'ignoreNaN': 'false'}", [(1, 10.0, "nan"), (2, 10.0, 5.0), (3, 30.0, 5.0)]),
        ("{'timeWindow': {'startTs': 2, 'endTs': 3}}", [(2, 10.0, 5.0)]),
        ("{'timeWindow': t.timeWindow}", [(2, 10.0, 5.0), (3, 30.0, 5.0)]),
    ],
)
def test_windows_are_merged_by_time(settings: str, rows: list[Any]) -> None:
    text = "var rows = []; foreach (row : t.merge(h, %s)) { rows.push([row.ts, row.v1, row.v2]); }"
    script = compile_script(f"{text % settings} return rows;", ("t", "h"))
    window = RollingArgument(0, 100, [(1, 10.0), (3, 30.0)])
    merged = script.run_raw(window, RollingArgument(0, 100, [(2, 5.0)]))
    found = [tuple(row) for row in merged]
    assert str(found).replace("'", "") == str(rows).replace("'", "")


@pytest.mark.parametrize(
    ("hours", "moment", "start", "end"),
    [
        (7, "2026-05-05 20:59", "2026-05-05 14:00", "2026-05-05 21:00"),
        (7, "2026-05-05 23:59", "2026-05-05 21:00", "2026-05-06"),
        (12, "2026-03-29 13:30", "2026-03-29 13:00", "2026-03-30"),
        (24, "2026-03-29 23:30", "2026-03-29", "2026-03-30"),
        (48, "2026-03-29 23:30", "2026-03-28", "2026-03-30"),
        (48, "2026-03-30 01:30", "2026-03-30", "2026-04-01"),
    ],
)
def test_custom_intervals_follow_each_other_within_the_day(
    hours: int, moment: str, start: str, end: str
) -> None:
    custom = Interval(type="CUSTOM", tz="Europe/Kyiv", duration_sec=hours * 3600)
    assert bounds(custom, at(moment)) == (at(start), at(end))


@pytest.mark.parametrize(
    ("type", "zone", "offset_s", "duration_s"),
    [
        ("HOUR", "Asia/Kolkata", 0, 0),
        ("HOUR", "Australia/Lord_Howe", 900, 0),
        ("DAY", "America/Sao_Paulo", 0, 0),
        ("DAY", "Europe/Kyiv", 23 * 3600, 0),
        ("WEEK", "America/New_York", 3600, 0),
        ("MONTH", "Pacific/Apia", 86_400, 0),
        ("CUSTOM", "Europe/Kyiv", 0, 5 * 3600),
        ("CUSTOM", "Europe/Kyiv", 7200, 36 * 3600),
        ("CUSTOM", "Australia/Lord_Howe", 0, 1800),
    ],
)
def test_intervals_cover_time_without_gap_or_overlap(
    type: str, zone: str, offset_s: int, duration_s: int
) -> None:
    interval = Interval(
        type=type,  # type: ignore[arg-type]  # a table
        tz=zone,
        offset_sec=offset_s,
        duration_sec=duration_s,
    )
    ts = int(datetime(2018, 1, 1, tzinfo=ZoneInfo("UTC")).timestamp() * 1000)
    for _ in range(600):
        start, end = bounds(interval, ts)
        assert start <= ts < end
        assert bounds(interval, start) == (start, end) == bounds(interval, end - 1)
        ts = end


def test_sums_are_those_of_decimal_fractions() -> None:
    metric = Metric(function="SUM", input=MetricInput(type="key", key="t"))
    assert aggregate(metric, [0.1, 0.2, "0.3"], None) == 0.6
    mean = Metric(function="AVG", input=MetricInput(type="key", key="t"))
    assert aggregate(mean, [1, 2, 2], None) == 5 / 3
    assert aggregate(mean, [1, 2, 2], 2) == 1.67
