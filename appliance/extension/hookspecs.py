"""Every hook, on one page: what the product can become.

Hooks are synchronous and only declare: they return frozen specs. All waiting behaviour lives on
the objects that those specs build (extension/ports.py). An `async def` hook would be a trap,
because pluggy calls are plain calls and nobody would await it; registration refuses one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pluggy

from appliance.extension.ports import (
    Component,
    Gate,
    HttpMount,
    RequestHandler,
    Selector,
    Storage,
    Transport,
)
from appliance.kernel.clock import Clock
from appliance.kernel.events import Emit

PROJECT = "edge_appliance"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

Rows = tuple[list[str], list[tuple[Any, ...]]]
"""(column names, rows) of a query."""


class Context(msgspec.Struct, frozen=True):
    """What every factory gets beside its own config.

    role: "edge" or "cloud". data_dir: the data folder, existing and ours alone.
    http: the one HTTP port; None where there is none (most tests).
    """

    role: str
    data_dir: Path
    clock: Clock
    emit: Emit
    http: HttpMount | None = None


class CheckReport(Protocol):
    """What `appliance fsck` found in a data folder."""

    @property
    def exit_code(self) -> int:
        """0 when everything is sound or was repaired; otherwise damage remains."""
        ...

    def to_text(self) -> str:
        """For people."""
        ...

    def to_json(self) -> str:
        """For programs."""
        ...


class StorageSpec(msgspec.Struct, frozen=True):
    """A storage. config_type: frozen msgspec struct, section `[storage]` of the TOML.

    Optional, for the command line; called while nobody else uses the data folder; all block:
    fsck(data_dir, repair) looks over every file and changes nothing unless repair is set.
    sql(data_dir, statement) gives (column names, rows) and changes nothing.
    write_parquet(columns, rows, file) writes such rows.
    """

    name: str
    config_type: type[msgspec.Struct]
    build: Callable[[Any, Context], Storage]
    fsck: Callable[[Path, bool], CheckReport] | None = None
    sql: Callable[[Path, str], Rows] | None = None
    write_parquet: Callable[[Sequence[str], Sequence[tuple[Any, ...]], Path], None] | None = None


class TransportSpec(msgspec.Struct, frozen=True):
    """A transport, section `[transport]`."""

    name: str
    config_type: type[msgspec.Struct]
    build: Callable[[Any, Context], Transport]


class IngestSpec(msgspec.Struct, frozen=True):
    """A device listener or reader, section `[ingest.<name>]`."""

    name: str
    config_type: type[msgspec.Struct]
    build: Callable[[Any, Context, Gate], Component]


class ProcessorSpec(msgspec.Struct, frozen=True):
    """Selective sync: what of the data goes up, section `[process.<name>]`.

    build gives None where its configuration asks for nothing, so that no value pays for it.
    """

    name: str
    config_type: type[msgspec.Struct]
    build: Callable[[Any, Context], Selector | None]


class RuleNodesSpec(msgspec.Struct, frozen=True):
    """A family of rule nodes. nodes: full Java class name -> factory, see rules/node.py."""

    family: str
    nodes: Mapping[str, Any]


class RoutesSpec(msgspec.Struct, frozen=True):
    """An ASGI application under a path prefix of the HTTP port."""

    prefix: str
    build: Callable[[Context], RequestHandler]


class CommandSpec(msgspec.Struct, frozen=True):
    """A verb of the command line: run(arguments) -> exit code."""

    name: str
    summary: str
    run: Callable[[list[str]], int]


@hookspec
def register_storage() -> StorageSpec | None:
    """Offer a storage. Called once at start; the configured name wins; an exception ends start."""


@hookspec
def register_transport() -> TransportSpec | None:
    """Offer a transport. Called once at start; the configured name wins."""


@hookspec
def register_ingest() -> IngestSpec | list[IngestSpec] | None:
    """Offer device listeners. Called once at start; each enabled one runs under supervision."""


@hookspec
def register_processor() -> ProcessorSpec | list[ProcessorSpec] | None:
    """Offer selective sync, between rules and outbox. Called once at start."""


@hookspec
def register_rule_nodes() -> RuleNodesSpec | list[RuleNodesSpec] | None:
    """Offer rule nodes. Called once at start; a class name offered twice ends start."""


@hookspec
def register_routes() -> RoutesSpec | list[RoutesSpec] | None:
    """Offer pages or an API under a prefix of the HTTP port. Called once at start."""


@hookspec
def register_commands() -> CommandSpec | list[CommandSpec] | None:
    """Offer verbs for the command line. Called for every invocation; must be quick."""


@hookspec
def appliance_ready(context: Context) -> None:
    """Everything is started. Must not block; an exception is reported and ignored."""


@hookspec
def appliance_stopping(context: Context) -> None:
    """Stop has begun; nothing is closed yet. Must not block."""
