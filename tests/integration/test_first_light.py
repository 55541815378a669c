"""A device's value reaches the cloud, and what the cloud says reaches the device."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from appliance.cloud.registry import attributes_deleted, attributes_updated
from appliance.extension.ports import SeriesQuery
from appliance.kernel.clock import wall_clock_ms
from appliance.model.ids import EntityId
from appliance.model.telemetry import AttributeWrite, Scope, Value
from appliance.model.unit import CLOUD, Lane, Unit
from appliance.testing.fake_transport import FakeTransport
from appliance.testing.memory_storage import MemoryStorage
from appliance.web.commands import NotConnected, RpcCommand
from tests.kit.pair import Pair, commit, running_pair, until


class Device:
    """The downlink of a connected device: remembers, and answers requests."""

    def __init__(self, pair: Pair, token: str) -> None:
        session = pair.edge.gate.authenticate_token(token)
        assert session is not None
        self.session = session
        self.attributes_seen: list[tuple[dict[str, Value], list[str]]] = []
        self.requests: list[tuple[int, str, Any]] = []

    def attributes(self, updated: dict[str, Value], deleted: Sequence[str]) -> None:
        self.attributes_seen.append((updated, list(deleted)))

    def rpc(self, request_id: int, method: str, params: Any, *, oneway: bool) -> bool:
        self.requests.append((request_id, method, params))
        return True

    def closed(self, reason: str) -> None:
        pass


@asynccontextmanager
async def a_pair() -> AsyncIterator[tuple[Pair, FakeTransport]]:
    wire = FakeTransport()
    async with running_pair(MemoryStorage(), MemoryStorage(), wire, wire) as pair:
        yield pair, wire


def command(method: str, params: Any, *, oneway: bool = False) -> RpcCommand:
    expires_ms = wall_clock_ms() + 30_000
    return RpcCommand(method=method, params=params, oneway=oneway, expires_ms=expires_ms)


def drained(pair: Pair) -> bool:
    return not any(pair.edge_store.depth(CLOUD, lane).pending for lane in Lane)


async def test_telemetry_reaches_the_cloud_with_every_type() -> None:
    async with a_pair() as (pair, _):
        device = EntityId("DEVICE", await pair.add_device("Pump 1", "T1"))
        session = pair.edge.gate.authenticate_token("T1")
        assert session is not None
        values: dict[str, Value] = {"b": True, "l": 7, "d": 1.5, "s": "x", "j": {"k": [1]}}

        await pair.edge.gate.post_telemetry([(session, [(1700000000000, values)])])
        await until(lambda: drained(pair))

        query = SeriesQuery(device, tuple(values), 0, 2**62)
        for store in (pair.edge_store, pair.cloud_store):
            found = await store.query_series(query)
            assert {key: [(1700000000000, value)] for key, value in values.items()} == found


async def test_client_attributes_go_up_and_shared_ones_come_down_and_are_deleted() -> None:
    async with a_pair() as (pair, _):
        device = EntityId("DEVICE", await pair.add_device("Pump 1", "T1"))
        phone = Device(pair, "T1")
        pair.edge.gate.subscribe(phone.session, phone, attributes=True, rpc=True)

        await pair.edge.gate.post_attributes(phone.session, {"fw": "v1"})
        await until(lambda: bool(pair.cloud.state.attributes(device, Scope.CLIENT)))
        write = AttributeWrite(device, Scope.SHARED, 1800000000000, {"setpoint": 21.5})
        event = attributes_updated(pair.edge_id, device, Scope.SHARED, write.ts, write.values)
        await commit(pair.cloud, pair.cloud_store, Unit(attributes=[write], events=[event]))
        await until(lambda: bool(phone.attributes_seen))
        gone = attributes_deleted(pair.edge_id, device, Scope.SHARED, 1800000000001, ["setpoint"])
        await commit(pair.cloud, pair.cloud_store, Unit(events=[gone]))
        await until(lambda: len(phone.attributes_seen) == 2)

        assert pair.cloud.state.attributes(device, Scope.CLIENT)["fw"].value == "v1"
        assert phone.attributes_seen == [({"setpoint": 21.5}, []), ({}, ["setpoint"])]
        assert dict(pair.edge.state.attributes(device, Scope.SHARED)) == {}


async def test_a_request_of_the_cloud_is_answered_by_the_device() -> None:
    async with a_pair() as (pair, _), trio.open_nursery() as nursery:
        device = await pair.add_device("Pump 1", "T1")
        phone = Device(pair, "T1")
        pair.edge.gate.subscribe(phone.session, phone, attributes=True, rpc=True)

        async def answer() -> None:
            await until(lambda: bool(phone.requests))
            await pair.edge.gate.rpc_reply(phone.session, phone.requests[0][0], {"value": 7})

        nursery.start_soon(answer)
        answer_of_device = await pair.cloud.commands.call_device(
            device, command("getState", {"pin": 1})
        )

        assert answer_of_device == {"value": 7}
        assert phone.requests == [(0, "getState", {"pin": 1})]


async def test_a_oneway_request_without_a_session_is_answered_at_once() -> None:
    async with a_pair() as (pair, _):
        device = await pair.add_device("Pump 1", "T1")

        with trio.fail_after(2), pytest.raises(NotConnected):
            await pair.cloud.commands.call_device(device, command("x", {}, oneway=True))


async def test_values_taken_while_the_link_is_cut_arrive_in_order_once_it_is_back() -> None:
    async with a_pair() as (pair, wire):
        device = EntityId("DEVICE", await pair.add_device("Pump 1", "T1"))
        session = pair.edge.gate.authenticate_token("T1")
        assert session is not None

        for number in range(300):
            if number % 60 == 30:
                wire.cut()
            await pair.edge.gate.post_telemetry([(session, [(number, {"n": number})])])
        await until(lambda: drained(pair))

        query = SeriesQuery(device, ("n",), 0, 2**62, limit=1000, ascending=True)
        found = await pair.cloud_store.query_series(query)
        assert [(n, n) for n in range(300)] == found["n"]


async def test_a_device_assigned_while_the_edge_was_away_is_there_after_the_reconnect() -> None:
    async with a_pair() as (pair, wire):
        wire.refuse = None
        wire.cut()
        await pair.add_device("Pump 4", "T4")

        assert pair.edge.gate.authenticate_token("T4") is not None
