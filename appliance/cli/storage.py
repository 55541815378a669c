"""One question to the storage: of a folder at rest, or of the appliance that is using it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

import trio

from appliance.cli.house import House
from appliance.config.loader import Settings
from appliance.control import DistantStorage, connect
from appliance.extension.hookspecs import Context, StorageSpec
from appliance.extension.ports import Quarantined, Storage
from appliance.extension.registry import Registry
from appliance.kernel.clock import wall_clock_ms
from appliance.kernel.data_dir import held
from appliance.kernel.logs import LogWriter
from appliance.model.errors import ConfigError, Retryable
from appliance.rules.ports import History
from appliance.state.store import Stored

T = TypeVar("T")


class Asked(History, Stored, Protocol):
    """What verbs may ask; Storage and DistantStorage both have it."""

    async def sql(self, statement: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """See Storage."""
        ...

    def quarantined(self, outbox: str | None = None) -> Sequence[Quarantined]:
        """See Storage."""
        ...

    async def retry_quarantined(self, outbox: str, positions: Iterable[tuple[int, int]]) -> int:
        """See Storage."""
        ...


def chosen_storage(arguments: argparse.Namespace, house: House) -> tuple[Settings, StorageSpec]:
    """The settings and the storage that they choose.

    Raises:
        ConfigError: the configuration is wrong, or there is no data folder yet.
    """
    settings, registry = house.load(arguments)
    return settings, storage_of(settings, registry)


def storage_of(settings: Settings, registry: Registry) -> StorageSpec:
    """The storage that the settings choose.

    Raises:
        ConfigError: none is chosen, or there is no data folder yet.
    """
    if settings.storage is None:
        raise ConfigError("no storage is plugged in", hint="see `appliance plugins`")
    if not settings.data_dir.is_dir():
        raise ConfigError(
            f"there is no data folder {settings.data_dir}",
            hint="name it with --data-dir or APPLIANCE_DATA_DIR",
        )
    return registry.storages[settings.storage.name]


def ask_storage(settings: Settings, spec: StorageSpec, ask: Callable[[Asked], Awaitable[T]]) -> T:
    """Open the storage, or reach the appliance that has it; ask; close.

    Raises:
        Retryable: the folder is in use and its owner does not answer.
    """
    try:
        return at_rest(settings, spec, ask)
    except Retryable as in_use:
        try:
            return ask_running(settings, ask)
        except Retryable as silent:
            raise in_use from silent


def ask_running(settings: Settings, ask: Callable[[DistantStorage], Awaitable[T]]) -> T:
    """Ask the appliance that has the folder. Raises Retryable if none runs."""

    async def connected() -> T:
        async with connect(settings.data_dir) as owner:
            return await ask(owner)

    return trio.run(connected)


def at_rest(settings: Settings, spec: StorageSpec, ask: Callable[[Storage], Awaitable[T]]) -> T:
    """Open the storage of a folder that nobody uses; ask; close.

    Raises:
        Retryable: an appliance is using the folder.
    """
    assert settings.storage is not None  # storage_of has seen to it
    warnings = LogWriter(sys.stderr, "console", "warning", wall_clock_ms).write
    context = Context("edge", settings.data_dir, wall_clock_ms, warnings)
    with held(settings.data_dir):
        return trio.run(_ask, spec, settings.storage.config, context, ask)


async def _ask(
    spec: StorageSpec, config: Any, context: Context, ask: Callable[[Storage], Awaitable[T]]
) -> T:
    storage = spec.build(config, context)
    async with trio.open_nursery() as nursery:
        await nursery.start(storage.run)
        answer = await ask(storage)
        nursery.cancel_scope.cancel()
    return answer
