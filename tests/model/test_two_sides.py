"""Whatever happens on both sides, once it is quiet they agree, and nothing is said twice.

Random changes on an edge and its cloud, with cut links and restarts of either, in virtual time on
one clock that often stands still, so that both sides change things in the same millisecond. Then
quiet, and: every entity that the edge has is the same here and there, attributes by newest time,
every value that a device posted is on the cloud, and nothing goes to and fro any more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any
from uuid import UUID

import hypothesis.strategies as st
import trio
import trio.testing
from hypothesis import HealthCheck, Phase, given, settings

from appliance.cloud.assembly import Cloud
from appliance.cloud.sync import ACTIVITY_KEYS
from appliance.edge.assembly import Edge
from appliance.extension.ports import SeriesQuery
from appliance.model.ids import EntityId, new_uuid
from appliance.model.telemetry import Scope
from appliance.model.unit import CLOUD, Lane
from appliance.state.store import State
from appliance.testing.fake_transport import FakeTransport
from appliance.testing.memory_storage import MemoryDisk, MemoryStorage
from appliance.web.commands import Change
from tests.kit import sync_common as common
from tests.kit.devices import device_unit
from tests.kit.pair import commit, running_cloud, running_edge
from tests.kit.sync_rows import ACTOR

EDGE_SIDE, CLOUD_SIDE = "edge", "cloud"
SIDES = st.sampled_from([EDGE_SIDE, CLOUD_SIDE])
DEVICES = st.integers(0, 2)
KEYS = st.sampled_from(["a", "b"])
SCOPES = st.sampled_from([Scope.SERVER, Scope.SHARED])
STEPS = st.one_of(
    st.tuples(st.just("attribute"), SIDES, DEVICES, SCOPES, KEYS),
    st.tuples(st.just("attribute"), SIDES, DEVICES, SCOPES, KEYS),
    st.tuples(st.just("forget"), SIDES, DEVICES, SCOPES, KEYS),
    st.tuples(st.just("label"), SIDES, DEVICES),
    st.tuples(st.just("alarm"), SIDES, DEVICES),
    st.tuples(st.just("ack"), SIDES, DEVICES),
    st.tuples(st.just("clear"), SIDES, DEVICES),
    st.tuples(st.just("make"), SIDES),
    st.tuples(st.just("drop"), SIDES, DEVICES),
    st.tuples(st.just("assign"), DEVICES),
    st.tuples(st.just("relate"), SIDES, DEVICES),
    st.tuples(st.just("post"), DEVICES),
    st.tuples(st.just("cut")),
    st.tuples(st.just("restart"), SIDES),
    st.tuples(st.just("pass"), st.sampled_from([0.0, 0.001, 0.05, 2.0])),
)


class World:
    """Both sides over disks that survive restarts."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.nursery = nursery
        self.wire = FakeTransport()
        self.disks = {EDGE_SIDE: MemoryDisk(), CLOUD_SIDE: MemoryDisk()}
        self.roles: dict[str, Any] = {}
        self.stops: dict[str, trio.Event] = {}
        self.stopped: dict[str, trio.Event] = {}
        self.now_ms = 1_800_000_000_000
        self.numbers = count(1)
        self.devices: list[UUID] = []
        self.posted: dict[UUID, list[int]] = {}

    def clock(self) -> int:
        """Stands still but for what a step lets pass."""
        return self.now_ms + int(trio.current_time() * 1000)

    @property
    def edge(self) -> Edge:
        role: Edge = self.roles[EDGE_SIDE]
        return role

    @property
    def cloud(self) -> Cloud:
        role: Cloud = self.roles[CLOUD_SIDE]
        return role

    def storage(self, side: str) -> MemoryStorage:
        return MemoryStorage(self.disks[side], self.clock)

    async def start(self, side: str) -> None:
        """Start one side anew over its disk."""
        self.stops[side] = trio.Event()
        self.roles[side] = await self.nursery.start(self._run, side, self.stops[side])

    async def _run(self, side: str, stop: trio.Event, *, task_status: trio.TaskStatus[Any]) -> None:
        runner: Any = running_edge if side == EDGE_SIDE else running_cloud
        async with runner(self.storage(side), self.wire, clock=self.clock) as role:
            task_status.started(role)
            await stop.wait()
        self.stopped[side].set()

    async def stop(self, side: str) -> None:
        """End one side as a crash does: what was not committed is gone."""
        self.wire.cut()
        self.stopped[side] = trio.Event()
        self.stops[side].set()
        await self.stopped[side].wait()

    # --- steps --------------------------------------------------------------------------------

    def state(self, side: str) -> State:
        state: State = self.roles[side].state
        return state

    def device(self, side: str, number: int) -> EntityId | None:
        """The device with that number, if the side has it and may speak of it."""
        if not self.devices:
            return None
        entity = EntityId("DEVICE", self.devices[number % len(self.devices)])
        return entity if self.state(side).entity("DEVICE", entity.id) is not None else None

    async def change(self, side: str, *changes: Change) -> None:
        await self.roles[side].commands.change(changes, ACTOR)

    async def play(self, step: tuple[Any, ...]) -> None:
        """One step; one that has nothing to work on does nothing."""
        do: Callable[..., Awaitable[None]] = getattr(self, f"do_{step[0]}")
        await do(*step[1:])

    async def do_attribute(self, side: str, number: int, scope: Scope, key: str) -> None:
        if (device := self.device(side, number)) is not None:
            values: Any = {key: f"{side} {next(self.numbers)}"}
            await self.roles[side].commands.save_attributes(device, scope, values, ACTOR)

    async def do_forget(self, side: str, number: int, scope: Scope, key: str) -> None:
        device = self.device(side, number)
        if device is not None and key in self.state(side).attributes(device, scope):
            self.now_ms += 1
            await self.roles[side].commands.delete_attributes(device, scope, [key], ACTOR)

    async def do_label(self, side: str, number: int) -> None:
        if (device := self.device(side, number)) is not None:
            body = {**(self.state(side).entity("DEVICE", device.id) or {})}
            body["label"] = f"{side} {next(self.numbers)}"
            await self.change(side, Change("DEVICE", device.id, body, "UPDATED"))

    async def do_make(self, side: str) -> None:
        name = f"Device {next(self.numbers)}"
        if side == EDGE_SIDE:
            id = new_uuid()
            body = common.device(self.edge.state, id, name)
            token = common.token(id, name)
            await self.change(
                side,
                Change("DEVICE", id, body, "ADDED"),
                Change("DEVICE_CREDENTIALS", id, token, "ADDED"),
            )
        else:
            entity, unit = device_unit(self.cloud.state, name, name)
            id = entity.id
            await commit(self.cloud, self.cloud_store, unit)
            await self.cloud.commands.assign(self.edge_id, entity, ACTOR)
        self.devices.append(id)

    async def do_drop(self, side: str, number: int) -> None:
        device = self.device(side, number)
        if device is None:
            return
        if side == EDGE_SIDE:
            await self.change(side, Change("DEVICE", device.id, None, "DELETED"))
        elif self.cloud.edges.has(self.edge_id, device):
            await self.cloud.commands.unassign(self.edge_id, device, ACTOR)

    async def do_assign(self, number: int) -> None:
        device = self.device(CLOUD_SIDE, number)
        if device is not None and not self.cloud.edges.has(self.edge_id, device):
            await self.cloud.commands.assign(self.edge_id, device, ACTOR)

    def _alarm(self, side: str, number: int) -> tuple[EntityId | None, dict[str, Any] | None]:
        device = self.device(side, number)
        return device, device and self.state(side).active_alarm(device, "Hot")

    async def do_alarm(self, side: str, number: int) -> None:
        device, active = self._alarm(side, number)
        if device is None:
            return
        if active is None:
            id = new_uuid()
            fresh = {"type": "Hot", "originator": device.to_json(), "acknowledged": False}
            active = {"id": EntityId("ALARM", id).to_json(), "cleared": False, **fresh}
            action = "ADDED"
        else:
            id, action = UUID(active["id"]["id"]), "UPDATED"
        body = {**active, "severity": f"{side} {next(self.numbers)}"}
        await self.change(side, Change("ALARM", id, body, action))

    async def do_ack(self, side: str, number: int) -> None:
        await self._settle(side, number, "ALARM_ACK", {"acknowledged": True})

    async def do_clear(self, side: str, number: int) -> None:
        await self._settle(side, number, "ALARM_CLEAR", {"cleared": True})

    async def _settle(self, side: str, number: int, action: str, how: dict[str, Any]) -> None:
        _, active = self._alarm(side, number)
        if active is not None:
            id = UUID(active["id"]["id"])
            await self.change(side, Change("ALARM", id, {**active, **how}, action))

    async def do_relate(self, side: str, number: int) -> None:
        """Each side has relations of its own; a second one takes it back."""
        device = self.device(side, number)
        if device is None:
            return
        end = EntityId("TENANT", self.state(side).tenant_id)
        body = {"from": device.to_json(), "to": end.to_json(), "type": side, "typeGroup": "COMMON"}
        key = common.relation_key(body)
        there = self.state(side).entity("RELATION", key) is not None
        action = "RELATION_DELETED" if there else "RELATION_ADD_OR_UPDATE"
        await self.change(side, Change("RELATION", key, None if there else body, action))

    async def do_post(self, number: int) -> None:
        device = self.device(EDGE_SIDE, number)
        body = device and self.edge.state.entity("DEVICE", device.id)
        session = self.edge.gate.authenticate_token(body["name"]) if body else None
        if device is not None and session is not None:
            value = next(self.numbers)
            await self.edge.gate.post_telemetry([(session, [(value, {"n": value})])])
            self.posted.setdefault(device.id, []).append(value)

    async def do_cut(self) -> None:
        self.wire.cut()

    async def do_restart(self, side: str) -> None:
        await self.stop(side)
        await self.start(side)

    async def do_pass(self, seconds: float) -> None:
        await trio.sleep(seconds)

    # --- the end ------------------------------------------------------------------------------

    @property
    def edge_id(self) -> UUID:
        return self.cloud.state.ids("EDGE")[0]

    @property
    def cloud_store(self) -> MemoryStorage:
        return self.storage(CLOUD_SIDE)

    def accepted(self) -> list[int]:
        """How many events there ever were, per outbox and lane."""
        edge, cloud = self.storage(EDGE_SIDE), self.storage(CLOUD_SIDE)
        return [
            storage.depth(outbox, lane).accepted
            for storage, outbox in ((edge, CLOUD), (cloud, str(self.edge_id)))
            for lane in Lane
        ]

    def waiting(self) -> bool:
        stores = ((self.storage(EDGE_SIDE), CLOUD), (self.storage(CLOUD_SIDE), str(self.edge_id)))
        return any(s.depth(o, lane).pending for s, o in stores for lane in Lane)

    async def quiet(self) -> None:
        """Wait until nothing is left to say, and see that it stays so."""
        await trio.sleep(5)  # a cut link is back by then
        with trio.fail_after(600):
            while self.waiting() or self.edge.link.status.syncing:
                await trio.sleep(0.5)
        await trio.sleep(5)
        before = self.accepted()
        await trio.sleep(60)
        assert before == self.accepted(), "something goes to and fro"

    async def compare(self) -> None:
        """Both stores agree about everything that the edge has."""
        edge, cloud = self.edge.state, self.cloud.state
        assigned = set(self.cloud.edges.assigned(self.edge_id, "DEVICE"))
        assert set(edge.ids("DEVICE")) == assigned
        for id in assigned:
            device = EntityId("DEVICE", id)
            for kind in ("DEVICE", "DEVICE_CREDENTIALS"):
                assert plain(edge.entity(kind, id)) == plain(cloud.entity(kind, id))
            for scope in (Scope.SERVER, Scope.SHARED):
                mine, theirs = (shared(side, device, scope) for side in (edge, cloud))
                assert mine == theirs, (device, scope)
            mine_alarm, their_alarm = (s.active_alarm(device, "Hot") for s in (edge, cloud))
            assert alarm(mine_alarm) == alarm(their_alarm)
            assert relations(edge, device) == relations(cloud, device)
        assert not self.storage(EDGE_SIDE).quarantined()
        assert not self.storage(CLOUD_SIDE).quarantined()
        for id, values in self.posted.items():
            query = SeriesQuery(EntityId("DEVICE", id), ("n",), 0, 2**62, 10_000, ascending=True)
            found = await self.cloud_store.query_series(query)
            assert [(n, n) for n in values] == found.get("n", [])


