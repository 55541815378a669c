"""Values, texts, patterns, expressions, geofences: the small pure parts."""

from __future__ import annotations

import math
from typing import Any

import pytest

from appliance.model.ids import EntityId, new_uuid
from appliance.model.message import Message
from appliance.rules.expression import BadExpression, Expression
from appliance.rules.geo import Circle, polygon_of
from appliance.rules.patterns import fill
from appliance.rules.places import distance_km
from appliance.rules.tbel.text import double_text
from appliance.rules.values import java_string, typed_values


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0"),
        (3.0, "3.0"),
        (-2.5, "-2.5"),
        (1e7, "1.0E7"),
        (1e10, "1.0E10"),
        (9999999.5, "9999999.5"),
        (123456789.5, "1.234567895E8"),
        (0.001, "0.001"),
        (0.0001, "1.0E-4"),
        (1.5e-7, "1.5E-7"),
        (-1e21, "-1.0E21"),
        (math.inf, "Infinity"),
    ],
)
def test_doubles_are_written_as_java_does(value: float, text: str) -> None:
    assert double_text(value) == text


def test_maps_and_lists_are_written_as_java_does() -> None:
    assert java_string({"a": [1, 2.0, "x"], "b": {"c": True}}) == "{a=[1, 2.0, x], b={c=true}}"


@pytest.mark.parametrize(
    ("given", "typed"),
    [
        ("7", 7),
        ("-7.50", -7.5),
        ("1e3", "1e3"),
        ("5.", "5."),
        ("", ""),
        ("true", "true"),
        ("1 ", "1 "),
        (2**63, str(2**63)),
        (-(2**63), -(2**63)),
        ([1], [1]),
    ],
)
def test_values_are_typed_as_the_reference_types_them(given: Any, typed: Any) -> None:
    assert typed_values({"k": given}) == {"k": typed}


def message(data: Any, metadata: dict[str, str]) -> Message:
    return Message(new_uuid(), 0, "T", EntityId("DEVICE", new_uuid()), data, metadata)


def test_a_pattern_that_fills_itself_comes_to_an_end() -> None:
    assert fill("${a}", message({}, {"a": "${a}${a}"})).count("${a}") == 4


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1+2*3", 7),
        ("(1+2)*3", 9),
        ("2^3^2", 512),
        ("-2^2", -4),
        ("2^-1", 0.5),
        ("7%4", 3),
        ("2x", 10),
        ("2(x+1)", 12),
        ("x x", 25),
        ("1/2x", 2.5),
        ("sqrt(16)+abs(-3)", 7),
        ("logab(2,8)", 3),
        ("1.5e2", 150),
        ("2pi", 2 * math.pi),
        ("--3", 3),
        ("log(0)", -math.inf),
        ("10^400", math.inf),
    ],
)
def test_expressions(text: str, value: float) -> None:
    assert Expression(text, ["x"]).evaluate({"x": 5}) == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    ["", "1+", "(1", "foo(1)", "y", "sin(1,2)", "1 $ 2", "(" * 100, "1.5.2", "1+" * 600 + "1"],
)
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(BadExpression):
        Expression(text, ["x"])


@pytest.mark.parametrize("text", ["1/0", "7%0"])
def test_division_by_zero_is_an_error(text: str) -> None:
    with pytest.raises(BadExpression):
        Expression(text, []).evaluate({})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("log(0)", "-inf"),
        ("10^400", "inf"),
        ("sqrt(-4)", "nan"),
        ("asin(2)", "nan"),
        ("exp(1000)", "inf"),
        ("floor(10^400)", "inf"),
        ("(-8)^0.5", "nan"),
        ("sinh(-1000)", "-inf"),
        ("0^-1", "inf"),
        ("pow(-10, 309)", "-inf"),
        ("pow(-10, 310)", "inf"),
        ("logab(1, 5)", "inf"),
        ("logab(1, 0.5)", "-inf"),
        ("logab(10, 1000)", "2.9999999999999996"),
        ("log2(2^29)", "29.000000000000004"),
        ("cbrt(27)", "3.0"),
        ("cbrt(-1000)", "-10.0"),
        ("cbrt(10^400)", "inf"),
        ("[1 + {2}] * 3", "9.0"),
    ],
)  # fmt: skip - a table
def test_other_numbers_are_as_java_computes_them(text: str, value: str) -> None:
    assert repr(Expression(text, []).evaluate({})) == value


@pytest.mark.parametrize("text", ["2(x+1)", "(x)(x)", "(x)x", "x x", "2 3", "abs(x)x"])
def test_calculated_fields_take_no_product_over_a_gap_or_of_parentheses(text: str) -> None:
    with pytest.raises(BadExpression):
        Expression(text, ["x"], implied_products=False)


@pytest.mark.parametrize(
    ("text", "value"), [("2x", 6.0), ("xy2", 30.0), ("x(y+1)", 18.0), ("12/xy", 20.0)]
)
def test_a_word_is_the_product_of_the_names_in_it(text: str, value: float) -> None:
    expression = Expression(text, ["x", "y"], implied_products=False)
    assert expression.evaluate({"x": 3, "y": 5}) == value


def test_a_variable_cannot_have_the_name_of_a_function() -> None:
    with pytest.raises(BadExpression):
        Expression("sin*2", ["sin"])


def test_one_degree_of_latitude_is_111_km() -> None:
    assert distance_km((0, 0), (1, 0)) == pytest.approx(111.195, abs=0.001)
    assert Circle((0, 0), 70, "MILE").contains((1, 0))


def test_two_points_are_the_corners_of_a_rectangle() -> None:
    rectangle = polygon_of("[[0,0],[2,4]]")
    assert rectangle.contains((1, 3)) and not rectangle.contains((3, 3))
