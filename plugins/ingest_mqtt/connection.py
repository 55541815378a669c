"""The thin driver: one Trio task per connection, reading chunks and performing actions.

Order and durability: telemetry messages that follow one another in one chunk, of a device or of a
gateway, go to the gate in one `post_telemetry` call, and only its return releases their
acknowledgements, which leave together in one write. The next chunk is read after that, so a device
that sends faster than the store takes fills its own socket, not our memory: at most one chunk
(8 KiB) and one unfinished packet are held of each.

When the core cannot take messages (Retryable), the same posts are tried again for `hold_s_max`,
unacknowledged and with nothing more being read; then the connection is closed (version 5:
DISCONNECT 0x97, quota exceeded), because a device that is disconnected without PUBACK sends
again by itself, while a negative PUBACK would make most clients forget the message.

Towards the device: answers and pushes leave through one `Outgoing`; a device that does not take
them is disconnected. A device's own requests run beside the reading, at most 16.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import msgspec
import trio

from appliance.extension.hookspecs import Context
from appliance.extension.ports import DeviceSession, Gate
from appliance.model.errors import Permanent, Retryable
from appliance.model.telemetry import Value
from plugins.ingest_mqtt import actions, events
from plugins.ingest_mqtt.actions import Action, Receipt
from plugins.ingest_mqtt.config import MqttConfig
from plugins.ingest_mqtt.downlinks import Request
from plugins.ingest_mqtt.gateway import Gateway
from plugins.ingest_mqtt.outgoing import CHUNK_BYTES, LOST, Outgoing
from plugins.ingest_mqtt.packets import Reason, Version
from plugins.ingest_mqtt.session import NoRoom, Session

CALLS_MAX = 16
"""Requests of one device that wait for the server; each may wait a minute."""
MAX_INFLIGHT_MESSAGES = 100
PROVISION_LINGER_S = 60.0
"""A provisioning session is closed after so long a silence (§2.7)."""

P = TypeVar("P")
"""What a message carries."""

_PUSH_REASONS = {"taken over": Reason.TAKEN_OVER}
"""Why the core ends a session; every other word is an administrative action."""


class Shared(msgspec.Struct, frozen=True):
    """What all connections of a listener have in common.

    enter: called when a connection proved its device, so that an older one is closed;
    leave: called when it ends.
    """

    config: MqttConfig
    context: Context
    gate: Gate
    enter: Callable[[Connection], None]
    leave: Callable[[Connection], None]


class Connection:
    """One client's connection; also the `Downlink` that the core pushes to."""

    def __init__(self, stream: trio.abc.Stream, peer: str, shared: Shared) -> None:
        config = shared.config
        self._stream = stream
        self._shared = shared
        self._gate = shared.gate
        self._session = Session(peer, config.packet_bytes_max, type_cast=config.type_cast)
        self._scope = trio.CancelScope()
        self._nursery: trio.Nursery | None = None
        self._outgoing = Outgoing(stream, config.send_timeout_s, self._on_lost)
        self._gateway: Gateway | None = None
        self._calls = 0
        self._end_reason = ""
        self._stop_activity: Callable[[], None] | None = None
        self._stop_pushes: Callable[[], None] | None = None

    @property
    def device(self) -> DeviceSession | None:
        """Who speaks, once proven."""
        return self._session.device

    async def run(self) -> None:
        """Serve until either side ends it; never raises for what a client does."""
        try:
            with self._scope:
                async with trio.open_nursery() as self._nursery:
                    await self._serve()
                    self._nursery.cancel_scope.cancel()
        finally:
            self._end(Reason.SERVER_STOPPING, "the appliance stops")  # unless something else did
            self._leave(self._end_reason)
            await self._outgoing.close()

    # --- reading ---------------------------------------------------------------------------------

    async def _serve(self) -> None:
        with trio.CancelScope() as patience:  # one for all reads: a scope costs as much as parsing
            while not self._end_reason:
                patience.deadline = trio.current_time() + self._patience_s()
                data = await self._read()
                patience.deadline = math.inf
                if not data:
                    self._end_reason = "the device hung up"
                    return
                await self._perform(self._session.receive(data))
                await self._outgoing.flush()
        if patience.cancelled_caught:
            self._end(Reason.CONNECT_TIME_EXCEEDED, "silent for too long")

    async def _read(self) -> bytes:
        try:
            return bytes(await self._stream.receive_some(CHUNK_BYTES))
        except LOST:
            return b""

    def _patience_s(self) -> float:
        if self._session.provisioning:
            return PROVISION_LINGER_S
        config = self._shared.config
        return config.inactivity_timeout_s if self.device else config.connect_timeout_s

    async def _perform(self, todo: Sequence[Action]) -> None:
        for action in todo:
            if isinstance(action, actions.Send):
                self._outgoing.add(action.data)
            elif isinstance(action, actions.PostTelemetry):
                await self._post_telemetry(action)
            elif isinstance(action, actions.Tell):
                self._shared.context.emit(action.event)
            elif isinstance(action, actions.Close):
                self._end_reason = self._end_reason or action.reason
            else:
                await _PERFORM[type(action)](self, action)
            if self._end_reason:
                return

    # --- posts -----------------------------------------------------------------------------------

    async def _post_telemetry(self, action: actions.PostTelemetry) -> None:
        device = self._device()
        await self._post_together(
            action.messages,
            lambda posts: self._gate.post_telemetry([(device, post) for post in posts]),
        )

    async def _gateway_telemetry(self, action: actions.GatewayTelemetry) -> None:
        gateway = self._gateway
        assert gateway is not None  # the session lets only gateways ask
        await self._post_together(action.messages, gateway.post_telemetry)

    async def _post_together(
        self, messages: list[tuple[Receipt, P]], post: Callable[[list[P]], Awaitable[None]]
    ) -> None:
        """Post messages in one call and acknowledge them; one by one where any is refused."""
        receipts = [receipt for receipt, _ in messages]
        try:
            await self._until_taken(lambda: post([body for _, body in messages]), len(messages))
        except Permanent as error:
            if len(messages) == 1:
                await self._perform(self._session.refused(receipts[0], str(error)))
                return
            for message in messages:  # find out which of them it is
                if not self._end_reason:
                    await self._post_together([message], post)
            return
        except Retryable as error:
            self._turn_away(len(messages), error)
            return
        self._acknowledge(receipts)

    async def _post(self, receipt: Receipt, post: Callable[[], Awaitable[None]]) -> bool:
        """Post anything else than telemetry and acknowledge it; whether it was taken."""
        try:
            await self._until_taken(post, 1)
        except Permanent as error:
            await self._perform(self._session.refused(receipt, str(error)))
            return False
        except Retryable as error:
            self._turn_away(1, error)
            return False
        self._acknowledge([receipt])
        return True

    async def _until_taken(self, post: Callable[[], Awaitable[None]], messages: int) -> None:
        """Try again while the core says that it will pass, `hold_s_max` at the most."""
        deadline = math.inf
        while True:
            try:
                return await post()
            except Retryable as error:
                now = trio.current_time()
                if deadline == math.inf:
                    deadline = now + self._shared.config.hold_s_max
                    self._tell_held(messages, error)
                if now >= deadline:
                    raise
                await trio.sleep(min(max(error.retry_after_s, 0.05), deadline - now))

    def _tell_held(self, messages: int, error: Retryable) -> None:
        name = self._session.name
        held = events.MqttDeviceHeld(device=name, messages=messages, reason=str(error))
        self._shared.context.emit(held)

    def _turn_away(self, messages: int, error: Retryable) -> None:
        away = events.MqttDeviceTurnedAway(
            device=self._session.name, messages=messages, reason=str(error)
        )
        self._shared.context.emit(away)
        self._end(Reason.QUOTA_EXCEEDED, "the core takes no messages")

    def _acknowledge(self, receipts: list[Receipt]) -> None:
        self._outgoing.add(b"".join(map(self._session.accepted, receipts)))
        taken = events.MqttMessagesAccepted(device=self._session.name, messages=len(receipts))
        self._shared.context.emit(taken)

    # --- other actions ---------------------------------------------------------------------------

    async def _authenticate(self, action: actions.Authenticate) -> None:
        try:
            device = self._gate.authenticate_basic(
                action.client_id, action.username, action.password
            )
            refusal = None if device else _refusal(action)
        except Retryable:
            device, refusal = None, Reason.SERVER_UNAVAILABLE
        self._leave("it connects again")
        todo = self._session.authenticated(device, refusal)
        if device is not None:
            self._enter(device)
        else:
            assert refusal is not None  # no device, no welcome
            self._tell_refused(action, refusal)
        await self._perform(todo)

    def _tell_refused(self, action: actions.Authenticate, refusal: Reason) -> None:
        refused = events.MqttConnectRefused(
            client_id=action.client_id or "",
            peer=self._session.peer,
            reason=refusal.name.lower().replace("_", " "),
        )
        self._shared.context.emit(refused)

    def _enter(self, device: DeviceSession) -> None:
        self._shared.enter(self)
        self._stop_activity = self._gate.connected(device)
        self._stop_pushes = self._gate.subscribe(device, self, attributes=False, rpc=False)
        if device.is_gateway:
            emit = self._shared.context.emit
            self._gateway = Gateway(device, self._gate, self._publish_for_child, emit)
        connected = events.MqttDeviceConnected(
            device=device.name, version=_SPOKEN[self._session.version], peer=self._session.peer
        )
        self._shared.context.emit(connected)

    def _leave(self, reason: str) -> None:
        """Undo `_enter`, if it happened."""
        if self._stop_activity is None or self._stop_pushes is None:
            return
        if self._gateway is not None:
            self._gateway.close()
            self._gateway = None
        self._stop_pushes()
        self._stop_activity()
        self._stop_activity = self._stop_pushes = None
        self._shared.leave(self)
        left = events.MqttDeviceDisconnected(device=self._session.name, reason=reason)
        self._shared.context.emit(left)

    async def _subscribed(self, action: actions.Subscribed) -> None:
        if self._stop_pushes is not None:
            self._stop_pushes()
        self._stop_pushes = self._gate.subscribe(
            self._device(), self, attributes=action.attributes, rpc=action.rpc
        )

    async def _post_attributes(self, action: actions.PostAttributes) -> None:
        device = self._device()
        await self._post(action.receipt, lambda: self._gate.post_attributes(device, action.values))

    async def _read_attributes(self, action: actions.ReadAttributes) -> None:
        client, shared = self._gate.read_attributes(self._device(), action.client, action.shared)
        body = {"client": client, "shared": shared}
        self._acknowledge([action.receipt])
        self._answer(action.reply, {name: values for name, values in body.items() if values})

    async def _rpc_reply(self, action: actions.RpcReply) -> None:
        device, request_id, body = self._device(), action.request_id, action.body
        await self._post(action.receipt, lambda: self._gate.rpc_reply(device, request_id, body))

    async def _rpc_delivered(self, action: actions.RpcDelivered) -> None:
        self._gate.rpc_delivered(action.device, action.request_id)

    async def _claim(self, action: actions.Claim) -> None:
        device, secret, duration_ms = self._device(), action.secret_key, action.duration_ms
        await self._post(action.receipt, lambda: self._gate.claim(device, secret, duration_ms))

    async def _gateway_message(self, action: actions.GatewayMessage) -> None:
        gateway, topic = self._gateway, action.receipt.topic
        assert gateway is not None  # the session lets only gateways ask
        await self._post(action.receipt, lambda: gateway.perform(action.request, topic))

    async def _provision(self, action: actions.Provision) -> None:
        answers: list[dict[str, Any]] = []

        async def ask() -> None:
            answers.append(await self._gate.provision(action.request))

        if await self._post(action.receipt, ask):
            self._answer(action.reply, answers[0])

    async def _call_server(self, action: actions.CallServer) -> None:
        """Acknowledged at once; the answer comes when there is one."""
        self._acknowledge([action.receipt])
        if action.method == "getSessionLimits":
            self._answer(action.reply, self._limits())
        elif self._calls >= CALLS_MAX:
            self._answer(action.reply, {"error": f"{CALLS_MAX} requests are waiting already"})
        else:
            assert self._nursery is not None  # open while actions are performed
            self._calls += 1
            self._nursery.start_soon(self._await_server, action)

    def _limits(self) -> dict[str, Any]:
        sizes = {
            "maxPayloadSize": self._shared.config.packet_bytes_max,
            "maxInflightMessages": MAX_INFLIGHT_MESSAGES,
        }
        return sizes | self._gate.session_limits(self._device())

    async def _await_server(self, action: actions.CallServer) -> None:
        timeout_s = self._shared.config.rpc_timeout_s
        try:
            body = await self._gate.rpc_to_server(
                self._device(), action.method, action.params, timeout_s
            )
        except trio.TooSlowError:
            body = {"error": "timeout"}
        except (Permanent, Retryable) as error:
            body = {"error": str(error)}
        self._calls -= 1
        self._answer(action.reply, body)
        await self._outgoing.flush()

    # --- Downlink --------------------------------------------------------------------------------

    def attributes(self, updated: dict[str, Value], deleted: Sequence[str]) -> None:
        """See `Downlink`. A device that cannot be told is disconnected, so that it asks anew."""
        self._push(lambda: self._session.push_attributes(updated, deleted))

    def rpc(self, request_id: int, method: str, params: Any, *, oneway: bool) -> bool:
        """See `Downlink`."""
        return self._offer(lambda: self._session.push_rpc(request_id, method, params))

    def closed(self, reason: str) -> None:
        """See `Downlink`."""
        self._end(_PUSH_REASONS.get(reason, Reason.ADMINISTRATIVE), reason)

    def _answer(self, topic: str, body: Any) -> None:
        """Publish a reply beside the acknowledgements of this chunk."""
        try:
            self._outgoing.add(self._session.publish(topic, body))
        except NoRoom as error:
            self._too_slow(str(error))

    def _publish_for_child(self, topic: str, body: Any, request: Request | None) -> bool:
        """Publish about a device behind this gateway; whether it goes out."""
        if request is not None:
            return self._offer(lambda: self._session.publish(topic, body, request))
        self._push(lambda: self._session.publish(topic, body))
        return not self._end_reason

    def _offer(self, encode: Callable[[], bytes | None]) -> bool:
        """Publish from outside the reading task if there is room; whether there was."""
        if self._end_reason or self._outgoing.is_full:
            return False
        try:
            data = encode()
        except NoRoom:
            return False
        self._write_soon(data or b"")
        return data is not None

    def _push(self, encode: Callable[[], bytes]) -> None:
        """Publish from outside the reading task, or end a session that has no room."""
        if self._end_reason:
            return
        try:
            data = encode()
        except NoRoom as error:
            self._too_slow(str(error))
            return
        if self._outgoing.is_full:
            self._too_slow("too much waits to be sent")
            return
        self._write_soon(data)

    def _too_slow(self, reason: str) -> None:
        slow = events.MqttDeviceTooSlow(device=self._session.name, reason=reason)
        self._shared.context.emit(slow)
        self._end(Reason.QUOTA_EXCEEDED, reason)

    # --- the end ---------------------------------------------------------------------------------

    def _write_soon(self, data: bytes) -> None:
        self._outgoing.add(data)
        if self._nursery is not None:
            self._outgoing.flush_soon(self._nursery)

    def _on_lost(self) -> None:
        self._end_reason = self._end_reason or "the device takes nothing"
        self._scope.cancel()

    def _end(self, reason: Reason, text: str) -> None:
        """End the session from outside its reading task; must not block."""
        if self._end_reason:
            return
        self._end_reason = text
        for action in self._session.end(reason, text):
            if isinstance(action, actions.Send):
                self._outgoing.add(action.data)
        self._scope.cancel()

    def _device(self) -> DeviceSession:
        assert self._session.device is not None  # actions that need one come after CONNECT
        return self._session.device


def _refusal(action: actions.Authenticate) -> Reason:
    by_client_id = action.username is None
    return Reason.CLIENT_ID_INVALID if by_client_id else Reason.BAD_CREDENTIALS


_SPOKEN = {Version.V3_1: "3.1", Version.V3_1_1: "3.1.1", Version.V5: "5"}

_PERFORM: dict[type[Any], Callable[[Connection, Any], Awaitable[None]]] = {
    actions.Authenticate: Connection._authenticate,
    actions.Subscribed: Connection._subscribed,
    actions.PostAttributes: Connection._post_attributes,
    actions.ReadAttributes: Connection._read_attributes,
    actions.RpcReply: Connection._rpc_reply,
    actions.RpcDelivered: Connection._rpc_delivered,
    actions.Claim: Connection._claim,
    actions.Provision: Connection._provision,
    actions.CallServer: Connection._call_server,
    actions.GatewayTelemetry: Connection._gateway_telemetry,
    actions.GatewayMessage: Connection._gateway_message,
}
