"""UplinkMsg and DownlinkMsg: the same loop over two columns of the table.

What a newer peer adds is kept as `Unknown`, as is an item that cannot be read, so that one of them
never costs its batch; both come out again as they went in.
"""

from __future__ import annotations

from appliance.model.errors import Permanent
from appliance.sync.messages import (
    Attributes,
    AttributesDeleted,
    Batch,
    ConfigurationItem,
    EntityUpdate,
    Item,
    Request,
    RpcCall,
    SyncCompleted,
    Telemetry,
    Unknown,
)
from appliance.sync.protobuf import (
    BYTES,
    MalformedWire,
    fields,
    number_field,
    signed_32,
    varint,
)
from plugins.transport_grpc.items import Shape
from plugins.transport_grpc.tables import ID_FIELD, ROWS

_NAMES = {
    Telemetry: "entityData",
    Attributes: "entityData",
    AttributesDeleted: "entityData",
    RpcCall: "deviceRpcCall",
    ConfigurationItem: "edgeConfiguration",
    SyncCompleted: "syncCompleted",
}


class BatchCodec:
    """UplinkMsg or DownlinkMsg, by its column of the table."""

    def __init__(self, message: str, numbers: dict[str, int]) -> None:
        self._message = message
        self._by_name = {
            row.name: (varint(numbers[row.name] << 3 | BYTES), row.shape)
            for row in ROWS
            if numbers[row.name]
        }
        self._by_number: dict[int, Shape] = {
            numbers[row.name]: row.shape for row in ROWS if numbers[row.name]
        }

    def encode(self, batch: Batch) -> bytes:
        """The message. Raises Permanent for an item that does not travel this way."""
        parts = [number_field(ID_FIELD, batch.id)] if batch.id else []
        for item in batch.items:
            if isinstance(item, Unknown):
                parts.append(item.raw)
            else:
                tag, shape = self._find(item)
                body = shape.encode(item)
                parts += (tag, varint(len(body)), body)
        return b"".join(parts)

    def decode(self, body: bytes) -> Batch:
        """The batch. Raises MalformedWire."""
        batch_id = 0
        items: list[Item] = []
        for number, kind, value, raw in fields(body):
            if number == ID_FIELD and isinstance(value, int):
                batch_id = signed_32(value)
            elif kind == BYTES and isinstance(value, bytes) and number in self._by_number:
                items.append(self._item(number, value) or Unknown(number, raw))
            else:
                items.append(Unknown(number, raw))
        return Batch(batch_id, tuple(items))

    def _item(self, number: int, body: bytes) -> Item | None:
        try:
            return self._by_number[number].decode(body)
        except MalformedWire:
            return None

    def _find(self, item: Item) -> tuple[bytes, Shape]:
        name = item.field if isinstance(item, EntityUpdate | Request) else _NAMES[type(item)]
        try:
            return self._by_name[name]
        except KeyError:
            raise Permanent(f"a {self._message} carries no {name}") from None


UPLINK = BatchCodec("UplinkMsg", {row.name: row.up for row in ROWS})
DOWNLINK = BatchCodec("DownlinkMsg", {row.name: row.down for row in ROWS})
