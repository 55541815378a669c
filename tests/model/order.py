"""Who took what in which order: the oracle for "exactly the order of commits".

Every batch is a few events of the outbox; the peer takes them when it acknowledges with success.
Of each event its first taking counts, since what was on its way when a link broke comes again.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from appliance.model.unit import Lane, StoredEvent
from appliance.sync.messages import Ack, Batch, Frame
from appliance.sync.packing import REQUESTS, Parcel
from appliance.sync.sender import Sender

Position = tuple[int, int]


class Order:
    """What one outbox sent to its peer. crossed: batches on the wire, repeats included."""

    def __init__(self) -> None:
        self.taken: dict[Position, StoredEvent] = {}
        self.crossed = 0
        self._sent: dict[int, list[StoredEvent]] = {}

    def listen_to(self, sender: Sender) -> None:
        """Learn which events a batch stands for; on the wire they are only values."""
        inner = sender._batch

        async def noted(link: Any, batch_id: int, parcel: Parcel, peer_bytes_max: int) -> Any:
            self._sent[batch_id] = list(parcel.events)
            return await inner(link, batch_id, parcel, peer_bytes_max)

        sender._batch = noted  # type: ignore[method-assign] - nothing else knows both

    def said_by_owner(self, frame: Frame) -> None:
        """A frame left towards the peer."""
        if isinstance(frame, Batch):
            self.crossed += 1

    def said_by_peer(self, frame: Frame) -> None:
        """A frame of the peer left towards the owner of the outbox."""
        if isinstance(frame, Ack) and frame.success:
            for event in self._sent.get(frame.id, ()):
                self.taken.setdefault(event.position, event)

    def check(self) -> None:
        """Per entity and lane as committed; data behind every entity message before them."""
        last: dict[Hashable, Position] = {}
        about: dict[Any, Position] = {}
        for position, stored in self.taken.items():
            event = stored.event
            key = (event.lane, event.entity)
            assert last.get(key, (0, 0)) < position, (event, "was overtaken", last[key], position)
            if event.action != "RPC_CALL":
                last[key] = position
            if event.lane is Lane.DATA:
                about[event.entity.id] = position
            elif event.lane is Lane.ENTITY and event.action not in REQUESTS:
                behind = about.get(event.entity.id, (0, 0))
                assert behind < position, (event, "came after data about it", behind, position)
