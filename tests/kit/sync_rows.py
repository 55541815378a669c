"""The table of message types: what a row is, and the scene in which it is played.

A row says how a message comes to be and what the other side shows for it; `play` does the one and
looks for the other, between an edge and a cloud over real sockets. `docs/sync.md` is this table.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal
from uuid import UUID

import msgspec

from appliance.access.tokens import Principal
from appliance.extension.ports import AttributeValue
from appliance.kernel.events import ignore
from appliance.model.ids import NULL_UUID, EntityId, created_time_ms, new_uuid
from appliance.model.telemetry import Scope
from appliance.model.unit import OutboxEvent, Unit
from appliance.state.kinds import BY_FIELD
from appliance.state.store import State
from appliance.sync.messages import (
    Attributes,
    AttributesDeleted,
    ConfigurationItem,
    EntityUpdate,
    Item,
    Request,
    RpcCall,
    SyncCompleted,
    Telemetry,
    Unknown,
    UpdateKind,
)
from appliance.testing.memory_storage import MemoryStorage
from appliance.web.commands import Change
from plugins.transport_grpc.config import GrpcConfig
from plugins.transport_grpc.transport import GrpcTransport
from tests.kit.pair import Pair, commit, running_pair, until
from tests.kit.process import free_port
from tests.kit.tap import Tap

ACTOR = Principal(new_uuid(), "tenant@thingsboard.org", "TENANT_ADMIN", NULL_UUID, NULL_UUID, "")
KINDS_OF_UPDATE = {
    "created": UpdateKind.CREATED,
    "updated": UpdateKind.UPDATED,
    "deleted": UpdateKind.DELETED,
    "acknowledged": UpdateKind.ALARM_ACK,
    "cleared": UpdateKind.ALARM_CLEAR,
}


class Scene:
    """A connected pair, with a device `Pump` that both sides have.

    up: the tap at the cloud's end, which sees uplinks; down: the one at the edge's end.
    """

    def __init__(self, pair: Pair, up: Tap, down: Tap, device: UUID) -> None:
        self.pair = pair
        self.edge = pair.edge
        self.cloud = pair.cloud
        self.up = up
        self.down = down
        self.device = EntityId("DEVICE", device)

    @property
    def edge_entity(self) -> EntityId:
        """The edge itself."""
        return EntityId("EDGE", self.pair.edge_id)

    async def on_cloud(self, kind: str, id: UUID, body: Any, action: str) -> None:
        """Change an entity as the cloud's REST API does."""
        await self.cloud.commands.change([Change(kind, id, body, action)], ACTOR)

    async def on_edge(self, kind: str, id: UUID, body: Any, action: str) -> None:
        """Change an entity as the edge's REST API does."""
        await self.edge.commands.change([Change(kind, id, body, action)], ACTOR)

    async def assign(self, entity: EntityId) -> None:
        """Give an entity to the edge."""
        await self.cloud.commands.assign(self.pair.edge_id, entity, ACTOR)

    async def cloud_event(self, event: OutboxEvent) -> None:
        """Put an event into the edge's queue, as a push to edge node does."""
        await commit(self.cloud, self.pair.cloud_store, Unit(events=[event]))


def body_of(state: State, kind: str, id: UUID, **fields: Any) -> dict[str, Any]:
    """A ThingsBoard object of a kind: the common fields and these."""
    return {
        "id": EntityId(kind, id).to_json(),
        "createdTime": created_time_ms(id),
        "tenantId": EntityId("TENANT", state.tenant_id).to_json(),
        **fields,
        "version": None,
    }


async def has(state: State, kind: str, id: UUID, fields: Mapping[str, Any] = {}) -> None:
    """Wait until an entity is there with these fields."""

    def there() -> bool:
        body = state.entity(kind, id)
        return body is not None and all(body.get(name) == fields[name] for name in fields)

    await until(there)


async def gone(state: State, kind: str, id: UUID) -> None:
    """Wait until an entity is not there any more."""
    await until(lambda: state.entity(kind, id) is None)


async def attribute(state: State, entity: EntityId, scope: Scope, key: str) -> AttributeValue:
    """Wait for an attribute."""
    await until(lambda: key in state.attributes(entity, scope))
    return state.attributes(entity, scope)[key]


# --- rows ----------------------------------------------------------------------------------------

Play = Callable[[Scene], Awaitable[None]]


class Row(msgspec.Struct, frozen=True):
    """One line of the table. field: of the wire, without "Msg"; what: which of its kinds."""

    direction: Literal["up", "down"]
    field: str
    what: str
    made: str
    effect: str
    play: Play

    @property
    def name(self) -> str:
        """For the test's id."""
        return f"{self.direction}-{self.field}-{self.what}".replace(" ", "-")

    @property
    def used(self) -> bool:
        """Whether something here reads what came, beyond keeping it."""
        kind = BY_FIELD.get(self.field)
        return kind is None or kind.used

    def crossed(self, item: Item) -> bool:
        """Whether the item is the one that this row is about."""
        if name_of(item) != self.field:
            return False
        kind = KINDS_OF_UPDATE.get(self.what)
        wanted = isinstance(item, EntityUpdate) and item.kind is not None and kind is not None
        return not wanted or getattr(item, "kind", None) == kind


def name_of(item: Item) -> str:
    """The wire field an item travels in."""
    match item:
        case EntityUpdate() | Request():
            return item.field
        case Telemetry() | Attributes() | AttributesDeleted():
            return "entityData"
        case RpcCall():
            return "deviceRpcCall"
        case ConfigurationItem():
            return "edgeConfiguration"
        case SyncCompleted():
            return "syncCompleted"
        case Unknown():
            return "unknown"


class Rows:
    """Collects the rows of one direction."""

    def __init__(self, direction: Literal["up", "down"]) -> None:
        self._direction: Literal["up", "down"] = direction
        self.rows: list[Row] = []

    def on(self, field: str, what: str, made: str, effect: str) -> Callable[[Play], Play]:
        """Enter the decorated function as the way to play a row."""

        def enter(play: Play) -> Play:
            self.rows.append(Row(self._direction, field, what, made, effect, play))
            return play

        return enter


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    """An edge and a cloud that are connected over a socket of this machine."""
    config = GrpcConfig(host="127.0.0.1", listen="127.0.0.1", port=free_port())
    down, up = Tap(GrpcTransport(config, ignore)), Tap(GrpcTransport(config, ignore))
    async with running_pair(MemoryStorage(), MemoryStorage(), down, up) as pair:
        device = await pair.add_device("Pump", "PUMP")
        yield Scene(pair, up, down, device)


def markdown(rows: list[Row]) -> str:
    """The table as it stands in docs/sync.md."""
    lines = ["| field | what | how it is made | effect on the other side | |", "| --- " * 5 + "|"]
    for row in rows:
        kept = "used" if row.used else "kept"
        lines.append(f"| `{row.field}` | {row.what} | {row.made} | {row.effect} | {kept} |")
    return "\n".join(lines) + "\n"
