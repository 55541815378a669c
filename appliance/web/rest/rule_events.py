"""Debug events of rule nodes and calculated fields, as ThingsBoard's "Events" tab reads them.

The newest 50 of a node or field whose debug settings ask for them, in memory: they end with the
process. Nothing else has events here; other entities and types of event answer an empty page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import UUID

import msgspec

from appliance.fields.debug import FieldDebugEvent
from appliance.model.ids import EntityId
from appliance.rules.debug import DebugEvent
from appliance.rules.node import SERVICE_ID
from appliance.rules.values import json_text
from appliance.web.rest.call import Call, Table
from appliance.web.rest.paging import page_link, page_of

table = Table()
_NODE, _FIELD = "DEBUG_RULE_NODE", "DEBUG_CALCULATED_FIELD"
_TYPES = {"RULE_NODE": _NODE, "CALCULATED_FIELD": _FIELD}
_FOR_EVER_MS = 1 << 62


@table.on("GET", "/api/events/{type}/{id}", "/api/events/{type}/{id}/{event_type}")
async def read_events(call: Call) -> Any:
    """A page of events; the newest first unless asked otherwise."""
    return _page(call, call.path_or("event_type", ""), {})


@table.on("POST", "/api/events/{type}/{id}")
async def find_events(call: Call) -> Any:
    """A page of those events that fit the filter in the body."""
    wanted = call.json_object()
    return _page(call, str(wanted.get("eventType") or ""), wanted)


@table.on("POST", "/api/events/{type}/{id}/clear")
async def clear_events(call: Call) -> Any:
    """Forget the events of an interval, or all."""
    entity = call.path_entity()
    start, end = call.integer("startTime") or 0, call.integer("endTime") or _FOR_EVER_MS
    if entity.type == "RULE_NODE" and call.services.debug is not None:
        call.services.debug.clear_debug_events(entity.id, start, end)
    elif entity.type == "CALCULATED_FIELD" and call.services.field_debug is not None:
        call.services.field_debug.clear_debug_events(entity.id, start, end)


@table.on("GET", "/api/calculatedField/{id}/debug")
async def newest_of_field(call: Call) -> Any:
    """The body of a field's newest event; nothing where there is none."""
    id = call.path_id()
    call.entity("CALCULATED_FIELD", id)
    debug = call.services.field_debug
    events = debug.debug_events(id) if debug is not None else ()
    return _without_nothing(field_body(events[-1])) if events else None


def _page(call: Call, event_type: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
    entity = call.path_entity()
    link = page_link(call)
    found = list(_events(call, entity, event_type or _TYPES.get(entity.type, "")))
    if link.sort == "ts":  # the answer calls it otherwise
        link = msgspec.structs.replace(link, sort="createdTime")
    return page_of([one for one in reversed(found) if fits(one["body"], wanted)], link)


def _events(call: Call, entity: EntityId, event_type: str) -> Iterator[dict[str, Any]]:
    """EventInfos of the entity, oldest first."""
    tenant, services = call.view.tenant_id, call.services
    if _TYPES.get(entity.type) != event_type:
        return
    if event_type == _NODE and services.debug is not None:
        for event in services.debug.debug_events(entity.id):
            yield event_info(event.id, event.ts, node_body(event), entity, tenant, _NODE)
    elif event_type == _FIELD and services.field_debug is not None:
        for calculated in services.field_debug.debug_events(entity.id):
            body = field_body(calculated)
            yield event_info(calculated.id, calculated.ts, body, entity, tenant, _FIELD)


def event_info(
    id: UUID, ts: int, body: dict[str, Any], entity: EntityId, tenant: UUID, type: str
) -> dict[str, Any]:
    """ThingsBoard's EventInfo; members of the body that have no value are left out."""
    return {
        "id": {"id": str(id)},
        "createdTime": ts,
        "tenantId": EntityId("TENANT", tenant).to_json(),
        "type": type,
        "uid": str(id),
        "entityId": entity.to_json(),
        "body": _without_nothing(body),
    }


def node_body(event: DebugEvent) -> dict[str, Any]:
    """What a rule node's event says."""
    message = event.message
    return {
        "server": SERVICE_ID,
        "type": event.direction,
        "entityType": message.originator.type,
        "entityId": str(message.originator.id),
        "msgId": str(message.id),
        "msgType": message.type,
        "dataType": message.data_type,
        "relationType": event.label,
        "data": message.data if message.data_type != "JSON" else json_text(message.data),
        "metadata": json_text(message.metadata),
        "error": event.error,
    }


def field_body(event: FieldDebugEvent) -> dict[str, Any]:
    """What a calculated field's event says; arguments and result as JSON text."""
    return {
        "server": SERVICE_ID,
        "entityType": event.entity.type,
        "entityId": str(event.entity.id),
        "msgId": None if event.message is None else str(event.message),
        "msgType": event.type,
        "arguments": None if event.arguments is None else json_text(event.arguments),
        "result": None if event.result is None else json_text(event.result),
        "error": event.error,
    }


def _without_nothing(body: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if value is not None}


_CONTAINS = {
    "server": "server",
    "relationType": "relationType",
    "msgType": "msgType",
    "dataSearch": "data",
    "metadataSearch": "metadata",
    "errorStr": "error",
    "arguments": "arguments",
    "result": "result",
}
_EQUALS = {
    "msgDirectionType": "type",
    "entityType": "entityType",
    "entityId": "entityId",
    "msgId": "msgId",
}


def fits(body: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether an event's body passes a filter: RuleNodeDebugEventFilter or that of fields."""
    failed = wanted.get("isError", wanted.get("error"))
    if failed is not None and bool(failed) != ("error" in body):
        return False
    return _all(wanted, body, _EQUALS, str.__eq__) and _all(wanted, body, _CONTAINS, _contains)


def _all(
    wanted: Mapping[str, Any],
    body: Mapping[str, Any],
    members: Mapping[str, str],
    passes: Callable[[str, str], bool],
) -> bool:
    return all(
        passes(str(body.get(member, "")), str(wanted[name]))
        for name, member in members.items()
        if wanted.get(name)
    )


def _contains(text: str, part: str) -> bool:
    return part.lower() in text.lower()
