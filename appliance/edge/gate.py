"""What device listeners may do: implements extension.ports.Gate for the edge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import msgspec

from appliance.access.claims import CLAIMING_DATA, ClaimingData, claiming_data
from appliance.edge.credentials import Credentials
from appliance.edge.devices import behind_gateway, created, set_server_attribute
from appliance.edge.presence import Presence
from appliance.edge.processor import Processor
from appliance.edge.provision import provision
from appliance.edge.rpc import ReplyDesk, RpcDesk
from appliance.edge.sessions import Sessions
from appliance.extension.ports import DeviceSession, Downlink
from appliance.kernel.clock import Clock
from appliance.model.errors import Permanent
from appliance.model.ids import EntityId, new_uuid
from appliance.model.message import Message
from appliance.model.telemetry import Scope, Value
from appliance.model.unit import Unit
from appliance.state.store import State

CLAIM_MS = 86_400_000
"""How long a claim is valid unless the device says otherwise (§1.6)."""


class EdgeGate:
    """Devices in, durable acceptance out; see Gate for each method."""

    def __init__(
        self,
        state: State,
        processor: Processor,
        credentials: Credentials,
        sessions: Sessions,
        desk: RpcDesk,
        replies: ReplyDesk,
        presence: Presence,
        clock: Clock,
    ) -> None:
        self._state = state
        self._processor = processor
        self._credentials = credentials
        self._sessions = sessions
        self._desk = desk
        self._replies = replies
        self._presence = presence
        self._clock = clock
        self._service_id = "edge"
        self._request_ids = count(1)

    # --- who ----------------------------------------------------------------------------------

    def authenticate_token(self, token: str) -> DeviceSession | None:
        """See Gate."""
        return self._credentials.by_token(token)

    def authenticate_basic(
        self, client_id: str | None, username: str | None, password: str | None
    ) -> DeviceSession | None:
        """See Gate."""
        return self._credentials.by_basic(client_id, username, password)

    def connected(self, session: DeviceSession) -> Callable[[], None]:
        """See Gate."""
        if self._sessions.opened(session.device.id):
            self._presence.connected(session)

        def closed() -> None:
            if self._sessions.closed(session.device.id):
                self._presence.disconnected(session)

        return closed

    def session_limits(self, session: DeviceSession) -> dict[str, Any]:
        """See Gate; the limits are the tenant profile's, null where it has none (§1.3)."""
        names = ("messages", "telemetryMessages", "telemetryDataPoints")
        keys = (
            "transportDeviceMsgRateLimit",
            "transportDeviceTelemetryMsgRateLimit",
            "transportDeviceTelemetryDataPointsRateLimit",
        )
        configuration: dict[str, Any] = {}
        for profile in self._state.entities("TENANT_PROFILE"):
            configuration = (profile.get("profileData") or {}).get("configuration") or {}
        limits = [configuration.get(key) or None for key in keys]
        return {"rateLimits": dict(zip(names, limits, strict=True))}

    # --- data ---------------------------------------------------------------------------------

    async def post_telemetry(
        self, posts: Sequence[tuple[DeviceSession, Sequence[tuple[int | None, dict[str, Value]]]]]
    ) -> None:
        """See Gate."""
        now_ms = self._clock()
        messages = []
        for session, entries in posts:
            self._presence.active(session, now_ms)
            metadata = self._metadata(session)
            for ts, values in entries:
                if values:
                    moment = now_ms if ts is None else ts
                    messages.append(_telemetry(session.device, moment, values, metadata))
        if messages:
            await self._processor.process(messages)

    async def post_attributes(self, session: DeviceSession, values: dict[str, Value]) -> None:
        """See Gate."""
        now_ms = self._clock()
        self._presence.active(session, now_ms)
        if values:
            metadata = self._metadata(session) | {"notifyDevice": "false"}
            ts = self._state.next_ms(session.device, Scope.CLIENT, values, now_ms)
            kind = "POST_ATTRIBUTES_REQUEST"
            message = Message(new_uuid(), ts, kind, session.device, values, metadata)
            await self._processor.process([message])

    def read_attributes(
        self, session: DeviceSession, client: Sequence[str] | None, shared: Sequence[str] | None
    ) -> tuple[dict[str, Value], dict[str, Value]]:
        """See Gate."""
        everything = client is None and shared is None
        return (
            self._read(session, Scope.CLIENT, client, everything),
            self._read(session, Scope.SHARED, shared, everything),
        )

    def _read(
        self, session: DeviceSession, scope: Scope, keys: Sequence[str] | None, everything: bool
    ) -> dict[str, Value]:
        stored = self._state.attributes(session.device, scope)
        wanted = stored if everything else (keys or ())
        return {key: stored[key].value for key in wanted if key in stored}

    # --- requests both ways -------------------------------------------------------------------

    async def rpc_to_server(
        self, session: DeviceSession, method: str, params: Any, timeout_s: float
    ) -> Any:
        """See Gate."""
        request_id, session_id = next(self._request_ids), new_uuid()
        metadata = self._metadata(session) | {
            "requestId": str(request_id),
            "serviceId": self._service_id,
            "sessionId": str(session_id),
        }
        data = {"method": method, "params": params}
        with self._replies.expecting(session_id, request_id) as expected:
            await self._process(session, "TO_SERVER_RPC_REQUEST", data, metadata)
            return await expected.wait(timeout_s)

    async def rpc_reply(self, session: DeviceSession, request_id: int, body: Any) -> None:
        """See Gate."""
        self._presence.active(session, self._clock())
        self._desk.reply(session.device.id, request_id, body)

    def rpc_delivered(self, session: DeviceSession, request_id: int) -> None:
        """See Gate."""
        self._desk.delivered(session.device.id, request_id)

    def subscribe(
        self, session: DeviceSession, downlink: Downlink, *, attributes: bool, rpc: bool
    ) -> Callable[[], None]:
        """See Gate."""
        return self._sessions.subscribe(session, downlink, attributes=attributes, rpc=rpc)

    # --- devices ------------------------------------------------------------------------------

    async def claim(self, session: DeviceSession, secret_key: str, duration_ms: int | None) -> None:
        """See Gate. The claim goes up as the attribute that a server reads claims from (§1.6).

        The first one stands until it has expired: who knows its secret is on his way.
        """
        now_ms = self._clock()
        stored = self._state.attributes(session.device, Scope.SERVER).get(CLAIMING_DATA)
        if claiming_data(stored, now_ms) is not None:
            return
        said = ClaimingData(now_ms + (duration_ms or CLAIM_MS), secret_key)
        ts = self._state.next_ms(session.device, Scope.SERVER, [CLAIMING_DATA], now_ms)
        unit = Unit()
        text = msgspec.json.encode(said).decode()
        set_server_attribute(unit, session.device, ts, CLAIMING_DATA, text)
        await self._processor.commit(unit)

    async def provision(self, request: dict[str, Any]) -> dict[str, Any]:
        """See Gate."""
        outcome = provision(self._state, request, self._clock())
        if outcome.messages:
            await self._processor.commit(outcome.unit, outcome.messages)
        return outcome.answer

    async def child_session(
        self, gateway: DeviceSession, name: str, profile: str | None
    ) -> DeviceSession:
        """See Gate."""
        is_new = self._state.by_name("DEVICE", name) is None
        device, unit = behind_gateway(self._state, gateway.device.id, name, profile)
        if unit:
            metadata = {"gatewayId": str(gateway.device.id)}
            messages = [created(device, unit, metadata, self._clock())] if is_new else []
            await self._processor.commit(unit, messages)
        session = self._credentials.session(device)
        if session is None:
            raise Permanent(f"device {name!r} was deleted meanwhile")
        return session

    async def _process(
        self, session: DeviceSession, type: str, data: Any, metadata: dict[str, str]
    ) -> None:
        message = Message(new_uuid(), self._clock(), type, session.device, data, metadata)
        await self._processor.process([message])

    def _metadata(self, session: DeviceSession) -> dict[str, str]:
        """Name and profile that the device has now; a session outlives their changes."""
        now = self._credentials.session(session.device.id) or session
        return {"deviceName": now.name, "deviceType": now.profile}


def _telemetry(
    device: EntityId, ts: int, values: dict[str, Value], metadata: dict[str, str]
) -> Message:
    metadata = metadata | {"ts": str(ts)}
    return Message(new_uuid(), ts, "POST_TELEMETRY_REQUEST", device, values, metadata)
