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
from appliance.web.commands import Change, Overtaken, refuse_what_is_late

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