def plain(body: dict[str, Any] | None) -> dict[str, Any]:
    """A body without what each side keeps for itself."""
    return {key: value for key, value in (body or {}).items() if key != "version"}


def shared(state: State, device: EntityId, scope: Scope) -> dict[str, Any]:
    """Attributes but for those that each side keeps about the device's presence."""
    stored = state.attributes(device, scope)
    return {key: stored[key] for key in stored if key not in ACTIVITY_KEYS}


def alarm(body: dict[str, Any] | None) -> dict[str, Any] | None:
    """An alarm but for its id, which may differ (§6.2)."""
    return body and {key: body[key] for key in ("severity", "acknowledged", "cleared")}


def relations(state: State, device: EntityId) -> set[tuple[str, str]]:
    """What a device has to do with the tenant."""
    return {(r.type, r.target.type) for r in state.relations_from(device) if r.group == "COMMON"}


async def life(steps: list[tuple[Any, ...]]) -> None:
    async with trio.open_nursery() as nursery:
        world = World(nursery)
        await world.start(CLOUD_SIDE)
        await world.start(EDGE_SIDE)
        await trio.sleep(5)
        await world.play(("make", CLOUD_SIDE))
        await world.play(("make", EDGE_SIDE))
        await trio.sleep(5)
        for step in steps:
            await world.play(step)
        await world.quiet()
        await world.compare()
        nursery.cancel_scope.cancel()


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(STEPS, min_size=5, max_size=40))
def test_both_sides_agree_when_it_is_quiet(steps: list[tuple[Any, ...]]) -> None:
    trio.run(life, steps, clock=trio.testing.MockClock(autojump_threshold=0))
