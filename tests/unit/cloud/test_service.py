"""The cloud's listening side, with the edge's side played by the test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import msgspec
import pytest
import trio

from appliance.cloud.assembly import Cloud
from appliance.cloud.registry import event_for
from appliance.cloud.role import link_statuses
from appliance.cloud.service import CONNECT_S
from appliance.cloud.session_events import EdgeDisconnected, EdgeRefused
from appliance.extension.ports import Link, LinkClosed
from appliance.kernel.events import Event
from appliance.model.errors import Permanent
from appliance.model.ids import EntityId, new_uuid
from appliance.model.telemetry import Scope, Series
from appliance.model.unit import EntityWrite, Lane, Unit
from appliance.sync.messages import (
    Ack,
    Attributes,
    AttributesDeleted,
    Batch,
    Connect,
    Connected,
    EntityUpdate,
    Frame,
    Item,
    Request,
    RpcCall,
    SyncCompleted,
    SyncRequest,
    Telemetry,
    UpdateKind,
)
from appliance.sync.wire import decode_entry, encode_attributes, encode_entry
from appliance.testing.fake_transport import FakeTransport
from appliance.testing.memory_storage import MemoryStorage
from appliance.web.commands import Change
from tests.kit.devices import device_unit
from tests.kit.pair import KEY, SECRET, commit, running_cloud, until
from tests.kit.sync_rows import ACTOR

pytestmark = pytest.mark.mock_clock


class House:
    def __init__(self, cloud: Cloud, store: MemoryStorage, wire: FakeTransport) -> None:
        self.cloud = cloud
        self.store = store
        self.wire = wire
        self.events: list[Event] = []

    @property
    def edge(self) -> UUID:
        return self.cloud.state.ids("EDGE")[0]

    async def add_device(self, name: str) -> EntityId:
        device, unit = device_unit(self.cloud.state, name, name)
        await commit(self.cloud, self.store, unit)
        await commit(self.cloud, self.store, self.cloud.edges.assign(Unit(), self.edge, device))
        return device

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@asynccontextmanager
async def house(**options: Any) -> AsyncIterator[House]:
    wire, store, events = FakeTransport(), MemoryStorage(), list[Event]()
    async with running_cloud(store, wire, emit=events.append, **options) as cloud:
        made = House(cloud, store, wire)
        made.events = events
        yield made


class Edge:
    """A played edge: acknowledges what comes down and keeps it."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.down: list[Item] = []
        self.acks: dict[int, Ack] = {}
        self.connected: Connected | None = None
        self.end: LinkClosed | None = None
        self._ids = iter(range(1, 10_000))

    async def run(self) -> None:
        try:
            while True:
                for frame in await self.link.receive():
                    await self._hear(frame)
        except LinkClosed as end:
            self.end = end

    async def _hear(self, frame: Frame) -> None:
        match frame:
            case Connected():
                self.connected = frame
            case Ack():
                self.acks[frame.id] = frame
            case Batch():
                self.down += frame.items
                await self.link.send([Ack(frame.id, True)])

    async def say(self, *items: Item) -> Ack:
        id = next(self._ids)
        await self.link.send([Batch(id, items)])
        await until(lambda: id in self.acks)
        return self.acks[id]

    async def sync(self, full: bool) -> None:
        """Ask for a sync and wait for its end."""
        before = self.count(SyncCompleted)
        await self.link.send([SyncRequest(full)])
        await until(lambda: self.count(SyncCompleted) > before)

    def count(self, kind: type[Any]) -> int:
        return sum(isinstance(item, kind) for item in self.down)

    def ids(self) -> list[UUID | None]:
        return [item.id for item in self.down if isinstance(item, EntityUpdate)]

    def fields(self) -> list[str]:
        return [item.field for item in self.down if isinstance(item, EntityUpdate)]


@asynccontextmanager
async def edge(made: House, secret: str = SECRET, version: int = 13) -> AsyncIterator[Edge]:
    async with made.wire.connect() as link, trio.open_nursery() as nursery:
        played = Edge(link)
        nursery.start_soon(played.run)
        await link.send([Connect(KEY, secret, version, 4_194_304)])
        await until(lambda: played.connected is not None or played.end is not None)
        yield played
        nursery.cancel_scope.cancel()


# --- handshake ----------------------------------------------------------------------------------


async def test_an_edge_is_told_who_it_is() -> None:
    async with house() as made, edge(made) as played:
        assert played.connected is not None and played.connected.configuration is not None
        said = played.connected.configuration
        assert (said.edge_id, said.name, said.cloud_type) == (made.edge, "Edge 1", "CE")
        for id in (said.edge_id, said.tenant_id):
            assert id is not None and id.version == 1


