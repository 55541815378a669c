"""Whether devices behind edges are there, as far as a cloud can tell (edge-protocol §6.2).

Every telemetry or attribute message about a device is a sign of life of it (state/activity.py), at
the time of its arrival.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import trio

from appliance.cloud.rules import CloudRules
from appliance.kernel.clock import Clock
from appliance.model.ids import EntityId, new_uuid
from appliance.model.message import Message
from appliance.model.telemetry import AttributeWrite, Scope, Value
from appliance.model.unit import Unit
from appliance.state.activity import LOOK_S, Signs
from appliance.state.owed import Owed
from appliance.state.store import State
from appliance.sync.incoming import source_metadata


class Activity:
    """Notes signs of life; a Component that looks for devices that went silent."""

    def __init__(self, state: State, owed: Owed, rules: CloudRules, clock: Clock) -> None:
        self._state = state
        self._owed = owed
        self._rules = rules
        self._clock = clock
        self._signs = Signs(state)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look for devices that went silent, until cancelled."""
        self._signs.recall()
        task_status.started()
        while True:
            await trio.sleep(LOOK_S)
            for device in self._signs.take_silent(self._clock()):
                await self._silent(device)

    def seen(self, entities: Iterable[EntityId], unit: Unit) -> Iterator[Message]:
        """Let signs of life be part of the unit that brings them; what rules hear of them."""
        now_ms = self._clock()
        for device in dict.fromkeys(entity for entity in entities if entity.type == "DEVICE"):
            if values := self._signs.seen(device, now_ms):
                if "active" in values:
                    yield self._message("ACTIVITY_EVENT", device, values, now_ms)
                unit.attributes.append(AttributeWrite(device, Scope.SERVER, now_ms, values))

    async def _silent(self, device: EntityId) -> None:
        now_ms = self._clock()
        values: dict[str, Value] = {"active": False, "inactivityAlarmTime": now_ms}
        said = self._message("INACTIVITY_EVENT", device, values, now_ms)
        unit = Unit(attributes=[AttributeWrite(device, Scope.SERVER, now_ms, values)])
        self._state.apply(unit)
        await self._owed.commit([unit])
        self._rules.follow([said], [])

    def _message(
        self, event: str, device: EntityId, values: dict[str, Value], now_ms: int
    ) -> Message:
        metadata = source_metadata(device, self._state, "edge") | {"scope": Scope.SERVER.value}
        del metadata["source"]
        data = self._signs.event_data(device, values)
        return Message(new_uuid(), now_ms, event, device, data, metadata)
