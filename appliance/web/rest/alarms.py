"""Alarms and their comments (spec §4.6, §7)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any
from uuid import UUID

import msgspec

from appliance.access.tokens import Principal
from appliance.model.ids import EntityId, created_time_ms, new_uuid
from appliance.state.kinds import entity_id_of, id_of
from appliance.state.view import StateView
from appliance.web.commands import Change, Overtaken
from appliance.web.errors import ApiError, not_found, uuid_of
from appliance.web.rest.call import USERS, Call, Table
from appliance.web.rest.checked import checked
from appliance.web.rest.paging import page_link, page_of
from appliance.web.rest.shapes import check_length

table = Table(in_turn=True)
SEVERITIES = ("CRITICAL", "MAJOR", "MINOR", "WARNING", "INDETERMINATE")
_STATUSES = ("ACTIVE_UNACK", "ACTIVE_ACK", "CLEARED_UNACK", "CLEARED_ACK")
_SEARCHES = {
    "ANY": _STATUSES,
    "ACTIVE": _STATUSES[:2],
    "CLEARED": _STATUSES[2:],
    "ACK": ("ACTIVE_ACK", "CLEARED_ACK"),
    "UNACK": ("ACTIVE_UNACK", "CLEARED_UNACK"),
}

_ASKED = _SEARCHES | {status: (status,) for status in _STATUSES}


def status_of(alarm: dict[str, Any]) -> str:
    """The status that follows from `cleared` and `acknowledged`."""
    life = "CLEARED" if alarm.get("cleared") else "ACTIVE"
    return f"{life}_{'ACK' if alarm.get('acknowledged') else 'UNACK'}"


def alarm_body(alarm: dict[str, Any]) -> dict[str, Any]:
    """The alarm with what is derived from it."""
    return {**alarm, "name": alarm.get("type"), "status": status_of(alarm)}


def alarm_info(view: StateView, alarm: dict[str, Any]) -> dict[str, Any]:
    """AlarmInfo: with the originator's names and who it is assigned to."""
    originator = entity_id_of(alarm.get("originator"))
    named = (originator and view.entity(originator.type, originator.id)) or {}
    assignee = id_of(alarm.get("assigneeId"))
    user = (assignee and view.entity("USER", assignee)) or None
    names = ("id", "firstName", "lastName", "email")
    return {
        **alarm_body(alarm),
        "originatorName": named.get("name") or named.get("title"),
        "originatorLabel": named.get("label"),
        "assignee": {name: user.get(name) for name in names} if user else None,
    }


# --- one ---------------------------------------------------------------------------------------

_GIVEN = (
    "id",
    "type",
    "originator",
    "severity",
    "acknowledged",
    "cleared",
    "assigneeId",
    "startTs",
    "endTs",
    "ackTs",
    "clearTs",
    "assignTs",
    "details",
    "propagate",
    "propagateToOwner",
    "propagateToTenant",
    "propagateRelationTypes",
)


@table.on("POST", "/api/alarm", roles=USERS)
async def save_alarm(call: Call) -> Any:
    """Make an alarm, or change the one with that id or the active one of originator and type."""
    while True:
        try:
            return await _save_alarm(call)
        except Overtaken:
            continue  # there is an active one now, which the other side has raised


async def _save_alarm(call: Call) -> Any:
    given = checked(call.json_object(), _GIVEN)
    originator = entity_id_of(given.get("originator"))
    if originator is None:
        raise ApiError(404, "Requested item wasn't found!")
    owner = call.entity(originator.type, originator.id)
    _check(call, given)
    stored = _stored(call, given) or call.view.active_alarm(originator, given["type"])
    body = _saved(call, given, stored, owner)
    id = UUID(body["id"]["id"])
    changes = [Change("ALARM", id, body, "UPDATED" if stored else "ADDED")]
    if stored and stored.get("severity") != given["severity"]:
        text = f"Alarm severity was updated from {stored['severity']} to {given['severity']}"
        changes.append(_system_comment(id, call.principal, text))
    for mark, ts, assignee in _marks(given, body):
        body, more = _marked(call, body, mark, ts, assignee)
        changes += more
    await call.commands.change(changes, call.principal)
    return alarm_body(body)


def _check(call: Call, given: dict[str, Any]) -> None:
    """Raises ApiError for what no alarm can be."""
    if not (given.get("type") or "").strip():
        raise ApiError(400, "Validation error: type must not be null")
    check_length("type", given["type"])
    if given.get("severity") is None:
        raise ApiError(400, "Validation error: severity must not be null")
    start_ms, end_ms = given.get("startTs") or 0, given.get("endTs") or 0
    if 0 < end_ms < start_ms:
        raise ApiError(400, "Alarm start ts can't be greater then alarm end ts!")
    assignee = id_of(given.get("assigneeId"))
    if assignee is not None and call.view.entity("USER", assignee) is None:
        raise not_found("USER", assignee)


