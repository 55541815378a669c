"""Selective sync: thins out what goes up, after the rule chain and before the commit.

Only telemetry on its way to the cloud is looked at. History stays whole; what is held back is
counted, so that the ledger's "accepted" still means "will be delivered".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from appliance.extension.ports import Selector
from appliance.kernel.events import Emit, Event
from appliance.model.unit import Lane, OutboxEvent, Unit
from appliance.state.store import State
from appliance.sync.wire import decode_entry, encode_entry


class ValuesHeldBack(Event, frozen=True):
    """Selective sync kept values from going up."""

    level: ClassVar[str] = "debug"
    text: ClassVar[str] = "{count} values held back by selective sync"
    counters: ClassVar[dict[str, str]] = {"held_back_values": "count"}
    count: int


class Selection:
    """All configured selectors; a value goes up if each of them says so."""

    def __init__(self, selectors: Sequence[Selector], state: State, emit: Emit) -> None:
        self._selectors = selectors
        self._state = state
        self._emit = emit

    def thin(self, unit: Unit) -> None:
        """Take out of the unit's events what shall not go up."""
        held_back = 0
        events: list[OutboxEvent] = []
        for event in unit.events:
            if event.lane is Lane.DATA and event.action == "TIMESERIES_UPDATED":
                thinned, left_out = self._thin_event(event)
                held_back += left_out
                if thinned is not None:
                    events.append(thinned)
            else:
                events.append(event)
        if held_back:
            unit.events = events
            self._emit(ValuesHeldBack(count=held_back))

    def _thin_event(self, event: OutboxEvent) -> tuple[OutboxEvent | None, int]:
        ts, values = decode_entry(event.body)
        body = self._state.entity(event.entity.type, event.entity.id) or {}
        name = str(body.get("name", ""))
        kept = {
            key: value
            for key, value in values.items()
            if all(selector.select(name, key, ts, value) for selector in self._selectors)
        }
        left_out = len(values) - len(kept)
        if not left_out:
            return event, 0
        if not kept:
            return None, left_out
        return msgspec.structs.replace(event, body=encode_entry(ts, kept)), left_out
