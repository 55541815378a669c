"""Numbers as Java 17 prints them, where that is not the fewest digits."""

from __future__ import annotations

import pytest

from appliance.rules.tbel.text import double_text, float_text
from appliance.rules.tbel.values import to_float


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2.0**-31, "4.6566128730773926E-10"),
        (2.0**-62, "2.1684043449710089E-19"),
        (-(2.0**-10), "-9.765625E-4"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e-10, "1.0E-10"),
        (2e23, "1.9999999999999998E23"),
        (5e-324, "4.9E-324"),
        (2.4948003869184e291, "2.4948003869183998E291"),
        (6.189700196426902e26, "6.1897001964269014E26"),
        (0.001, "0.001"),
        (1.2345678901234567e-5, "1.2345678901234568E-5"),
    ],
)
def test_a_double_has_javas_digits(value: float, text: str) -> None:
    assert double_text(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-45, "1.4E-45"),
        (1.794e-43, "1.794E-43"),
        (2.0**-38, "3.6379788E-12"),
        (0.1, "0.1"),
        (3.4028234e38, "3.4028235E38"),
    ],
)
def test_a_float_has_javas_digits(value: float, text: str) -> None:
    assert float_text(to_float(value)) == text
