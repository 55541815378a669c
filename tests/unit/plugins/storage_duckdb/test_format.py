"""The journal's bytes: every record proves itself, and damage costs what it hit."""

from __future__ import annotations

import random

import pytest

from plugins.storage_duckdb.format import (
    GROUP_HEADER_BYTES,
    Gap,
    LaneFigures,
    Record,
    SegmentFooter,
    SegmentHeader,
    decode_footer,
    decode_header,
    encode_footer,
    encode_group,
    encode_header,
    encode_record,
    footer_length,
    group_at,
    scan,
)


def group(first: int, count: int, size: int = 20) -> bytes:
    records = [encode_record(first + n, 1, bytes([n % 256]) * size) for n in range(count)]
    return encode_group(first, 1_000 + first, 4, records)


def seqs(data: bytes, first: int = 1) -> list[int]:
    return [found.seq for found in scan(data, 0, first) if isinstance(found, Record)]


def test_what_is_written_is_read() -> None:
    data = group(1, 3) + group(4, 2)
    found = list(scan(data, 0, 1))
    assert all(isinstance(record, Record) for record in found)
    assert [record.seq for record in found] == [1, 2, 3, 4, 5]
    assert [record.committed_ms for record in found] == [1_001] * 3 + [1_004] * 2
    assert found[2].payload == b"\x02" * 20


def test_a_group_header_tells_where_the_next_group_is() -> None:
    data = group(1, 3) + group(4, 2)
    first = group_at(data, 0)
    assert first is not None
    assert (first.first_seq, first.records, first.lanes) == (1, 3, 4)
    second = group_at(data, first.end)
    assert second is not None
    assert second.end == len(data)


def test_a_damaged_payload_costs_its_record() -> None:
    data = bytearray(group(1, 5))
    data[GROUP_HEADER_BYTES + 2 * 32 + 25] ^= 1
    assert seqs(bytes(data)) == [1, 2, 4, 5]
    (gap,) = [found for found in scan(bytes(data), 0, 1) if isinstance(found, Gap)]
    assert (gap.first_seq, gap.last_seq) == (3, 3)


def test_a_damaged_length_costs_its_record() -> None:
    for bit in range(8, 32):
        data = bytearray(group(1, 5))
        at = GROUP_HEADER_BYTES + 32 + bit // 8
        data[at] ^= 1 << bit % 8
        assert seqs(bytes(data)) == [1, 3, 4, 5], bit


def test_a_damaged_group_header_costs_no_record() -> None:
    for at in range(GROUP_HEADER_BYTES):
        data = bytearray(group(1, 3) + group(4, 3) + group(7, 2))
        data[len(group(1, 3)) + at] ^= 0x40
        assert seqs(bytes(data)) == list(range(1, 9)), at


def test_sequences_are_whole_again_beyond_24_bits() -> None:
    first = (1 << 24) * 5 - 2
    data = bytearray(group(first, 4))
    data[0] ^= 1
    assert seqs(bytes(data), first) == [first, first + 1, first + 2, first + 3]


@pytest.mark.parametrize("seed", range(40))
def test_any_damage_costs_at_most_the_records_it_touches(seed: int) -> None:
    chance = random.Random(seed)
    parts = []
    following = 1
    for _ in range(12):
        count = chance.randrange(1, 9)
        parts.append(group(following, count, chance.randrange(0, 60)))
        following += count
    data = bytearray(b"".join(parts))
    at, length = chance.randrange(len(data)), chance.choice((1, 1, 40, 300))
    whole = {record.seq: record for record in scan(bytes(data), 0, 1) if isinstance(record, Record)}
    data[at : at + length] = chance.randbytes(len(data[at : at + length]))
    left = {record.seq: record for record in scan(bytes(data), 0, 1) if isinstance(record, Record)}
    assert all(whole[seq].payload == record.payload for seq, record in left.items())
    lost = len(whole) - len(left)
    assert lost <= length // 12 + 2, f"seed {seed}: {lost} records for {length} bytes"


def test_a_cut_file_ends_in_a_gap_that_reaches_the_end() -> None:
    data = group(1, 3) + group(4, 3)
    for cut in range(len(group(1, 3)) + 1, len(data)):
        found = list(scan(data[:cut], 0, 1))
        assert isinstance(found[-1], Gap)
        assert found[-1].end == cut


def test_header_and_footer_come_back_or_are_refused_whole() -> None:
    lanes = [LaneFigures("cloud", 2, 5, 50, done={(3, 0): 7})]  # type: ignore[arg-type]  # a Lane
    header = encode_header(SegmentHeader(7, 1_000, lanes))
    found, length = decode_header(header + b"rest")
    assert found is not None
    assert (found.first_seq, found.lanes[0].done, length) == (7, {(3, 0): 7}, len(header))
    footer = encode_footer(SegmentFooter(7, 9, 1, 2, 3, True, [], lanes))
    assert footer_length(footer[-16:]) == len(footer)
    assert decode_footer(footer) is not None
    for at in range(len(footer)):
        hurt = bytearray(footer)
        hurt[at] ^= 2
        assert decode_footer(bytes(hurt)) is None, at
