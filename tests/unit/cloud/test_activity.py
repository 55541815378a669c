"""Whether devices behind edges are there."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from appliance.model.ids import EntityId
from appliance.model.telemetry import Scope
from appliance.state.activity import INACTIVITY_MS, LOOK_S
from appliance.sync.messages import Attributes, AttributesDeleted, Item, Telemetry
from appliance.sync.wire import encode_attributes, encode_entry
from tests.kit.pair import until
from tests.unit.cloud.test_rules import ALARM, give_chain, only
from tests.unit.cloud.test_service import House, edge, house

pytestmark = pytest.mark.mock_clock

START_MS = 1_800_000_000_000
SILENCE_S = INACTIVITY_MS / 1000 + 2 * LOOK_S


def clock() -> int:
    return START_MS + int(trio.current_time() * 1000)


def server(made: House, device: EntityId) -> dict[str, Any]:
    stored = made.cloud.state.attributes(device, Scope.SERVER)
    return {key: value.value for key, value in stored.items()}


def said_of(device: EntityId) -> dict[str, Item]:
    values = encode_attributes({"a": 1})
    return {
        "telemetry": Telemetry(device, (encode_entry(5, {"a": 1}),)),
        "posted": Attributes(device, "CLIENT_SCOPE", values, 5, posted=True),
        "updated": Attributes(device, "SHARED_SCOPE", values, 5),
    }


@pytest.mark.parametrize("what", ["telemetry", "posted", "updated"])
async def test_a_device_is_active_while_data_about_it_come(what: str) -> None:
    async with house(clock=clock) as made, edge(made) as played:
        device = await made.add_device("Pump")
        assert "active" not in server(made, device)
        await played.say(said_of(device)[what])
        now = server(made, device)
        assert now["active"] is True and now["lastActivityTime"] > 0
        await trio.sleep(SILENCE_S)
        assert server(made, device)["active"] is False
        assert server(made, device)["inactivityAlarmTime"] > now["lastActivityTime"]
        again = Telemetry(device, (encode_entry(6, {"a": 2}),))
        await played.say(again)
        assert server(made, device)["active"] is True
        assert not played.count(Attributes), "an edge knows that itself"


async def test_a_deletion_and_a_stranger_are_no_sign_of_life() -> None:
    async with house(clock=clock) as made, edge(made) as played:
        device = await made.add_device("Pump")
        await played.say(AttributesDeleted(device, "SHARED_SCOPE", ("a",)))
        assert "active" not in server(made, device)


@pytest.mark.parametrize("event", ["ACTIVITY_EVENT", "INACTIVITY_EVENT"])
async def test_rules_hear_of_it(event: str) -> None:
    async with house(clock=clock) as made, edge(made) as played:
        device = await made.add_device("Pump")
        await give_chain(made, only(event), ALARM, links=["True"])
        await played.say(said_of(device)["telemetry"])
        heard = made.cloud.state.active_alarm(device, "Odd") is not None
        assert heard == (event == "ACTIVITY_EVENT")
        await until(lambda: made.cloud.state.active_alarm(device, "Odd") is not None, SILENCE_S)
