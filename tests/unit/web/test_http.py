"""The HTTP reader: what is understood does not depend on how it arrives, and nothing crashes it."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.web.config import WebConfig
from appliance.web.http import BodyBudget, Refused, RequestReader

CONFIG = WebConfig(head_bytes_max=1_024, api_body_bytes_max=2_048)

STREAM = (
    b"GET /a?x=1 HTTP/1.1\r\nhost: x\r\n\r\n"
    b"POST /b HTTP/1.1\r\ncontent-length: 5\r\n\r\nhello"
    b"POST /c HTTP/1.1\r\nupgrade: h2c\r\nconnection: upgrade\r\ncontent-length: 2\r\n\r\nhi"
    b"POST /d HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    b"GET http://other/e HTTP/1.0\r\n\r\n"
)
EXPECTED = [
    ("GET", "/a", "x=1", b""),
    ("POST", "/b", "", b"hello"),
    ("POST", "/c", "", b"hi"),
    ("POST", "/d", "", b"abcde"),
    ("GET", "/e", "", b""),
]


def read(pieces: list[bytes]) -> tuple[list[tuple[str, str, str, bytes]], BodyBudget]:
    budget = BodyBudget(1_048_576)
    reader = RequestReader(CONFIG, budget, "peer", trio.sleep_forever)
    found = []
    try:
        for piece in pieces:
            reader.feed(piece)
            while reader.requests:
                request = reader.requests.popleft().request
                found.append((request.method, request.path, request.query, request.body))
                budget.give_back(len(request.body))
    finally:
        reader.close()
    return found, budget


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_requests_are_the_same_however_the_stream_is_cut(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[a:b] for a, b in pairwise(edges) if b > a]
    found, budget = read(pieces)
    assert found == EXPECTED
    assert budget.used == 0


@settings(max_examples=300)
@given(st.lists(st.binary(max_size=200), max_size=6), st.integers(0, len(STREAM)))
def test_rubbish_is_refused_or_waited_for_and_never_crashes(
    rubbish: list[bytes], kept: int
) -> None:
    budget = BodyBudget(1_048_576)
    reader = RequestReader(CONFIG, budget, "peer", trio.sleep_forever)
    try:
        for piece in [STREAM[:kept], *rubbish]:
            reader.feed(piece)
    except Refused as refused:
        assert refused.response.status in (400, 413, 431)
    reader.close()
    assert budget.used == 0


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("/api/v1/t/rpc", 65_536),
        ("/api/v1/t/rpc/7", 65_536),
        ("/api/v1/rpc/telemetry", 52_428_800),
        ("/api/v1/provision", 52_428_800),
        ("/api/plugins/rpc/oneway/x", 16_777_216),
        ("/", 16_777_216),
    ],
)
def test_each_path_has_its_limit(path: str, limit: int) -> None:
    assert WebConfig().body_bytes_max(path) == limit
