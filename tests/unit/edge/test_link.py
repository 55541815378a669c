"""The edge's connection to its cloud, with the cloud's side played by the test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import msgspec
import pytest
import trio

from appliance.edge.assembly import Edge
from appliance.edge.link import CONNECTED_EVERY_S, VERSION_S, DownlinkRefused, VersionLowered
from appliance.edge.link_events import CloudDisconnected
from appliance.edge.processor import MessagesProcessed
from appliance.extension.ports import Link, LinkClosed
from appliance.kernel.events import Event
from appliance.model.ids import EntityId, new_uuid
from appliance.model.telemetry import Scope
from appliance.model.unit import Unit
from appliance.sync.messages import (
    Ack,
    Attributes,
    Batch,
    ConfigurationItem,
    Connect,
    Connected,
    EdgeConfiguration,
    EdgeUpdate,
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
from appliance.sync.wire import encode_attributes, encode_entry
from appliance.testing.fake_transport import FakeTransport
from appliance.testing.memory_storage import MemoryDisk, MemoryStorage
from appliance.web.commands import Change
from tests.kit.pair import SETTINGS, running_edge, until
from tests.kit.sync_rows import ACTOR
from tests.unit.edge.world import Phone

pytestmark = pytest.mark.mock_clock

EDGE, TENANT = new_uuid(), new_uuid()
CONFIGURATION = EdgeConfiguration(EDGE, TENANT, None, name="Edge 1", additional_info="null")


class Server:
    """The cloud's side: accepts, acknowledges uplinks, says what the test wants said.

    heard: all that the edge said, over all links. acks: its answers by id.
    """

    def __init__(self) -> None:
        self.answer: Sequence[Frame] = (Connected(0, "", CONFIGURATION),)
        self.answers = True
        self.heard: list[Frame] = []
        self.acks: dict[int, Ack] = {}
        self.links = 0
        self.link: Link | None = None
        self._ids = iter(range(1, 10_000))

    async def handle(self, link: Link) -> None:
        self.links += 1
        self.link = link
        while True:
            for frame in await link.receive():
                self.heard.append(frame)
                match frame:
                    case Connect():
                        await link.send(self.answer)
                    case Batch() if self.answers:
                        await link.send([Ack(frame.id, True)])
                    case Ack():
                        self.acks[frame.id] = frame

    async def say(self, *items: Item) -> Ack:
        """One downlink message; the edge's answer."""
        assert self.link is not None
        id = next(self._ids)
        await self.link.send([Batch(id, items)])
        await until(lambda: id in self.acks)
        return self.acks[id]

    def of(self, kind: type[Any]) -> list[Any]:
        return [frame for frame in self.heard if isinstance(frame, kind)]

    def items(self, kind: type[Any]) -> list[Any]:
        items = [item for batch in self.of(Batch) for item in batch.items]
        return [item for item in items if isinstance(item, kind)]


class World:
    def __init__(
        self, edge: Edge, server: Server, wire: FakeTransport, events: list[Event]
    ) -> None:
        self.edge = edge
        self.server = server
        self.wire = wire
        self.events = events

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    async def connected(self) -> None:
        await until(lambda: self.edge.link.status.state == "connected", 120)
        await trio.testing.wait_all_tasks_blocked()

    async def away(self) -> None:
        await until(lambda: self.edge.link.status.state == "reconnecting", 120)


@asynccontextmanager
async def world(
    disk: MemoryDisk | None = None, server: Server | None = None, **settings: Any
) -> AsyncIterator[World]:
    server, wire, events = server or Server(), FakeTransport(), list[Event]()
    chosen = msgspec.structs.replace(SETTINGS, **settings)
    async with trio.open_nursery() as nursery:
        await nursery.start(wire.serve, server.handle)
        storage = MemoryStorage(disk)
        async with running_edge(storage, wire, settings=chosen, emit=events.append) as edge:
            yield World(edge, server, wire, events)
        nursery.cancel_scope.cancel()


def tenant() -> EntityUpdate:
    body = {"id": EntityId("TENANT", TENANT).to_json(), "title": "Tenant"}
    text = msgspec.json.encode(body).decode()
    return EntityUpdate("tenantUpdate", UpdateKind.UPDATED, None, text)


