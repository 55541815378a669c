"""Persistent requests to devices, through restarts of the edge, to their true end on the cloud."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
import trio

from appliance.cloud.assembly import Cloud
from appliance.edge import kept
from appliance.edge.assembly import Edge
from appliance.model.errors import Retryable
from appliance.model.unit import Unit
from appliance.testing.fake_transport import FakeTransport
from appliance.testing.memory_storage import MemoryDisk, MemoryStorage
from appliance.web.commands import Change, RpcCommand
from tests.kit.devices import device_unit
from tests.kit.pair import commit, running_cloud, running_edge, until
from tests.kit.phone import Phone
from tests.kit.sync_rows import ACTOR

pytestmark = pytest.mark.mock_clock

START_MS = 1_800_000_000_000


def clock() -> int:
    return START_MS + int(trio.current_time() * 1000)


def command(method: str, seconds: float = 60.0, *, oneway: bool = False) -> RpcCommand:
    return RpcCommand(method, {"pin": 1}, oneway, clock() + int(seconds * 1000))


class Plant:
    """A cloud that runs, with a device; and an edge's disk, over which edges may live."""

    def __init__(self, cloud: Cloud, storage: MemoryStorage, wire: FakeTransport) -> None:
        self.cloud = cloud
        self.wire = wire
        self.storage = storage
        self.disk = MemoryDisk()
        self.device = UUID(int=0)

    @asynccontextmanager
    async def edge(self) -> AsyncIterator[Edge]:
        async with running_edge(MemoryStorage(self.disk, clock), self.wire, clock=clock) as edge:
            await until(lambda: edge.gate.authenticate_token("T") is not None)
            yield edge

    async def asked(self, what: RpcCommand) -> UUID:
        """Ask on the cloud, and let an edge hear of it that dies before the device comes."""
        async with self.edge() as edge:
            request = await self.cloud.commands.queue_rpc(self.device, what)
            await until(lambda: edge.state.entity("RPC", request) is not None)
            await trio.sleep(1)
        return request

    def end(self, request: UUID) -> tuple[str, Any]:
        """How it ended, as the cloud says."""
        body = self.cloud.state.entity("RPC", request)
        assert body is not None
        return body["status"], body["response"]


@asynccontextmanager
async def plant() -> AsyncIterator[Plant]:
    wire = FakeTransport()
    storage = MemoryStorage(MemoryDisk(), clock)
    async with running_cloud(storage, wire, clock=clock) as cloud:
        made = Plant(cloud, storage, wire)
        device, unit = device_unit(cloud.state, "Pump", "T")
        await commit(cloud, storage, unit)
        await commit(cloud, storage, cloud.edges.assign(Unit(), cloud.state.ids("EDGE")[0], device))
        made.device = device.id
        yield made


async def test_a_request_is_put_to_the_device_though_the_edge_was_restarted_before_it_came() -> (
    None
):
    async with plant() as made:
        request = await made.asked(command("on"))
        async with made.edge() as edge:
            await trio.sleep(5)
            phone = Phone(edge, "T", {"done": True})
            async with phone.answering():
                pass
            await until(lambda: made.end(request)[0] != "QUEUED")
            assert phone.requests == [("on", {"pin": 1})]
        assert made.end(request) == ("SUCCESSFUL", {"done": True})


async def test_a_one_way_request_outlives_the_edge_too() -> None:
    async with plant() as made:
        request = await made.asked(command("on", oneway=True))
        async with made.edge() as edge:
            Phone(edge, "T")
            await until(lambda: made.end(request)[0] != "QUEUED")
        assert made.end(request) == ("SUCCESSFUL", {})


async def test_a_request_that_expired_while_the_edge_was_off_is_never_put_to_the_device() -> None:
    async with plant() as made:
        request = await made.asked(command("on", 10))
        await trio.sleep(10)
        async with made.edge() as edge:
            phone = Phone(edge, "T")
            await trio.sleep(5)
            assert phone.requests == []
            body = edge.state.entity("RPC", request)
            assert body is not None
            assert body["status"] == "EXPIRED"
        assert made.end(request) == ("EXPIRED", None)


