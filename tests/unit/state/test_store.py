"""The state is a pure function of the units applied, in order."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import hypothesis.strategies as st
import msgspec
import pytest
import trio
from hypothesis import given

from appliance.model.ids import NULL_UUID, EntityId
from appliance.model.telemetry import AttributeDelete, AttributeWrite, Scope
from appliance.model.unit import EntityWrite, Unit
from appliance.state import store
from appliance.state.kinds import BY_NAME, KINDS, check, entity_id_of, id_of, relation_key
from appliance.state.store import State
from appliance.testing.memory_storage import MemoryStorage

A, B, C = (UUID(int=number) for number in (1, 2, 3))


def write(kind: str, id: UUID, **body: Any) -> EntityWrite:
    whole = {"id": EntityId(kind, id).to_json(), **body}
    return EntityWrite(kind, id, msgspec.json.encode(whole))


def state_of(*writes: EntityWrite) -> State:
    made = State()
    made.apply(Unit(entities=list(writes)))
    return made


def relation(source: UUID, target: UUID, type: str = "Contains") -> EntityWrite:
    body = {
        "from": EntityId("ASSET", source).to_json(),
        "to": EntityId("DEVICE", target).to_json(),
        "type": type,
        "typeGroup": "COMMON",
    }
    return EntityWrite("RELATION", relation_key(body), msgspec.json.encode(body))


def test_an_entity_is_found_by_id_and_by_name_until_it_is_deleted() -> None:
    state = state_of(write("DEVICE", A, name="Pump"))
    assert state.entity("DEVICE", A) == state.by_name("DEVICE", "Pump")
    state.apply(Unit(entities=[EntityWrite("DEVICE", A, None)]))
    assert state.entity("DEVICE", A) is None
    assert state.by_name("DEVICE", "Pump") is None
    assert state.ids("DEVICE") == []


def test_a_rename_frees_the_old_name() -> None:
    state = state_of(write("DEVICE", A, name="Pump"), write("DEVICE", A, name="Fan"))
    assert state.by_name("DEVICE", "Pump") is None
    assert state.by_name("DEVICE", "Fan") is not None


def test_a_name_taken_over_by_another_stays_his_when_the_first_goes() -> None:
    state = state_of(
        write("DEVICE", A, name="Pump"),
        write("DEVICE", B, name="Pump"),
        EntityWrite("DEVICE", A, None),
    )
    found = state.by_name("DEVICE", "Pump")
    assert found is not None and id_of(found["id"]) == B


def credentials(device: UUID, token: str) -> EntityWrite:
    body = {"credentialsId": token, "credentialsType": "ACCESS_TOKEN"}
    return EntityWrite("DEVICE_CREDENTIALS", device, msgspec.json.encode(body))


def test_a_token_that_moves_to_another_device_is_the_others() -> None:
    state = state_of(credentials(A, "T"), credentials(B, "T"), credentials(A, "U"))
    assert state.device_of_credentials("T") == B
    assert state.device_of_credentials("U") == A
    state.apply(Unit(entities=[EntityWrite("DEVICE_CREDENTIALS", B, None)]))
    assert state.device_of_credentials("T") is None


def test_relations_are_found_from_both_ends_until_they_are_deleted() -> None:
    edge = relation(A, B)
    state = state_of(edge, relation(A, C))
    assert [r.target.id for r in state.relations_from(EntityId("ASSET", A))] == [B, C]
    assert [r.source.id for r in state.relations_to(EntityId("DEVICE", B))] == [A]
    state.apply(Unit(entities=[EntityWrite("RELATION", edge.id, None)]))
    assert [r.target.id for r in state.relations_from(EntityId("ASSET", A))] == [C]
    assert list(state.relations_to(EntityId("DEVICE", B))) == []


def test_the_active_alarm_is_the_newest_that_is_not_cleared() -> None:
    owner = EntityId("DEVICE", C)
    common = {"originator": owner.to_json(), "type": "High"}
    state = state_of(
        write("ALARM", A, **common, startTs=5, cleared=False),
        write("ALARM", B, **common, startTs=6, cleared=False),
    )
    active = state.active_alarm(owner, "High")
    assert active is not None and id_of(active["id"]) == B
    state.apply(Unit(entities=[write("ALARM", B, **common, startTs=6, cleared=True)]))
    active = state.active_alarm(owner, "High")
    assert active is not None and id_of(active["id"]) == A
    assert state.active_alarm(owner, "Low") is None


def test_a_device_has_the_profile_it_names() -> None:
    profile = {"entityType": "DEVICE_PROFILE", "id": str(B)}
    state = state_of(
        write("DEVICE_PROFILE", B, name="p"), write("DEVICE", A, name="d", deviceProfileId=profile)
    )
    found = state.profile_of(EntityId("DEVICE", A))
    assert found is not None and found["name"] == "p"
    assert state.profile_of(EntityId("CUSTOMER", A)) is None


def test_the_newest_attribute_wins_and_a_deletion_removes_it() -> None:
    state, device = State(), EntityId("DEVICE", A)
    for ts, value in ((10, "old"), (20, "new"), (15, "late")):
        state.apply(Unit(attributes=[AttributeWrite(device, Scope.SHARED, ts, {"k": value})]))
    assert state.attributes(device, Scope.SHARED)["k"].value == "new"
    state.apply(Unit(attributes=[AttributeDelete(device, Scope.SHARED, ("k", "other"), 30)]))
    assert dict(state.attributes(device, Scope.SHARED)) == {}
    assert dict(state.attributes(device, Scope.SERVER)) == {}


def test_watchers_hear_of_every_change_with_the_new_body() -> None:
    state, heard = State(), []
    state.watch(lambda kind, id, body: heard.append((kind, id, body and body["name"])))
    state.apply(Unit(entities=[write("DEVICE", A, name="x"), EntityWrite("DEVICE", A, None)]))
    assert heard == [("DEVICE", A, "x"), ("DEVICE", A, None)]


def test_more_bodies_than_are_kept_parsed_are_still_all_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(store, "PARSED_MAX", 3)
    state = state_of(*(write("DEVICE", UUID(int=n), name=f"d{n}") for n in range(1, 20)))
    for n in range(1, 20):
        found = state.entity("DEVICE", UUID(int=n))
        assert found is not None and found["name"] == f"d{n}"


IDS = st.sampled_from([A, B, C])
NAMES = st.sampled_from(["x", "y", "z"])


@st.composite
def changes(draw: st.DrawFn) -> EntityWrite | AttributeWrite | AttributeDelete:
    device = EntityId("DEVICE", draw(IDS))
    scope = draw(st.sampled_from(list(Scope)))
    match draw(st.integers(0, 6)):
        case 0:
            return write("DEVICE", draw(IDS), name=f"{device.id}")
        case 1:
            return EntityWrite("DEVICE", draw(IDS), None)
        case 2:
            return credentials(draw(IDS), str(draw(IDS)))
        case 3:
            return relation(draw(IDS), draw(IDS), draw(NAMES))
        case 4:
            return EntityWrite("RELATION", relation(draw(IDS), draw(IDS), draw(NAMES)).id, None)
        case 5:
            return AttributeWrite(device, scope, draw(st.integers(0, 9)), {draw(NAMES): 1})
        case _:
            return AttributeDelete(device, scope, (draw(NAMES),), 5)


@given(st.lists(changes(), max_size=30))
def test_what_storage_gives_back_makes_the_same_state(
    made: list[EntityWrite | AttributeWrite | AttributeDelete],
) -> None:
    units = [
        Unit(entities=[change]) if isinstance(change, EntityWrite) else Unit(attributes=[change])
        for change in made
    ]
    live = State()
    for unit in units:
        live.apply(unit)
    assert picture(trio.run(reloaded, units)) == picture(live)


async def reloaded(units: list[Unit]) -> State:
    storage, state = MemoryStorage(), State()
    for unit in units:
        await storage.commit([unit])
    await state.load(storage)
    return state


def picture(state: State) -> Any:
    """All that one can ask the state about the three."""
    return [
        (
            state.entity("DEVICE", id),
            [dict(state.attributes(EntityId("DEVICE", id), scope)) for scope in Scope],
            sorted(str(r.id) for r in state.relations_from(EntityId("ASSET", id))),
            sorted(str(r.id) for r in state.relations_to(EntityId("DEVICE", id))),
        )
        for id in (A, B, C)
    ]


# --- kinds --------------------------------------------------------------------------------------


def test_no_two_kinds_share_a_name_or_a_field() -> None:
    assert len(BY_NAME) == len(KINDS)
    fields = [kind.field for kind in KINDS if kind.field]
    assert len(fields) == len(set(fields))


@pytest.mark.parametrize(
    ("value", "id"),
    [
        (None, None),
        ({}, None),
        ({"id": None}, None),
        ({"id": str(NULL_UUID)}, None),
        ("x", None),
        ({"id": str(A)}, A),
    ],
)
def test_an_id_object(value: Any, id: UUID | None) -> None:
    assert id_of(value) == id


def test_an_entity_id_needs_its_type() -> None:
    assert entity_id_of({"id": str(A)}) is None
    assert entity_id_of({"entityType": "ASSET", "id": str(A)}) == EntityId("ASSET", A)


def test_a_relations_key_depends_on_what_makes_it_one_and_on_nothing_else() -> None:
    body = msgspec.json.decode(relation(A, B).body or b"")
    more = {**body, "additionalInfo": {"x": 1}, "version": 7}
    assert relation_key(more) == relation_key(body)
    assert relation_key({**body, "typeGroup": None}) == relation_key(body)
    for other in ({"type": "Uses"}, {"typeGroup": "EDGE"}, {"to": body["from"]}):
        assert relation_key({**body, **other}) != relation_key(body)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("DEVICE", {"name": None}),
        ("DEVICE", {"name": 5}),
        ("CUSTOMER", {"title": []}),
        ("DEVICE_CREDENTIALS", {"credentialsId": "x"}),
        ("ALARM", {"type": None}),
        ("ALARM", {"type": "x", "originator": {"id": "?"}}),
        ("RELATION", {"type": "x", "from": {}, "to": {}}),
    ],
)
def test_what_the_state_could_not_index_is_refused(kind: str, body: dict[str, Any]) -> None:
    with pytest.raises((ValueError, LookupError, TypeError)):
        check(BY_NAME[kind], body)


def test_what_is_as_it_should_be_passes() -> None:
    check(BY_NAME["QUEUE"], {"name": "Main"})
    check(BY_NAME["CUSTOMER"], {})
    check(BY_NAME["RELATION"], msgspec.json.decode(relation(A, B).body or b""))
