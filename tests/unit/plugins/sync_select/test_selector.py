"""Selective sync decides per value."""

from __future__ import annotations

import pytest

from appliance.edge.selection import Selection
from appliance.kernel.events import ignore
from appliance.model.ids import EntityId, new_uuid
from appliance.model.unit import CLOUD, Lane, OutboxEvent, Unit
from appliance.state.store import State
from appliance.sync.wire import decode_entry, encode_entry
from plugins.sync_select import build
from plugins.sync_select.config import SelectConfig
from plugins.sync_select.selector import ChangeSelector


def test_nothing_configured_builds_nothing() -> None:
    assert build(SelectConfig(), None) is None  # type: ignore[arg-type]  # the context is not read


@pytest.mark.parametrize(
    ("device", "key", "goes"),
    [("Pump 1", "rpm", True), ("Fan 1", "rpm", False), ("Pump 1", "secret", False)],
)
def test_devices_and_keys_are_chosen_by_pattern(device: str, key: str, goes: bool) -> None:
    selector = ChangeSelector(SelectConfig(devices=["Pump *"], keys=["rpm", "temp?"]))

    assert goes == selector.select(device, key, 0, 1)


def test_small_changes_stay_until_they_add_up_or_the_heartbeat_comes() -> None:
    selector = ChangeSelector(SelectConfig(deadband={"t*": 0.5}, heartbeat_s=10))
    series = [(0, 20.0), (1, 20.3), (2, 20.4), (3, 20.5), (4, 20.6), (10_003, 20.6)]

    went = [ts for ts, value in series if selector.select("d", "temp", ts, value)]

    assert went == [0, 3, 10_003]


def test_text_and_other_keys_know_no_deadband() -> None:
    selector = ChangeSelector(SelectConfig(deadband={"t": 1.0}))

    assert all(selector.select("d", "t", 0, value) for value in ("on", "on", True, True))
    assert all(selector.select("d", "other", 0, 1.0) for _ in range(2))


def test_a_unit_loses_only_the_events_values_that_are_held_back() -> None:
    device = EntityId("DEVICE", new_uuid())
    body = encode_entry(5, {"a": 1, "b": 2})
    event = OutboxEvent(CLOUD, Lane.DATA, "DEVICE", "TIMESERIES_UPDATED", device, body)
    alarm = OutboxEvent(CLOUD, Lane.PRIORITY, "ALARM", "ADDED", device)
    unit = Unit(events=[event, alarm])
    selection = Selection([ChangeSelector(SelectConfig(keys=["b"]))], State(), ignore)

    selection.thin(unit)

    assert decode_entry(unit.events[0].body) == (5, {"b": 2})
    assert alarm == unit.events[1]