def device(id: UUID, name: str = "Pump", kind: int = UpdateKind.CREATED) -> EntityUpdate:
    body = {"id": EntityId("DEVICE", id).to_json(), "name": name, "type": "default", "version": 3}
    return EntityUpdate("deviceUpdate", kind, id, msgspec.json.encode(body).decode())


def credentials(id: UUID, token: str) -> EntityUpdate:
    body = {
        "deviceId": EntityId("DEVICE", id).to_json(),
        "credentialsType": "ACCESS_TOKEN",
        "credentialsId": token,
    }
    field = "deviceCredentialsUpdate"
    return EntityUpdate(field, None, None, msgspec.json.encode(body).decode())


def edge_attributes(**values: Any) -> Attributes:
    return Attributes(EntityId("EDGE", EDGE), "SERVER_SCOPE", encode_attributes(values))


# --- handshake ----------------------------------------------------------------------------------


async def test_it_says_who_it_is_and_which_version_before_anything_else() -> None:
    async with world() as made:
        await made.connected()
        hello = made.server.heard[0]
        assert isinstance(hello, Connect)
        assert (hello.routing_key, hello.secret, hello.version) == ("edge-key", "edge-secret", 13)
        assert hello.max_inbound_bytes == 4_194_304


async def test_what_comes_before_the_answer_to_the_connect_is_no_answer() -> None:
    server = Server()
    server.answer = (EdgeUpdate(CONFIGURATION), Ack(5, True), Connected(0, "", CONFIGURATION))
    async with world(server=server) as made:
        await made.connected()
        assert server.links == 1


@pytest.mark.parametrize(
    ("code", "words"), [(1, "routing key or the secret"), (2, "not available"), (9, "code 9")]
)
async def test_a_refusal_is_told_and_tried_again(code: int, words: str) -> None:
    server = Server()
    server.answer = (Connected(code, "details"),)
    async with world(server=server) as made:
        await until(lambda: server.links >= 3)
        assert words in made.edge.link.status.last_error
        assert "details" in made.edge.link.status.last_error
        server.answer = (Connected(0, "", CONFIGURATION),)
        await made.connected()


async def test_an_acceptance_that_does_not_say_who_this_edge_is_is_none() -> None:
    server = Server()
    server.answer = (Connected(0),)
    async with world(server=server) as made:
        await until(lambda: server.links >= 2)
        assert "without saying who" in made.edge.link.status.last_error


async def test_silence_after_the_connect_is_given_up() -> None:
    server = Server()
    server.answer = ()
    async with world(server=server) as made:
        await until(lambda: server.links == 2, 60)
        assert "did not answer" in made.edge.link.status.last_error


async def test_a_data_folder_of_another_edge_is_not_touched_unless_adopted() -> None:
    disk, other = MemoryDisk(), new_uuid()
    async with world(disk) as made:
        await made.connected()
        await made.server.say(SyncCompleted())
    server = Server()
    server.answer = (Connected(0, "", msgspec.structs.replace(CONFIGURATION, edge_id=other)),)
    async with world(disk, server) as made:
        await until(lambda: "data folder belongs to edge" in made.edge.link.status.last_error)
    async with world(disk, server, adopt=True) as made:
        await made.connected()
        assert server.of(SyncRequest)[-1].full is True


async def test_a_configuration_with_a_broken_part_is_still_taken() -> None:
    server = Server()
    broken = msgspec.structs.replace(CONFIGURATION, additional_info="{not json")
    server.answer = (Connected(0, "", broken),)
    async with world(server=server) as made:
        await made.connected()
        entity = made.edge.state.entity("EDGE", EDGE)
        assert entity is not None and entity["additionalInfo"] is None


# --- sync ---------------------------------------------------------------------------------------


async def test_the_first_sync_is_full_and_those_after_it_are_partial_even_after_a_restart() -> None:
    disk = MemoryDisk()
    async with world(disk) as made:
        await made.connected()
        await made.server.say(tenant(), SyncCompleted())
        made.wire.cut()
        await until(lambda: made.server.links == 2)
        await made.connected()
        assert [request.full for request in made.server.of(SyncRequest)] == [True, False]
    async with world(disk) as made:
        await made.connected()
        assert [request.full for request in made.server.of(SyncRequest)] == [False]


async def test_a_server_that_shows_no_tenant_is_asked_once_more_and_then_believed() -> None:
    async with world() as made:
        await made.connected()
        for _ in range(3):
            await made.server.say(SyncCompleted())
            await trio.testing.wait_all_tasks_blocked()
        assert [request.full for request in made.server.of(SyncRequest)] == [True, True]


