"""Validate the configuration without touching the world; with --probe, touch it.

--probe opens the data folder and the HTTP port, and connects to the server, each for a moment.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Iterator

import msgspec
import trio

from appliance.cli import exits
from appliance.cli.house import House
from appliance.cli.table import write_table
from appliance.config.loader import Settings
from appliance.extension.hookspecs import Context
from appliance.extension.registry import Registry
from appliance.kernel.clock import wall_clock_ms
from appliance.kernel.data_dir import held
from appliance.kernel.events import ignore
from appliance.model.errors import ApplianceError, Retryable

CONNECT_S = 30.0


class Probe(msgspec.Struct, frozen=True):
    """One look at the world: what it is about, and a call that says what it saw."""

    subject: str
    look: Callable[[], str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How far to look."""
    parser.add_argument("--probe", action="store_true", help="touch what the settings point to")
    parser.add_argument("--sources", action="store_true", help="list where each setting is from")


def run(arguments: argparse.Namespace, house: House) -> int:
    """See the module."""
    settings, registry = house.load(arguments)
    if arguments.sources:
        write_table(["setting", "from"], sorted(settings.sources.items()), "table")
    for note in settings.notes:
        print(f"note: {note}")
    wrong = [f"plugin {name}: {reason}" for name, reason in settings.refused.items()]
    wrong += [f"plugin {each.name}: {each.reason}" for each in registry.failures]
    for line in wrong:
        print(f"configuration: {line}", file=sys.stderr)
    if wrong:
        return exits.CONFIGURATION
    print("the configuration is valid")
    return _probe(settings, registry) if arguments.probe else exits.DONE


def _probe(settings: Settings, registry: Registry) -> int:
    code = exits.DONE
    for probe in probes(settings, registry):
        try:
            print(f"{probe.subject}: {probe.look()}")
        except ApplianceError as error:
            print(f"{probe.subject}: {error}", file=sys.stderr)
            wrong = exits.TRY_AGAIN if isinstance(error, Retryable) else exits.CONFIGURATION
            code = max(code, wrong)
    return code


def probes(settings: Settings, registry: Registry) -> Iterator[Probe]:
    """What there is to look at with these settings."""
    yield Probe(f"data folder {settings.data_dir}", lambda: _look_at_folder(settings))
    web = settings.web
    yield Probe(
        f"HTTP port {web.host or '*'}:{web.port}", lambda: trio.run(_look_at_port, settings)
    )
    if settings.cloud.routing_key and settings.transport is not None:
        yield Probe("server", lambda: trio.run(_look_at_server, settings, registry))


def _look_at_folder(settings: Settings) -> str:
    with held(settings.data_dir):
        free = shutil.disk_usage(settings.data_dir).free
    return f"ours, {free / 1e9:.1f} GB free"


async def _look_at_port(settings: Settings) -> str:
    web = settings.web
    try:
        for listener in await trio.open_tcp_listeners(web.port, host=web.host or None):
            await listener.aclose()
    except OSError as error:
        raise Retryable(str(error), hint="another process has it; see [web]") from error
    return "free"


async def _look_at_server(settings: Settings, registry: Registry) -> str:
    assert settings.transport is not None  # probes has looked
    context = Context("edge", settings.data_dir, wall_clock_ms, ignore)
    spec = registry.transports[settings.transport.name]
    transport = spec.build(settings.transport.config, context)
    with trio.move_on_after(CONNECT_S):
        async with transport.connect() as link:
            return f"connected to {link.peer}"
    raise Retryable(f"no answer within {CONNECT_S:g} s")
