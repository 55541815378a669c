"""An edge and a cloud in one process, for tests that look at both sides."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import trio

from appliance.cloud.assembly import Cloud, assemble_cloud
from appliance.cloud.registry import CloudType
from appliance.edge.assembly import Edge, assemble_edge
from appliance.edge.link import LinkSettings
from appliance.extension.ports import Storage, Transport
from appliance.kernel.clock import Clock, wall_clock_ms
from appliance.kernel.events import Event, ignore
from appliance.model.unit import Unit
from appliance.rules.node import NodeFactory
from appliance.sync.outgoing import OutgoingLimits
from plugins import rules_action, rules_filter
from tests.kit.devices import device_unit

KEY, SECRET = "edge-key", "edge-secret"
QUICK = OutgoingLimits(retry_interval_s=0.05, retries_max=3, answer_timeout_s=20.0)
SETTINGS = LinkSettings(
    routing_key=KEY, secret=SECRET, reconnect_interval_s=0.02, reconnect_interval_s_max=0.1
)


def factories() -> Mapping[str, NodeFactory[Any]]:
    """The nodes of the default chain."""
    nodes: dict[str, NodeFactory[Any]] = {}
    for plugin in (rules_action, rules_filter):
        nodes.update(plugin.register_rule_nodes().nodes)
    return nodes


class Pair:
    """A running edge and cloud."""

    def __init__(self, edge: Edge, cloud: Cloud, edge_store: Storage, cloud_store: Storage) -> None:
        self.edge = edge
        self.cloud = cloud
        self.edge_store = edge_store
        self.cloud_store = cloud_store

    @property
    def edge_id(self) -> UUID:
        """The id of the one edge on the cloud."""
        return self.cloud.state.ids("EDGE")[0]

    async def add_device(self, name: str, token: str | None = None) -> UUID:
        """Make a device on the cloud and assign it; wait until the edge has it."""
        device, unit = device_unit(self.cloud.state, name, token or name)
        await commit(self.cloud, self.cloud_store, unit)
        unit = self.cloud.edges.assign(Unit(), self.edge_id, device)
        await commit(self.cloud, self.cloud_store, unit)
        await until(lambda: self.edge.gate.authenticate_token(token or name) is not None)
        return device.id


async def commit(role: Edge | Cloud, storage: Storage, unit: Unit) -> None:
    """Commit a unit and change the role's state by it."""
    await storage.commit([unit])
    role.state.apply(unit)


async def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Wait for a condition that another task makes true."""
    with trio.fail_after(timeout_s):
        while not condition():
            await trio.sleep(0.005)


@asynccontextmanager
async def running_edge(
    storage: Storage,
    transport: Transport,
    *,
    limits: OutgoingLimits = QUICK,
    settings: LinkSettings = SETTINGS,
    emit: Callable[[Event], None] = ignore,
    clock: Clock = wall_clock_ms,
) -> AsyncIterator[Edge]:
    """An edge whose storage runs already, from start to stop."""
    edge = assemble_edge(storage, transport, settings, limits, factories(), clock, emit)
    async with trio.open_nursery() as nursery:
        for part in (edge.loader, edge.fields, edge.processor, edge.engine, edge.chains,
                     edge.services, edge.presence, edge.link):  # fmt: skip
            await nursery.start(part.run)
        yield edge
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def running_cloud(
    storage: Storage,
    transport: Transport,
    *,
    limits: OutgoingLimits = QUICK,
    emit: Callable[[Event], None] = ignore,
    cloud_type: CloudType = "CE",
    clock: Clock = wall_clock_ms,
) -> AsyncIterator[Cloud]:
    """A cloud with one edge registered, from start to stop."""
    cloud = assemble_cloud(storage, transport, limits, clock, emit, cloud_type, factories())
    async with trio.open_nursery() as nursery:
        await nursery.start(cloud.keeper.run)
        if cloud.edges.by_routing_key(KEY) is None:
            await commit(cloud, storage, cloud.edges.create("Edge 1", KEY, SECRET))
        await nursery.start(cloud.calls.run)
        await nursery.start(cloud.rules.run)
        await nursery.start(cloud.service.run)
        yield cloud
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def running_pair(
    edge_store: Storage,
    cloud_store: Storage,
    edge_transport: Transport,
    cloud_transport: Transport,
    *,
    cloud_type: CloudType = "CE",
    **options: Any,
) -> AsyncIterator[Pair]:
    """Both, connected and synchronised for the first time."""
    async with (
        running_cloud(cloud_store, cloud_transport, cloud_type=cloud_type) as cloud,
        running_edge(edge_store, edge_transport, **options) as edge,
    ):
        await until(lambda: edge.link.status.last_sync_ms is not None)
        yield Pair(edge, cloud, edge_store, cloud_store)