def _stored(call: Call, given: dict[str, Any]) -> dict[str, Any] | None:
    id = id_of(given.get("id"))
    return None if id is None else call.entity("ALARM", id)


_SETTABLE = {
    "details": dict,
    "propagate": bool,
    "propagateToOwner": bool,
    "propagateToTenant": bool,
    "propagateRelationTypes": list,
}


def _saved(
    call: Call, given: dict[str, Any], stored: dict[str, Any] | None, owner: dict[str, Any]
) -> dict[str, Any]:
    """The alarm before what was done to it; type and originator never change."""
    now_ms, id = call.services.clock(), new_uuid()
    start_ms = given.get("startTs") or now_ms
    fresh = {
        "id": EntityId("ALARM", id).to_json(),
        "createdTime": created_time_ms(id),
        "tenantId": EntityId("TENANT", call.view.tenant_id).to_json(),
        "customerId": owner.get("customerId") if id_of(owner.get("customerId")) else None,
        "type": given["type"],
        "originator": given["originator"],
        "acknowledged": False,
        "cleared": False,
        "assigneeId": None,
        "ackTs": 0,
        "clearTs": 0,
        "assignTs": 0,
    }
    return {
        **(stored or fresh),
        "severity": given["severity"],
        "startTs": start_ms,
        "endTs": given.get("endTs") or start_ms,
        **{name: given.get(name) or kind() for name, kind in _SETTABLE.items()},
    }


# --- what is done to it ------------------------------------------------------------------------


class _Mark(msgspec.Struct, frozen=True):
    """action: of the outbox. subtype, done: of the comment that tells of it. ts: where the time
    of it is kept. already: the refusal where it has been done before."""

    action: str
    subtype: str
    done: str
    ts: str
    already: str


_ACK = _Mark("ALARM_ACK", "ACK", "acknowledged", "ackTs", "acknowledged")
_CLEAR = _Mark("ALARM_CLEAR", "CLEAR", "cleared", "clearTs", "cleared")
_ASSIGN = _Mark("ALARM_ASSIGNED", "ASSIGN", "assigned", "assignTs", "assigned to this user")
_UNASSIGN = _Mark("ALARM_UNASSIGNED", "ASSIGN", "unassigned", "assignTs", "unassigned")


def _marks(given: dict[str, Any], alarm: dict[str, Any]) -> Iterator[tuple[_Mark, int, Any]]:
    """What saving it does to it besides: (mark, when or 0, whom it is assigned to)."""
    if given.get("acknowledged") and not alarm.get("acknowledged"):
        yield _ACK, given.get("ackTs") or 0, alarm.get("assigneeId")
    if given.get("cleared") and not alarm.get("cleared"):
        yield _CLEAR, given.get("clearTs") or 0, alarm.get("assigneeId")
    assignee = given.get("assigneeId")
    if id_of(assignee) != id_of(alarm.get("assigneeId")):
        yield _ASSIGN if id_of(assignee) else _UNASSIGN, given.get("assignTs") or 0, assignee


def _marked(
    call: Call, alarm: dict[str, Any], mark: _Mark, ts: int = 0, assignee: Any = None
) -> tuple[dict[str, Any], list[Change]]:
    """The alarm with the mark, and the changes that make it so."""
    state = {_ACK: "acknowledged", _CLEAR: "cleared"}.get(mark)
    body = {**alarm, mark.ts: ts or call.services.clock()}
    body |= {state: True} if state else {"assigneeId": assignee if mark is _ASSIGN else None}
    text, more = f"Alarm was {mark.done} by user {call.principal.email}", {}
    user = id_of(assignee) if mark is _ASSIGN else None
    if user is not None:
        text += f" to user {(call.view.entity('USER', user) or {}).get('email')}"
        more = {"assigneeId": str(user)}
    id = UUID(alarm["id"]["id"])
    comment = _system_comment(id, call.principal, text, mark.subtype, **more)
    return body, [Change("ALARM", id, body, mark.action), comment]


async def _mark(call: Call, mark: _Mark, done: bool, assignee: Any = None) -> dict[str, Any]:
    """Answer one of the calls below. done: the alarm has that mark. Raises ApiError 400."""
    if done:
        raise ApiError(400, f"Alarm was already {mark.already}!")
    body, changes = _marked(call, call.entity("ALARM", call.path_id()), mark, 0, assignee)
    await call.commands.change(changes, call.principal)
    return alarm_info(call.view, body)


