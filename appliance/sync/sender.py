"""Drives one outbox over one link: storage → parcels → batches → acknowledgements → cursor.

Written once for both roles: the edge's outbox towards the cloud and the cloud's outbox towards
each edge. Rules are in outgoing.py; here is only the waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeGuard
from uuid import UUID

import msgspec
import trio

from appliance.extension.ports import Link, LinkClosed, Storage
from appliance.kernel.events import Emit, Event
from appliance.kernel.wakeup import Wakeup
from appliance.model.errors import Permanent, Retryable
from appliance.model.unit import Lane, StoredEvent
from appliance.sync.deaths import LinkDeaths
from appliance.sync.messages import Ack, Batch, Item, Telemetry
from appliance.sync.outgoing import Answer, Outgoing, OutgoingLimits
from appliance.sync.packing import About, Parcel
from appliance.sync.unread import Unread

DEFAULT_PEER_BYTES_MAX = 4_194_304
"""What both sides of the reference accept unless they say otherwise (edge-protocol §1.4)."""
TURN_S = 5.0
"""How long a turn is waited for before answers, and their absence, are looked at again."""


Itemize = Callable[[StoredEvent], Iterable[Item]]
"""Turns an event into what goes on the wire now; nothing for an entity that is gone."""


class EventsDelivered(Event, frozen=True, kw_only=True):
    """The peer acknowledged a batch."""

    level = "debug"
    text = "{outbox}: {count} events of lane {lane} delivered in {latency_s:.3f} s"
    counters = {"delivered_events": "count"}
    labels = ("lane",)
    outbox: str
    lane: str
    count: int
    latency_s: float


class EventQuarantined(Event, frozen=True, kw_only=True):
    """An event was put aside because the peer will not have it."""

    level = "warning"
    text = "{outbox}: event {seq} about {entity} put into quarantine: {reason}"
    counters = {"quarantined_events": ""}
    outbox: str
    seq: int
    entity: str
    reason: str


class Sender:
    """The sending half of every link of one peer, one link after another.

    `run` serves one link; a new link starts from what storage says is pending, so nothing that
    was acknowledged is sent again and nothing else is left out.
    """

    def __init__(
        self,
        storage: Storage,
        outbox: str,
        itemize: Itemize,
        limits: OutgoingLimits,
        emit: Emit,
    ) -> None:
        self._storage = storage
        self._outbox = outbox
        self._itemize = itemize
        self._limits = limits
        self._emit = emit
        self._wakeup = Wakeup()
        self._room = {lane: Wakeup() for lane in Lane}
        self._outgoing, self._unread = self._fresh()
        self._deaths = LinkDeaths(limits.retries_max)
        self._acks: list[Ack] = []
        self.turn = trio.Lock()
        """Held while batches are made of the state. Who takes what the peer says and holds it until
        that is answered, sends nothing before the answer that was made after it."""

    @property
    def latency_s(self) -> float:
        """Time from the last acknowledged batch's sending to its acknowledgement."""
        return self._outgoing.latency_s

    @property
    def in_flight(self) -> int:
        """Batches that are sent and not answered."""
        return len(self._outgoing.flights)

    @property
    def peer_sick(self) -> bool:
        """Whether the peer refuses everything at the moment."""
        return self._outgoing.peer_sick

    def flying(self) -> set[tuple[str, UUID]]:
        """Kinds and ids of which something is on its way that the peer has not acknowledged yet."""
        return {(about.kind, about.id) for about in self._outgoing.flying()}

    async def unheard(self) -> set[About]:
        """What was committed here and is not acknowledged on this link, be it on its way or not."""
        out: set[About] = set()
        for lane, unread in self._unread.items():
            if self._storage.depth(self._outbox, lane).pending > self._outgoing.known[lane]:
                out |= await unread.about(self._outgoing.lanes[lane].read_to)
        accepted = {ack.id for ack in self._acks if ack.success}
        return out | self._outgoing.unheard(accepted)  # last: what was unread may be read by now

    def on_ack(self, ack: Ack) -> None:
        """The receiving half got an acknowledgement; handled in `run`'s task."""
        self._acks.append(ack)
        self._wakeup.set()

    async def run(self, link: Link, peer_bytes_max: int | None) -> None:
        """Send until cancelled. Raises LinkClosed when the link breaks or the peer falls silent.

        peer_bytes_max: what the peer announced; None or 0 means it did not.
        """
        await self._put_convict_aside()
        self._outgoing, self._unread = self._fresh()
        self._take_care()
        self._acks.clear()
        try:
            async with trio.open_nursery() as nursery:
                for lane in Lane:
                    nursery.start_soon(self._read, lane)
                while True:
                    await self._step(link, peer_bytes_max or DEFAULT_PEER_BYTES_MAX)
        finally:
            self._deaths.link_broke([flight.parcel for flight in self._outgoing.flights.values()])
            self._outgoing, self._unread = self._fresh()

    def _fresh(self) -> tuple[Outgoing, dict[Lane, Unread]]:
        """Everything is read again for a new link."""
        storage, outbox, bytes_max = self._storage, self._outbox, self._limits.bytes_max
        lanes = (Lane.PRIORITY, Lane.ENTITY)
        unread = {lane: Unread(storage, outbox, lane, bytes_max) for lane in lanes}
        return Outgoing(self._limits), unread

    def _take_care(self) -> None:
        """As careful as the links that broke demand."""
        batch_size = self._deaths.batch_size(self._limits.batch_size)
        self._outgoing.limits = msgspec.structs.replace(self._limits, batch_size=batch_size)
        self._outgoing.careful = self._deaths.careful

    async def _put_convict_aside(self) -> None:
        convict = self._deaths.convict()
        if convict is not None:
            event, deaths = convict
            reason = f"the link broke {deaths} times while it was being sent"
            await self._put_aside(event, reason, len(event.event.body))

    # --- events in ----------------------------------------------------------------------------

    async def _read(self, lane: Lane) -> None:
        """Keep the lane's packer supplied. Owned by `run`'s nursery."""
        packer = self._outgoing.lanes[lane]
        while True:
            await self._storage.wait_pending(self._outbox, lane, packer.read_to)
            while not packer.room:
                await self._room[lane].wait()
            events = await self._storage.pending(
                self._outbox, lane, packer.read_to, packer.room, self._limits.bytes_max * 4
            )
            self._outgoing.offer(lane, events, trio.current_time())
            self._wakeup.set()

    # --- batches out, answers in --------------------------------------------------------------

    async def _step(self, link: Link, peer_bytes_max: int) -> None:
        """Handle answers, send what may go, then wait."""
        await self._take_answers(link)
        now_s = trio.current_time()
        if not await self._has_turn():
            return
        try:
            batches = await self._batches(link, now_s, peer_bytes_max)
        finally:
            self.turn.release()
        for lane in Lane:
            if self._outgoing.lanes[lane].room:
                self._room[lane].set()
        if batches:
            await link.send(batches)
        elif not self._acks:
            await self._wakeup.wait_until(self._outgoing.deadline_s(now_s))

    async def _has_turn(self) -> bool:
        """Wait for the turn; not for ever, since a peer that reads nothing must be noticed."""
        with trio.move_on_after(TURN_S):
            await self.turn.acquire()
            return True
        return False

    async def _batches(self, link: Link, now_s: float, peer_bytes_max: int) -> list[Batch]:
        """All that may go now."""
        entities = self._storage.depth(self._outbox, Lane.ENTITY).pending
        parcels = self._outgoing.next_parcels(now_s, entities)
        batches = [await self._batch(link, id, parcel, peer_bytes_max) for id, parcel in parcels]
        return [batch for batch in batches if batch is not None]

    async def _batch(
        self, link: Link, batch_id: int, parcel: Parcel, peer_bytes_max: int
    ) -> Batch | None:
        """The parcel as it goes on the wire; None if it does not go as it is."""
        size = sum(len(event.event.body) for event in parcel.events)
        try:
            batch = Batch(batch_id, tuple(merge(self._items(parcel))))
            if not batch.items:
                self._nothing_left(batch_id)
                return None
            size = link.size(batch)
        except (Permanent, LookupError, TypeError, ValueError) as error:
            fault = f"cannot be sent: {error!r}"
        else:
            if size <= peer_bytes_max:
                return batch
            fault = f"{size} bytes, and the peer takes {peer_bytes_max}"
        self._wakeup.set()
        parcel = self._outgoing.withdraw(batch_id)
        if len(parcel.events) > 1:
            self._outgoing.split(parcel)
        else:
            await self._put_aside(parcel.events[0], fault, size)
            self._outgoing.finish(parcel)
        return None

    def _items(self, parcel: Parcel) -> Iterable[Item]:
        for event in parcel.events:
            yield from self._itemize(event)

    def _nothing_left(self, batch_id: int) -> None:
        """What the events spoke of is gone: the peer need not hear of them."""
        parcel = self._outgoing.withdraw(batch_id)
        self._outgoing.finish(parcel)
        self._storage.acknowledge(self._outbox, parcel.lane, parcel.events)
        self._wakeup.set()

    async def _take_answers(self, link: Link) -> None:
        """Turn acknowledgements, and their absence, into cursor moves and quarantine."""
        while self._acks:
            acks, self._acks = self._acks, []
            for ack in acks:
                await self._settle(self._outgoing.answered(ack, trio.current_time()))
        for answer in self._outgoing.expire(trio.current_time()):
            await self._settle(answer)
        if self._outgoing.silent(trio.current_time()):
            timeout_s = self._limits.answer_timeout_s
            raise LinkClosed(f"{link.peer} has answered nothing for {timeout_s:g} s")

    async def _settle(self, answer: Answer) -> None:
        if answer.delivered:
            lane = answer.delivered[0].event.lane
            self._storage.acknowledge(self._outbox, lane, answer.delivered)
            self._deaths.settled(answer.delivered)
            if self._outgoing.careful:
                self._take_care()
            self._emit(
                EventsDelivered(
                    outbox=self._outbox,
                    lane=lane.name.lower(),
                    count=len(answer.delivered),
                    latency_s=self.latency_s,
                )
            )
        for event in answer.refused:
            await self._put_aside(event, answer.reason, len(event.event.body))

    async def _put_aside(self, event: StoredEvent, reason: str, size: int) -> None:
        """Quarantine, however long the disk pushes back: sending waits meanwhile."""
        while True:
            try:
                await self._storage.quarantine(self._outbox, event.event.lane, event, reason, size)
                break
            except Retryable as error:
                await trio.sleep(error.retry_after_s)
        self._deaths.settled([event], delivered=False)
        self._emit(
            EventQuarantined(
                outbox=self._outbox,
                seq=event.seq,
                entity=str(event.event.entity),
                reason=reason,
            )
        )


def merge(items: Iterable[Item]) -> list[Item]:
    """Consecutive telemetry of one entity becomes one item: 35,000 values/s against 1,450 (§13)."""
    out: list[Item] = []
    run: list[bytes] = []
    for item in items:
        last = out[-1] if out else None
        if _joins(item, last):
            run.extend(item.entries)
            continue
        _close(out, run)
        out.append(item)
        run = list(item.entries) if isinstance(item, Telemetry) else []
    _close(out, run)
    return out


def _joins(item: Item, last: Item | None) -> TypeGuard[Telemetry]:
    return (
        isinstance(item, Telemetry) and isinstance(last, Telemetry) and item.entity == last.entity
    )


def _close(out: list[Item], run: list[bytes]) -> None:
    """Give the last telemetry item the entries collected for it."""
    if out and isinstance(out[-1], Telemetry) and len(run) > 1:
        out[-1] = Telemetry(out[-1].entity, tuple(run))
