"""The ports: every Protocol that a plugin implements or the core offers to one.

pluggy declares, Protocols behave: a hook returns a spec (plain data and a factory), the object
that the factory builds has the methods below. All of them are Trio coroutines unless said
otherwise; every wait can be cancelled. `appliance.testing` has a conformance suite per port.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, runtime_checkable

import msgspec
import trio

from appliance.model.ids import EntityId
from appliance.model.telemetry import Scope, Value
from appliance.model.unit import EntityWrite, Lane, StoredEvent, Unit
from appliance.sync.messages import Frame


class Component(Protocol):
    """Anything with a lifetime. The constructor stores its arguments and does nothing else."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Open, say `started()`, serve until cancelled, then clean up.

        Cancelled: finishes what is durable and closes. Safe if opening failed half-way.
        """
        ...


@runtime_checkable
class Draining(Protocol):
    """What a component may offer besides `run`: to finish what waits before it is cancelled."""

    async def drain(self) -> None:
        """Take nothing new and return when nothing waits; `run` is still serving meanwhile.

        Called once, at stop, when everything inside this component's level has ended.
        Cancelled: at the level's deadline (kernel/lifecycle.py); `run` is cancelled next.
        """
        ...


# --- storage -----------------------------------------------------------------------------------


class AttributeValue(msgspec.Struct, frozen=True, gc=False):
    """A stored attribute. ts: epoch ms of the write that won.

    gc=False: there are hundreds of thousands, and what came as JSON holds no cycles.
    """

    ts: int
    value: Value


class LaneDepth(msgspec.Struct, frozen=True):
    """What waits in one lane. oldest_ms: commit time of the oldest pending event, or None."""

    pending: int
    pending_bytes: int
    oldest_ms: int | None
    acknowledged: int
    """Events acknowledged since the data folder was made (the ledger's "delivered")."""
    quarantined: int
    dropped: dict[str, int]
    """Events given up by policy, by reason (retention by age or size); normally empty."""
    accepted: int
    """Events ever committed: accepted = acknowledged + pending + quarantined + sum(dropped)."""
    cursor: int = 0
    """Sequence up to which every event is dealt with; 0 before the first."""


class Quarantined(msgspec.Struct, frozen=True):
    """An event put aside. reason: the peer's words or ours; size: bytes on the wire."""

    event: StoredEvent
    reason: str
    at_ms: int
    size: int


class SeriesQuery(msgspec.Struct, frozen=True):
    """History of one entity. start_ms inclusive, end_ms exclusive; agg: NONE MIN MAX AVG SUM COUNT.

    interval_ms 0 = one bucket; limit per key; descending by ts unless ascending.
    """

    entity: EntityId
    keys: tuple[str, ...]
    start_ms: int
    end_ms: int
    limit: int = 100
    agg: str = "NONE"
    interval_ms: int = 0
    ascending: bool = False


class Storage(Component, Protocol):
    """Durable before acknowledged; queryable soon after.

    Order: units are durable in the order of their `commit` calls. Reads of state (`load_*`)
    are for start-up; the core keeps state in memory (appliance/state).
    """

    async def commit(self, units: Sequence[Unit]) -> int:
        """Make the units durable, each atomically, in this order. Returns the first sequence.

        Unit i gets sequence first + i. Group commit: calls in flight share one fdatasync.
        Empty units are allowed and cost nothing. Raises Retryable when the disk is full or the
        backlog limit is reached (the caller tells its device to wait), Fatal when broken.
        Cancelled: the units may or may not have become durable.
        """
        ...

    # outboxes ------------------------------------------------------------------------------------
    def outboxes(self) -> Sequence[str]:
        """Names of all outboxes that ever got an event, sorted."""
        ...

    async def pending(
        self,
        outbox: str,
        lane: Lane,
        after: tuple[int, int] | None,
        max_events: int,
        max_bytes: int,
    ) -> Sequence[StoredEvent]:
        """Durable events behind `after` (None: behind the cursor), in order, without waiting.

        At least one event if there is one, whatever max_bytes says. Events acknowledged out of
        order or quarantined are left out.
        """
        ...

    async def wait_pending(self, outbox: str, lane: Lane, after: tuple[int, int] | None) -> None:
        """Return when `pending` with the same arguments would give something."""
        ...

    def acknowledge(self, outbox: str, lane: Lane, events: Iterable[StoredEvent]) -> None:
        """The peer has them. Any order, repeats harmless. Durable within 1 s or the next commit,
        and on a clean stop; a crash before that makes them pending again."""
        ...

    async def quarantine(
        self, outbox: str, lane: Lane, event: StoredEvent, reason: str, size: int
    ) -> None:
        """Put one event aside with its reason and move on. Durable when it returns."""
        ...

    def quarantined(self, outbox: str | None = None) -> Sequence[Quarantined]:
        """All that is put aside, oldest first."""
        ...

    async def retry_quarantined(self, outbox: str, positions: Iterable[tuple[int, int]]) -> int:
        """Commit the events again at the end of their lane; returns how many."""
        ...

    def depth(self, outbox: str, lane: Lane) -> LaneDepth:
        """The lane's figures, at once; part of the conservation ledger."""
        ...

    # state, read once at start -------------------------------------------------------------------
    def load_entities(self) -> AsyncIterator[Sequence[EntityWrite]]:
        """Every stored entity in chunks (`async for`); each (kind, id) once, body never None."""
        ...

    def load_attributes(
        self,
    ) -> AsyncIterator[Sequence[tuple[EntityId, Scope, str, AttributeValue]]]:
        """Every stored attribute in chunks, with `async for`."""
        ...

    async def load_states(self, owner: str) -> dict[str, bytes]:
        """All StateWrites of one owner."""
        ...

    # history -------------------------------------------------------------------------------------
    async def query_series(self, query: SeriesQuery) -> dict[str, list[tuple[int, Value]]]:
        """{key: [(ts, value)]}; sees everything committed before the call."""
        ...

    async def latest(
        self, entity: EntityId, keys: Sequence[str] | None = None
    ) -> dict[str, tuple[int, Value]]:
        """Newest point per key (greatest ts, then last committed); keys None = all."""
        ...

    async def delete_series(
        self, entity: EntityId, keys: Sequence[str], start_ms: int, end_ms: int
    ) -> None:
        """Remove points with start_ms <= ts < end_ms."""
        ...

    async def sql(self, statement: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Read-only SQL over the documented tables: (column names, rows)."""
        ...

    def statistics(self) -> dict[str, Any]:
        """Figures for /status and /metrics: bytes on disk, free bytes, segments, applied and
        durable sequence, damage found ("missing": list of what), full (bool)."""
        ...


# --- transport ---------------------------------------------------------------------------------


class LinkClosed(Exception):
    """The stream ended. status: gRPC status name, e.g. "OK", "UNAVAILABLE", or ""."""

    def __init__(self, reason: str, status: str = "") -> None:
        super().__init__(f"{status}: {reason}" if status else reason)
        self.status = status


class Link(Protocol):
    """One live stream to a peer, either role. One reader and many writers."""

    peer: str
    """Address of the other side, for people."""
    inbound_bytes_max: int
    """The largest inner message that it takes; whoever says CONNECT announces it (§1.4)."""

    async def send(self, frames: Sequence[Frame]) -> None:
        """Write frames in order; returns when the stream has taken them (flow control).

        Raises LinkClosed. Cancelled: some, all or none were sent; the link must be closed.
        """
        ...

    async def receive(self) -> Sequence[Frame]:
        """The next frames, at least one, in order. Raises LinkClosed at the end."""
        ...

    def size(self, frame: Frame) -> int:
        """Serialized bytes of the inner message, as the peer's limit counts them (§1.4)."""
        ...


class Transport(Protocol):
    """Makes links. Built by `register_transport`."""

    def connect(self) -> AbstractAsyncContextManager[Link]:
        """Open one stream to the configured server; leaving closes it.

        Raises Retryable when the server cannot be reached (with what failed: name, connect,
        TLS, proxy), ConfigError for a bad certificate file.
        """
        ...

    async def serve(
        self,
        handle: Callable[[Link], Any],
        *,
        task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept streams; `await handle(link)` runs in a task of its own for each.

        started() gives the port bound. The stream ends when the handler returns (status OK) or
        raises LinkClosed (its status; UNKNOWN if empty): see §3.7 why that matters.
        """
        ...


# --- ingest ------------------------------------------------------------------------------------


class DeviceSession(msgspec.Struct, frozen=True):
    """Who speaks: an authenticated device.

    profile: name of the device profile (the message metadata's deviceType).
    """

    device: EntityId
    name: str
    profile: str
    is_gateway: bool = False


class Downlink(Protocol):
    """What the core may push to a connected device; given by the listener to `subscribe`."""

    def attributes(self, updated: dict[str, Value], deleted: Sequence[str]) -> None:
        """Shared attributes changed. Must not block; called on the Trio thread."""
        ...

    def rpc(self, request_id: int, method: str, params: Any, *, oneway: bool) -> bool:
        """A request for the device; False when it cannot be delivered now."""
        ...

    def closed(self, reason: str) -> None:
        """The session must end: "deleted", "credentials", "taken over"."""
        ...


class Gate(Protocol):
    """What the core offers to device listeners: authentication in, durable acceptance out.

    Every `post_*` returns only when all that the message caused is durable, so its return is the
    device's acknowledgement. Raises Retryable when the device must wait (HTTP 503, no PUBACK),
    Permanent when the message can never be taken (a clear 4xx).
    """

    def authenticate_token(self, token: str) -> DeviceSession | None:
        """ACCESS_TOKEN credentials; None when unknown."""
        ...

    def authenticate_basic(
        self, client_id: str | None, username: str | None, password: str | None
    ) -> DeviceSession | None:
        """MQTT_BASIC, then token by username (§2.2 of the device spec); None when refused."""
        ...

    async def post_telemetry(
        self, posts: Sequence[tuple[DeviceSession, Sequence[tuple[int | None, dict[str, Value]]]]]
    ) -> None:
        """Each post: one device's list of (ts or None = receive time, values). One wait for all."""
        ...

    async def post_attributes(self, session: DeviceSession, values: dict[str, Value]) -> None:
        """Client attributes."""
        ...

    def read_attributes(
        self, session: DeviceSession, client: Sequence[str] | None, shared: Sequence[str] | None
    ) -> tuple[dict[str, Value], dict[str, Value]]:
        """(client, shared) values; None = not asked; both None = all of both (§1.1)."""
        ...

    async def rpc_to_server(
        self, session: DeviceSession, method: str, params: Any, timeout_s: float
    ) -> Any:
        """A device's own request; the reply's JSON. Raises trio.TooSlowError on no answer."""
        ...

    async def rpc_reply(self, session: DeviceSession, request_id: int, body: Any) -> None:
        """A device's answer to a request it was sent; unknown ids are ignored."""
        ...

    def subscribe(
        self, session: DeviceSession, downlink: Downlink, *, attributes: bool, rpc: bool
    ) -> Callable[[], None]:
        """Receive pushes from now on; call the result to stop. Queued RPCs follow at once."""
        ...

    def connected(self, session: DeviceSession) -> Callable[[], None]:
        """A session opened (activity, connect event); call the result when it closes."""
        ...

    def session_limits(self, session: DeviceSession) -> dict[str, Any]:
        """The body of getSessionLimits without payload sizes: rateLimits …"""
        ...

    def rpc_delivered(self, session: DeviceSession, request_id: int) -> None:
        """The device has a request it was sent (its PUBACK, its poll): DELIVERED (§2.9)."""
        ...

    async def claim(self, session: DeviceSession, secret_key: str, duration_ms: int | None) -> None:
        """The device may be claimed with this secret (§1.6); duration None = the configured one.

        Returns for refusals too: the device is never told.
        """
        ...

    async def provision(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer a provisioning request with the reply's JSON, refusals included (§1.6).

        Raises Permanent where `provisionDeviceKey` or `provisionDeviceSecret` is missing.
        """
        ...

    async def child_session(
        self, gateway: DeviceSession, name: str, profile: str | None
    ) -> DeviceSession:
        """The device `name` behind a gateway, made if it is unknown (§2.6).

        profile: the type given by `v1/gateway/connect`; None = "default" for a new device.
        A new device gets the relation `Created` from the gateway and its customer; an existing
        one `additionalInfo.lastConnectedGateway`. Raises Permanent where the device cannot be
        had (a limit is reached, it belongs elsewhere), Retryable where it must wait.
        """
        ...


# --- selective sync ------------------------------------------------------------------------------


class Selector(Protocol):
    """Decides what of the data goes up. Built by `register_processor`.

    History and state are not touched: what is held back stays here and can be asked for here.
    """

    def select(self, device: str, key: str, ts: int, value: Value) -> bool:
        """Whether this value of a device (its name) goes to the cloud. Plain call, no waiting.

        Called once per value, in the order of the device's messages, also after a restart, when
        the selector has forgotten what it saw: then it must let the first value through.
        """
        ...


# --- http --------------------------------------------------------------------------------------


class HttpRequest(msgspec.Struct):
    """A whole request on the HTTP port. path and query are as written, still percent-encoded.

    headers: names in lower case, in order. peer: address of the client, for people.
    wait_closed: returns when the client hangs up while we still work on the answer.
    """

    method: str
    path: str
    query: str
    headers: list[tuple[bytes, bytes]]
    body: bytes
    peer: str
    wait_closed: Callable[[], Awaitable[None]]


class HttpResponse(msgspec.Struct, frozen=True):
    """A whole answer; content-length, date and connection are added by the door."""

    status: int
    body: bytes = b""
    content_type: str | None = None
    headers: tuple[tuple[str, str], ...] = ()


HttpHandler = Callable[[HttpRequest], Awaitable[HttpResponse]]


class HttpMount(Protocol):
    """Offered to listeners that answer on the one HTTP port beside pages and API."""

    def mount(self, prefix: str, handler: HttpHandler) -> Callable[[], None]:
        """Send every path that starts with `prefix` to `handler`; call the result to stop.

        A prefix without a handler that once had one answers 503: its listener is stopping or
        restarting. The handler must not raise for what a client did wrong.
        """
        ...

    def reserve(self, prefix: str) -> None:
        """Answer 503 under `prefix` until a handler is mounted: the port is open before the
        listener is ready, and what a device is told of an unknown path it does not send again.
        """
        ...


class RequestHandler(Protocol):
    """An ASGI application mounted on the one HTTP port."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...
