"""What rule chains hear of what people do, as spec/rule-engine.md §2.2 and §2.3 say."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest

from appliance.access.tokens import Principal
from appliance.model.ids import NULL_UUID, EntityId, new_uuid
from appliance.model.message import Message
from appliance.state.store import State
from appliance.web.commands import Change
from appliance.web.heard import Heard
from tests.unit.edge.world import store

NOW_MS = 1_800_000_000_000
DEVICE, CUSTOMER, EDGE, USER = (new_uuid() for _ in range(4))
PUMP = EntityId("DEVICE", DEVICE)
ACTOR = Principal(USER, "eve@plant", "TENANT_ADMIN", new_uuid(), NULL_UUID, "session")
PERSON = {"userId": str(USER), "userName": "eve@plant", "userEmail": "eve@plant"}
OWNED = {"customerId": EntityId("CUSTOMER", CUSTOMER).to_json()}
RELATION = {
    "from": EntityId("CUSTOMER", CUSTOMER).to_json(),
    "to": PUMP.to_json(),
    "type": "Contains",
}
ALARM = {"originator": PUMP.to_json(), "type": "Hot", "severity": "MAJOR"}


@pytest.fixture
def state() -> State:
    state = State()
    store(state, "DEVICE", DEVICE, name="Pump", type="default")
    store(state, "CUSTOMER", CUSTOMER, title="Works")
    store(state, "EDGE", EDGE, name="Plant")
    return state


def heard(state: State, kind: str, id: UUID, body: Any, action: str) -> list[Message]:
    return list(Heard(state, lambda: NOW_MS).of_change(Change(kind, id, body, action), ACTOR))


@pytest.mark.parametrize(
    ("action", "type"),
    [
        ("ADDED", "ENTITY_CREATED"),
        ("UPDATED", "ENTITY_UPDATED"),
        ("DELETED", "ENTITY_DELETED"),
    ],
)
@pytest.mark.parametrize("kind", ["DEVICE", "CUSTOMER", "RULE_CHAIN", "ENTITY_VIEW"])
def test_a_change_of_any_entity_is_heard(state: State, kind: str, action: str, type: str) -> None:
    id = store(state, kind, name="It")
    body = state.entity(kind, id)
    (said,) = heard(state, kind, id, None if action == "DELETED" else body, action)
    assert (said.type, said.originator, said.data) == (type, EntityId(kind, id), body)
    assert said.metadata == {**PERSON, "entityName": "It", "entityType": kind}


def test_a_persons_names_are_told_where_they_are_known(state: State) -> None:
    store(state, "USER", USER, firstName="Eve", lastName="Smith")
    (said,) = heard(state, "DEVICE", DEVICE, {"name": "Pump"}, "UPDATED")
    names = {"userFirstName": "Eve", "userLastName": "Smith"}
    assert said.metadata.items() >= names.items()


def test_who_got_a_thing_and_who_had_it_is_told(state: State) -> None:
    (got,) = heard(state, "DEVICE", DEVICE, {"name": "Pump", **OWNED}, "ASSIGNED_TO_CUSTOMER")
    assert got.type == "ENTITY_ASSIGNED"
    customer = {"assignedCustomerId": str(CUSTOMER), "assignedCustomerName": "Works"}
    assert got.metadata.items() >= (customer | {"customerId": str(CUSTOMER)}).items()

    store(state, "DEVICE", DEVICE, name="Pump", **OWNED)
    (lost,) = heard(state, "DEVICE", DEVICE, {"name": "Pump"}, "UNASSIGNED_FROM_CUSTOMER")
    assert lost.type == "ENTITY_UNASSIGNED"
    customer = {"unassignedCustomerId": str(CUSTOMER), "unassignedCustomerName": "Works"}
    assert lost.metadata.items() >= customer.items()


@pytest.mark.parametrize("assigned", [True, False])
def test_an_edge_that_gets_or_loses_a_thing_is_told(state: State, assigned: bool) -> None:
    (said,) = Heard(state, lambda: NOW_MS).of_edge(PUMP, EDGE, ACTOR, assigned=assigned)
    word = "assigned" if assigned else "unassigned"
    assert said.type == f"ENTITY_{'ASSIGNED_TO' if assigned else 'UNASSIGNED_FROM'}_EDGE"
    told = {f"{word}EdgeId": str(EDGE), f"{word}EdgeName": "Plant"}
    assert said.metadata.items() >= told.items()
    assert said.data == state.entity("DEVICE", DEVICE)


@pytest.mark.parametrize("action", ["RELATION_ADD_OR_UPDATE", "RELATION_DELETED"])
def test_both_ends_hear_of_a_relation(state: State, action: str) -> None:
    said = heard(state, "RELATION", new_uuid(), RELATION, action)
    assert [message.originator for message in said] == [EntityId("CUSTOMER", CUSTOMER), PUMP]
    assert [(message.type, message.data) for message in said] == [(action, RELATION)] * 2


@pytest.mark.parametrize(
    "action", ["ALARM_ACK", "ALARM_CLEAR", "ALARM_DELETE", "ALARM_ASSIGNED", "ALARM_UNASSIGNED"]
)
def test_what_an_alarm_is_about_hears_of_it(state: State, action: str) -> None:
    alarm = store(state, "ALARM", **ALARM)
    (said,) = heard(state, "ALARM", alarm, None if action == "ALARM_DELETE" else ALARM, action)
    assert (said.type, said.originator, said.data["type"]) == (action, PUMP, "Hot")
    assert said.metadata == {**PERSON, "entityName": "Hot", "entityType": "DEVICE"}


def test_a_persons_comment_is_heard_with_its_alarm_and_the_appliances_own_is_not(
    state: State,
) -> None:
    alarm = store(state, "ALARM", **ALARM)
    comment = {"alarmId": EntityId("ALARM", alarm).to_json(), "comment": {"text": "on it"}}
    other, own = ({**comment, "type": type} for type in ("OTHER", "SYSTEM"))
    (said,) = heard(state, "ALARM_COMMENT", new_uuid(), other, "ADDED_COMMENT")
    assert (said.type, said.originator, said.data["type"]) == ("COMMENT_CREATED", PUMP, "Hot")
    assert msgspec.json.decode(said.metadata["comment"]) == other
    assert heard(state, "ALARM_COMMENT", new_uuid(), own, "ADDED_COMMENT") == []


def test_a_dashboard_is_told_without_what_it_shows(state: State) -> None:
    board = store(state, "DASHBOARD", title="Hall", configuration={"widgets": {}})
    (said,) = heard(state, "DASHBOARD", board, None, "DELETED")
    assert said.data["configuration"] == ""
    assert said.metadata["entityName"] == "Hall"


@pytest.mark.parametrize("kind", ["DEVICE_CREDENTIALS", "RULE_CHAIN_METADATA", "RPC"])
def test_what_the_reference_is_silent_about_is_not_heard(state: State, kind: str) -> None:
    assert heard(state, kind, new_uuid(), {}, "UPDATED") == []


def test_deleted_points_are_heard(state: State) -> None:
    said = Heard(state, lambda: NOW_MS).of_deleted_series(PUMP, ["t"], 1, 9, ACTOR)
    assert said.type == "TIMESERIES_DELETED"
    assert said.data == {"timeseries": ["t"], "startTs": 1, "endTs": 9}
