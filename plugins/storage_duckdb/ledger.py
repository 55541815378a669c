"""The account of every lane: what was accepted, what became of it, and the cursor. Pure.

The ledger is a fold over the journal's records, so any two ways of reading the same records give
the same account. The conservation law holds after every step:

    accepted = acknowledged + pending + quarantined + sum(dropped)

An event is *finished* when it was acknowledged, quarantined or dropped. The cursor stands on the
last position of the finished beginning of the lane; positions finished ahead of it are in `done`.
Sequences start at 1, so the cursor (0, -1) stands before everything.

To move the cursor one has to know which positions lie between: `saw` is told each stretch of
pending events as it is read, in order, and remembers those not yet finished, 65,536 at most. A
sender has far fewer events in flight, which bounds `done` too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from appliance.extension.ports import LaneDepth
from appliance.model.unit import Lane, OutboxEvent, StoredEvent
from plugins.storage_duckdb.format import LaneFigures, LaneSpan
from plugins.storage_duckdb.records import DropNote, Note, QuarantineNote, Release

Position = tuple[int, int]
LaneKey = tuple[str, Lane]
BEGINNING: Position = (0, -1)
_WINDOW_MAX = 65_536


class LaneLedger:
    """One lane. Not thread-safe; whoever holds it says from which thread."""

    __slots__ = ("_frontier", "_window", "dirty", "figures", "floor_ms")

    def __init__(self, figures: LaneFigures) -> None:
        self.figures = figures
        self.dirty = False
        self.floor_ms: int | None = None
        self._window: deque[tuple[Position, int]] = deque()
        self._frontier: Position = figures.cursor

    @property
    def pending(self) -> int:
        """Events that still have to be delivered."""
        return self.figures.accepted - _finished(self.figures)

    @property
    def pending_bytes(self) -> int:
        """Their bodies' bytes."""
        return self.figures.accepted_bytes - _finished_bytes(self.figures)

    def accept(self, size: int) -> None:
        """One more event."""
        self.figures.accepted += 1
        self.figures.accepted_bytes += size

    def finished(self, position: Position) -> bool:
        """Whether nothing remains to be done about the event there."""
        return position <= self.figures.cursor or position in self.figures.done

    @property
    def oldest_read_ms(self) -> int | None:
        """Commit time of the oldest pending event among those that were read."""
        return self._window[0][1] if self._window else None

    def saw(self, after: Position, events: Iterable[StoredEvent]) -> None:
        """These are all the lane's events behind `after`, up to the last of them."""
        if after > self._frontier:
            return
        for event in events:
            if len(self._window) >= _WINDOW_MAX:
                break
            if event.position > self._frontier:
                self._frontier = event.position
                self._window.append((event.position, event.committed_ms))
        self._advance()

    def acknowledge(self, position: Position, size: int) -> bool:
        """The peer has it; False if that was known."""
        if self.finished(position):
            return False
        self.figures.acknowledged += 1
        self.figures.acknowledged_bytes += size
        self._finish(position, size)
        return True

    def quarantine(self, position: Position, size: int) -> None:
        """It is put aside."""
        if not self.finished(position):
            self.figures.quarantined += 1
            self.figures.quarantined_bytes += size
            self._finish(position, size)

    def release(self, size: int) -> None:
        """It leaves quarantine; the caller accepts it again at its new place."""
        self.figures.quarantined -= 1
        self.figures.quarantined_bytes -= size
        self.figures.released += 1
        self.figures.released_bytes += size

    def drop(self, note: DropNote) -> None:
        """Policy or damage ended these; a policy's range moves the cursor."""
        figures = self.figures
        figures.dropped[note.reason] = figures.dropped.get(note.reason, 0) + note.count
        figures.dropped_bytes += note.bytes
        if note.reason != "damage":
            self._move(note.last)
        elif note.last > figures.cursor:
            figures.damaged = [*figures.damaged, (note.first, note.last, note.count, note.bytes)]
        self.dirty = True

    def reset(self, figures: LaneFigures) -> None:
        """Take what a cursor note says: only acknowledgements and the cursor are in it."""
        self.figures.acknowledged = figures.acknowledged
        self.figures.acknowledged_bytes = figures.acknowledged_bytes
        self.figures.done = dict(figures.done)
        self._move(figures.cursor)

    def finish_all(self, last: Position) -> None:
        """Nothing at or before `last` remains to be delivered."""
        self._move(last)
        self.dirty = True

    def _finish(self, position: Position, size: int) -> None:
        self.figures.done[position] = size
        self.dirty = True
        self._advance()

    def _advance(self) -> None:
        window, done = self._window, self.figures.done
        while window and (window[0][0] in done or window[0][0] <= self.figures.cursor):
            position, self.floor_ms = window.popleft()
            done.pop(position, None)
            if position > self.figures.cursor:
                self.figures.cursor = position
                self.dirty = True
                self._pass_damage()

    def _move(self, cursor: Position) -> None:
        figures = self.figures
        if cursor <= figures.cursor:
            return
        figures.cursor = cursor
        figures.done = {p: size for p, size in figures.done.items() if p > cursor}
        self._frontier = max(self._frontier, cursor)
        self._pass_damage()
        self._advance()

    def _pass_damage(self) -> None:
        figures = self.figures
        if figures.damaged:
            figures.damaged = [lost for lost in figures.damaged if lost[1] > figures.cursor]


