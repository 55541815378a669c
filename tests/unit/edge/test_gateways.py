"""What a gateway is told of the devices behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import trio.testing

from appliance.edge.assembly import Edge
from appliance.edge.devices import make_device
from appliance.edge.gateways import DELETED, RENAMED
from appliance.extension.ports import DeviceSession
from appliance.model.errors import Retryable
from appliance.model.ids import EntityId, new_uuid
from appliance.model.unit import EntityWrite, Unit
from appliance.testing.fake_transport import FakeTransport
from appliance.testing.memory_storage import MemoryStorage
from appliance.web.commands import Change
from tests.kit.pair import commit, running_edge, running_pair, until
from tests.kit.sync_rows import ACTOR
from tests.unit.edge.world import Phone

PROFILE = new_uuid()


class House:
    """An edge, a gateway and a device behind it. phone: the gateway's own session."""

    def __init__(self, edge: Edge, gateway: DeviceSession, child: EntityId) -> None:
        self.edge = edge
        self.gateway = gateway
        self.child = child
        self.phone = Phone()

    def listen(self) -> None:
        self.edge.gate.subscribe(self.gateway, self.phone, attributes=True, rpc=True)

    async def change(self, action: str, **members: Any) -> None:
        """Change the child, or delete it."""
        body = self.edge.state.entity("DEVICE", self.child.id)
        assert body is not None
        changed = {**body, **members} if members else None
        change = Change("DEVICE", self.child.id, changed, action)
        await self.edge.commands.change([change], ACTOR)

    async def heard(self, count: int) -> list[tuple[str, Any]]:
        await until(lambda: len(self.phone.requests) >= count)
        return [(method, params) for _, method, params in self.phone.requests]


@asynccontextmanager
async def house(storage: MemoryStorage) -> AsyncIterator[House]:
    async with running_edge(storage, FakeTransport()) as edge:
        if not edge.state.ids("DEVICE"):
            profile = {"name": "default", "default": True}
            encoded = msgspec.json.encode(profile | {"id": {"id": str(PROFILE)}})
            unit = Unit(entities=[EntityWrite("DEVICE_PROFILE", PROFILE, encoded)])
            await commit(edge, storage, unit)
            gateway_unit = make_device(edge.state, "GW", credentials={"credentialsId": "T"})[1]
            await commit(edge, storage, gateway_unit)
        gateway = edge.gate.authenticate_token("T")
        assert gateway is not None
        child = await edge.gate.child_session(gateway, "Sensor", None)
        yield House(edge, gateway, child.device)


async def test_a_gateway_hears_the_new_name_of_a_device_and_that_it_is_gone() -> None:
    async with house(MemoryStorage()) as made:
        made.listen()
        await made.change("UPDATED", label="no news for it")
        await made.change("UPDATED", name="Sensor 2")
        await made.change("DELETED")
        assert await made.heard(2) == [(RENAMED, {"Sensor": "Sensor 2"}), (DELETED, "Sensor 2")]


async def test_a_gateway_that_is_away_hears_of_it_when_it_comes_back_even_after_a_restart() -> None:
    storage = MemoryStorage()
    async with house(storage) as made:
        await made.change("UPDATED", name="Sensor 2")
    async with house(storage) as made:
        made.listen()
        assert await made.heard(1) == [(RENAMED, {"Sensor": "Sensor 2"})]


@pytest.mark.mock_clock
async def test_a_gateway_hears_of_a_new_name_that_a_full_disk_takes_late() -> None:
    storage = MemoryStorage()
    async with house(storage) as made:
        made.listen()
        storage.full = True
        for name in ("Sensor 2", "Sensor 3"):  # of which the second is refused, the first is owed
            with pytest.raises(Retryable):
                await made.change("UPDATED", name=name)
        storage.full = False
        assert await made.heard(1) == [(RENAMED, {"Sensor": "Sensor 2"})]
        await trio.sleep(5)
        assert len(made.phone.requests) == 1


@pytest.mark.parametrize("gateway", [None, "nobody", 5, "13814000-1dd2-11b2-8080-808080808080"])
async def test_a_device_whose_gateway_is_not_here_is_renamed_in_silence(gateway: Any) -> None:
    async with house(MemoryStorage()) as made:
        made.listen()
        await made.change("UPDATED", additionalInfo={"lastConnectedGateway": gateway})
        await made.change("UPDATED", name="Sensor 2")
        await trio.testing.wait_all_tasks_blocked()
        assert made.phone.requests == []
        assert made.edge.state.ids("RPC") == []


async def test_a_gateway_hears_what_the_cloud_renames_and_takes_away() -> None:
    wire = FakeTransport()
    async with running_pair(MemoryStorage(), MemoryStorage(), wire, wire) as pair:
        await pair.add_device("GW", "T")
        gateway = pair.edge.gate.authenticate_token("T")
        assert gateway is not None
        child = (await pair.edge.gate.child_session(gateway, "Sensor", None)).device
        made = House(pair.edge, gateway, child)
        made.listen()
        await until(lambda: pair.cloud.state.entity("DEVICE", child.id) is not None)
        body = {**(pair.cloud.state.entity("DEVICE", child.id) or {}), "name": "Sensor 2"}
        await pair.cloud.commands.change([Change("DEVICE", child.id, body, "UPDATED")], ACTOR)
        assert await made.heard(1) == [(RENAMED, {"Sensor": "Sensor 2"})]
        await pair.cloud.commands.unassign(pair.edge_id, child, ACTOR)
        assert (await made.heard(2))[1] == (DELETED, "Sensor 2")
