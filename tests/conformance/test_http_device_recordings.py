"""Every request of the recordings, asked of our listener over a real socket.

The recordings were made of a real edge. Where our answer is better on purpose (their README),
`BETTER` says so: a status of ours for each such case.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import trio

from appliance.extension.hookspecs import Context
from appliance.kernel.events import ignore
from appliance.model.telemetry import Value
from appliance.testing.gate import FakeGate
from appliance.web.config import WebConfig
from appliance.web.door import Door
from plugins.ingest_http.config import HttpIngestConfig
from plugins.ingest_http.listener import HttpIngest

FIXTURES = Path(__file__).parent.parent / "fixtures" / "traces" / "api"
CASES = json.loads((FIXTURES / "http-device.json").read_text())
NOW = 1_800_000_000_000

# A payload that cannot be taken is the device's mistake, so 400 with the reason instead of 500;
# a long key is refused instead of lost; `[]` and a device's call are answered instead of never.
BETTER = {
    "telemetry: values null": 400,
    "telemetry: null": 400,
    "telemetry: number": 400,
    "telemetry: string": 400,
    "telemetry: true": 400,
    "telemetry: truncated": 400,
    "telemetry: trailing comma": 400,
    "telemetry: two docs": 400,
    "telemetry: array of numbers": 400,
    "telemetry: long key": 400,
    "telemetry: empty array": 200,
    "attributes: array": 400,
    "attributes: truncated": 400,
    "rpc: device call no method": 400,
    "rpc: device call getTime": 200,
    "rpc: device call getSessionLimits": 200,
    "provision: no key": 400,
}
WITH_PLACE = ("telemetry: truncated", "telemetry: trailing comma", "telemetry: two docs")


async def forget(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("a device route reached the application")


async def ask(case: dict[str, Any], gate: FakeGate) -> tuple[int, dict[str, str], bytes]:
    """Send the case's request; (status, headers, body) of our answer."""
    door = Door(WebConfig(host="127.0.0.1", port=0), forget, ignore)
    context = Context("edge", Path(), lambda: NOW, ignore, door)
    config = HttpIngestConfig(poll_ms_max=50, rpc_s_max=0.05)
    async with trio.open_nursery() as nursery:
        await nursery.start(door.run)
        await nursery.start(HttpIngest(config, context, gate).run)
        stream = await trio.open_tcp_stream("127.0.0.1", door.port)
        async with stream:
            await stream.send_all(raw_request(case["request"]))
            answer = b""
            with trio.fail_after(10):
                while data := await stream.receive_some():
                    answer += data
        nursery.cancel_scope.cancel()
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    return int(lines[0].split()[1]), headers, body


def raw_request(request: dict[str, Any]) -> bytes:
    body = body_of(request)
    path = quote(request["path"].replace("$TOKEN", "TOKEN"), safe="/?=&,")
    headers = {**request["headers"], "Host": "edge", "Connection": "close"}
    if body is not None:
        headers["Content-Length"] = str(len(body))
    head = [f"{request['method']} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*head, "", ""]).encode() + (body or b"")


def body_of(request: dict[str, Any]) -> bytes | None:
    if "body_hex" in request:
        return bytes.fromhex(request["body_hex"])
    body: str | None = request["body"]
    if body is None:
        return None
    if "… (" in body:  # shortened in the recording: {"a":"xxx…"} of so many characters
        length = int(body.rpartition("(")[2].split()[0])
        return b'{"a":"' + b"x" * (length - 8) + b'"}'
    return body.encode()


def gate_with_device() -> FakeGate:
    gate = FakeGate()
    gate.add_device("TOKEN")
    gate.shared["TOKEN"] = {"setpoint": 168, "mode": "auto"}
    return gate


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
async def test_the_answer_is_that_of_a_real_edge(case: dict[str, Any]) -> None:
    gate = gate_with_device()
    status, headers, body = await ask(case, gate)
    expected = case["answer"]
    assert status == BETTER.get(case["name"], expected.get("status"))
    if case["name"] not in BETTER:
        assert_same_body(case["name"], expected, headers, body)
    elif status == 400:
        document = json.loads(body)
        assert document["status"] == 400
        assert document["errorCode"] == 31
        assert document["message"]
        assert case["name"] not in WITH_PLACE or "line 1 column" in document["message"]


def assert_same_body(
    name: str, expected: dict[str, Any], headers: dict[str, str], body: bytes
) -> None:
    if not expected["body"]:
        assert body == b""
        assert "content-type" not in headers
    elif expected["status"] == 200:
        ours, theirs = json.loads(body), json.loads(expected["body"])
        if "shared" in theirs:  # the recorded number changed from case to case
            theirs["shared"].update({"setpoint": 168})
        assert ours == theirs
    else:
        ours, theirs = json.loads(body), json.loads(expected["body"])
        assert ours.keys() == theirs.keys()
        assert (ours["status"], ours["errorCode"]) == (theirs["status"], theirs["errorCode"])
        assert ours["timestamp"] == NOW


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if "stored_telemetry" in case],
    ids=lambda case: case["name"],
)
async def test_what_is_stored_is_what_a_real_edge_stores(case: dict[str, Any]) -> None:
    gate = gate_with_device()
    await ask(case, gate)
    stored = latest_of(gate)
    expected = case["stored_telemetry"]
    assert stored.keys() == expected.keys()
    for key, points in expected.items():
        ts, value = stored[key]
        if isinstance(points, str):
            assert isinstance(value, str)
            assert len(value) > 50_000
        else:
            assert_same_point(case, ts, value, points[0])


def latest_of(gate: FakeGate) -> dict[str, tuple[int, Value]]:
    """Per key the newest point, as a store would answer."""
    latest: dict[str, tuple[int, Value]] = {}
    for _, ts, values in gate.telemetry:
        for key, value in values.items():
            at = NOW if ts is None else ts
            if key not in latest or at >= latest[key][0]:
                latest[key] = (at, value)
    return latest


def assert_same_point(case: dict[str, Any], ts: int, value: Value, point: dict[str, Any]) -> None:
    assert value == point["value"]
    assert type(value) is type(point["value"])
    if point["ts"] == "<server time>":
        assert ts == NOW
    elif point["ts"] == "<given>":
        assert ts == json.loads(case["request"]["body"])["ts"]
    else:
        assert ts == point["ts"]


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if "stored_client_attributes" in case],
    ids=lambda case: case["name"],
)
async def test_client_attributes_are_kept_as_a_real_edge_keeps_them(case: dict[str, Any]) -> None:
    gate = gate_with_device()
    await ask(case, gate)
    stored = gate.client["TOKEN"]
    assert stored == case["stored_client_attributes"]
    for key, value in case["stored_client_attributes"].items():
        assert type(stored[key]) is type(value)
