"""What both roles do when two things are one, or one thing has two names (spec §6.2, §7.5).

An alarm is known by its originator and type as long as it is active: the one that is here keeps
its id, and whatever the peer says of its own id is said of ours. That id is kept as an alias, as
long as the alarm, so that comments on it and news of it find ours when it is over too. Acknowledged
and cleared are steps without a way back, so the two sides agree in whatever order they hear of
them.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import msgspec

from appliance.model.ids import EntityId
from appliance.model.telemetry import AttributeDelete, Scope
from appliance.model.unit import EntityWrite, Unit
from appliance.state.kinds import OWNERS, Kind, entity_id_of, id_of
from appliance.state.store import State

COMPANIONS = {
    "DEVICE": "DEVICE_CREDENTIALS",
    "USER": "USER_CREDENTIALS",
    "RULE_CHAIN": "RULE_CHAIN_METADATA",
}
"""What is stored under the id of another entity, and goes with it."""
UNIQUE_NAMES = frozenset(
    {"DEVICE", "ASSET", "ENTITY_VIEW", "DEVICE_PROFILE", "ASSET_PROFILE", "USER"}
    | {"CALCULATED_FIELD", "AI_MODEL", "TB_RESOURCE"}
)
"""Kinds whose names, or keys, are given once. Where an edge brings one that is taken, its copy is
renamed on the cloud and the edge gets the new name."""
_SUFFIX_LETTERS = 15


# --- names -----------------------------------------------------------------------------------


def other_name(name: str) -> str:
    """A name nobody has; of an address the part before the @ changes (§6.2)."""
    suffix = "".join(secrets.choice(string.ascii_letters) for _ in range(_SUFFIX_LETTERS))
    local, at, domain = name.partition("@")
    return f"{local}_{suffix}{at}{domain}"


def namesake(state: State, kind: Kind, id: UUID, body: dict[str, Any]) -> dict[str, Any] | None:
    """Another entity that has the name, or the key, which this one brings."""
    if kind.name == "CALCULATED_FIELD":  # unique within what it belongs to
        owner = id_of(body.get("entityId"))
        fields = state.owned(kind.name, owner) if owner is not None else ()
        others = (state.entity(kind.name, field) for field in fields if field != id)
        return next((o for o in others if o and o.get("name") == body.get("name")), None)
    field = kind.unique or kind.title
    value = body.get(field) if field else None
    other = state.by_unique(kind.name, value) if value else None
    return None if other is None or id_of(other["id"]) in (None, id) else other


# --- alarms ----------------------------------------------------------------------------------


def alarm_here(state: State, id: UUID, body: dict[str, Any] | None) -> UUID:
    """The id that an alarm of the peer has here: its own, or that of the active one like it."""
    known = known_as(state, id)
    originator = entity_id_of((body or {}).get("originator"))
    if body is None or originator is None or state.entity("ALARM", known) is not None:
        return known
    active = state.active_alarm(originator, body.get("type") or "")
    return id if active is None else UUID(active["id"]["id"])


def known_as(state: State, id: UUID) -> UUID:
    """The id of ours that an alarm of the peer was found to be, or its own."""
    alias = state.entity("ALARM_ALIAS", id)
    return id if alias is None else id_of(alias["alarmId"]) or id


def one_alarm(state: State, theirs: UUID, ours: UUID) -> Iterator[EntityWrite]:
    """Remember that the peer's alarm is ours; what was said about it before it came is ours too."""
    alias = state.entity("ALARM_ALIAS", theirs)
    if alias is not None and id_of(alias["alarmId"]) == ours:
        return
    alarm = EntityId("ALARM", ours).to_json()
    yield EntityWrite("ALARM_ALIAS", theirs, msgspec.json.encode({"alarmId": alarm}))
    for id in state.owned("ALARM_COMMENT", theirs) if theirs != ours else ():
        comment = {**(state.entity("ALARM_COMMENT", id) or {}), "alarmId": alarm}
        yield EntityWrite("ALARM_COMMENT", id, msgspec.json.encode(comment))


def other_names(state: State, alarm: UUID) -> list[UUID]:
    """The ids under which the peer knows an alarm of ours."""
    return [name for name in state.owned("ALARM_ALIAS", alarm) if name != alarm]


def under(name: UUID, alarm: dict[str, Any]) -> dict[str, Any]:
    """The same alarm under another id."""
    return {**alarm, "id": EntityId("ALARM", name).to_json()}


def merged_alarm(known: dict[str, Any] | None, body: dict[str, Any]) -> dict[str, Any]:
    """The alarm as it is after the peer's news."""
    if known is None:
        return body
    out = {**body, "id": known["id"]}
    for step, moment in (("acknowledged", "ackTs"), ("cleared", "clearTs")):
        if known.get(step) and not body.get(step):
            out |= {step: True, moment: known.get(moment)}
    return out


def of_its_customer(state: State, alarm: dict[str, Any]) -> dict[str, Any]:
    """The alarm as the customer's whose the thing is that it is about."""
    originator = entity_id_of(alarm.get("originator"))
    owner = state.entity(originator.type, originator.id) if originator else None
    if owner is None or "customerId" not in owner:
        return alarm
    customer = owner["customerId"]
    return {**alarm, "customerId": customer if id_of(customer) else None}


def is_deletion_mark(kind: str, body: dict[str, Any] | None) -> bool:
    """Whether this is what stays of a comment that was taken back: a word of the system.

    The reference says such a deletion with the mark, and takes the mark from an update only (§6.2).
    """
    return kind == "ALARM_COMMENT" and (body or {}).get("type") == "SYSTEM"


# --- what goes with an entity ------------------------------------------------------------------


def cascade(entity: EntityId, state: State, unit: Unit) -> None:
    """Delete what only makes sense with the entity; its own deletion is the caller's.

    Credentials or metadata, relations, attributes, and what it owns (alarms and their comments,
    views, calculated fields, API keys; of a customer the users) with all that goes with those.
    Attributes go without a time, so that they come back should the entity.
    """
    companion = COMPANIONS.get(entity.type)
    if companion and state.entity(companion, entity.id) is not None:
        unit.entities.append(EntityWrite(companion, entity.id, None))
    for relation in [*state.relations_from(entity), *state.relations_to(entity)]:
        unit.entities.append(EntityWrite("RELATION", relation.id, None))
    for scope in Scope:
        keys = tuple(state.attributes(entity, scope))
        if keys:
            unit.attributes.append(AttributeDelete(entity, scope, keys, 0))
    for owned in (*owned_by(entity, state), *_users_of(entity, state)):
        unit.entities.append(EntityWrite(owned.type, owned.id, None))
        cascade(owned, state, unit)


def _users_of(entity: EntityId, state: State) -> Iterator[EntityId]:
    """Users of a customer: who has no customer any more must not log in any more."""
    if entity.type == "CUSTOMER":
        for user in state.entities("USER"):
            own = id_of(user["id"])
            if own is not None and id_of(user.get("customerId")) == entity.id:
                yield EntityId("USER", own)


def owned_by(entity: EntityId, state: State) -> Iterator[EntityId]:
    """What belongs to an entity and to nothing else."""
    for kind in OWNERS if entity.type != "ALARM_ALIAS" else ():  # may have its alarm's id
        for id in state.owned(kind, entity.id):
            yield EntityId(kind, id)
