"""Which events go next: packs, order and retry, without IO and without a clock.

Limits: at most `waiting_max` events are held here per lane (they are durable in the journal, so
this bounds memory, not safety), `batch_size` events a pack, `bytes_max` a pack.

Invariant, order: an entity's events leave one pack at a time. While a pack that holds events of an
entity is unanswered, no other pack takes events of that entity; a refused pack is split and its
entities stay held until every part is answered or quarantined. So the peer takes each entity's
events exactly in the order of their commits, whatever it refuses and however acknowledgements come.

Invariant, existence: data about an entity waits while an ENTITY event about it is unanswered.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import NamedTuple
from uuid import UUID

import msgspec

from appliance.model.ids import EntityId
from appliance.model.unit import Lane, StoredEvent
from appliance.state.kinds import relation_key
from appliance.sync.mapping import UPDATE_KINDS
from appliance.sync.messages import UpdateKind


class About(NamedTuple):
    """What is said of a stored entity (state/kinds.py): that it is gone, or how it is."""

    kind: str
    id: UUID
    gone: bool = False


REQUESTS = frozenset({"ATTRIBUTES_REQUEST", "RELATION_REQUEST", "CALCULATED_FIELD_REQUEST"})
_MAKES_NOTHING = REQUESTS | {"SYNC_COMPLETED"}
"""The end of a sync is about the edge itself: its attributes need not wait for all the rest, nor
need the cursor of all data for them."""
ABOUT_ALARMS = frozenset({"ALARM", "ALARM_COMMENT"})
BEFORE_ALL = (0, -1)
"""A position before every event's: sequences start at 1."""
_EVENT_OVERHEAD_BYTES = 64


