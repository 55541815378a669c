"""The rule engine's message (spec/rule-engine.md §2.1)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from appliance.model.ids import EntityId


class Message(msgspec.Struct, frozen=True):
    """One message on its way through a rule chain.

    type: standard name ("POST_TELEMETRY_REQUEST") or custom. ts: epoch milliseconds.
    data: the parsed JSON body; a str where data_type is TEXT or BINARY. Never changed in place:
    a node that changes data makes a copy.
    metadata: string to string; never changed in place.
    calculated_by: the calculated fields that led to this message, in order; none of them runs
    on it again (§7).
    """

    id: UUID
    ts: int
    type: str
    originator: EntityId
    data: Any
    metadata: dict[str, str]
    data_type: str = "JSON"
    customer_id: UUID | None = None
    queue: str | None = None
    calculated_by: tuple[UUID, ...] = ()

    @property
    def effective_ts(self) -> int:
        """Metadata `ts` where it is an integer of 64 bits, else the message's own (§2.1)."""
        text = self.metadata.get("ts")
        if text is None or not text.lstrip("+-").isdigit():
            return self.ts
        try:
            ts = int(text)
        except ValueError:
            return self.ts
        return ts if -(1 << 63) <= ts < 1 << 63 else self.ts
