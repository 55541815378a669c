"""Which event breaks the link."""

from __future__ import annotations

from appliance.model.unit import Lane, StoredEvent
from appliance.sync.deaths import LinkDeaths
from appliance.sync.packing import Parcel
from tests.unit.sync.events import data


def parcel(*events: StoredEvent) -> Parcel:
    return Parcel(Lane.DATA, list(events))


def test_one_broken_link_is_no_reason_for_care() -> None:
    deaths = LinkDeaths(3)
    deaths.link_broke([parcel(data(1), data(2))])
    assert not deaths.careful
    assert deaths.batch_size(100) == 100


def test_packs_shrink_with_every_link_that_breaks_under_the_same_event() -> None:
    deaths = LinkDeaths(3)
    sizes = []
    for _ in range(9):
        deaths.link_broke([parcel(data(1), data(2))])
        sizes.append(deaths.batch_size(100))
    assert sizes == [100, 50, 25, 12, 6, 3, 1, 1, 1]
    assert deaths.careful


def test_delivery_clears_an_event() -> None:
    deaths = LinkDeaths(3)
    for _ in range(5):
        deaths.link_broke([parcel(data(1))])
    deaths.settled([data(1)])
    assert deaths.batch_size(100) == 100
    assert not deaths.careful


def test_only_an_event_that_travelled_alone_is_convicted() -> None:
    deaths = LinkDeaths(1)
    for _ in range(5):
        deaths.link_broke([parcel(data(1), data(2))])
        assert deaths.convict() is None
    for _ in range(5):
        deaths.link_broke([parcel(data(1)), parcel(data(2))])
        assert deaths.convict() is None
    deaths.link_broke([parcel(data(1))])
    assert deaths.convict() == (data(1), 11)


def test_a_link_that_breaks_with_nothing_in_flight_convicts_nobody() -> None:
    deaths = LinkDeaths(0)
    deaths.link_broke([parcel(data(1))])
    deaths.link_broke([])
    assert deaths.convict() is None


def deaths_until_convicted(deaths: LinkDeaths, event: StoredEvent) -> int:
    for number in range(1, 100):
        deaths.link_broke([parcel(event)])
        if deaths.convict():
            deaths.settled([event], delivered=False)
            return number
    raise AssertionError("never convicted")


def test_a_conviction_needs_twice_the_deaths_while_nothing_is_delivered() -> None:
    deaths = LinkDeaths(3)
    assert deaths_until_convicted(deaths, data(1)) == 4
    assert deaths_until_convicted(deaths, data(2)) == 7
    assert deaths_until_convicted(deaths, data(3)) == 13
    deaths.settled([data(4)])
    assert deaths_until_convicted(deaths, data(5)) == 4
