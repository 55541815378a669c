"""When a device is there."""

from __future__ import annotations

from appliance.model.ids import EntityId, new_uuid
from appliance.model.telemetry import AttributeWrite, Scope, Value
from appliance.model.unit import EntityWrite, Unit
from appliance.state.activity import INACTIVITY_MS, WRITE_EVERY_MS, Signs
from appliance.state.store import State

DEVICE = EntityId("DEVICE", new_uuid())
START_MS = 1_800_000_000_000


def state(**attributes: Value) -> State:
    made = State()
    made.apply(Unit(entities=[EntityWrite(DEVICE.type, DEVICE.id, b"{}")]))
    write = AttributeWrite(DEVICE, Scope.SERVER, START_MS, attributes)
    made.apply(Unit(attributes=[write] if attributes else []))
    return made


def test_a_sign_is_written_once_a_minute_and_tells_what_it_changed() -> None:
    signs = Signs(state())
    assert signs.seen(DEVICE, START_MS) == {"lastActivityTime": START_MS, "active": True}
    assert signs.seen(DEVICE, START_MS + WRITE_EVERY_MS - 1) == {}
    assert "lastActivityTime" in signs.seen(DEVICE, START_MS + WRITE_EVERY_MS)


def test_a_sign_that_was_not_written_counts_all_the_same() -> None:
    signs = Signs(state(inactivityTimeout=20_000))
    for later_ms in (0, 15_000, 30_000, 45_000):
        signs.seen(DEVICE, START_MS + later_ms)
    assert signs.take_silent(START_MS + 60_000) == []
    assert signs.last_ms(DEVICE) == START_MS + 45_000
    assert signs.take_silent(START_MS + 65_001) == [DEVICE]
    assert signs.take_silent(START_MS + 90_000) == []


def test_who_was_active_before_a_restart_is_watched() -> None:
    signs = Signs(state(active=True, lastActivityTime=START_MS))
    signs.recall()
    assert signs.take_silent(START_MS + INACTIVITY_MS) == []
    assert signs.take_silent(START_MS + INACTIVITY_MS + 1) == [DEVICE]


def test_a_device_that_is_gone_is_not_silent() -> None:
    made = state()
    signs = Signs(made)
    signs.seen(DEVICE, START_MS)
    made.apply(Unit(entities=[EntityWrite(DEVICE.type, DEVICE.id, None)]))
    assert signs.take_silent(START_MS + 2 * INACTIVITY_MS) == []
