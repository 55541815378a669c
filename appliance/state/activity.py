"""Signs of life of devices, and for how long one of them counts (device-and-rest-api §4.3).

The rules are one for an edge, which hears its devices, and for a cloud, which hears of them: a
device is active from its first sign until `inactivityTimeout` (its own attribute, else 600 s) has
passed without one, looked at once a minute. lastActivityTime is written at most once a minute, so
that a busy device does not double its own disk traffic; a sign in between is remembered all the
same, for a timeout may be shorter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec

from appliance.extension.ports import AttributeValue
from appliance.model.ids import EntityId
from appliance.model.telemetry import Scope, Value
from appliance.state.store import State

INACTIVITY_MS = 600_000
LOOK_S = 60.0
WRITE_EVERY_MS = 60_000


class _Sign(msgspec.Struct):
    seen_ms: int = 0
    written_ms: int = 0


class Signs:
    """Which devices are there. Writes nothing itself; times are epoch milliseconds."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._signs: dict[UUID, _Sign] = {}

    def recall(self) -> None:
        """Devices that were active before a restart may never come back: watch them too."""
        for device in self._state.ids("DEVICE"):
            stored = self._stored(EntityId("DEVICE", device))
            if value(stored, "active") is True:
                sign = self._signs.setdefault(device, _Sign())
                sign.seen_ms = sign.seen_ms or number(stored, "lastActivityTime")

    def seen(self, device: EntityId, at_ms: int) -> dict[str, Value]:
        """Attributes to write now, if any; `active` is among them where the device was not."""
        sign = self._signs.setdefault(device.id, _Sign())
        sign.seen_ms = at_ms
        if at_ms - sign.written_ms < WRITE_EVERY_MS:
            return {}
        sign.written_ms = at_ms
        values: dict[str, Value] = {"lastActivityTime": at_ms}
        if value(self._stored(device), "active") is not True:
            values["active"] = True
        return values

    def last_ms(self, device: EntityId) -> int:
        """The newest sign; 0 where there was none."""
        sign = self._signs.get(device.id, _Sign())
        return max(sign.seen_ms, number(self._stored(device), "lastActivityTime"))

    def forget(self, device: EntityId) -> None:
        """It is known to be silent."""
        self._signs.pop(device.id, None)

    def take_silent(self, now_ms: int) -> list[EntityId]:
        """Devices whose time is over; they are not watched any more until they give a sign."""
        silent = []
        for id, sign in list(self._signs.items()):
            device = EntityId("DEVICE", id)
            limit_ms = number(self._stored(device), "inactivityTimeout") or INACTIVITY_MS
            if now_ms - sign.seen_ms > limit_ms:
                del self._signs[id]
                if self._state.entity("DEVICE", id) is not None:
                    silent.append(device)
        return silent

    def event_data(self, device: EntityId, values: Mapping[str, Value]) -> dict[str, Any]:
        """What rule chains hear; values: what is written with it."""
        stored = self._stored(device)
        known = {key: stored[key].value for key in stored} | dict(values)
        data: dict[str, Any] = {"active": known["active"]} if "active" in known else {}
        return data | {
            "lastConnectTime": known.get("lastConnectTime", 0),
            "lastActivityTime": known.get("lastActivityTime", 0),
            "lastDisconnectTime": known.get("lastDisconnectTime", 0),
            "lastInactivityAlarmTime": known.get("inactivityAlarmTime", 0),
            "inactivityTimeout": known.get("inactivityTimeout", INACTIVITY_MS),
        }

    def _stored(self, device: EntityId) -> Mapping[str, AttributeValue]:
        return self._state.attributes(device, Scope.SERVER)


def value(stored: Mapping[str, AttributeValue], key: str) -> Value | None:
    """An attribute's value, None where it is not there."""
    return stored[key].value if key in stored else None


def number(stored: Mapping[str, AttributeValue], key: str) -> int:
    """An attribute's value if it is a whole number, else 0."""
    found = value(stored, key)
    return found if isinstance(found, int) else 0
