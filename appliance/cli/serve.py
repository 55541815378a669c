"""What the serving verbs share: load, hold the data folder, run a role under the kernel."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable
from typing import ClassVar

import trio

from appliance import __version__
from appliance.cli import exits
from appliance.cli.house import House
from appliance.config.loader import Settings
from appliance.extension.registry import Registry
from appliance.kernel.core import Kernel, make_kernel
from appliance.kernel.data_dir import held
from appliance.kernel.events import Event
from appliance.kernel.files import open_as_many_files_as_allowed
from appliance.kernel.lifecycle import ApplianceReady
from appliance.kernel.memory import give_memory_back, settled, unsettled

Role = Callable[[Settings, Registry, Kernel], Awaitable[None]]


class ApplianceStarted(Event, frozen=True):
    """The process runs; nothing is open yet."""

    text: ClassVar[str] = "appliance {version} as {role}, data in {data_dir}"
    version: str
    role: str
    data_dir: str


class SettingNoted(Event, frozen=True):
    """A remark about the configuration."""

    level: ClassVar[str] = "warning"
    text: ClassVar[str] = "configuration: {note}"
    note: str


class PluginLeftOut(Event, frozen=True):
    """A plugin from outside could not be taken; the rest goes on."""

    level: ClassVar[str] = "error"
    text: ClassVar[str] = "plugin {plugin} is left out: {reason}"
    plugin: str
    reason: str


def serve(name: str, role: Role, arguments: argparse.Namespace, house: House) -> int:
    """Run a role until a signal; the exit code."""
    give_memory_back()
    open_as_many_files_as_allowed()
    settings, registry = house.load(arguments)
    with held(settings.data_dir):
        log = settings.log
        kernel = make_kernel(log.format, log.level, house.environ, sys.stderr)
        data_dir = str(settings.data_dir.resolve())
        kernel.emit(ApplianceStarted(version=__version__, role=name, data_dir=data_dir))
        tell_remarks(settings, registry, kernel)
        kernel.listen(settle_when_ready)
        try:
            trio.run(role, settings, registry, kernel)
        finally:
            unsettled()
    return exits.DONE


def settle_when_ready(event: Event) -> None:
    """What is there now stays."""
    if isinstance(event, ApplianceReady):
        settled()


def tell_remarks(settings: Settings, registry: Registry, kernel: Kernel) -> None:
    """What an operator should know about configuration and plugins, as events."""
    for note in settings.notes:
        kernel.emit(SettingNoted(note=note))
    for failure in registry.failures:
        kernel.emit(PluginLeftOut(plugin=failure.name, reason=failure.reason))
    for plugin, reason in settings.refused.items():
        kernel.emit(PluginLeftOut(plugin=plugin, reason=reason))
