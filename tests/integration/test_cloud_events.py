"""The log of outbox events, as the REST API shows it, over the built-in storage."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from appliance.extension.hookspecs import Context
from appliance.extension.ports import Storage
from appliance.kernel.events import ignore
from appliance.model.ids import EntityId, new_uuid
from appliance.model.telemetry import Series
from appliance.model.unit import CLOUD, Lane, OutboxEvent, Unit
from appliance.sync.wire import encode_entry
from appliance.web.errors import ApiError
from appliance.web.rest.cloud_events import CloudEvents
from appliance.web.rest.paging import PageLink
from plugins.storage_duckdb import build
from plugins.storage_duckdb.config import DuckdbStorageConfig

NOW = 1_800_000_000_000
TENANT = new_uuid()
RECORDED_EDGE_EVENT = {
    "id",
    "createdTime",
    "seqId",
    "tenantId",
    "edgeId",
    "action",
    "entityId",
    "uid",
    "type",
    "body",
}
DEVICE = EntityId("DEVICE", new_uuid())


@asynccontextmanager
async def filled(folder: Path) -> AsyncIterator[Storage]:
    """A storage with three entity events, a relation and two points of telemetry."""
    context = Context("edge", folder, lambda: NOW, ignore)
    storage = build(DuckdbStorageConfig(), context)
    async with trio.open_nursery() as nursery:
        await nursery.start(storage.run)
        for action in ("ADDED", "UPDATED", "DELETED"):
            event = OutboxEvent(CLOUD, Lane.ENTITY, "DEVICE", action, DEVICE, b"")
            await storage.commit([Unit(events=[event])])
        body = b'{"type":"Contains"}'
        action = "RELATION_ADD_OR_UPDATE"
        relation = OutboxEvent(CLOUD, Lane.ENTITY, "RELATION", action, DEVICE, body)
        await storage.commit([Unit(events=[relation])])
        for number in range(2):
            await storage.commit([telemetry(number)])
        yield storage
        nursery.cancel_scope.cancel()


def telemetry(number: int) -> Unit:
    values = {"t": 20.5 + number}
    entry = encode_entry(NOW + number, values)
    event = OutboxEvent(CLOUD, Lane.DATA, "DEVICE", "TIMESERIES_UPDATED", DEVICE, entry)
    return Unit(series=[Series(DEVICE, NOW + number, values)], events=[event])


async def test_events_are_paged_newest_first_without_telemetry(tmp_path: Path) -> None:
    async with filled(tmp_path) as storage:
        events = CloudEvents(storage)
        link = PageLink(3, 0, sort="createdTime", descending=True)
        page = await events.page(TENANT, link, telemetry=False)
        assert (page["totalElements"], page["totalPages"], page["hasNext"]) == (4, 2, True)
        assert [event["action"] for event in page["data"]] == [
            "RELATION_ADD_OR_UPDATE",
            "DELETED",
            "UPDATED",
        ]
        relation, deleted, _ = page["data"]
        assert (relation["entityId"], relation["entityBody"]) == (None, {"type": "Contains"})
        assert (deleted["entityId"], deleted["entityBody"]) == (str(DEVICE.id), None)
        assert deleted["tenantId"] == {"entityType": "TENANT", "id": str(TENANT)}
        assert deleted["createdTime"] == NOW
        assert relation["seqId"] > deleted["seqId"]


async def test_telemetry_has_a_log_of_its_own(tmp_path: Path) -> None:
    async with filled(tmp_path) as storage:
        page = await CloudEvents(storage).page(TENANT, PageLink(9, 0), telemetry=True)
        assert [event["entityBody"] for event in page["data"]] == [
            {"data": {"t": 20.5}, "ts": NOW},
            {"data": {"t": 21.5}, "ts": NOW + 1},
        ]
        assert {event["type"] for event in page["data"]} == {"DEVICE"}


async def test_the_time_window_is_inclusive_and_the_order_is_one_we_know(tmp_path: Path) -> None:
    async with filled(tmp_path) as storage:
        events = CloudEvents(storage)

        async def count(start_ms: int | None, end_ms: int | None) -> int:
            link = PageLink(9, 0, start_ms=start_ms, end_ms=end_ms)
            return int((await events.page(TENANT, link, telemetry=False))["totalElements"])

        assert await count(NOW, NOW) == 4
        assert await count(NOW + 1, None) == 0
        assert await count(None, NOW - 1) == 0
        with pytest.raises(ApiError, match="Cannot sort"):
            await events.page(TENANT, PageLink(9, 0, sort="id; DROP"), telemetry=False)


async def test_the_cloud_shows_what_it_has_for_each_edge(tmp_path: Path) -> None:
    edge, other = new_uuid(), new_uuid()
    async with filled(tmp_path) as storage:
        for outbox in (edge, other):
            event = OutboxEvent(str(outbox), Lane.ENTITY, "DEVICE", "ASSIGNED_TO_EDGE", DEVICE)
            await storage.commit([Unit(events=[event])])
        page = await CloudEvents(storage).edge_page(TENANT, edge, PageLink(9, 0))
        assert page["totalElements"] == 1
        (event_body,) = page["data"]
        assert event_body["edgeId"] == {"entityType": "EDGE", "id": str(edge)}
        assert event_body["action"] == "ASSIGNED_TO_EDGE"
        assert event_body.keys() == RECORDED_EDGE_EVENT
