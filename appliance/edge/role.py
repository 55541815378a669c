"""The edge, put together: which component stands on which level of the supervision tree."""

from __future__ import annotations

from appliance.config.loader import Settings
from appliance.extension.hookspecs import Context
from appliance.extension.registry import Registry
from appliance.kernel.core import Kernel
from appliance.kernel.lifecycle import Levels, Stop
from appliance.kernel.restart import FOUNDATION
from appliance.kernel.supervisor import Child
from appliance.model.errors import ConfigError


async def run_edge(settings: Settings, registry: Registry, kernel: Kernel) -> None:
    """Build every component, then live until asked to stop.

    Raises:
        ConfigError: no storage is plugged in.
        Fatal: in a group, when the edge cannot go on.
    """
    context = Context("edge", settings.data_dir, kernel.clock, kernel.emit)
    if settings.storage is None:
        raise ConfigError("no storage is plugged in", hint="see `appliance plugins`")
    spec = registry.storages[settings.storage.name]
    storage = spec.build(settings.storage.config, context)
    levels = Levels(foundation=[Child("storage", storage, FOUNDATION, awaited=True)])
    await kernel.live(
        levels,
        Stop(),
        on_ready=lambda: registry.tell_ready(context),
        on_stopping=lambda: registry.tell_stopping(context),
    )
