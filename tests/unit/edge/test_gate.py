"""What device listeners may do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager

import msgspec
import pytest
import trio

from appliance.edge.assembly import Edge
from appliance.edge.processor import Engine
from appliance.extension.ports import DeviceSession
from appliance.kernel.events import ignore
from appliance.model.errors import Permanent, Retryable
from appliance.model.message import Message
from appliance.model.telemetry import AttributeWrite, Scope
from appliance.model.unit import CLOUD, EntityWrite, Lane, Unit
from appliance.rules.work import Work
from appliance.testing.fake_transport import FakeTransport
from appliance.testing.memory_storage import MemoryStorage
from tests.kit.pair import running_edge
from tests.unit.edge.world import add_device, store

pytestmark = pytest.mark.mock_clock


def clock() -> int:
    return 1_800_000_000_000 + int(trio.current_time() * 1000)


class Bench:
    def __init__(self, edge: Edge, storage: MemoryStorage) -> None:
        self.edge = edge
        self.storage = storage
        self.gate = edge.gate
        store(edge.state, "DEVICE_PROFILE", name="default", default=True)
        self.session = self.add("Pump", "T")

    def add(self, name: str, token: str) -> DeviceSession:
        add_device(self.edge.state, name, token)
        session = self.gate.authenticate_token(token)
        assert session is not None
        return session

    @property
    def up(self) -> list[tuple[Lane, str]]:
        waiting = [(lane, self.storage.disk.lane(CLOUD, lane).waiting.values()) for lane in Lane]
        return [(lane, event.event.action) for lane, events in waiting for event in events]


@asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    """An edge without a cloud."""
    storage, wire = MemoryStorage(), FakeTransport()
    wire.refuse = Retryable("no cloud here")
    async with running_edge(storage, wire, emit=ignore, clock=clock) as edge:
        yield Bench(edge, storage)


async def test_telemetry_is_history_and_on_its_way_up_when_the_call_returns() -> None:
    async with bench() as made:
        entries = [(5, {"n": 1}), (None, {"n": 2}), (6, {})]
        await made.gate.post_telemetry([(made.session, entries)])
        assert sorted(made.storage.disk.points[made.session.device]["n"].values()) == [1, 2]
        assert [action for _, action in made.up] == ["TIMESERIES_UPDATED"] * 2


async def test_a_connected_device_goes_by_the_name_and_profile_it_has_now() -> None:
    async with bench() as made:
        seen: list[Message] = []
        processor = made.edge.processor
        process = processor.process

        async def watched(messages: Sequence[Message]) -> None:
            seen.extend(messages)
            await process(messages)

        made.edge.processor.process = watched  # type: ignore[method-assign] # a tap
        body = {**(made.edge.state.entity("DEVICE", made.session.device.id) or {})}
        renamed = msgspec.json.encode({**body, "name": "Fan", "type": "fan"})
        write = EntityWrite("DEVICE", made.session.device.id, renamed)
        made.edge.state.apply(Unit(entities=[write]))
        await made.gate.post_telemetry([(made.session, [(5, {"n": 1})])])
        await made.gate.post_attributes(made.session, {"k": 1})
        names = [(m.metadata["deviceName"], m.metadata["deviceType"]) for m in seen]
        assert names == [("Fan", "fan")] * 2


async def test_a_full_disk_is_told_to_the_device() -> None:
    async with bench() as made:
        made.storage.full = True
        with pytest.raises(Retryable):
            await made.gate.post_telemetry([(made.session, [(5, {"n": 1})])])
        with pytest.raises(Retryable):
            await made.gate.post_attributes(made.session, {"k": 1})


async def test_client_attributes_are_kept_and_go_up() -> None:
    async with bench() as made:
        await made.gate.post_attributes(made.session, {"k": 1})
        assert made.gate.read_attributes(made.session, ["k"], None) == ({"k": 1}, {})
        assert (Lane.DATA, "POST_ATTRIBUTES") in made.up or (
            Lane.DATA,
            "ATTRIBUTES_UPDATED",
        ) in made.up


@pytest.mark.parametrize(
    ("client", "shared", "answer"),
    [
        (None, None, ({"c": 1}, {"s": 2})),
        (["c"], None, ({"c": 1}, {})),
        (None, ["s", "unknown"], ({}, {"s": 2})),
        ([], [], ({}, {})),
    ],
)
async def test_which_attributes_a_device_reads(
    client: list[str] | None, shared: list[str] | None, answer: tuple[object, object]
) -> None:
    async with bench() as made:
        for scope, values in ((Scope.CLIENT, {"c": 1}), (Scope.SHARED, {"s": 2})):
            write = AttributeWrite(made.session.device, scope, 1, values)
            made.edge.state.apply(Unit(attributes=[write]))
        assert made.gate.read_attributes(made.session, client, shared) == answer


async def test_a_device_behind_a_gateway_is_made_once_however_many_ask_for_it_at_once() -> None:
    async with bench() as made:
        gateways = [made.session, made.add("G2", "T2")]
        found: set[DeviceSession] = set()

        async def join(gateway: DeviceSession) -> None:
            found.add(await made.gate.child_session(gateway, "Sensor", None))

        async with trio.open_nursery() as nursery:
            for gateway in gateways * 3:
                nursery.start_soon(join, gateway)
        assert len({session.device for session in found}) == 1
        assert [a for _, a in made.up].count("ADDED") == 1


class Ears:
    """The rule engine, and the messages that it was given."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.heard: list[Message] = []

    def process(self, message: Message, work: Work) -> Awaitable[None] | None:
        self.heard.append(message)
        return self._engine.process(message, work)