async def test_a_sync_that_died_on_the_server_is_forgotten_there_and_asked_for_again() -> None:
    async with world() as made:
        await made.connected()
        await made.server.say(tenant())
        await trio.sleep(2 * CONNECTED_EVERY_S + 1)
        assert [request.full for request in made.server.of(SyncRequest)] == [True, None, True]
        await made.server.say(tenant(), SyncCompleted())
        await trio.sleep(3 * CONNECTED_EVERY_S)
        assert len(made.server.of(SyncRequest)) == 3


async def test_a_new_customer_is_followed_by_a_sync_that_brings_what_is_his() -> None:
    customer = msgspec.structs.replace(CONFIGURATION, customer_id=new_uuid())
    async with world() as made:
        await made.connected()
        await made.server.say(tenant(), SyncCompleted())
        for configuration in (CONFIGURATION, customer, customer):
            await made.server.say(ConfigurationItem(configuration))
            await trio.testing.wait_all_tasks_blocked()
            await made.server.say(SyncCompleted())
        assert [request.full for request in made.server.of(SyncRequest)] == [True, False]


async def test_a_server_told_of_the_change_by_an_update_needs_no_sync_for_it() -> None:
    customer = msgspec.structs.replace(CONFIGURATION, customer_id=new_uuid())
    async with world() as made:
        await made.connected()
        await made.server.say(tenant(), SyncCompleted())
        assert made.server.link is not None
        await made.server.link.send([EdgeUpdate(customer)])
        await made.server.say(ConfigurationItem(customer))
        assert len(made.server.of(SyncRequest)) == 1


async def test_an_old_server_is_told_that_the_sync_is_required() -> None:
    for version, required in ((9, True), (10, False)):
        async with world(version=version) as made:
            await made.connected()
            assert [sync.required for sync in made.server.of(SyncRequest)] == [required]


async def test_a_full_sync_that_was_cut_is_full_again() -> None:
    async with world() as made:
        await made.connected()
        made.wire.cut()
        await until(lambda: made.server.links == 2)
        await made.connected()
        assert [request.full for request in made.server.of(SyncRequest)] == [True, True]


async def test_after_a_reconnect_and_its_sync_every_devices_attributes_are_asked_for() -> None:
    async with world() as made:
        await made.connected()
        pump = new_uuid()
        await made.server.say(device(pump))
        await made.server.say(SyncCompleted())
        made.wire.cut()
        await until(lambda: made.server.links == 2)
        await made.connected()
        await trio.sleep(1)
        made.server.heard.clear()
        await made.server.say(SyncCompleted())
        await trio.sleep(1)
        asked = {(r.entity.id, r.scope) for r in made.server.items(Request)}
        assert {(pump, Scope.SERVER), (pump, Scope.SHARED)} <= asked


async def test_after_a_sync_the_tenants_and_the_customers_attributes_are_asked_for() -> None:
    id = new_uuid()
    configuration = msgspec.structs.replace(CONFIGURATION, customer_id=id)
    body = {"id": EntityId("CUSTOMER", id).to_json(), "title": "Plant"}
    text = msgspec.json.encode(body).decode()
    server = Server()
    server.answer = (Connected(0, "", configuration),)
    async with world(server=server) as made:
        await made.connected()
        await made.server.say(tenant(), EntityUpdate("customerUpdate", 0, id, text))
        await trio.sleep(1)
        made.server.heard.clear()
        await made.server.say(SyncCompleted())
        await trio.sleep(1)
        asked = [(r.entity.id, r.scope) for r in made.server.items(Request)]
        assert asked == [(TENANT, Scope.SERVER), (id, Scope.SERVER)]


async def test_a_new_device_is_asked_about_once() -> None:
    async with world() as made:
        await made.connected()
        pump = new_uuid()
        for _ in range(3):
            await made.server.say(device(pump))
        await trio.sleep(1)
        fields = [r.field for r in made.server.items(Request) if r.entity.id == pump]
        assert sorted(fields) == [
            "attributesRequest",
            "attributesRequest",
            "calculatedFieldRequest",
            "relationRequest",
        ]


# --- the version --------------------------------------------------------------------------------