class Parcel(msgspec.Struct):
    """Events that travel in one batch. attempts: how often they were refused; due_s: not before."""

    lane: Lane
    events: list[StoredEvent]
    attempts: int = 0
    due_s: float = 0.0

    def halves(self) -> tuple[Parcel, Parcel]:
        """Two parcels, in order; an entity is cut in two only where it is the only one.

        So two parts share an entity only if they hold nothing else, and the order of their first
        events is the order in which they must go.
        """
        keys = list(dict.fromkeys(order_key(event) for event in self.events))
        if len(keys) > 1:
            first = set(keys[: len(keys) // 2])
            left = [event for event in self.events if order_key(event) in first]
            right = [event for event in self.events if order_key(event) not in first]
        else:
            middle = len(self.events) // 2
            left, right = self.events[:middle], self.events[middle:]
        return (
            Parcel(self.lane, left, self.attempts, self.due_s),
            Parcel(self.lane, right, self.attempts, self.due_s),
        )

    def order_keys(self) -> set[Hashable]:
        """What this parcel holds up until it is answered."""
        return {order_key(event) for event in self.events}


class LanePacker:
    """The waiting events of one lane, grouped by what must stay in order."""

    def __init__(self, lane: Lane, waiting_max: int) -> None:
        self.lane = lane
        self._waiting_max = waiting_max
        self._groups: dict[Hashable, deque[StoredEvent]] = {}
        self._held: Counter[Hashable] = Counter()
        self._count = 0
        self.about: Counter[About] = Counter()
        """What the waiting events speak of."""
        self.changes = 0
        """Grows whenever `take` might find something that it did not find before."""
        self.since_s = 0.0
        """Time of the last take, or of the first offer after the lane was empty."""
        self.read_to: tuple[int, int] | None = None
        """Position of the last event offered: where the next read goes on."""

    @property
    def room(self) -> int:
        """How many more events may be offered."""
        return max(0, self._waiting_max - self._count)

    @property
    def waiting(self) -> int:
        """Events offered and not yet taken."""
        return self._count

    def offer(self, events: Sequence[StoredEvent], now_s: float) -> None:
        """Take over events that follow the last ones offered."""
        if not self._count:
            self.since_s = now_s
        for event in events:
            self._groups.setdefault(order_key(event), deque()).append(event)
        if self.lane is not Lane.DATA:
            self.about.update(spoken_of(events))
        self._count += len(events)
        self.changes += 1
        if events:
            self.read_to = events[-1].position

    def take(
        self, batch_size: int, bytes_max: int, blocked: Callable[[StoredEvent], bool]
    ) -> Parcel | None:
        """The next parcel, or None. Its groups are held until `release`."""
        taken: list[StoredEvent] = []
        keys: list[Hashable] = []
        size = 0
        for key, group in self._groups.items():
            if taken and _company(group[0]) != _company(taken[0]):
                if self.lane is Lane.ENTITY:
                    break  # nothing overtakes in this lane
                continue
            if self._held[key]:
                continue
            before = len(taken)
            while group and len(taken) < batch_size and not blocked(group[0]):
                size += len(group[0].event.body) + _EVENT_OVERHEAD_BYTES
                if taken and (size > bytes_max or _company(group[0]) != _company(taken[0])):
                    break
                taken.append(group.popleft())
            if len(taken) > before:
                keys.append(key)
            if len(taken) >= batch_size or size > bytes_max:
                break
        return self._hold(taken, keys)

    def _hold(self, taken: list[StoredEvent], keys: list[Hashable]) -> Parcel | None:
        if not taken:
            return None
        for key in keys:
            group = self._groups.pop(key)
            if group:
                self._groups[key] = group  # to the end: every entity gets its turn
            self._held[key] += 1
        self._count -= len(taken)
        if self.lane is not Lane.DATA:
            self.about -= Counter(spoken_of(taken))
        return Parcel(self.lane, taken)

    def split_hold(self, parts: Iterable[Parcel]) -> None:
        """A held parcel became these: a group in more than one is held that often."""
        self.changes += 1
        for parcel in parts:
            self._held.update(parcel.order_keys())

    def release(self, parcel: Parcel) -> None:
        """The parcel is answered: its groups may go on."""
        self.changes += 1
        for key in parcel.order_keys():
            self._held[key] -= 1
            if self._held[key] <= 0:
                del self._held[key]


class _Reference(msgspec.Struct, rename="camel"):
    entity_type: str
    id: UUID


class _Placed(msgspec.Struct):
    originator: _Reference | None = None


_placed = msgspec.json.Decoder(_Placed).decode


def order_key(event: StoredEvent) -> Hashable:
    """What must stay in order: the entity; of alarms, what they are about. RPCs stand alone, and
    the ENTITY lane as a whole is in order (a device after its profile, a relation after its ends),
    which outgoing.py sees to."""
    if event.event.action == "RPC_CALL" or event.event.lane is Lane.ENTITY:
        return event.position
    if event.event.type == "ALARM" and event.event.body:
        originator = _placed(event.event.body).originator
        if originator is not None:
            return EntityId(originator.entity_type, originator.id)
    return event.event.entity


def spoken_of(events: Iterable[StoredEvent]) -> Iterator[About]:
    """What these events say of stored entities."""
    for stored in events:
        event = stored.event
        gone = UPDATE_KINDS.get(event.action) is UpdateKind.DELETED
        if event.action in REQUESTS or event.action == "RPC_CALL":
            continue
        if event.action == "CREDENTIALS_UPDATED":
            yield About(f"{event.type}_CREDENTIALS", event.entity.id)
        elif event.type == "RELATION":
            yield About(event.type, relation_key(msgspec.json.decode(event.body)), gone)
        else:
            yield About(event.type, event.entity.id, gone)
            if event.type == "RULE_CHAIN":  # a chain's nodes are changed, and sent, as the chain
                yield About("RULE_CHAIN_METADATA", event.entity.id, gone)


def _company(event: StoredEvent) -> Hashable:
    """What may share a pack: data with data, requests with requests; an entity or an RPC travels
    alone, so that one refusal concerns one of them."""
    if event.event.lane is Lane.DATA:
        return "data"
    return "requests" if event.event.action in REQUESTS else event.position


class Existence:
    """Which entities the peer may not know yet: those with an unanswered ENTITY update.

    The lanes are read one by one, so data may be here before the entity that was committed ahead
    of it. `known` counts the ENTITY events that were offered and are not dealt with; as long as
    storage says that more are pending, data behind the last one offered wait.

    During a full sync thousands of groups wait for entities, and looking through them for every
    answer would cost more than the sync; so what stood in the way is remembered, and `changes`
    grows only when some of it has gone.
    """

    def __init__(self) -> None:
        self.known = 0
        self.changes = 0
        self._in_the_way: set[UUID] = set()
        self._waits_from: tuple[int, int] | None = None
        self._all_in_the_way = False
        self._unanswered: Counter[UUID] = Counter()
        self._read_to: tuple[int, int] = BEFORE_ALL
        self._complete = False

    def offered(self, events: Sequence[StoredEvent]) -> None:
        """ENTITY events that will be sent."""
        self.known += len(events)
        self._unanswered.update(e.event.entity.id for e in events if _makes(e))
        if events:
            self._read_to = events[-1].position
            self._look_behind()

    def pending(self, count: int) -> None:
        """So many ENTITY events are pending in storage now, those in flight included."""
        self._complete = self.known >= count
        self._look_behind()

    def _look_behind(self) -> None:
        """Whether what waited for events to be read need wait no more."""
        first = self._waits_from
        if first is not None and (self._complete or first <= self._read_to):
            self._waits_from = None
            self.changes += 1

    def answered(self, events: Sequence[StoredEvent]) -> None:
        """ENTITY events that the peer has, or that were put aside."""
        self.known -= len(events)
        for event in events:
            if _makes(event):
                self._unanswered[event.event.entity.id] -= 1
                if self._unanswered[event.event.entity.id] <= 0:
                    self._gone(event.event.entity.id)

    def _gone(self, entity: UUID) -> None:
        del self._unanswered[entity]
        if entity in self._in_the_way:
            self._in_the_way.discard(entity)
            self.changes += 1
        if self._all_in_the_way and not self._unanswered:
            self._all_in_the_way = False
            self.changes += 1

    def blocks(self, event: StoredEvent) -> bool:
        """Whether this event must wait. An alarm may be about any entity, so it waits for all."""
        lane = event.event.lane
        if lane is Lane.ENTITY or (lane is Lane.PRIORITY and event.event.type not in ABOUT_ALARMS):
            return False
        if not self._complete and event.position > self._read_to:
            first = self._waits_from
            self._waits_from = event.position if first is None else min(first, event.position)
            return True
        if lane is Lane.PRIORITY:
            self._all_in_the_way = bool(self._unanswered)
            return self._all_in_the_way
        if event.event.entity.id in self._unanswered:
            self._in_the_way.add(event.event.entity.id)
            return True
        return False


def _makes(event: StoredEvent) -> bool:
    return event.event.lane is Lane.ENTITY and event.event.action not in _MAKES_NOTHING
