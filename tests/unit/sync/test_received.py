"""What a peer said reaches the disk, whatever becomes of the link by which it came."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from appliance.model.ids import new_uuid
from appliance.model.unit import EntityWrite, Unit
from appliance.sync.received import Received
from appliance.testing.memory_storage import MemoryStorage

DEVICE = new_uuid()


def unit(body: bytes) -> Unit:
    return Unit(entities=[EntityWrite("DEVICE", DEVICE, body)])


@pytest.mark.mock_clock
async def test_what_a_full_disk_refused_is_committed_later_in_order_though_nobody_waits() -> None:
    storage = MemoryStorage()
    received = Received(storage)
    async with trio.open_nursery() as nursery:
        await nursery.start(received.run)
        storage.full = True
        with trio.move_on_after(1):
            await received.commit([unit(b'{"n":1}')])
        assert received.owing
        storage.full = False
        await received.commit([unit(b'{"n":2}')])
        assert not received.owing
        nursery.cancel_scope.cancel()
    assert [write.entities[0].body for write in storage.disk.units] == [b'{"n":1}', b'{"n":2}']
