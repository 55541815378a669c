"""What a peer has yet to hear of: committed, and not even read by the sender."""

from __future__ import annotations

from collections import Counter, deque

from appliance.extension.ports import Storage
from appliance.model.unit import Lane
from appliance.sync.packing import About, spoken_of

_LOOK_EVENTS = 1000
"""Read from storage at once."""


class Unread:
    """One lane of one outbox during one link; each event is looked at once, however often asked.

    Holds a place and a name for every event that waits in storage and brings an entity, some
    hundred bytes: a full sync of 10,000 devices takes 5 MB, requests take nothing.
    """

    def __init__(self, storage: Storage, outbox: str, lane: Lane, bytes_max: int) -> None:
        self._storage = storage
        self._outbox = outbox
        self._lane = lane
        self._bytes_max = bytes_max
        self._waiting: deque[tuple[tuple[int, int], About]] = deque()
        self._about: Counter[About] = Counter()
        self._seen_to: tuple[int, int] | None = None

    async def about(self, read_to: tuple[int, int] | None) -> set[About]:
        """What events behind read_to, where the sender has come to, bring to the peer."""
        if read_to is not None:
            self._forget(read_to)
        after = max(filter(None, (read_to, self._seen_to)), default=None)
        while events := await self._storage.pending(
            self._outbox, self._lane, after, _LOOK_EVENTS, self._bytes_max
        ):
            for event in events:
                for about in spoken_of((event,)):
                    self._waiting.append((event.position, about))
                    self._about[about] += 1
            after = self._seen_to = events[-1].position
        return set(self._about)

    def _forget(self, read_to: tuple[int, int]) -> None:
        while self._waiting and self._waiting[0][0] <= read_to:
            _, about = self._waiting.popleft()
            self._about[about] -= 1
            if not self._about[about]:
                del self._about[about]
