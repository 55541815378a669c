"""One item of a batch to and from the body of its protobuf field.

A shape knows one message type: `encode` gives the field's body, `decode` the item, or None where
the message says something that our items cannot hold (the batch keeps it as `Unknown`). Entity
data, which is nearly all traffic, and entities, which are all of a sync, are read and written by
hand (a tenth of the time); all else goes through betterproto2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import UUID

import betterproto2

from appliance.model.ids import EntityId, uuid_from_halves, uuid_halves
from appliance.model.telemetry import Scope
from appliance.sync.messages import (
    Attributes,
    AttributesDeleted,
    ConfigurationItem,
    EdgeConfiguration,
    EntityUpdate,
    Item,
    Request,
    RpcCall,
    SyncCompleted,
    Telemetry,
)
from appliance.sync.protobuf import (
    BYTES,
    MalformedWire,
    delimited,
    fields,
    number_field,
    signed,
    signed_32,
    text,
)
from appliance.sync.wire import entity_data, entity_head, telemetry_entries
from plugins.transport_grpc.checked import field_numbers, flat_fields, parse
from plugins.transport_grpc.generated import edge as proto


class Shape(NamedTuple):
    """How one message type travels."""

    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Item | None]


# --- entity data -------------------------------------------------------------------------------

_OWN_TS = 1000
"""A field of ours in EntityDataProto, far from the server's; it passes over what it does not know
(spec/edge-protocol.md §6.1)."""


def _encode_entity_data(item: Telemetry | Attributes | AttributesDeleted) -> bytes:
    if isinstance(item, Telemetry):
        return entity_data(item.entity, item.entries)
    parts = [entity_head(item.entity)]
    if isinstance(item, Attributes):
        parts.append(delimited(5 if item.posted else 6, item.values))
        if item.scope:
            parts.append(delimited(7, item.scope.encode()))
        if item.own_ts is not None:
            parts.append(number_field(_OWN_TS, item.own_ts))
    else:
        names = [delimited(2, key.encode("utf-8", "replace")) for key in item.keys]
        scope = delimited(1, item.scope.encode()) if item.scope else b""
        parts.append(delimited(8, scope + b"".join(names)))
    if item.ts is not None:
        parts.append(number_field(9, item.ts))
    return b"".join(parts)


def _decode_entity_data(body: bytes) -> Item | None:
    found: dict[int, int | bytes] = {}
    for number, _kind, value, _raw in fields(body):
        found[number] = value
    entity = _entity(found)
    if entity is None:
        return None
    if isinstance(telemetry := found.get(4), bytes):
        return Telemetry(entity, telemetry_entries(telemetry))
    stamp, own_stamp = (
        signed(ts) if isinstance(ts := found.get(number), int) else None for number in (9, _OWN_TS)
    )
    for number in (5, 6):
        if isinstance(values := found.get(number), bytes):
            scope = text(found.get(7, b""))
            return Attributes(entity, scope, values, stamp, number == 5, own_stamp)
    if isinstance(deleted := found.get(8), bytes):
        return AttributesDeleted(entity, *_decode_deleted(deleted), stamp)
    return None


def _entity(found: dict[int, int | bytes]) -> EntityId | None:
    most, least = found.get(1, 0), found.get(2, 0)
    if not isinstance(most, int) or not isinstance(least, int):
        return None
    uuid = uuid_from_halves(most, least)
    return EntityId(text(found.get(3, b"")), uuid) if uuid else None


def _decode_deleted(body: bytes) -> tuple[str, tuple[str, ...]]:
    scope = ""
    keys = []
    for number, kind, value, _raw in fields(body):
        if number == 1:
            scope = text(value)
        elif number == 2 and kind == BYTES:
            keys.append(text(value))
    return scope, tuple(keys)


ENTITY_DATA = Shape(_encode_entity_data, _decode_entity_data)


# --- entities ----------------------------------------------------------------------------------


def entity_update(field: str, message_type: type[betterproto2.Message]) -> Shape:
    """The shape of a `*UpdateMsg`, whichever of msgType, id and widgets it has (§2.6)."""
    numbers, optional = field_numbers(message_type)
    names = ("msg_type", "id_msb", "id_lsb", "entity", "widgets")
    kind, high, low, entity, widgets = (numbers.get(name, 0) for name in names)
    in_order = sorted(number for number in (kind, high, low, entity, widgets) if number)

    def encode(item: EntityUpdate) -> bytes:
        parts: dict[int, bytes] = {}
        if item.body or "entity" in optional:
            parts[entity] = delimited(entity, item.body.encode("utf-8", "replace"))
        if kind and item.kind:
            parts[kind] = number_field(kind, int(item.kind))
        if high and item.id is not None:
            halves = uuid_halves(item.id)
            parts[high], parts[low] = number_field(high, halves[0]), number_field(low, halves[1])
        if widgets and item.widgets is not None:
            parts[widgets] = delimited(widgets, item.widgets.encode("utf-8", "replace"))
        return b"".join(parts[number] for number in in_order if number in parts)

    def decode(body: bytes) -> EntityUpdate:
        found = flat_fields(message_type, body)
        return EntityUpdate(
            field=field,
            kind=signed_32(_number(found, kind)) if kind else None,
            id=uuid_from_halves(_number(found, high), _number(found, low)) if high else None,
            body=_strict_text(found.get(entity, b"")),
            widgets=_strict_text(found[widgets]) if widgets in found else None,
        )

    return Shape(encode, decode)


def _number(found: dict[int, int | bytes], number: int) -> int:
    value = found.get(number, 0)
    return signed(value) if isinstance(value, int) else 0


def _strict_text(value: int | bytes) -> str:
    """Text that somebody will parse: replacing what is not UTF-8 would change its meaning."""
    try:
        return str(value, "utf-8") if isinstance(value, bytes) else ""
    except UnicodeDecodeError as error:
        raise MalformedWire(str(error)) from error


# --- requests ----------------------------------------------------------------------------------


_SCOPES = frozenset(Scope)


def request(field: str, message_type: type[betterproto2.Message], entity_type: str = "") -> Shape:
    """The shape of a follow-up request.

    Args:
        entity_type: of the requests that do not say it themselves.
    """
    numbers, _ = field_numbers(message_type)
    (id_name,) = (name.removesuffix("_msb") for name in numbers if name.endswith("_msb"))
    high, low = numbers[f"{id_name}_msb"], numbers[f"{id_name}_lsb"]
    type_, scope = numbers.get("entity_type", 0), numbers.get("scope", 0)

    def encode(item: Request) -> bytes:
        halves = uuid_halves(item.entity.id)
        parts = [number_field(high, halves[0]), number_field(low, halves[1])]
        if type_:
            parts.append(delimited(type_, item.entity.type.encode()))
        if scope and item.scope is not None:
            parts.append(delimited(scope, item.scope.value.encode()))
        return b"".join(parts)

    def decode(body: bytes) -> Request | None:
        found = flat_fields(message_type, body)
        uuid = uuid_from_halves(_number(found, high), _number(found, low))
        asked = _strict_text(found.get(scope, b"")) if scope else ""
        if uuid is None or (asked and asked not in _SCOPES):
            return None
        kind = _strict_text(found.get(type_, b"")) if type_ else entity_type
        return Request(field, EntityId(kind, uuid), Scope(asked) if asked else None)

    return Shape(encode, decode)


def _uuid(message: Any, name: str) -> UUID | None:
    return uuid_from_halves(getattr(message, f"{name}_msb"), getattr(message, f"{name}_lsb"))


def _halves(uuid: UUID | None, name: str) -> dict[str, int]:
    most, least = uuid_halves(uuid) if uuid else (0, 0)
    return {f"{name}_msb": most, f"{name}_lsb": least}


# --- RPC ---------------------------------------------------------------------------------------


def _encode_rpc(call: RpcCall) -> bytes:
    asks = call.method is not None
    answers = call.response is not None or call.error is not None
    question = proto.RpcRequestMsg(method=call.method or "", params=call.params)
    answer = proto.RpcResponseMsg(response=call.response or "", error=call.error or "")
    message = proto.DeviceRpcCallMsg(
        **_halves(call.device_id, "device_id"),
        **_halves(call.request_uuid, "request_uuid"),
        request_id=call.request_id,
        expiration_time=call.expires_ms,
        oneway=call.oneway,
        request_msg=question if asks else None,
        response_msg=answer if answers else None,
        persisted=call.persisted,
        retries=call.retries,
        additional_info=call.additional_info,
        service_id=call.service_id,
        session_id=call.session_id,
    )
    return bytes(message)


def _decode_rpc(body: bytes) -> RpcCall:
    message = parse(proto.DeviceRpcCallMsg, body)
    asked, answered = message.request_msg, message.response_msg
    error = answered.error or None if answered is not None else None
    return RpcCall(
        device_id=_uuid(message, "device_id"),
        request_uuid=_uuid(message, "request_uuid"),
        request_id=message.request_id,
        expires_ms=message.expiration_time,
        oneway=message.oneway,
        method=asked.method if asked is not None else None,
        params=asked.params if asked is not None else "",
        # An answer without error is an answer even where its text is empty.
        response=(answered.response or (None if error else "")) if answered is not None else None,
        error=error,
        persisted=message.persisted,
        retries=message.retries,
        additional_info=message.additional_info,
        service_id=message.service_id,
        session_id=message.session_id,
    )


RPC_CALL = Shape(_encode_rpc, _decode_rpc)


# --- configuration -----------------------------------------------------------------------------


def configuration_message(configuration: EdgeConfiguration) -> proto.EdgeConfiguration:
    """The protobuf message of a configuration."""
    return proto.EdgeConfiguration(
        **_halves(configuration.edge_id, "edge_id"),
        **_halves(configuration.tenant_id, "tenant_id"),
        **_halves(configuration.customer_id, "customer_id"),
        name=configuration.name,
        type=configuration.type,
        routing_key=configuration.routing_key,
        secret=configuration.secret,
        additional_info=configuration.additional_info,
        cloud_type=configuration.cloud_type,
    )


def configuration_of(message: proto.EdgeConfiguration) -> EdgeConfiguration:
    """The configuration in a protobuf message."""
    return EdgeConfiguration(
        edge_id=_uuid(message, "edge_id"),
        tenant_id=_uuid(message, "tenant_id"),
        customer_id=_uuid(message, "customer_id"),
        name=message.name,
        type=message.type,
        routing_key=message.routing_key,
        secret=message.secret,
        additional_info=message.additional_info,
        cloud_type=message.cloud_type,
    )


def _encode_configuration(item: ConfigurationItem) -> bytes:
    return bytes(configuration_message(item.configuration))


def _decode_configuration(body: bytes) -> ConfigurationItem:
    return ConfigurationItem(configuration_of(parse(proto.EdgeConfiguration, body)))


CONFIGURATION = Shape(_encode_configuration, _decode_configuration)
SYNC_COMPLETED = Shape(lambda _item: b"", lambda _body: SyncCompleted())
