"""The hot path's bytes: spec §10's worked example, every value type, malformed input."""

from __future__ import annotations

from uuid import UUID

import pytest

from appliance.model.ids import EntityId
from appliance.model.telemetry import Value
from appliance.sync.protobuf import MalformedWire, delimited, fields, varint, varint_size
from appliance.sync.wire import (
    decode_attributes,
    decode_entry,
    encode_attributes,
    encode_entry,
    entity_data,
    telemetry_entries,
)

DEVICE = EntityId("DEVICE", UUID("784f394c-42b6-11ed-9e6f-1f2a3b4c5d6e"))
EVERY_TYPE: dict[str, Value] = {
    "yes": True,
    "no": False,
    "zero": 0,
    "least": -(2**63),
    "greatest": 2**63 - 1,
    "real": 21.5,
    "naught": 0.0,
    "negative naught": -0.0,
    "empty": "",
    "Größe 💧": "naïve 💧",
    "": "a key may be empty",
    "object": {"a": [1, 2.5, None, {"b": "ö"}]},
    "array": [],
    "big": {"n": 2**80},
}


def test_the_worked_example_of_the_protocol_comes_out_byte_for_byte() -> None:
    entry = encode_entry(1_700_000_000_000, {"temperature": 21.5})
    assert delimited(2, entity_data(DEVICE, [entry])) == (
        bytes.fromhex("12 42 08 ed a3 d8 95 c4 a9 ce a7 78 10 ee ba b1 da a3 e5 c7 b7 9e 01 1a 06")
        + b"DEVICE"
        + bytes.fromhex("22 23 0a 21 08 80 d0 95 ff bc 31 12 18 0a 0b")
        + b"temperature"
        + bytes.fromhex("10 02 29 00 00 00 00 00 80 35 40")
    )


def test_every_type_of_value_survives_an_entry() -> None:
    ts, values = decode_entry(encode_entry(1_700_000_000_123, EVERY_TYPE))
    assert ts == 1_700_000_000_123
    assert values == EVERY_TYPE
    assert {key: type(value) for key, value in values.items()} == {
        key: type(value) for key, value in EVERY_TYPE.items()
    }
    assert list(values) == list(EVERY_TYPE)
    assert str(values["negative naught"]) == "-0.0"


def test_every_type_of_value_survives_attributes() -> None:
    assert decode_attributes(encode_attributes(EVERY_TYPE)) == EVERY_TYPE


@pytest.mark.parametrize("ts", [0, -1, 2**63 - 1])
def test_any_timestamp_survives(ts: int) -> None:
    assert decode_entry(encode_entry(ts, {"a": 1})) == (ts, {"a": 1})


def test_entries_are_concatenated_as_they_are_and_come_back_as_slices() -> None:
    entries = [encode_entry(ts, {"n": ts}) for ts in (1, 2, 3)]
    telemetry = {n: value for n, _, value, _ in fields(entity_data(DEVICE, entries))}[4]
    assert isinstance(telemetry, bytes)
    assert telemetry_entries(telemetry) == tuple(entries)


def test_more_keys_than_are_remembered_still_encode() -> None:
    values: dict[str, Value] = {f"key {n}": n for n in range(10_000)}
    values["x" * 10_000] = "a key too long to remember"
    assert decode_entry(encode_entry(1, values))[1] == values


def test_a_lone_surrogate_never_makes_invalid_text() -> None:
    values: dict[str, Value] = {"s": "a\ud800b", "j": ["\ud800"], "\ud800": 1}
    decoded = decode_entry(encode_entry(1, values))[1]
    assert decoded["s"] == "a?b"
    assert decoded["?"] == 1


def test_json_that_does_not_parse_stays_text() -> None:
    raw = delimited(2, delimited(1, b"k") + b"\x10\x04" + delimited(7, b"{broken"))
    assert decode_entry(raw) == (0, {"k": "{broken"})


def test_a_type_of_a_newer_peer_falls_back_to_the_value_that_is_there() -> None:
    raw = delimited(2, delimited(1, b"k") + b"\x10\x09" + delimited(6, b"words"))
    assert decode_entry(raw) == (0, {"k": "words"})


def test_the_type_decides_which_value_counts() -> None:
    raw = delimited(2, delimited(1, b"k") + b"\x10\x01\x20\x05" + delimited(6, b"words"))
    assert decode_entry(raw) == (0, {"k": 5})


def test_fields_of_a_newer_peer_are_passed_over() -> None:
    extra = (
        delimited(30, b"new") + b"\x81\x02" + bytes(8) + b"\x85\x02" + bytes(4) + b"\x80\x02\x01"
    )
    pair = delimited(2, delimited(1, b"k") + extra + b"\x10\x01\x20\x05")
    assert decode_entry(extra + pair + extra) == (0, {"k": 5})


@pytest.mark.parametrize("cut", range(1, 30))
def test_a_truncated_entry_is_refused_or_is_shorter_never_garbage(cut: int) -> None:
    whole = encode_entry(1_700_000_000_000, {"a": 1.5, "b": "words"})
    try:
        _ts, values = decode_entry(whole[:-cut])
    except MalformedWire:
        return
    assert values in ({}, {"a": 1.5})


def test_what_is_no_value_is_refused() -> None:
    with pytest.raises(TypeError):
        encode_entry(1, {"none": None})  # type: ignore[dict-item]  # the point of the test


def test_a_number_beyond_64_bits_is_refused_rather_than_wrapped() -> None:
    with pytest.raises(OverflowError):
        encode_entry(1, {"n": 2**63})


@pytest.mark.parametrize("number", [0, 1, 127, 128, 16_383, 16_384, 2**31, 2**63 - 1, -1, -(2**63)])
def test_the_size_of_a_number_is_known_without_writing_it(number: int) -> None:
    assert varint_size(number) == len(varint(number))
