"""Alarms as stored entities (spec/rule-engine.md §6.3): made, changed, cleared.

Pure functions over the alarm's JSON; `store` puts the result into a unit. An alarm is active until
cleared; there is at most one active alarm of a type per originator, found by the state.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from appliance.model.ids import EntityId, created_time_ms, new_uuid
from appliance.model.unit import EntityWrite, Unit
from appliance.rules.entities import customer_of, name_of
from appliance.rules.values import encode_json
from appliance.state.view import StateView

SEVERITIES = ("CRITICAL", "MAJOR", "MINOR", "WARNING", "INDETERMINATE")
"""Worst first."""

LABELLED = ("DEVICE", "ASSET", "EDGE")
"""Types with a label beside their name; the others' name serves as both."""

Alarm = dict[str, Any]


class Propagation(msgspec.Struct, frozen=True):
    """To whom an alarm is shown besides its originator."""

    propagate: bool = False
    to_owner: bool = False
    to_tenant: bool = False
    relation_types: tuple[str, ...] = ()

    def fields(self) -> Alarm:
        """As the alarm's JSON has them."""
        return {
            "propagate": self.propagate,
            "propagateToOwner": self.to_owner,
            "propagateToTenant": self.to_tenant,
            "propagateRelationTypes": list(self.relation_types),
        }


def new_alarm(
    state: StateView,
    originator: EntityId,
    type: str,
    severity: str,
    start_ms: int,
    end_ms: int,
    details: Any,
    propagation: Propagation,
) -> Alarm:
    """A fresh active alarm."""
    id = new_uuid()
    customer = customer_of(state, originator)
    body = state.entity(originator.type, originator.id) or {}
    name = name_of(state, originator)
    label = body.get("label") if originator.type in LABELLED else name
    return {
        "id": {"entityType": "ALARM", "id": str(id)},
        "createdTime": created_time_ms(id),
        "tenantId": {"entityType": "TENANT", "id": str(state.tenant_id)},
        "customerId": customer.to_json() if customer else None,
        "type": type,
        "originator": originator.to_json(),
        "severity": severity,
        "acknowledged": False,
        "cleared": False,
        "assigneeId": None,
        "startTs": start_ms,
        "endTs": end_ms,
        "ackTs": 0,
        "clearTs": 0,
        "assignTs": 0,
        **propagation.fields(),
        "originatorName": name,
        "originatorLabel": label,
        "originatorDisplayName": label or name,
        "assignee": None,
        "name": type,
        "status": "ACTIVE_UNACK",
        "details": details,
    }


def changed(alarm: Alarm, **fields: Any) -> Alarm:
    """A copy with other fields and the status that follows."""
    alarm = {**alarm, **fields}
    alarm["status"] = status_of(alarm)
    return alarm


def cleared(alarm: Alarm, now_ms: int, details: Any) -> Alarm:
    """A copy that is no longer active."""
    return changed(alarm, cleared=True, clearTs=now_ms, details=details)


def status_of(alarm: Alarm) -> str:
    """The status that follows from an alarm's two flags."""
    active = "CLEARED" if alarm.get("cleared") else "ACTIVE"
    return f"{active}_{'ACK' if alarm.get('acknowledged') else 'UNACK'}"


def store(unit: Unit, alarm: Alarm) -> None:
    """Make the alarm part of the unit."""
    unit.entities.append(EntityWrite("ALARM", UUID(alarm["id"]["id"]), encode_json(alarm)))