@pytest.mark.parametrize(
    ("key", "secret", "words"), [(KEY, "wrong", "secret"), ("nobody", SECRET, "nobody")]
)
async def test_wrong_credentials_are_answered_and_the_stream_ends_with_an_error(
    key: str, secret: str, words: str
) -> None:
    async with house() as made, made.wire.connect() as link:
        await link.send([Connect(key, secret, 13)])
        (answer,) = await link.receive()
        assert isinstance(answer, Connected)
        assert answer.code == 1 and words in answer.error
        with pytest.raises(LinkClosed) as closed:
            await link.receive()
        assert closed.value.status == "UNKNOWN"
        assert made.of(EdgeRefused)


async def test_before_the_connect_everything_is_ignored_and_not_for_ever() -> None:
    async with house() as made, made.wire.connect() as link:
        await link.send([SyncRequest(True), Batch(1, ())])
        began = trio.current_time()
        with pytest.raises(LinkClosed) as closed:
            await link.receive()
        assert closed.value.status == "DEADLINE_EXCEEDED"
        assert trio.current_time() - began == pytest.approx(CONNECT_S, abs=1)
        assert made.of(EdgeRefused)


@pytest.mark.parametrize(("version", "name"), [(13, "V_4_3_0"), (9999, "UNRECOGNIZED")])
async def test_the_edges_version_and_presence_are_its_attributes(version: int, name: str) -> None:
    async with house() as made:
        entity = EntityId("EDGE", made.edge)
        async with edge(made, version=version):
            stored = made.cloud.state.attributes(entity, Scope.SERVER)
            await until(lambda: "active" in made.cloud.state.attributes(entity, Scope.SERVER))
            stored = made.cloud.state.attributes(entity, Scope.SERVER)
            assert (stored["active"].value, stored["edgeVersion"].value) == (True, name)
        await until(lambda: bool(made.of(EdgeDisconnected)))
        assert made.cloud.service.sessions == {}


async def test_the_last_session_of_an_edge_wins_and_the_first_ends_politely() -> None:
    async with house() as made, edge(made) as first, edge(made) as second:
        await until(lambda: first.end is not None)
        assert first.end is not None and first.end.status == "OK"
        await second.sync(full=False)
        assert list(made.cloud.service.sessions) == [made.edge]


async def test_an_edge_that_answers_nothing_is_sent_away_with_an_error_so_that_it_returns() -> None:
    async with house() as made, made.wire.connect() as link:
        await link.send([Connect(KEY, SECRET, 13), SyncRequest(full=False)])
        with trio.fail_after(120), pytest.raises(LinkClosed) as closed:
            while True:
                await link.receive()
        assert closed.value.status == "UNAVAILABLE"


# --- sync ---------------------------------------------------------------------------------------


async def test_a_full_sync_comes_in_the_order_in_which_an_edge_can_take_it() -> None:
    async with house() as made:
        await made.add_device("Pump")
        async with edge(made) as played:
            await until(lambda: "deviceUpdate" in played.fields())
            played.down.clear()
            await played.sync(full=True)
            fields = played.fields()
            order = ("tenantUpdate", "queueUpdate", "ruleChainUpdate", "userUpdate", "deviceUpdate")
            places = [fields.index(field) for field in order]
            assert places == sorted(places)
            assert fields.index("deviceProfileUpdate") < fields.index("deviceUpdate")
            assert isinstance(played.down[-1], SyncCompleted)


async def test_a_partial_sync_leaves_out_what_seldom_changes() -> None:
    async with house() as made:
        await made.add_device("Pump")
        async with edge(made) as played:
            await played.sync(full=False)
            assert {"deviceUpdate", "deviceCredentialsUpdate"} <= set(played.fields())
            assert not {"ruleChainUpdate", "tenantUpdate", "userUpdate"} & set(played.fields())


@pytest.mark.parametrize(
    ("waiting", "asked", "queued"),
    [(True, True, False), (True, False, False), (False, False, False), (False, True, True)],
)
async def test_a_sync_that_still_waits_serves_for_another_unless_that_asks_for_more(
    waiting: bool, asked: bool, queued: bool
) -> None:
    async with house() as made, edge(made):
        session = made.cloud.service.sessions[made.edge]
        made.wire.stall()
        assert await session.sync(full=waiting)
        assert await session.sync(full=asked) is queued


async def test_other_events_that_wait_are_no_sync() -> None:
    async with house() as made, edge(made):
        made.wire.stall()
        for number in range(60):
            await made.add_device(f"D{number}")
        assert await made.cloud.service.sessions[made.edge].sync(full=False)


