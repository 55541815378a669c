"""What the two sides say to each other, without protobuf (spec/edge-protocol.md §2).

The wire is symmetric but for names: an UplinkMsg and a DownlinkMsg are both a numbered batch of
items, an UplinkResponseMsg and a DownlinkResponseMsg are both an acknowledgement. So there is one
`Batch` and one `Ack`; the transport plugin knows which field number each item has in which
direction, and it never combines two bodies in one frame (§2.3).
"""

from __future__ import annotations

from enum import IntEnum
from uuid import UUID

import msgspec

from appliance.model.ids import EntityId
from appliance.model.telemetry import Scope


class UpdateKind(IntEnum):
    """UpdateMsgType (§2.2). A number we do not know is kept as a plain int in the item."""

    CREATED = 0
    UPDATED = 1
    DELETED = 2
    ALARM_ACK = 3
    ALARM_CLEAR = 4


class EdgeConfiguration(msgspec.Struct, frozen=True):
    """EdgeConfiguration (§2.3); ids None where a half is 0. additional_info is JSON text."""

    edge_id: UUID | None
    tenant_id: UUID | None
    customer_id: UUID | None
    name: str = ""
    type: str = ""
    routing_key: str = ""
    secret: str = ""
    additional_info: str = ""
    cloud_type: str = "CE"


# --- envelope --------------------------------------------------------------------------------


class Connect(msgspec.Struct, frozen=True):
    """ConnectRequestMsg. version: EdgeVersion number; max_inbound_bytes None = not announced."""

    routing_key: str
    secret: str
    version: int
    max_inbound_bytes: int | None = None


class Connected(msgspec.Struct, frozen=True):
    """ConnectResponseMsg. code: ConnectResponseCode (0 accepted, 1 credentials, 2 unavailable)."""

    code: int
    error: str = ""
    configuration: EdgeConfiguration | None = None
    max_inbound_bytes: int | None = None


class EdgeUpdate(msgspec.Struct, frozen=True):
    """EdgeUpdateMsg: a new configuration outside any batch; not acknowledged."""

    configuration: EdgeConfiguration


class SyncRequest(msgspec.Struct, frozen=True):
    """SyncRequestMsg; full None = the body was absent (resets the server's flag, §4.1).

    required: say `syncRequired` too, without which servers up to 3.9 start nothing.
    """

    full: bool | None
    required: bool = False


class Ack(msgspec.Struct, frozen=True):
    """UplinkResponseMsg or DownlinkResponseMsg. id: of the batch it answers."""

    id: int
    success: bool
    error: str = ""


class Batch(msgspec.Struct, frozen=True):
    """UplinkMsg or DownlinkMsg. id: 0 .. 2^31-2, unique among the unanswered of its sender."""

    id: int
    items: tuple[Item, ...]

    @property
    def tells_of_entities(self) -> bool:
        """Whether it says how an entity is, which both sides may do at once."""
        return any(isinstance(item, EntityUpdate) for item in self.items)


# --- items of a batch ------------------------------------------------------------------------


class Telemetry(msgspec.Struct, frozen=True):
    """EntityDataProto with postTelemetryMsg. entries: encoded TsKvListProto, order kept.

    Bytes on purpose: values are encoded once, at commit (sync/wire.py), and only concatenated
    here. An empty `entries` must never be sent: a server never answers it (§11.4).
    """

    entity: EntityId
    entries: tuple[bytes, ...]


class Attributes(msgspec.Struct, frozen=True):
    """EntityDataProto with postAttributesMsg (posted) or attributesUpdatedMsg (not posted).

    values: encoded PostAttributeMsg (KeyValueProto list), see sync/wire.py. ts: attributeTs.
    own_ts: the same where a server must not see it; a field of ours (sync/mapping.py).
    """

    entity: EntityId
    scope: str
    values: bytes
    ts: int | None = None
    posted: bool = False
    own_ts: int | None = None


class AttributesDeleted(msgspec.Struct, frozen=True):
    """EntityDataProto with attributeDeleteMsg."""

    entity: EntityId
    scope: str
    keys: tuple[str, ...]
    ts: int | None = None


class EntityUpdate(msgspec.Struct, frozen=True):
    """Any `*UpdateMsg` (§2.6). field: the wire field's name without "Msg": "deviceUpdate", ….

    kind: UpdateKind, or the number as it came; None for messages that have no msgType.
    id: None where the message has no id fields or they are unset. body: the `entity` JSON text,
    empty on delete. widgets: only widgetsBundleUpdate, JSON array text.
    """

    field: str
    kind: int | None
    id: UUID | None
    body: str = ""
    widgets: str | None = None


class Request(msgspec.Struct, frozen=True):
    """A follow-up request (§4.4). field: "attributesRequest", "relationRequest",
    "calculatedFieldRequest", or one of the deprecated ones by their wire name."""

    field: str
    entity: EntityId
    scope: Scope | None = None


class RpcCall(msgspec.Struct, frozen=True):
    """DeviceRpcCallMsg (§2.7, §8.1): a request (method set) or a response (response or error).

    expires_ms: absolute epoch milliseconds. params, response: JSON text.
    """

    device_id: UUID | None
    request_uuid: UUID | None
    request_id: int
    expires_ms: int = 0
    oneway: bool = False
    method: str | None = None
    params: str = ""
    response: str | None = None
    error: str | None = None
    persisted: bool | None = None
    retries: int | None = None
    additional_info: str | None = None
    service_id: str | None = None
    session_id: str | None = None


class ConfigurationItem(msgspec.Struct, frozen=True):
    """DownlinkMsg.edgeConfiguration."""

    configuration: EdgeConfiguration


class SyncCompleted(msgspec.Struct, frozen=True):
    """DownlinkMsg.syncCompletedMsg."""


class Unknown(msgspec.Struct, frozen=True):
    """A field of a newer peer, kept by number as it came; acknowledged and counted."""

    number: int
    raw: bytes


Item = (
    Telemetry
    | Attributes
    | AttributesDeleted
    | EntityUpdate
    | Request
    | RpcCall
    | ConfigurationItem
    | SyncCompleted
    | Unknown
)
Frame = Connect | Connected | EdgeUpdate | SyncRequest | Ack | Batch
