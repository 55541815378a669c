"""device state: a message counts as a sign of life of its device.

Per device at most 1 in a second, 30 in a minute, 60 in an hour; the times of the last hour are
kept, 60 a device.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from uuid import UUID

from appliance.model.message import Message
from appliance.rules.context import Context
from appliance.rules.node import PACKAGE, NodeConfig, NodeError, NodeFactory, NodeHandle, require

EVENTS = ("ACTIVITY_EVENT", "CONNECT_EVENT", "DISCONNECT_EVENT", "INACTIVITY_EVENT")
LIMITS = ((1, 1_000), (30, 60_000), (60, 3_600_000))
"""(how many, in how many milliseconds)."""


class DeviceStateConfig(NodeConfig, frozen=True, kw_only=True):
    """event: one of EVENTS."""

    event: str | None = None


class DeviceState:
    """device state."""

    def __init__(self, config: DeviceStateConfig, node: NodeHandle) -> None:
        require(config.event, "Event cannot be null!")
        require(config.event in EVENTS, f"Unsupported event: {config.event}")
        self._event = config.event or ""
        self._times: dict[UUID, deque[int]] = {}

    def process(self, message: Message, ctx: Context) -> None:
        """Success, or Rate limited without an effect."""
        originator = message.originator
        if originator.type != "DEVICE":
            raise NodeError(f"Unsupported originator entity type: [{originator.type}].")
        if not self._within_limits(originator.id, ctx.now()):
            ctx.tell("Rate limited", message)
            return
        tell = ctx.services.device_event
        ctx.after_commit(partial(tell, originator, self._event, message.effective_ts))
        ctx.success(message)

    def _within_limits(self, device: UUID, now: int) -> bool:
        times = self._times.setdefault(device, deque(maxlen=LIMITS[-1][0]))
        for count, window_ms in LIMITS:
            if len(times) >= count and now - times[-count] < window_ms:
                return False
        times.append(now)
        return True


DEVICE_STATE_NODES = (
    NodeFactory(
        PACKAGE + "action.TbDeviceStateNode", "device state", DeviceStateConfig, DeviceState
    ),
)
