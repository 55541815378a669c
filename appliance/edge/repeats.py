"""Values from the cloud that are here already: its answer to a request for attributes holds the
newest values of the device (§4.4), which are mostly those that went up from here.

Running rules over them again would raise alarms of yesterday, after every reconnect.
"""

from __future__ import annotations

from appliance.extension.ports import SeriesQuery, Storage
from appliance.model.errors import Retryable
from appliance.model.ids import EntityId
from appliance.model.telemetry import Value

Points = list[tuple[int, dict[str, Value]]]


async def news(storage: Storage, entity: EntityId, points: Points) -> Points:
    """The points without what history holds just so; all of them where it cannot be asked now."""
    keys = sorted({key for _, values in points for key in values})
    try:
        latest = await storage.latest(entity, keys)
        left = [(ts, await _unknown(storage, entity, ts, v, latest)) for ts, v in points]
    except Retryable:
        return points
    return [(ts, values) for ts, values in left if values]


async def _unknown(
    storage: Storage,
    entity: EntityId,
    ts: int,
    values: dict[str, Value],
    latest: dict[str, tuple[int, Value]],
) -> dict[str, Value]:
    """History is asked only for what is not newer than the newest point."""
    old = [key for key in values if key in latest and ts < latest[key][0]]
    here = {key: [latest[key]] for key in values if key in latest and ts == latest[key][0]}
    if old:
        here |= await storage.query_series(SeriesQuery(entity, tuple(old), ts, ts + 1))
    return {key: v for key, v in values.items() if not _same(here.get(key), v)}


def _same(points: list[tuple[int, Value]] | None, value: Value) -> bool:
    return bool(points) and any(type(v) is type(value) and v == value for _, v in points or ())
