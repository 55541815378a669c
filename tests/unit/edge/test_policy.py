"""What an edge does with entities that come down."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest

from appliance.edge.policy import ORDER, EdgePolicy, retold
from appliance.model.ids import EntityId, new_uuid
from appliance.model.telemetry import AttributeWrite, Scope
from appliance.model.unit import Unit
from appliance.state.kinds import BY_NAME
from appliance.state.store import State
from appliance.sync.incoming import Applied, digest
from appliance.sync.messages import EntityUpdate, UpdateKind
from tests.unit.edge.world import add_device, small_state, store

NOW = 1_700_000_000_000


def come_down(state: State, kind: str, id: UUID, **body: Any) -> Applied:
    whole = {"id": EntityId(kind, id).to_json(), **body}
    text = msgspec.json.encode(whole).decode()
    item = EntityUpdate(BY_NAME[kind].field, UpdateKind.UPDATED, id, text)
    applied = digest([item], state, EdgePolicy(state, lambda: NOW), NOW, ORDER)
    state.apply(applied.unit)
    return applied


def go(state: State, kind: str, id: UUID) -> Applied:
    item = EntityUpdate(BY_NAME[kind].field, UpdateKind.DELETED, id)
    applied = digest([item], state, EdgePolicy(state, lambda: NOW), NOW, ORDER)
    state.apply(applied.unit)
    return applied


def requests(applied: Applied) -> list[str]:
    return [event.action for event in applied.unit.events]


@pytest.mark.parametrize(
    ("kind", "title", "first", "again"),
    [
        ("DEVICE", "name", 3, 0),
        ("ASSET", "name", 3, 0),
        ("DEVICE_PROFILE", "name", 1, 0),
        ("DASHBOARD", "title", 2, 0),
        ("CUSTOMER", "title", 2, 2),
        ("USER", "email", 2, 2),
        ("QUEUE", "name", 0, 0),
    ],
)
def test_what_is_asked_for_when_an_entity_comes(
    kind: str, title: str, first: int, again: int
) -> None:
    state, id = State(), new_uuid()
    assert len(requests(come_down(state, kind, id, **{title: "x"}))) == first
    assert len(requests(come_down(state, kind, id, **{title: "x"}))) == again


def test_the_servers_version_is_not_kept() -> None:
    state, id = State(), new_uuid()
    come_down(state, "DEVICE", id, name="Pump", version=7)
    body = state.entity("DEVICE", id)
    assert body is not None and body["version"] is None


def test_the_rule_engine_hears_of_a_new_device_only() -> None:
    state, id = small_state(), new_uuid()
    (created,) = come_down(state, "DEVICE", id, name="Pump", type="pumps").messages
    assert created.type == "ENTITY_CREATED"
    assert created.metadata["deviceName"] == "Pump"
    assert come_down(state, "DEVICE", id, name="Pump 2").messages == []


def test_a_local_device_of_the_same_name_gives_way_and_tells_the_cloud() -> None:
    state, cloud = small_state(), new_uuid()
    local = add_device(state, "Pump", "T")
    applied = come_down(state, "DEVICE", cloud, name="Pump")
    renamed = state.entity("DEVICE", local)
    assert renamed is not None and renamed["name"].startswith("Pump_")
    assert len(renamed["name"]) == len("Pump_") + 15
    assert [e.entity.id for e in applied.unit.events if e.action == "UPDATED"] == [local]
    found = state.by_name("DEVICE", "Pump")
    assert found is not None and found["id"]["id"] == str(cloud)


def test_a_profile_of_the_same_name_hands_its_devices_over_and_tells_the_cloud() -> None:
    state, cloud = small_state(), new_uuid()
    old = state.ids("DEVICE_PROFILE")[0]
    device = add_device(state, "Pump", "T")
    applied = come_down(state, "DEVICE_PROFILE", cloud, name="default", default=True)
    body = state.entity("DEVICE", device)
    assert body is not None and body["deviceProfileId"]["id"] == str(cloud)
    assert state.entity("DEVICE_PROFILE", old) is None
    assert [e.entity.id for e in applied.unit.events if e.action == "UPDATED"] == [device]


def test_a_profile_that_goes_leaves_its_devices_to_the_default_one() -> None:
    state = small_state()
    device, default, other = add_device(state, "Pump", "T"), new_uuid(), new_uuid()
    come_down(state, "DEVICE_PROFILE", other, name="meter")
    come_down(state, "DEVICE_PROFILE", default, name="default", default=True)
    reference = EntityId("DEVICE_PROFILE", other).to_json()
    come_down(state, "DEVICE", device, name="Pump", type="meter", deviceProfileId=reference)
    go(state, "DEVICE_PROFILE", other)
    body = state.entity("DEVICE", device)
    assert body is not None
    assert (body["deviceProfileId"]["id"], body["type"]) == (str(default), "default")


@pytest.mark.parametrize("kind", ["CUSTOMER", "QUEUE", "ADMIN_SETTINGS"])
def test_an_older_one_of_the_same_name_is_replaced(kind: str) -> None:
    state, new = State(), new_uuid()
    title = BY_NAME[kind].title
    old = store(state, kind, **{title: "x"})
    come_down(state, kind, new, **{title: "x"})
    assert state.ids(kind) == [new]
    assert old != new


def test_the_profiles_chain_here_is_its_edge_chain_there() -> None:
    state, id, chain = State(), new_uuid(), {"entityType": "RULE_CHAIN", "id": str(new_uuid())}
    come_down(state, "DEVICE_PROFILE", id, name="x", defaultEdgeRuleChainId=chain)
    body = state.entity("DEVICE_PROFILE", id)
    assert body is not None
    assert (body["defaultRuleChainId"], body["defaultEdgeRuleChainId"]) == (chain, None)


def test_a_new_root_chain_takes_the_mark_from_the_old_one() -> None:
    state, first, second = State(), new_uuid(), new_uuid()
    for chain in (first, second, second):
        come_down(state, "RULE_CHAIN", chain, name=str(chain), root=True, type="EDGE")
    roots = {body["name"]: body["root"] for body in state.entities("RULE_CHAIN")}
    assert roots == {str(first): False, str(second): True}
    assert {body["type"] for body in state.entities("RULE_CHAIN")} == {"CORE"}


@pytest.mark.parametrize("kind", ["DEVICE_PROFILE", "ASSET_PROFILE"])
def test_a_new_default_profile_takes_the_mark_from_the_old_one(kind: str) -> None:
    state, first, second = State(), new_uuid(), new_uuid()
    come_down(state, kind, first, name="default", default=True)
    come_down(state, kind, second, name="pumps", default=True)
    assert {b["name"]: b["default"] for b in state.entities(kind)} == {
        "default": False,
        "pumps": True,
    }
    come_down(state, kind, second, name="pumps", default=True)
    come_down(state, kind, first, name="default", default=False)
    assert sum(body["default"] for body in state.entities(kind)) == 1


def test_the_users_of_a_customer_who_goes_cannot_log_in_any_more() -> None:
    state, customer = State(), new_uuid()
    come_down(state, "CUSTOMER", customer, title="Plant")
    his = EntityId("CUSTOMER", customer).to_json()
    user = store(state, "USER", email="op@plant.example", customerId=his)
    store(state, "USER_CREDENTIALS", user, userId=EntityId("USER", user).to_json())
    other = store(state, "USER", email="a@b.example")
    applied = go(state, "CUSTOMER", customer)
    assert state.ids("USER") == [other]
    assert state.entity("USER_CREDENTIALS", user) is None
    assert applied.unit.events == []


def test_metadata_without_nodes_changes_nothing() -> None:
    state, chain = State(), new_uuid()
    own = EntityId("RULE_CHAIN", chain).to_json()
    store(state, "RULE_CHAIN", chain, name="Chain")
    for nodes in ([{"name": "n"}], []):
        text = msgspec.json.encode({"ruleChainId": own, "nodes": nodes}).decode()
        item = EntityUpdate("ruleChainMetadataUpdate", 1, None, text)
        state.apply(digest([item], state, EdgePolicy(state, lambda: NOW), NOW, ORDER).unit)
    body = state.entity("RULE_CHAIN_METADATA", chain)
    assert body is not None and body["nodes"] == [{"name": "n"}]


def test_with_a_device_go_its_credentials_relations_and_attributes_and_nothing_goes_up() -> None:
    state = small_state()
    device = EntityId("DEVICE", add_device(state, "Pump", "T"))
    asset = EntityId("ASSET", store(state, "ASSET", name="Hall"))
    come_down_relation(state, asset, device)
    write = AttributeWrite(device, Scope.SHARED, 1, {"k": 1})
    state.apply(Unit(attributes=[write]))
    applied = go(state, "DEVICE", device.id)
    assert applied.unit.events == []
    assert state.entity("DEVICE_CREDENTIALS", device.id) is None
    assert list(state.relations_from(asset)) == []
    assert dict(state.attributes(device, Scope.SHARED)) == {}


def come_down_relation(state: State, source: EntityId, target: EntityId) -> None:
    body = {"from": source.to_json(), "to": target.to_json(), "type": "Contains"}
    item = EntityUpdate("relationUpdate", 0, None, msgspec.json.encode(body).decode())
    state.apply(digest([item], state, EdgePolicy(state, lambda: NOW), NOW, ORDER).unit)


def test_deleting_what_is_not_here_is_harmless() -> None:
    go(State(), "DEVICE", new_uuid())
    go(State(), "RULE_CHAIN", new_uuid())


def test_steps_of_an_alarm_go_up_as_steps_since_a_server_takes_them_from_nothing_else() -> None:
    state = small_state()
    device = EntityId("DEVICE", add_device(state, "Pump", "T"))
    common = {"type": "Hot", "originator": device.to_json(), "severity": "MAJOR"}
    store(state, "ALARM", **common, acknowledged=False, cleared=False)
    theirs, known = new_uuid(), {"acknowledged": True, "cleared": True}
    body = {"id": EntityId("ALARM", theirs).to_json(), **common, **known}
    text = msgspec.json.encode(body).decode()
    item = EntityUpdate("alarmUpdate", UpdateKind.UPDATED, theirs, text)
    applied = digest([item], state, EdgePolicy(state, lambda: NOW), NOW, ORDER)
    assert [event.action for event in retold(applied, state)] == ["ALARM_ACK", "ALARM_CLEAR"]
