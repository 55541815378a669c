"""Numbers and values as Java 17 prints them."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.rules.tbel.text import double_text, float_text, to_json, to_text
from appliance.rules.tbel.values import Byte, Char, Float, JavaArray, Long, TbList, TbMap, to_float


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (0.001, "0.001"),
        (0.0001, "1.0E-4"),
        (9999999.0, "9999999.0"),
        (1e7, "1.0E7"),
        (1.234567890123e12, "1.234567890123E12"),
        (1e21, "1.0E21"),
        (1.7976931348623157e308, "1.7976931348623157E308"),
        (5e-324, "4.9E-324"),
        (math.nan, "NaN"),
        (-math.inf, "-Infinity"),
        (0.1 + 0.2, "0.30000000000000004"),
    ],
)
def test_doubles(value: float, text: str) -> None:
    assert double_text(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1, "0.1"), (16777216.0, "1.6777216E7"), (123456792.0, "1.23456792E8"), (5.0, "5.0")],
)
def test_floats(value: float, text: str) -> None:
    assert float_text(to_float(value)) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_text_of_a_double_is_the_double(value: float) -> None:
    assert float(double_text(value)) == pytest.approx(value, rel=1e-15, abs=1e-323)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_the_text_of_a_float_is_the_float(value: float) -> None:
    assert struct.pack("<f", float(float_text(Float(value)))) == struct.pack("<f", value)


def test_values_as_text() -> None:
    value = TbMap(a=1, b=TbList([None, True, "x", 2.5]), c=TbMap())
    assert to_text(value) == "{a=1, b=[null, true, x, 2.5], c={}}"


def test_values_as_json() -> None:
    value = TbList([1, Long(2), 3.0, Float(0.5), Byte(-1), Char("c"), math.nan, None, 'q"\n', 1e10])
    assert to_json(value) == '[1,2,3.0,0.5,-1,"c","NaN",null,"q\\"\\n",1.0E10]'


def test_byte_arrays_are_lists_in_a_result_and_base64_in_stringify() -> None:
    array = JavaArray("byte", [Byte(1), Byte(-1)])
    assert to_json(array) == "[1,-1]"
    assert to_json(array, binary=True) == '"Af8="'
