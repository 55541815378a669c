"""Whether devices are there: the activity attributes and their rule-engine messages.

The reference's rules (device-and-rest-api §4.3): SERVER attributes active, lastConnectTime,
lastDisconnectTime, lastActivityTime, inactivityAlarmTime; see state/activity.py.
"""

from __future__ import annotations

import trio

from appliance.edge.credentials import session_of
from appliance.edge.processor import Processor
from appliance.extension.ports import DeviceSession
from appliance.kernel.clock import Clock
from appliance.model.errors import Retryable
from appliance.model.ids import EntityId, new_uuid
from appliance.model.message import Message
from appliance.model.telemetry import AttributeWrite, Scope, Value
from appliance.rules.work import Work
from appliance.state.activity import LOOK_S, Signs, number
from appliance.state.store import State

TIMES = {"CONNECT_EVENT": "lastConnectTime", "DISCONNECT_EVENT": "lastDisconnectTime"}
"""The attribute that keeps when it happened last."""


class Presence:
    """Keeps activity attributes; a Component that looks for inactive devices once a minute."""

    def __init__(self, state: State, processor: Processor, clock: Clock) -> None:
        self._state = state
        self._processor = processor
        self._clock = clock
        self._signs = Signs(state)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look for devices that went silent, until cancelled."""
        self._signs.recall()
        task_status.started()
        while True:
            await trio.sleep(LOOK_S)
            self._look(self._clock())

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
        if values := self._signs.seen(session.device, at_ms):
            self._note(session, "ACTIVITY_EVENT" if "active" in values else None, values)

    def told(self, device: EntityId, event: str, at_ms: int) -> None:
        """A rule node says what happened to a device; what is older than what is known is not
        heard."""
        session = session_of(device.id, self._state)
        if session is None:
            return
        stored = self._state.attributes(device, Scope.SERVER)
        active_ms = self._signs.last_ms(device)
        if event == "ACTIVITY_EVENT":
            if at_ms > active_ms:
                self.active(session, at_ms)
        elif event == "INACTIVITY_EVENT":
            if at_ms > max(active_ms, number(stored, "inactivityAlarmTime")):
                self._signs.forget(device)
                self._note(session, event, {"active": False, "inactivityAlarmTime": at_ms})
        elif at_ms >= number(stored, TIMES[event]):
            self._note(session, event, {TIMES[event]: at_ms})

    def _look(self, now_ms: int) -> None:
        for device in self._signs.take_silent(now_ms):
            session = session_of(device.id, self._state)
            if session is not None:
                values: dict[str, Value] = {"active": False, "inactivityAlarmTime": now_ms}
                self._note(session, "INACTIVITY_EVENT", values)

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
        data = self._signs.event_data(session.device, values)
        metadata = {
            "deviceName": session.name,
            "deviceType": session.profile,
            "scope": Scope.SERVER.value,
        }
        label = (self._state.entity("DEVICE", session.device.id) or {}).get("label")
        if label:
            metadata["deviceLabel"] = label
        return Message(new_uuid(), now_ms, event, session.device, data, metadata)