@table.on("POST", "/api/alarm/{id}/ack", roles=USERS)
async def acknowledge(call: Call) -> Any:
    """Somebody has seen it."""
    alarm = call.entity("ALARM", call.path_id())
    return await _mark(call, _ACK, bool(alarm.get("acknowledged")))


@table.on("POST", "/api/alarm/{id}/clear", roles=USERS)
async def clear(call: Call) -> Any:
    """Its cause is gone."""
    alarm = call.entity("ALARM", call.path_id())
    return await _mark(call, _CLEAR, bool(alarm.get("cleared")))


@table.on("POST", "/api/alarm/{id}/assign/{user}", roles=USERS)
async def assign(call: Call) -> Any:
    """Somebody shall look after it."""
    alarm, user = call.entity("ALARM", call.path_id()), call.path_id("user")
    if call.view.entity("USER", user) is None:
        raise not_found("USER", user)
    done = id_of(alarm.get("assigneeId")) == user
    return await _mark(call, _ASSIGN, done, EntityId("USER", user).to_json())


@table.on("DELETE", "/api/alarm/{id}/assign", roles=USERS)
async def unassign(call: Call) -> Any:
    """Nobody in particular looks after it any more."""
    alarm = call.entity("ALARM", call.path_id())
    return await _mark(call, _UNASSIGN, id_of(alarm.get("assigneeId")) is None)


# --- read, delete ------------------------------------------------------------------------------


@table.on("GET", "/api/alarm/{id}", roles=USERS)
async def read_alarm(call: Call) -> Any:
    """The alarm."""
    return alarm_body(call.entity("ALARM", call.path_id()))


@table.on("GET", "/api/alarm/info/{id}", roles=USERS)
async def read_alarm_info(call: Call) -> Any:
    """The alarm with names."""
    return alarm_info(call.view, call.entity("ALARM", call.path_id()))


@table.on("DELETE", "/api/alarm/{id}", roles=USERS)
async def delete_alarm(call: Call) -> Any:
    """Remove the alarm."""
    id = call.path_id()
    call.entity("ALARM", id)
    await call.commands.change([Change("ALARM", id, None, "ALARM_DELETE")], call.principal)
    return True


# --- lists -------------------------------------------------------------------------------------


@table.on("GET", "/api/alarms", "/api/v2/alarms", roles=USERS)
@table.on("GET", "/api/alarm/{type}/{id}", "/api/v2/alarm/{type}/{id}", roles=USERS)
async def alarms(call: Call) -> Any:
    """A page of AlarmInfo: all, or those of one entity."""
    return page_of((alarm_info(call.view, alarm) for alarm in _chosen(call)), page_link(call))


@table.on("GET", "/api/alarm/highestSeverity/{type}/{id}", roles=USERS)
async def highest_severity(call: Call) -> Any:
    """The worst severity of the entity's alarms; empty when it has none."""
    severities = {alarm["severity"] for alarm in _chosen(call)}
    return next((severity for severity in SEVERITIES if severity in severities), None)


@table.on("GET", "/api/alarm/types", roles=USERS)
async def alarm_types(call: Call) -> Any:
    """A page of the types that alarms have."""
    tenant = EntityId("TENANT", call.view.tenant_id).to_json()
    seen = (a for a in call.view.entities("ALARM") if call.sees("ALARM", a))
    names = sorted({str(alarm.get("type")) for alarm in seen})
    found = ({"tenantId": tenant, "entityType": "ALARM", "type": name} for name in names)
    return page_of(found, page_link(call))


def _chosen(call: Call) -> Iterator[dict[str, Any]]:
    """The alarms that path and query choose. Raises ApiError."""
    originator = None
    if call.path_or("type", ""):
        originator = call.path_entity()
        call.entity(originator.type, originator.id)
    statuses = _statuses(call)
    severities = call.names("severityList")
    for severity in severities or ():
        _one_of(SEVERITIES, severity, "severity")
    types, assignee = call.names("typeList"), call.query("assigneeId")
    wanted = None if assignee is None else uuid_of(assignee)
    for alarm in call.view.entities("ALARM"):
        if originator is not None and entity_id_of(alarm.get("originator")) != originator:
            continue
        if status_of(alarm) not in statuses or not call.sees("ALARM", alarm):
            continue
        if severities is not None and alarm.get("severity") not in severities:
            continue
        if types is not None and alarm.get("type") not in types:
            continue
        if wanted is None or id_of(alarm.get("assigneeId")) == wanted:
            yield alarm


