"""Claims and calls, as lenient as the reference reads them."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.payload import PayloadError, read_call, read_claim, read_whole


@pytest.mark.parametrize(
    ("document", "claim"),
    [
        ({}, ("", None)),
        ({"secretKey": None, "durationMs": None}, ("", None)),
        ({"secretKey": "s", "durationMs": 60000}, ("s", 60000)),
        ({"secretKey": 5, "durationMs": "60000"}, ("5", 60000)),
        ({"secretKey": True, "durationMs": 6e4}, ("true", 60000)),
    ],
)
def test_a_claim_takes_scalars_for_what_they_stand_for(
    document: Any, claim: tuple[str, int | None]
) -> None:
    assert read_claim(document) == claim


@pytest.mark.parametrize(
    "document",
    [[], None, 5, {"secretKey": {}}, {"durationMs": "x"}, {"durationMs": True}, {"durationMs": []}],
)
def test_what_is_no_claim_is_refused(document: Any) -> None:
    with pytest.raises(PayloadError):
        read_claim(document)


def test_a_call_needs_a_method_and_no_params() -> None:
    assert read_call({"method": "getTime"}) == ("getTime", None)
    assert read_call({"method": 5, "params": [1]}) == ("5", [1])
    for wrong in ({}, {"method": None}, {"method": {}}, [], "x", None):
        with pytest.raises(PayloadError):
            read_call(wrong)


@pytest.mark.parametrize("value", [1 << 63, "9" * 19 + "9", 1.5, "1.5", "", True, None])
def test_what_is_no_whole_number_is_refused(value: Any) -> None:
    with pytest.raises(PayloadError):
        read_whole({"n": value}, "n")
