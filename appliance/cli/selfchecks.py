"""The checks of `appliance selftest`: each a function that says what it saw or raises.

They use the built-in plugins through their ports, so they prove what is in the binary and not
what is in a source folder.
"""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import trio

from appliance.cli.house import House
from appliance.config.loader import Asked, Settings, load
from appliance.extension import standard_library
from appliance.extension.hookspecs import Context
from appliance.extension.ports import Link, LinkClosed, Transport
from appliance.extension.registry import Registry
from appliance.kernel.clock import wall_clock_ms
from appliance.kernel.events import ignore
from appliance.model.ids import EntityId, new_uuid
from appliance.model.telemetry import Series
from appliance.model.unit import CLOUD, Lane, OutboxEvent, Unit
from appliance.sync.messages import Connect
from appliance.testing.gate import FakeGate
from appliance.web.door import Door

T = TypeVar("T")
HOST = "127.0.0.1"
LIMIT_S = 30.0
"""For each check; a machine that needs longer is not fit to run the appliance."""


class Skip(Exception):
    """The check has nothing to look at."""


class Bench:
    """What a check may use: the built-in plugins and a folder of its own."""

    def __init__(self, house: House, folder: Path) -> None:
        self.folder = folder
        self._house = house

    @cached_property
    def registry(self) -> Registry:
        """The built-in plugins; looking is what loads them."""
        return self._house.built_in()

    def settings(self, *flags: str) -> Settings:
        """Settings with nothing but these flags."""
        asked = Asked(file=Path("/dev/null"), flags=(f"data_dir={self.folder}", *flags))
        return load(asked, self.registry.sections())

    def context(self, http: Any = None) -> Context:
        """The context of a component that is tried alone."""
        return Context("edge", self.folder, wall_clock_ms, ignore, http)


def check_standard_library(bench: Bench) -> str:
    """Plugins from outside may import all of it, so the binary must carry all of it."""
    lost = [name for name in standard_library.NAMES if not _found(name)]
    if lost:
        raise AssertionError(f"missing: {', '.join(lost)}")
    return f"{len(standard_library.NAMES)} modules"


def _found(name: str) -> bool:
    return name in sys.builtin_module_names or importlib.util.find_spec(name) is not None


def check_plugins(bench: Bench) -> str:
    """Every built-in plugin is there and registers."""
    if not bench.registry.plugins:
        raise AssertionError("there are none")
    return ", ".join(sorted(plugin.name for plugin in bench.registry.plugins))


def check_import_order(bench: Bench) -> str:
    """grpclib must see the asyncio that trio_asyncio has prepared (appliance/__init__.py)."""
    utils = sys.modules.get("grpclib.utils")
    if utils is None:
        raise Skip("no transport uses grpclib")
    if vars(utils)["_current_task"] is not asyncio.current_task:
        raise AssertionError("grpclib was imported before trio_asyncio")
    return "trio_asyncio first"


def check_authorities(bench: Bench) -> str:
    """TLS to a server needs the system's certificate authorities, where it has them."""
    count = len(ssl.create_default_context().get_ca_certs())
    return f"{ssl.OPENSSL_VERSION}, {count} authorities"


def check_storage(bench: Bench) -> str:
    """What was committed is there after closing and opening again."""
    settings = bench.settings()
    if settings.storage is None:
        raise Skip("no storage is plugged in")
    chosen = settings.storage
    spec = bench.registry.storages[chosen.name]
    device = EntityId("DEVICE", new_uuid())
    event = OutboxEvent(CLOUD, Lane.ENTITY, "DEVICE", "ADDED", device, b"{}")
    unit = Unit(series=[Series(device, 1_000, {"temperature": 21.5})], events=[event])

    async def write() -> None:
        async with _running(spec.build(chosen.config, bench.context())) as storage:
            await storage.commit([unit])

    async def read() -> tuple[Any, Any, Any]:
        async with _running(spec.build(chosen.config, bench.context())) as storage:
            latest = await storage.latest(device)
            pending = await storage.pending(CLOUD, Lane.ENTITY, None, 10, 1_000_000)
            _, rows = await storage.sql("SELECT count(*) FROM cloud_event")
            return latest, [stored.event.entity for stored in pending], rows

    _limited(write)
    _same(({"temperature": (1_000, 21.5)}, [device], [(1,)]), _limited(read))
    return f"{chosen.name}: a unit survives closing and opening"


