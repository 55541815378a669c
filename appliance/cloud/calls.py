"""RPC on the cloud: callers that wait for devices behind edges, and requests that are kept.

A kept (persistent) request is an entity of kind RPC: QUEUED until the edge answers for the device,
then SUCCESSFUL, TIMEOUT, FAILED or EXPIRED. Its event waits in the edge's priority lane as long as
the edge is away. EXPIRED when its time ends without an answer, until one comes: the device may have
answered in time, and the link was cut.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import trio

from appliance.cloud.registry import rpc_event
from appliance.extension.ports import Storage
from appliance.kernel.clock import Clock
from appliance.model.ids import EntityId, new_uuid
from appliance.model.message import Message
from appliance.model.unit import EntityWrite, Unit
from appliance.state.store import State
from appliance.sync.incoming import source_metadata
from appliance.sync.messages import RpcCall
from appliance.web.rpc_forms import rpc_body, rpc_status

_LOOK_S = 1.0
_OPEN = ("QUEUED", "EXPIRED")


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
    """Sends requests down in the priority lane and wakes their callers; a Component."""

    def __init__(self, storage: Storage, state: State, clock: Clock) -> None:
        self._storage = storage
        self._state = state
        self._clock = clock
        self._waiting: dict[UUID, _Waiting] = {}
        self._numbers: dict[UUID, int] = {}

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Let kept requests expire, until cancelled."""
        task_status.started()
        while True:
            await trio.sleep(_LOOK_S)
            now_ms = self._clock()
            for body in self._state.entities("RPC"):
                if body["status"] == "QUEUED" and body["expirationTime"] <= now_ms:
                    await self._change(body, "EXPIRED", None)

    async def call(self, edge: UUID, call: RpcCall) -> CallEnd:
        """Ask a device behind an edge; waits for its answer until the request expires."""
        call = self._numbered(call)
        assert call.request_uuid is not None
        waiting = self._waiting[call.request_uuid] = _Waiting()
        try:
            await self._storage.commit([Unit(events=[rpc_event(edge, call)])])
            with trio.move_on_after(max(0.0, (call.expires_ms - self._clock()) / 1000)):
                await waiting.came.wait()
            return waiting.end
        finally:
            del self._waiting[call.request_uuid]

    async def keep(self, edge: UUID, call: RpcCall) -> None:
        """Store a persistent request and send it when the edge is there."""
        call = self._numbered(msgspec.structs.replace(call, persisted=True))
        assert call.request_uuid is not None
        unit = Unit(events=[rpc_event(edge, call)])
        body = rpc_body(call.request_uuid, self._state.tenant_id, call, "QUEUED", None)
        encoded = msgspec.json.encode(body)
        unit.entities.append(EntityWrite("RPC", call.request_uuid, encoded))
        await self._storage.commit([unit])
        self._state.apply(unit)

    async def from_edge(self, edge: UUID, call: RpcCall) -> None:
        """An answer came up, or a device's own request that no rules take; answered at once."""
        if call.method is not None:
            await self._answer_device(edge, call)
            return
        if call.request_uuid is None:
            return
        waiting = self._waiting.get(call.request_uuid)
        if waiting is not None:
            waiting.end = CallEnd(call.response, call.error or None)
            waiting.came.set()
        kept = self._state.entity("RPC", call.request_uuid)
        if kept is not None and kept["status"] in _OPEN:
            response = _json_or_text(call.response) if call.response else None
            if _only_taken(response):
                return
            await self._change(kept, rpc_status(call.error), response)

    async def _answer_device(self, edge: UUID, call: RpcCall) -> None:
        """No rule chain runs that could know the answer; the device hears that (§8.1)."""
        if call.device_id is not None:
            text = msgspec.json.encode({"error": f"nobody here answers {call.method!r}"})
            answer = msgspec.structs.replace(call, method=None, params="", response=text.decode())
            await self._storage.commit([Unit(events=[rpc_event(edge, answer)])])

    async def _change(self, body: dict[str, Any], status: str, response: Any) -> None:
        uuid = UUID(body["id"]["id"])
        changed = msgspec.json.encode({**body, "status": status, "response": response})
        unit = Unit(entities=[EntityWrite("RPC", uuid, changed)])
        await self._storage.commit([unit])
        self._state.apply(unit)

    def _numbered(self, call: RpcCall) -> RpcCall:
        """With the next request id of its device, by which a server matches answers (§8.1)."""
        assert call.device_id is not None
        number = self._numbers.get(call.device_id, 0)
        self._numbers[call.device_id] = number + 1
        return msgspec.structs.replace(call, request_id=number)


def question(edge: UUID, call: RpcCall, state: State, now_ms: int) -> Message:
    """A device's own request as the tenant's root chain gets it (§8.1).

    The answer finds its way back by the metadata (CloudRules.reply_to_device).
    """
    assert call.device_id is not None
    device = EntityId("DEVICE", call.device_id)
    metadata = source_metadata(device, state, "edge") | {
        "requestId": str(call.request_id),
        "serviceId": call.service_id or "",
        "sessionId": call.session_id or "",
        "edgeId": str(edge),
        "deviceId": str(device.id),
    }
    del metadata["source"]
    data = {"method": call.method, "params": _json_or_text(call.params)}
    return Message(new_uuid(), now_ms, "TO_SERVER_RPC_REQUEST", device, data, metadata)


def _only_taken(response: Any) -> bool:
    """Whether the edge says no more than that it keeps the request itself (trace 05).

    What the device answers stays on such an edge; the request here ends when its time does.
    """
    return isinstance(response, dict) and list(response) == ["rpcId"]


def _json_or_text(text: str) -> Any:
    """A device may answer with anything."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
