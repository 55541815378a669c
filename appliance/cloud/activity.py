"""Whether devices behind edges are there, as far as a cloud can tell (edge-protocol §6.2).

Every telemetry or attribute message about a device is a sign of life of it, at the time of its
arrival. The rules are those of an edge for its own devices (edge/presence.py): SERVER attributes
active, lastActivityTime, inactivityAlarmTime, ACTIVITY_EVENT and INACTIVITY_EVENT for rule chains,
inactive after `inactivityTimeout` (the device's attribute, else 600 s) without a sign, looked at
once a minute. lastActivityTime is written at most once a minute for each device.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from uuid import UUID

import trio

from appliance.cloud.rules import CloudRules
from appliance.extension.ports import AttributeValue
from appliance.kernel.clock import Clock
from appliance.model.ids import EntityId, new_uuid
from appliance.model.message import Message
from appliance.model.telemetry import AttributeWrite, Scope, Value
from appliance.model.unit import Unit
from appliance.state.owed import Owed
from appliance.state.store import State
from appliance.sync.incoming import source_metadata

INACTIVITY_MS = 600_000
LOOK_S = 60.0
WRITE_EVERY_MS = 60_000


class Activity:
    """Notes signs of life; a Component that looks for devices that went silent."""

    def __init__(self, state: State, owed: Owed, rules: CloudRules, clock: Clock) -> None:
        self._state = state
        self._owed = owed
        self._rules = rules
        self._clock = clock
        self._written_ms: dict[UUID, int] = {}
        """Devices that are active, and when that was written last."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look for silence once a minute, also of devices that were active before a restart."""
        for device in self._state.ids("DEVICE"):
            stored = self._state.attributes(EntityId("DEVICE", device), Scope.SERVER)
            if _value(stored, "active") is True:
                self._written_ms.setdefault(device, _number(stored, "lastActivityTime"))
        task_status.started()
        while True:
            await trio.sleep(LOOK_S)
            for device in list(self._written_ms):
                await self._look(EntityId("DEVICE", device))

    def seen(self, entities: Iterable[EntityId], unit: Unit) -> Iterator[Message]:
        """Let signs of life be part of the unit that brings them; what rules hear of them."""
        now_ms = self._clock()
        for device in dict.fromkeys(entity for entity in entities if entity.type == "DEVICE"):
            if now_ms - self._written_ms.get(device.id, 0) < WRITE_EVERY_MS:
                continue
            self._written_ms[device.id] = now_ms
            values: dict[str, Value] = {"lastActivityTime": now_ms}
            stored = self._state.attributes(device, Scope.SERVER)
            if _value(stored, "active") is not True:
                values["active"] = True
                yield self._message("ACTIVITY_EVENT", device, values, now_ms)
            unit.attributes.append(AttributeWrite(device, Scope.SERVER, now_ms, values))

    async def _look(self, device: EntityId) -> None:
        now_ms = self._clock()
        stored = self._state.attributes(device, Scope.SERVER)
        limit_ms = _number(stored, "inactivityTimeout") or INACTIVITY_MS
        if now_ms - self._written_ms[device.id] <= limit_ms:
            return
        del self._written_ms[device.id]
        if self._state.entity("DEVICE", device.id) is None:
            return
        values: dict[str, Value] = {"active": False, "inactivityAlarmTime": now_ms}
        said = self._message("INACTIVITY_EVENT", device, values, now_ms)
        unit = Unit(attributes=[AttributeWrite(device, Scope.SERVER, now_ms, values)])
        self._state.apply(unit)
        await self._owed.commit([unit])
        self._rules.follow([said], [])

    def _message(
        self, event: str, device: EntityId, values: dict[str, Value], now_ms: int
    ) -> Message:
        stored = self._state.attributes(device, Scope.SERVER)
        known = {key: stored[key].value for key in stored} | values
        data: dict[str, Any] = {
            "active": known["active"],
            "lastActivityTime": known.get("lastActivityTime", 0),
            "lastInactivityAlarmTime": known.get("inactivityAlarmTime", 0),
            "inactivityTimeout": known.get("inactivityTimeout", INACTIVITY_MS),
        }
        metadata = source_metadata(device, self._state, "edge") | {"scope": Scope.SERVER.value}
        del metadata["source"]
        return Message(new_uuid(), now_ms, event, device, data, metadata)


def _value(stored: Mapping[str, AttributeValue], key: str) -> Value | None:
    return stored[key].value if key in stored else None


def _number(stored: Mapping[str, AttributeValue], key: str) -> int:
    value = _value(stored, key)
    return value if isinstance(value, int) else 0