async def test_a_server_that_does_not_know_the_version_gets_an_older_one() -> None:
    async with world() as made:
        await made.connected()
        await made.server.say(edge_attributes(edgeVersion="UNRECOGNIZED"))
        await until(lambda: made.server.links == 2, 60)
        await made.connected()
        assert [hello.version for hello in made.server.of(Connect)] == [13, 12]
        assert made.of(VersionLowered)
        await made.server.say(edge_attributes(edgeVersion="V_4_2_0"))
        await trio.sleep(60)
        assert made.server.links == 2


async def test_an_answer_from_before_that_is_overtaken_by_a_newer_one_means_nothing() -> None:
    async with world() as made:
        await made.connected()
        await made.server.say(edge_attributes(edgeVersion="UNRECOGNIZED"))
        await made.server.say(edge_attributes(edgeVersion="V_4_3_0", active=True))
        await made.server.say(edge_attributes(active=False))
        await trio.sleep(60)
        assert made.server.links == 1


async def test_a_server_says_what_it_thinks_of_the_version_after_a_long_sync_only() -> None:
    async with world() as made:
        await made.connected()
        await trio.sleep(10 * VERSION_S)
        await made.server.say(tenant(), SyncCompleted())
        await made.server.say(edge_attributes(edgeVersion="UNRECOGNIZED"))
        await until(lambda: made.server.links == 2, 60)
        assert [hello.version for hello in made.server.of(Connect)] == [13, 12]


# --- downlinks ----------------------------------------------------------------------------------


async def test_a_message_is_durable_before_it_is_acknowledged() -> None:
    disk = MemoryDisk()
    async with world(disk) as made:
        await made.connected()
        pump = new_uuid()
        assert (await made.server.say(device(pump), credentials(pump, "T"))).success
        assert ("DEVICE", pump) in disk.entities
        assert made.edge.gate.authenticate_token("T") is not None


async def test_the_device_hears_of_a_change_even_if_the_link_breaks_before_it_is_acknowledged() -> (
    None
):
    async with world() as made:
        await made.connected()
        pump = new_uuid()
        await made.server.say(device(pump), credentials(pump, "T"))
        phone, session = Phone(), made.edge.gate.authenticate_token("T")
        assert session is not None
        made.edge.gate.subscribe(session, phone, attributes=True, rpc=True)

        async def broken(_frames: Sequence[Frame]) -> None:
            raise LinkClosed("cut", "UNAVAILABLE")

        made.edge.link._link.send = broken  # type: ignore[union-attr, method-assign] # a cut wire
        shared = Attributes(
            EntityId("DEVICE", pump), "SHARED_SCOPE", encode_attributes({"k": 1}), 5
        )
        assert made.server.link is not None
        await made.server.link.send([Batch(77, (shared,))])
        await made.away()
        assert phone.attributes_seen == [({"k": 1}, [])]


async def test_a_value_that_comes_back_does_not_run_through_the_chain_again() -> None:
    async with world() as made:
        await made.connected()
        pump = new_uuid()
        await made.server.say(device(pump), credentials(pump, "T"))
        session = made.edge.gate.authenticate_token("T")
        assert session is not None
        await made.edge.gate.post_telemetry([(session, [(5, {"t": 1.5})])])
        for ts, runs in ((5, 0), (6, 1)):
            before = len(made.of(MessagesProcessed))
            entry = encode_entry(ts, {"t": 1.5})
            assert (await made.server.say(Telemetry(EntityId("DEVICE", pump), (entry,)))).success
            assert len(made.of(MessagesProcessed)) - before == runs


async def test_what_cannot_be_applied_is_refused_with_words_and_the_rest_goes_on() -> None:
    async with world() as made:
        await made.connected()
        bad = EntityUpdate("deviceUpdate", 0, new_uuid(), "{}")
        answer = await made.server.say(bad)
        assert not answer.success and answer.error
        assert made.of(DownlinkRefused)
        assert (await made.server.say(device(new_uuid()))).success
        assert made.server.links == 1


async def test_sessions_end_when_the_cloud_deletes_the_device_or_changes_its_token() -> None:
    async with world() as made:
        await made.connected()
        pump = new_uuid()
        await made.server.say(device(pump), credentials(pump, "T"))
        phone, session = Phone(), made.edge.gate.authenticate_token("T")
        assert session is not None
        made.edge.gate.subscribe(session, phone, attributes=True, rpc=True)
        await made.server.say(device(pump), credentials(pump, "T"))
        assert phone.ends == []
        await made.server.say(credentials(pump, "U"))
        assert phone.ends == ["credentials"]
        await made.server.say(EntityUpdate("deviceUpdate", UpdateKind.DELETED, pump))
        assert phone.ends == ["credentials", "deleted"]


