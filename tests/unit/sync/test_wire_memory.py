"""What decode_entry remembers of keys never changes what it reads."""

from __future__ import annotations

import struct

import pytest

from appliance.sync import wire
from appliance.sync.protobuf import MalformedWire
from appliance.sync.wire import decode_entry, encode_entry


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is remembered at first."""
    monkeypatch.setattr(wire, "_known_heads", {})


def entry(*pairs: bytes) -> bytes:
    """A TsKvListProto at time 1 with these KeyValueProtos."""
    return b"\x08\x01" + b"".join(b"\x12" + bytes((len(pair),)) + pair for pair in pairs)


def test_a_repeated_entry_reads_the_same_with_and_without_memory():
    data = encode_entry(7, {"t": 21.5, "n": -3, "zero": 0, "b": True, "s": "x", "j": {"a": [1]}})

    first, again = decode_entry(data), decode_entry(data)

    assert wire._known_heads
    assert (
        first
        == again
        == (
            7,
            {"t": 21.5, "n": -3, "zero": 0, "b": True, "s": "x", "j": {"a": [1]}},
        )
    )  # fmt: skip - the expected values on one line


def test_a_remembered_head_with_another_number_gives_that_number():
    decode_entry(encode_entry(1, {"t": 1.0, "n": 1}))

    assert decode_entry(encode_entry(2, {"t": -0.25, "n": 1 << 40})) == (
        2,
        {"t": -0.25, "n": 1 << 40},
    )  # fmt: skip - as above


def test_a_pair_that_goes_on_after_its_number_is_not_taken_for_a_known_one():
    """The last key wins, as in any protobuf parser, however often it was read."""
    plain = b"\x0a\x01a\x10\x02\x29" + struct.pack("<d", 1.5)
    twice = plain + b"\x0a\x01b"

    for _ in range(2):
        assert decode_entry(entry(twice)) == (1, {"b": 1.5})
        assert decode_entry(entry(plain)) == (1, {"a": 1.5})
        assert decode_entry(entry(plain, twice)) == (1, {"a": 1.5, "b": 1.5})


def test_a_long_with_more_behind_it_is_read_to_its_end():
    plain, longer = b"\x0a\x01a\x10\x01\x20\x05", b"\x0a\x01a\x10\x01\x20\x05\x20\x06"

    for _ in range(2):
        assert decode_entry(entry(plain)) == (1, {"a": 5})
        assert decode_entry(entry(longer)) == (1, {"a": 6})


def test_a_key_of_many_bytes_is_never_mixed_up_with_one_that_begins_alike():
    keys = ["k" * 200 + end for end in "xyz"]
    data = encode_entry(1, {key: float(number) for number, key in enumerate(keys)})

    for _ in range(2):
        assert decode_entry(data) == (1, {key: float(n) for n, key in enumerate(keys)})


def test_a_number_that_is_cut_off_is_still_malformed_when_its_head_is_known():
    good = b"\x0a\x01a\x10\x01\x20\x05"
    decode_entry(entry(good))

    with pytest.raises(MalformedWire):
        decode_entry(entry(good)[:-1])


def test_the_memory_is_bounded():
    for number in range(wire._KEYS_MAX + 10):
        decode_entry(encode_entry(1, {f"k{number}": 1.0}))

    assert len(wire._known_heads) <= wire._KEYS_MAX
