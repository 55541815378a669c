"""Makes durable what a peer said: the state has it already, and the peer waits for its answer.

What storage refuses is *owed*: it is committed again and again, in the order in which it came,
whatever becomes of the link by which it came. The peer would say it once more over the next link,
but a repeat does not write the same again: what is there already gets no assignment and asks for
nothing, and of what is gone already nothing is left to go with it. So it must not be forgotten
until the disk has it, or the process ends, and the state with it.

Owed is at most what each link brought at once: it is not answered, so nothing more comes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import trio

from appliance.extension.ports import Storage
from appliance.kernel.wakeup import Wakeup
from appliance.model.errors import Retryable
from appliance.model.unit import Unit


class Received:
    """A Component."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._owed: deque[tuple[Sequence[Unit], trio.Event]] = deque()
        self._owing = Wakeup()

    @property
    def owing(self) -> bool:
        """Whether the state is ahead of the disk; a change made here might overtake it there."""
        return bool(self._owed)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Pay what is owed, until cancelled."""
        task_status.started()
        while True:
            await self._owing.wait()
            while self._owed:
                await self._pay(*self._owed[0])

    async def commit(self, units: Sequence[Unit]) -> None:
        """Return when the units are durable, however long storage pushes back.

        Cancelled: they become durable all the same.
        """
        if not self._owed:
            try:
                with trio.CancelScope(shield=True):
                    await self._storage.commit(units)
                return
            except Retryable:
                pass
        paid = trio.Event()
        self._owed.append((units, paid))
        self._owing.set()
        await paid.wait()

    async def _pay(self, units: Sequence[Unit], paid: trio.Event) -> None:
        try:
            with trio.CancelScope(shield=True):
                await self._storage.commit(units)
        except Retryable as error:
            await trio.sleep(error.retry_after_s)
        else:
            self._owed.popleft()
            paid.set()
