"""Every message type of spec/edge-protocol.md §2.4 and §2.5, sent over sockets, and its effect.

The rows are in tests/kit/sync_down.py and sync_up.py; docs/sync.md is made from them.
"""

from __future__ import annotations

import pytest

from plugins.transport_grpc.tables import ROWS as FIELDS
from tests.kit.pair import until
from tests.kit.sync_down import DOWN
from tests.kit.sync_rows import Row, scene
from tests.kit.sync_up import UP

ROWS = [*DOWN.rows, *UP.rows]


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
async def test_a_message_type_has_its_effect(row: Row) -> None:
    async with scene() as played:
        tap = played.up if row.direction == "up" else played.down
        tap.seen.clear()
        seen = list(tap.seen)
        await row.play(played)
        seen += tap.seen

        await until(lambda: any(row.crossed(item) for item in [*seen, *tap.seen]))


def test_no_field_of_the_protocol_is_left_out() -> None:
    played = {(row.direction, row.field) for row in ROWS}
    up = {("up", field.name) for field in FIELDS if field.up}
    down = {("down", field.name) for field in FIELDS if field.down}

    assert set() == (up | down) - played
