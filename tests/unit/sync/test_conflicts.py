"""What both roles do when two things are one, or one thing has two names."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest

from appliance.cloud.policy import CloudPolicy
from appliance.cloud.registry import Edges
from appliance.edge.policy import EdgePolicy
from appliance.model.ids import EntityId, new_uuid
from appliance.model.telemetry import AttributeDelete, AttributeWrite, Scope
from appliance.model.unit import EntityWrite, Unit
from appliance.state.kinds import BY_NAME
from appliance.state.store import State
from appliance.sync.incoming import Applied, Policy, digest
from appliance.sync.mapping import entity_update
from appliance.sync.messages import Attributes, AttributesDeleted, EntityUpdate, Item, UpdateKind
from appliance.sync.wire import encode_attributes

TENANT, EDGE = new_uuid(), new_uuid()
NOW = 1_800_000_000_000


def stored(state: State, kind: str, /, **fields: Any) -> UUID:
    """Put an entity into the state; its id."""
    id = new_uuid()
    state.apply(
        Unit(entities=[EntityWrite(kind, id, msgspec.json.encode(body(kind, id, **fields)))])
    )
    return id


def body(kind: str, id: UUID, /, **fields: Any) -> dict[str, Any]:
    own = {"id": EntityId(kind, id).to_json(), "tenantId": EntityId("TENANT", TENANT).to_json()}
    return {**own, **fields}


def policies(state: State) -> dict[str, Policy]:
    stored_edge = body("EDGE", EDGE, name="E", routingKey="k")
    state.apply(Unit(entities=[EntityWrite("EDGE", EDGE, msgspec.json.encode(stored_edge))]))
    return {
        "edge": EdgePolicy(state, lambda: NOW),
        "cloud": CloudPolicy(state, Edges(state), EDGE, lambda _: False, lambda: NOW),
    }


def take(state: State, role: str, *items: Item) -> Applied:
    applied = digest(items, state, policies(state)[role], NOW, {})
    state.apply(applied.unit)
    return applied


def update(kind: str, id: UUID, what: UpdateKind = UpdateKind.UPDATED, /, **fields: Any) -> Item:
    return entity_update(kind, id, what, body(kind, id, **fields))


def alarm_of(device: UUID, **fields: Any) -> dict[str, Any]:
    common = {"type": "Hot", "severity": "MAJOR", "acknowledged": False, "cleared": False}
    return {**common, "originator": EntityId("DEVICE", device).to_json(), **fields}


ROLES = pytest.mark.parametrize("role", ["edge", "cloud"])


@ROLES
def test_an_active_alarm_keeps_its_id_when_the_peer_has_another_for_it(role: str) -> None:
    state = State()
    device = stored(state, "DEVICE", name="D")
    ours = stored(state, "ALARM", **alarm_of(device))
    theirs = new_uuid()

    take(
        state,
        role,
        update("ALARM", theirs, UpdateKind.CREATED, **alarm_of(device, severity="MINOR")),
    )
    assert (state.entity("ALARM", ours) or {})["severity"] == "MINOR"
    assert state.entity("ALARM", theirs) is None

    take(
        state,
        role,
        update("ALARM", theirs, UpdateKind.ALARM_ACK, **alarm_of(device, acknowledged=True)),
    )
    take(
        state,
        role,
        update("ALARM", theirs, UpdateKind.ALARM_CLEAR, **alarm_of(device, cleared=True)),
    )
    alarm = state.entity("ALARM", ours) or {}
    assert (alarm["acknowledged"], alarm["cleared"]) == (True, True)


@pytest.mark.parametrize(("role", "deleted"), [("edge", True), ("cloud", False)])
def test_a_server_may_mean_our_alarm_by_a_name_that_it_never_said(role: str, deleted: bool) -> None:
    state = State()
    device = stored(state, "DEVICE", name="D")
    ours = stored(state, "ALARM", **alarm_of(device))

    take(state, role, update("ALARM", new_uuid(), UpdateKind.DELETED, **alarm_of(device)))

    assert (state.entity("ALARM", ours) is None) == deleted


@ROLES
def test_a_deletion_that_comes_late_does_not_take_the_next_alarm(role: str) -> None:
    state = State()
    device = stored(state, "DEVICE", name="D")
    named = new_uuid()
    take(state, role, update("ALARM", named, UpdateKind.CREATED, **alarm_of(device)))

    take(state, role, update("ALARM", new_uuid(), UpdateKind.DELETED, **alarm_of(device)))

    assert state.entity("ALARM", named) is not None
    take(state, role, update("ALARM", named, UpdateKind.DELETED, **alarm_of(device)))
    assert state.counts().keys() <= {"DEVICE", "EDGE"}


@ROLES
def test_a_deleted_user_takes_everything_of_his_with_him(role: str) -> None:
    state = State()
    user = stored(state, "USER", email="a@b.c")
    reference = EntityId("USER", user)
    key = stored(state, "API_KEY", userId=reference.to_json())
    write = AttributeWrite(reference, Scope.SERVER, 5, {"lang": "en"})
    state.apply(Unit(attributes=[write]))

    take(state, role, EntityUpdate("userUpdate", UpdateKind.DELETED, user))

    assert state.entity("API_KEY", key) is None
    assert not state.attributes(reference, Scope.SERVER)


def test_a_device_that_goes_from_the_edge_takes_its_alarms_comments_and_views() -> None:
    state = State()
    device = stored(state, "DEVICE", name="D")
    reference = EntityId("DEVICE", device).to_json()
    alarm = stored(state, "ALARM", **alarm_of(device, cleared=True))
    comment = stored(state, "ALARM_COMMENT", alarmId=EntityId("ALARM", alarm).to_json())
    view = stored(state, "ENTITY_VIEW", name="V", entityId=reference)
    state.apply(
        Unit(attributes=[AttributeWrite(EntityId("DEVICE", device), Scope.SHARED, 5, {"x": 1})])
    )

    take(state, "edge", EntityUpdate("deviceUpdate", UpdateKind.DELETED, device))
    assert state.counts() == {"EDGE": 1}
    assert [alarm, comment, view]

    take(state, "edge", update("DEVICE", device, UpdateKind.CREATED, name="D"))
    take(state, "edge", shared(device, 5, {"x": 1}))
    assert state.attributes(EntityId("DEVICE", device), Scope.SHARED)["x"].value == 1


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("CUSTOMER", {"title": "C"}),
        ("ADMIN_SETTINGS", {"key": "mail"}),
        ("QUEUE", {"name": "Main"}),
        ("NOTIFICATION_RULE", {"name": "N"}),
        ("WIDGET_TYPE", {"name": "one", "fqn": "f"}),
        ("WIDGETS_BUNDLE", {"title": "one", "alias": "a"}),
        ("TB_RESOURCE", {"title": "one", "resourceKey": "k", "resourceType": "JKS"}),
    ],
)
def test_on_the_edge_an_older_one_with_the_same_key_gives_way(
    kind: str, fields: dict[str, Any]
) -> None:
    state = State()
    old, new = stored(state, kind, **fields), new_uuid()

    take(state, "edge", update(kind, new, **fields))

    assert state.ids(kind) == [new]
    assert old != new


def test_resources_of_different_types_may_share_a_key() -> None:
    state = State()
    stored(state, "TB_RESOURCE", title="a", resourceKey="k", resourceType="JKS")

    take(state, "edge", update("TB_RESOURCE", new_uuid(), resourceKey="k", resourceType="IMAGE"))

    assert state.count("TB_RESOURCE") == 2


@ROLES
def test_of_two_users_with_one_address_one_gets_another_local_part(role: str) -> None:
    state = State()
    old, new = stored(state, "USER", email="ann@example.com"), new_uuid()

    take(state, role, update("USER", new, email="ann@example.com"))

    renamed = (state.entity("USER", old if role == "edge" else new) or {})["email"]
    assert renamed.startswith("ann_")
    assert renamed.endswith("@example.com")


@ROLES
def test_calculated_fields_are_named_within_their_owner(role: str) -> None:
    state = State()
    first, second = stored(state, "DEVICE", name="1"), stored(state, "DEVICE", name="2")
    owner = {each: EntityId("DEVICE", each).to_json() for each in (first, second)}
    stored(state, "CALCULATED_FIELD", name="Sum", entityId=owner[first])

    take(state, role, update("CALCULATED_FIELD", new_uuid(), name="Sum", entityId=owner[second]))
    assert [f["name"] for f in state.entities("CALCULATED_FIELD")] == ["Sum", "Sum"]

    take(state, role, update("CALCULATED_FIELD", new_uuid(), name="Sum", entityId=owner[first]))
    names = sorted(f["name"] for f in state.entities("CALCULATED_FIELD"))
    assert names[:2] == ["Sum", "Sum"]
    assert names[2].startswith("Sum_")


def test_the_edge_keeps_a_dashboard_s_customers_that_it_knows() -> None:
    state = State()
    known = EntityId("CUSTOMER", stored(state, "CUSTOMER", title="C")).to_json()
    other = EntityId("CUSTOMER", new_uuid()).to_json()
    assigned = [{"customerId": known}, {"customerId": other}]
    dashboard = new_uuid()

    take(state, "edge", update("DASHBOARD", dashboard, title="D", assignedCustomers=assigned))

    assert (state.entity("DASHBOARD", dashboard) or {})["assignedCustomers"] == assigned[:1]


def test_the_cloud_lets_an_edge_assign_a_dashboard_to_its_own_customer_only() -> None:
    state = State()
    own, other, third = (EntityId("CUSTOMER", new_uuid()).to_json() for _ in range(3))
    dashboard = stored(state, "DASHBOARD", title="D", assignedCustomers=[{"customerId": other}])
    policy = policies(state)["cloud"]
    edge = {**(state.entity("EDGE", EDGE) or {}), "customerId": own}
    state.apply(Unit(entities=[EntityWrite("EDGE", EDGE, msgspec.json.encode(edge))]))
    told = [{"customerId": own}, {"customerId": third}]

    item = update("DASHBOARD", dashboard, title="D", assignedCustomers=told)
    state.apply(digest([item], state, policy, NOW, {}).unit)

    wanted = [{"customerId": other}, {"customerId": own}]
    assert (state.entity("DASHBOARD", dashboard) or {})["assignedCustomers"] == wanted


def comment_on(alarm: UUID, text: str) -> dict[str, Any]:
    return {"alarmId": EntityId("ALARM", alarm).to_json(), "type": "OTHER", "comment": text}


def comments_of(state: State, alarm: UUID) -> list[Any]:
    comments = (state.entity("ALARM_COMMENT", id) for id in state.owned("ALARM_COMMENT", alarm))
    return [comment["comment"] for comment in comments if comment]


@ROLES
def test_comments_come_under_the_alarm_that_is_meant_whatever_the_peer_calls_it(role: str) -> None:
    state = State()
    device = stored(state, "DEVICE", name="D")
    ours, theirs = [], []
    for _ in range(2):  # one after the other, the first is over before the second begins
        ours.append(stored(state, "ALARM", **alarm_of(device)))
        theirs.append(new_uuid())
        take(state, role, update("ALARM", theirs[-1], UpdateKind.CREATED, **alarm_of(device)))
        over = alarm_of(device, cleared=True)
        take(state, role, update("ALARM", theirs[-1], UpdateKind.ALARM_CLEAR, **over))

    take(state, role, update("ALARM_COMMENT", new_uuid(), **comment_on(theirs[0], "first")))
    take(state, role, update("ALARM_COMMENT", new_uuid(), **comment_on(theirs[1], "second")))

    assert [comments_of(state, id) for id in ours] == [["first"], ["second"]]
    assert state.count("ALARM") == 2


@ROLES
def test_in_one_message_a_comment_finds_the_alarm_that_came_with_it(role: str) -> None:
    state = State()
    device = stored(state, "DEVICE", name="D")
    ours, theirs = stored(state, "ALARM", **alarm_of(device)), new_uuid()

    take(
        state,
        role,
        update("ALARM", theirs, UpdateKind.CREATED, **alarm_of(device)),
        update("ALARM_COMMENT", new_uuid(), **comment_on(theirs, "hot")),
    )
    assert comments_of(state, ours) == ["hot"]


def test_a_comment_that_came_before_its_alarm_moves_to_the_one_it_is() -> None:
    state = State()
    device = stored(state, "DEVICE", name="D")
    ours, theirs = stored(state, "ALARM", **alarm_of(device)), new_uuid()

    take(state, "cloud", update("ALARM_COMMENT", new_uuid(), **comment_on(theirs, "hot")))
    take(state, "cloud", update("ALARM", theirs, UpdateKind.CREATED, **alarm_of(device)))
    assert comments_of(state, ours) == ["hot"]


@ROLES
def test_the_other_name_of_an_alarm_goes_with_it_and_serves_to_delete_it(role: str) -> None:
    state = State()
    device = stored(state, "DEVICE", name="D")
    ours, theirs = stored(state, "ALARM", **alarm_of(device)), new_uuid()
    take(state, role, update("ALARM", theirs, UpdateKind.CREATED, **alarm_of(device)))
    other = stored(state, "ALARM", **alarm_of(device))

    applied = take(state, role, update("ALARM", theirs, UpdateKind.DELETED, **alarm_of(device)))
    assert applied.merged == [EntityId("ALARM", ours)]  # so that the peer hears of it by our name
    assert state.entity("ALARM", ours) is None
    assert state.entity("ALARM", other) is not None
    assert state.count("ALARM_ALIAS") == 0


@ROLES
def test_of_a_comment_taken_back_a_word_about_that_stays(role: str) -> None:
    state = State()
    alarm = stored(state, "ALARM", **alarm_of(stored(state, "DEVICE", name="D")))
    said = {"alarmId": EntityId("ALARM", alarm).to_json(), "comment": {"text": "?"}}
    comment = stored(state, "ALARM_COMMENT", type="OTHER", **said)
    mark = said | {"type": "SYSTEM", "comment": {"text": "deleted"}}

    take(state, role, update("ALARM_COMMENT", comment, UpdateKind.DELETED, **mark))
    assert (state.entity("ALARM_COMMENT", comment) or {})["comment"] == {"text": "deleted"}

    take(state, role, update("ALARM_COMMENT", comment, UpdateKind.DELETED, type="OTHER", **said))
    assert state.entity("ALARM_COMMENT", comment) is None


# --- attributes ----------------------------------------------------------------------------------


def shared(device: UUID, ts: int, values: dict[str, Any]) -> Attributes:
    return Attributes(EntityId("DEVICE", device), "SHARED_SCOPE", encode_attributes(values), ts)


@ROLES
def test_a_value_older_than_its_deletion_does_not_come_back(role: str) -> None:
    state = State()
    device = stored(state, "DEVICE", name="D")
    entity = EntityId("DEVICE", device)
    take(state, role, shared(device, 10, {"x": 1}))
    take(state, role, AttributesDeleted(entity, "SHARED_SCOPE", ("x",), 20))

    take(state, role, shared(device, 15, {"x": 2}))
    assert not state.attributes(entity, Scope.SHARED)
    take(state, role, shared(device, 25, {"x": 3}))
    assert state.attributes(entity, Scope.SHARED)["x"].value == 3


@ROLES
def test_a_deletion_leaves_what_is_newer(role: str) -> None:
    state = State()
    device = stored(state, "DEVICE", name="D")
    entity = EntityId("DEVICE", device)
    take(state, role, shared(device, 10, {"x": 1, "y": 1}))
    take(state, role, shared(device, 30, {"y": 2}))

    applied = take(state, role, AttributesDeleted(entity, "SHARED_SCOPE", ("x", "y"), 20))

    assert set(state.attributes(entity, Scope.SHARED)) == {"y"}
    assert [d.keys for d in applied.unit.attributes if isinstance(d, AttributeDelete)] == [("x",)]


def test_at_the_same_millisecond_the_edge_gives_way() -> None:
    for role, winner in (("edge", "theirs"), ("cloud", "ours")):
        state = State()
        device = stored(state, "DEVICE", name="D")
        entity = EntityId("DEVICE", device)
        state.apply(Unit(attributes=[AttributeWrite(entity, Scope.SHARED, 10, {"x": "ours"})]))

        take(state, role, shared(device, 10, {"x": "theirs"}))

        assert state.attributes(entity, Scope.SHARED)["x"].value == winner


def test_every_kind_that_belongs_to_another_is_found_by_its_owner() -> None:
    state = State()
    owner = new_uuid()
    for kind, field in {"ALARM": "originator", "ENTITY_VIEW": "entityId"}.items():
        assert kind in BY_NAME
        fields: dict[str, Any] = {field: EntityId("DEVICE", owner).to_json(), "type": "t"}
        id = stored(state, kind, **fields)
        assert list(state.owned(kind, owner)) == [id]
        state.apply(Unit(entities=[EntityWrite(kind, id, None)]))
        assert list(state.owned(kind, owner)) == []


@pytest.mark.parametrize("kind", ["DEVICE", "DASHBOARD", "DEVICE_PROFILE", "CALCULATED_FIELD"])
def test_a_clouds_rule_chains_hear_once_of_what_an_edge_makes(kind: str) -> None:
    state, id = State(), new_uuid()
    created = update(kind, id, UpdateKind.CREATED, name="New", title="New")
    (said,) = take(state, "cloud", created).messages
    assert (said.type, said.originator, said.ts) == ("ENTITY_CREATED", EntityId(kind, id), NOW)
    assert said.data["name"] == "New"
    assert said.metadata == {"edgeId": str(EDGE), "edgeName": "E"}
    assert take(state, "cloud", created).messages == []


def test_a_user_whom_an_edge_makes_is_related_to_it_and_heard_of_to_the_end() -> None:
    state, id = State(), new_uuid()
    take(state, "cloud", update("USER", id, UpdateKind.CREATED, email="eve@plant"))
    (relation,) = state.relations_to(EntityId("USER", id))
    assert (relation.source.id, relation.type) == (EDGE, "ManagedByEdge")
    gone = take(state, "cloud", update("USER", id, UpdateKind.DELETED))
    assert [message.type for message in gone.messages] == ["ENTITY_DELETED"]
