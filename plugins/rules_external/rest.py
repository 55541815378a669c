"""rest api call (spec §10.2)."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import trio

from appliance.model.message import Message
from appliance.rules.context import Context
from appliance.rules.messages import transformed, with_metadata
from appliance.rules.node import PACKAGE, NodeConfig, NodeFactory, NodeHandle, require
from appliance.rules.patterns import Pattern
from appliance.rules.values import decode_json, encode_json
from plugins.rules_external.credentials import Credentials
from plugins.rules_external.http_client import HttpFailed, Response, request

WITH_BODY = ("POST", "PUT", "PATCH", "DELETE")
METHODS = (*WITH_BODY, "GET", "HEAD", "OPTIONS")
URL_SAFE = "%/:=&?~#+!$,;'@()*[]"
PARALLEL_MAX = 64
"""Requests of one node at a time where its configuration sets no limit."""


class RestConfig(NodeConfig, frozen=True, kw_only=True):
    """URL and headers are patterns. read_timeout_ms, max_parallel_requests_count: 0 = ours."""

    rest_endpoint_url_pattern: str = ""
    request_method: str = "POST"
    headers: dict[str, str] = {}
    parse_to_plain_text: bool = False
    read_timeout_ms: int = 0
    max_parallel_requests_count: int = 0
    ignore_request_body: bool = False
    max_in_memory_buffer_size_in_kb: int = 256
    enable_proxy: bool = False
    credentials: Credentials = Credentials()


class RestCall:
    """rest api call."""

    def __init__(self, config: RestConfig, node: NodeHandle) -> None:
        require(config.rest_endpoint_url_pattern, "the URL is missing")
        require(config.request_method in METHODS, f"unknown method {config.request_method}")
        require(not config.enable_proxy, "not supported on this edge: a proxy of a node's own")
        config.credentials.check()
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
        metadata = {**message.metadata, **_described(response)}
        text = response.body.decode(errors="replace")
        if 200 <= response.status < 300:
            ctx.success(transformed(message, message.type, _parsed(text), metadata))
        else:
            metadata["error_body"] = text
            ctx.failure(with_metadata(message, metadata), f"the server answered {response.status}")

    async def _send(self, message: Message) -> Response:
        config = self._config
        limit_s = config.read_timeout_ms / 1000 if config.read_timeout_ms else float("inf")
        with trio.fail_after(limit_s):
            return await request(
                config.request_method,
                quote(self._url.fill(message), safe=URL_SAFE),
                self._request_headers(message),
                self._body(message),
                tls=config.credentials.tls,
                body_bytes_max=config.max_in_memory_buffer_size_in_kb * 1024,
            )

    def _request_headers(self, message: Message) -> Sequence[tuple[str, str]]:
        headers = [(name.fill(message), text.fill(message)) for name, text in self._headers]
        if self._config.credentials.type == "basic":
            headers.append(("Authorization", self._config.credentials.basic_header()))
        return headers

    def _body(self, message: Message) -> bytes:
        config = self._config
        if config.ignore_request_body or config.request_method not in WITH_BODY:
            return b""
        if config.parse_to_plain_text and isinstance(message.data, str):
            return message.data.encode()
        return encode_json(message.data)


def _described(response: Response) -> dict[str, str]:
    try:
        name = HTTPStatus(response.status).name
    except ValueError:
        name = ""
    return {
        **dict(response.headers),
        "status": name,
        "statusCode": str(response.status),
        "statusReason": response.reason,
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
        note="without a proxy of its own; the whole message has 20 s",
        outside=True,
    ),
)
