"""What a verb may ask for: settings and plugins, loaded when it does."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from appliance.kernel.memory import loading

if TYPE_CHECKING:
    from appliance.config.loader import Asked, Settings
    from appliance.extension.registry import Registry

BuiltIn = Callable[[], tuple[Any, ...]]


class House:
    """built_in gives the built-in plugins; calling it imports them, which takes a while."""

    def __init__(self, built_in: BuiltIn, environ: Mapping[str, str]) -> None:
        self._built_in = built_in
        self.environ = environ

    def load(self, arguments: argparse.Namespace) -> tuple[Settings, Registry]:
        """Settings and plugins for these arguments.

        Raises:
            ConfigError: the configuration is wrong.
            Fatal: a built-in plugin is.
        """
        from appliance.config.loader import load

        registry = self.plugins(arguments)
        return load(self._asked(arguments), registry.sections()), registry

    def plugins(self, arguments: argparse.Namespace) -> Registry:
        """Plugins alone: only the data folder and [plugins] are read.

        Raises:
            ConfigError: one of these is wrong.
        """
        from appliance.config.loader import load_first
        from appliance.extension.external import load_external

        data_dir, section = load_first(self._asked(arguments))
        registry = self.built_in()
        if section.enabled:
            load_external(data_dir / section.dir, registry)
        return registry

    def built_in(self) -> Registry:
        """The built-in plugins alone."""
        from appliance.extension.registry import Registry

        registry = Registry()
        with loading():
            registry.add_built_in(self._built_in())
        return registry

    def _asked(self, arguments: argparse.Namespace) -> Asked:
        from appliance.config.loader import Asked

        flags = list(arguments.set)
        if arguments.data_dir is not None:
            flags.append(f"data_dir={arguments.data_dir}")
        return Asked(file=arguments.config, environ=self.environ, flags=tuple(flags))
