"""Named, bounded channels between components of one process.

Every channel has a capacity, and the code that opens it says in a sentence why that number.
Closing the sending end is the end-of-stream message: receivers get what is left, then the end.
Two counters (in, out) and one for drops tell more than a gauge of the moment.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from enum import StrEnum
from typing import Generic, TypeVar

import msgspec
import trio

from appliance.kernel.metrics_model import Kind, Sample

T = TypeVar("T")


class WhenFull(StrEnum):
    """What a full channel does to its sender."""

    BLOCK = "block"
    """`send` waits: the pressure goes back to where the items come from."""
    DROP_NEWEST = "drop_newest"
    """`send` gives the item up and counts it: only for what is worthless when late."""


class ChannelStatistics(msgspec.Struct, frozen=True):
    """A channel's figures: in_total = out_total + waiting; dropped_total never got in."""

    name: str
    capacity: int
    waiting: int
    in_total: int
    out_total: int
    dropped_total: int


class Channel(Generic[T]):
    """A bounded queue with a name. Many senders, many receivers, Trio thread only."""

    def __init__(self, name: str, capacity: int, when_full: WhenFull = WhenFull.BLOCK) -> None:
        self.name = name
        self._capacity = capacity
        self._when_full = when_full
        self._sender, self._receiver = trio.open_memory_channel[T](capacity)
        self._in = self._out = self._dropped = 0

    async def send(self, item: T) -> bool:
        """Hand over one item; False when it was dropped because the channel is full.

        Raises trio.ClosedResourceError after `close`. Cancelled: the item was not sent.
        """
        if self._when_full is WhenFull.DROP_NEWEST:
            await trio.lowlevel.checkpoint()
            return self.offer(item)
        await self._sender.send(item)
        self._in += 1
        return True

    def offer(self, item: T) -> bool:
        """Hand over one item without waiting; False, and counted, when there is no room."""
        try:
            self._sender.send_nowait(item)
        except trio.WouldBlock:
            self._dropped += 1
            return False
        self._in += 1
        return True

    async def receive(self) -> T:
        """The next item. Raises trio.EndOfChannel when closed and empty."""
        item = await self._receiver.receive()
        self._out += 1
        return item

    def receive_waiting(self, max_items: int) -> list[T]:
        """What waits already, at most so many, without waiting."""
        items: list[T] = []
        while len(items) < max_items:
            try:
                items.append(self._receiver.receive_nowait())
            except (trio.WouldBlock, trio.EndOfChannel):
                break
        self._out += len(items)
        return items

    async def __aiter__(self) -> AsyncIterator[T]:
        """Items until the end."""
        async for item in self._receiver:
            self._out += 1
            yield item

    def close(self) -> None:
        """No more items will come; repeats are harmless."""
        self._sender.close()

    def statistics(self) -> ChannelStatistics:
        """The figures of now."""
        waiting = self._receiver.statistics().current_buffer_used
        return ChannelStatistics(
            self.name, self._capacity, waiting, self._in, self._out, self._dropped
        )


class Channels:
    """All channels of one appliance, so that each is in /metrics without code at its site."""

    def __init__(self) -> None:
        self._channels: dict[str, Channel[object]] = {}

    def open(
        self, name: str, kind: type[T], capacity: int, when_full: WhenFull = WhenFull.BLOCK
    ) -> Channel[T]:
        """A new channel for items of a kind; a second one of that name takes the first's place."""
        channel: Channel[T] = Channel(name, capacity, when_full)
        self._channels[name] = channel  # type: ignore[assignment]  # only statistics are read
        return channel

    def samples(self) -> Iterable[Sample]:
        """Figures of every channel for /metrics."""
        for channel in self._channels.values():
            now = channel.statistics()
            labels = {"channel": now.name}
            yield from (
                Sample(f"appliance_channel_{name}", labels, float(value), kind, text)
                for name, value, kind, text in _figures(now)
            )


def _figures(now: ChannelStatistics) -> Iterable[tuple[str, int, Kind, str]]:
    yield "items_in_total", now.in_total, "counter", "Items sent into a channel."
    yield "items_out_total", now.out_total, "counter", "Items taken from a channel."
    yield "items_dropped_total", now.dropped_total, "counter", "Items a channel refused."
    yield "capacity_items", now.capacity, "gauge", "Items a channel can hold."
