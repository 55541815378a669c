"""Every payload that a real edge was asked about is stored as it stored it, or refused better."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from appliance.payload import PayloadError, parse_attributes, parse_telemetry

RECORDINGS = Path(__file__).parents[2] / "fixtures" / "traces" / "api" / "http-device.json"
NOT_ABOUT_PAYLOADS = ("PUT", "GET", "trailing slash", "unknown token", "blank token", "kB", "get ")
REFUSED_BETTER = {"telemetry: long key": "longer than 255"}
ACCEPTED_BETTER = {"telemetry: empty array": {}}


def _cases(kind: str) -> list[Any]:
    cases = json.loads(RECORDINGS.read_text("utf-8"))
    names = [c for c in cases if c["name"].startswith(kind + ":")]
    wanted = [c for c in names if not any(word in c["name"] for word in NOT_ABOUT_PAYLOADS)]
    return [pytest.param(case, id=case["name"]) for case in wanted]


def _body(case: Any) -> bytes:
    request = case["request"]
    if "body_hex" in request:
        return bytes.fromhex(request["body_hex"])
    body: str = request["body"]
    return body.encode()


def _strict(value: Any) -> Any:
    """A form in which 1, 1.0, True and "1" all differ."""
    return f"{type(value).__name__} {json.dumps(value, ensure_ascii=False, sort_keys=True)}"


def _check(case: Any, kept: dict[str, Any], stored: dict[str, Any]) -> None:
    assert {k: _strict(v) for k, v in kept.items()} == {k: _strict(v) for k, v in stored.items()}


@pytest.mark.parametrize("case", _cases("telemetry"))
def test_telemetry_is_kept_as_recorded(case: Any) -> None:
    name = case["name"]
    if name in REFUSED_BETTER:
        with pytest.raises(PayloadError, match=REFUSED_BETTER[name]):
            parse_telemetry(_body(case))
        return
    if case["answer"].get("status", 200) >= 400:
        with pytest.raises(PayloadError):
            parse_telemetry(_body(case))
        return
    newest = case["stored_telemetry"]
    posts = parse_telemetry(_body(case))
    fresh = [values for ts, values in posts if ts is None]
    kept = {k: v for values in (fresh or [v for _, v in posts]) for k, v in values.items()}
    _check(case, kept, {key: points[0]["value"] for key, points in newest.items()})


@pytest.mark.parametrize("case", _cases("attributes"))
def test_attributes_are_kept_as_recorded(case: Any) -> None:
    if case["answer"]["status"] >= 400:
        with pytest.raises(PayloadError):
            parse_attributes(_body(case))
        return
    _check(case, parse_attributes(_body(case)), case["stored_client_attributes"])


@pytest.mark.parametrize(
    ("body", "ts"),
    [
        ('{"ts":1700000000000,"values":{"a":1}}', 1700000000000),
        ('{"ts":"1700000000000","values":{"a":1}}', 1700000000000),
        ('{"ts":1.7e12,"values":{"a":1}}', 1700000000000),
        ('{"ts":0,"values":{"a":1}}', 0),
        ('{"ts":-5,"values":{"a":1}}', -5),
        ('{"a":1}', None),
    ],
)
def test_the_time_of_a_post_is_the_one_given(body: str, ts: int | None) -> None:
    assert parse_telemetry(body) == [(ts, {"a": 1})]
