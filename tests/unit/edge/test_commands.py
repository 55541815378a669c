"""Changes over REST that come too late."""

from __future__ import annotations

import pytest

from appliance.kernel.clock import wall_clock_ms
from appliance.model.ids import EntityId, new_uuid
from appliance.model.unit import CLOUD, Lane
from appliance.testing.fake_transport import FakeTransport
from appliance.testing.memory_storage import MemoryDisk, MemoryStorage
from appliance.web.commands import Change
from tests.kit.pair import running_edge
from tests.kit.sync_rows import ACTOR


@pytest.mark.parametrize(
    ("kind", "action"),
    [
        ("ALARM", "ALARM_DELETE"),
        ("ALARM_COMMENT", "DELETED_COMMENT"),
        ("RELATION", "RELATION_DELETED"),
    ],
)
async def test_deleting_what_has_just_gone_says_nothing(kind: str, action: str) -> None:
    storage = MemoryStorage(MemoryDisk(), wall_clock_ms)
    async with running_edge(storage, FakeTransport()) as edge:
        await edge.commands.change([Change(kind, new_uuid(), None, action)], ACTOR)
        assert [storage.depth(CLOUD, lane).accepted for lane in Lane] == [0] * len(Lane)


async def test_devices_follow_the_new_name_of_their_profile_and_the_cloud_hears_of_both() -> None:
    storage = MemoryStorage(MemoryDisk(), wall_clock_ms)
    async with running_edge(storage, FakeTransport()) as edge:
        profile, device, other = new_uuid(), new_uuid(), new_uuid()
        named = {"id": EntityId("DEVICE_PROFILE", profile).to_json(), "name": "pump"}
        bodies = {
            own: {"id": EntityId("DEVICE", own).to_json(), "name": str(own), "type": "pump"}
            for own in (device, other)
        }
        bodies[device]["deviceProfileId"] = named["id"]
        for kind, own, body in (
            ("DEVICE_PROFILE", profile, named),
            ("DEVICE", device, bodies[device]),
            ("DEVICE", other, bodies[other]),
        ):
            await edge.commands.change([Change(kind, own, body, "ADDED")], ACTOR)
        rename = Change("DEVICE_PROFILE", profile, {**named, "name": "fan"}, "UPDATED")
        await edge.commands.change([rename], ACTOR)
        types = [(edge.state.entity("DEVICE", own) or {})["type"] for own in (device, other)]
        assert types == ["fan", "pump"]
        events = await storage.pending(CLOUD, Lane.ENTITY, None, 100, 1 << 20)
        told = [(e.event.type, e.event.entity.id) for e in events if e.event.action == "UPDATED"]
        assert told == [("DEVICE_PROFILE", profile), ("DEVICE", device)]


@pytest.mark.parametrize("kind", ["DEVICE_PROFILE", "ASSET_PROFILE", "TB_RESOURCE"])
async def test_what_no_server_lets_an_edge_delete_is_deleted_here_only(kind: str) -> None:
    storage = MemoryStorage(MemoryDisk(), wall_clock_ms)
    async with running_edge(storage, FakeTransport()) as edge:
        id = new_uuid()
        body = {"id": EntityId(kind, id).to_json(), "name": "x", "title": "x"}
        for change in (Change(kind, id, body, "ADDED"), Change(kind, id, None, "DELETED")):
            await edge.commands.change([change], ACTOR)
        events = await storage.pending(CLOUD, Lane.ENTITY, None, 100, 1 << 20)
        assert [e.event.action for e in events] == ["ADDED"]
