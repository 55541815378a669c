"""Changes over REST that come too late."""

from __future__ import annotations

import pytest

from appliance.kernel.clock import wall_clock_ms
from appliance.model.ids import new_uuid
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
