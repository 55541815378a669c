"""Outbox events for tests of the sending half."""

from __future__ import annotations

from uuid import UUID

from appliance.model.ids import EntityId
from appliance.model.unit import Lane, OutboxEvent, StoredEvent


def entity(number: int) -> EntityId:
    return EntityId("DEVICE", UUID(int=number + 1))


def data(seq: int, of: int = 0, size: int = 10) -> StoredEvent:
    return stored(seq, Lane.DATA, of, "TIMESERIES_UPDATED", bytes(size))


def added(seq: int, of: int = 0) -> StoredEvent:
    return stored(seq, Lane.ENTITY, of, "ADDED")


def asked(seq: int, of: int = 0) -> StoredEvent:
    return stored(seq, Lane.ENTITY, of, "ATTRIBUTES_REQUEST")


def alarm(seq: int, of: int = 0) -> StoredEvent:
    return stored(seq, Lane.PRIORITY, of, "ADDED", type="ALARM")


def rpc(seq: int, of: int = 0) -> StoredEvent:
    return stored(seq, Lane.PRIORITY, of, "RPC_CALL")


def stored(
    seq: int, lane: Lane, of: int, action: str, body: bytes = b"", type: str = "DEVICE"
) -> StoredEvent:
    event = OutboxEvent("cloud", lane, type, action, entity(of), body)
    return StoredEvent(seq, 0, 0, event)
