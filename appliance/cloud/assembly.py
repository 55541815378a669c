"""Puts the cloud's pieces together; every argument is a port, so tests use the same function."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec
import trio

from appliance.cloud.activity import Activity
from appliance.cloud.calls import Calls
from appliance.cloud.commands import CloudCommands
from appliance.cloud.registry import CloudType, Edges
from appliance.cloud.rules import CloudRules
from appliance.cloud.service import EdgeService
from appliance.cloud.tenant import new_tenant
from appliance.extension.ports import Storage, Transport
from appliance.kernel.clock import Clock
from appliance.kernel.events import Emit
from appliance.rules.node import NodeFactory
from appliance.state.owed import Owed
from appliance.state.store import State
from appliance.sync.outgoing import OutgoingLimits

ENTITY_WINDOW = 50
"""Entities in flight towards an edge: a page of the reference (§4.1)."""
WAITING_MAX = 1000
"""Events of a lane held in memory for one edge, of which there may be fifty: 700 bytes each."""


class TenantKeeper:
    """Loads the state, makes the tenant of a new data folder; a Component that then waits."""

    def __init__(self, state: State, storage: Storage) -> None:
        self._state = state
        self._storage = storage

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Load or make, say started, wait to be cancelled."""
        await self._state.load(self._storage)
        await self._state.recall_deleted(self._storage)
        if not self._state.count("TENANT"):
            unit = await trio.to_thread.run_sync(new_tenant)
            await self._storage.commit([unit])
            self._state.apply(unit)
        task_status.started()
        await trio.sleep_forever()


class Cloud(msgspec.Struct, frozen=True):
    """All pieces of a cloud, built and not started."""

    state: State
    keeper: TenantKeeper
    edges: Edges
    calls: Calls
    rules: CloudRules
    service: EdgeService
    commands: CloudCommands


def assemble_cloud(
    storage: Storage,
    transport: Transport,
    limits: OutgoingLimits,
    clock: Clock,
    emit: Emit,
    cloud_type: CloudType = "CE",
    factories: Mapping[str, NodeFactory[Any]] = MappingProxyType({}),
) -> Cloud:
    """Build a cloud over a storage and a transport. factories: the nodes of its rule chains."""
    state = State()
    owed = Owed(storage)
    edges = Edges(state, cloud_type)
    calls = Calls(storage, state, clock)
    limits = msgspec.structs.replace(limits, entity_window=ENTITY_WINDOW, waiting_max=WAITING_MAX)
    rules = CloudRules(state, storage, owed, edges, calls, factories, clock, emit)
    activity = Activity(state, owed, rules, clock)
    service = EdgeService(
        transport, storage, owed, state, edges, calls, rules, activity, limits, clock, emit
    )
    commands = CloudCommands(state, storage, owed, edges, service, calls, rules, clock)
    return Cloud(state, TenantKeeper(state, storage), edges, calls, rules, service, commands)
