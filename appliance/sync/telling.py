"""What events about stored things name, and carry, so that they keep their order.

Events of one entity keep their order (sync/packing.py). A relation counts as its source; alarms
and comments on them count as what the alarm is about: an alarm never overtakes the end of the one
before it, nor a comment its alarm.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from appliance.model.ids import EntityId
from appliance.state.kinds import entity_id_of, id_of
from appliance.state.view import StateView


def told_of(kind: str, body: dict[str, Any], state: StateView) -> EntityId | None:
    """The entity that an event with this body names; None where it names the thing itself."""
    if kind == "RELATION":
        return entity_id_of(body.get("from"))
    alarm = id_of(body.get("alarmId")) if kind == "ALARM_COMMENT" else None
    if alarm is None:
        return None
    known = state.entity("ALARM", alarm) or {}
    return entity_id_of(known.get("originator")) or EntityId("ALARM", alarm)


def place_of(alarm: Mapping[str, Any]) -> bytes:
    """The body of an event about an alarm that is read when it is sent: what the alarm is about."""
    return msgspec.json.encode({"originator": alarm.get("originator")})
