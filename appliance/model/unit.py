"""The unit of work: everything that one message causes, committed whole or not at all.

One unit is one journal record. What a device was told is accepted is exactly what is in a unit
whose commit has returned (ARCHITECTURE: "A message is acknowledged to its device only when
everything it caused is durable").
"""

from __future__ import annotations

from enum import IntEnum
from uuid import UUID

import msgspec

from appliance.model.ids import EntityId
from appliance.model.telemetry import AttributeDelete, AttributeWrite, Series

CLOUD = "cloud"
"""The name of the edge's one outbox. The cloud role names an outbox by the edge's id."""


class Lane(IntEnum):
    """Order of urgency within one outbox; order of commit is kept within a lane.

    PRIORITY: RPC and alarms. ENTITY: entities and requests, always before data about them.
    DATA: telemetry and attributes.
    """

    PRIORITY = 0
    ENTITY = 1
    DATA = 2


class EntityWrite(msgspec.Struct, frozen=True, gc=False):
    """Upsert (body = ThingsBoard JSON text) or delete (body None) of one stored entity.

    kind: the EntityType name, or a name of ours for what has none of its own
    ("DEVICE_CREDENTIALS", "RULE_CHAIN_METADATA", "RELATION", …); see state/kinds.py.
    """

    kind: str
    id: UUID
    body: bytes | None


class OutboxEvent(msgspec.Struct, frozen=True, gc=False):
    """One event to deliver to a peer: a row of `cloud_event` (spec/edge-protocol.md §5.2).

    outbox: whose queue. type/action: CloudEventType and EdgeEventActionType names.
    body: for DATA lane telemetry the encoded `TsKvListProto` (one entry of a tsKvList, see
    sync/wire.py), for every other event the JSON body of the event; may be empty.
    """

    outbox: str
    lane: Lane
    type: str
    action: str
    entity: EntityId
    body: bytes = b""
    id: UUID | None = None
    """Set only where the id must be known beforehand; else derived from the sequence."""


class StateWrite(msgspec.Struct, frozen=True):
    """A small named value of a component (node state, sync cursor); body None deletes it."""

    owner: str
    key: str
    body: bytes | None


class Unit(msgspec.Struct):
    """What one message caused. Filled by rules and appliers, frozen by commit."""

    series: list[Series] = []
    attributes: list[AttributeWrite | AttributeDelete] = []
    entities: list[EntityWrite] = []
    events: list[OutboxEvent] = []
    states: list[StateWrite] = []

    def __bool__(self) -> bool:
        return bool(self.series or self.events or self.attributes or self.entities or self.states)


class StoredEvent(msgspec.Struct, frozen=True, gc=False):
    """An outbox event with its place: seq is the journal sequence, index the place in its unit.

    (seq, index) orders events totally; committed_ms is the commit time, epoch milliseconds.
    """

    seq: int
    index: int
    committed_ms: int
    event: OutboxEvent

    @property
    def position(self) -> tuple[int, int]:
        """Where it stands in the order of commits."""
        return (self.seq, self.index)
