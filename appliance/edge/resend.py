"""Sends history up again: `appliance resend`.

A part at a time: each takes the next points of one device out of the history and puts them into
the DATA lane, unless `WAITING_MAX` events wait there already. So live values stand behind at most
one part, well under a second of a healthy link, and whoever asks for the next part sees how far it
got; when he stops asking, nothing more happens. Receivers store by device, key and time, so what
they had already changes nothing. Rule chains and selective sync are not asked again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec

from appliance.extension.ports import SeriesQuery, Storage
from appliance.model.errors import Permanent
from appliance.model.ids import EntityId
from appliance.model.telemetry import Value
from appliance.model.unit import CLOUD, Lane, OutboxEvent, Unit
from appliance.state.kinds import id_of
from appliance.state.store import State
from appliance.sync.wire import encode_entry

WAITING_MAX = 1000
"""Events in the lane beyond which a part waits."""
PART_POINTS = 1000
"""Points of each key in one part."""


class Part(msgspec.Struct, frozen=True):
    """What to send: [from_ms, to_ms) of a device, by name or id; no keys = all it has."""

    device: str
    from_ms: int
    to_ms: int
    keys: list[str] = []


class Sent(msgspec.Struct, frozen=True):
    """What a part did. next_ms: where the next one begins; None when all is sent."""

    moments: int
    values: int
    next_ms: int | None


class Resend:
    """Works out and commits parts."""

    def __init__(self, storage: Storage, state: State) -> None:
        self._storage = storage
        self._state = state

    async def part(self, asked: Part) -> Sent:
        """Put the next part into the outbox; nothing if enough waits there.

        Raises:
            Permanent: there is no such device, or nothing of these keys.
        """
        device = self._device(asked.device)
        if self._storage.depth(CLOUD, Lane.DATA).pending >= WAITING_MAX:
            return Sent(0, 0, asked.from_ms)
        keys = asked.keys or list(await self._storage.latest(device))
        if not keys:
            raise Permanent(f"nothing of {asked.device} is in the history")
        query = SeriesQuery(
            device, tuple(keys), asked.from_ms, asked.to_ms, limit=PART_POINTS, ascending=True
        )
        moments, next_ms = cut(await self._storage.query_series(query), PART_POINTS)
        events = [
            OutboxEvent(
                CLOUD, Lane.DATA, "DEVICE", "TIMESERIES_UPDATED", device, encode_entry(ts, values)
            )
            for ts, values in moments.items()
        ]
        if events:
            await self._storage.commit([Unit(events=events)])
        return Sent(len(events), sum(map(len, moments.values())), next_ms)

    def _device(self, text: str) -> EntityId:
        body = self._state.by_name("DEVICE", text)
        if body is None:
            try:
                body = self._state.entity("DEVICE", UUID(text))
            except ValueError:
                pass
        id = id_of(body["id"]) if body else None
        if id is None:
            raise Permanent(f"there is no device {text!r}", hint="give its name or its id")
        return EntityId("DEVICE", id)


def cut(
    found: Mapping[str, Sequence[tuple[int, Value]]], limit: int
) -> tuple[dict[int, dict[str, Value]], int | None]:
    """The moments that are complete, in order of time, and where the rest begins.

    A key that gave `limit` points may have more behind its last one, so no moment after that is
    known to be whole.
    """
    ends = [points[-1][0] for points in found.values() if len(points) >= limit]
    end = min(ends, default=None)
    moments: dict[int, dict[str, Value]] = {}
    for key, points in found.items():
        for ts, value in points:
            if end is None or ts <= end:
                moments.setdefault(ts, {})[key] = value
    return dict(sorted(moments.items())), None if end is None else end + 1
