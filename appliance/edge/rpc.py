"""RPC desk: requests on their way to devices and back (spec/edge-protocol.md §8.1).

In memory on purpose: an RPC is a person waiting. Persistent ones outlive a restart (kept.py); the
desk is then asked once more. At most `PENDING_MAX` requests wait at once, which is a thousand
people at ten devices each; beyond that a request is answered with an error instead of being queued.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import msgspec
import trio

from appliance.extension.ports import Downlink

PENDING_MAX = 10_000


class RpcOutcome(msgspec.Struct, frozen=True):
    """The end of a request: the device's answer (any JSON), or the name of an RpcError."""

    response: Any = None
    error: str | None = None


class RpcRequest(msgspec.Struct, frozen=True):
    """A request for a device. params: any JSON. expires_ms: epoch milliseconds.

    persistent: wait for a session of the device until then, one-way or not.
    """

    device: UUID
    method: str
    params: Any
    oneway: bool
    expires_ms: int
    uuid: UUID | None = None
    persistent: bool = False


class _Pending:
    __slots__ = ("delivered", "done", "outcome", "request", "request_id")

    def __init__(self, request: RpcRequest, request_id: int) -> None:
        self.request = request
        self.request_id = request_id
        self.delivered = False
        self.done = trio.Event()
        self.outcome = RpcOutcome(error="TIMEOUT")


class RpcDesk:
    """Hands requests to device sessions and matches their answers by device and request id."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._pending: dict[tuple[UUID, int], _Pending] = {}
        self._counters: dict[UUID, int] = {}
        self._listeners: dict[UUID, list[Downlink]] = {}

    def listen(self, device: UUID, downlink: Downlink) -> Callable[[], None]:
        """A session takes requests from now on; queued ones follow at once.

        Of several sessions of one device the newest is asked.
        """
        self._listeners.setdefault(device, []).append(downlink)
        for (owner, _), pending in list(self._pending.items()):
            if owner == device and not pending.delivered and not pending.done.is_set():
                self._deliver(pending)

        def stop() -> None:
            listeners = self._listeners.get(device, [])
            if downlink in listeners:
                listeners.remove(downlink)
            if not listeners:
                self._listeners.pop(device, None)

        return stop

    def listens(self, device: UUID) -> bool:
        """Whether a session of that device takes requests now."""
        return device in self._listeners

    async def call(self, request: RpcRequest) -> RpcOutcome:
        """Ask the device and wait for its answer until the request expires.

        A one-way request ends when a session took it; without a session at once, with
        NO_ACTIVE_CONNECTION, as the reference does, unless it is persistent. A two-way one waits
        for a session to come. A persistent one that has expired is never put to the device.
        """
        waits = request.persistent or not request.oneway
        late = request.persistent and request.expires_ms <= self._clock()
        if late or (not waits and request.device not in self._listeners):
            return RpcOutcome(error="NO_ACTIVE_CONNECTION")
        if len(self._pending) >= PENDING_MAX:
            return RpcOutcome(error="INTERNAL")
        request_id = self._counters.get(request.device, 0)
        self._counters[request.device] = request_id + 1
        pending = _Pending(request, request_id)
        self._pending[request.device, request_id] = pending
        try:
            self._deliver(pending)
            with trio.move_on_after(max(0.0, (request.expires_ms - self._clock()) / 1000)):
                await pending.done.wait()
            return self._outcome(pending)
        finally:
            del self._pending[request.device, request_id]

    def _outcome(self, pending: _Pending) -> RpcOutcome:
        if not pending.done.is_set() and not pending.delivered:
            return RpcOutcome(error="NO_ACTIVE_CONNECTION")
        return pending.outcome

    def reply(self, device: UUID, request_id: int, body: Any) -> bool:
        """The device answered; False for an id nobody waits for."""
        pending = self._pending.get((device, request_id))
        if pending is None:
            return False
        pending.outcome = RpcOutcome(response=body)
        pending.done.set()
        return True

    def withdraw(self, uuid: UUID) -> None:
        """Nobody wants it any more; a device that does not have it yet never hears of it."""
        for pending in self._pending.values():
            if pending.request.uuid == uuid:
                pending.outcome = RpcOutcome(error="NOT_FOUND")
                pending.done.set()

    def delivered(self, device: UUID, request_id: int) -> None:
        """The device confirmed that it has the request; its answer is yet to come."""
        pending = self._pending.get((device, request_id))
        if pending is not None:
            pending.delivered = True

    def _deliver(self, pending: _Pending) -> None:
        request = pending.request
        pending.delivered = any(
            downlink.rpc(pending.request_id, request.method, request.params, oneway=request.oneway)
            for downlink in reversed(self._listeners.get(request.device, ()))
        )
        if pending.delivered and request.oneway:
            pending.outcome = RpcOutcome(response={})
            pending.done.set()


class Expected:
    """An answer on its way."""

    def __init__(self) -> None:
        self.body: Any = None
        self.came = trio.Event()

    async def wait(self, timeout_s: float) -> Any:
        """The answer's JSON. Raises trio.TooSlowError."""
        with trio.fail_after(timeout_s):
            await self.came.wait()
        return self.body


class ReplyDesk:
    """Devices' own requests to the server: who waits for which answer.

    session_id: made per request here, travels as `sessionId`; a UUID, as the server wants (§8.1).
    """

    def __init__(self) -> None:
        self._waiting: dict[tuple[UUID, int], Expected] = {}

    @contextmanager
    def expecting(self, session_id: UUID, request_id: int) -> Iterator[Expected]:
        """Take an answer from now on, to be waited for inside."""
        expected = self._waiting[session_id, request_id] = Expected()
        try:
            yield expected
        finally:
            del self._waiting[session_id, request_id]

    def reply(self, session_id: UUID, request_id: int, body: Any) -> bool:
        """An answer came; False if nobody waits for it."""
        answer = self._waiting.get((session_id, request_id))
        if answer is None:
            return False
        answer.body = body
        answer.came.set()
        return True
