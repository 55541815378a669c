"""Changed copies of a message; faster than the general `replace`, and named by purpose."""

from __future__ import annotations

from typing import Any

from appliance.model.ids import EntityId, new_uuid
from appliance.model.message import Message


def with_data(message: Message, data: Any) -> Message:
    """The same message with other data."""
    return Message(
        message.id,
        message.ts,
        message.type,
        message.originator,
        data,
        message.metadata,
        message.data_type,
        message.customer_id,
        message.queue,
        message.calculated_by,
    )


def with_metadata(message: Message, metadata: dict[str, str]) -> Message:
    """The same message with other metadata."""
    return transformed(message, message.type, message.data, metadata)


def transformed(message: Message, type: str, data: Any, metadata: dict[str, str]) -> Message:
    """The same message (id, time, originator) with other content."""
    return Message(
        message.id,
        message.ts,
        type,
        message.originator,
        data,
        metadata,
        message.data_type,
        message.customer_id,
        message.queue,
        message.calculated_by,
    )


def with_originator(message: Message, originator: EntityId) -> Message:
    """The same message (id, time, content) from another entity."""
    customer = originator.id if originator.type == "CUSTOMER" else None
    return Message(
        message.id,
        message.ts,
        message.type,
        originator,
        message.data,
        message.metadata,
        message.data_type,
        customer,
        message.queue,
        message.calculated_by,
    )


def copied(message: Message, queue: str | None = None) -> Message:
    """An equal message with an id of its own, on `queue` or the same queue."""
    return Message(
        new_uuid(),
        message.ts,
        message.type,
        message.originator,
        message.data,
        message.metadata,
        message.data_type,
        message.customer_id,
        queue or message.queue,
        message.calculated_by,
    )


def derived(message: Message, type: str, data: Any, metadata: dict[str, str]) -> Message:
    """A new message of the same originator, time and queue."""
    return Message(
        new_uuid(),
        message.ts,
        type,
        message.originator,
        data,
        metadata,
        "JSON",
        message.customer_id,
        message.queue,
        message.calculated_by,
    )
