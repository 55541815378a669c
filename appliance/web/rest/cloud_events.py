"""The log of outbox events: what `/api/edge/events` shows (spec §4.8, §6.2).

Read from the storage's table `cloud_event` by SQL. Nothing of a caller's text gets into a
statement: only numbers that were parsed, and names from this file.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from appliance.extension.ports import Storage
from appliance.model.ids import EntityId
from appliance.web.errors import ApiError
from appliance.web.rest.paging import PageLink, page_data

_COLUMNS = (
    "id, created_time, seq, idx, cloud_event_type, cloud_event_action, entity_id, entity_body"
)
_ORDER = {"createdTime": "created_time", "type": "cloud_event_type", "action": "cloud_event_action"}
_NO_ENTITY = ("RELATION",)


class CloudEvents:
    """Pages of the edge's events towards the cloud."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def page(self, tenant: UUID, link: PageLink, *, telemetry: bool) -> dict[str, Any]:
        """A page of CloudEvent objects; telemetry has a log of its own.

        Raises ApiError 400 for an order it does not know, Permanent where storage has no SQL.
        """
        where = _where(link, telemetry=telemetry)
        _, counted = await self._storage.sql(f"SELECT count(*) FROM cloud_event WHERE {where}")
        statement = (
            f"SELECT {_COLUMNS} FROM cloud_event WHERE {where} "
            f"ORDER BY {_order(link)} LIMIT {link.size:d} OFFSET {link.page * link.size:d}"
        )
        _, rows = await self._storage.sql(statement)
        return page_data([_event(row, tenant) for row in rows], link, int(counted[0][0]))


def _where(link: PageLink, *, telemetry: bool) -> str:
    parts = [f"cloud_event_action {'=' if telemetry else '<>'} 'TIMESERIES_UPDATED'"]
    if link.start_ms is not None:
        parts.append(f"created_time >= {link.start_ms:d}")
    if link.end_ms is not None:
        parts.append(f"created_time <= {link.end_ms:d}")
    return " AND ".join(parts)


def _order(link: PageLink) -> str:
    column = _ORDER.get(link.sort or "createdTime")
    if column is None:
        raise ApiError(400, f"Cannot sort by '{link.sort}'")
    direction = "DESC" if link.descending else "ASC"
    return f"{column} {direction}, seq {direction}, idx {direction}"


def _event(row: tuple[Any, ...], tenant: UUID) -> dict[str, Any]:
    id, created_ms, seq, index, type, action, entity_id, body = row
    return {
        "id": {"id": str(id)},
        "createdTime": created_ms,
        "seqId": (seq << 16) + index,
        "tenantId": EntityId("TENANT", tenant).to_json(),
        "action": action,
        "entityId": None if type in _NO_ENTITY else str(entity_id),
        "type": type,
        "entityBody": _json(body),
    }


def _json(body: Any) -> Any:
    """The event's body; a body that is no JSON is shown as none."""
    try:
        return msgspec.json.decode(body) if body else None
    except msgspec.DecodeError:
        return None
