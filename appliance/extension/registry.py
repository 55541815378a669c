"""What is plugged in: built-in plugins and those from outside, validated, by name.

A mistake in a built-in plugin is ours and ends the start. A mistake in a plugin from outside is
kept in `failures` and told; the house goes on without it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import msgspec
import pluggy

from appliance.config.loader import CHOSEN_BY, PluginSections
from appliance.extension import hookspecs
from appliance.extension.hookspecs import (
    PROJECT,
    CommandSpec,
    Context,
    IngestSpec,
    ProcessorSpec,
    RoutesSpec,
    RuleNodesSpec,
    StorageSpec,
    TransportSpec,
)
from appliance.kernel.events import Event
from appliance.kernel.status import told
from appliance.model.errors import Fatal

BUILT_IN = "built-in"


class Plugin(msgspec.Struct, frozen=True):
    """One registered plugin. origin: "built-in", or the wheel or folder it came from.

    offers: what it registered, as "port name", sorted.
    """

    name: str
    origin: str
    version: str
    offers: tuple[str, ...]


class PluginFailure(msgspec.Struct, frozen=True):
    """A plugin from outside that could not be taken, and why."""

    name: str
    origin: str
    reason: str


class HookFailed(Event, frozen=True):
    """A plugin raised in a notification; the others were still notified."""

    level: ClassVar[str] = "error"
    text: ClassVar[str] = "plugin {plugin} failed in {hook}: {error}"
    counters: ClassVar[dict[str, str]] = {"plugin_hook_failures": ""}
    plugin: str
    hook: str
    error: str


class Registry:
    """Every spec by port and name."""

    def __init__(self) -> None:
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self.storages: dict[str, StorageSpec] = {}
        self.transports: dict[str, TransportSpec] = {}
        self.ingests: dict[str, IngestSpec] = {}
        self.processors: dict[str, ProcessorSpec] = {}
        self.rule_nodes: dict[str, Any] = {}
        """Full Java class name -> factory."""
        self.routes: dict[str, RoutesSpec] = {}
        self.commands: dict[str, CommandSpec] = {}
        self.plugins: list[Plugin] = []
        self.failures: list[PluginFailure] = []
        self._external: set[str] = set()

    def add_built_in(self, plugins: Iterable[Any]) -> None:
        """Register our own plugins; modules or objects with hook implementations.

        Raises:
            Fatal: one of them is wrong.
        """
        for plugin in plugins:
            self._add(plugin, _short_name(plugin), BUILT_IN, "")

    def add_external(self, plugin: Any, name: str, origin: str, version: str) -> None:
        """Register a plugin from outside; whatever is wrong with it lands in `failures`."""
        try:
            self._add(plugin, name, origin, version)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code; told, not hidden
            self.fail(name, origin, error)

    def fail(self, name: str, origin: str, error: BaseException) -> None:
        """Note a plugin from outside that could not be taken."""
        told = str(error) if isinstance(error, Fatal) else f"{type(error).__name__}: {error}"
        self.failures.append(PluginFailure(name, origin, told))

    def sections(self) -> PluginSections:
        """The config structs of everything registered."""
        return PluginSections(
            storage={name: spec.config_type for name, spec in self.storages.items()},
            transport={name: spec.config_type for name, spec in self.transports.items()},
            ingest={name: spec.config_type for name, spec in self.ingests.items()},
            process={name: spec.config_type for name, spec in self.processors.items()},
            external=frozenset(self._external),
            broken=bool(self.failures),
        )

    def is_external(self, port: str, name: str) -> bool:
        """Whether "ingest", "x" came from outside."""
        return f"{port}.{name}" in self._external

    def tell_ready(self, context: Context) -> None:
        """Tell all plugins that everything is started; what one raises is an event."""
        self._tell("appliance_ready", context)

    def tell_stopping(self, context: Context) -> None:
        """Tell all plugins that stop has begun; what one raises is an event."""
        self._tell("appliance_stopping", context)

    def _tell(self, hook: str, context: Context) -> None:
        # One by one: within one pluggy call the first exception would silence the rest.
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            arguments = {"context": context} if implementation.argnames else {}
            try:
                implementation.function(**arguments)
            except Exception as error:  # noqa: BLE001 - foreign code; told, not hidden
                name = implementation.plugin_name
                context.emit(HookFailed(plugin=name, hook=hook, error=told(error)))

    def _add(self, plugin: Any, name: str, origin: str, version: str) -> None:
        _refuse_async_hooks(plugin, name)
        try:
            self._manager.register(plugin, name)
            self._manager.check_pending()
        except (pluggy.PluginValidationError, ValueError) as error:
            self._forget(plugin)
            raise Fatal(f"plugin {name}: {error}") from error
        try:
            offers = self._take(plugin, name, external=origin != BUILT_IN)
        except BaseException:
            self._forget(plugin)
            raise
        self.plugins.append(Plugin(name, origin, version, tuple(sorted(offers))))

    def _forget(self, plugin: Any) -> None:
        if self._manager.is_registered(plugin):
            self._manager.unregister(plugin)

    def _take(self, plugin: Any, name: str, *, external: bool) -> list[str]:
        """Ask one plugin for its specs; check all of them before keeping any."""
        others = [other for other in self._manager.get_plugins() if other is not plugin]
        found: list[tuple[_Port, str, Any]] = []
        for port in _PORTS:
            for answer in self._manager.subset_hook_caller(port.hook, others)():
                for spec in answer if isinstance(answer, list) else [answer]:
                    found.extend(self._checked(port, spec, name))
        for port, key, value in found:
            getattr(self, port.table)[key] = value
            if external and port.section:
                self._external.add(f"{port.section}.{key}")
        return [f"{port.told} {key}" for port, key, _ in found]

    def _checked(self, port: _Port, spec: Any, name: str) -> list[tuple[_Port, str, Any]]:
        if not isinstance(spec, port.kind):
            kind = type(spec).__name__
            raise Fatal(f"plugin {name}: {port.hook} gave a {kind}, not a {port.kind.__name__}")
        _refuse_reserved_field(spec, name)
        pairs = port.pairs(spec)
        for key, _ in pairs:
            if key in getattr(self, port.table):
                raise Fatal(f"plugin {name}: there is already a {port.told} {key}")
        return [(port, key, value) for key, value in pairs]


class _Port(msgspec.Struct, frozen=True):
    """How the answers of one hook are kept. section: its table in the configuration."""

    hook: str
    kind: type
    table: str
    told: str
    pairs: Callable[[Any], list[tuple[str, Any]]]
    section: str = ""


def _by_name(spec: Any) -> list[tuple[str, Any]]:
    return [(spec.name, spec)]


def _by_prefix(spec: RoutesSpec) -> list[tuple[str, Any]]:
    return [(spec.prefix, spec)]


def _by_class(spec: RuleNodesSpec) -> list[tuple[str, Any]]:
    return list(spec.nodes.items())


_PORTS = (
    _Port("register_storage", StorageSpec, "storages", "storage", _by_name, "storage"),
    _Port("register_transport", TransportSpec, "transports", "transport", _by_name, "transport"),
    _Port("register_ingest", IngestSpec, "ingests", "ingest", _by_name, "ingest"),
    _Port("register_processor", ProcessorSpec, "processors", "process", _by_name, "process"),
    _Port("register_rule_nodes", RuleNodesSpec, "rule_nodes", "rule node", _by_class),
    _Port("register_routes", RoutesSpec, "routes", "routes", _by_prefix),
    _Port("register_commands", CommandSpec, "commands", "command", _by_name),
)


def _refuse_async_hooks(plugin: Any, name: str) -> None:
    for hook in dir(plugin):
        member = inspect.getattr_static(plugin, hook, None)
        marked = hasattr(member, f"{PROJECT}_impl")
        if marked and (inspect.iscoroutinefunction(member) or inspect.isasyncgenfunction(member)):
            raise Fatal(
                f"plugin {name}: {hook} is async",
                hint="hooks only declare; put what waits into the object that the spec builds",
            )


def _refuse_reserved_field(spec: Any, name: str) -> None:
    kind = getattr(spec, "config_type", None)
    if kind is None:
        return
    if any(field.encode_name == CHOSEN_BY for field in msgspec.structs.fields(kind)):
        raise Fatal(f"plugin {name}: field {CHOSEN_BY} of {kind.__name__} is the loader's own")


def _short_name(plugin: Any) -> str:
    name: str = getattr(plugin, "__name__", type(plugin).__name__)
    return name.removesuffix(".plugin").rpartition(".")[2]
