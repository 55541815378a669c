"""What one link has in flight: answers, retries, pauses. Time is an argument."""

from __future__ import annotations

from itertools import count

from appliance.model.unit import Lane, StoredEvent
from appliance.sync.messages import Ack
from appliance.sync.outgoing import SICK_AFTER, Answer, Outgoing, OutgoingLimits
from tests.unit.sync.events import added, alarm, asked, data, rpc

LIMITS = OutgoingLimits(batch_size=8, retries_max=2, retry_interval_s=3.0, answer_timeout_s=60.0)
NO = "Failed to process"


class Bench:
    """An Outgoing with a clock, a peer's pen and the ENTITY depth that storage would tell."""

    def __init__(self, limits: OutgoingLimits = LIMITS) -> None:
        ids = count(1)
        self.outgoing = Outgoing(limits, lambda: next(ids))
        self.now = 100.0
        self.entities = 0

    def offer(self, *events: StoredEvent) -> None:
        for event in events:
            self.outgoing.offer(event.event.lane, [event], self.now)
            self.entities += event.event.lane is Lane.ENTITY

    def send(self) -> dict[int, list[int]]:
        """What goes now: batch id -> sequences."""
        parcels = self.outgoing.next_parcels(self.now, self.entities)
        return {id: [event.seq for event in parcel.events] for id, parcel in parcels}

    def accept(self, id: int) -> Answer:
        answer = self.outgoing.answered(Ack(id, True), self.now)
        self.entities -= sum(event.event.lane is Lane.ENTITY for event in answer.delivered)
        return answer

    def refuse(self, id: int, reason: str = NO) -> Answer:
        answer = self.outgoing.answered(Ack(id, False, reason), self.now)
        self.entities -= sum(event.event.lane is Lane.ENTITY for event in answer.refused)
        return answer

    def refuse_until_blamed(self) -> tuple[Answer, int]:
        """Refuse whatever comes: the first quarantine, and after how many refusals."""
        for tries in range(1, 10_000):
            while not (sent := self.send()):
                self.now = self.outgoing.deadline_s(self.now)
            for id in sent:
                answer = self.refuse(id)
                if answer.refused:
                    return answer, tries
        raise AssertionError("nothing was put aside")


def test_a_lone_value_leaves_at_once() -> None:
    bench = Bench()
    bench.offer(data(1))
    assert list(bench.send().values()) == [[1]]


def test_while_a_pack_is_in_flight_a_part_filled_one_waits_for_the_timeout() -> None:
    bench = Bench()
    bench.offer(data(1))
    bench.send()
    bench.offer(data(2, of=1))
    assert bench.send() == {}
    assert bench.outgoing.deadline_s(bench.now) == bench.now + LIMITS.batch_timeout_s
    bench.now += LIMITS.batch_timeout_s
    assert list(bench.send().values()) == [[2]]


def test_full_packs_fill_the_window_and_no_more() -> None:
    bench = Bench()
    bench.offer(*(data(seq, of=seq) for seq in range(1, 100)))
    assert len(bench.send()) == bench.outgoing.window.size == 4


def test_priority_goes_before_entities_before_data() -> None:
    bench = Bench()
    bench.offer(data(1, of=9), added(2), rpc(3))
    assert list(bench.send().values()) == [[3], [2], [1]]


def test_entities_go_one_at_a_time_in_order() -> None:
    bench = Bench()
    bench.offer(added(1), added(2, of=1))
    sent = bench.send()
    assert list(sent.values()) == [[1]]
    bench.accept(next(iter(sent)))
    assert list(bench.send().values()) == [[2]]


def test_data_of_an_entity_follows_the_answer_to_its_creation() -> None:
    bench = Bench()
    bench.offer(added(1), data(2), alarm(3))
    sent = bench.send()
    assert list(sent.values()) == [[1]]
    bench.accept(next(iter(sent)))
    assert list(bench.send().values()) == [[3], [2]]


def test_data_of_an_entity_follow_its_creations_quarantine_too() -> None:
    bench = Bench()
    bench.offer(added(1), data(2))
    answer, _ = bench.refuse_until_blamed()
    assert [event.seq for event in answer.refused] == [1]
    assert list(bench.send().values()) == [[2]]


def test_data_wait_while_storage_has_entities_that_were_not_read_yet() -> None:
    bench = Bench()
    bench.entities = 1
    bench.offer(data(2))
    assert bench.send() == {}


def test_answers_in_any_order_deliver_what_they_name() -> None:
    bench = Bench()
    bench.offer(*(data(seq, of=seq) for seq in range(1, 17)))
    first, second = bench.send()
    assert [event.seq for event in bench.accept(second).delivered] == list(range(9, 17))
    assert [event.seq for event in bench.accept(first).delivered] == list(range(1, 9))
    assert bench.accept(first) == Answer()


def test_a_refused_pack_is_halved_until_the_bad_value_stands_alone_and_then_put_aside() -> None:
    bench = Bench()
    bench.offer(*(data(seq) for seq in range(1, 9)))
    delivered, aside = [], []
    for _ in range(100):
        for id, seqs in bench.send().items():
            answer = bench.refuse(id) if 5 in seqs else bench.accept(id)
            delivered += [event.seq for event in answer.delivered]
            aside += [(event.seq, answer.reason) for event in answer.refused]
        bench.now = bench.outgoing.deadline_s(bench.now)
    assert delivered == [1, 2, 3, 4, 6, 7, 8]
    assert aside == [(5, NO)]


