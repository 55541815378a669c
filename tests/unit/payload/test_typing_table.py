"""The typing table and the leniencies, one example a row (device spec §1.5)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from appliance.model.errors import Permanent
from appliance.payload import (
    PayloadError,
    lenient,
    parse_attributes,
    parse_attributes_by_device,
    parse_json,
    parse_telemetry,
    parse_telemetry_by_device,
)
from appliance.payload.values import plain_json, type_value

TABLE: list[tuple[str, Any]] = [
    ("true", True),
    ("TRUE", True),
    ("falsE", False),
    ("1", 1),
    ("-0", 0),
    ("1e3", 1000),
    ("1.5e3", 1500),
    ("10.50e1", 105),
    ("0e-5", 0),
    ("01", 1),
    ("1.0", 1.0),
    ("-0.0", 0.0),
    ("1E-3", 0.001),
    ("42.5", 42.5),
    ("-9223372036854775808", -(2**63)),
    ("9223372036854775808", "9223372036854775808"),
    ("18446744073709551615", "18446744073709551615"),
    ("184467440737095516150", "184467440737095516150"),
    ("-1e30", "-1" + "0" * 30),
    ("0.1234567890123456", 0.1234567890123456),
    ("0.30000000000000004", "0.30000000000000004"),
    ("1.00000000000000000", "1.00000000000000000"),
    ("1e-16", 1e-16),
    ("1e-20", "0.00000000000000000001"),
    ('"42"', 42),
    ('"007"', 7),
    ('"-5"', -5),
    ('"٤٢"', 42),
    ('"𝟜𝟚"', "𝟜𝟚"),
    ('"42.50"', 42.5),
    ('".5"', 0.5),
    ('"-.5"', -0.5),
    ('"42.0"', 42.0),
    ('"99999999999999999999"', "99999999999999999999"),
    ('"0.30000000000000004"', "0.30000000000000004"),
    *((json.dumps(word), word) for word in ("1e5", "+5", "5.", " 5", "", "-", ".", "true", "0x1F")),
    *((json.dumps(word), word) for word in ("1.2.3", "--5", "5-", "²")),
    ("NaN", "NaN"),
    ("-Infinity", "-Infinity"),
    ("word", "word"),
    ("+3", "+3"),
    ("1.", "1."),
    ("'it''", PayloadError),
    ("'it\\'s'", "it's"),
    ('"x\\u0000y"', "xy"),
    ('"\\ud83d\\ude80"', "🚀"),
    ('"\\ud83d"', "\ufffd"),
    ('"a\nb\tc"', "a\nb\tc"),
    ('{"k":[1,null,"z"],"n":null,"d":{"e":null}}', {"k": [1, None, "z"], "d": {}}),
    ("[1,,'2']", [1, None, "2"]),
    ("[1,]", [1, None]),
    ("[1e3,1.0,20000000000000000000]", [1000.0, 1.0, 2e19]),
    ("[1e400]", ["1e400"]),
    ("/* why */ 5 # because", PayloadError),
    ("/* why */ 5 // because\n", 5),
    ("1e99999", PayloadError),
    ("1e999999999999999999999", PayloadError),
    ("9" * 400 + ".5", PayloadError),
    ('"' + "9" * 400 + '.5"', "9" * 400 + ".5"),
    ("9" * 5000, "9" * 5000),
    ("[" * 300 + "]" * 300, PayloadError),
    ("[" * 5000 + "]" * 5000, PayloadError),
    ("a\\b", PayloadError),
    ('"\\x"', PayloadError),
    ('"\\u12"', PayloadError),
    ('"open', PayloadError),
    ("/* open", PayloadError),
    (":", PayloadError),
    ("}", PayloadError),
]


@pytest.mark.parametrize(("written", "kept"), TABLE, ids=[row[0][:30] for row in TABLE])
def test_a_value_is_typed_by_the_way_it_is_written(written: str, kept: Any) -> None:
    body = f'{{"k":{written}}}'
    if kept is PayloadError:
        with pytest.raises(PayloadError):
            parse_telemetry(body)
        return
    for read in (body, body.encode(), body.replace('"k"', "k", 1)):
        values = parse_attributes(read)
        assert repr(values) == repr({"k": kept})


LENIENT = [
    ("{'a':1}", {"a": 1}),
    ("{a=1;b=>2}", {"a": 1, "b": 2}),
    ("{a:1,a:2}", {"a": 2}),
    ('\ufeff{"a":1}', {"a": 1}),
    (')]}\'\n{"a":1}', {"a": 1}),
    ("{ # shell\n a // C++\n : /* C */ 1 }", {"a": 1}),
    ('{"a":1}\n\n', {"a": 1}),
]


@pytest.mark.parametrize(("body", "values"), LENIENT)
def test_what_gson_takes_is_taken(body: str, values: dict[str, Any]) -> None:
    assert parse_telemetry(body) == [(None, values)]


@pytest.mark.parametrize(
    ("body", "line", "column"),
    [
        ('{"a":1,}', 1, 8),
        ('{"a":1}{"b":2}', 1, 8),
        ('{"a":1', 1, 7),
        ('{\n  "a" 1}', 2, 7),
        ('{"a":1 "b":2}', 1, 8),
        ("{a:1}//", 1, 6),
        ("", 1, 1),
    ],
)
def test_a_refusal_names_the_place(body: str, line: int, column: int) -> None:
    with pytest.raises(PayloadError, match=f"at line {line} column {column}") as caught:
        parse_telemetry(body)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert caught.value.hint
    assert isinstance(caught.value, Permanent)


@pytest.mark.parametrize(
    "body",
    [
        '{"":1}',
        '{" ":1}',
        '{"a\\u0000":1}',
        json.dumps({"k" * 256: 1}),
        json.dumps({"🚀" * 128: 1}),
        '{"ts":true,"values":{}}',
        '{"ts":null,"values":{}}',
        '{"ts":"1_0","values":{}}',
        '{"ts":"12.5","values":{}}',
        '{"ts":1e30,"values":{}}',
        '{"ts":99999999999999999999,"values":{}}',
        '{"ts":NaN,"values":{}}',
        '{"ts":1,"values":[]}',
        "[null]",
        "[[]]",
        "[{},]",
    ],
)
def test_what_cannot_be_kept_is_refused(body: str) -> None:
    with pytest.raises(PayloadError):
        parse_telemetry(body)


def test_a_key_of_255_units_is_kept() -> None:
    keys = ("k" * 255, "🚀" * 127)
    assert [parse_attributes(json.dumps({key: 1})) for key in keys] == [{k: 1} for k in keys]


def test_without_type_cast_quoted_numbers_stay_text_and_long_ones_are_refused() -> None:
    assert parse_telemetry('{"a":"42"}', type_cast=False) == [(None, {"a": "42"})]
    for written in ("9223372036854775808", "0.30000000000000004", "18446744073709551615"):
        with pytest.raises(PayloadError, match="Big integer"):
            parse_telemetry(f'{{"a":{written}}}', type_cast=False)


def test_an_array_gives_its_posts_in_order() -> None:
    body = '[{"a":1},{"ts":5,"values":{"a":2}},{"ts":7},{}]'
    assert parse_telemetry(body) == [(None, {"a": 1}), (5, {"a": 2}), (None, {"ts": 7}), (None, {})]
    assert parse_telemetry("[]") == []


def test_long_bodies_are_typed_like_short_ones() -> None:
    posts = [{"e": "@", "f": 0.5, "pad": "x" * 50} for _ in range(20)]
    body = json.dumps(posts).replace('"@"', "1e3")
    assert [values["e"] for _, values in parse_telemetry(body)] == [1000] * 20
    assert {type(values["e"]) for _, values in parse_telemetry(body)} == {int}


def test_a_gateway_sends_for_each_device_and_a_bad_entry_spoils_no_other() -> None:
    body = '{"A":[{"ts":5,"values":{"x":1e3,"y":0.5}}],"B":{"x":1},"C":[{"x":1}, 5], " ":[]}'
    taken, refused = parse_telemetry_by_device(body)
    assert repr(taken) == repr({"A": [(5, {"x": 1000, "y": 0.5})]})
    assert sorted(refused) == [" ", "B", "C"]
    attributes, refused = parse_attributes_by_device(b'{"A":{"x":"1"},"B":[]}')
    assert (attributes, list(refused)) == ({"A": {"x": 1}}, ["B"])
    with pytest.raises(PayloadError):
        parse_telemetry_by_device("[]")


def test_any_document_can_be_read_as_plain_json() -> None:
    assert parse_json(b'{method: setValue, params: ["1", 1e3, null]}') == {
        "method": "setValue",
        "params": ["1", 1000.0, None],
    }
    assert parse_json("5") == 5
    with pytest.raises(PayloadError):
        parse_json("")


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(min_size=1).filter(lambda k: k.strip() and "\0" not in k), _JSON))
@example({"a": 1e22, "b": 5e-324})
def test_the_quick_way_gives_what_the_lenient_reader_gives(members: dict[str, Any]) -> None:
    body = json.dumps(members)
    read = {k: v for k, v in lenient.read(body).items() if v is not None}
    slow = {k: type_value(v, type_cast=True) for k, v in read.items()}
    assert repr(parse_attributes(body)) == repr(slow)
    assert repr(parse_json(body)) == repr(plain_json(lenient.read(body)))


@given(st.binary() | st.text(alphabet="{}[]\"':,;=\\/*#\n 01.eE+-aun").map(str.encode))
def test_no_bytes_do_more_than_be_refused(body: bytes) -> None:
    try:
        posts = parse_telemetry(body)
    except PayloadError:
        return
    assert all(isinstance(values, dict) for _, values in posts)
