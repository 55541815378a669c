"""`appliance resend` and `appliance sync`: asked over the socket of a running edge."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import trio

from appliance.cli.resend import moment, send
from appliance.control import ControlSocket, connect
from appliance.edge.resend import WAITING_MAX, Part, Resend, cut
from appliance.edge.role import doings
from appliance.extension.ports import SeriesQuery
from appliance.model.errors import Permanent
from appliance.model.ids import EntityId
from appliance.model.telemetry import Series, Value
from appliance.model.unit import CLOUD, Lane, OutboxEvent, Unit
from appliance.testing.fake_transport import FakeTransport
from appliance.testing.memory_storage import MemoryStorage
from tests.kit.pair import Pair, running_pair, until

MOMENTS = 2500


async def fill(pair: Pair, device: EntityId) -> None:
    """History that never went up."""
    series = [
        Series(device, n, {"t": n / 2, "n": n} if n % 3 else {"n": n}) for n in range(MOMENTS)
    ]
    await pair.edge_store.commit([Unit(series=series)])


async def history(pair: Pair, device: EntityId, key: str) -> list[tuple[int, Value]]:
    query = SeriesQuery(device, (key,), 0, 2**62, limit=10_000, ascending=True)
    return (await pair.cloud_store.query_series(query)).get(key, [])


async def test_history_goes_up_whole_and_a_second_time_changes_nothing(tmp_path: Path) -> None:
    wire = FakeTransport()
    async with (
        running_pair(MemoryStorage(), MemoryStorage(), wire, wire) as pair,
        trio.open_nursery() as nursery,
    ):
        device = EntityId("DEVICE", await pair.add_device("Pump"))
        await fill(pair, device)
        socket = ControlSocket(tmp_path, pair.edge_store, doings(pair.edge, pair.edge_store))
        await nursery.start(socket.run)

        for _ in range(2):
            async with connect(tmp_path) as owner:
                assert await send(owner, "Pump", 0, MOMENTS, []) == (
                    MOMENTS,
                    MOMENTS + MOMENTS - (MOMENTS + 2) // 3,
                )
            await until(lambda: not pair.edge_store.depth(CLOUD, Lane.DATA).pending)
            assert await history(pair, device, "n") == [(n, n) for n in range(MOMENTS)]
            expected = [(n, n / 2) for n in range(MOMENTS) if n % 3]
            assert await history(pair, device, "t") == expected

        async with connect(tmp_path) as owner:
            with pytest.raises(Permanent, match="no device"):
                await send(owner, "Fan", 0, MOMENTS, [])
            pair.edge.link.status.last_sync_ms = None
            assert "full sync" in await owner.do("sync", {})
            await until(lambda: pair.edge.link.status.last_sync_ms is not None)
        nursery.cancel_scope.cancel()


async def test_only_these_keys_and_this_time() -> None:
    wire = FakeTransport()
    async with running_pair(MemoryStorage(), MemoryStorage(), wire, wire) as pair:
        device = EntityId("DEVICE", await pair.add_device("Pump"))
        await fill(pair, device)

        sent = await Resend(pair.edge_store, pair.edge.state).part(Part("Pump", 5, 9, ["n"]))

        assert (sent.moments, sent.values, sent.next_ms) == (4, 4, None)
        await until(lambda: not pair.edge_store.depth(CLOUD, Lane.DATA).pending)
        assert await history(pair, device, "n") == [(n, n) for n in (5, 6, 7, 8)]


async def test_a_part_waits_while_enough_waits_to_go_up() -> None:
    wire = FakeTransport()
    async with running_pair(MemoryStorage(), MemoryStorage(), wire, wire) as pair:
        device = EntityId("DEVICE", await pair.add_device("Pump"))
        await fill(pair, device)
        storage = MemoryStorage()
        resend = Resend(storage, pair.edge.state)
        event = OutboxEvent(CLOUD, Lane.DATA, "DEVICE", "TIMESERIES_UPDATED", device, b"\x08\x01")
        await storage.commit([Unit(events=[event] * WAITING_MAX)])

        sent = await resend.part(Part(str(device.id), 7, 9))

        assert msgspec.structs.asdict(sent) == {"moments": 0, "values": 0, "next_ms": 7}
        assert storage.depth(CLOUD, Lane.DATA).pending == WAITING_MAX


def test_a_moment_is_sent_whole_or_later() -> None:
    found: dict[str, list[tuple[int, Value]]] = {
        "fast": [(1, 1), (2, 2), (3, 3)],
        "slow": [(1, 9), (8, 9)],
    }
    moments, next_ms = cut(found, 3)
    assert (list(moments), next_ms) == ([1, 2, 3], 4)
    assert moments[1] == {"fast": 1, "slow": 9}
    assert cut(found, 4)[1] is None


def test_times_on_the_command_line() -> None:
    assert moment("1700000000000") == 1_700_000_000_000
    assert moment("2023-11-14T22:13:20+00:00") == 1_700_000_000_000
