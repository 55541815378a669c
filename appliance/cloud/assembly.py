"""Puts the cloud's pieces together; every argument is a port, so tests use the same function."""

from __future__ import annotations

import msgspec
import trio

from appliance.cloud.calls import Calls
from appliance.cloud.commands import CloudCommands
from appliance.cloud.registry import CloudType, Edges
from appliance.cloud.service import EdgeService
from appliance.cloud.tenant import new_tenant
from appliance.extension.ports import Storage, Transport
from appliance.kernel.clock import Clock
from appliance.kernel.events import Emit
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
    service: EdgeService
    commands: CloudCommands


def assemble_cloud(
    storage: Storage,
    transport: Transport,
    limits: OutgoingLimits,
    clock: Clock,
    emit: Emit,
    cloud_type: CloudType = "CE",
) -> Cloud:
    """Build a cloud over a storage and a transport."""
    state = State()
    edges = Edges(state, cloud_type)
    calls = Calls(storage, state, clock)
    limits = msgspec.structs.replace(limits, entity_window=ENTITY_WINDOW, waiting_max=WAITING_MAX)
    service = EdgeService(transport, storage, state, edges, calls, limits, clock, emit)
    commands = CloudCommands(state, storage, edges, service, calls, clock)
    return Cloud(state, TenantKeeper(state, storage), edges, calls, service, commands)
