"""What comes down and is only our own voice.

Whoever asks a server for attributes gets the latest values too, twice for a device (edge-protocol
§4.4), and an edge asks after every reconnect. These values once went up from here; through the
rule chain they would raise yesterday's alarms again. So a value that the history has with the same
time is left out. Values that the history does not have, be they old, are news.

At most `MOMENTS_MAX` moments of one item are looked at, each with at most one query: a server's
answer has one, and a long list is a transfer of history. History that does not answer within
`LOOK_S` holds nothing up: then everything is news.
"""

from __future__ import annotations

import trio

from appliance.extension.ports import SeriesQuery, Storage
from appliance.model.errors import Retryable
from appliance.model.ids import EntityId
from appliance.model.message import Message
from appliance.model.telemetry import Value
from appliance.state.store import State
from appliance.sync.incoming import Applied, Points, telemetry_messages

MOMENTS_MAX = 4
LOOK_S = 2.0


async def told(applied: Applied, state: State, storage: Storage) -> list[Message]:
    """What the rules hear of a batch from the cloud."""
    messages = list(applied.messages)
    for entity, points in applied.telemetry:
        news = await without_echoes(storage, entity, points)
        messages.extend(telemetry_messages(entity, news, state, "cloud"))
    return messages


async def without_echoes(storage: Storage, entity: EntityId, points: Points) -> Points:
    """The points without the values that the history has already."""
    if not 1 <= len(points) <= MOMENTS_MAX:
        return points
    with trio.move_on_after(LOOK_S):
        try:
            return await _news(storage, entity, points)
        except Retryable:
            pass
    return points


async def _news(storage: Storage, entity: EntityId, points: Points) -> Points:
    news: Points = []
    latest = await storage.latest(entity)
    for ts, values in points:
        known = {key: value for key, (at, value) in latest.items() if at == ts}
        older = tuple(key for key in values if key in latest and latest[key][0] > ts)
        if older:
            found = await storage.query_series(SeriesQuery(entity, older, ts, ts + 1, limit=1))
            known |= {key: rows[0][1] for key, rows in found.items() if rows}
        if left := _left(values, known):
            news.append((ts, left))
    return news


def _left(values: dict[str, Value], known: dict[str, Value]) -> dict[str, Value]:
    return {
        key: value
        for key, value in values.items()
        if key not in known or type(known[key]) is not type(value) or known[key] != value
    }
