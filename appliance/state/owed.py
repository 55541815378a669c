"""Makes durable what the state has already.

What storage refuses is *owed*: it is committed again and again, in the order in which it came,
whatever becomes of who brought it. A peer would say it once more over the next link, and a device
sends its message again, but a repeat does not write the same again: what is there already gets no
assignment and asks for nothing, and of what is gone already nothing is left to go with it. So it
must not be forgotten until the disk has it, or the process ends, and the state with it.

Nothing overtakes what is owed: a later word about the same entity is owed behind it, or the disk
would end with the older one.

Owed is at most what was under way when storage refused: nobody is answered, so nothing more comes,
and what comes by itself waits until it is settled.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import msgspec
import trio

from appliance.extension.ports import Storage
from appliance.kernel.wakeup import Wakeup
from appliance.model.errors import Retryable
from appliance.model.unit import Unit


class _Debt(msgspec.Struct, frozen=True):
    units: Sequence[Unit]
    follow: Callable[[], None] | None
    paid: trio.Event


class Owed:
    """What storage has yet to take; a Component."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._debts: deque[_Debt] = deque()
        self._owing = Wakeup()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Pay what is owed, until cancelled."""
        task_status.started()
        while True:
            await self._owing.wait()
            while self._debts:
                await self._pay(self._debts[0])

    def refuse_while_owing(self) -> None:
        """Raise Retryable while the state is ahead of the disk."""
        if self._debts:
            raise Retryable("storage is behind", hint="see the storage section of the status")

    async def attempt(self, units: Sequence[Unit]) -> None:
        """Return when the units are durable; raise Retryable when they cannot be now.

        Shielded: a device or a peer that hangs up must not leave state and disk apart.
        """
        self.refuse_while_owing()
        with trio.CancelScope(shield=True):
            await self._storage.commit(units)

    def owe(self, units: Sequence[Unit], follow: Callable[[], None] | None = None) -> trio.Event:
        """Commit the units after all that is owed already, then call; says when that is done."""
        debt = _Debt(units, follow, trio.Event())
        self._debts.append(debt)
        self._owing.set()
        return debt.paid

    async def commit(self, units: Sequence[Unit]) -> None:
        """Return when the units are durable, however long storage pushes back.

        Cancelled: they become durable all the same.
        """
        try:
            await self.attempt(units)
        except Retryable:
            await self.owe(units).wait()

    async def settled(self) -> None:
        """Return when nothing is owed."""
        while self._debts:
            await self._debts[-1].paid.wait()

    async def _pay(self, debt: _Debt) -> None:
        try:
            with trio.CancelScope(shield=True):
                await self._storage.commit(debt.units)
        except Retryable as error:
            await trio.sleep(error.retry_after_s)
        else:
            self._debts.popleft()
            if debt.follow is not None:
                debt.follow()
            debt.paid.set()
