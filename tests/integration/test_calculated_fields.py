"""Calculated fields on a whole edge over the built-in storage."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import trio

from appliance.access.tokens import Principal
from appliance.edge.assembly import Edge
from appliance.extension.hookspecs import Context
from appliance.extension.ports import DeviceSession
from appliance.kernel.clock import wall_clock_ms
from appliance.kernel.events import ignore
from appliance.model.ids import NULL_UUID, EntityId, new_uuid
from appliance.model.telemetry import AttributeWrite, Scope
from appliance.model.unit import CLOUD, EntityWrite, Lane, Unit
from appliance.testing.fake_transport import FakeTransport
from plugins.storage_duckdb import build
from plugins.storage_duckdb.config import DuckdbStorageConfig
from tests.kit.pair import running_edge, until

DEVICE = EntityId("DEVICE", new_uuid())
SOMEBODY = Principal(
    NULL_UUID, "tenant@example.org", "TENANT_ADMIN", NULL_UUID, NULL_UUID, "session"
)
HOT = {
    "type": "ALARM",
    "arguments": {
        "t": {"refEntityKey": {"key": "t", "type": "TS_LATEST"}},
        "limit": {
            "refEntityKey": {"key": "limit", "type": "ATTRIBUTE", "scope": "SERVER_SCOPE"},
            "defaultValue": "50",
        },
    },
    "createRules": {
        "MAJOR": {
            "condition": {
                "type": "REPEATING",
                "count": {"staticValue": 3},
                "expression": {
                    "type": "SIMPLE",
                    "filters": [
                        {
                            "argument": "t",
                            "valueType": "NUMERIC",
                            "predicates": [
                                {
                                    "type": "NUMERIC",
                                    "operation": "GREATER",
                                    "value": {"dynamicValueArgument": "limit"},
                                }
                            ],
                        }
                    ],
                },
            }
        }
    },
}
DOUBLE = {
    "type": "SIMPLE",
    "arguments": {"t": {"refEntityKey": {"key": "t", "type": "TS_LATEST"}}},
    "expression": "2t",
    "output": {"type": "TIME_SERIES", "name": "double"},
}
SCALED = {
    "type": "SIMPLE",
    "arguments": {
        "k": {"refEntityKey": {"key": "k", "type": "ATTRIBUTE", "scope": "SERVER_SCOPE"}}
    },
    "expression": "k*10",
    "output": {"type": "ATTRIBUTES", "name": "scaled", "scope": "SERVER_SCOPE"},
}


def entities() -> Unit:
    profile = EntityId("DEVICE_PROFILE", new_uuid())
    body = {"name": "D1", "type": "default", "deviceProfileId": profile.to_json()}
    writes = [
        write(profile, {"name": "default"}),
        write(DEVICE, body),
        EntityWrite(
            "DEVICE_CREDENTIALS",
            DEVICE.id,
            msgspec.json.encode(
                {
                    "deviceId": DEVICE.to_json(),
                    "credentialsType": "ACCESS_TOKEN",
                    "credentialsId": "token",
                }
            ),
        ),
    ]
    for name, configuration in (("hot", HOT), ("double", DOUBLE), ("scaled", SCALED)):
        field = EntityId("CALCULATED_FIELD", new_uuid())
        own = {"name": name, "type": configuration["type"], "entityId": DEVICE.to_json()}
        writes.append(write(field, {**own, "configuration": configuration}))
    return Unit(entities=writes)


def write(entity: EntityId, body: dict[str, Any]) -> EntityWrite:
    return EntityWrite(
        entity.type, entity.id, msgspec.json.encode({"id": entity.to_json(), **body})
    )


@asynccontextmanager
async def an_edge(folder: Path) -> AsyncIterator[tuple[Edge, Any]]:
    storage = build(DuckdbStorageConfig(), Context("edge", folder, wall_clock_ms, ignore))
    async with trio.open_nursery() as nursery:
        await nursery.start(storage.run)
        async with running_edge(storage, FakeTransport()) as edge:
            yield edge, storage
        nursery.cancel_scope.cancel()


async def post(edge: Edge, value: float) -> None:
    session = edge.gate.authenticate_token("token")
    assert isinstance(session, DeviceSession)
    await edge.gate.post_telemetry([(session, [(None, {"t": value})])])


async def latest(storage: Any, key: str) -> Any:
    return (await storage.latest(DEVICE, [key])).get(key, (0, None))[1]


async def test_results_are_there_and_on_their_way_up_when_the_device_is_answered(
    tmp_path: Path,
) -> None:
    async with an_edge(tmp_path) as (edge, storage):
        await edge.processor.commit(entities())
        await until(lambda: not edge.fields.beginning)
        before = storage.depth(CLOUD, Lane.DATA).accepted

        await post(edge, 21.0)

        assert await latest(storage, "double") == 42.0
        assert storage.depth(CLOUD, Lane.DATA).accepted == before + 2


async def test_an_alarm_counts_on_after_a_restart(tmp_path: Path) -> None:
    async with an_edge(tmp_path) as (edge, _):
        await edge.processor.commit(entities())
        await until(lambda: not edge.fields.beginning)
        for value in (60, 61):
            await post(edge, value)
            assert edge.state.count("ALARM") == 0

    async with an_edge(tmp_path) as (edge, _):
        await post(edge, 62)
        assert [alarm["severity"] for alarm in edge.state.entities("ALARM")] == ["MAJOR"]


async def test_attributes_of_a_user_and_of_the_cloud_are_calculated_with(tmp_path: Path) -> None:
    async with an_edge(tmp_path) as (edge, _):
        await edge.processor.commit(entities())
        await until(lambda: not edge.fields.beginning)
        await edge.commands.save_attributes(DEVICE, Scope.SERVER, {"k": 2}, SOMEBODY)
        assert scaled(edge) == 20.0

        sent = AttributeWrite(DEVICE, Scope.SERVER, wall_clock_ms() + 1_000, {"k": 3})
        unit = Unit(attributes=[sent])
        edge.state.apply(unit)
        await edge.processor.commit_received([unit])
        await until(lambda: scaled(edge) == 30.0)


async def test_an_attribute_saved_by_a_user_goes_up_beside_what_follows_from_it(
    tmp_path: Path,
) -> None:
    async with an_edge(tmp_path) as (edge, storage):
        await edge.processor.commit(entities())
        await until(lambda: not edge.fields.beginning)
        before = storage.depth(CLOUD, Lane.DATA).accepted

        await edge.commands.save_attributes(DEVICE, Scope.SERVER, {"k": 2}, SOMEBODY)

        assert storage.depth(CLOUD, Lane.DATA).accepted >= before + 2


def scaled(edge: Edge) -> Any:
    stored = edge.state.attributes(DEVICE, Scope.SERVER).get("scaled")
    return None if stored is None else stored.value
