"""What a change finds when its turn comes."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest

from appliance.model.errors import Permanent
from appliance.model.ids import EntityId, new_uuid
from appliance.model.unit import EntityWrite, Unit
from appliance.state.store import State
from appliance.web.commands import (
    Change,
    Overtaken,
    refuse_what_is_late,
    refuse_what_is_needed,
)

DEVICE = EntityId("DEVICE", new_uuid())


def alarm(id: UUID, **more: Any) -> dict[str, Any]:
    own = EntityId("ALARM", id).to_json()
    return {"id": own, "type": "Hot", "originator": DEVICE.to_json(), "cleared": False, **more}


def raised(id: UUID, **more: Any) -> State:
    state = State()
    body = msgspec.json.encode(alarm(id, **more))
    state.apply(Unit(entities=[EntityWrite("ALARM", id, body)]))
    return state


def new_alarm() -> Change:
    id = new_uuid()
    return Change("ALARM", id, alarm(id), "ADDED")


def test_a_new_alarm_is_not_new_where_one_like_it_was_raised_meanwhile() -> None:
    with pytest.raises(Overtaken):
        refuse_what_is_late(raised(new_uuid()), [new_alarm()])


def test_a_new_alarm_is_new_where_the_one_before_it_is_over() -> None:
    refuse_what_is_late(raised(new_uuid(), cleared=True), [new_alarm()])


@pytest.mark.parametrize("action", ["UPDATED", "ALARM_ACK", "ALARM_CLEAR"])
def test_a_change_of_what_has_gone_is_refused(action: str) -> None:
    id = new_uuid()
    change = Change("ALARM", id, alarm(id), action)
    refuse_what_is_late(raised(id), [change])
    with pytest.raises(Permanent, match="not here any more"):
        refuse_what_is_late(State(), [change])


@pytest.mark.parametrize("kind", ["EDGE", "USER", "CUSTOMER", "DEVICE_PROFILE"])
def test_what_was_deleted_does_not_come_back_with_a_change_that_somebody_made_of_it(
    kind: str,
) -> None:
    change = Change(kind, new_uuid(), {"name": "n"}, "ASSIGNED_TO_CUSTOMER")
    with pytest.raises(Permanent, match="not here any more"):
        refuse_what_is_late(State(), [change])
    refuse_what_is_late(State(), [msgspec.structs.replace(change, action="ADDED")])


@pytest.mark.parametrize(
    ("default", "given", "words"),
    [
        (True, False, "Deletion of Default Device Profile is prohibited!"),
        (False, True, "The device profile referenced by the devices cannot be deleted!"),
    ],
)
def test_a_profile_that_is_needed_is_not_deleted(default: bool, given: bool, words: str) -> None:
    state, profile = State(), EntityId("DEVICE_PROFILE", new_uuid())
    bodies = {
        profile: {"id": profile.to_json(), "name": "p", "default": default},
        DEVICE: {"id": DEVICE.to_json(), "deviceProfileId": profile.to_json() if given else None},
    }
    writes = [EntityWrite(e.type, e.id, msgspec.json.encode(b)) for e, b in bodies.items()]
    state.apply(Unit(entities=writes))
    with pytest.raises(Permanent, match=words):
        refuse_what_is_needed(state, [Change("DEVICE_PROFILE", profile.id, None, "DELETED")])
    other = new_uuid()
    refuse_what_is_needed(state, [Change("DEVICE_PROFILE", other, None, "DELETED")])


def test_a_name_that_was_taken_meanwhile_is_refused_unless_it_is_kept() -> None:
    state, first, second = State(), new_uuid(), new_uuid()
    bodies = {id: {"id": EntityId("DEVICE", id).to_json(), "name": "p"} for id in (first, second)}
    state.apply(Unit(entities=[EntityWrite("DEVICE", first, msgspec.json.encode(bodies[first]))]))
    change = Change("DEVICE", second, bodies[second], "UPDATED")
    with pytest.raises(Permanent, match="Device with such name already exists!"):
        refuse_what_is_late(state, [msgspec.structs.replace(change, action="ADDED")])
    state.apply(Unit(entities=[EntityWrite("DEVICE", second, msgspec.json.encode(bodies[second]))]))
    refuse_what_is_late(state, [change])