def test_a_value_alone_is_tried_as_often_as_configured_and_at_the_interval() -> None:
    bench = Bench()
    bench.offer(data(1))
    for attempt in range(LIMITS.retries_max + 1):
        (id,) = bench.send()
        answer = bench.refuse(id)
        assert bool(answer.refused) is (attempt == LIMITS.retries_max)
        assert bench.send() == {}
        bench.now += LIMITS.retry_interval_s
    assert bench.send() == {}


def test_requests_that_were_refused_together_are_tried_again_in_order() -> None:
    bench = Bench()
    bench.offer(asked(1), asked(2))
    (pack,) = bench.send()
    bench.refuse(pack)
    ((first, sent),) = bench.send().items()
    assert sent == [1]

    bench.refuse(first)

    assert bench.send() == {}
    bench.now += LIMITS.retry_interval_s
    ((first, sent),) = bench.send().items()
    assert sent == [1]
    bench.accept(first)
    assert list(bench.send().values()) == [[2]]


def test_other_devices_go_on_while_one_is_being_retried() -> None:
    bench = Bench()
    bench.offer(data(1))
    (id,) = bench.send()
    bench.refuse(id)
    bench.offer(data(2), data(3, of=1))
    assert list(bench.send().values()) == [[3]]


def test_blame_costs_twice_the_tries_while_the_peer_accepts_nothing() -> None:
    bench = Bench()
    bench.offer(*(data(seq) for seq in range(1, 4)))
    tries = [bench.refuse_until_blamed()[1] for _ in range(3)]
    alone = [LIMITS.retries_max * 2**doublings + 1 for doublings in range(3)]
    assert tries[0] == alone[0] + 1  # the pack of three was halved once
    assert tries[1] >= alone[1]
    assert tries[2] == alone[2]


def test_one_accepted_value_makes_blame_cheap_again() -> None:
    bench = Bench()
    bench.offer(data(1))
    bench.refuse_until_blamed()
    bench.offer(data(2))
    bench.accept(next(iter(bench.send())))
    bench.offer(data(3))
    assert bench.refuse_until_blamed()[1] == LIMITS.retries_max + 1


def test_a_peer_that_refuses_everything_is_probed_one_parcel_at_a_time() -> None:
    bench = Bench()
    bench.offer(*(data(seq, of=seq) for seq in range(1, 60)))
    refusals = 0
    while refusals < SICK_AFTER:
        for id in bench.send():
            bench.refuse(id)
            refusals += 1
    assert bench.outgoing.peer_sick
    bench.now += LIMITS.retry_interval_s
    (id,) = bench.send()
    bench.accept(id)
    assert not bench.outgoing.peer_sick
    assert bench.send()


def test_a_rate_limit_pauses_everything_ever_longer_and_counts_as_no_try() -> None:
    bench = Bench(OutgoingLimits(retry_interval_s=3.0, rate_limit_pause_s_max=10.0, retries_max=0))
    bench.offer(data(1))
    for pause_s in (6.0, 10.0, 10.0):
        (id,) = bench.send()
        assert bench.refuse(id, "Rate limit reached for edge").refused == []
        assert bench.outgoing.deadline_s(bench.now) == bench.now + pause_s
        bench.now += pause_s - 0.1
        assert bench.send() == {}
        bench.now += 0.1


def test_a_whole_window_of_rate_limits_is_one_pause() -> None:
    bench = Bench()
    bench.offer(*(data(seq, of=seq) for seq in range(1, 33)))
    for id in bench.send():
        bench.refuse(id, "Rate limit reached")
    assert bench.outgoing.deadline_s(bench.now) == bench.now + 2 * LIMITS.retry_interval_s


def test_a_slow_peer_gets_nothing_twice() -> None:
    bench = Bench()
    bench.offer(*(data(seq, of=seq) for seq in range(1, 33)))
    sent = list(bench.send())
    for id in sent:
        bench.now += LIMITS.answer_timeout_s - 1
        assert bench.outgoing.expire(bench.now) == []
        assert not bench.outgoing.silent(bench.now)
        bench.accept(id)


def test_a_value_that_never_gets_an_answer_while_others_do_is_put_aside() -> None:
    bench = Bench()
    bench.offer(data(1))
    bench.send()
    aside: list[str] = []
    for seq in range(2, 20):
        bench.now += LIMITS.answer_timeout_s / 2
        bench.offer(rpc(seq))
        for id, seqs in bench.send().items():
            if seqs != [1]:
                bench.accept(id)
        aside += [answer.reason for answer in bench.outgoing.expire(bench.now) if answer.refused]
    assert aside == ["no answer within 60 s"]


def test_a_peer_that_answers_nothing_makes_nothing_suspect_and_is_silent() -> None:
    bench = Bench()
    bench.offer(data(1))
    bench.send()
    bench.now += LIMITS.answer_timeout_s - 0.1
    assert not bench.outgoing.silent(bench.now)
    assert bench.outgoing.deadline_s(bench.now) <= bench.now + 0.2
    bench.now += 0.1
    assert bench.outgoing.silent(bench.now)
    assert bench.outgoing.expire(bench.now) == []


def test_a_peer_that_owes_nothing_is_not_silent() -> None:
    bench = Bench()
    bench.offer(data(1))
    bench.accept(next(iter(bench.send())))
    bench.now += 10 * LIMITS.answer_timeout_s
    assert not bench.outgoing.silent(bench.now)
    bench.offer(data(2))
    bench.send()
    assert not bench.outgoing.silent(bench.now + 1)


def test_when_care_is_needed_one_parcel_travels_at_a_time_over_all_lanes() -> None:
    bench = Bench()
    bench.outgoing.careful = True
    bench.offer(data(1), rpc(2))
    (id,) = bench.send()
    assert bench.send() == {}
    bench.accept(id)
    assert list(bench.send().values()) == [[1]]
