"""Which event breaks the link: some kill the stream instead of being refused. Pure.

A message that is too large for a peer that did not say so, or that a middlebox takes offence at,
ends the stream for everything (spec/edge-protocol.md §11.15), and it would do so after every
reconnect. So the links that break under an event are counted. From the second on the packs get
ever smaller and travel one at a time, until the event stands alone; after `retries_max` deaths
alone it goes to quarantine.

A bad line breaks under innocent events too. So, as with refusals (outgoing.py), each event that is
put aside without anything having been delivered since the last one doubles the deaths that the
next one needs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from appliance.model.unit import StoredEvent
from appliance.sync.packing import Parcel

_DOUBLINGS_MAX = 10


class LinkDeaths:
    """Counts the links that broke under each event; at most the events that were in flight."""

    def __init__(self, retries_max: int) -> None:
        self._retries_max = retries_max
        self._deaths: Counter[tuple[int, int]] = Counter()
        self._convicts_in_row = 0
        self._suspect: StoredEvent | None = None

    @property
    def worst(self) -> int:
        """The most links that broke under one event."""
        return max(self._deaths.values(), default=0)

    @property
    def careful(self) -> bool:
        """Whether one event has broken more than one link: send one parcel at a time."""
        return self.worst > 1

    def batch_size(self, size: int) -> int:
        """How large packs may be now."""
        return max(1, size >> max(0, self.worst - 1))

    def link_broke(self, in_flight: Sequence[Parcel]) -> None:
        """A link ended with these unanswered."""
        for parcel in in_flight:
            self._deaths.update(event.position for event in parcel.events)
        alone = len(in_flight) == 1 and len(in_flight[0].events) == 1
        self._suspect = in_flight[0].events[0] if alone else None

    def settled(self, events: Iterable[StoredEvent], *, delivered: bool = True) -> None:
        """Dealt with: delivered, or put aside."""
        for event in events:
            self._deaths.pop(event.position, None)
        if delivered:
            self._convicts_in_row = 0

    def convict(self) -> tuple[StoredEvent, int] | None:
        """(the event to put aside before the next link, how many links broke under it)."""
        suspect, self._suspect = self._suspect, None
        if suspect is None:
            return None
        deaths = self._deaths[suspect.position]
        if deaths <= self._retries_max << self._convicts_in_row:
            return None
        self._convicts_in_row = min(self._convicts_in_row + 1, _DOUBLINGS_MAX)
        return suspect, deaths
