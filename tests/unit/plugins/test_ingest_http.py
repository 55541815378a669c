"""What the device HTTP API does beyond the recordings: polls, waiting, stopping."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from appliance.extension.hookspecs import Context
from appliance.extension.ports import HttpHandler, HttpRequest, HttpResponse
from appliance.kernel.events import Event
from appliance.model.errors import ConfigError, Permanent, Retryable
from appliance.testing.gate import FakeGate
from plugins.ingest_http import build
from plugins.ingest_http.config import HttpIngestConfig
from plugins.ingest_http.events import HttpDeviceDeferred, HttpPayloadRefused
from plugins.ingest_http.listener import HttpIngest

NOW = 1_800_000_000_000


class FakeMount:
    """The HTTP port without sockets."""

    def __init__(self) -> None:
        self.handlers: dict[str, HttpHandler] = {}
        self.reserved: list[str] = []

    def reserve(self, prefix: str) -> None:
        self.reserved.append(prefix)

    def mount(self, prefix: str, handler: HttpHandler) -> Callable[[], None]:
        self.handlers[prefix] = handler
        return lambda: self.handlers.pop(prefix) and None


class Rig:
    def __init__(self, **settings: Any) -> None:
        self.gate = FakeGate()
        self.gate.add_device("T", name="pump")
        self.events: list[Event] = []
        self.mount = FakeMount()
        context = Context("edge", Path(), lambda: NOW, self.events.append, self.mount)
        self.listener = HttpIngest(HttpIngestConfig(**settings), context, self.gate)

    async def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        query: str = "",
        headers: tuple[tuple[bytes, bytes], ...] = (),
        wait_closed: Callable[[], Awaitable[None]] = trio.sleep_forever,
    ) -> HttpResponse:
        request = HttpRequest(method, path, query, list(headers), body, "10.0.0.7", wait_closed)
        return await self.listener.handle(request)


async def test_devices_are_not_told_of_an_unknown_path_before_the_listener_runs() -> None:
    rig = Rig()
    assert (rig.mount.reserved, rig.mount.handlers) == (["/api/v1/"], {})


async def test_the_answer_waits_until_the_telemetry_is_durable() -> None:
    rig = Rig()
    rig.gate.hold = trio.Event()
    answers: list[HttpResponse] = []

    async def post() -> None:
        answers.append(await rig.ask("POST", "/api/v1/T/telemetry", b'{"t":1}'))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(post)
        await trio.testing.wait_all_tasks_blocked()
        assert answers == []
        rig.gate.hold.set()
    assert [answer.status for answer in answers] == [200]
    assert rig.gate.telemetry == [("pump", None, {"t": 1})]


@pytest.mark.parametrize(("retry_after_s", "header"), [(0.2, "1"), (3.4, "4")])
async def test_a_device_that_must_wait_is_told_how_long(retry_after_s: float, header: str) -> None:
    rig = Rig()
    rig.gate.failures = [Retryable("the disk is full", retry_after_s=retry_after_s)]
    answer = await rig.ask("POST", "/api/v1/T/telemetry", b'{"t":1}')
    assert answer.status == 503
    assert dict(answer.headers)["retry-after"] == header
    assert header == str(max(1, math.ceil(retry_after_s)))
    assert isinstance(rig.events[-1], HttpDeviceDeferred)


async def test_what_can_never_be_taken_is_refused_with_its_reason() -> None:
    rig = Rig()
    rig.gate.failures = [Permanent("the value is too large")]
    answer = await rig.ask("POST", "/api/v1/T/telemetry", b'{"t":1}')
    assert answer.status == 400
    assert "too large" in json.loads(answer.body)["message"]
    assert isinstance(rig.events[-1], HttpPayloadRefused)
    assert rig.events[-1].device == "pump"


async def test_a_poll_takes_the_first_attribute_update() -> None:
    rig = Rig()
    rig_answer: list[HttpResponse] = []

    async def poll() -> None:
        rig_answer.append(await rig.ask("GET", "/api/v1/T/attributes/updates"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(poll)
        await trio.testing.wait_all_tasks_blocked()
        assert rig.gate.push_attributes("pump", {"setpoint": 5}, ["mode"]) == 1
    assert json.loads(rig_answer[0].body) == {"setpoint": 5, "deleted": ["mode"]}
    assert rig.gate.subscriptions == []


async def test_a_poll_takes_one_request_and_leaves_the_next() -> None:
    rig = Rig()
    taken: list[HttpResponse] = []

    async def poll() -> None:
        taken.append(await rig.ask("GET", "/api/v1/T/rpc"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(poll)
        await trio.testing.wait_all_tasks_blocked()
        assert rig.gate.push_rpc("pump", 1, "on", {"a": 1})
        assert not rig.gate.push_rpc("pump", 2, "off", {})
    assert json.loads(taken[0].body) == {"id": 1, "method": "on", "params": {"a": 1}}
    assert rig.gate.rpc_deliveries == [("pump", 1)]


@pytest.mark.mock_clock
@pytest.mark.parametrize(
    ("query", "seconds"),
    [("", 60.0), ("timeout=0", 60.0), ("timeout=2000", 2.0), ("timeout=99999999", 300.0)],
)
async def test_a_poll_ends_with_408_after_its_timeout(query: str, seconds: float) -> None:
    rig = Rig()
    start = trio.current_time()
    answer = await rig.ask("GET", "/api/v1/T/rpc", query=query)
    assert answer.status == 408
    assert trio.current_time() - start == pytest.approx(seconds)


@pytest.mark.parametrize("timeout", ["x", "1_0", "99999999999999999999", "٣"])
async def test_a_timeout_that_is_no_number_is_refused(timeout: str) -> None:
    answer = await Rig().ask("GET", "/api/v1/T/rpc", query=f"timeout={timeout}")
    assert answer.status == 400


async def test_a_poll_whose_client_hung_up_takes_nothing() -> None:
    rig = Rig()
    hung_up = trio.Event()
    async with trio.open_nursery() as nursery:

        async def poll() -> None:
            await rig.ask("GET", "/api/v1/T/rpc", wait_closed=hung_up.wait)

        nursery.start_soon(poll)
        await trio.testing.wait_all_tasks_blocked()
        hung_up.set()
        await trio.testing.wait_all_tasks_blocked()
        assert not rig.gate.push_rpc("pump", 1, "on", {})
    assert rig.gate.rpc_deliveries == []


@pytest.mark.parametrize(("reason", "status"), [("deleted", 403), ("credentials", 408)])
async def test_a_poll_of_a_session_that_must_end_is_told_so(reason: str, status: int) -> None:
    rig = Rig()
    answers: list[HttpResponse] = []

    async def poll() -> None:
        answers.append(await rig.ask("GET", "/api/v1/T/rpc"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(poll)
        await trio.testing.wait_all_tasks_blocked()
        rig.gate.close("pump", reason)
    assert answers[0].status == status


async def test_the_reply_of_the_rule_chain_is_the_answer() -> None:
    rig = Rig()

    async def clock(session: Any, method: str, params: Any) -> Any:
        return {"method": method, "params": params}

    rig.gate.handle_rpc = clock
    answer = await rig.ask("POST", "/api/v1/T/rpc", b'{"method":"getTime","params":[1]}')
    assert json.loads(answer.body) == {"method": "getTime", "params": [1]}


async def test_a_reply_may_be_any_text() -> None:
    rig = Rig()
    assert (await rig.ask("POST", "/api/v1/T/rpc/7", b'{"ok":true}')).status == 200
    assert (await rig.ask("POST", "/api/v1/T/rpc/8", b"{not json")).status == 200
    assert rig.gate.rpc_replies == [("pump", 7, {"ok": True}), ("pump", 8, "{not json")]


@pytest.mark.parametrize("number", ["2147483648", "1.5", "abc"])
async def test_a_request_id_that_is_no_integer_is_refused(number: str) -> None:
    assert (await Rig().ask("POST", f"/api/v1/T/rpc/{number}", b"{}")).status == 400


async def test_only_the_scope_that_was_asked_for_is_given() -> None:
    rig = Rig()
    rig.gate.client["pump"] = {"a": 1}
    rig.gate.shared["pump"] = {"a": 2, "b": 3}

    async def read(query: str) -> Any:
        return json.loads((await rig.ask("GET", "/api/v1/T/attributes", query=query)).body)

    everything = {"client": {"a": 1}, "shared": {"a": 2, "b": 3}}
    assert await read("") == everything
    assert await read("client_keys=a") == everything
    assert await read("clientKeys=a") == {"client": {"a": 1}}
    assert await read("sharedKeys=b,x&clientKeys=") == {"shared": {"b": 3}}
    assert await read("sharedKeys=x") == {}


async def test_a_claim_reaches_the_gate() -> None:
    rig = Rig()
    await rig.ask("POST", "/api/v1/T/claim", b'{"secretKey":"s","durationMs":5}')
    await rig.ask("POST", "/api/v1/T/claim")
    assert rig.gate.claims == [("pump", "s", 5), ("pump", "", None)]


async def test_a_device_is_provisioned_with_the_right_secret() -> None:
    rig = Rig()
    rig.gate.provision_keys["key"] = "secret"
    body = b'{"deviceName":"new","provisionDeviceKey":"key","provisionDeviceSecret":"secret"}'
    answer = await rig.ask("POST", "/api/v1/provision", body)
    assert json.loads(answer.body)["status"] == "SUCCESS"
    assert (await rig.ask("POST", "/api/v1/new/telemetry", b"{}")).status == 200


@pytest.mark.parametrize("query", ["", "title=a", "version=1"])
async def test_firmware_needs_title_and_version(query: str) -> None:
    assert (await Rig().ask("GET", "/api/v1/T/firmware", query=query)).status == 400


async def test_a_page_of_another_origin_may_call() -> None:
    rig = Rig()
    origin = ((b"origin", b"http://panel"),)
    answer = await rig.ask("POST", "/api/v1/T/telemetry", b"{}", headers=origin)
    assert dict(answer.headers)["access-control-allow-origin"] == "http://panel"
    preflight = await rig.ask("OPTIONS", "/api/v1/T/telemetry", headers=origin)
    assert preflight.status == 200
    assert "POST" in dict(preflight.headers)["access-control-allow-methods"]


async def test_stopping_ends_polls_at_once_and_lets_posts_finish() -> None:
    rig = Rig()
    rig.gate.hold = trio.Event()
    answers: list[int] = []

    async def ask(method: str, path: str, body: bytes) -> None:
        answers.append((await rig.ask(method, path, body)).status)

    async with trio.open_nursery() as clients, trio.open_nursery() as nursery:
        await nursery.start(rig.listener.run)
        clients.start_soon(ask, "GET", "/api/v1/T/rpc", b"")
        clients.start_soon(ask, "POST", "/api/v1/T/telemetry", b'{"t":1}')
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await trio.testing.wait_all_tasks_blocked()
            assert answers == [408]
            assert rig.mount.handlers == {}
            rig.gate.hold.set()
    assert answers == [408, 200]


async def test_without_an_http_port_the_listener_says_what_is_missing() -> None:
    context = Context("edge", Path(), lambda: NOW, lambda event: None)
    with pytest.raises(ConfigError, match=r"\[web\] port"):
        await build(HttpIngestConfig(), context, FakeGate()).run()


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("firmware", "title=a&version=1", 404),
        ("firmware", "title=a&version=1&size=&chunk=0", 404),
        ("firmware", "title=a&version=1&chunk=x", 400),
        ("software", "title=a&version=1&size=2147483648", 400),
    ],
)
async def test_the_numbers_of_a_package_are_looked_at(path: str, query: str, status: int) -> None:
    rig = Rig()
    assert (await rig.ask("GET", f"/api/v1/T/{path}", query=query)).status == status


async def test_a_name_given_twice_is_a_list_and_an_empty_timeout_the_default() -> None:
    rig = Rig(poll_ms_default=1)
    rig.gate.shared["pump"] = {"a": 1, "b": 2, "c": 3}
    answer = await rig.ask("GET", "/api/v1/T/attributes", query="sharedKeys=a&sharedKeys=b")
    assert json.loads(answer.body) == {"shared": {"a": 1, "b": 2}}
    assert (await rig.ask("GET", "/api/v1/T/rpc", query="timeout=")).status == 408
