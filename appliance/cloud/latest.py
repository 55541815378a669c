"""The newest values of what an edge asked the attributes of (spec/edge-protocol.md §4.4).

A server sends them after the attributes, once for each request; here once for all requests of an
entity that wait together, and only when the edge has every entity that it is to get: looking up
history for thousands of devices must not slow down the sync that brings them.

What waits is in memory, at most one entry for each entity of an edge that is connected: an edge
asks again after every reconnect, so an end of the link or of the process loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from uuid import UUID

import trio

from appliance.cloud.registry import event_for
from appliance.cloud.sync import ACTIVITY_KEYS
from appliance.extension.ports import Storage
from appliance.kernel.wakeup import Wakeup
from appliance.model.errors import Retryable
from appliance.model.ids import EntityId
from appliance.model.telemetry import Value
from appliance.model.unit import Lane, OutboxEvent, Unit
from appliance.sync.wire import encode_entry

LOOK_EVERY_S = 0.5
"""How often is looked whether an edge has its entities now."""
TOGETHER_MAX = 100
"""Entities whose values are committed together."""
_OF_THE_SERVER = ACTIVITY_KEYS | {"inactivityTimeout"}


class LatestValues:
    """Answers in the background; `run` lives in the service's nursery."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._waiting: dict[UUID, dict[EntityId, None]] = {}
        self._wakeup = Wakeup()

    def ask(self, edge: UUID, entity: EntityId) -> None:
        """An edge wants to know of an entity."""
        self._waiting.setdefault(edge, {})[entity] = None
        self._wakeup.set()

    def forget(self, edge: UUID) -> None:
        """The edge is away and will ask again."""
        self._waiting.pop(edge, None)

    async def run(self) -> None:
        """Answer until cancelled."""
        while True:
            await self._wakeup.wait()
            while self._waiting:
                if not await self._answer_one_edge():
                    await trio.sleep(LOOK_EVERY_S)

    async def _answer_one_edge(self) -> bool:
        """Whether any edge was ready for answers, and storage to give them."""
        for edge, entities in self._waiting.items():
            if not self._storage.depth(str(edge), Lane.ENTITY).pending:
                chosen = [entity for entity, _ in zip(entities, range(TOGETHER_MAX), strict=False)]
                return await self._answer(edge, chosen)
        return False

    async def _answer(self, edge: UUID, entities: list[EntityId]) -> bool:
        unit = Unit()
        try:
            for entity in entities:
                unit.events.extend(_events(edge, entity, await self._storage.latest(entity)))
            await self._storage.commit([unit])
        except Retryable:
            return False
        left = self._waiting.get(edge, {})
        for entity in entities:
            left.pop(entity, None)
        if not left:
            self.forget(edge)
        return True


def _events(
    edge: UUID, entity: EntityId, latest: Mapping[str, tuple[int, Value]]
) -> Iterator[OutboxEvent]:
    """One TIMESERIES_UPDATED for each moment."""
    by_ts: dict[int, dict[str, Value]] = {}
    for key, (ts, value) in latest.items():
        if key not in _OF_THE_SERVER:
            by_ts.setdefault(ts, {})[key] = value
    for ts in sorted(by_ts):
        entry = encode_entry(ts, by_ts[ts])
        yield event_for(edge, entity, "TIMESERIES_UPDATED", entry, Lane.DATA)
