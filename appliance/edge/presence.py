"""Whether devices are there: the activity attributes and their rule-engine messages.

The reference's rules (spec/device-and-rest-api.md §4.3): SERVER attributes active,
lastConnectTime, lastDisconnectTime, lastActivityTime, inactivityAlarmTime; a device is inactive
after `inactivityTimeout` (its own attribute, else 600 s) without a sign, looked at once a minute.
lastActivityTime is written at most once a minute per device, so that a busy device does not double
its own disk traffic.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import trio

from appliance.edge.credentials import session_of
from appliance.edge.processor import Processor
from appliance.extension.ports import AttributeValue, DeviceSession
from appliance.kernel.clock import Clock
from appliance.model.errors import Retryable
from appliance.model.ids import EntityId, new_uuid
from appliance.model.message import Message
from appliance.model.telemetry import AttributeWrite, Scope, Value
from appliance.rules.work import Work
from appliance.state.store import State

INACTIVITY_MS = 600_000
LOOK_S = 60.0
WRITE_EVERY_MS = 60_000
TIMES = {"CONNECT_EVENT": "lastConnectTime", "DISCONNECT_EVENT": "lastDisconnectTime"}
"""The attribute that keeps when it happened last."""


class _Seen:
    __slots__ = ("seen_ms", "session", "written_ms")

    def __init__(self, session: DeviceSession) -> None:
        self.session = session
        self.seen_ms = 0
        self.written_ms = 0


class Presence:
    """Keeps activity attributes; a Component that looks for inactive devices once a minute."""

    def __init__(self, state: State, processor: Processor, clock: Clock) -> None:
        self._state = state
        self._processor = processor
        self._clock = clock
        self._seen: dict[UUID, _Seen] = {}

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look for devices that went silent, until cancelled."""
        self._recall()
        task_status.started()
        while True:
            await trio.sleep(LOOK_S)
            self._look(self._clock())

    def _recall(self) -> None:
        """Devices that were active before a restart may never come back: watch them too."""
        for device in self._state.ids("DEVICE"):
            stored = self._state.attributes(EntityId("DEVICE", device), Scope.SERVER)
            session = session_of(device, self._state)
            if session is not None and _value(stored, "active") is True:
                seen = self._seen.setdefault(device, _Seen(session))
                seen.seen_ms = seen.seen_ms or _number(stored, "lastActivityTime")

    def connected(self, session: DeviceSession) -> None:
        """The device's first session opened."""
        now_ms = self._clock()
        self._note(session, "CONNECT_EVENT", {"lastConnectTime": now_ms})
        self.active(session, now_ms)

    def disconnected(self, session: DeviceSession) -> None:
        """The device's last session closed."""
        self._note(session, "DISCONNECT_EVENT", {"lastDisconnectTime": self._clock()})

    def active(self, session: DeviceSession, at_ms: int) -> None:
        """The device gave a sign of life."""
        seen = self._seen.get(session.device.id)
        if seen is None:
            seen = self._seen[session.device.id] = _Seen(session)
        seen.seen_ms = at_ms
        if at_ms - seen.written_ms < WRITE_EVERY_MS:
            return
        seen.written_ms = at_ms
        values: dict[str, Value] = {"lastActivityTime": at_ms}
        event = None
        if not self._is_active(session):
            values["active"] = True
            event = "ACTIVITY_EVENT"
        self._note(session, event, values)

    def told(self, device: EntityId, event: str, at_ms: int) -> None:
        """A rule node says what happened to a device; what is older than what is known is not
        heard."""
        session = session_of(device.id, self._state)
        if session is None:
            return
        stored = self._state.attributes(device, Scope.SERVER)
        seen = self._seen.get(device.id)
        active_ms = max(seen.seen_ms if seen else 0, _number(stored, "lastActivityTime"))
        if event == "ACTIVITY_EVENT":
            if at_ms > active_ms:
                self.active(session, at_ms)
        elif event == "INACTIVITY_EVENT":
            if at_ms > max(active_ms, _number(stored, "inactivityAlarmTime")):
                self._seen.pop(device.id, None)
                self._note(session, event, {"active": False, "inactivityAlarmTime": at_ms})
        elif at_ms >= _number(stored, TIMES[event]):
            self._note(session, event, {TIMES[event]: at_ms})

    def _is_active(self, session: DeviceSession) -> bool:
        stored = self._state.attributes(session.device, Scope.SERVER)
        return _value(stored, "active") is True

    def _look(self, now_ms: int) -> None:
        for device, seen in list(self._seen.items()):
            stored = self._state.attributes(seen.session.device, Scope.SERVER)
            limit_ms = _number(stored, "inactivityTimeout") or INACTIVITY_MS
            if now_ms - seen.seen_ms <= limit_ms:
                continue
            del self._seen[device]
            if self._state.entity("DEVICE", device) is not None:
                values: dict[str, Value] = {"active": False, "inactivityAlarmTime": now_ms}
                self._note(seen.session, "INACTIVITY_EVENT", values)

    def _note(self, session: DeviceSession, event: str | None, values: dict[str, Value]) -> None:
        now_ms = self._clock()

        async def task(work: Work) -> None:
            write = AttributeWrite(session.device, Scope.SERVER, now_ms, values)
            work.unit.attributes.append(write)
            await self._processor.calculate(work)
            if event is not None:
                message = self._message(session, event, values, now_ms)
                rest = self._processor.through_chain(message, work)
                if rest is not None:
                    await rest

        try:
            self._processor.submit(task)
        except Retryable:
            pass  # presence is a courtesy; data come first when thousands connect at once

    def _message(
        self, session: DeviceSession, event: str, values: dict[str, Value], now_ms: int
    ) -> Message:
        stored = self._state.attributes(session.device, Scope.SERVER)
        known = {key: stored[key].value for key in stored} | values
        data: dict[str, Any] = {"active": known["active"]} if "active" in known else {}
        data |= {
            "lastConnectTime": known.get("lastConnectTime", 0),
            "lastActivityTime": known.get("lastActivityTime", 0),
            "lastDisconnectTime": known.get("lastDisconnectTime", 0),
            "lastInactivityAlarmTime": known.get("inactivityAlarmTime", 0),
            "inactivityTimeout": known.get("inactivityTimeout", INACTIVITY_MS),
        }
        metadata = {
            "deviceName": session.name,
            "deviceType": session.profile,
            "scope": Scope.SERVER.value,
        }
        label = (self._state.entity("DEVICE", session.device.id) or {}).get("label")
        if label:
            metadata["deviceLabel"] = label
        return Message(new_uuid(), now_ms, event, session.device, data, metadata)


def _value(stored: Mapping[str, AttributeValue], key: str) -> Value | None:
    return stored[key].value if key in stored else None


def _number(stored: Mapping[str, AttributeValue], key: str) -> int:
    value = _value(stored, key)
    return value if isinstance(value, int) else 0
