"""What rule nodes cause beside the unit of work: implements rules.ports.RuleServices."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
import trio

from appliance.edge.gateways import news_for_gateways
from appliance.edge.kept import ended, kept, waiting
from appliance.edge.presence import Presence
from appliance.edge.processor import Processor
from appliance.edge.rpc import ReplyDesk, RpcDesk, RpcRequest
from appliance.edge.sessions import Sessions
from appliance.fields.engine import Fields
from appliance.kernel.clock import Clock
from appliance.kernel.events import Emit, Event
from appliance.model.errors import Retryable
from appliance.model.ids import EntityId, new_uuid
from appliance.model.message import Message
from appliance.model.telemetry import Scope, Value
from appliance.model.unit import CLOUD, Lane, OutboxEvent, Unit
from appliance.rules.ports import CalculationInput, RpcOutcome, RpcToDevice, Task
from appliance.rules.work import Work
from appliance.state.store import State
from appliance.sync.incoming import source_metadata
from appliance.sync.mapping import rpc_to_json
from appliance.sync.messages import RpcCall

Ending = Callable[[RpcOutcome], Awaitable[None]]
"""What is to be done with the outcome of a request, besides telling the rule node."""
CALLS_MAX = 10_000
"""Requests of the cloud that wait for a device at once; see edge.rpc.PENDING_MAX."""


class RpcAnswered(Event, frozen=True):
    """A request of the cloud was answered; the answer is in the priority lane."""

    text = "RPC {method} for {device}: {outcome}"
    counters = {"rpc_answers": ""}
    labels = ("outcome",)
    level = "debug"
    device: str
    method: str
    outcome: str


class RpcTurnedAway(Event, frozen=True):
    """A request of the cloud found too many others waiting; its caller runs into his timeout."""

    level = "warning"
    text = "RPC {method} turned away: {reason}"
    counters = {"rpc_turned_away": ""}
    method: str
    reason: str


class EdgeServices:
    """Requests to devices, replies, notices; a Component that owns the waiting requests."""

    def __init__(
        self,
        state: State,
        processor: Processor,
        sessions: Sessions,
        desk: RpcDesk,
        replies: ReplyDesk,
        presence: Presence,
        clock: Clock,
        emit: Emit,
    ) -> None:
        self._state = state
        self._processor = processor
        self._sessions = sessions
        self._desk = desk
        self._replies = replies
        self._presence = presence
        self._clock = clock
        self._emit = emit
        self.fields: Fields | None = None
        """Set once by the composition, which needs the services to make the calculated fields."""
        self._calls: dict[UUID, Ending] = {}
        self._asked: dict[UUID, None] = {}
        """Requests of the cloud that run or were answered: a repeat after a cut is not heard."""
        self._to_run, self._runs = trio.open_memory_channel[Callable[[], Any]](CALLS_MAX)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own the tasks of requests that wait for devices, until cancelled."""
        async with trio.open_nursery() as nursery:
            for call, from_cloud in waiting(self._state):
                if from_cloud and call.request_uuid is not None:
                    self._asked[call.request_uuid] = None
                nursery.start_soon(self._ask, call, from_cloud)
            task_status.started()
            async for start in self._runs:
                nursery.start_soon(self._run, start)

    async def _run(self, start: Callable[[], Any]) -> None:
        try:
            await start()
        except Retryable as error:  # the disk takes nothing now; the caller's timeout tells him
            self._emit(RpcTurnedAway(method="", reason=str(error)))

    # --- the cloud's requests -----------------------------------------------------------------

    def keep(self, calls: Iterable[RpcCall], unit: Unit) -> None:
        """Let persistent requests that are new be part of the unit that brings them."""
        for call in calls:
            asks = call.persisted and call.method is not None and call.device_id is not None
            uuid = call.request_uuid
            if asks and uuid is not None and self._state.entity("RPC", uuid) is None:
                unit.entities.append(kept(call, self._state.tenant_id, from_cloud=True))

    async def queue(self, call: RpcCall) -> None:
        """Keep a persistent request made on this edge and ask the device. Raises Retryable."""
        call = msgspec.structs.replace(call, persisted=True)
        stored = kept(call, self._state.tenant_id, from_cloud=False)
        await self._processor.commit_whole(Unit(entities=[stored]))
        self.spawn(lambda: self._ask(call, from_cloud=False))

    def tell_gateways(self, unit: Unit) -> list[RpcCall]:
        """Let what gateways must hear of a unit be part of it, before it is applied; for `ask`."""
        calls = list(news_for_gateways(unit, self._state, self._clock()))
        unit.entities += [kept(call, self._state.tenant_id, from_cloud=False) for call in calls]
        return calls

    def ask(self, calls: Iterable[RpcCall]) -> None:
        """Put kept requests to their devices; those for which there is no room now, at a start.

        Nothing of those that were not kept, because storage refused what they are about.
        """
        for call in calls:
            if call.request_uuid is None or self._state.body("RPC", call.request_uuid) is None:
                continue
            try:
                self.spawn(partial(self._ask, call, from_cloud=False))
            except Retryable as error:
                self._emit(RpcTurnedAway(method=call.method or "", reason=str(error)))

    def withdraw(self, uuid: UUID) -> None:
        """A kept request is not wanted any more, and is not in the state."""
        self._desk.withdraw(uuid)

    def call_from_cloud(self, call: RpcCall) -> None:
        """A request or an answer came down. Must not wait: the link goes on."""
        if call.method is None:
            self._answer_from_cloud(call)
        elif call.device_id is not None and not self._is_repeat(call):
            try:
                self.spawn(lambda: self._ask(call))
            except Retryable as error:
                self._emit(RpcTurnedAway(method=call.method, reason=str(error)))
                if call.request_uuid is not None:
                    del self._asked[call.request_uuid]

    def _is_repeat(self, call: RpcCall) -> bool:
        """Whether the request came before; its answer is under way already, if it has one."""
        uuid = call.request_uuid
        if uuid is None or uuid in self._asked:
            return uuid is not None
        known = self._state.entity("RPC", uuid)
        if known is not None and known["status"] != "QUEUED":
            return True
        self._asked[uuid] = None
        if len(self._asked) > CALLS_MAX:
            del self._asked[next(iter(self._asked))]
        return False

    def _answer_from_cloud(self, call: RpcCall) -> None:
        session = _uuid(call.session_id or "")
        if session is not None:
            text = call.response
            body = _json_or_text(text) if text is not None else {"error": call.error}
            self._replies.reply(session, call.request_id, body)

    async def _ask(self, call: RpcCall, from_cloud: bool = True) -> None:
        """Send it through the rule chain, whose RPC node hands it to the device (§8.1).

        A persistent one is not given up while storage takes nothing.
        """
        assert call.device_id is not None
        answer = partial(self._answer, call, from_cloud=from_cloud)
        device = EntityId("DEVICE", call.device_id)
        if self._state.entity("DEVICE", call.device_id) is None:
            await answer(RpcOutcome(error="NOT_FOUND"))
            return
        uuid = call.request_uuid or new_uuid()
        while True:
            try:
                await self._through_chain(self._request_message(call, device, uuid), answer)
                return
            except Retryable as error:
                if not call.persisted:
                    await answer(RpcOutcome(error="INTERNAL"))
                    return
                await trio.sleep(error.retry_after_s)

    async def _through_chain(self, message: Message, ending: Ending) -> None:
        """Run a request's message; without an RPC node in its way the ending comes at once."""
        self._calls[message.id] = ending
        try:
            await self._processor.process([message])
        finally:
            unanswered = self._calls.pop(message.id, None)
        if unanswered is not None:
            await ending(RpcOutcome(error="INTERNAL"))

    async def call_device(self, call: RpcCall) -> RpcOutcome:
        """A request made on this edge, through the same chain; waits for its outcome."""
        assert call.device_id is not None
        came = trio.Event()
        outcome = RpcOutcome(error="TIMEOUT")

        async def end(found: RpcOutcome) -> None:
            nonlocal outcome
            outcome = found
            came.set()

        device = EntityId("DEVICE", call.device_id)
        uuid = call.request_uuid or new_uuid()
        await self._through_chain(self._request_message(call, device, uuid), end)
        with trio.move_on_after(max(0.0, (call.expires_ms - self._clock()) / 1000) + 1.0):
            await came.wait()
        return outcome

    def _request_message(self, call: RpcCall, device: EntityId, uuid: UUID) -> Message:
        metadata = source_metadata(device, self._state, "cloud") | {
            "requestUUID": str(uuid),
            "originServiceId": call.service_id or "cloud",
            "expirationTime": str(call.expires_ms),
            "oneway": _text(call.oneway),
            "persistent": _text(bool(call.persisted)),
        }
        del metadata["source"]
        if call.retries is not None:
            metadata["retries"] = str(call.retries)
        data = {"method": call.method, "params": call.params}
        if call.additional_info:
            data["additionalInfo"] = call.additional_info
        kind = "RPC_CALL_FROM_SERVER_TO_DEVICE"
        return Message(uuid, self._clock(), kind, device, data, metadata)

    async def _answer(self, call: RpcCall, outcome: RpcOutcome, *, from_cloud: bool) -> None:
        """One event in the priority lane: the sender picks it up at once."""
        unit = Unit()
        if from_cloud:
            unit.events.append(self._answer_event(call, outcome))
        if call.persisted and call.request_uuid is not None:
            unit.entities += ended(self._state, call.request_uuid, outcome)
        if not await self._commit_answer(unit):
            return
        if from_cloud:
            said = outcome.error or "answered"
            device = EntityId("DEVICE", call.device_id) if call.device_id else ""
            self._emit(RpcAnswered(device=str(device), method=call.method or "", outcome=said))

    async def _commit_answer(self, unit: Unit) -> bool:
        """Whether it is durable; the end of a kept request waits for storage."""
        if unit.entities:
            self._state.apply(unit)
            await self._processor.commit_received([unit])
            return True
        try:
            await self._processor.commit(unit)
        except Retryable:
            return False  # the disk takes nothing now; the caller's own timeout tells him
        return True

    def _answer_event(self, call: RpcCall, outcome: RpcOutcome) -> OutboxEvent:
        response = None if outcome.error else msgspec.json.encode(outcome.reply).decode()
        if outcome.error and call.request_uuid is not None:
            self._asked.pop(call.request_uuid, None)  # to ask again may be another try
        answer = RpcCall(
            device_id=call.device_id,
            request_uuid=call.request_uuid,
            request_id=call.request_id,
            expires_ms=call.expires_ms,
            oneway=call.oneway,
            response=response,
            error=outcome.error,
            persisted=call.persisted,
            service_id=call.service_id,
            session_id=call.session_id,
        )
        assert call.device_id is not None
        device = EntityId("DEVICE", call.device_id)
        body = rpc_to_json(answer)
        return OutboxEvent(CLOUD, Lane.PRIORITY, "DEVICE", "RPC_CALL", device, body)

    # --- RuleServices -------------------------------------------------------------------------

    def submit(self, task: Task) -> None:
        """See RuleServices."""
        self._processor.submit(task)

    def rpc_to_device(self, request: RpcToDevice, done: Callable[[RpcOutcome], None]) -> None:
        """See RuleServices. The answer to a request of the cloud goes up from here."""
        ending = self._calls.get(request.request_uuid)
        try:
            self.spawn(lambda: self._deliver(request, ending, done))
        except Retryable as error:
            self._emit(RpcTurnedAway(method=request.method, reason=str(error)))
            done(RpcOutcome(error="INTERNAL"))
        else:
            self._calls.pop(request.request_uuid, None)

    async def _deliver(
        self, request: RpcToDevice, ending: Ending | None, done: Callable[[RpcOutcome], None]
    ) -> None:
        if request.persistent:
            done(RpcOutcome(reply={"rpcId": str(request.request_uuid)}))
        asked = RpcRequest(
            device=request.device.id,
            method=request.method,
            params=request.params,
            oneway=request.oneway,
            expires_ms=request.expires_ms,
            uuid=request.request_uuid,
            persistent=request.persistent,
        )
        end = await self._desk.call(asked)
        outcome = RpcOutcome(reply=end.response, error=end.error)
        if ending is not None:
            await ending(outcome)
        if not request.persistent:
            done(outcome)

    def reply_to_device(
        self, device: EntityId, service_id: str, session_id: str, request_id: int, body: str
    ) -> None:
        """See RuleServices."""
        session = _uuid(session_id)
        if session is not None:
            self._replies.reply(session, request_id, _json_or_text(body))

    def reply_to_rest(self, service_id: str, request_uuid: UUID, message: Message) -> None:
        """See RuleServices."""
        self._replies.reply(request_uuid, 0, message.data)

    def notify_attributes(
        self,
        entity: EntityId,
        scope: Scope,
        updated: Mapping[str, Value],
        deleted: Sequence[str],
    ) -> None:
        """See RuleServices."""
        if scope is Scope.SHARED and entity.type == "DEVICE":
            self._sessions.notify_attributes(entity.id, updated, deleted)

    def device_event(self, device: EntityId, event: str, ts: int) -> None:
        """See RuleServices."""
        self._presence.told(device, event, ts)

    def calculate(self, values: CalculationInput, work: Work) -> None:
        """See RuleServices."""
        if self.fields is not None:
            self.fields.calculate(values, work)

    def spawn(self, start: Callable[[], Any]) -> None:
        """Run a coroutine function in this component's own nursery. Raises Retryable."""
        try:
            self._to_run.send_nowait(start)
        except trio.WouldBlock:
            raise Retryable(f"{CALLS_MAX} requests wait for devices already") from None


def _text(flag: bool) -> str:
    return "true" if flag else "false"


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _json_or_text(text: str | None) -> Any:
    if not text:
        return {}
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
