"""The text that Prometheus reads."""

from __future__ import annotations

import math

import pytest

from appliance.kernel.metrics_model import Sample
from appliance.web.openmetrics import render


def lines(*samples: Sample) -> list[str]:
    text = render(samples)
    assert text.endswith("# EOF\n")
    return text.splitlines()[:-1]


def test_a_family_has_its_help_and_type_once_before_its_samples() -> None:
    one = Sample("appliance_x_total", {"lane": "data"}, 3, "counter", "Things.")
    other = Sample("appliance_y", {}, 1.5, "gauge", "Other.")
    two = Sample("appliance_x_total", {"lane": "entity"}, 4, "counter", "Things.")
    assert lines(one, other, two) == [
        "# HELP appliance_x Things.",
        "# TYPE appliance_x counter",
        'appliance_x_total{lane="data"} 3',
        'appliance_x_total{lane="entity"} 4',
        "# HELP appliance_y Other.",
        "# TYPE appliance_y gauge",
        "appliance_y 1.5",
    ]


def test_the_samples_of_a_histogram_are_one_family() -> None:
    parts = [
        Sample("h_seconds_bucket", {"le": "0.1"}, 1, "histogram", "H."),
        Sample("h_seconds_bucket", {"le": "+Inf"}, 2, "histogram", "H."),
        Sample("h_seconds_sum", {}, 0.25, "histogram", "H."),
        Sample("h_seconds_count", {}, 2, "histogram", "H."),
    ]
    assert lines(*parts)[:2] == ["# HELP h_seconds H.", "# TYPE h_seconds histogram"]
    assert len(lines(*parts)) == 6


def test_what_would_break_the_text_is_escaped() -> None:
    sample = Sample("x", {"a": 'b"\\\nc'}, 1, "gauge", "two\nlines")
    assert lines(sample) == [
        "# HELP x two\\nlines",
        "# TYPE x gauge",
        'x{a="b\\"\\\\\\nc"} 1',
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (-2.5, "-2.5"),
        (1e20, "1e+20"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (math.nan, "NaN"),
    ],
)
def test_numbers(value: float, text: str) -> None:
    assert lines(Sample("x", {}, value, "gauge", "X."))[-1] == f"x {text}"
