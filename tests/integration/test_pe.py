"""A cloud of edition PE: what an edge makes goes into a group that is assigned to the edge."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from appliance.cloud.groups import KIND
from appliance.model.ids import EntityId, new_uuid
from appliance.testing.fake_transport import FakeTransport
from appliance.testing.memory_storage import MemoryStorage
from appliance.web.commands import Change
from tests.kit import sync_common as common
from tests.kit.pair import Pair, running_pair, until
from tests.kit.sync_rows import ACTOR


async def make(pair: Pair, name: str) -> EntityId:
    """A device made on the edge, once the cloud has it."""
    device = new_uuid()
    body = common.device(pair.edge.state, device, name)
    await pair.edge.commands.change([Change("DEVICE", device, body, "ADDED")], ACTOR)
    await until(lambda: pair.cloud.state.entity("DEVICE", device) is not None)
    return EntityId("DEVICE", device)


def groups(pair: Pair) -> list[dict[str, Any]]:
    return list(pair.cloud.state.entities(KIND))


async def test_a_device_of_the_edge_is_in_the_edge_s_group_of_devices() -> None:
    wire = FakeTransport()
    stores = MemoryStorage(), MemoryStorage()
    async with running_pair(*stores, wire, wire, cloud_type="PE") as pair:
        first, second = await make(pair, "Valve"), await make(pair, "Fan")

        (group,) = groups(pair)
        assert (group["name"], group["type"]) == ("[Edge] Edge 1 All", "DEVICE")
        id = UUID(group["id"]["id"])
        assert pair.cloud.edges.assigned(pair.edge_id, KIND) == [id]
        members = pair.cloud.state.relations_from(EntityId(KIND, id))
        assert {relation.target for relation in members} == {first, second}
        edge = pair.edge.state.entity("EDGE", pair.edge_id) or {}
        assert edge["cloudType"] == "PE"

        await pair.edge.commands.change([Change("DEVICE", first.id, None, "DELETED")], ACTOR)
        left = EntityId(KIND, id)
        await until(lambda: len(list(pair.cloud.state.relations_from(left))) == 1)


async def test_a_ce_cloud_knows_no_groups() -> None:
    wire = FakeTransport()
    async with running_pair(MemoryStorage(), MemoryStorage(), wire, wire) as pair:
        await make(pair, "Valve")

        assert groups(pair) == []
        assert (pair.edge.state.entity("EDGE", pair.edge_id) or {})["cloudType"] == "CE"
