"""The way of a message: rule chain → unit of work → commit → state → what follows.

The one place where the commit and the change of the in-memory state are tied together. Both run
shielded from cancellation: a device that hangs up must not leave memory behind the disk.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import ClassVar, Protocol

import trio

from appliance.extension.ports import Storage
from appliance.kernel.events import Emit, Event
from appliance.model.errors import Retryable
from appliance.model.message import Message
from appliance.model.unit import Unit
from appliance.rules.work import Work
from appliance.state.store import State

FOLLOW_UPS_MAX = 100
"""Messages that one message may cause; a chain that makes more is a loop."""
_RETRY_S_MAX = 5.0


class Engine(Protocol):
    """The part of the rule engine that is used here."""

    def process(self, message: Message, work: Work) -> Awaitable[None] | None:
        """Run the message; None when it is done, else what finishes it."""
        ...


class MessageFailed(Event, frozen=True):
    """A rule chain ended a message with a failure."""

    level: ClassVar[str] = "warning"
    text: ClassVar[str] = "{type} of {originator} failed in its rule chain: {reason}"
    counters: ClassVar[dict[str, str]] = {"failed_messages": ""}
    type: str
    originator: str
    reason: str


class MessagesProcessed(Event, frozen=True):
    """Messages went through their chains and what they caused is durable."""

    level: ClassVar[str] = "debug"
    text: ClassVar[str] = "{count} messages processed"
    counters: ClassVar[dict[str, str]] = {"processed_messages": "count"}
    count: int


class Processor:
    """Runs messages through the rule engine and commits what they cause."""

    def __init__(self, engine: Engine, storage: Storage, state: State, emit: Emit) -> None:
        self._engine = engine
        self._storage = storage
        self._state = state
        self._emit = emit

    async def process(self, messages: Sequence[Message]) -> None:
        """Return when everything that the messages caused is durable.

        Messages of one originator keep their order. Raises Retryable when storage pushes back;
        then none of what has not yet been committed counts.
        """
        done: list[Work] = []
        waiting: list[tuple[Awaitable[None], Message, Work]] = []
        for message in messages:
            work = Work()
            rest = self._engine.process(message, work)
            if rest is None:
                self._settle(message, work)
                done.append(work)
            else:
                waiting.append((rest, message, work))
        await self._commit(done)
        if waiting:
            async with trio.open_nursery() as nursery:
                for rest, message, work in waiting:
                    nursery.start_soon(self._finish, rest, message, work)
        self._emit(MessagesProcessed(count=len(messages)))

    async def _finish(self, rest: Awaitable[None], message: Message, work: Work) -> None:
        await rest
        while work.follow_ups and not work.failure:
            follow_up = work.follow_ups.pop(0)
            rest_of_follow_up = self._engine.process(follow_up, work)
            if rest_of_follow_up is not None:
                await rest_of_follow_up
        self._report(message, work)
        await self._commit([work])

    def _settle(self, message: Message, work: Work) -> None:
        """Run what the message caused, through its own chains, into the same unit."""
        for _ in range(FOLLOW_UPS_MAX):
            if not work.follow_ups:
                break
            follow_up = work.follow_ups.pop(0)
            rest = self._engine.process(follow_up, work)
            if rest is not None:
                work.failure = work.failure or f"{follow_up.type} has to wait in its chain"
        self._report(message, work)

    def _report(self, message: Message, work: Work) -> None:
        if work.failure is not None:
            self._emit(
                MessageFailed(
                    type=message.type, originator=str(message.originator), reason=work.failure
                )
            )

    async def _commit(self, works: Sequence[Work]) -> None:
        units = [work.unit for work in works if work.unit]
        with trio.CancelScope(shield=True):
            if units:
                await self._storage.commit(units)
            for unit in units:
                self._state.apply(unit)
        for work in works:
            for call in work.after:
                call()

    async def commit(self, unit: Unit) -> None:
        """Commit a unit that no message caused. Raises Retryable."""
        with trio.CancelScope(shield=True):
            await self._storage.commit([unit])
            self._state.apply(unit)

    async def commit_applied(self, units: Sequence[Unit]) -> None:
        """Commit units that the state already has, however long storage pushes back.

        For what a peer sent: it gets no acknowledgement meanwhile. Cancelled between two tries,
        the state is ahead of the disk; the peer then sends the same again, and every write of
        sync.incoming is repeated by a repeat.
        """
        wait_s = 0.1
        while True:
            try:
                with trio.CancelScope(shield=True):
                    await self._storage.commit(units)
                return
            except Retryable:
                await trio.sleep(wait_s)
                wait_s = min(_RETRY_S_MAX, wait_s * 2)