async def test_a_chain_that_was_changed_here_keeps_its_nodes_until_the_cloud_has_them() -> None:
    async with world() as made:
        await made.connected()
        id = new_uuid()
        chain = {"id": EntityId("RULE_CHAIN", id).to_json(), "name": "C", "type": "EDGE"}
        theirs = {"ruleChainId": chain["id"], "firstNodeIndex": 0, "nodes": [{"name": "theirs"}]}

        async def from_the_server() -> None:
            text = msgspec.json.encode
            await made.server.say(
                EntityUpdate("ruleChainUpdate", 0, id, text(chain).decode()),
                EntityUpdate("ruleChainMetadataUpdate", 0, None, text(theirs).decode()),
            )

        await from_the_server()
        made.server.answers = False
        ours = {**theirs, "nodes": [{"name": "ours"}]}
        changes = [
            Change("RULE_CHAIN", id, {**chain, "type": "CORE"}, "UPDATED"),
            Change("RULE_CHAIN_METADATA", id, ours, "UPDATED"),
        ]
        await made.edge.commands.change(changes, ACTOR)
        await from_the_server()
        assert made.edge.state.entity("RULE_CHAIN_METADATA", id) == ours


async def test_a_change_that_is_not_durable_yet_is_not_overwritten_by_what_comes_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with world() as made, trio.open_nursery() as nursery:
        await made.connected()
        pump, durable = new_uuid(), trio.Event()
        await made.server.say(device(pump), credentials(pump, "T"))
        storage = made.edge.link._storage
        commit, held = storage.commit, list[int]()

        async def slow(units: Sequence[Unit]) -> int:
            if not held:
                held.append(len(units))
                await durable.wait()
            return await commit(units)

        monkeypatch.setattr(storage, "commit", slow)
        ours = {**(made.edge.state.entity("DEVICE", pump) or {}), "label": "ours"}
        changes = [Change("DEVICE", pump, ours, "UPDATED")]
        nursery.start_soon(made.edge.commands.change, changes, ACTOR)
        await until(lambda: bool(held))
        await made.server.say(device(pump, "Theirs", UpdateKind.UPDATED))
        here = made.edge.state.entity("DEVICE", pump)
        durable.set()
        assert here == ours
        await until(lambda: any(i.field == "deviceUpdate" for i in made.server.items(EntityUpdate)))
        await made.server.say(device(pump, "Theirs", UpdateKind.UPDATED))
        assert (made.edge.state.entity("DEVICE", pump) or {})["name"] == "Theirs"


@pytest.mark.parametrize("session_id", ["not-a-uuid", "", None])
async def test_an_answer_for_no_session_of_ours_is_taken_and_dropped(session_id: Any) -> None:
    async with world() as made:
        await made.connected()
        call = RpcCall(new_uuid(), None, 1, response="x", session_id=session_id)
        assert (await made.server.say(call)).success
        assert made.server.links == 1


async def test_a_request_for_a_device_that_is_not_here_is_answered_at_once() -> None:
    async with world() as made:
        await made.connected()
        call = RpcCall(new_uuid(), new_uuid(), 4, expires_ms=2**50, method="x", params="{}")
        await made.server.say(call)
        await until(
            lambda: any(isinstance(i, RpcCall) for b in made.server.of(Batch) for i in b.items)
        )
        (answer,) = [i for b in made.server.of(Batch) for i in b.items if isinstance(i, RpcCall)]
        assert (answer.error, answer.request_id, answer.request_uuid) == (
            "NOT_FOUND",
            4,
            call.request_uuid,
        )


async def test_a_polite_end_and_an_end_with_an_error_both_lead_back() -> None:
    async with world() as made:
        await made.connected()
        for links in (2, 3):
            made.wire.links[0].incoming.close("bye", "OK" if links == 2 else "UNAVAILABLE")
            await until(lambda links=links: made.server.links == links)
            await made.connected()
        polite, other = (end.reason for end in made.of(CloudDisconnected))
        assert "the same routing key" in polite
        assert "the same routing key" not in other
