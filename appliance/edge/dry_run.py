"""What another chain would send up: history run through two sets of chains, side by side.

History is what the chains of then saved, not what devices sent: what they left out cannot come
back, and what they added comes again. Calculated fields run on both sides; what they calculate is
not played a second time from history, a script's results once it has given one. Time follows the
values, so that delays and windows of nodes work; nodes that look into history see it as it was at
that moment. Bytes are those of the events' bodies, before framing and compression; an event that
carries an entity counts the entity's JSON.

At most one window of history (`WINDOW_MS`) is in memory at a time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any

import msgspec

from appliance.edge.selection import Selection
from appliance.extension.ports import SeriesQuery
from appliance.model.ids import EntityId, new_uuid
from appliance.model.message import Message
from appliance.model.telemetry import Value
from appliance.model.unit import OutboxEvent
from appliance.rules.chain_file import device_metadata
from appliance.rules.entities import name_of
from appliance.rules.ports import History
from appliance.rules.rehearsal import Rehearsal
from appliance.rules.work import Work

WINDOW_MS = 3_600_000
POINTS_MAX = 1_000_000
"""Of one key in one window: 277 values a second."""

Point = tuple[int, EntityId, dict[str, Value]]


class AsOf:
    """A history that ends now, where now is in the past."""

    def __init__(self, history: History, clock: Callable[[], int]) -> None:
        self._history = history
        self._clock = clock

    async def load_states(self, owner: str) -> dict[str, bytes]:
        """See History; nothing, a rehearsal begins with fresh nodes."""
        return {}

    async def query_series(self, query: SeriesQuery) -> dict[str, list[tuple[int, Value]]]:
        """See History."""
        end = min(query.end_ms, self._clock() + 1)
        return await self._history.query_series(msgspec.structs.replace(query, end_ms=end))

    async def latest(
        self, entity: EntityId, keys: Sequence[str] | None = None
    ) -> dict[str, tuple[int, Value]]:
        """See History."""
        wanted = tuple(await self._history.latest(entity) if keys is None else keys)
        query = SeriesQuery(entity, wanted, 0, self._clock() + 1, limit=1)
        found = await self._history.query_series(query)
        return {key: points[0] for key, points in found.items() if points}


class Line(msgspec.Struct, frozen=True):
    """One set of chains. selection: what thins out the data that goes up."""

    rehearsal: Rehearsal
    selection: Selection | None = None


class Tally(msgspec.Struct):
    """What one device caused on one line."""

    events: int = 0
    bytes: int = 0
    failed: int = 0


class Comparison:
    """Figures by device, on the line before and the line after."""

    def __init__(self, name: Callable[[EntityId], str]) -> None:
        self._name = name
        self._messages: dict[EntityId, int] = defaultdict(int)
        self._tallies: dict[EntityId, tuple[Tally, Tally]] = {}

    def count_message(self, device: EntityId) -> None:
        """A message of this device was run."""
        self._messages[device] += 1
        self.tally(device, 0)

    def tally(self, device: EntityId, side: int) -> Tally:
        """The figures of a device; side: 0 before, 1 after."""
        return self._tallies.setdefault(device, (Tally(), Tally()))[side]

    def rows(self) -> list[tuple[Any, ...]]:
        """(device, messages, events, events after, bytes, bytes after, failed, failed after),
        the loudest first, then the sum."""
        rows: list[tuple[Any, ...]] = [
            (self._name(device), self._messages[device], *_side_by_side(*tallies))
            for device, tallies in self._tallies.items()
        ]
        rows.sort(key=lambda row: (-row[4], row[0]))
        sums = [sum(column) for column in zip(*(row[1:] for row in rows), strict=True)]
        return [*rows, ("all", *(sums or [0] * 7))]


def _side_by_side(before: Tally, after: Tally) -> tuple[int, ...]:
    return (
        before.events, after.events, before.bytes, after.bytes, before.failed, after.failed,
    )  # fmt: skip  # pairs


async def compare(
    history: History, start_ms: int, end_ms: int, before: Line, after: Line
) -> Comparison:
    """Run the telemetry of all devices within [start_ms, end_ms) through both lines."""
    state = before.rehearsal.state
    comparison = Comparison(lambda entity: name_of(state, entity) or str(entity))
    async for ts, device, values in points(history, state.ids("DEVICE"), start_ms, end_ms):
        calculated = before.rehearsal.calculated.get(device, ())
        values = {key: value for key, value in values.items() if key not in calculated}
        if not values:
            continue
        comparison.count_message(device)
        for side, line in enumerate((before, after)):
            metadata = device_metadata(line.rehearsal.state, device, ts)
            kind = "POST_TELEMETRY_REQUEST"
            message = Message(new_uuid(), ts, kind, device, values, metadata)
            passed = await line.rehearsal.pass_to(ts)
            _count(comparison, side, line, passed, None)
            _count(comparison, side, line, await line.rehearsal.play(message), device)
    for side, line in enumerate((before, after)):
        _count(comparison, side, line, await line.rehearsal.pass_to(end_ms), None)
    return comparison


def _count(
    comparison: Comparison, side: int, line: Line, works: Iterable[Work], device: EntityId | None
) -> None:
    for work in works:
        if line.selection is not None:
            line.selection.thin(work.unit)
        if work.failure is not None and device is not None:
            comparison.tally(device, side).failed += 1
        for event in work.unit.events:
            owner = event.entity if event.entity.type == "DEVICE" else device or event.entity
            tally = comparison.tally(owner, side)
            tally.events += 1
            tally.bytes += size_of(event, line)


def size_of(event: OutboxEvent, line: Line) -> int:
    """Bytes of an event's body, or of the entity that goes up with it."""
    return len(event.body or line.rehearsal.state.body(event.type, event.entity.id) or b"")


async def points(
    history: History, devices: Iterable[Any], start_ms: int, end_ms: int
) -> AsyncIterator[Point]:
    """The telemetry of all devices in the order of time."""
    keys = {}
    for id in devices:
        entity = EntityId("DEVICE", id)
        if known := await history.latest(entity):
            keys[entity] = tuple(known)
    for start in range(start_ms, end_ms, WINDOW_MS):
        end = min(start + WINDOW_MS, end_ms)
        window: list[Point] = []
        for entity, names in keys.items():
            query = SeriesQuery(entity, names, start, end, POINTS_MAX, ascending=True)
            window += _by_time(entity, await history.query_series(query))
        window.sort(key=lambda point: point[0])
        for point in window:
            yield point


def _by_time(entity: EntityId, series: dict[str, list[tuple[int, Value]]]) -> list[Point]:
    """One message a moment, as a device would have sent it."""
    moments: dict[int, dict[str, Value]] = defaultdict(dict)
    for key, found in series.items():
        for ts, value in found:
            moments[ts][key] = value
    return [(ts, entity, values) for ts, values in moments.items()]
