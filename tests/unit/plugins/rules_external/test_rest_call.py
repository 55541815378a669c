"""rest api call, against a server on a real socket."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import trio

from appliance.testing.rules import RuleBench
from plugins.rules_external import register_rule_nodes
from plugins.rules_external.url import encoded_url
from tests.kit.certificates import Certificates

NODE = "0e5d5a10-0000-11f0-8000-000000000001"
Handler = Callable[[trio.abc.Stream], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[int]:
    """A TCP server for the time of the test; gives its port."""
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, handler, 0)
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


class Server:
    """Answers every request with the same bytes and keeps what was asked."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.asked: list[bytes] = []

    async def __call__(self, stream: trio.abc.Stream) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += await stream.receive_some(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                while len(body) < int(line.partition(b":")[2]):
                    body += await stream.receive_some(65536)
        self.asked.append(head + b"\r\n\r\n" + body)
        await stream.send_all(self.answer)


async def call(
    configuration: dict[str, Any], data: Any, metadata: dict[str, str]
) -> tuple[str, Any, dict[str, str]]:
    """(label, data, metadata) of what the node told."""
    bench = RuleBench(register_rule_nodes().nodes)
    node = {
        "id": {"id": NODE},
        "type": "org.thingsboard.rule.engine.rest.TbRestApiCallNode",
        "name": "rest",
        "configurationVersion": 3,
        "configuration": {"requestMethod": "POST", **configuration},
        "debugSettings": {"allEnabled": True},
    }
    bench.load(
        {"id": {"id": "0e5d5a10-0000-11f0-8000-000000000002"}, "name": "c", "root": True},
        {"firstNodeIndex": 0, "nodes": [node]},
    )
    assert bench.engine.nodes()[0].refusal is None, bench.engine.nodes()[0].refusal
    await bench.send("POST_TELEMETRY_REQUEST", bench.add_device("D1"), data, metadata)
    event = bench.engine.debug_events(UUID(NODE))[-1]
    return event.label or "", event.message.data, event.message.metadata


def answer(status: str, body: bytes, headers: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nX-Own: yes\r\n{headers}\r\n"
    return head.encode() + body


async def test_a_2xx_answer_becomes_the_data() -> None:
    server = Server(answer("201 Created", b'{"ok":[1,2.5]}'))
    async with serving(server) as port:
        label, data, metadata = await call(
            {
                "restEndpointUrlPattern": f"http://localhost:{port}/api/${{name}}/a b?x=$[t]",
                "headers": {"X-Name": "${name}", "Content-Type": "application/json"},
                "credentials": {"type": "basic", "username": "u", "password": "p"},
            },
            {"t": 21},
            {"name": "Über"},
        )
    assert (label, data) == ("Success", {"ok": [1, 2.5]})
    expected = {"status": "CREATED", "statusCode": "201", "statusReason": "Created"}
    assert expected.items() <= metadata.items() and metadata["X-Own"] == "yes"
    (asked,) = server.asked
    assert asked.startswith(b"POST /api/%C3%9Cber/a%20b?x=21 HTTP/1.1\r\n")
    assert b"Authorization: Basic dTpw" in asked and asked.endswith(b'\r\n\r\n{"t":21}')


async def test_another_status_is_a_failure_with_the_data_kept() -> None:
    server = Server(answer("404 Not Found", b"no such"))
    async with serving(server) as port:
        url = f"http://localhost:{port}/"
        label, data, metadata = await call({"restEndpointUrlPattern": url}, {"a": 1}, {})
    assert (label, data) == ("Failure", {"a": 1})
    assert metadata == {
        "error": "404 Not Found",
        "status": "Not Found",
        "statusCode": "404",
        "error_body": "no such",
    }


async def test_a_redirect_is_not_followed_and_told_with_its_headers() -> None:
    server = Server(answer("302 Found", b"", "Location: /x\r\n"))
    async with serving(server) as port:
        url = f"http://localhost:{port}/"
        label, _, metadata = await call({"restEndpointUrlPattern": url}, {}, {})
    expected = {"status": "FOUND", "statusCode": "302", "Location": "/x"}
    assert label == "Failure" and expected.items() <= metadata.items()
    assert "error_body" not in metadata and len(server.asked) == 1


async def test_a_get_has_no_body_and_an_empty_answer_is_an_empty_object() -> None:
    server = Server(answer("200 OK", b""))
    async with serving(server) as port:
        url = f"http://localhost:{port}/"
        configuration = {"restEndpointUrlPattern": url, "requestMethod": "GET"}
        label, data, _ = await call(configuration, {"a": 1}, {})
    assert (label, data) == ("Success", {})
    assert server.asked[0].endswith(b"\r\n\r\n") and b"Content-Length" not in server.asked[0]


async def test_an_unreachable_server_is_a_failure_that_says_so() -> None:
    label, data, metadata = await call(
        {"restEndpointUrlPattern": "http://localhost:9/"}, {"a": 1}, {}
    )
    assert (label, data) == ("Failure", {"a": 1})
    assert "localhost" in metadata["error"]


async def test_a_silent_server_is_given_up_after_the_read_timeout() -> None:
    async def silent(stream: trio.abc.Stream) -> None:
        await trio.sleep_forever()

    async with serving(silent) as port:
        url = f"http://localhost:{port}/"
        configuration = {"restEndpointUrlPattern": url, "readTimeoutMs": 30}
        label, _, metadata = await call(configuration, {}, {})
    assert (label, metadata["error"]) == ("Failure", "no response in time")


async def test_a_response_beyond_the_buffer_is_a_failure() -> None:
    server = Server(answer("200 OK", b"x" * 3000))
    async with serving(server) as port:
        url = f"http://localhost:{port}/"
        configuration = {"restEndpointUrlPattern": url, "maxInMemoryBufferSizeInKb": 2}
        label, _, metadata = await call(configuration, {}, {})
    assert label == "Failure" and "larger than 2048 bytes" in metadata["error"]


async def test_plain_text_loses_its_quotes_where_asked() -> None:
    server = Server(answer("200 OK", b"plain answer"))
    async with serving(server) as port:
        url = f"http://localhost:{port}/"
        configuration = {"restEndpointUrlPattern": url, "parseToPlainText": True}
        label, data, _ = await call(configuration, "hello", {})
    assert (label, data) == ("Success", "plain answer")
    assert server.asked[0].endswith(b"\r\n\r\nhello")


async def test_headers_of_one_name_are_a_list_and_the_reason_is_the_standard_one() -> None:
    server = Server(answer("203 Nope", b"", "X-Two: a\r\nX-Two: b\r\n"))
    async with serving(server) as port:
        url = f"http://localhost:{port}/"
        _, _, metadata = await call({"restEndpointUrlPattern": url}, {}, {})
    assert metadata["X-Two"] == '["a","b"]'
    assert metadata["status"] == "NON_AUTHORITATIVE_INFORMATION"
    assert metadata["statusReason"] == "Non-Authoritative Information"


class Tunnel:
    """An HTTP proxy that leads every tunnel to one port; keeps what it was asked."""

    def __init__(self, port: int | None, answer: bytes = b"HTTP/1.1 200 Connected\r\n\r\n") -> None:
        self.asked: list[bytes] = []
        self._port = port
        self._answer = answer

    async def __call__(self, stream: trio.abc.Stream) -> None:
        self.asked.append(await stream.receive_some(65536))
        await stream.send_all(self._answer)
        if self._port is None:
            return
        far = await trio.open_tcp_stream("localhost", self._port)
        async with far, trio.open_nursery() as nursery:
            nursery.start_soon(_carry, stream, far)
            await _carry(far, stream)
            nursery.cancel_scope.cancel()


async def _carry(source: trio.abc.Stream, target: trio.abc.Stream) -> None:
    while data := await source.receive_some(65536):
        await target.send_all(data)


PROXY = {"enableProxy": True, "proxyHost": "localhost", "proxyUser": "u", "proxyPassword": "p"}


async def test_a_request_goes_through_the_proxy_of_the_node() -> None:
    server = Server(answer("200 OK", b"1"))
    async with serving(server) as port:
        tunnel = Tunnel(port)
        async with serving(tunnel) as proxy:
            configuration = {"restEndpointUrlPattern": "http://far.example:81/x", **PROXY}
            label, data, _ = await call({**configuration, "proxyPort": proxy}, {}, {})
    assert (label, data) == ("Success", 1)
    assert tunnel.asked == [
        b"CONNECT far.example:81 HTTP/1.1\r\nHost: far.example:81\r\n"
        b"Proxy-Authorization: Basic dTpw\r\n\r\n"
    ]
    assert server.asked[0].startswith(b"POST /x HTTP/1.1\r\nHost: far.example:81\r\n")


async def test_a_request_goes_through_the_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("REQUEST_METHOD", raising=False)
    monkeypatch.setenv("no_proxy", "near.example")
    server = Server(answer("200 OK", b"1"))
    async with serving(server) as port:
        tunnel = Tunnel(port)
        async with serving(tunnel) as proxy:
            monkeypatch.setenv("http_proxy", f"http://localhost:{proxy}")
            system = {"enableProxy": True, "useSystemProxyProperties": True}
            url = {"restEndpointUrlPattern": "http://${host}/"}
            far = await call({**url, **system}, {}, {"host": "far.example"})
            near = await call({**url, **system}, {}, {"host": "near.example"})
    assert (far[0], near[0]) == ("Success", "Failure")
    assert tunnel.asked == [b"CONNECT far.example:80 HTTP/1.1\r\nHost: far.example:80\r\n\r\n"]


async def test_a_proxy_that_refuses_is_a_failure_that_says_so() -> None:
    async with serving(Tunnel(None, b"HTTP/1.1 407 Who are you\r\n\r\n")) as proxy:
        configuration = {"restEndpointUrlPattern": "http://far.example/", **PROXY}
        label, _, metadata = await call({**configuration, "proxyPort": proxy}, {}, {})
    assert (label, "407 Who are you" in metadata["error"]) == ("Failure", True)


@pytest.mark.parametrize("through_proxy", [False, True])
async def test_an_encrypted_server_is_trusted_by_the_given_authority_alone(
    tmp_path: Path, through_proxy: bool
) -> None:
    made = Certificates(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(made.certificate, made.key)
    server = Server(answer("200 OK", b"1"))

    async def encrypted(stream: trio.abc.Stream) -> None:
        try:
            await server(trio.SSLStream(stream, context, server_side=True))
        except trio.BrokenResourceError:
            pass  # the caller did not trust us

    async with serving(encrypted) as port, serving(Tunnel(port)) as proxy:
        configuration = {"restEndpointUrlPattern": f"https://localhost:{port}/"}
        if through_proxy:
            configuration |= {**PROXY, "proxyPort": proxy}
        stranger, _, metadata = await call(configuration, {}, {})
        trusted = {"type": "cert.PEM", "caCert": made.ca.read_text()}
        friend, data, _ = await call({**configuration, "credentials": trusted}, {}, {})
    assert (stranger, friend, data) == ("Failure", "Success", 1)
    assert "certificate" in metadata["error"].lower()


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://h/a%20b", "http://h/a%2520b"),
        ("http://h/a b?x=1 2&y=ü", "http://h/a%20b?x=1%202&y=%C3%BC"),
        ("http://h/a?x=a=b&x=c&y=&z&&w=1", "http://h/a?x=a%3Db&x=c&y=&z&w=1"),
        ("http://h/{id}/x?q={a}", "http://h/%7Bid%7D/x?q=%7Ba%7D"),
        ('http://h/a|b?c|d="e"', "http://h/a%7Cb?c%7Cd=%22e%22"),
        ("http://h/[a]?b[0]=1", "http://h/%5Ba%5D?b%5B0%5D=1"),
        ("http://[::1]:80/a", "http://[::1]:80/a"),
        ("http://u:p@h:8080/x;y=1?a;b#frag ä", "http://u:p@h:8080/x;y=1?a;b"),
        ("HTTP://h?x=1", "http://h?x=1"),
        ("http://h/a+b?c+d=e+f/g?h", "http://h/a+b?c+d=e+f/g?h"),
        ("http://h/?t=100%", "http://h/?t=100%25"),
        ("http://h/a'b(c)*!,;:@&=$~^`", "http://h/a'b(c)*!,;:@&=$~%5E%60"),
        ("http://h/?a=1&b=2&a=3", "http://h/?a=1&a=3&b=2"),
        ("http://h//a//b", "http://h/a/b"),
        ("http://h/?k=$[t]&m=${name}", "http://h/?k=$%5Bt%5D&m=$%7Bname%7D"),
    ],
)
def test_a_url_is_encoded_part_by_part(text: str, url: str) -> None:
    assert encoded_url(text) == url


async def test_a_pattern_may_fill_any_part_and_a_body_says_what_it_is() -> None:
    server = Server(answer("200 OK", b"1"))
    async with serving(server) as port:
        configuration = {
            "restEndpointUrlPattern": "http://${host}/$[at.x]?${name}=$[v]&all=${*}",
            "headers": {"X-${name}": "$[v]"},
        }
        metadata = {"host": f"localhost:{port}", "name": "q&r"}
        await call(configuration, {"at": {"x": "a/b"}, "v": "1=2 %"}, {**metadata, "name": "q"})
        await call({**configuration, "parseToPlainText": True}, "text", metadata)
    first, second = server.asked
    assert first.startswith(b"POST /a/b?q=1%3D2%20%25&all=%7B%22host%22:")
    assert b"X-q: 1=2 %\r\n" in first and b"Content-Type: application/json\r\n" in first
    assert b"Content-Type: text/plain;charset=UTF-8\r\n" in second


@pytest.mark.parametrize(
    ("configuration", "reason"),
    [
        ({"maxInMemoryBufferSizeInKb": 25_001}, "25000 KB"),
        ({"requestMethod": None}, "unknown method"),
        (
            {"useSimpleClientHttpFactory": True, "credentials": {"type": "cert.PEM", "cert": "x"}},
            "does not support CERT PEM",
        ),
    ],
)
async def test_what_a_server_does_not_start(configuration: dict[str, Any], reason: str) -> None:
    with pytest.raises(AssertionError, match=reason):
        await call({"restEndpointUrlPattern": "http://localhost/", **configuration}, {}, {})


async def test_a_node_without_a_url_fails_each_message() -> None:
    assert (await call({}, {"a": 1}, {}))[:2] == ("Failure", {"a": 1})
