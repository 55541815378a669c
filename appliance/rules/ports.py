"""What rules ask of the rest: effects that live outside the unit of work.

Everything durable goes into `Work.unit`; everything below happens beside it, most of it only
after the commit (rules put such calls into `Work.after`). All methods are plain calls on the
Trio thread and must not block.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

import msgspec

from appliance.extension.ports import SeriesQuery
from appliance.model.ids import EntityId
from appliance.model.message import Message
from appliance.model.telemetry import Scope, Value
from appliance.rules.work import Work

Task = Callable[[Work], Awaitable[None] | None]
"""A message's way through the engine, still to be given its unit of work."""


class History(Protocol):
    """The part of `Storage` that rules read; see appliance/extension/ports.py."""

    async def load_states(self, owner: str) -> dict[str, bytes]:
        """All StateWrites of one owner."""
        ...

    async def query_series(self, query: SeriesQuery) -> dict[str, list[tuple[int, Value]]]:
        """{key: [(ts, value)]}."""
        ...

    async def latest(
        self, entity: EntityId, keys: Sequence[str] | None = None
    ) -> dict[str, tuple[int, Value]]:
        """Newest point per key; keys None = all."""
        ...


class RpcToDevice(msgspec.Struct, frozen=True):
    """A request for a device (spec/rule-engine.md §3.4, edge-protocol.md §8.1).

    params: the parsed JSON. expires_ms: epoch milliseconds. request_uuid and request_id: as the
    requester numbered it; the device sees its session's own number. metadata: of the message.
    """

    device: EntityId
    method: str
    params: Any
    expires_ms: int
    oneway: bool
    persistent: bool
    request_uuid: UUID
    request_id: int | None = None
    retries: int | None = None
    additional_info: Any = None
    metadata: Mapping[str, str] = {}


class RpcOutcome(msgspec.Struct, frozen=True):
    """The end of a request: a reply (parsed JSON) or the RpcError name ("TIMEOUT", …)."""

    reply: Any = None
    error: str | None = None


class CalculationInput(msgspec.Struct, frozen=True):
    """Values for calculated fields: series where scope is None, else attributes of that scope.

    cause: the message that brought them; None where no message did. deleted: keys that are gone.
    """

    entity: EntityId
    scope: Scope | None
    ts: int
    values: dict[str, Value]
    cause: Message | None = None
    deleted: tuple[str, ...] = ()


class RuleServices(Protocol):
    """What the role offers to the rule engine."""

    def submit(self, task: Task) -> None:
        """Run `task` soon with a `Work` of its own, commit its unit, make its after-calls.

        In order of submission. Raises Retryable when too much waits already.
        """
        ...

    def rpc_to_device(self, request: RpcToDevice, done: Callable[[RpcOutcome], None]) -> None:
        """Deliver a request; `done` is called once, at the latest when it expires.

        A persistent request answers at once with {"rpcId": …}; a delivered oneway with {}.
        """
        ...

    def reply_to_device(
        self, device: EntityId, service_id: str, session_id: str, request_id: int, body: str
    ) -> None:
        """The answer to a device's own request; an unknown session is ignored."""
        ...

    def reply_to_rest(self, service_id: str, request_uuid: UUID, message: Message) -> None:
        """The answer to a REST_API_REQUEST; an unknown request is ignored."""
        ...

    def notify_attributes(
        self,
        entity: EntityId,
        scope: Scope,
        updated: Mapping[str, Value],
        deleted: Sequence[str],
    ) -> None:
        """Tell the device's open sessions that shared attributes changed."""
        ...

    def device_event(self, device: EntityId, event: str, ts: int) -> None:
        """A node says CONNECT_EVENT, ACTIVITY_EVENT, DISCONNECT_EVENT or INACTIVITY_EVENT."""
        ...

    def calculate(self, values: CalculationInput, work: Work) -> None:
        """Hand values to calculated fields; results join `work.follow_ups` or come later."""
        ...