async def test_rule_chains_hear_once_of_a_device_that_a_gateway_brings() -> None:
    async with bench() as made:
        assert made.edge.processor.engine is not None
        made.edge.processor.engine = ears = Ears(made.edge.processor.engine)
        for _ in range(2):
            sensor = await made.gate.child_session(made.session, "Sensor", None)
        (told,) = ears.heard
        assert (told.type, told.originator) == ("ENTITY_CREATED", sensor.device)
        assert told.metadata == {"gatewayId": str(made.session.device.id)}
        assert told.data["name"] == "Sensor"


async def test_a_request_to_the_server_without_an_answer_is_too_slow() -> None:
    async with bench() as made:
        with pytest.raises(trio.TooSlowError):
            await made.gate.rpc_to_server(made.session, "getTime", {}, 5.0)


async def test_a_claim_is_an_attribute_that_the_server_reads() -> None:
    async with bench() as made:
        await made.gate.claim(made.session, "secret", 60_000)
        stored = made.edge.state.attributes(made.session.device, Scope.SERVER)["claimingData"]
        assert msgspec.json.decode(str(stored.value))["secretKey"] == "secret"
        assert (Lane.DATA, "ATTRIBUTES_UPDATED") in made.up


async def test_the_first_claim_stands_until_it_has_expired() -> None:
    async with bench() as made:

        def secret() -> str:
            stored = made.edge.state.attributes(made.session.device, Scope.SERVER)["claimingData"]
            return str(msgspec.json.decode(str(stored.value))["secretKey"])

        await made.gate.claim(made.session, "first", 60_000)
        await made.gate.claim(made.session, "second", 60_000)
        assert secret() == "first"
        await trio.sleep(61)
        await made.gate.claim(made.session, "third", 60_000)
        assert secret() == "third"


async def test_provisioning_needs_its_key() -> None:
    async with bench() as made:
        with pytest.raises(Permanent):
            await made.gate.provision({})
        answer = await made.gate.provision(
            {"provisionDeviceKey": "k", "provisionDeviceSecret": "s"}
        )
        assert answer["status"] == "NOT_FOUND"


async def test_limits_come_from_the_tenants_profile_and_are_null_without_one() -> None:
    async with bench() as made:
        limits = made.gate.session_limits(made.session)["rateLimits"]
        assert set(limits.values()) == {None}
        configuration = {"transportDeviceMsgRateLimit": "10:1"}
        store(
            made.edge.state,
            "TENANT_PROFILE",
            name="p",
            profileData={"configuration": configuration},
        )
        limits = made.gate.session_limits(made.session)["rateLimits"]
        assert limits["messages"] == "10:1"
