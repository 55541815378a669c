"""The logs of outbox events: `/api/edge/events` of an edge, `/api/edge/{id}/events` of the cloud
(spec §4.7, §4.8, §6.2).

Read from the storage's tables `cloud_event` and `edge_event` by SQL. Nothing of a caller's text
gets into a statement: only numbers and UUIDs that were parsed, and names from this file.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from appliance.extension.ports import Storage
from appliance.model.ids import EntityId
from appliance.web.errors import ApiError
from appliance.web.rest.paging import PageLink, page_data

_COMMON = "id, created_time, seq, idx"
_NO_ENTITY = ("RELATION",)


class _Table(msgspec.Struct, frozen=True):
    """A table and its columns for what both logs have."""

    name: str
    type: str
    action: str
    body: str


_CLOUD = _Table("cloud_event", "cloud_event_type", "cloud_event_action", "entity_body")
_EDGE = _Table("edge_event", "edge_event_type", "edge_event_action", "body")


class CloudEvents:
    """Pages of events towards the other side.

    Every method raises ApiError 400 for an order it does not know, Permanent where the storage has
    no SQL.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def page(self, tenant: UUID, link: PageLink, *, telemetry: bool) -> dict[str, Any]:
        """A page of CloudEvent objects of this edge; telemetry has a log of its own."""
        where = f"{_CLOUD.action} {'=' if telemetry else '<>'} 'TIMESERIES_UPDATED'"
        rows, total = await self._select(_CLOUD, where, link)
        events = [{**_event(row, tenant), "entityBody": _json(row[-1])} for row in rows]
        return page_data(events, link, total)

    async def edge_page(self, tenant: UUID, edge: UUID, link: PageLink) -> dict[str, Any]:
        """A page of EdgeEvent objects: what the cloud has for that edge."""
        rows, total = await self._select(_EDGE, f"edge_id = '{edge}'", link)
        reference = EntityId("EDGE", edge).to_json()
        more = ({"edgeId": reference, "uid": str(row[0]), "body": _json(row[-1])} for row in rows)
        events = [{**_event(row, tenant), **extra} for row, extra in zip(rows, more, strict=True)]
        return page_data(events, link, total)

    async def _select(
        self, table: _Table, where: str, link: PageLink
    ) -> tuple[list[tuple[Any, ...]], int]:
        if link.start_ms is not None:
            where += f" AND created_time >= {link.start_ms:d}"
        if link.end_ms is not None:
            where += f" AND created_time <= {link.end_ms:d}"
        source = f"FROM {table.name} WHERE {where}"
        columns = f"{_COMMON}, {table.type}, {table.action}, entity_id, {table.body}"
        order = f"ORDER BY {_order(table, link)}"
        part = f"LIMIT {link.size:d} OFFSET {link.page * link.size:d}"
        _, counted = await self._storage.sql(f"SELECT count(*) {source}")
        _, rows = await self._storage.sql(f"SELECT {columns} {source} {order} {part}")
        return rows, int(counted[0][0])


def _order(table: _Table, link: PageLink) -> str:
    columns = {"createdTime": "created_time", "type": table.type, "action": table.action}
    column = columns.get(link.sort or "createdTime")
    if column is None:
        raise ApiError(400, f"Cannot sort by '{link.sort}'")
    direction = "DESC" if link.descending else "ASC"
    return f"{column} {direction}, seq {direction}, idx {direction}"


def _event(row: tuple[Any, ...], tenant: UUID) -> dict[str, Any]:
    """What both kinds of events have."""
    id, created_ms, seq, index, type, action, entity_id, _ = row
    return {
        "id": {"id": str(id)},
        "createdTime": created_ms,
        "seqId": (seq << 16) + index,
        "tenantId": EntityId("TENANT", tenant).to_json(),
        "action": action,
        "entityId": None if type in _NO_ENTITY else str(entity_id),
        "type": type,
    }


def _json(body: Any) -> Any:
    """The event's body; a body that is no JSON is shown as none."""
    try:
        return msgspec.json.decode(body) if body else None
    except msgspec.DecodeError:
        return None
