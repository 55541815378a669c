"""Values that come down and were here before."""

from __future__ import annotations

import pytest
import trio

from appliance.edge.echo import LOOK_S, MOMENTS_MAX, without_echoes
from appliance.model.ids import EntityId, new_uuid
from appliance.model.telemetry import Series
from appliance.model.unit import Unit
from appliance.sync.incoming import Points
from appliance.testing.memory_storage import MemoryStorage

pytestmark = pytest.mark.mock_clock

DEVICE = EntityId("DEVICE", new_uuid())


async def history(*points: tuple[int, dict[str, float]]) -> MemoryStorage:
    storage = MemoryStorage()
    await storage.commit([Unit(series=[Series(DEVICE, ts, dict(values)) for ts, values in points])])
    return storage


@pytest.mark.parametrize(
    ("came", "news"),
    [
        pytest.param([(20, {"t": 2.0})], [], id="the latest value"),
        pytest.param([(10, {"t": 1.0})], [], id="an older one that went up once"),
        pytest.param([(20, {"t": 3.0})], [(20, {"t": 3.0})], id="another value of that time"),
        pytest.param([(15, {"t": 9.0})], [(15, {"t": 9.0})], id="an old one we never had"),
        pytest.param([(30, {"t": 2.0})], [(30, {"t": 2.0})], id="a newer one"),
        pytest.param([(20, {"t": 2.0, "n": 1})], [(20, {"n": 1})], id="only a part is known"),
    ],
)
async def test_only_what_the_history_lacks_is_news(came: Points, news: Points) -> None:
    storage = await history((10, {"t": 1.0}), (20, {"t": 2.0}))
    assert await without_echoes(storage, DEVICE, came) == news


async def test_a_transfer_of_history_is_not_looked_through() -> None:
    storage = await history(*((ts, {"t": 1.0}) for ts in range(10)))
    points: Points = [(ts, {"t": 1.0}) for ts in range(MOMENTS_MAX + 1)]
    assert await without_echoes(storage, DEVICE, points) == points


async def test_a_history_that_does_not_answer_holds_nothing_up() -> None:
    class Silent(MemoryStorage):
        async def latest(self, *_: object) -> dict[str, tuple[int, object]]:  # type: ignore[override] # never answers
            await trio.sleep_forever()
            raise AssertionError

    began = trio.current_time()
    points: Points = [(1, {"t": 1.0})]
    assert await without_echoes(Silent(), DEVICE, points) == points
    assert trio.current_time() - began == LOOK_S
