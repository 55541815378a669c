"""Whatever the peer and the line do, each entity's events arrive in the order of their commits.

A model of a whole site: events are committed at random, the lanes are read at random moments, the
peer answers in any order or not at all, refuses what is poisoned, now and then everything, limits
the rate, and links end at any point. Everything is real but the clock, the storage (two sets) and
the peer.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from uuid import UUID

import hypothesis.strategies as st
from hypothesis import Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from appliance.model.unit import Lane, StoredEvent
from appliance.sync.messages import Ack
from appliance.sync.outgoing import Answer, Outgoing, OutgoingLimits
from appliance.sync.packing import Parcel, order_key
from tests.unit.sync.events import added, alarm, asked, data, rpc

ENTITIES = 2
LIMITS = OutgoingLimits(
    batch_size=5,
    bytes_max=300,
    retries_max=2,
    retry_interval_s=1.0,
    answer_timeout_s=20.0,
    rate_limit_pause_s_max=8.0,
    waiting_max=12,
)
Maker = Callable[[int, int], StoredEvent]
MAKERS: tuple[Maker, ...] = (data, data, data, data, added, asked, alarm, rpc)


class Site(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.ids = count(1)
        self.seqs = count(1)
        self.now = 0.0
        self.pending: dict[Lane, list[StoredEvent]] = {lane: [] for lane in Lane}
        self.poison: set[int] = set()
        self.aside: list[int] = []
        self.delivered: list[StoredEvent] = []
        self.taken: list[StoredEvent] = []
        """What the peer has processed, first time only, in its order."""
        self.known: set[UUID] = set()
        self.wire: dict[int, Parcel] = {}
        self.outgoing = Outgoing(LIMITS, lambda: next(self.ids))

    # --- what happens -------------------------------------------------------------------------

    @rule(
        maker=st.sampled_from(MAKERS),
        of=st.integers(0, ENTITIES - 1),
        many=st.integers(1, 12),
        poisoned=st.integers(0, 20),
        prompt=st.booleans(),
    )
    def commit(self, maker: Maker, of: int, many: int, poisoned: int, prompt: bool) -> None:
        """Events of one entity; prompt: they are read and sent at once."""
        for index in range(many):
            event = maker(next(self.seqs), of)
            self.pending[event.event.lane].append(event)
            if index == poisoned:
                self.poison.add(event.seq)
        if prompt:
            self.read(event.event.lane, 20)
            self.send()

    @rule(lane=st.sampled_from(list(Lane)), most=st.integers(1, 20))
    def read(self, lane: Lane, most: int) -> None:
        packer = self.outgoing.lanes[lane]
        behind = [e for e in self.pending[lane] if e.position > (packer.read_to or (0, -1))]
        if found := behind[: min(most, packer.room)]:
            self.outgoing.offer(lane, found, self.now)

    @rule()
    def send(self) -> None:
        pending = len(self.pending[Lane.ENTITY])
        for id, parcel in self.outgoing.next_parcels(self.now, pending):
            assert parcel.events
            assert len(parcel.events) <= LIMITS.batch_size
            self.wire[id] = parcel

    @precondition(lambda self: self.wire)
    @rule(which=st.integers(0, 99), mood=st.sampled_from(["fair", "fair", "fair", "ill", "limit"]))
    def answer(self, which: int, mood: str) -> None:
        id = list(self.wire)[which % len(self.wire)]
        parcel = self.wire.pop(id)
        bad = any(event.seq in self.poison for event in parcel.events)
        if mood == "limit":
            ack = Ack(id, False, "Rate limit reached for edge")
        elif mood == "ill" or bad:
            ack = Ack(id, False, "no")
        else:
            self.process(parcel)
            ack = Ack(id, True)
        self.settle(self.outgoing.answered(ack, self.now))

    @precondition(lambda self: self.wire)
    @rule()
    def break_the_link(self) -> None:
        """The peer has processed some of what was on its way; no answer comes back."""
        first = next(iter(self.wire.values()))
        if not any(event.seq in self.poison for event in first.events):
            self.process(first)
        self.wire.clear()
        self.outgoing = Outgoing(LIMITS, lambda: next(self.ids))

    @rule(seconds=st.sampled_from([0.1, 1.0, 1.0, 3.0, 30.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.send()
        for answer in self.outgoing.expire(self.now):
            self.settle(answer)
        self.wire = {id: p for id, p in self.wire.items() if id in self.outgoing.flights}

    # --- what it means ------------------------------------------------------------------------

    def process(self, parcel: Parcel) -> None:
        for event in parcel.events:
            if event.seq not in {taken.seq for taken in self.taken}:
                self.may_be_processed(event)
                self.taken.append(event)

    def may_be_processed(self, event: StoredEvent) -> None:
        """The existence rule: no data before the entity that was committed ahead of them."""
        if event.event.lane is Lane.DATA:
            before = [
                entity.seq
                for entity in self.pending[Lane.ENTITY]
                if entity.seq < event.seq
                and entity.event.action == "ADDED"
                and entity.event.entity == event.event.entity
            ]
            assert not before, f"{event.seq} overtook the creation of its entity in {before}"

    def settle(self, answer: Answer) -> None:
        for event in answer.delivered:
            self.pending[event.event.lane].remove(event)
            self.delivered.append(event)
        for event in answer.refused:
            self.pending[event.event.lane].remove(event)
            self.aside.append(event.seq)

    @invariant()
    def each_entity_is_processed_in_order(self) -> None:
        last: dict[object, tuple[int, int]] = {}
        for event in self.taken:
            key = (event.event.lane, order_key(event))
            assert last.get(key, (0, 0)) < event.position
            last[key] = event.position
        entities = [event.position for event in self.taken if event.event.lane is Lane.ENTITY]
        assert entities == sorted(entities)

    @invariant()
    def the_account_adds_up(self) -> None:
        waiting = sum(len(events) for events in self.pending.values())
        committed = next(self.seqs) - 1
        self.seqs = count(committed + 1)
        assert committed == waiting + len(self.delivered) + len(self.aside)

    @invariant()
    def what_was_acknowledged_is_not_sent_again(self) -> None:
        done = {event.seq for event in self.delivered} | set(self.aside)
        sent = {event.seq for parcel in self.wire.values() for event in parcel.events}
        assert not done & sent

    def teardown(self) -> None:
        """Once the peer is fair, all is delivered but the poison, and soon."""
        for _ in range(2000):
            if not any(self.pending.values()):
                break
            for lane in Lane:
                self.read(lane, 20)
            self.send()
            if self.wire:
                self.answer(0, "fair")
            else:
                self.now = self.outgoing.deadline_s(self.now)
        assert not any(self.pending.values()), "stuck"
        assert len(self.taken) + len(self.aside) >= next(self.seqs) - 1


TestSite = Site.TestCase
TestSite.settings = settings(
    max_examples=200, stateful_step_count=80, deadline=None, phases=(Phase.generate,)
)
