"""Debug events of rule nodes, as ThingsBoard's "Events" tab reads them.

The newest 50 of a node whose debug settings ask for them, in memory: they end with the process.
Only rule nodes have events here; other entities and other types of event answer an empty page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import msgspec

from appliance.model.ids import EntityId
from appliance.rules.debug import DebugEvent
from appliance.rules.node import SERVICE_ID
from appliance.rules.values import json_text
from appliance.web.rest.call import Call, Table
from appliance.web.rest.paging import page_link, page_of

table = Table()
_TYPE = "DEBUG_RULE_NODE"
_FOR_EVER_MS = 1 << 62


@table.on("GET", "/api/events/{type}/{id}", "/api/events/{type}/{id}/{event_type}")
async def read_events(call: Call) -> Any:
    """A page of events; the newest first unless asked otherwise."""
    return _page(call, call.path_or("event_type", _TYPE), {})


@table.on("POST", "/api/events/{type}/{id}")
async def find_events(call: Call) -> Any:
    """A page of those events that fit the filter in the body."""
    wanted = call.json_object()
    return _page(call, str(wanted.get("eventType") or _TYPE), wanted)


@table.on("POST", "/api/events/{type}/{id}/clear")
async def clear_events(call: Call) -> Any:
    """Forget the events of an interval, or all."""
    entity = call.path_entity()
    start, end = call.integer("startTime") or 0, call.integer("endTime") or _FOR_EVER_MS
    if call.services.debug is not None and entity.type == "RULE_NODE":
        call.services.debug.clear_debug_events(entity.id, start, end)


def _page(call: Call, event_type: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
    entity = call.path_entity()
    link = page_link(call)
    found = [
        event_info(event, entity, call.view.tenant_id)
        for event in reversed(_events(call, entity, event_type))
    ]
    if link.sort == "ts":  # the answer calls it otherwise
        link = msgspec.structs.replace(link, sort="createdTime")
    return page_of([info for info in found if fits(info["body"], wanted)], link)


def _events(call: Call, entity: EntityId, event_type: str) -> list[DebugEvent]:
    debug = call.services.debug
    if debug is None or entity.type != "RULE_NODE" or event_type != _TYPE:
        return []
    return debug.debug_events(entity.id)


def event_info(event: DebugEvent, node: EntityId, tenant: UUID) -> dict[str, Any]:
    """ThingsBoard's EventInfo; members of the body that have no value are left out."""
    message = event.message
    body = {
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
    return {
        "id": {"id": str(event.id)},
        "createdTime": event.ts,
        "tenantId": EntityId("TENANT", tenant).to_json(),
        "type": _TYPE,
        "uid": str(event.id),
        "entityId": node.to_json(),
        "body": {key: value for key, value in body.items() if value is not None},
    }


_CONTAINS = {
    "server": "server",
    "relationType": "relationType",
    "msgType": "msgType",
    "dataSearch": "data",
    "metadataSearch": "metadata",
    "errorStr": "error",
}
_EQUALS = {
    "msgDirectionType": "type",
    "entityType": "entityType",
    "entityId": "entityId",
    "msgId": "msgId",
}


def fits(body: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether an event's body passes a RuleNodeDebugEventFilter."""
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
