"""RPC on the cloud: callers that wait for devices behind edges, and devices that ask the cloud."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import trio

from appliance.cloud.registry import event_for
from appliance.extension.ports import Storage
from appliance.kernel.clock import Clock
from appliance.model.ids import EntityId, new_uuid
from appliance.model.unit import Lane, Unit
from appliance.sync.mapping import rpc_to_json
from appliance.sync.messages import RpcCall


class CallEnd(msgspec.Struct, frozen=True):
    """How a call ended: the device's answer as JSON text, or the name of an RpcError."""

    response: str | None = None
    error: str | None = None


class _Waiting:
    __slots__ = ("came", "end")

    def __init__(self) -> None:
        self.came = trio.Event()
        self.end = CallEnd(error="TIMEOUT")


class Calls:
    """Sends requests down in the priority lane and wakes their callers."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self._waiting: dict[UUID, _Waiting] = {}
        self._numbers: dict[UUID, int] = {}

    async def call(
        self, edge: UUID, device: UUID, method: str, params: str, timeout_s: float, *, oneway: bool
    ) -> CallEnd:
        """Ask a device behind an edge; waits for its answer, at most timeout_s."""
        uuid = new_uuid()
        number = self._numbers.get(device, 0)
        self._numbers[device] = number + 1
        call = RpcCall(
            device_id=device,
            request_uuid=uuid,
            request_id=number,
            expires_ms=self._clock() + int(timeout_s * 1000),
            oneway=oneway,
            method=method,
            params=params,
            persisted=False,
        )
        waiting = self._waiting[uuid] = _Waiting()
        try:
            await self._send(edge, call)
            with trio.move_on_after(timeout_s):
                await waiting.came.wait()
            return waiting.end
        finally:
            del self._waiting[uuid]

    def from_edge(self, edge: UUID, call: RpcCall) -> None:
        """An answer came up. A device's own request has nobody to answer it on this cloud."""
        if call.method is not None or call.request_uuid is None:
            return
        waiting = self._waiting.get(call.request_uuid)
        if waiting is not None:
            waiting.end = CallEnd(call.response, call.error or None)
            waiting.came.set()

    async def _send(self, edge: UUID, call: RpcCall) -> None:
        assert call.device_id is not None
        device = EntityId("DEVICE", call.device_id)
        event = event_for(edge, device, "RPC_CALL", rpc_to_json(call), Lane.PRIORITY)
        await self._storage.commit([Unit(events=[event])])


def params_text(params: Any) -> str:
    """Params as the wire wants them: JSON text."""
    return msgspec.json.encode(params).decode()