def _statuses(call: Call) -> set[str]:
    """Statuses asked for: one itself, or those that the words of a search stand for."""
    search, status = call.query("searchStatus"), call.query("status")
    if search and status:
        raise ApiError(400, "Invalid alarms search query: 'searchStatus' and 'status' are set")
    if status:
        return {_one_of(_STATUSES, status, "status")}
    if search:
        return set(_SEARCHES[_one_of(_SEARCHES, search, "search status")])
    words = call.names("statusList") or ["ANY"]
    return {s for word in words for s in _ASKED[_one_of(_ASKED, word, "status")]}


def _one_of(words: Collection[str], word: str, what: str) -> str:
    if word not in words:
        raise ApiError(400, f"No alarm {what} {word}; there are {', '.join(words)}")
    return word


# --- comments ----------------------------------------------------------------------------------


@table.on("GET", "/api/alarm/{id}/comment", roles=USERS)
async def comments(call: Call) -> Any:
    """A page of the alarm's comments with their authors."""
    id = call.path_id()
    call.entity("ALARM", id)
    found = (c for c in call.view.entities("ALARM_COMMENT") if id_of(c.get("alarmId")) == id)
    return page_of((_comment_info(call.view, comment) for comment in found), page_link(call))


@table.on("POST", "/api/alarm/{id}/comment", roles=USERS)
async def save_comment(call: Call) -> Any:
    """Say something about the alarm, or change what was said."""
    alarm, given = call.path_id(), checked(call.json_object(), ("id", "comment"))
    call.entity("ALARM", alarm)
    text = given.get("comment")
    if not isinstance(text, dict):
        raise ApiError(400, "Comment should be specified!")
    stored_id = id_of(given.get("id"))
    stored = _own_comment(call, alarm, stored_id) if stored_id else None
    comment = stored or _comment(alarm, call.principal, "OTHER", {})
    body = {**comment, "comment": text | ({"edited": "true"} if stored else {})}
    id, action = UUID(body["id"]["id"]), "UPDATED_COMMENT" if stored else "ADDED_COMMENT"
    await call.commands.change([Change("ALARM_COMMENT", id, body, action)], call.principal)
    return _named(body)


@table.on("DELETE", "/api/alarm/{id}/comment/{comment}", roles=USERS)
async def delete_comment(call: Call) -> None:
    """Take back what was said; a word about that stays, as with the reference."""
    alarm, id = call.path_id(), call.path_id("comment")
    call.entity("ALARM", alarm)
    gone = {
        "text": f"User {call.principal.email} deleted his comment",
        "subtype": "DELETED",
        "userId": str(call.principal.user_id),
    }
    body = {**_own_comment(call, alarm, id), "type": "SYSTEM", "comment": gone}
    change = Change("ALARM_COMMENT", id, body, "DELETED_COMMENT")
    await call.commands.change([change], call.principal)


def _own_comment(call: Call, alarm: UUID, id: UUID) -> dict[str, Any]:
    """A comment of this alarm by this user. Raises ApiError 404, 403."""
    body = call.view.entity("ALARM_COMMENT", id)
    if body is None or id_of(body.get("alarmId")) != alarm:
        raise not_found("ALARM_COMMENT", id)
    if id_of(body.get("userId")) != call.principal.user_id or body.get("type") == "SYSTEM":
        raise ApiError(403, "A comment can be changed by its author only")
    return body


def _comment(alarm: UUID, principal: Principal, type: str, comment: Any) -> dict[str, Any]:
    id = new_uuid()
    return {
        "id": {"id": str(id)},
        "createdTime": created_time_ms(id),
        "alarmId": EntityId("ALARM", alarm).to_json(),
        "userId": EntityId("USER", principal.user_id).to_json(),
        "type": type,
        "comment": comment,
    }


def _system_comment(
    alarm: UUID, principal: Principal, text: str, subtype: str | None = None, **more: str
) -> Change:
    """What the appliance says about what a user did."""
    comment = {"text": text}
    if subtype is not None:
        comment |= {"subtype": subtype, "userId": str(principal.user_id), **more}
    body = _comment(alarm, principal, "SYSTEM", comment)
    return Change("ALARM_COMMENT", UUID(body["id"]["id"]), body, "ADDED_COMMENT")


def _comment_info(view: StateView, comment: dict[str, Any]) -> dict[str, Any]:
    user_id = id_of(comment.get("userId"))
    user = (user_id and view.entity("USER", user_id)) or {}
    names = ("firstName", "lastName", "email")
    return {**_named(comment), **{name: user.get(name) for name in names}}


def _named(comment: dict[str, Any]) -> dict[str, Any]:
    return {**comment, "name": msgspec.json.encode(comment.get("comment")).decode()}
