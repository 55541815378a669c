"""rest api call (spec §10.2)."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import trio

from appliance.model.message import Message
from appliance.rules.context import Context
from appliance.rules.messages import transformed, with_metadata
from appliance.rules.node import PACKAGE, NodeConfig, NodeFactory, NodeHandle, require
from appliance.rules.patterns import Pattern
from appliance.rules.values import decode_json, encode_json, json_text
from plugins.rules_external.credentials import Credentials
from plugins.rules_external.http_client import HttpFailed, Proxy, Response, request
from plugins.rules_external.url import encoded_url

WITH_BODY = ("POST", "PUT", "PATCH", "DELETE")
METHODS = (*WITH_BODY, "GET", "HEAD", "OPTIONS")
BUFFER_KB, BUFFER_KB_MAX = 256, 25_000
_NAMES = {status.value: (status.name, status.phrase) for status in HTTPStatus} | {
    103: ("EARLY_HINTS", "Early Hints"),
    413: ("PAYLOAD_TOO_LARGE", "Payload Too Large"),
    414: ("URI_TOO_LONG", "URI Too Long"),
    416: ("REQUESTED_RANGE_NOT_SATISFIABLE", "Requested range not satisfiable"),
    418: ("I_AM_A_TEAPOT", "I'm a teapot"),
    422: ("UNPROCESSABLE_ENTITY", "Unprocessable Entity"),
    505: ("HTTP_VERSION_NOT_SUPPORTED", "HTTP Version not supported"),
    509: ("BANDWIDTH_LIMIT_EXCEEDED", "Bandwidth Limit Exceeded"),
}
"""Name and reason by status as Spring has them, whatever the response says and whichever Python
names them."""
PARALLEL_MAX = 64
"""Requests of one node at a time where its configuration sets no limit."""


class RestConfig(NodeConfig, frozen=True, kw_only=True):
    """URL and headers are patterns. read_timeout_ms, max_parallel_requests_count,
    max_in_memory_buffer_size_in_kb: 0 = ours.

    use_system_proxy_properties: of the environment (https_proxy, http_proxy, no_proxy).
    """

    ignores_unknown = True

    rest_endpoint_url_pattern: str | None = None
    request_method: str = ""
    headers: dict[str, str] = {}
    use_simple_client_http_factory: bool = False
    parse_to_plain_text: bool = False
    read_timeout_ms: int = 0
    max_parallel_requests_count: int = 0
    ignore_request_body: bool = False
    max_in_memory_buffer_size_in_kb: int = 0
    enable_proxy: bool = False
    use_system_proxy_properties: bool = False
    proxy_host: str = ""
    proxy_port: int = 0
    proxy_user: str = ""
    proxy_password: str = ""
    credentials: Credentials = Credentials()


class RestCall:
    """rest api call."""

    def __init__(self, config: RestConfig, node: NodeHandle) -> None:
        require(config.request_method in METHODS, f"unknown method {config.request_method!r}")
        self._own_proxy = _own_proxy(config)
        simple = config.use_simple_client_http_factory and not config.enable_proxy
        require(
            not (simple and config.credentials.type == "cert.PEM"),
            "Simple HTTP Factory does not support CERT PEM credentials!",
        )
        config.credentials.check()
        buffer_kb = config.max_in_memory_buffer_size_in_kb
        require(buffer_kb <= BUFFER_KB_MAX, f"a response has at most {BUFFER_KB_MAX} KB")
        self._body_bytes_max = (buffer_kb if buffer_kb > 0 else BUFFER_KB) * 1024
        self._config = config
        self._url = Pattern(config.rest_endpoint_url_pattern)
        self._headers = [(Pattern(name), Pattern(text)) for name, text in config.headers.items()]
        self._limiter = trio.CapacityLimiter(config.max_parallel_requests_count or PARALLEL_MAX)

    async def process(self, message: Message, ctx: Context) -> None:
        """Success with the response as data; Failure for anything but 2xx."""
        try:
            async with self._limiter:
                response = await self._send(message)
        except (HttpFailed, trio.TooSlowError) as error:
            text = str(error) or "no response in time"
            failed = with_metadata(message, {**message.metadata, "error": text})
            ctx.failure(failed, text)
            return
        text = response.body.decode(errors="replace")
        if 200 <= response.status < 300:
            metadata = {**message.metadata, **_described(response)}
            ctx.success(transformed(message, message.type, _parsed(text), metadata))
        else:
            told = _error(response, text) if response.status >= 400 else _refusal(response, text)
            failed = with_metadata(message, {**message.metadata, **told})
            ctx.failure(failed, f"the server answered {response.status}")

    async def _send(self, message: Message) -> Response:
        config = self._config
        limit_s = config.read_timeout_ms / 1000 if config.read_timeout_ms else float("inf")
        url = encoded_url(self._url.fill(message))
        with trio.fail_after(limit_s):
            return await request(
                config.request_method,
                url,
                self._request_headers(message),
                self._body(message),
                tls=config.credentials.tls,
                body_bytes_max=self._body_bytes_max,
                proxy=self._proxy(url),
            )

    def _proxy(self, url: str) -> Proxy | None:
        config = self._config
        if config.enable_proxy and config.use_system_proxy_properties:
            return _system_proxy(url)
        return self._own_proxy

    def _request_headers(self, message: Message) -> Sequence[tuple[str, str]]:
        headers = [(name.fill(message), text.fill(message)) for name, text in self._headers]
        if self._config.credentials.type == "basic":
            headers.append(("Authorization", self._config.credentials.basic_header()))
        if all(name.lower() != "content-type" for name, _ in headers) and self._has_body():
            plain = self._config.parse_to_plain_text
            headers.append(
                ("Content-Type", "text/plain;charset=UTF-8" if plain else "application/json")
            )
        return headers

    def _has_body(self) -> bool:
        return not self._config.ignore_request_body and self._config.request_method in WITH_BODY

    def _body(self, message: Message) -> bytes:
        config = self._config
        if not self._has_body():
            return b""
        if config.parse_to_plain_text and isinstance(message.data, str):
            return message.data.encode()
        return encode_json(message.data)


def _own_proxy(config: RestConfig) -> Proxy | None:
    if not config.enable_proxy or config.use_system_proxy_properties:
        return None
    require(config.proxy_host, "the proxy's host is missing")
    require(0 < config.proxy_port < 65_536, "the proxy's port must be 1 .. 65535")
    login = None
    if config.proxy_user and config.proxy_password:
        login = Credentials(
            username=config.proxy_user, password=config.proxy_password
        ).basic_header()
    return Proxy(config.proxy_host, config.proxy_port, login)


def _system_proxy(url: str) -> Proxy | None:
    """What this process's environment says. Raises HttpFailed for what is no proxy."""
    parts = urlsplit(url)
    text = getproxies_environment().get(parts.scheme)
    if not text or proxy_bypass(parts.hostname or ""):
        return None
    found = urlsplit(text if "//" in text else f"//{text}")
    if not found.hostname:
        raise HttpFailed(f"bad proxy {text!r} in the environment")
    login = None
    if found.username:
        login = Credentials(
            username=unquote(found.username), password=unquote(found.password or "")
        ).basic_header()
    return Proxy(found.hostname, found.port or 80, login)