async def test_a_sync_request_without_a_body_asks_for_nothing() -> None:
    async with house() as made, edge(made) as played:
        await played.link.send([SyncRequest(None)])
        await trio.sleep(10)
        assert played.count(SyncCompleted) == 0


async def test_the_public_customer_is_in_every_sync() -> None:
    async with house() as made:
        for title, public in (("Public", True), ("Plant", False)):
            customer = new_uuid()
            body = {"id": EntityId("CUSTOMER", customer).to_json(), "title": title}
            body["additionalInfo"] = {"isPublic": public}
            unit = Unit(entities=[EntityWrite("CUSTOMER", customer, msgspec.json.encode(body))])
            await commit(made.cloud, made.store, unit)
        async with edge(made) as played:
            await played.sync(full=False)
            told = [i for i in played.down if isinstance(i, EntityUpdate)]
            bodies = [i.body for i in told if i.field == "customerUpdate"]
            assert len(bodies) == 1 and '"Public"' in bodies[0]


async def test_an_edge_that_is_deleted_is_sent_away_politely() -> None:
    async with house() as made, edge(made) as played:
        gone = Change("EDGE", made.edge, None, "DELETED")
        await made.cloud.commands.change([gone], ACTOR)
        await until(lambda: played.end is not None)
        assert played.end is not None and played.end.status == "OK"
        assert made.cloud.service.sessions == {}


async def test_the_chain_that_an_edge_runs_as_its_root_stays_its_root() -> None:
    async with house() as made, edge(made) as played:
        chain = new_uuid()
        body = {"id": EntityId("RULE_CHAIN", chain).to_json(), "name": "Own", "root": True}
        new = EntityUpdate("ruleChainUpdate", 0, chain, msgspec.json.encode(body).decode())
        assert (await played.say(new)).success
        await played.sync(full=True)
        told = [i for i in played.down if isinstance(i, EntityUpdate)]
        roots = {i.id: '"root":true' in i.body for i in told if i.field == "ruleChainUpdate"}
        assert roots[chain] and sum(roots.values()) == 1


async def test_what_was_assigned_while_the_edge_was_away_comes_when_it_is_back() -> None:
    async with house() as made:
        async with edge(made) as played:
            await played.sync(full=True)
        await made.add_device("Late")
        async with edge(made) as played:
            await until(lambda: "deviceUpdate" in played.fields())


# --- uplinks ------------------------------------------------------------------------------------


async def test_telemetry_is_stored_when_it_is_acknowledged() -> None:
    async with house() as made:
        device = await made.add_device("Pump")
        async with edge(made) as played:
            entries = (encode_entry(5, {"a": 1}), encode_entry(6, {"a": 2}))
            assert (await played.say(Telemetry(device, entries))).success
            assert made.store.disk.points[device]["a"] == {5: 1, 6: 2}


async def test_data_about_a_stranger_are_acknowledged_and_not_stored() -> None:
    async with house() as made, edge(made) as played:
        stranger = EntityId("DEVICE", new_uuid())
        assert (await played.say(Telemetry(stranger, (encode_entry(5, {"a": 1}),)))).success
        assert stranger not in made.store.disk.points


@pytest.mark.parametrize("posted", [True, False])
async def test_client_attributes_are_stored(posted: bool) -> None:
    async with house() as made:
        device = await made.add_device("Pump")
        async with edge(made) as played:
            values = encode_attributes({"fw": "v1"})
            item = Attributes(device, "CLIENT_SCOPE", values, 5, posted=posted)
            assert (await played.say(item)).success
            assert made.cloud.state.attributes(device, Scope.CLIENT)["fw"].value == "v1"


async def test_a_devices_own_attribute_that_is_deleted_in_the_same_message_is_gone() -> None:
    async with house() as made:
        device = await made.add_device("Pump")
        async with edge(made) as played:
            values = encode_attributes({"fw": "v1"})
            said = Attributes(device, "CLIENT_SCOPE", values, 5, posted=True)
            deleted = AttributesDeleted(device, "CLIENT_SCOPE", ("fw",), 6)
            assert (await played.say(said, deleted)).success
            assert not made.cloud.state.attributes(device, Scope.CLIENT)


async def test_nothing_is_assigned_that_is_not_here() -> None:
    async with house() as made:
        with pytest.raises(Permanent, match="not here any more"):
            await made.cloud.commands.assign(made.edge, EntityId("DEVICE", new_uuid()), ACTOR)
        assert made.cloud.edges.assigned(made.edge, "DEVICE") == []


