"""A full sync between the two roles: what it brings, what it takes, whose folder it is."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest

from appliance.cloud.registry import contains
from appliance.edge.link_events import EntitiesUnassigned, FolderAdopted
from appliance.kernel.events import Event
from appliance.model.errors import Retryable
from appliance.model.ids import EntityId, new_uuid
from appliance.model.unit import CLOUD, EntityWrite, Lane, Unit
from appliance.state.kinds import relation_key
from appliance.testing.fake_transport import FakeTransport
from appliance.testing.memory_storage import MemoryDisk, MemoryStorage
from appliance.web.commands import Change
from tests.kit import sync_common as common
from tests.kit.pair import SETTINGS, Pair, commit, running_cloud, running_edge, running_pair, until
from tests.kit.sync_rows import ACTOR


async def lose_assignment(pair: Pair, device: UUID) -> None:
    """What a server does to an edge that is away: it takes a device back and says nothing."""
    relation = relation_key(contains(pair.edge_id, EntityId("DEVICE", device)))
    unit = Unit(entities=[EntityWrite("RELATION", relation, None)])
    await commit(pair.cloud, pair.cloud_store, unit)


async def fully_synced(pair: Pair) -> None:
    pair.edge.link.status.last_sync_ms = None
    await pair.edge.link.request_full_sync()
    await until(lambda: pair.edge.link.status.last_sync_ms is not None)


@pytest.mark.parametrize("way", ["remove", "mark", "keep"])
async def test_what_the_cloud_does_not_assign_any_more_goes_with_a_full_sync(way: Any) -> None:
    wire = FakeTransport()
    events: list[Event] = []
    settings = msgspec.structs.replace(SETTINGS, unassigned=way)
    options = {"settings": settings, "emit": events.append}
    async with running_pair(MemoryStorage(), MemoryStorage(), wire, wire, **options) as pair:
        gone, here = await pair.add_device("Gone"), await pair.add_device("Here")
        own = new_uuid()
        made = common.device(pair.edge.state, own, "Own")
        await pair.edge.commands.change([Change("DEVICE", own, made, "ADDED")], ACTOR)
        await until(lambda: pair.cloud.state.entity("DEVICE", own) is not None)
        await lose_assignment(pair, gone)

        await fully_synced(pair)

        devices = set(pair.edge.state.ids("DEVICE"))
        assert devices == {here, own} | ({gone} if way != "remove" else set())
        if way == "remove":
            assert pair.edge.gate.authenticate_token("Gone") is None
            await lose_assignment(pair, own)
            await fully_synced(pair)
            assert set(pair.edge.state.ids("DEVICE")) == {here}
        if way == "mark":
            info = (pair.edge.state.entity("DEVICE", gone) or {})["additionalInfo"]
            assert info == {"unassignedFromEdge": True}
        told = [event.count for event in events if isinstance(event, EntitiesUnassigned)]
        assert told == {"remove": [1, 1], "mark": [1], "keep": []}[way]
        assert pair.edge.state.count("RULE_CHAIN") == 1


async def test_another_edge_id_is_refused_and_adopted_only_when_asked() -> None:
    disk = MemoryDisk()
    wire = FakeTransport()
    async with running_pair(MemoryStorage(disk), MemoryStorage(), wire, wire) as pair:
        await pair.add_device("Old", "OLD")
        wire.refuse = Retryable("away")
        wire.cut()
        session = pair.edge.gate.authenticate_token("OLD")
        assert session is not None
        await pair.edge.gate.post_telemetry([(session, [(1, {"t": 1})])])

    wire = FakeTransport()
    async with running_cloud(MemoryStorage(), wire):
        async with running_edge(MemoryStorage(disk), wire) as edge:
            await until(lambda: "belongs to edge" in edge.link.status.last_error)
            assert edge.gate.authenticate_token("OLD") is not None

        events: list[Event] = []
        adopting = msgspec.structs.replace(SETTINGS, adopt=True)
        storage = MemoryStorage(disk)
        async with running_edge(storage, wire, settings=adopting, emit=events.append) as edge:
            await until(lambda: edge.link.status.last_sync_ms is not None)
            (adopted,) = [event for event in events if isinstance(event, FolderAdopted)]
            assert adopted.events >= 1
            assert edge.gate.authenticate_token("OLD") is None
            assert edge.state.count("DEVICE") == 0
            assert edge.state.count("TENANT") == 1
            await until(lambda: not any(storage.depth(CLOUD, lane).pending for lane in Lane))
            assert len(storage.quarantined(CLOUD)) == adopted.events