class Ledger:
    """All lanes of all outboxes."""

    def __init__(self, lanes: Iterable[LaneFigures] = ()) -> None:
        self.lanes: dict[LaneKey, LaneLedger] = {}
        for figures in lanes:
            self.lanes[figures.outbox, Lane(figures.lane)] = LaneLedger(_copy(figures))

    def lane(self, outbox: str, lane: Lane) -> LaneLedger:
        """The lane's account, opened when it is first named."""
        found = self.lanes.get((outbox, lane))
        if found is None:
            found = self.lanes[outbox, lane] = LaneLedger(LaneFigures(outbox, lane))
        return found

    def accept(self, events: Iterable[OutboxEvent]) -> None:
        """Fold a unit's events."""
        for event in events:
            self.lane(event.outbox, event.lane).accept(len(event.body))

    def release(self, releases: Iterable[Release]) -> None:
        """Fold what a unit took back out of quarantine."""
        for release in releases:
            self.lane(release.outbox, release.lane).release(release.bytes)

    def note(self, note: Note) -> None:
        """Fold a note."""
        if isinstance(note, list):
            for figures in note:
                self.lane(figures.outbox, Lane(figures.lane)).reset(figures)
        elif isinstance(note, QuarantineNote):
            self.lane(note.outbox, note.lane).quarantine(note.position, len(note.event.body))
        elif isinstance(note, DropNote):
            self.lane(note.outbox, note.lane).drop(note)

    def dirty(self) -> list[LaneFigures]:
        """Lanes whose cursor or acknowledgements changed since the last call."""
        changed = [lane for lane in self.lanes.values() if lane.dirty]
        for lane in changed:
            lane.dirty = False
        return [_copy(lane.figures) for lane in changed]

    def figures(self) -> list[LaneFigures]:
        """A copy of the whole account, for a segment's header or footer."""
        return [_copy(lane.figures) for lane in self.lanes.values()]


def depth_of(lane: LaneLedger, oldest_ms: int | None) -> LaneDepth:
    """The account as the port shows it."""
    figures = lane.figures
    return LaneDepth(
        pending=lane.pending,
        pending_bytes=lane.pending_bytes,
        oldest_ms=oldest_ms if lane.pending else None,
        acknowledged=figures.acknowledged,
        quarantined=figures.quarantined,
        dropped=dict(figures.dropped),
        accepted=figures.accepted - figures.released,
        cursor=figures.cursor[0],
    )


def unfinished_until(lane: LaneLedger, end: LaneFigures, last: Position) -> tuple[int, int]:
    """(count, bytes) of events at or before `last` that are not finished.

    end: the account as it stood when `last` was the lane's newest event. What was accepted until
    then, less everything finished, but for what is finished behind `last`.
    """
    figures = lane.figures
    if figures.cursor >= last:
        return 0, 0
    behind = [(1, size) for position, size in figures.done.items() if position > last]
    behind += [(count, size) for _, end_, count, size in figures.damaged if end_ > last]
    finished = _finished(figures) - sum(count for count, _ in behind)
    finished_bytes = _finished_bytes(figures) - sum(size for _, size in behind)
    return end.accepted - finished, end.accepted_bytes - finished_bytes


class SpanBuilder:
    """Collects the LaneSpans of a segment while it is written or scanned."""

    def __init__(self) -> None:
        self.spans: dict[LaneKey, LaneSpan] = {}

    def add(self, seq: int, events: Iterable[OutboxEvent]) -> None:
        """The events of the unit with that sequence."""
        for index, event in enumerate(events):
            span = self.spans.get((event.outbox, event.lane))
            if span is None:
                self.spans[event.outbox, event.lane] = LaneSpan(
                    event.outbox, event.lane, 1, len(event.body), (seq, index), (seq, index)
                )
            else:
                span.count += 1
                span.bytes += len(event.body)
                span.last = (seq, index)


def _finished(figures: LaneFigures) -> int:
    dropped = sum(figures.dropped.values())
    return figures.acknowledged + figures.quarantined + figures.released + dropped


def _finished_bytes(figures: LaneFigures) -> int:
    aside = figures.quarantined_bytes + figures.released_bytes
    return figures.acknowledged_bytes + aside + figures.dropped_bytes


def _copy(figures: LaneFigures) -> LaneFigures:
    return LaneFigures(
        figures.outbox, figures.lane, figures.accepted, figures.accepted_bytes,
        figures.acknowledged, figures.acknowledged_bytes,
        figures.quarantined, figures.quarantined_bytes,
        figures.released, figures.released_bytes,
        dict(figures.dropped), figures.dropped_bytes, figures.cursor, dict(figures.done),
        list(figures.damaged),
    )  # fmt: skip