async def test_a_message_is_taken_whole_or_refused_whole_and_the_session_goes_on() -> None:
    async with house() as made:
        device = await made.add_device("Pump")
        async with edge(made) as played:
            good = Telemetry(device, (encode_entry(5, {"a": 1}),))
            bad = EntityUpdate("deviceUpdate", 0, device.id, "{")
            answer = await played.say(good, bad)
            assert not answer.success and answer.error
            assert device not in made.store.disk.points
            assert (await played.say(good)).success


async def test_attributes_that_are_asked_for_come_with_their_times() -> None:
    async with house() as made:
        device = await made.add_device("Pump")
        async with edge(made) as played:
            values = encode_attributes({"k": 1})
            await played.say(Attributes(device, "SHARED_SCOPE", values, 77))
            await played.say(Request("attributesRequest", device, Scope.SHARED))
            await until(lambda: played.count(Attributes) == 1)
            (item,) = [item for item in played.down if isinstance(item, Attributes)]
            assert (item.ts, item.scope) == (77, "SHARED_SCOPE")


async def test_who_asks_for_attributes_gets_the_latest_values_too() -> None:
    async with house() as made:
        device = await made.add_device("Pump")
        points = [(5, {"a": 1}), (6, {"a": 2, "b": True}), (6, {"inactivityTimeout": 9})]
        series = [Series(device, ts, dict(values)) for ts, values in points]
        await made.store.commit([Unit(series=series)])
        async with edge(made) as played:
            both = [Request("attributesRequest", device, s) for s in (Scope.SERVER, Scope.SHARED)]
            await played.say(*both)
            await until(lambda: played.count(Telemetry) == 1)
            (item,) = [item for item in played.down if isinstance(item, Telemetry)]
            assert (item.entity, item.entries) == (device, (encode_entry(6, {"a": 2, "b": True}),))


async def test_a_new_device_belongs_to_its_edge_and_a_deleted_one_is_only_unassigned() -> None:
    async with house() as made, edge(made) as played:
        device = new_uuid()
        body = msgspec.json.encode({"id": EntityId("DEVICE", device).to_json(), "name": "New"})
        new = EntityUpdate("deviceUpdate", UpdateKind.CREATED, device, body.decode())
        assert (await played.say(new)).success
        assert made.cloud.edges.assigned(made.edge, "DEVICE") == [device]
        gone = EntityUpdate("deviceUpdate", UpdateKind.DELETED, device)
        assert (await played.say(gone)).success
        assert made.cloud.edges.assigned(made.edge, "DEVICE") == []
        assert made.cloud.state.entity("DEVICE", device) is not None


async def test_a_name_that_is_taken_here_is_changed_and_sent_back() -> None:
    async with house() as made:
        await made.add_device("Pump")
        async with edge(made) as played:
            device = new_uuid()
            body = msgspec.json.encode({"id": EntityId("DEVICE", device).to_json(), "name": "Pump"})
            await played.say(EntityUpdate("deviceUpdate", 0, device, body.decode()))
            renamed = made.cloud.state.entity("DEVICE", device)
            assert renamed is not None and renamed["name"].startswith("Pump_")
            await until(
                lambda: any(i.id == device for i in played.down if isinstance(i, EntityUpdate))
            )


async def test_an_edge_hears_of_devices_whose_profile_has_a_new_name() -> None:
    async with house() as made, edge(made) as played:
        device = await made.add_device("Pump")
        await until(lambda: device.id in played.ids())
        played.down.clear()
        profile = made.cloud.state.ids("DEVICE_PROFILE")[0]
        body = {**(made.cloud.state.entity("DEVICE_PROFILE", profile) or {}), "name": "pumps"}
        renamed = Change("DEVICE_PROFILE", profile, body, "UPDATED")
        await made.cloud.commands.change([renamed], ACTOR)
        await until(lambda: {profile, device.id} <= set(played.ids()))
        assert (made.cloud.state.entity("DEVICE", device.id) or {})["type"] == "pumps"


async def test_profiles_are_not_deleted_from_an_edge() -> None:
    async with house() as made, edge(made) as played:
        profile = made.cloud.state.ids("DEVICE_PROFILE")[0]
        gone = EntityUpdate("deviceProfileUpdate", UpdateKind.DELETED, profile)
        assert "Unsupported" in (await played.say(gone)).error


@pytest.mark.parametrize("response", ['{"v": 1}', "plain text", None])
async def test_an_answer_nobody_waits_for_harms_nothing(response: str | None) -> None:
    async with house() as made, edge(made) as played:
        call = RpcCall(new_uuid(), new_uuid(), 1, response=response, error=None)
        assert (await played.say(call)).success


