"""What a cloud makes of what one of several edges says."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest

from appliance.cloud.policy import ORDER, CloudPolicy
from appliance.cloud.registry import Edges, contains
from appliance.model.ids import EntityId, new_uuid
from appliance.model.unit import EntityWrite, Unit
from appliance.state.kinds import BY_NAME, NO_CUSTOMER, relation_key
from appliance.state.store import State
from appliance.sync.incoming import Applied, digest
from appliance.sync.messages import EntityUpdate, UpdateKind
from tests.unit.edge.world import add_device, small_state, store

NOW = 1_700_000_000_000


class Site:
    """A cloud with two edges that both have a device."""

    def __init__(self) -> None:
        self.state = small_state()
        self.edges = Edges(self.state)
        for name in ("E1", "E2"):
            self.state.apply(self.edges.create(name, name, "s"))
        self.one, self.other = self.state.ids("EDGE")
        self.device = EntityId("DEVICE", add_device(self.state, "Pump", "T"))
        for edge in (self.one, self.other):
            self.give(edge, self.device)

    def give(self, edge: UUID, entity: EntityId) -> None:
        body = contains(edge, entity)
        store_relation(self.state, body)

    def say(self, kind: str, id: UUID, what: int, /, **body: Any) -> Applied:
        """The first edge says it."""
        text = msgspec.json.encode(body).decode() if body else ""
        item = EntityUpdate(BY_NAME[kind].field, what, id if BY_NAME[kind].has_id else None, text)
        policy = CloudPolicy(self.state, self.edges, self.one, lambda _: False, lambda: NOW)
        applied = digest([item], self.state, policy, NOW, ORDER)
        self.told = [(e.type, e.action) for e in applied.unit.events if e.outbox != str(self.one)]
        assert all(e.outbox == str(self.other) for e in applied.unit.events if e.type != "DEVICE")
        self.state.apply(applied.unit)
        return applied


def store_relation(state: State, body: dict[str, Any]) -> None:
    write = EntityWrite("RELATION", relation_key(body), msgspec.json.encode(body))
    state.apply(Unit(entities=[write]))


@pytest.fixture
def site() -> Site:
    return Site()


def test_another_edge_hears_of_credentials_of_a_device_that_both_have(site: Site) -> None:
    body = {
        "id": {"id": str(new_uuid())},
        "deviceId": site.device.to_json(),
        "credentialsType": "ACCESS_TOKEN",
        "credentialsId": "U",
    }
    site.say("DEVICE_CREDENTIALS", site.device.id, 0, **body)
    assert site.told == [("DEVICE", "CREDENTIALS_UPDATED")]


def test_a_device_that_comes_with_its_credentials_is_told_once(site: Site) -> None:
    site.say("DEVICE", site.device.id, 1, **(site.state.entity("DEVICE", site.device.id) or {}))
    assert site.told == [("DEVICE", "UPDATED")]


def test_another_edge_hears_of_a_users_password(site: Site) -> None:
    user = store(site.state, "USER", email="a@b")
    id = {"id": str(new_uuid())}
    owner = EntityId("USER", user).to_json()
    site.say("USER_CREDENTIALS", user, 0, id=id, userId=owner, password="$2a$")
    assert site.told == [("USER", "CREDENTIALS_UPDATED")]


def test_another_edge_hears_of_relations_of_what_it_has(site: Site) -> None:
    fan = EntityId("DEVICE", add_device(site.state, "Fan", "F"))
    relation = {"from": site.device.to_json(), "to": fan.to_json(), "type": "Cools"}
    site.say("RELATION", new_uuid(), UpdateKind.CREATED, **relation)
    assert site.told == [("RELATION", "RELATION_ADD_OR_UPDATE")]
    site.say("RELATION", new_uuid(), UpdateKind.DELETED, **relation)
    assert site.told == [("RELATION", "RELATION_DELETED")]


def test_another_edge_hears_of_comments_and_of_the_end_of_an_alarm(site: Site) -> None:
    alarm = new_uuid()
    body = {
        "id": EntityId("ALARM", alarm).to_json(),
        "type": "Hot",
        "originator": site.device.to_json(),
    }
    site.say("ALARM", alarm, UpdateKind.CREATED, **body)
    assert site.told == []  # rule chains may push it
    comment = {"id": {"id": str(new_uuid())}, "alarmId": body["id"], "type": "OTHER"}
    site.say("ALARM_COMMENT", alarm, UpdateKind.CREATED, **comment)
    assert site.told == [("ALARM_COMMENT", "ADDED_COMMENT")]
    site.say("ALARM", alarm, UpdateKind.DELETED, **body)
    assert site.told == [("ALARM", "ALARM_DELETE")]


@pytest.mark.parametrize("said", [None, "another"])
def test_an_alarms_customer_is_that_of_what_it_is_about_whatever_the_edge_says(
    site: Site, said: str | None
) -> None:
    customer = EntityId("CUSTOMER", store(site.state, "CUSTOMER", title="Plant")).to_json()
    device = {**(site.state.entity("DEVICE", site.device.id) or {}), "customerId": customer}
    site.say("DEVICE", site.device.id, UpdateKind.UPDATED, **device)
    theirs = EntityId("CUSTOMER", new_uuid()).to_json() if said else None
    alarm, originator = new_uuid(), site.device.to_json()
    body = {"id": EntityId("ALARM", alarm).to_json(), "type": "Hot", "originator": originator}
    site.say("ALARM", alarm, UpdateKind.CREATED, **body, customerId=theirs)
    assert (site.state.entity("ALARM", alarm) or {})["customerId"] == customer


def test_a_device_of_which_no_customer_is_said_stays_its_customers(site: Site) -> None:
    customer = EntityId("CUSTOMER", store(site.state, "CUSTOMER", title="Plant")).to_json()
    device = site.state.entity("DEVICE", site.device.id) or {}
    for said, left in (
        (customer, customer),
        (None, customer),
        (NO_CUSTOMER, NO_CUSTOMER),
        (None, None),
    ):
        site.say("DEVICE", site.device.id, UpdateKind.UPDATED, **{**device, "customerId": said})
        assert (site.state.entity("DEVICE", site.device.id) or {})["customerId"] == left


def test_an_edges_default_chain_of_a_profile_is_the_default_edge_chain_here(site: Site) -> None:
    mine, theirs = (EntityId("RULE_CHAIN", new_uuid()).to_json() for _ in range(2))
    profile = store(site.state, "DEVICE_PROFILE", name="p", default=False, defaultRuleChainId=mine)
    body = {**(site.state.entity("DEVICE_PROFILE", profile) or {}), "default": True}
    said = {**body, "defaultRuleChainId": theirs, "defaultEdgeRuleChainId": None}
    site.say("DEVICE_PROFILE", profile, UpdateKind.UPDATED, **said)
    stored = site.state.entity("DEVICE_PROFILE", profile) or {}
    chains = stored["defaultRuleChainId"], stored["defaultEdgeRuleChainId"]
    assert (*chains, stored["default"]) == (mine, theirs, False)
