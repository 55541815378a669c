"""Edges, assignments, who hears of what; the order of a sync; calls."""

from __future__ import annotations

from uuid import UUID

import msgspec
import pytest
import trio

from appliance.cloud.calls import Calls
from appliance.cloud.registry import Edges
from appliance.cloud.sync import SyncPlan, attribute_events
from appliance.cloud.tenant import new_tenant
from appliance.extension.ports import AttributeValue
from appliance.model.errors import Permanent
from appliance.model.ids import EntityId, new_uuid
from appliance.model.telemetry import Scope
from appliance.model.unit import Lane, Unit
from appliance.state.store import State
from appliance.sync.mapping import rpc_from_json
from appliance.sync.messages import Batch, EntityUpdate, RpcCall
from appliance.testing.memory_storage import MemoryStorage
from tests.kit.devices import device_unit
from tests.kit.recording import lines


@pytest.fixture(scope="module")
def tenant() -> Unit:
    return new_tenant()


@pytest.fixture
def state(tenant: Unit) -> State:
    made = State()
    made.apply(tenant)
    return made


def add_edge(state: State, name: str) -> UUID:
    state.apply(Edges(state).create(name, f"{name} key", "secret"))
    body = state.by_name("EDGE", name)
    assert body is not None
    return UUID(body["id"]["id"])


def add_device(state: State, name: str) -> EntityId:
    device, unit = device_unit(state, name, name)
    state.apply(unit)
    return device


def test_a_new_edge_has_the_root_chain_template(state: State) -> None:
    edge = add_edge(state, "E1")
    (chain,) = Edges(state).assigned(edge, "RULE_CHAIN")
    body, metadata = state.entity("RULE_CHAIN", chain), state.entity("RULE_CHAIN_METADATA", chain)
    assert body is not None and metadata is not None
    assert (body["type"], body["root"]) == ("EDGE", True)
    assert metadata["nodes"]


def test_names_and_routing_keys_are_taken_once(state: State) -> None:
    edges = Edges(state)
    state.apply(edges.create("E1", "key", "s"))
    with pytest.raises(Permanent, match="name"):
        edges.create("E1", "other", "s")
    with pytest.raises(Permanent, match="routing key"):
        edges.create("E2", "key", "s")
    assert edges.by_routing_key("key") is not None
    assert edges.by_routing_key("nobody") is None


def test_assigned_is_what_was_given_and_not_taken_back(state: State) -> None:
    edges, edge = Edges(state), add_edge(state, "E1")
    one, two = add_device(state, "D1"), add_device(state, "D2")
    for device in (one, two):
        state.apply(edges.assign(Unit(), edge, device))
    unit = edges.unassign(Unit(), edge, one)
    state.apply(unit)
    assert edges.assigned(edge, "DEVICE") == [two.id]
    assert [event.action for event in unit.events] == ["UNASSIGNED_FROM_EDGE"]


def test_changes_go_to_the_edges_that_have_the_entity_but_not_back_to_the_sender(
    state: State,
) -> None:
    edges = Edges(state)
    first, second, third = (add_edge(state, name) for name in ("E1", "E2", "E3"))
    device = add_device(state, "D1")
    for edge in (first, second):
        state.apply(edges.assign(Unit(), edge, device))
    unit = Unit()
    edges.fan_out(unit, device, "UPDATED", besides=first)
    assert [event.outbox for event in unit.events] == [str(second)]
    profile = EntityId("DEVICE_PROFILE", state.ids("DEVICE_PROFILE")[0])
    assert set(edges.edges_with(profile)) == {first, second, third}


def test_a_new_calculated_field_goes_to_the_edges_that_have_what_it_belongs_to(
    state: State,
) -> None:
    edges, mine = Edges(state), add_edge(state, "E1")
    other = add_edge(state, "E2")
    device, field = add_device(state, "D1"), EntityId("CALCULATED_FIELD", new_uuid())
    state.apply(edges.assign(Unit(), mine, device))
    assert edges.edges_with(field, {"entityId": device.to_json()}) == [mine]
    profile = EntityId("DEVICE_PROFILE", new_uuid()).to_json()
    assert edges.edges_with(field, {"entityId": profile}) == [mine, other]


