"""What one link has in flight: parcels, answers, retries. Pure: time and ids are arguments.

A refused parcel is split in halves, again and again, until the refused event stands alone: seven
rounds for a pack of 100. Alone it is tried `retries_max` times more, `retry_interval_s` apart,
then it goes to quarantine with the peer's words and everything else moves on.

A peer that refuses *everything* is ill, and then it is not the data's fault; but from one device's
values alone nobody can tell. So blame is dealt out ever more slowly: each event that goes to
quarantine without the peer having accepted anything since the last one doubles the tries of the
next. Of a peer that is ill for an hour come seven wrong suspicions, and a run of bad values of the
only device still ends. After `SICK_AFTER` refusals in a row one parcel at a time probes the peer.

"Rate limit reached" only pauses and never counts as a try. No answer within `answer_timeout_s` is
a refusal if the peer has answered something that was sent later. It is no reason to send the same
again on the same stream, which loses nothing; a peer that answers nothing at all for so long has
lost its session, and only a new link helps.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Container, Iterable, Sequence

import msgspec

from appliance.model.unit import Lane, StoredEvent
from appliance.sync.messages import Ack
from appliance.sync.packing import About, Existence, LanePacker, Parcel, spoken_of
from appliance.sync.window import Window

RATE_LIMIT_TEXT = "Rate limit reached"
SICK_AFTER = 12
"""More than the seven refusals that splitting one pack of 100 down to its bad event can cost."""
PATIENCE_DOUBLINGS_MAX = 10
"""A thousandfold patience: eight hours at the default interval and number of tries."""
CROWD = 500
LOOK_EVERY_S = 0.1
"""With more events than that waiting for entities, as in a full sync, what one acknowledgement set
free is looked for this often only: a look goes through all of them."""
PRIORITY_WINDOW = 16
"""RPC answers and alarms in flight: sixteen people rarely press at once."""


_OF_ENTITIES = (Lane.PRIORITY, Lane.ENTITY)


class OutgoingLimits(msgspec.Struct, frozen=True):
    """See the configuration section [uplink] for the meaning of most.

    entity_window: entities in flight. 1 towards a server, which drops what refers to an entity
    that it refused; more towards an edge, which keeps it.
    """

    batch_size: int = 100
    batch_timeout_s: float = 1.0
    bytes_max: int = 1_000_000
    retry_interval_s: float = 3.0
    rate_limit_pause_s_max: float = 60.0
    retries_max: int = 10
    window_max: int = 32
    entity_window: int = 1
    waiting_max: int = 4000
    answer_timeout_s: float = 60.0


class Flight(msgspec.Struct):
    """A parcel that was sent and is not answered."""

    parcel: Parcel
    sent_s: float


class Answer(msgspec.Struct, frozen=True):
    """What an acknowledgement meant: events the peer has, and events to put aside."""

    delivered: list[StoredEvent] = []
    refused: list[StoredEvent] = []
    reason: str = ""


class Outgoing:
    """The state of one link's sending half, for all lanes.

    careful: one parcel at a time, so that it is clear which one broke the link.
    """

    def __init__(self, limits: OutgoingLimits, random_id: Callable[[], int] | None = None) -> None:
        self.limits = limits
        self.careful = False
        self._random_id = random_id or _random_id
        self.lanes = {lane: LanePacker(lane, limits.waiting_max) for lane in Lane}
        self.existence = Existence()
        self.window = Window(size_max=limits.window_max)
        self.flights: dict[int, Flight] = {}
        self.known = dict.fromkeys(Lane, 0)
        """Events that were offered and are not dealt with."""
        self._again: list[Parcel] = []
        self._in_flight = dict.fromkeys(Lane, 0)
        self._found_nothing: dict[Lane, tuple[int, int, float]] = {}
        self._paused_until_s = 0.0
        self._pauses_in_row = 0
        self._refusals_in_row = 0
        self._blamed_in_row = 0
        self._answered_s = -math.inf
        self._answered_sent_s = -math.inf
        self.latency_s = 0.0

    # --- events in ----------------------------------------------------------------------------

    def offer(self, lane: Lane, events: Sequence[StoredEvent], now_s: float) -> None:
        """Events read from storage, behind those offered before."""
        self.lanes[lane].offer(events, now_s)
        self.known[lane] += len(events)
        if lane is Lane.ENTITY:
            self.existence.offered(events)

    def unheard(self, accepted: Container[int]) -> set[About]:
        """What is said by events that wait to be sent, or that the peer has not accepted yet.

        accepted: ids of batches whose answers have come and are still to be dealt with.
        """
        waiting = [about for lane in _OF_ENTITIES for about in self.lanes[lane].about]
        return {*waiting, *_said(self._again), *self.flying(accepted)}

    def flying(self, accepted: Container[int] = ()) -> set[About]:
        """What is said by events on their way."""
        return _said(flight.parcel for id, flight in self.flights.items() if id not in accepted)

    # --- parcels out --------------------------------------------------------------------------

    @property
    def peer_sick(self) -> bool:
        """Whether the peer has refused everything for a while."""
        return self._refusals_in_row >= SICK_AFTER

    def next_parcels(self, now_s: float, entities_pending: int) -> list[tuple[int, Parcel]]:
        """All that may be sent now, each with its batch id; they count as in flight.

        entities_pending: ENTITY events that storage has, to see whether all of them are here.
        """
        self.existence.pending(entities_pending)
        out: list[tuple[int, Parcel]] = []
        if now_s < self._paused_until_s:
            return out
        while (parcel := self._next(now_s)) is not None:
            out.append(self._fly(parcel, now_s))
        return out

    def _next(self, now_s: float) -> Parcel | None:
        if self.flights and (self.careful or self.peer_sick):
            return None
        parcel = self._next_again(now_s)
        if parcel is not None:
            return parcel
        for lane in Lane:
            if self._in_flight[lane] < self._window(lane) and self._ripe(lane, now_s):
                parcel = self._take(self.lanes[lane], now_s)
                if parcel is not None:
                    self.lanes[lane].since_s = now_s
                    return parcel
        return None

    def _take(self, packer: LanePacker, now_s: float) -> Parcel | None:
        """The lane's next parcel; looks only if something changed since it last found none."""
        changes, gone = packer.changes, self.existence.changes
        before, gone_before, looked_s = self._found_nothing.get(packer.lane, (-1, -1, -math.inf))
        crowded = packer.waiting > CROWD and now_s - looked_s < LOOK_EVERY_S
        if changes == before and (crowded or gone == gone_before):
            return None
        limits = self.limits
        parcel = packer.take(limits.batch_size, limits.bytes_max, self.existence.blocks)
        if parcel is None:
            self._found_nothing[packer.lane] = changes, gone, now_s
        return parcel

    def _next_again(self, now_s: float) -> Parcel | None:
        """The first parcel that is due and follows nothing of the same entity still unanswered.

        In the ENTITY lane it follows nothing at all: what is refused holds up what is behind it.
        """
        if not self._again:
            return None
        busy = {key for flight in self.flights.values() for key in flight.parcel.order_keys()}
        entity_waits = False
        for parcel in sorted(self._again, key=lambda parcel: parcel.events[0].position):
            keys = parcel.order_keys()
            alone = parcel.lane is Lane.ENTITY and not self._in_flight[Lane.ENTITY]
            has_room = alone or self._in_flight[parcel.lane] < self._window(parcel.lane)
            entity = parcel.lane is Lane.ENTITY
            free = has_room and not keys & busy and not (entity and entity_waits)
            if parcel.due_s <= now_s and free:
                self._again.remove(parcel)
                return parcel
            busy |= keys
            entity_waits = entity_waits or entity
        return None

    def _ripe(self, lane: Lane, now_s: float) -> bool:
        """A part-filled pack leaves only when nothing is in flight, or after batch_timeout_s.

        So a lone value leaves at once, and a busy lane packs well: the time of the answer's way
        fills the next pack.
        """
        packer = self.lanes[lane]
        if lane is not Lane.DATA or not self._in_flight[lane]:
            return True
        full = packer.waiting >= self.limits.batch_size
        return full or now_s - packer.since_s >= self.limits.batch_timeout_s

    def _window(self, lane: Lane) -> int:
        if lane is Lane.DATA:
            return self.window.size
        if lane is Lane.PRIORITY:
            return PRIORITY_WINDOW
        return 0 if self._entity_refused() else self.limits.entity_window

    def _entity_refused(self) -> bool:
        """Whether an entity waits for its next try: then nothing of its lane overtakes it."""
        return any(parcel.lane is Lane.ENTITY for parcel in self._again)

    def _fly(self, parcel: Parcel, now_s: float) -> tuple[int, Parcel]:
        batch_id = self._random_id()
        while batch_id in self.flights:
            batch_id = self._random_id()
        self.flights[batch_id] = Flight(parcel, now_s)
        self._in_flight[parcel.lane] += 1
        return batch_id, parcel

    def deadline_s(self, now_s: float) -> float:
        """When `next_parcels` or `expire` may have something to do without outside cause."""
        times = [parcel.due_s for parcel in self._again]
        times += [f.sent_s + self.limits.answer_timeout_s for f in self.flights.values()]
        times.append(self._answered_s + self.limits.answer_timeout_s)
        if self._paused_until_s > now_s:
            times.append(self._paused_until_s)
        if self.lanes[Lane.DATA].waiting:
            times.append(self.lanes[Lane.DATA].since_s + self.limits.batch_timeout_s)
        later = [time for time in times if time > now_s]
        return min(later, default=now_s + self.limits.answer_timeout_s)

    # --- answers ------------------------------------------------------------------------------

    def answered(self, ack: Ack, now_s: float) -> Answer:
        """An acknowledgement came; unknown ids mean nothing."""
        flight = self.flights.get(ack.id)
        if flight is None:
            return Answer()
        parcel = self.withdraw(ack.id)
        self._answered_s = now_s
        self._answered_sent_s = max(self._answered_sent_s, flight.sent_s)
        if ack.success:
            self.latency_s = now_s - flight.sent_s
            self.window.answered(self.latency_s)
            self._refusals_in_row = self._blamed_in_row = self._pauses_in_row = 0
            self.finish(parcel)
            return Answer(delivered=parcel.events)
        if RATE_LIMIT_TEXT in ack.error:
            self._pause(parcel, now_s)
            return Answer()
        return self._refused(parcel, ack.error, now_s)

    def expire(self, now_s: float) -> list[Answer]:
        """Take for refused what got no answer in time while later ones did."""
        late_s = min(now_s - self.limits.answer_timeout_s, self._answered_sent_s)
        late = [id for id, flight in self.flights.items() if flight.sent_s < late_s]
        reason = f"no answer within {self.limits.answer_timeout_s:g} s"
        return [self._refused(self.withdraw(id), reason, now_s) for id in late]

    def silent(self, now_s: float) -> bool:
        """Whether the peer owes answers and has given none for answer_timeout_s."""
        oldest_s = min((flight.sent_s for flight in self.flights.values()), default=now_s)
        return max(oldest_s, self._answered_s) <= now_s - self.limits.answer_timeout_s

    def withdraw(self, batch_id: int) -> Parcel:
        """Take a parcel out of flight; then `finish` or `split` it."""
        parcel = self.flights.pop(batch_id).parcel
        self._in_flight[parcel.lane] -= 1
        return parcel

    def finish(self, parcel: Parcel) -> None:
        """Its events are dealt with, here or there: what waited for them may go on."""
        self.lanes[parcel.lane].release(parcel)
        self.known[parcel.lane] -= len(parcel.events)
        if parcel.lane is Lane.ENTITY:
            self.existence.answered(parcel.events)

    def _pause(self, parcel: Parcel, now_s: float) -> None:
        """Wait twice as long as last time; what else was in flight then says nothing new."""
        self.window.refused()
        self._again.append(parcel)
        if now_s < self._paused_until_s:
            return
        self._pauses_in_row += 1
        pause_s = self.limits.retry_interval_s * 2.0 ** min(self._pauses_in_row, 6)
        self._paused_until_s = now_s + min(pause_s, self.limits.rate_limit_pause_s_max)

    def _refused(self, parcel: Parcel, reason: str, now_s: float) -> Answer:
        self.window.refused()
        self._refusals_in_row += 1
        if len(parcel.events) > 1:
            self.split(parcel)
            return Answer()
        parcel.attempts += 1
        if parcel.attempts > self.limits.retries_max << self._blamed_in_row:
            self._blamed_in_row = min(self._blamed_in_row + 1, PATIENCE_DOUBLINGS_MAX)
            self.finish(parcel)
            return Answer(refused=parcel.events, reason=reason)
        parcel.due_s = now_s + self.limits.retry_interval_s
        self._again.append(parcel)
        return Answer()

    def split(self, parcel: Parcel) -> None:
        """Send its halves instead, as soon as order allows."""
        packer = self.lanes[parcel.lane]
        halves = parcel.halves()
        packer.split_hold(halves)
        packer.release(parcel)
        self._again.extend(halves)


def _said(parcels: Iterable[Parcel]) -> set[About]:
    """What is said in the lanes of entities."""
    of_entities = (parcel for parcel in parcels if parcel.lane in _OF_ENTITIES)
    return {about for parcel in of_entities for about in spoken_of(parcel.events)}


def _random_id() -> int:
    return random.randrange(1, 2**31 - 1)