def check_transport(bench: Bench) -> str:
    """A frame crosses a real socket of this machine, through the transport's own server."""
    listening = _transport(bench, 0)
    hello = Connect("key", "secret", 13)
    got: list[Any] = []

    async def talk() -> None:
        async with trio.open_nursery() as nursery:
            heard = trio.Event()

            async def handle(link: Link) -> None:
                got.extend(await link.receive())
                heard.set()
                raise LinkClosed("done", "OK")

            port = await nursery.start(listening.serve, handle)
            async with _transport(bench, port).connect() as link:
                await link.send([hello])
                await heard.wait()
            nursery.cancel_scope.cancel()

    _limited(talk)
    _same([hello], got)
    return "a frame crosses"


def _transport(bench: Bench, port: int) -> Transport:
    if not bench.registry.transports:
        raise Skip("no transport is plugged in")
    chosen = bench.settings(f"transport.host={HOST}", f"transport.port={port}").transport
    assert chosen is not None  # there is one, so one is chosen
    return bench.registry.transports[chosen.name].build(chosen.config, bench.context())


def check_http(bench: Bench) -> str:
    """A device posts over HTTP and its telemetry arrives at the gate."""
    if "http" not in bench.registry.ingests:
        raise Skip("no HTTP listener is plugged in")
    settings = bench.settings("web.port=0", f"web.host={HOST}")
    gate = FakeGate()
    gate.add_device("token")
    request = (
        b"POST /api/v1/token/telemetry HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b'Content-Type: application/json\r\nContent-Length: 8\r\n\r\n{"t": 1}'
    )

    async def post() -> bytes:
        door = Door(settings.web, _no_pages, ignore)
        spec = bench.registry.ingests["http"]
        async with trio.open_nursery() as nursery:
            await nursery.start(door.run)
            listener = spec.build(settings.ingest["http"], bench.context(door), gate)
            await nursery.start(listener.run)
            answer = await _exchange(door.port, request)
            nursery.cancel_scope.cancel()
        return answer

    _same(b"HTTP/1.1 200", _limited(post)[:12])
    _same([("token", None, {"t": 1})], gate.telemetry)
    return "a post arrives"


def check_mqtt(bench: Bench) -> str:
    """A device connects over MQTT and is welcomed."""
    if "mqtt" not in bench.registry.ingests:
        raise Skip("no MQTT listener is plugged in")
    port = _free_port()
    settings = bench.settings(f"ingest.mqtt.host={HOST}", f"ingest.mqtt.port={port}")
    gate = FakeGate()
    gate.add_device("token")
    body = b"\x00\x04MQTT\x04\x82\x00\x3c" + b"\x00\x01c" + b"\x00\x05token"
    request = bytes((0x10, len(body))) + body

    async def connect() -> bytes:
        spec = bench.registry.ingests["mqtt"]
        async with _running(spec.build(settings.ingest["mqtt"], bench.context(), gate)):
            return await _exchange(port, request, 4)

    _same(b"\x20\x02\x00\x00", _limited(connect))
    return "a device is welcomed"


CHECKS: tuple[Callable[[Bench], str], ...] = (
    check_standard_library,
    check_plugins,
    check_import_order,
    check_authorities,
    check_storage,
    check_transport,
    check_http,
    check_mqtt,
)


@asynccontextmanager
async def _running(component: Any) -> AsyncIterator[Any]:
    """Run a component for the length of a block."""
    async with trio.open_nursery() as nursery:
        await nursery.start(component.run)
        yield component
        nursery.cancel_scope.cancel()


def _limited(call: Callable[[], Awaitable[T]]) -> T:
    """The result of an async call that has LIMIT_S."""

    async def within_limit() -> T:
        with trio.fail_after(LIMIT_S):
            return await call()

    return trio.run(within_limit)


async def _exchange(port: int, request: bytes, count: int = 1 << 16) -> bytes:
    """Send, then read until `count` bytes came or the other side closed."""
    answer = b""
    async with await trio.open_tcp_stream(HOST, port) as stream:
        await stream.send_all(request)
        while len(answer) < count and (got := await stream.receive_some(count - len(answer))):
            answer += got
    return answer


async def _no_pages(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI application that answers nothing: these checks ask for no page."""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _same(expected: Any, found: Any) -> None:
    if expected != found:
        raise AssertionError(f"expected {expected!r}, got {found!r}")
