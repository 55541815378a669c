"""The hand-written telemetry bytes are the bytes that protobuf libraries write."""

from __future__ import annotations

import json
import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from appliance.model.telemetry import Value
from appliance.sync.wire import decode_attributes, decode_entry, encode_attributes, encode_entry
from plugins.transport_grpc.generated import transport
from tests.kit import google_proto

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
LONG = st.integers(-(2**63), 2**63 - 1)
JSON = st.recursive(
    st.none() | st.booleans() | LONG | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
VALUE = st.one_of(
    st.booleans(),
    LONG,
    st.floats(),
    TEXT,
    st.lists(JSON, max_size=3),
    st.dictionaries(TEXT, JSON, max_size=3),
)
VALUES = st.dictionaries(TEXT, VALUE, max_size=6)


def _field(value: Value) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"type": 0, "bool_v": value}
    if isinstance(value, int):
        return {"type": 1, "long_v": value}
    if isinstance(value, float):
        return {"type": 2, "double_v": value}
    if isinstance(value, str):
        return {"type": 3, "string_v": value}
    return {"type": 4, "json_v": None}


def _fields(encoded: bytes, name: str, values: dict[str, Value]) -> list[dict[str, Any]]:
    """Every pair as a library would be given it. JSON text is compared by meaning, then taken
    over as it is written, because numbers and escapes have more than one spelling."""
    pairs = [{"key": key} | _field(value) for key, value in values.items()]
    for pair, ours in zip(pairs, google_proto.parse(name, encoded).kv, strict=True):
        if "json_v" in pair:
            assert json.loads(ours.json_v) == values[pair["key"]]
            pair["json_v"] = ours.json_v
    return pairs


@given(LONG, VALUES)
def test_an_entry_is_written_as_google_writes_it(ts: int, values: dict[str, Value]) -> None:
    ours = encode_entry(ts, values)
    pairs = _fields(ours, "transport.TsKvListProto", values)
    theirs = google_proto.new("transport.TsKvListProto", ts=ts, kv=pairs)
    assert ours == theirs.SerializeToString()


@given(VALUES)
def test_attributes_are_written_as_google_writes_them(values: dict[str, Value]) -> None:
    ours = encode_attributes(values)
    pairs = _fields(ours, "transport.PostAttributeMsg", values)
    assert ours == google_proto.new("transport.PostAttributeMsg", kv=pairs).SerializeToString()


def _is_negative_zero(value: Value) -> bool:
    return isinstance(value, float) and value == 0 and math.copysign(1, value) < 0


@given(LONG, VALUES)
def test_an_entry_is_written_as_betterproto2_writes_it(ts: int, values: dict[str, Value]) -> None:
    # betterproto2 takes -0.0 for the default and leaves it out; Google and we do not.
    values = {key: value for key, value in values.items() if not _is_negative_zero(value)}
    ours = encode_entry(ts, values)
    pairs = _fields(ours, "transport.TsKvListProto", values)
    theirs = transport.TsKvListProto(
        ts=ts,
        kv=[
            transport.KeyValueProto(**pair | {"type": transport.KeyValueType(pair["type"])})
            for pair in pairs
        ],
    )
    assert ours == bytes(theirs)


@given(LONG, VALUES)
def test_what_is_written_is_read(ts: int, values: dict[str, Value]) -> None:
    assert repr(decode_entry(encode_entry(ts, values))) == repr((ts, values))
    assert repr(decode_attributes(encode_attributes(values))) == repr(values)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for read in (decode_entry, decode_attributes):
        try:
            read(data)
        except ValueError:
            pass
