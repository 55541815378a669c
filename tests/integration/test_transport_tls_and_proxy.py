"""TLS in every form that a server's operator may have, and an HTTP proxy on the way."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from appliance.config.fields import Secret
from appliance.extension.ports import Link
from appliance.kernel.events import ignore
from appliance.model.errors import ConfigError, Retryable
from appliance.testing.transport import PATIENCE_S, receive, telemetry
from plugins.transport_grpc.config import GrpcConfig
from plugins.transport_grpc.transport import GrpcTransport
from tests.kit.certificates import PASSWORD, Certificates


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


async def _echo(link: Link) -> None:
    while True:
        await link.send(await link.receive())


@asynccontextmanager
async def _echo_server(**settings: Any) -> AsyncIterator[int]:
    server = GrpcTransport(GrpcConfig(listen="127.0.0.1", port=0, **settings), ignore)
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            yield await nursery.start(server.serve, _echo)
            nursery.cancel_scope.cancel()


async def _talk(port: int, **settings: Any) -> None:
    """One frame there and back."""
    config = GrpcConfig(port=port, **settings)
    async with GrpcTransport(config, ignore).connect() as link:
        await link.send([telemetry(1, 50_000)])
        assert await receive(link, 1) == [telemetry(1, 50_000)]


# --- TLS ---------------------------------------------------------------------------------------


async def test_a_certificate_and_a_key_in_two_files(certificates: Certificates) -> None:
    files = {"tls_certificate": str(certificates.certificate), "tls_key": str(certificates.key)}
    async with _echo_server(tls=True, **files) as port:
        await _talk(port, tls=True, tls_ca=str(certificates.ca))


async def test_an_encrypted_key(certificates: Certificates) -> None:
    files = {"tls_certificate": str(certificates.certificate)}
    files |= {"tls_key": str(certificates.encrypted), "tls_key_password": Secret(PASSWORD)}
    async with _echo_server(tls=True, **files) as port:
        await _talk(port, tls=True, tls_ca=str(certificates.ca))


async def test_certificate_and_key_in_one_file(certificates: Certificates) -> None:
    async with _echo_server(tls=True, tls_certificate=str(certificates.combined)) as port:
        await _talk(port, tls=True, tls_ca=str(certificates.ca))


async def test_a_server_that_is_not_trusted_is_refused(certificates: Certificates) -> None:
    async with _echo_server(tls=True, tls_certificate=str(certificates.combined)) as port:
        with pytest.raises(Retryable, match="not trusted"):
            await _talk(port, tls=True)


async def test_a_server_of_another_name_is_refused(certificates: Certificates) -> None:
    async with _echo_server(tls=True, tls_certificate=str(certificates.combined)) as port:
        with pytest.raises(Retryable, match=r"127\.0\.0\.1 is not trusted"):
            await _talk(port, host="127.0.0.1", tls=True, tls_ca=str(certificates.ca))
        await _talk(port, tls=True, tls_ca=str(certificates.ca))


async def test_tls_to_a_server_without_it_is_retryable() -> None:
    async with _echo_server() as port:
        with pytest.raises(Retryable, match="TLS"):
            await _talk(port, tls=True)


async def test_a_missing_authority_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"transport\.tls_ca"):
        await _talk(1, tls=True, tls_ca=str(tmp_path / "missing.pem"))


@pytest.mark.parametrize("password", ["", "wrong"])
async def test_a_key_that_does_not_open_is_named(certificates: Certificates, password: str) -> None:
    settings = {"tls_certificate": str(certificates.certificate)}
    settings |= {"tls_key": str(certificates.encrypted), "tls_key_password": Secret(password)}
    server = GrpcTransport(GrpcConfig(port=0, tls=True, **settings), ignore)  # type: ignore[arg-type]  # settings are all text
    with pytest.raises(ConfigError, match=r"transport\.tls_certificate"):
        await server.serve(_echo)


# --- proxy -------------------------------------------------------------------------------------


class HttpProxy:
    """Just enough of a CONNECT proxy. answer: the status line it gives."""

    def __init__(self, answer: bytes = b"HTTP/1.1 200 Connection established") -> None:
        self.answer = answer
        self.asked: list[bytes] = []

    async def serve(self, client: trio.SocketStream) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += await client.receive_some(1)
        self.asked.append(head)
        port = int(head.split(b" ")[1].rpartition(b":")[2])
        async with client, await trio.open_tcp_stream("127.0.0.1", port) as server:
            await client.send_all(self.answer + b"\r\nVia: a test\r\n\r\n")
            if b" 200 " in self.answer:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_pump, client, server)
                    nursery.start_soon(_pump, server, client)


async def _pump(source: trio.SocketStream, sink: trio.SocketStream) -> None:
    try:
        while data := await source.receive_some():
            await sink.send_all(data)
        await sink.send_eof()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass


@asynccontextmanager
async def _proxy(proxy: HttpProxy) -> AsyncIterator[dict[str, Any]]:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, proxy.serve, listeners)
        port = listeners[0].socket.getsockname()[1]
        yield {"proxy_host": "127.0.0.1", "proxy_port": port}
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_a_proxy_connects_us(certificates: Certificates, tls: bool) -> None:
    proxy = HttpProxy()
    settings = {"tls": tls, "tls_certificate": str(certificates.combined)}
    async with _echo_server(**settings) as port, _proxy(proxy) as through:
        through |= {"proxy_username": "worker", "proxy_password": Secret("geheim ö")}
        await _talk(port, tls=tls, tls_ca=str(certificates.ca), **through)
    (head,) = proxy.asked
    assert head.startswith(f"CONNECT localhost:{port} HTTP/1.1\r\n".encode())
    user = base64.b64encode("worker:geheim ö".encode())
    assert b"\r\nProxy-Authorization: Basic " + user + b"\r\n" in head


async def test_a_proxy_that_refuses_is_quoted() -> None:
    proxy = HttpProxy(b"HTTP/1.1 407 Proxy Authentication Required")
    async with _echo_server() as port, _proxy(proxy) as through:
        with pytest.raises(Retryable, match="407 Proxy Authentication Required"):
            await _talk(port, **through)
    assert b"Proxy-Authorization" not in proxy.asked[0]


async def test_a_proxy_that_is_not_there_is_named() -> None:
    with pytest.raises(Retryable, match=r"the proxy 127\.0\.0\.1:1: "):
        await _talk(7070, proxy_host="127.0.0.1", proxy_port=1)


async def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(Retryable, match=r"the server 127\.0\.0\.1:1: "):
        await _talk(1, host="127.0.0.1")


async def test_a_name_without_an_address_is_named() -> None:
    with pytest.raises(Retryable, match=r"no address for the server nowhere\.invalid"):
        await _talk(1, host="nowhere.invalid")
