"""When attributes were deleted, so that an older value still on its way brings none of them back.

What is on its way may be old: the answer to a request waits in the peer's outbox through an outage
and a restart of both sides. So the moments are durable, as small states that travel in the unit
that deletes. The attribute that is there again, with a later time, makes its own obsolete.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID

from appliance.model.ids import EntityId
from appliance.model.telemetry import AttributeDelete, Scope
from appliance.model.unit import StateWrite, Unit

OWNER = "deleted_attributes"
DELETED_MAX = 10_000
"""Deletions that are remembered: what is on its way longer than that many of them is rare."""

Place = tuple[EntityId, Scope, str]


def delete_for_good(unit: Unit, delete: AttributeDelete) -> None:
    """Let a unit delete attributes and remember when; a deletion without a time is not remembered,
    for it may be taken back."""
    unit.attributes.append(delete)
    for key in delete.keys if delete.ts else ():
        name = _name((delete.entity, delete.scope, key))
        unit.states.append(StateWrite(OWNER, name, b"%d" % delete.ts))


def forget(unit: Unit, places: Iterable[Place]) -> None:
    """Let a unit forget deletions: what comes next is of another peer."""
    for place in places:
        entity, scope, key = place
        unit.attributes.append(AttributeDelete(entity, scope, (key,), 0))
        unit.states.append(StateWrite(OWNER, _name(place), None))


def recalled(states: Mapping[str, bytes]) -> dict[Place, int]:
    """The moments of deletion as they were kept, oldest first."""
    moments = sorted((int(body), name) for name, body in states.items())
    return {_place(name): ms for ms, name in moments}


def outdated(states: Mapping[str, bytes]) -> list[StateWrite]:
    """The oldest beyond DELETED_MAX, to be forgotten."""
    names = sorted(states, key=lambda name: int(states[name]))
    return [StateWrite(OWNER, name, None) for name in names[: max(0, len(names) - DELETED_MAX)]]


def _name(place: Place) -> str:
    entity, scope, key = place
    return f"{entity}/{scope.value}/{key}"


def _place(name: str) -> Place:
    entity, scope, key = name.split("/", 2)
    type, _, id = entity.partition(":")
    return EntityId(type, UUID(id)), Scope(scope), key
