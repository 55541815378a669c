"""Puts the edge's pieces together; every argument is a port, so tests use the same function."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import msgspec
import trio

from appliance.edge.chains import Chains
from appliance.edge.commands import EdgeCommands
from appliance.edge.credentials import Credentials
from appliance.edge.gate import EdgeGate
from appliance.edge.link import CloudLink, LinkSettings
from appliance.edge.presence import Presence
from appliance.edge.processor import Processor
from appliance.edge.rpc import ReplyDesk, RpcDesk
from appliance.edge.services import EdgeServices
from appliance.edge.sessions import Sessions
from appliance.extension.ports import Storage, Transport
from appliance.fields.engine import Fields
from appliance.kernel.clock import Clock
from appliance.kernel.events import Emit
from appliance.model.ids import EntityId
from appliance.model.telemetry import Scope
from appliance.model.unit import CLOUD
from appliance.rules.engine import RuleEngine
from appliance.rules.node import NodeFactory
from appliance.state.store import State
from appliance.sync.conflicts import other_names
from appliance.sync.mapping import Mapper
from appliance.sync.outgoing import OutgoingLimits
from appliance.sync.sender import Sender


class StateLoader:
    """Fills the state from storage before anything reads it; a Component that then only waits."""

    def __init__(self, state: State, storage: Storage) -> None:
        self._state = state
        self._storage = storage

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Load, say started, wait to be cancelled."""
        await self._state.load(self._storage)
        await self._state.recall_deleted(self._storage)
        task_status.started()
        await trio.sleep_forever()


class ShownToCloud:
    """Entities as the cloud shall see them (sync.mapping.Bodies): as they are here."""

    def __init__(self, state: State) -> None:
        self._state = state

    def shown(self, kind: str, id: UUID) -> dict[str, Any] | None:
        """See Bodies. A profile's local default chain is its default edge chain up there (§6.2);
        the server does that turn itself."""
        return self._state.entity(kind, id)

    def is_known(self, kind: str, id: UUID) -> bool:
        """See Bodies: a server finds out by itself, and only from what is new."""
        return False

    def other_names(self, kind: str, id: UUID) -> Iterable[UUID]:
        """See Bodies: a server may have an alarm of ours as its own and as ours."""
        return other_names(self._state, id) if kind == "ALARM" else ()

    def deleted_ms(self, entity: EntityId, scope: Scope, key: str) -> int | None:
        """See Bodies: the cloud hears of all, in the order of commits."""
        return None


class Edge(msgspec.Struct, frozen=True):
    """All pieces of an edge, built and not started."""

    state: State
    loader: StateLoader
    processor: Processor
    engine: RuleEngine
    fields: Fields
    chains: Chains
    services: EdgeServices
    presence: Presence
    sessions: Sessions
    gate: EdgeGate
    sender: Sender
    link: CloudLink
    commands: EdgeCommands


def assemble_edge(
    storage: Storage,
    transport: Transport,
    settings: LinkSettings,
    limits: OutgoingLimits,
    factories: Mapping[str, NodeFactory[Any]],
    clock: Clock,
    emit: Emit,
) -> Edge:
    """Build an edge over a storage and a transport."""
    state = State()
    processor = Processor(storage, state, emit)
    desk, replies = RpcDesk(clock), ReplyDesk()
    sessions = Sessions(desk)
    presence = Presence(state, processor, clock)
    services = EdgeServices(state, processor, sessions, desk, replies, presence, clock, emit)
    engine = RuleEngine(state, storage, clock, emit, services, factories)
    processor.engine = engine
    fields = Fields(state, storage, clock, emit, services, engine.process, engine.timers)
    services.fields = processor.fields = fields
    credentials = Credentials(state)
    gate = EdgeGate(state, processor, credentials, sessions, desk, replies, presence, clock)
    mapper = Mapper(ShownToCloud(state))
    sender = Sender(storage, CLOUD, mapper.items, limits, emit)
    link = CloudLink(
        settings, transport, storage, state, processor, services, sessions, sender, clock, emit
    )
    return Edge(
        state=state,
        loader=StateLoader(state, storage),
        processor=processor,
        engine=engine,
        fields=fields,
        chains=Chains(state, engine, emit),
        services=services,
        presence=presence,
        sessions=sessions,
        gate=gate,
        sender=sender,
        link=link,
        commands=EdgeCommands(state, storage, processor, services, sessions, clock, link),
    )
