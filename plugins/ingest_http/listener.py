"""The listener: path and method to what a device may do (spec §1.1, §1.2).

A device is answered 200 only after `Gate.post_*` has returned, when what it sent is durable.
Deviations from the reference, which answers 500 for all of it: a payload that cannot be taken is
400 with line, column and reason; "not now" is 503 with Retry-After; `[]` is 200 at once.
Firmware and software are not served: the answer is that of a device to which none is assigned.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl, unquote

import msgspec
import trio

from appliance.extension.hookspecs import Context
from appliance.extension.ports import DeviceSession, Gate, HttpRequest, HttpResponse
from appliance.model.errors import ConfigError, Permanent, Retryable
from appliance.payload import (
    PayloadError,
    parse_attributes,
    parse_json,
    parse_telemetry,
    read_call,
    read_claim,
)
from plugins.ingest_http import answers
from plugins.ingest_http.answers import OK, Documents, come_back, json_answer
from plugins.ingest_http.config import HttpIngestConfig
from plugins.ingest_http.events import HttpDeviceDeferred, HttpPayloadRefused, HttpTokenRefused
from plugins.ingest_http.polls import Polls

PREFIX = "/api/v1/"
_INT_MAX = 2**31 - 1
_LONG_MAX = 2**63 - 1

Action = Callable[[DeviceSession, HttpRequest], Awaitable[HttpResponse]]


class HttpIngest:
    """A Component that answers devices on the mounted prefix."""

    def __init__(self, config: HttpIngestConfig, context: Context, gate: Gate) -> None:
        self._config = config
        self._context = context
        self._gate = gate
        self._polls = Polls(gate)
        self._documents = Documents(context.clock)
        self._in_flight = 0
        self._quiet = trio.Event()
        if context.http is not None:
            context.http.reserve(PREFIX)
        self._stopping = False
        self._actions: dict[str, dict[str, Action]] = {
            "telemetry": {"POST": self._post_telemetry},
            "attributes": {"POST": self._post_attributes, "GET": self._get_attributes},
            "attributes/updates": {"GET": self._poll_attributes},
            "rpc": {"POST": self._call_server, "GET": self._poll_rpc},
            "rpc/{id}": {"POST": self._reply},
            "claim": {"POST": self._claim},
            "firmware": {"GET": self._get_package},
            "software": {"GET": self._get_package},
        }

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Answer devices until cancelled, then let requests in flight finish."""
        if self._context.http is None:
            raise ConfigError("[ingest.http] needs the HTTP port", hint="set [web] port")
        unmount = self._context.http.mount(PREFIX, self.handle)
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            unmount()
            await self._drain()

    async def _drain(self) -> None:
        self._stopping = True
        self._polls.end_all()
        if self._in_flight:
            with trio.move_on_after(self._config.stop_s_max, shield=True):
                await self._quiet.wait()

    async def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer one request; an HttpHandler."""
        self._in_flight += 1
        try:
            return _with_cors(request, await self._route(request))
        finally:
            self._in_flight -= 1
            if self._stopping and not self._in_flight:
                self._quiet.set()

    async def _route(self, request: HttpRequest) -> HttpResponse:
        token, _, resource = request.path[len(PREFIX) :].partition("/")
        if resource.startswith("rpc/") and resource.count("/") == 1 and len(resource) > 4:
            resource = "rpc/{id}"
        if request.path == PREFIX + "provision":
            return await self._provision(request)
        actions = self._actions.get(resource)
        if actions is None:
            return self._documents.no_resource(unquote(request.path))
        if request.method == "OPTIONS":
            return HttpResponse(200, headers=(("allow", ",".join(actions)),))
        action = actions.get("GET" if request.method == "HEAD" else request.method)
        if action is None:
            return self._documents.wrong_method(request.method, ",".join(actions))
        session = self._gate.authenticate_token(unquote(token))
        if session is None:
            self._context.emit(HttpTokenRefused(peer=request.peer))
            return answers.UNKNOWN_TOKEN
        return await self._act(action, session, request)

    async def _provision(self, request: HttpRequest) -> HttpResponse:
        """A device that has no token yet asks for one."""
        if request.method != "POST":
            return self._documents.wrong_method(request.method, "POST")
        try:
            body = parse_json(_body(request))
            if not isinstance(body, dict):
                raise PayloadError("A provisioning request is an object")
            return json_answer(await self._gate.provision(body))
        except Permanent as error:
            return self._documents.bad_request(str(error))
        except Retryable as error:
            return come_back(error.retry_after_s)

    async def _act(
        self, action: Action, session: DeviceSession, request: HttpRequest
    ) -> HttpResponse:
        try:
            return await action(session, request)
        except Permanent as error:
            self._context.emit(HttpPayloadRefused(device=session.name, reason=str(error)))
            return self._documents.bad_request(str(error))
        except Retryable as error:
            self._context.emit(HttpDeviceDeferred(device=session.name, reason=str(error)))
            return come_back(error.retry_after_s)

    # --- actions ---------------------------------------------------------------------------------

    async def _post_telemetry(self, session: DeviceSession, request: HttpRequest) -> HttpResponse:
        posts = parse_telemetry(_body(request), type_cast=self._config.type_cast)
        if posts:
            await self._gate.post_telemetry([(session, posts)])
        return OK

    async def _post_attributes(self, session: DeviceSession, request: HttpRequest) -> HttpResponse:
        values = parse_attributes(_body(request), type_cast=self._config.type_cast)
        if values:
            await self._gate.post_attributes(session, values)
        return OK

    async def _get_attributes(self, session: DeviceSession, request: HttpRequest) -> HttpResponse:
        query = _query(request)
        asked = _keys(query.get("clientKeys")), _keys(query.get("sharedKeys"))
        client, shared = self._gate.read_attributes(session, *asked)
        body = {name: values for name, values in (("client", client), ("shared", shared)) if values}
        return json_answer(body)

    async def _poll_attributes(self, session: DeviceSession, request: HttpRequest) -> HttpResponse:
        return await self._poll(session, request, "attributes")

    async def _poll_rpc(self, session: DeviceSession, request: HttpRequest) -> HttpResponse:
        return await self._poll(session, request, "rpc")

    async def _poll(self, session: DeviceSession, request: HttpRequest, what: str) -> HttpResponse:
        asked_ms = _integer(_query(request).get("timeout") or "0", _LONG_MAX, "timeout")
        timeout_ms = min(
            asked_ms if asked_ms > 0 else self._config.poll_ms_default, self._config.poll_ms_max
        )
        return await self._polls.answer(session, request, what, timeout_ms / 1000)

    async def _call_server(self, session: DeviceSession, request: HttpRequest) -> HttpResponse:
        method, params = read_call(parse_json(_body(request)))
        timeout_s = self._config.rpc_s_max
        try:
            reply = await self._gate.rpc_to_server(session, method, params, timeout_s)
        except trio.TooSlowError:
            reply = {"error": "timeout"}
        return json_answer(reply)

    async def _reply(self, session: DeviceSession, request: HttpRequest) -> HttpResponse:
        request_id = _integer(request.path.rpartition("/")[2], _INT_MAX, "requestId")
        body = _body(request)
        try:
            reply = parse_json(body)
        except PayloadError:
            reply = body.decode("utf-8", "replace")  # any text is a reply
        await self._gate.rpc_reply(session, request_id, reply)
        return OK

    async def _claim(self, session: DeviceSession, request: HttpRequest) -> HttpResponse:
        secret_key, duration_ms = read_claim(parse_json(request.body) if request.body else {})
        await self._gate.claim(session, secret_key, duration_ms)
        return OK

    async def _get_package(self, session: DeviceSession, request: HttpRequest) -> HttpResponse:
        query = _query(request)
        for name in ("title", "version"):
            if name not in query:
                raise PayloadError(f"Required request parameter '{name}' is not present")
        for name in ("size", "chunk"):
            _integer(query.get(name) or "0", _INT_MAX, name)
        return answers.NOTHING_ASSIGNED


def _body(request: HttpRequest) -> bytes:
    if not request.body:
        raise PayloadError("Required request body is missing")
    return request.body


def _query(request: HttpRequest) -> dict[str, str]:
    """The query; values of a name given twice are a list separated by commas, as keys are."""
    try:
        pairs = parse_qsl(request.query, keep_blank_values=True, max_num_fields=100)
    except ValueError as error:
        raise PayloadError("Too many query parameters") from error
    found: dict[str, str] = {}
    for name, value in pairs:
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def _keys(text: str | None) -> list[str] | None:
    return text.split(",") if text else None


def _integer(text: str, limit: int, name: str) -> int:
    try:
        value = int(text) if text.isascii() else limit + 1
    except ValueError:
        value = limit + 1
    if not -limit - 1 <= value <= limit or "_" in text:
        raise PayloadError(f"Method parameter '{name}': {text!r} is not a whole number")
    return value


def _with_cors(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Pages of other origins may call the device API, as with the reference."""
    origin = next((value for name, value in request.headers if name == b"origin"), None)
    if origin is None:
        return response
    headers: tuple[tuple[str, str], ...] = (
        ("access-control-allow-origin", origin.decode("latin-1")),
        ("vary", "origin"),
    )
    if request.method == "OPTIONS":
        headers += (
            ("access-control-allow-methods", "GET,POST,OPTIONS"),
            ("access-control-allow-headers", "*"),
            ("access-control-max-age", "1800"),
        )
    return msgspec.structs.replace(response, headers=response.headers + headers)
