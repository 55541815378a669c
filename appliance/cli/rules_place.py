"""Where `appliance rules` finds its chains, devices and history: a file, a data folder, or both."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import trio

from appliance.cli.house import House
from appliance.cli.storage import Asked, ask_storage, storage_of
from appliance.config.loader import Settings
from appliance.edge.dry_run import AsOf, Line
from appliance.edge.selection import Selection
from appliance.extension.hookspecs import Context
from appliance.extension.registry import Registry
from appliance.fields.engine import Fields
from appliance.kernel.clock import wall_clock_ms
from appliance.kernel.events import ignore
from appliance.model.errors import ConfigError
from appliance.model.ids import EntityId, new_uuid
from appliance.model.message import Message
from appliance.model.unit import EntityWrite, Unit
from appliance.rules.chain_file import ChainJson, chain_id, read_chain, read_message
from appliance.rules.compile import CompiledChain
from appliance.rules.default_chain import default_root_chain
from appliance.rules.node import NodeFactory
from appliance.rules.ports import History
from appliance.rules.rehearsal import NoHistory, Rehearsal
from appliance.state.store import State

NEED_FOLDER = frozenset({"list", "dry-run"})


class Place(msgspec.Struct, frozen=True):
    """What a verb works on.

    storage: of the data folder, opened or asked of the appliance that has it; None without one.
    fields_off: types of calculated fields that do not run. file: the chain of a file. named: the
    chain that was asked for by name or id. selectors: makes what thins out the data of a state.
    """

    factories: Mapping[str, NodeFactory[Any]]
    storage: Asked | None
    file: ChainJson | None
    named: str | None
    outside: bool
    selectors: Callable[[State], Selection | None]
    fields_off: frozenset[str]
    now_ms: int

    async def rehearsal(self, start_ms: int | None = None, *, with_file: bool = True) -> Rehearsal:
        """A new one with all chains loaded, the file's in place of what it replaces.

        start_ms: begin then, with history as it was.
        """
        state = State()
        if self.storage is not None:
            await state.load(self.storage)
        made: Rehearsal
        history: History = self.storage or NoHistory()
        if start_ms is not None:
            history = AsOf(history, lambda: made.now_ms)
        now_ms = self.now_ms if start_ms is None else start_ms
        made = Rehearsal(self.factories, state, history, now_ms, outside=self.outside)
        for id in state.ids("RULE_CHAIN"):
            metadata = state.entity("RULE_CHAIN_METADATA", id)
            if metadata is not None:
                made.load((state.entity("RULE_CHAIN", id) or {}, metadata))
        if made.engine.root_id is None:
            made.load(default_root_chain())
        if self.file is not None and with_file:
            chain, metadata = self.file
            replaced = made.engine.chain(chain_id(self.file))
            root = replaced is None or replaced.id == made.engine.root_id
            made.load(({**chain, "root": root}, metadata))
        await self._load_fields(made, history)
        return made

    async def _load_fields(self, made: Rehearsal, history: History) -> None:
        fields = Fields(
            made.state,
            history,
            lambda: made.now_ms,
            ignore,
            made.services,
            made.engine.process,
            made.engine.timers,
        )
        fields.leave(self.fields_off)
        await fields.load()
        made.calculated = fields.note_results()
        made.calculate_with(fields)
        await made.settle()

    async def line(self, start_ms: int, *, with_file: bool) -> Line:
        """A rehearsal with the selective sync of the settings."""
        rehearsal = await self.rehearsal(start_ms, with_file=with_file)
        return Line(rehearsal, self.selectors(rehearsal.state))

    def chosen(self, rehearsal: Rehearsal) -> CompiledChain:
        """The chain that was asked for; the root chain where none was.

        Raises:
            ConfigError: there is none of that name or id.
        """
        engine = rehearsal.engine
        if self.file is not None:
            wanted = str(chain_id(self.file))
        else:
            wanted = self.named or str(engine.root_id)
        for chain in engine.chains():
            if wanted in (str(chain.id), chain.name):
                return chain
        raise ConfigError(f"there is no rule chain {wanted!r}", hint="see `appliance rules list`")

    def message(self, file: str, rehearsal: Rehearsal) -> Message:
        """The message of a file, "-" standard input. Raises ConfigError."""
        text = sys.stdin.buffer.read() if file == "-" else _read(Path(file))
        state = rehearsal.state
        return read_message(text, file, state, stranger(state), rehearsal.now_ms)


def with_place(
    arguments: argparse.Namespace, house: House, do: Callable[[Place], Awaitable[int]]
) -> int:
    """Find chain and folder, reach the storage, do it.

    Raises:
        ConfigError: the file holds no chain, or the configuration is wrong.
        Retryable: the folder is in use, and its owner does not answer.
    """
    path = Path(arguments.chain) if arguments.chain else None
    is_file = path is not None and (path.is_file() or path.suffix == ".json")
    file = read_chain(_read(path), path.name) if path is not None and is_file else None
    named = None if is_file else arguments.chain
    needs = arguments.action in NEED_FOLDER or not is_file
    if not needs and arguments.data_dir is None and arguments.config is None:
        factories = house.plugins(arguments).rule_nodes
        place = _place(arguments, factories, None, file, named, lambda state: None, ())
        return trio.run(do, place)
    settings, registry = house.load(arguments)

    async def ask(storage: Asked) -> int:
        def selectors(state: State) -> Selection | None:
            return _selection(settings, registry, state)

        off = settings.fields.off
        place = _place(arguments, registry.rule_nodes, storage, file, named, selectors, off)
        return await do(place)

    return ask_storage(settings, storage_of(settings, registry), ask)


def _place(
    arguments: argparse.Namespace,
    factories: Mapping[str, NodeFactory[Any]],
    storage: Asked | None,
    file: ChainJson | None,
    named: str | None,
    selectors: Callable[[State], Selection | None],
    fields_off: Iterable[str],
) -> Place:
    return Place(
        factories=factories,
        storage=storage,
        file=file,
        named=named,
        outside=bool(arguments.outside),
        selectors=selectors,
        fields_off=frozenset(fields_off),
        now_ms=wall_clock_ms(),
    )


def _selection(settings: Settings, registry: Registry, state: State) -> Selection | None:
    context = Context("edge", settings.data_dir, wall_clock_ms, ignore)
    built = [
        registry.processors[name].build(config, context)
        for name, config in settings.process.items()
    ]
    found = [selector for selector in built if selector is not None]
    return Selection(found, state, ignore) if found else None


def stranger(state: State) -> EntityId:
    """A device for messages that name none; it is made up in this state."""
    profile, device = (EntityId(kind, new_uuid()) for kind in ("DEVICE_PROFILE", "DEVICE"))
    known = state.by_name("DEVICE_PROFILE", "default")
    bodies = {
        profile: {"id": profile.to_json(), "name": "default", "default": True},
        device: {
            "id": device.to_json(),
            "name": "device",
            "type": "default",
            "deviceProfileId": known["id"] if known else profile.to_json(),
        },
    }
    writes = [
        EntityWrite(entity.type, entity.id, msgspec.json.encode(body))
        for entity, body in bodies.items()
        if entity is device or known is None
    ]
    state.apply(Unit(entities=writes))
    return device


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
