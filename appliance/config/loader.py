"""From sources to settings: validated against the structs of core and plugins, all errors at once.

Plugins bring their structs with their specs, so the loader composes the whole from what is
registered. A mistake in a section of the core or a built-in plugin refuses the start; a mistake
in the section of a plugin from outside leaves that plugin out and is told.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from appliance.config.environment import CONFIG_FILE, KNOWN
from appliance.config.fields import Secret, decode_hook
from appliance.config.sections import (
    SECTIONS,
    CloudConfig,
    CloudRoleConfig,
    FieldsConfig,
    LogConfig,
    PluginsConfig,
    UplinkConfig,
)
from appliance.config.sources import Given, Sources, Where, read_sources
from appliance.model.errors import ConfigError
from appliance.web.config import WebConfig

Kind = type[msgspec.Struct]
DATA_DIR = Path("data")
DEFAULT_FILE = Path("appliance.toml")
CHOSEN_BY = "plugin"
"""Key in [storage] and [transport] that names which one, where there are several."""
SWITCH = "enabled"
"""Key in [ingest.x] and [process.x] that turns one off; a plugin may have it as a field too."""


class PluginSections(msgspec.Struct, frozen=True, kw_only=True):
    """The config structs that plugins bring: name -> struct, by port.

    external: names of those from outside, as "ingest.name"; without a section of their own
    they stay off. broken: a plugin from outside failed to load, so that a section which
    nobody knows may be its own and is a remark, not an error.
    """

    storage: dict[str, Kind] = {}
    transport: dict[str, Kind] = {}
    ingest: dict[str, Kind] = {}
    process: dict[str, Kind] = {}
    external: frozenset[str] = frozenset()
    broken: bool = False

    def tables(self) -> Iterable[Where]:
        """All places in the configuration that hold fields."""
        yield from ((name,) for name in (*SECTIONS, "storage", "transport", "ingest", "process"))
        yield from (("ingest", name) for name in self.ingest)
        yield from (("process", name) for name in self.process)

    def fields(self) -> dict[Where, set[str]]:
        """Names of the fields of each section."""
        kinds: dict[Where, Kind] = {(name,): kind for name, kind in SECTIONS.items()}
        for kind in self.storage.values():
            kinds[("storage",)] = kind
        for kind in self.transport.values():
            kinds[("transport",)] = kind
        for port, found in (("ingest", self.ingest), ("process", self.process)):
            kinds |= {(port, name): kind for name, kind in found.items()}
        return {
            place: {field.encode_name for field in msgspec.structs.fields(kind)}
            for place, kind in kinds.items()
        }


class Chosen(msgspec.Struct, frozen=True):
    """One of several plugins for a port, with its config."""

    name: str
    config: Any


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was decided before the start.

    ingest, process: the enabled ones by name. sources: place ("cloud.port") -> origin, for what
    is not a default. notes: remarks. refused: plugin from outside ("ingest.x") -> its mistake.
    """

    data_dir: Path
    cloud: CloudConfig
    cloud_role: CloudRoleConfig
    uplink: UplinkConfig
    fields: FieldsConfig
    web: WebConfig
    log: LogConfig
    plugins: PluginsConfig
    storage: Chosen | None
    transport: Chosen | None
    ingest: dict[str, Any]
    process: dict[str, Any]
    sources: dict[str, str]
    notes: list[str]
    refused: dict[str, str]

    @property
    def plugin_dir(self) -> Path:
        """The folder of plugins from outside."""
        return self.data_dir / self.plugins.dir


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line and the environment ask for. flags: `section.field=value`."""

    file: Path | None = None
    environ: Mapping[str, str] = {}
    flags: tuple[str, ...] = ()

    def path(self) -> Path | None:
        """The file to read: asked for, named by APPLIANCE_CONFIG, or ./appliance.toml."""
        if self.file is not None:
            return self.file
        if named := self.environ.get(CONFIG_FILE):
            return Path(named)
        return DEFAULT_FILE if DEFAULT_FILE.is_file() else None


def load_first(asked: Asked) -> tuple[Path, PluginsConfig]:
    """What must be known before plugins: the data folder and the plugin section.

    Raises:
        ConfigError: one of these is wrong; the rest is not looked at.
    """
    sources = read_sources(asked.path(), asked.environ, asked.flags, [("plugins",)])
    reader = _Reader(sources, PluginSections())
    data_dir = reader.value(("data_dir",), Path, DATA_DIR)
    plugins = reader.section(("plugins",), PluginsConfig)
    reader.finish()
    return data_dir, plugins


def load(asked: Asked, plugins: PluginSections) -> Settings:
    """Read, merge and validate everything.

    Raises:
        ConfigError: with one line per mistake: place, what is wrong, where it was written and
            the way out.
    """
    sources = read_sources(asked.path(), asked.environ, asked.flags, plugins.tables())
    reader = _Reader(sources, plugins)
    core = {name: reader.section((name,), kind) for name, kind in SECTIONS.items()}
    storage = reader.chosen("storage", plugins.storage)
    transport = reader.chosen("transport", plugins.transport)
    ingest = reader.enabled("ingest", plugins.ingest, plugins)
    process = reader.enabled("process", plugins.process, plugins)
    data_dir = reader.value(("data_dir",), Path, DATA_DIR)
    reader.refuse_unknown(plugins)
    reader.finish()
    return Settings(
        **core,
        data_dir=data_dir,
        storage=storage,
        transport=transport,
        ingest=ingest,
        process=process,
        sources={".".join(place): given.source for place, given in sources.given.items()},
        notes=sources.notes,
        refused=reader.refused,
    )


class _Reader:
    """Takes values out of the sources place by place and collects mistakes."""

    def __init__(self, sources: Sources, plugins: PluginSections) -> None:
        self._sources = sources
        self._fields = plugins.fields()
        self._mistakes: list[str] = []
        self._seen: set[Where] = set()
        self.refused: dict[str, str] = {}

    def value(self, place: Where, kind: Any, default: Any) -> Any:
        """One value, or its default."""
        self._seen.add(place)
        given = self._sources.given.get(place)
        if given is None:
            return default
        try:
            return _convert(given, kind)
        except (msgspec.DecodeError, TypeError, ValueError) as error:
            self._mistakes.append(_mistake(place, error, given, kind))
            return default

    def section(self, place: Where, kind: Kind) -> Any:
        """One struct; None when it has mistakes."""
        before = len(self._mistakes)
        values: dict[str, Any] = {}
        for field in msgspec.structs.fields(kind):
            here = (*place, field.encode_name)
            if here in self._sources.given:
                values[field.name] = self.value(here, field.type, None)
            elif field.required:
                self._mistakes.append(f"{'.'.join(here)}: is required and not set")
        self._unknown(place, [field.encode_name for field in msgspec.structs.fields(kind)])
        if len(self._mistakes) > before:
            return None
        try:
            return kind(**values)
        except ValueError as error:
            origin = self._sources.tables.get(place, "")
            self._mistakes.append(f"{'.'.join(place)}: {error}" + (f" [{origin}]" * bool(origin)))
            return None

    def chosen(self, port: str, kinds: dict[str, Kind]) -> Chosen | None:
        """The one plugin of a port: named by its key, or the first there is."""
        if not kinds:
            return None
        name = self.value((port, CHOSEN_BY), str, next(iter(kinds)))
        if name not in kinds:
            self._mistakes.append(f"{port}.{CHOSEN_BY}: there is no {name!r}{_near(name, kinds)}")
            return None
        return Chosen(name, self.section((port,), kinds[name]))

    def enabled(self, port: str, kinds: dict[str, Kind], known: PluginSections) -> dict[str, Any]:
        """The plugins of a port that are switched on."""
        found: dict[str, Any] = {}
        for name, kind in kinds.items():
            place = (port, name)
            external = f"{port}.{name}" in known.external
            given = self._sources.below(place)
            wanted = place in self._sources.tables or bool(given)
            if not external:
                wanted = _default_of(kind, SWITCH, True)
            if self.value((*place, SWITCH), bool, wanted):
                config = self._outside(place, kind) if external else self.section(place, kind)
                if config is not None:
                    found[name] = config
            self._seen.update((*place, *rest.split(".")) for rest in given)
        return found

    def _outside(self, place: Where, kind: Kind) -> Any:
        """A section whose mistakes are its plugin's, not the start's."""
        before = len(self._mistakes)
        config = self.section(place, kind)
        if self._mistakes[before:]:
            self.refused[".".join(place)] = "; ".join(self._mistakes[before:])
            del self._mistakes[before:]
        return config

    def refuse_unknown(self, known: PluginSections) -> None:
        """Complain of every place that nothing has read."""
        tables = set(known.tables())
        names = [".".join(place) for place in tables] + ["data_dir"]
        places = {place: given.source for place, given in self._sources.given.items()}
        for place, source in sorted((places | self._sources.tables).items()):
            read = any(place[:length] in self._seen for length in range(1, len(place) + 1))
            if read or place in tables or _of_absent_plugin(place, tables):
                continue
            self._seen.add(place)
            told = f"{'.'.join(place)}: unknown{_near('.'.join(place), names)} [{source}]"
            forgiven = known.broken and place[0] in ("ingest", "process")
            (self._sources.notes if forgiven else self._mistakes).append(told)

    def finish(self) -> None:
        """Raise when there were mistakes."""
        if self._mistakes:
            raise ConfigError("\n".join(self._mistakes))

    def _elsewhere(self, field: str) -> str:
        """The section that has a field of just that name, if exactly one has."""
        homes = [".".join(place) for place, fields in self._fields.items() if field in fields]
        return f"; it belongs to [{homes[0]}]" if len(homes) == 1 else ""

    def _unknown(self, place: Where, fields: list[str]) -> None:
        for rest, given in self._sources.below(place).items():
            first = rest.split(".")[0]
            here = (*place, first)
            if first not in fields and here not in self._seen:
                name = ".".join((*place, rest))
                hint = self._elsewhere(first) or _near(first, fields)
                self._mistakes.append(f"{name}: unknown{hint} [{given.source}]")
            self._seen.add(here)


def _default_of(kind: Kind, name: str, otherwise: Any) -> Any:
    """The default of a field, where the struct has such a field with a plain default."""
    for field in msgspec.structs.fields(kind):
        if field.encode_name == name and field.default is not msgspec.NODEFAULT:
            return field.default
    return otherwise


def _of_absent_plugin(place: Where, tables: set[Where]) -> bool:
    """A variable of an existing installation for a listener that is not installed."""
    return any(variable.path == place for variable in KNOWN) and place[:-1] not in tables


def _convert(given: Given, kind: Any) -> Any:
    if not given.textual:
        return msgspec.convert(given.value, kind, dec_hook=decode_hook)
    try:
        return msgspec.convert(given.value, kind, strict=False, dec_hook=decode_hook)
    except msgspec.ValidationError:
        if given.value[:1] not in "[{":
            raise
    return msgspec.convert(msgspec.json.decode(given.value), kind, dec_hook=decode_hook)


def _mistake(place: Where, error: Exception, given: Given, kind: Any) -> str:
    what, _, inner = str(error).partition(" - at `$")
    what = what[:1].lower() + what[1:].partition(", got `")[0]
    name = ".".join(place) + inner.rstrip("`")
    got = "" if kind is Secret else f", got {given.value!r:.60}"
    return f"{name}: {what}{got} [{given.source}]"


def _near(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), 1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; known are {', '.join(sorted(known))}"