async def test_a_full_disk_holds_the_acknowledgement_back_and_the_session_stays() -> None:
    async with house() as made:
        device = await made.add_device("Pump")
        async with edge(made) as played, trio.open_nursery() as nursery:
            made.store.full = True
            entry = encode_entry(5, {"a": 1})
            nursery.start_soon(played.say, Telemetry(device, (entry,)))
            await trio.sleep(5)
            assert played.acks == {}
            made.store.full = False
            await until(lambda: bool(played.acks))
            assert made.store.disk.points[device]["a"] == {5: 1}


async def test_a_message_that_is_refused_below_is_put_aside_and_the_rest_arrives() -> None:
    async with house() as made:
        first, second = await made.add_device("D1"), await made.add_device("D2")
        async with made.wire.connect() as link:
            await link.send([Connect(KEY, SECRET, 13)])
            seen: list[str] = []
            with trio.move_on_after(30):
                while made.store.depth(str(made.edge), Lane.ENTITY).pending:
                    for frame in await link.receive():
                        if isinstance(frame, Batch):
                            ids = [i.id for i in frame.items if isinstance(i, EntityUpdate)]
                            seen += [str(id) for id in ids]
                            await link.send([Ack(frame.id, first.id not in ids, "no")])
            assert str(second.id) in seen
            (aside,) = made.store.quarantined(str(made.edge))
            assert (aside.event.event.entity, aside.reason) == (first, "no")


# --- what is shown and what is asked ------------------------------------------------------------


async def test_what_was_taken_from_an_edge_before_it_was_sent_is_not_shown_to_it() -> None:
    async with house() as made, edge(made) as played:
        late = Unit()
        of_others: dict[str, dict[str, Any]] = {
            "CUSTOMER": {"title": "Waterworks"},
            "USER": {"email": "a@b", "customerId": EntityId("CUSTOMER", new_uuid()).to_json()},
            "CALCULATED_FIELD": {"name": "f", "entityId": EntityId("DEVICE", new_uuid()).to_json()},
        }
        for kind, body in of_others.items():
            own = EntityId(kind, new_uuid())
            body["id"] = own.to_json()
            late.entities.append(EntityWrite(kind, own.id, msgspec.json.encode(body)))
            late.events.append(event_for(made.edge, own, "ADDED"))
        await commit(made.cloud, made.store, late)
        device = await made.add_device("Valve")
        await until(lambda: device.id in played.ids())
        assert not {write.id for write in late.entities} & set(played.ids())


async def test_what_is_kept_unused_is_counted_for_each_edge() -> None:
    async with house() as made:
        for _ in range(2):
            async with edge(made) as played:
                board = new_uuid()
                body = {"id": EntityId("DASHBOARD", board).to_json(), "title": "Hall"}
                update = EntityUpdate(
                    "dashboardUpdate", UpdateKind.CREATED, board, msgspec.json.encode(body)
                )
                assert (await played.say(update)).success
        (line,) = link_statuses(made.cloud)
        assert line.kept == {"dashboardUpdate": 2}


async def test_newest_values_follow_the_attributes_that_an_edge_asks_for() -> None:
    async with house() as made, edge(made) as played:
        device = await made.add_device("Valve")
        old, new = {"t": 1, "p": 2.5}, {"t": 2, "active": True, "inactivityTimeout": 5}
        series = [Series(device, 1_000, old), Series(device, 2_000, new)]
        await made.store.commit([Unit(series=series)])
        asked = [
            Request("attributesRequest", device, scope) for scope in (Scope.SERVER, Scope.SHARED)
        ]
        assert (await played.say(*asked)).success
        await until(lambda: played.count(Telemetry) == 1)
        (told,) = [item for item in played.down if isinstance(item, Telemetry)]
        assert told.entity == device
        values = [decode_entry(entry) for entry in told.entries]
        assert values == [(1_000, {"p": 2.5}), (2_000, {"t": 2})]  # once, though asked twice


async def test_newest_values_wait_until_the_edge_has_its_entities() -> None:
    async with house() as made, edge(made) as played:
        device = await made.add_device("Valve")
        await until(lambda: device.id in played.ids())
        await made.store.commit([Unit(series=[Series(device, 1_000, {"t": 1})])])
        assert (await played.say(Request("attributesRequest", device, Scope.SERVER))).success
        await made.add_device("Fan")
        await until(lambda: played.count(Telemetry) == 1)
        last_entity = max(n for n, item in enumerate(played.down) if isinstance(item, EntityUpdate))
        assert isinstance(played.down[-1], Telemetry)
        assert last_entity < len(played.down) - 1
