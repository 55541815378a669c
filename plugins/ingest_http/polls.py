"""Long polls: a request that waits for one push from the core (spec §1.1).

One poll takes one message. What it does not take stays with the core, which offers queued RPCs to
the next `subscribe`. A poll whose client hung up must take nothing: a message handed to nobody
would be lost, so the end of the connection ends the poll.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import trio

from appliance.extension.ports import DeviceSession, Gate, HttpRequest, HttpResponse
from appliance.model.telemetry import Value
from plugins.ingest_http.answers import DELETED, TIMED_OUT, json_answer


class Poll:
    """A `Downlink` that turns its first push into an answer.

    request_id: of the RPC taken, or None.
    """

    def __init__(self) -> None:
        self.request_id: int | None = None
        self._answer: HttpResponse | None = None
        self._answered = trio.Event()

    def attributes(self, updated: dict[str, Value], deleted: Sequence[str]) -> None:
        """See Downlink: a flat object; removed keys as `deleted`."""
        body: dict[str, Any] = dict(updated)
        if deleted:
            body["deleted"] = list(deleted)
        if body:
            self.end(json_answer(body))

    def rpc(self, request_id: int, method: str, params: Any, *, oneway: bool) -> bool:
        """See Downlink: the first is taken."""
        taken = self.end(json_answer({"id": request_id, "method": method, "params": params}))
        if taken:
            self.request_id = request_id
        return taken

    def closed(self, reason: str) -> None:
        """See Downlink: a deleted device is told so, any other is asked to poll again."""
        self.end(DELETED if reason == "deleted" else TIMED_OUT)

    def end(self, answer: HttpResponse) -> bool:
        """Answer the poll; False when it has its answer already."""
        if self._answer is not None:
            return False
        self._answer = answer
        self._answered.set()
        return True

    async def wait(self, timeout_s: float) -> HttpResponse:
        """The answer, or 408 after the timeout."""
        with trio.move_on_after(timeout_s):
            await self._answered.wait()
        self.end(TIMED_OUT)
        assert self._answer is not None
        return self._answer


class Polls:
    """All polls that wait now."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._waiting: set[Poll] = set()

    async def answer(
        self, session: DeviceSession, request: HttpRequest, what: str, timeout_s: float
    ) -> HttpResponse:
        """Wait for a push. what: "attributes" or "rpc"."""
        poll = Poll()
        self._waiting.add(poll)
        attributes = what == "attributes"
        unsubscribe = self._gate.subscribe(session, poll, attributes=attributes, rpc=not attributes)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_end_with_client, request, poll)
                response = await poll.wait(timeout_s)
                nursery.cancel_scope.cancel()
        finally:
            poll.end(TIMED_OUT)
            unsubscribe()
            self._waiting.discard(poll)
        if poll.request_id is not None:
            self._gate.rpc_delivered(session, poll.request_id)
        return response

    def end_all(self) -> None:
        """Answer every poll now with "poll again"."""
        for poll in self._waiting:
            poll.end(TIMED_OUT)


async def _end_with_client(request: HttpRequest, poll: Poll) -> None:
    await request.wait_closed()
    poll.end(TIMED_OUT)
