"""A gate in memory: what device listeners are tested against.

It keeps everything it is given in lists, answers from tables that the test fills, and raises
what the test tells it to. Nothing is durable and nothing waits, unless told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
import trio

from appliance.extension.ports import DeviceSession, Downlink
from appliance.model.errors import Permanent
from appliance.model.ids import EntityId, new_uuid
from appliance.model.telemetry import Value

Posts = Sequence[tuple[DeviceSession, Sequence[tuple[int | None, dict[str, Value]]]]]


class Subscription(msgspec.Struct):
    """One live `subscribe` call."""

    session: DeviceSession
    downlink: Downlink
    attributes: bool
    rpc: bool


class FakeGate:
    """A `Gate` (extension/ports.py).

    telemetry: every accepted (device name, ts, values), in order; batches: how many posts came
    in each call. failures: exceptions to raise from the next posts, one per call, front first.
    refuse: called with each post before it is taken; what it returns is raised. handle_rpc:
    answers requests of devices; without it they time out. hold: an Event that posts wait for.
    """

    def __init__(self) -> None:
        self.tokens: dict[str, DeviceSession] = {}
        self.basic: dict[tuple[str | None, str | None, str | None], DeviceSession] = {}
        self.client: dict[str, dict[str, Value]] = defaultdict(dict)
        self.shared: dict[str, dict[str, Value]] = defaultdict(dict)
        self.telemetry: list[tuple[str, int | None, dict[str, Value]]] = []
        self.batches: list[int] = []
        self.posted_attributes: list[tuple[str, dict[str, Value]]] = []
        self.rpc_replies: list[tuple[str, int, Any]] = []
        self.rpc_requests: list[tuple[str, str, Any]] = []
        self.rpc_deliveries: list[tuple[str, int]] = []
        self.claims: list[tuple[str, str, int | None]] = []
        self.provision_keys: dict[str, str] = {}
        self.children: dict[str, DeviceSession] = {}
        self.children_max = 1000
        self.subscriptions: list[Subscription] = []
        self.connects: list[str] = []
        self.disconnects: list[str] = []
        self.failures: list[Exception] = []
        self.refuse: Callable[[str, Mapping[str, Value]], Exception | None] | None = None
        self.handle_rpc: Callable[[DeviceSession, str, Any], Awaitable[Any]] | None = None
        self.hold: trio.Event | None = None
        self.limits: dict[str, Any] = {
            "rateLimits": dict.fromkeys(("messages", "telemetryMessages", "telemetryDataPoints"))
        }

    def add_device(
        self, token: str, *, name: str = "", profile: str = "default", is_gateway: bool = False
    ) -> DeviceSession:
        """Make a device with an access token; its name is the token unless given."""
        device = EntityId("DEVICE", new_uuid())
        session = DeviceSession(device, name or token, profile, is_gateway)
        self.tokens[token] = session
        return session

    # what the test does to connected devices -----------------------------------------------------
    def push_attributes(
        self, name: str, updated: dict[str, Value], deleted: Sequence[str] = ()
    ) -> int:
        """Change shared attributes of a device; returns how many sessions were told."""
        self.shared[name].update(updated)
        for key in deleted:
            self.shared[name].pop(key, None)
        told = [s for s in self._of(name) if s.attributes]
        for subscription in told:
            subscription.downlink.attributes(updated, deleted)
        return len(told)

    def push_rpc(
        self, name: str, request_id: int, method: str, params: Any, *, oneway: bool = False
    ) -> bool:
        """Send a request to a device; whether some session took it."""
        takers = [s for s in self._of(name) if s.rpc]
        return any(s.downlink.rpc(request_id, method, params, oneway=oneway) for s in takers)

    def close(self, name: str, reason: str) -> None:
        """End all sessions of a device."""
        for subscription in self._of(name):
            subscription.downlink.closed(reason)

    def _of(self, name: str) -> list[Subscription]:
        return [s for s in self.subscriptions if s.session.name == name]

    # Gate ----------------------------------------------------------------------------------------
    def authenticate_token(self, token: str) -> DeviceSession | None:
        """See `Gate`."""
        return self.tokens.get(token)

    def authenticate_basic(
        self, client_id: str | None, username: str | None, password: str | None
    ) -> DeviceSession | None:
        """See `Gate`."""
        session = self.basic.get((client_id, username, password))
        return session or self.tokens.get(username or "")

    async def post_telemetry(self, posts: Posts) -> None:
        """See `Gate`."""
        await self._before_post()
        for session, messages in posts:
            for _, values in messages:
                self._raise_refusal(session, values)
        self.batches.append(len(posts))
        for session, messages in posts:
            self.telemetry.extend((session.name, ts, values) for ts, values in messages)

    async def post_attributes(self, session: DeviceSession, values: dict[str, Value]) -> None:
        """See `Gate`."""
        await self._before_post()
        self._raise_refusal(session, values)
        self.client[session.name].update(values)
        self.posted_attributes.append((session.name, values))

    def read_attributes(
        self, session: DeviceSession, client: Sequence[str] | None, shared: Sequence[str] | None
    ) -> tuple[dict[str, Value], dict[str, Value]]:
        """See `Gate`."""
        stored_client, stored_shared = self.client[session.name], self.shared[session.name]
        if client is None and shared is None:
            return dict(stored_client), dict(stored_shared)
        return _pick(stored_client, client), _pick(stored_shared, shared)

    async def rpc_to_server(
        self, session: DeviceSession, method: str, params: Any, timeout_s: float
    ) -> Any:
        """See `Gate`."""
        self.rpc_requests.append((session.name, method, params))
        with trio.fail_after(timeout_s):
            handle = self.handle_rpc or _never_answer
            return await handle(session, method, params)

    async def rpc_reply(self, session: DeviceSession, request_id: int, body: Any) -> None:
        """See `Gate`."""
        await self._before_post()
        self.rpc_replies.append((session.name, request_id, body))

    def subscribe(
        self, session: DeviceSession, downlink: Downlink, *, attributes: bool, rpc: bool
    ) -> Callable[[], None]:
        """See `Gate`."""
        subscription = Subscription(session, downlink, attributes, rpc)
        self.subscriptions.append(subscription)
        return lambda: _discard(self.subscriptions, subscription)

    def connected(self, session: DeviceSession) -> Callable[[], None]:
        """See `Gate`."""
        self.connects.append(session.name)
        return lambda: self.disconnects.append(session.name)

    def session_limits(self, session: DeviceSession) -> dict[str, Any]:
        """See `Gate`."""
        return dict(self.limits)

    def rpc_delivered(self, session: DeviceSession, request_id: int) -> None:
        """See `Gate`."""
        self.rpc_deliveries.append((session.name, request_id))

    async def claim(self, session: DeviceSession, secret_key: str, duration_ms: int | None) -> None:
        """See `Gate`."""
        await self._before_post()
        self.claims.append((session.name, secret_key, duration_ms))

    async def provision(self, request: dict[str, Any]) -> dict[str, Any]:
        """See `Gate`: a known key and secret make a device whose token is its name."""
        await self._before_post()
        try:
            key, secret = request["provisionDeviceKey"], request["provisionDeviceSecret"]
        except KeyError as missing:
            raise Permanent(f"Failed to find the field {missing.args[0]} in JSON body") from None
        if self.provision_keys.get(key) != secret:
            return {"errorMsg": "Provision data was not found!", "status": "NOT_FOUND"}
        token = request.get("deviceName") or str(new_uuid())
        self.add_device(token)
        return {
            "credentialsType": "ACCESS_TOKEN",
            "credentialsValue": token,
            "status": "SUCCESS",
        }

    async def child_session(
        self, gateway: DeviceSession, name: str, profile: str | None
    ) -> DeviceSession:
        """See `Gate`."""
        await trio.lowlevel.checkpoint()
        if name not in self.children:
            if len(self.children) >= self.children_max:
                raise Permanent("Devices limit reached")
            device = EntityId("DEVICE", new_uuid())
            self.children[name] = DeviceSession(device, name, profile or "default")
        return self.children[name]

    async def _before_post(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.hold is not None:
            await self.hold.wait()
        if self.failures:
            raise self.failures.pop(0)

    def _raise_refusal(self, session: DeviceSession, values: Mapping[str, Value]) -> None:
        refusal = self.refuse(session.name, values) if self.refuse else None
        if refusal is not None:
            raise refusal


async def _never_answer(session: DeviceSession, method: str, params: Any) -> Any:
    await trio.sleep_forever()


def _pick(stored: Mapping[str, Value], keys: Sequence[str] | None) -> dict[str, Value]:
    return {key: stored[key] for key in keys or () if key in stored}


def _discard(subscriptions: list[Subscription], subscription: Subscription) -> None:
    """Remove exactly this one; equal ones of other sessions stay."""
    subscriptions[:] = [s for s in subscriptions if s is not subscription]