def test_the_tenants_ids_are_made_from_time(tenant: Unit) -> None:
    assert all(write.id.version == 1 for write in tenant.entities)
    kinds = [write.kind for write in tenant.entities]
    assert kinds.count("QUEUE") == 3
    assert {"TENANT", "TENANT_PROFILE", "DEVICE_PROFILE", "ASSET_PROFILE", "USER"} <= set(kinds)


def test_the_tenant_has_every_member_of_a_servers(tenant: Unit) -> None:
    recorded = next(
        item.body
        for line in lines("01-connect-and-initial-sync")
        for frame in line.frames
        for item in (frame.items if isinstance(frame, Batch) else ())
        if isinstance(item, EntityUpdate) and item.field == "tenantUpdate"
    )
    (ours,) = (write.body for write in tenant.entities if write.kind == "TENANT")
    assert ours is not None
    assert msgspec.json.decode(ours).keys() == msgspec.json.decode(recorded).keys()


# --- sync ---------------------------------------------------------------------------------------


def test_a_sync_ends_with_its_completion_and_the_full_one_has_more(state: State) -> None:
    edge = add_edge(state, "E1")
    plan = SyncPlan(state, Edges(state))
    full, partial = list(plan.events(edge, full=True)), list(plan.events(edge, full=False))
    for events in (full, partial):
        assert events[-1].action == "SYNC_COMPLETED"
        assert {event.lane for event in events} == {Lane.ENTITY}
    assert {event.type for event in partial} < {event.type for event in full}


def test_other_edges_devices_are_not_in_it(state: State) -> None:
    edges, mine, other = Edges(state), add_edge(state, "E1"), add_edge(state, "E2")
    device = add_device(state, "D1")
    state.apply(edges.assign(Unit(), other, device))
    events = list(SyncPlan(state, edges).events(mine, full=True))
    assert device not in [event.entity for event in events]


def test_attributes_are_grouped_by_their_times_and_the_servers_own_are_left_out() -> None:
    device = EntityId("DEVICE", new_uuid())
    stored = {
        "a": AttributeValue(5, 1),
        "b": AttributeValue(9, 2),
        "c": AttributeValue(5, 3),
        "active": AttributeValue(9, True),
    }
    events = list(attribute_events(new_uuid(), device, Scope.SERVER, stored))
    bodies = [msgspec.json.decode(event.body) for event in events]
    assert [(body["ts"], body["kv"]) for body in bodies] == [(5, {"a": 1, "c": 3}), (9, {"b": 2})]


# --- calls --------------------------------------------------------------------------------------


@pytest.mark.mock_clock
async def test_a_call_goes_down_in_the_priority_lane_and_its_answer_ends_it(state: State) -> None:
    storage, edge, device = MemoryStorage(), new_uuid(), new_uuid()
    calls = Calls(storage, state, lambda: int(trio.current_time() * 1000))
    ends = []

    async def ask() -> None:
        expires_ms = int((trio.current_time() + 5) * 1000)
        call = RpcCall(device, new_uuid(), 0, expires_ms=expires_ms, method="x", params="{}")
        ends.append(await calls.call(edge, call))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        (event,) = await storage.pending(str(edge), Lane.PRIORITY, None, 10, 1000)
        sent = rpc_from_json(device, msgspec.json.decode(event.event.body))
        answer = RpcCall(device, sent.request_uuid, sent.request_id, response="7")
        await calls.from_edge(edge, answer)
    assert ends[0].response == "7"
    await ask()
    assert ends[1].error == "TIMEOUT"


async def test_a_kept_call_ends_with_the_devices_answer_not_with_the_edges_receipt(
    state: State,
) -> None:
    storage, edge, device, uuid = MemoryStorage(), new_uuid(), new_uuid(), new_uuid()
    calls = Calls(storage, state, lambda: 1000)
    await calls.keep(edge, RpcCall(device, uuid, 0, expires_ms=2000, method="x", params="{}"))
    receipt = f'{{"rpcId":"{uuid}"}}'
    for response, status in ((receipt, "QUEUED"), ('{"v":7}', "SUCCESSFUL")):
        await calls.from_edge(edge, RpcCall(device, uuid, 0, response=response))
        assert (state.entity("RPC", uuid) or {})["status"] == status
