"""What the state has reaches the disk, whatever becomes of who brought it."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from appliance.model.errors import Retryable
from appliance.model.ids import new_uuid
from appliance.model.unit import EntityWrite, Unit
from appliance.state.owed import Owed
from appliance.testing.memory_storage import MemoryStorage

DEVICE = new_uuid()


def unit(body: bytes) -> Unit:
    return Unit(entities=[EntityWrite("DEVICE", DEVICE, body)])


@pytest.mark.mock_clock
async def test_what_a_full_disk_refused_is_committed_later_in_order_though_nobody_waits() -> None:
    storage = MemoryStorage()
    owed = Owed(storage)
    async with trio.open_nursery() as nursery:
        await nursery.start(owed.run)
        storage.full = True
        with trio.move_on_after(1):
            await owed.commit([unit(b'{"n":1}')])
        with pytest.raises(Retryable):
            owed.refuse_while_owing()
        storage.full = False
        await owed.commit([unit(b'{"n":2}')])
        owed.refuse_while_owing()
        nursery.cancel_scope.cancel()
    assert [write.entities[0].body for write in storage.disk.units] == [b'{"n":1}', b'{"n":2}']
