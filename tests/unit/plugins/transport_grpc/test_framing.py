"""Length-prefixed messages: any cut, any compression, never too much."""

from __future__ import annotations

import gzip
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.transport_grpc.framing import Deframer, StreamFault, frame

MESSAGES = st.lists(st.binary(max_size=200), max_size=8)


@given(MESSAGES, st.integers(1, 50), st.booleans())
def test_messages_survive_any_cut_of_the_stream(
    messages: list[bytes], step: int, compress: bool
) -> None:
    deframer = Deframer(1000, "gzip")
    stream = b"".join(frame(message, compress=compress) for message in messages)
    taken: list[bytes] = []
    for at in range(0, len(stream), step):
        deframer.feed(stream[at : at + step])
        taken += deframer.take(100)
    assert taken == messages
    assert deframer.take(100) == []


def test_no_more_messages_are_taken_than_asked_for() -> None:
    deframer = Deframer(1000)
    deframer.feed(b"".join(frame(bytes([n])) for n in range(5)))
    assert deframer.take(2) == [b"\0", b"\1"]
    assert deframer.take(2) == [b"\2", b"\3"]
    assert deframer.take(2) == [b"\4"]


def test_gzip_of_another_maker_is_read() -> None:
    body = gzip.compress(b"words" * 50)
    deframer = Deframer(1000, "gzip")
    deframer.feed(struct.pack(">?I", True, len(body)) + body)
    assert deframer.take(1) == [b"words" * 50]


@pytest.mark.parametrize("compress", [False, True])
def test_the_limit_holds_for_what_travels_and_for_what_it_becomes(compress: bool) -> None:
    deframer = Deframer(1000, "gzip")
    deframer.feed(frame(bytes(1000), compress=compress))
    assert deframer.take(1) == [bytes(1000)]
    deframer.feed(frame(bytes(1001), compress=compress))
    with pytest.raises(StreamFault) as fault:
        deframer.take(1)
    assert fault.value.status == "RESOURCE_EXHAUSTED"


def test_a_bomb_is_not_unpacked() -> None:
    deframer = Deframer(100_000, "gzip")
    deframer.feed(frame(bytes(50_000_000), compress=True))
    with pytest.raises(StreamFault):
        deframer.take(1)


def test_a_limit_is_noticed_by_the_prefix_alone() -> None:
    deframer = Deframer(1000)
    deframer.feed(struct.pack(">?I", False, 2**32 - 1))
    with pytest.raises(StreamFault):
        deframer.take(1)


def test_messages_before_a_fault_come_first_and_the_fault_stays() -> None:
    deframer = Deframer(1000)
    deframer.feed(frame(b"good") + frame(bytes(2000)))
    assert deframer.take(10) == [b"good"]
    for _ in range(2):
        with pytest.raises(StreamFault):
            deframer.take(10)


@pytest.mark.parametrize(
    ("encoding", "body", "status"),
    [
        ("identity", gzip.compress(b"x"), "INTERNAL"),
        ("snappy", b"x", "UNIMPLEMENTED"),
        ("gzip", b"no gzip", "INTERNAL"),
        ("gzip", gzip.compress(b"x" * 100)[:-5], "INTERNAL"),
    ],
)
def test_what_cannot_be_decompressed_is_a_fault(encoding: str, body: bytes, status: str) -> None:
    deframer = Deframer(1000, encoding)
    deframer.feed(struct.pack(">?I", True, len(body)) + body)
    with pytest.raises(StreamFault) as fault:
        deframer.take(1)
    assert fault.value.status == status
