"""Opening the storage for one question, while no appliance is using the data folder."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import trio

from appliance.cli.house import House
from appliance.config.loader import Settings
from appliance.extension.hookspecs import Context, StorageSpec
from appliance.extension.ports import Storage
from appliance.kernel.clock import wall_clock_ms
from appliance.kernel.data_dir import held
from appliance.kernel.logs import LogWriter
from appliance.model.errors import ConfigError

T = TypeVar("T")


def chosen_storage(arguments: argparse.Namespace, house: House) -> tuple[Settings, StorageSpec]:
    """The settings and the storage that they choose.

    Raises:
        ConfigError: the configuration is wrong, or there is no data folder yet.
    """
    settings, registry = house.load(arguments)
    if settings.storage is None:
        raise ConfigError("no storage is plugged in", hint="see `appliance plugins`")
    if not settings.data_dir.is_dir():
        raise ConfigError(
            f"there is no data folder {settings.data_dir}",
            hint="name it with --data-dir or APPLIANCE_DATA_DIR",
        )
    return settings, registry.storages[settings.storage.name]


def ask_storage(settings: Settings, spec: StorageSpec, ask: Callable[[Storage], Awaitable[T]]) -> T:
    """Open the storage, ask, close it.

    Raises:
        Retryable: an appliance is using the folder.
    """
    assert settings.storage is not None  # chosen_storage has seen to it
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
