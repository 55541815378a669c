"""The functions of Math give Java's last digit, where the C library of today gives another."""

from __future__ import annotations

import math
import struct

import pytest

from appliance.rules import fdlibm
from appliance.rules.tbel.arithmetic import power

# What Java 17 answers. The C library (glibc 2.36) differs in each in the last digit.
HARD: list[tuple[str, tuple[float, ...], float]] = [
    ("acos", (-0.7,), 2.34619382340565),
    ("acos", (0.08,), 1.4907107467612377),
    ("acos", (0.4041414566252177,), 1.1547563011219713),
    ("asin", (0.58,), 0.6187286906722511),
    ("asin", (0.32,), 0.32572948729463014),
    ("asin", (-0.954,), -1.2663064000666187),
    ("atan", (4.7,), 1.361156480920684),
    ("atan", (-228.0,), -1.5664103900061046),
    ("atan", (-3.3142172917646064,), -1.2777527966022784),
    ("atan2", (-0.5, 22.0), -0.022723360841641067),
    ("atan2", (533.0, 69.0), 1.4420564076634883),
    ("atan2", (278.239, -358.9), 2.4821233260936237),
    ("cbrt", (318.01,), 6.825695743230599),
    ("cbrt", (-698302.0,), -88.71854866511521),
    ("cbrt", (-6.543672708957207e-136,), -8.681748282062394e-46),
    ("cosh", (1.0,), 1.543080634815244),
    ("cosh", (-26.0,), 97864804714.41937),
    ("cosh", (11.490624217113263,), 48897.279338119246),
    ("sinh", (22.2,), 2189311219.014474),
    ("sinh", (-25.3,), -48598223779.596954),
    ("sinh", (40.0,), 1.1769263341850998e17),
    ("tanh", (-0.09626753126733123,), -0.09597124509876177),
    ("tanh", (-1.22163917398927,), -0.8401370356045352),
    ("expm1", (-0.42533101051549155,), -0.3464465837315816),
    ("expm1", (15.636111143202776,), 6175565.290288327),
    ("expm1", (46.13736565943323,), 1.0894399965135695e20),
    ("log1p", (0.33211437967758306,), 0.28676743906034213),
    ("log1p", (12156.88875990444,), 9.405733518727779),
    ("log10", (9732.0,), 3.988202100258781),
    ("log10", (0.16217177544015912,), -0.7900247286526637),
    ("log10", (142193.4805,), 5.1528796846653195),
    ("hypot", (92.0, 834.49), 839.5460440619084),
    ("hypot", (-19.492020303436888, 80.0), 82.34038411077273),
    ("hypot", (-177.0, -709.4955), 731.2406338000167),
]

# The ends: where a number leaves the range, loses digits, or is none.
ENDS: list[tuple[str, tuple[float, ...], float]] = [
    ("acos", (1.0,), 0.0),
    ("acos", (-1.0,), 3.141592653589793),
    ("acos", (1.1,), math.nan),
    ("asin", (-0.0,), -0.0),
    ("asin", (-1.0,), -1.5707963267948966),
    ("asin", (math.inf,), math.nan),
    ("atan", (-math.inf,), -1.5707963267948966),
    ("atan2", (-0.0, -1.0), -3.141592653589793),
    ("atan2", (5e-324, -1e300), 3.141592653589793),
    ("cbrt", (-27.0,), -3.0),
    ("cbrt", (1.7976931348623157e308,), 5.643803094122362e102),
    ("cbrt", (5e-324,), 1.7031839360032603e-108),
    ("cosh", (-711.0,), math.inf),
    ("cosh", (-math.inf,), math.inf),
    ("cosh", (710.0,), 1.1169973830808557e308),
    ("sinh", (-711.0,), -math.inf),
    ("sinh", (-0.0,), -0.0),
    ("tanh", (-22.0,), -1.0),
    ("expm1", (710.0,), math.inf),
    ("expm1", (-math.inf,), -1.0),
    ("expm1", (-5e-324,), -5e-324),
    ("log1p", (-1.0,), -math.inf),
    ("log1p", (-1.5,), math.nan),
    ("log1p", (1e300,), 690.7755278982137),
    ("log10", (0.0,), -math.inf),
    ("log10", (-1.0,), math.nan),
    ("log10", (1000.0,), 3.0),
    ("log10", (5e-324,), -323.3062153431158),
    ("hypot", (math.nan, -math.inf), math.inf),
    ("hypot", (3e300, 4e300), 5e300),
    ("hypot", (5e-324, 5e-324), 5e-324),
]


def _bits(value: float) -> str:
    return "NaN" if value != value else struct.pack(">d", value).hex()


@pytest.mark.parametrize(("name", "arguments", "expected"), HARD + ENDS)
def test_a_function_gives_javas_bits(
    name: str, arguments: tuple[float, ...], expected: float
) -> None:
    assert _bits(getattr(fdlibm, name)(*arguments)) == _bits(expected)


def test_one_to_no_definite_power_is_no_number() -> None:
    for base, exponent in ((1.0, math.inf), (-1.0, -math.inf), (1.0, math.nan)):
        assert math.isnan(power(base, exponent))
    assert power(math.nan, 0.0) == 1.0
