"""gps geofencing events: a device crosses a border, or stays (spec §9.6).

The state is a server attribute of the originator, so it survives a restart and can be looked at.
"""

from __future__ import annotations

import msgspec

from appliance.model.message import Message
from appliance.model.telemetry import AttributeWrite, Scope, Value
from appliance.rules.context import Context
from appliance.rules.geofence import Geofence, GeofenceConfig
from appliance.rules.node import PACKAGE, SERVICE_ID, SUCCESS, NodeFactory, NodeHandle
from appliance.rules.values import json_text, whole_ms


class PresenceConfig(GeofenceConfig, frozen=True, kw_only=True):
    """How long to be on a side before it is said, unless it is said each time."""

    min_inside_duration: int = 0
    min_inside_duration_time_unit: str | None = None
    min_outside_duration: int = 0
    min_outside_duration_time_unit: str | None = None
    report_presence_status_on_each_message: bool = False


class Presence(msgspec.Struct, frozen=True):
    """state_switch_time: epoch milliseconds. stayed: the stay has been told."""

    inside: bool
    stateSwitchTime: int
    stayed: bool


class GeofencingEvents:
    """gps geofencing events: Entered, Left, Inside, Outside, or Success."""

    def __init__(self, config: PresenceConfig, node: NodeHandle) -> None:
        self._fence = Geofence(config)
        self._each = config.report_presence_status_on_each_message
        self._stay = {
            True: (config.min_inside_duration, config.min_inside_duration_time_unit),
            False: (config.min_outside_duration, config.min_outside_duration_time_unit),
        }

    def process(self, message: Message, ctx: Context) -> None:
        """Say what changed."""
        inside, now = self._fence.contains(message), ctx.now()
        stored = ctx.state.attributes(message.originator, Scope.SERVER).get(SERVICE_ID)
        presence = _parsed(stored.value) if stored else None
        if presence is None or presence.inside != inside:
            self._remember(message, Presence(inside, now, False), ctx)
            ctx.tell("Entered" if inside else "Left", message)
        elif self._each:
            ctx.tell("Inside" if inside else "Outside", message)
        elif not presence.stayed and now - presence.stateSwitchTime > whole_ms(*self._stay[inside]):
            self._remember(message, Presence(inside, presence.stateSwitchTime, True), ctx)
            ctx.tell("Inside" if inside else "Outside", message)
        else:
            ctx.tell(SUCCESS, message)

    def _remember(self, message: Message, presence: Presence, ctx: Context) -> None:
        values: dict[str, Value] = {SERVICE_ID: json_text(presence)}
        ctx.unit.attributes.append(
            AttributeWrite(message.originator, Scope.SERVER, ctx.now(), values)
        )


def _parsed(value: object) -> Presence | None:
    try:
        return msgspec.json.decode(str(value), type=Presence)
    except msgspec.DecodeError:
        return None


GEOFENCING_NODES = (
    NodeFactory(
        PACKAGE + "geo.TbGpsGeofencingActionNode",
        "gps geofencing events",
        PresenceConfig,
        GeofencingEvents,
        version=1,
    ),
)
