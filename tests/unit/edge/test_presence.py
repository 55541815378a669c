"""Whether devices are there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
import trio

from appliance.edge.presence import Presence
from appliance.edge.processor import Processor
from appliance.extension.ports import DeviceSession
from appliance.kernel.events import ignore
from appliance.model.ids import EntityId
from appliance.model.message import Message
from appliance.model.telemetry import AttributeWrite, Scope
from appliance.model.unit import EntityWrite, Unit
from appliance.rules.work import Work
from appliance.state.activity import INACTIVITY_MS, WRITE_EVERY_MS
from appliance.state.store import State
from appliance.testing.memory_storage import MemoryStorage
from tests.unit.edge.world import add_device, session_of, small_state

pytestmark = pytest.mark.mock_clock

START_MS = 1_700_000_000_000


class Bench:
    """Presence over a real processor; heard: the rule engine's messages."""

    def __init__(self, state: State, device: UUID) -> None:
        self.state = state
        self.heard: list[Message] = []
        self.processor = Processor(MemoryStorage(), state, ignore)
        self.processor.engine = self
        self.presence = Presence(state, self.processor, self.clock)
        self.session: DeviceSession = session_of(device, "Pump")

    def clock(self) -> int:
        return START_MS + int(trio.current_time() * 1000)

    def process(self, message: Message, work: Work) -> None:
        self.heard.append(message)

    @property
    def types(self) -> list[str]:
        return [message.type for message in self.heard]

    def attribute(self, key: str) -> Any:
        stored = self.state.attributes(self.session.device, Scope.SERVER)
        return stored[key].value if key in stored else None


@asynccontextmanager
async def bench(state: State | None = None) -> AsyncIterator[Bench]:
    state = state or small_state()
    device = next(iter(state.ids("DEVICE")), None) or add_device(state, "Pump", "T")
    made = Bench(state, device)
    async with trio.open_nursery() as nursery:
        await nursery.start(made.processor.run)
        await nursery.start(made.presence.run)
        yield made
        nursery.cancel_scope.cancel()


async def settled() -> None:
    await trio.testing.wait_all_tasks_blocked()


async def test_connecting_and_leaving_are_told_with_their_times() -> None:
    async with bench() as made:
        made.presence.connected(made.session)
        await settled()
        assert made.types == ["CONNECT_EVENT", "ACTIVITY_EVENT"]
        assert made.attribute("active") is True
        assert made.attribute("lastConnectTime") == START_MS
        await trio.sleep(5)
        made.presence.disconnected(made.session)
        await settled()
        assert made.types[2:] == ["DISCONNECT_EVENT"]
        assert made.attribute("lastDisconnectTime") == START_MS + 5000
        assert made.heard[-1].metadata["deviceName"] == "Pump"


async def test_a_busy_device_costs_one_write_a_minute() -> None:
    async with bench() as made:
        for _ in range(90):
            made.presence.active(made.session, made.clock())
            await trio.sleep(1)
        assert made.types == ["ACTIVITY_EVENT"]
        assert made.attribute("lastActivityTime") == START_MS + WRITE_EVERY_MS


async def test_a_silent_device_becomes_inactive_and_the_next_sign_makes_it_active() -> None:
    async with bench() as made:
        made.presence.active(made.session, made.clock())
        await trio.sleep(INACTIVITY_MS / 1000 - 60)
        assert made.attribute("active") is True
        await trio.sleep(150)
        assert made.attribute("active") is False
        assert made.types[-1] == "INACTIVITY_EVENT"
        made.presence.active(made.session, made.clock())
        await settled()
        assert made.attribute("active") is True
        assert made.types.count("INACTIVITY_EVENT") == 1


async def test_a_device_may_have_a_timeout_of_its_own() -> None:
    async with bench() as made:
        write = AttributeWrite(made.session.device, Scope.SERVER, 1, {"inactivityTimeout": 90_000})
        made.state.apply(Unit(attributes=[write]))
        made.presence.active(made.session, made.clock())
        await trio.sleep(190)
        assert made.attribute("active") is False


async def test_a_device_that_was_active_before_a_restart_is_watched_after_it() -> None:
    state = small_state()
    device = EntityId("DEVICE", add_device(state, "Pump", "T"))
    values = {"active": True, "lastActivityTime": START_MS - 1000}
    state.apply(Unit(attributes=[AttributeWrite(device, Scope.SERVER, 1, values)]))
    async with bench(state) as made:
        await trio.sleep(INACTIVITY_MS / 1000 + 90)
        assert made.attribute("active") is False


async def test_a_deleted_device_is_forgotten() -> None:
    async with bench() as made:
        made.presence.active(made.session, made.clock())
        await settled()
        gone = EntityWrite("DEVICE", made.session.device.id, None)
        made.state.apply(Unit(entities=[gone]))
        await trio.sleep(INACTIVITY_MS / 1000 + 120)
        assert "INACTIVITY_EVENT" not in made.types


async def test_what_a_rule_node_says_counts_unless_it_is_old_news() -> None:
    async with bench() as made:
        device = made.session.device
        for event, at_ms in (
            ("CONNECT_EVENT", 50),
            ("CONNECT_EVENT", 40),
            ("ACTIVITY_EVENT", WRITE_EVERY_MS),
            ("INACTIVITY_EVENT", WRITE_EVERY_MS - 1),
            ("INACTIVITY_EVENT", WRITE_EVERY_MS + 1),
            ("ACTIVITY_EVENT", WRITE_EVERY_MS),
            ("ACTIVITY_EVENT", WRITE_EVERY_MS + 2),
            ("DISCONNECT_EVENT", 60),
        ):
            made.presence.told(device, event, at_ms)
            await settled()
        heard = ["CONNECT_EVENT", "ACTIVITY_EVENT", "INACTIVITY_EVENT", "ACTIVITY_EVENT"]
        assert made.types == [*heard, "DISCONNECT_EVENT"]
        assert made.heard[-1].data == {
            "active": True,
            "lastConnectTime": 50,
            "lastActivityTime": WRITE_EVERY_MS + 2,
            "lastDisconnectTime": 60,
            "lastInactivityAlarmTime": WRITE_EVERY_MS + 1,
            "inactivityTimeout": INACTIVITY_MS,
        }
        stored = made.state.attributes(device, Scope.SERVER)
        assert stored["lastConnectTime"].ts == made.clock()


async def test_a_device_that_never_was_active_connects_without_saying_so() -> None:
    async with bench() as made:
        made.presence.told(made.session.device, "CONNECT_EVENT", 7)
        await settled()
        assert "active" not in made.heard[0].data