async def test_an_answered_request_is_not_put_again_to_the_device_after_a_restart() -> None:
    async with plant() as made:
        request = await made.asked(command("on"))
        async with made.edge() as edge:
            async with Phone(edge, "T", {"done": True}).answering():
                pass
            await until(lambda: made.end(request)[0] != "QUEUED")
        async with made.edge() as edge:
            phone = Phone(edge, "T")
            said = [e for unit in made.storage.disk.units for e in unit.events]
            again = [event for event in said if event.action == "RPC_CALL"]
            await commit(made.cloud, made.storage, Unit(events=again))
            await trio.sleep(5)
            assert phone.requests == []
        assert made.end(request) == ("SUCCESSFUL", {"done": True})


async def test_an_answer_given_in_time_counts_though_the_cloud_hears_of_it_too_late() -> None:
    async with plant() as made:
        async with made.edge() as edge:
            phone = Phone(edge, "T", {"done": True})
            async with phone.answering():
                request = await made.cloud.commands.queue_rpc(made.device, command("on", 10))
                await until(lambda: bool(phone.requests))
                made.wire.refuse = Retryable("no network")
                made.wire.cut()
            await trio.sleep(20)
            assert made.end(request)[0] == "EXPIRED"
            made.wire.refuse = None
            await until(lambda: made.end(request)[0] != "EXPIRED")
        assert made.end(request) == ("SUCCESSFUL", {"done": True})


async def test_a_request_made_on_the_edge_outlives_it_too() -> None:
    async with plant() as made:
        async with made.edge() as edge:
            request = await edge.commands.queue_rpc(made.device, command("on"))
        async with made.edge() as edge:
            async with Phone(edge, "T", 7).answering():
                pass
            await trio.sleep(1)
            body = edge.state.entity("RPC", request)
            assert body is not None
            assert (body["status"], body["response"]) == ("SUCCESSFUL", 7)
        assert all(event.action != "RPC_CALL" for u in made.disk.units for event in u.events)


async def test_a_request_that_was_withdrawn_does_not_come_back() -> None:
    async with plant() as made, made.edge() as edge:
        request = await edge.commands.queue_rpc(made.device, command("on", 10))
        await trio.sleep(1)
        await edge.commands.change([Change("RPC", request, None, "DELETED")], ACTOR)
        phone = Phone(edge, "T")
        await trio.sleep(20)
        assert phone.requests == []
        assert edge.state.entity("RPC", request) is None


async def test_a_request_that_the_cloud_withdrew_before_the_edge_was_back_never_gets_there() -> (
    None
):
    async with plant() as made:
        async with made.edge():
            pass
        requests = [await made.cloud.commands.queue_rpc(made.device, command(m)) for m in "ab"]
        await made.cloud.commands.change([Change("RPC", requests[0], None, "DELETED")], ACTOR)
        async with made.edge() as edge:
            phone = Phone(edge, "T", "done")
            async with phone.answering():
                await until(lambda: made.end(requests[1])[0] == "SUCCESSFUL")
            assert [method for method, _ in phone.requests] == ["b"]


async def test_a_request_that_the_disk_of_the_edge_refused_is_none() -> None:
    async with plant() as made:
        storage = MemoryStorage(made.disk, clock)
        async with running_edge(storage, made.wire, clock=clock) as edge:
            await until(lambda: edge.gate.authenticate_token("T") is not None)
            storage.full = True
            with pytest.raises(Retryable):
                await edge.commands.queue_rpc(made.device, command("on"))
            storage.full = False
            await trio.sleep(5)
            assert edge.state.ids("RPC") == []
            phone = Phone(edge, "T")
            await trio.sleep(5)
            assert phone.requests == []


async def test_ended_requests_are_forgotten_beyond_a_number_and_others_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kept, "ENDED_MAX", 3)
    async with plant() as made, made.edge() as edge:
        waiting = await edge.commands.queue_rpc(made.device, command("on", 1000))
        for _ in range(5):
            await edge.commands.queue_rpc(made.device, command("on", 1))
            await trio.sleep(5)
        bodies = list(edge.state.entities("RPC"))
        assert [body["status"] for body in bodies].count("EXPIRED") == 3
        assert edge.state.entity("RPC", waiting) is not None