def _described(response: Response) -> dict[str, str]:
    """Metadata of a response: its status by Spring's names, and each header; several of one name
    are a JSON array."""
    name, reason = _NAMES.get(response.status, ("", response.reason))
    headers: dict[str, list[str]] = {}
    for header, text in response.headers:
        headers.setdefault(header, []).append(text)
    return {
        **{
            key: texts[0] if len(texts) == 1 else json_text(texts) for key, texts in headers.items()
        },
        "status": name,
        "statusCode": str(response.status),
        "statusReason": reason,
    }


def _refusal(response: Response, text: str) -> dict[str, str]:
    """Metadata of a response that is neither good nor an error, such as a redirect."""
    return {**({"error_body": text} if text else {}), **_described(response)}


def _error(response: Response, text: str) -> dict[str, str]:
    """Metadata of an error: the reference's client makes an exception of it, without headers."""
    _, reason = _NAMES.get(response.status, ("", response.reason))
    return {
        "error": f"{response.status} {reason}",
        "status": reason,
        "statusCode": str(response.status),
        "error_body": text,
    }


def _parsed(text: str) -> Any:
    """The response as data: JSON, or its text; nothing is an empty object."""
    if not text:
        return {}
    try:
        return decode_json(text)
    except ValueError:
        return text


def _upgrade(config: dict[str, Any], version: int) -> dict[str, Any]:
    if "trimDoubleQuotes" in config:
        config.setdefault("parseToPlainText", config.pop("trimDoubleQuotes"))
    return config


REST_NODES = (
    NodeFactory(
        PACKAGE + "rest.TbRestApiCallNode",
        "rest api call",
        RestConfig,
        RestCall,
        version=3,
        upgrade=_upgrade,
        note="the whole message has 20 s",
        outside=True,
    ),
)
