"""An edge and a cloud to which anything may happen (see steps.py), and what was promised of them.

Both roles are the real ones; the disks forget nothing, the wire is a pair of queues, time is
virtual and each side's clock may go wrong.
"""

from __future__ import annotations

import copy
import functools
import random
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from typing import Any
from uuid import UUID

import msgspec
import trio

from appliance.cloud.assembly import Cloud
from appliance.edge.assembly import Edge
from appliance.edge.identity import STATE_OWNER
from appliance.kernel.clock import wall_clock_ms
from appliance.model.errors import Permanent, Retryable
from appliance.model.ids import EntityId
from appliance.model.unit import CLOUD, Lane
from appliance.state.store import State
from appliance.testing.fake_transport import FakeTransport
from appliance.testing.memory_storage import MemoryDisk
from appliance.web.commands import Change, EdgeNotReady
from tests.kit.mortal import Life, MortalStorage, MortalTransport
from tests.kit.pair import SETTINGS, running_cloud, running_edge
from tests.kit.phone import Phone
from tests.kit.sync_rows import ACTOR
from tests.model.order import Order

EDGE_SIDE, CLOUD_SIDE = "edge", "cloud"
BACK_S = 20.0
"""The longest that an edge waits between two tries to connect."""
START_MS = 1_800_000_000_000
RPC_S = 30.0
KEPT_S = 100_000.0
"""Longer than anything that may happen: a kept request must be answered."""
PATIENT = msgspec.structs.replace(SETTINGS, reconnect_interval_s_max=BACK_S, adopt=True)


class Side:
    """One side through all its lives. said_by, heard_by: of its own outbox and of the peer's."""

    def __init__(self, name: str, disk: MemoryDisk) -> None:
        self.name = name
        self.disk = disk
        self.order = Order()
        self.skew_ms = 0
        self.life = Life()
        self.role: Any = None
        self.storage: MortalStorage | None = None
        self.stop = trio.Event()
        self.down_s = 0.0
        self.lives = 0

    @property
    def state(self) -> State:
        """What it believes."""
        state: State = self.role.state
        return state


@functools.cache
def fresh_cloud() -> MemoryDisk:
    """The disk of a cloud with a tenant and one edge; made once, since passwords take long."""
    disk = MemoryDisk()

    async def make() -> None:
        life = Life()
        storage = MortalStorage(disk, wall_clock_ms, life, random.Random(0))
        async with running_cloud(storage, FakeTransport()):
            pass

    trio.run(make)
    return disk


class World:
    """See the module."""

    def __init__(self, nursery: trio.Nursery, chance: random.Random) -> None:
        self.nursery = nursery
        self.chance = chance
        self.wire = FakeTransport()
        self.sides = {
            EDGE_SIDE: Side(EDGE_SIDE, MemoryDisk()),
            CLOUD_SIDE: Side(CLOUD_SIDE, copy.deepcopy(fresh_cloud())),
        }
        self.numbers = count(1)
        self.entities: list[EntityId] = []
        self.removed: set[EntityId] = set()
        """What was deleted or unassigned at some time, wherever."""
        self.things: list[EntityId] = []
        """What was made that is not for one edge to have (see tenant_steps.py)."""
        self.shown: dict[EntityId, set[EntityId]] = defaultdict(set)
        """By view: what it shows, or has shown, and goes with."""
        self.owners: dict[EntityId, EntityId] = {}
        """By calculated field: what it belongs to, and goes with."""
        self.posted: dict[UUID, list[int]] = defaultdict(list)
        self.bodies: dict[EntityId, set[str]] = defaultdict(set)
        """Labels of the changes that were acknowledged."""
        self.kept: set[EntityId] = set()
        """What the edge acknowledged to have made or changed."""
        self.superseded: set[str] = set()
        """Labels that somebody changed who knew them, and was told that it is done."""
        self.unsure: set[str] = set()
        """Labels of changes that were never acknowledged."""
        self.comments: dict[str, tuple[EntityId, UUID]] = {}
        """What was said about which alarm of which entity."""
        self.dismissed: set[EntityId] = set()
        """Of what an alarm was deleted."""
        self.heard: Counter[int] = Counter()
        self.kept_requests: dict[UUID, tuple[EntityId, int]] = {}
        """By id: the device and the params of what the cloud said it keeps."""
        self.phones: dict[UUID, tuple[Life, Phone]] = {}
        self.calm_s = trio.current_time()
        """When the last fault has ended."""
        self.troubles = 0
        """Cuts, deaths and the like so far."""
        self.answers: list[tuple[bool, str]] = []
        """(whether nothing happened meanwhile, how it ended) of each request to a device."""

    # --- lives --------------------------------------------------------------------------------

    def clock(self, side: Side) -> int:
        """What that side thinks the time is."""
        return START_MS + int(trio.current_time() * 1000) + side.skew_ms

    @property
    def edge(self) -> Edge:
        """The edge of now."""
        role: Edge = self.sides[EDGE_SIDE].role
        return role

    @property
    def cloud(self) -> Cloud:
        """The cloud of now."""
        role: Cloud = self.sides[CLOUD_SIDE].role
        return role

    @property
    def edge_id(self) -> UUID:
        """The one edge that the cloud has now."""
        (id,) = (id for kind, id in self.sides[CLOUD_SIDE].disk.entities if kind == "EDGE")
        return id

    @property
    def adopting(self) -> bool:
        """Whether the edge's folder is still another edge's: it forgets what happens meanwhile."""
        told = self.sides[EDGE_SIDE].disk.states.get(STATE_OWNER, {})
        return told.get("edge_id") != str(self.edge_id).encode()

    async def begin(self) -> None:
        """Start both sides."""
        for side in (self.sides[CLOUD_SIDE], self.sides[EDGE_SIDE]):
            await self.nursery.start(self._lives, side)

    async def _lives(
        self, side: Side, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """One life after another, for ever."""
        while True:
            await self._life(side, task_status)
            task_status = trio.TASK_STATUS_IGNORED
            self.troubles += 1
            await trio.sleep(side.down_s)

    async def _life(self, side: Side, task_status: trio.TaskStatus[None]) -> None:
        life = side.life = Life()
        side.stop = trio.Event()
        other = self.sides[CLOUD_SIDE if side.name == EDGE_SIDE else EDGE_SIDE]

        def say(frame: Any) -> None:
            side.order.said_by_owner(frame)
            other.order.said_by_peer(frame)

        def clock() -> int:
            return self.clock(side)

        storage = side.storage = MortalStorage(side.disk, clock, life, self.chance)
        transport = MortalTransport(self.wire, life, lambda _frame: None, say)
        run: Any = running_cloud
        if side.name == EDGE_SIDE:
            run = functools.partial(running_edge, settings=PATIENT)
        async with run(storage, transport, clock=clock) as role:
            if side.name == EDGE_SIDE:
                side.order.listen_to(role.sender)
            else:
                side.order.listen_to(role.service._sender(self.edge_id))
            side.role = role
            side.lives += 1
            if side.name == EDGE_SIDE:
                self.connect_phones()
            task_status.started()
            async with trio.open_nursery() as nursery:
                for end in (life.died, side.stop):
                    nursery.start_soon(_first, end, nursery.cancel_scope)
            side.role = None
        life.end()

    async def on(self, side: Side, do: Callable[[], Awaitable[Any]]) -> bool:
        """Ask a side for something; whether it acknowledged that."""
        life, done = side.life, False
        if side.role is None or life.dead:
            return False

        async def ask() -> None:
            nonlocal done
            try:
                await do()
            except (Retryable, Permanent, EdgeNotReady):
                pass
            else:
                done = not life.dead
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(_first, life.died, nursery.cancel_scope)
            nursery.start_soon(ask)
        return done

    # --- what there is ------------------------------------------------------------------------

    def entity(
        self, side: Side, number: int, *kinds: str, among: Sequence[EntityId] | None = None
    ) -> EntityId | None:
        """One of the entities made so far, if that side has it (and it is of these kinds)."""
        among = self.entities if among is None else among
        made = [e for e in among if not kinds or e.type in kinds]
        if not made or side.role is None:
            return None
        entity = made[number % len(made)]
        return entity if side.state.entity(entity.type, entity.id) is not None else None

    async def change(self, side: Side, *changes: Change) -> bool:
        """Save as the REST API of that side does."""
        commands = side.role and side.role.commands
        return await self.on(side, lambda: commands.change(changes, ACTOR))

    async def save(
        self, side: Side, entity: EntityId, action: str, *more: Change, **new: Any
    ) -> None:
        """Save an entity with a label of its own, and remember who acknowledged what."""
        label = f"{side.name} {next(self.numbers)}"
        known = side.state.entity(entity.type, entity.id) or {}
        body = {**known, **new, "label": label}
        self.unsure.add(label)
        aware = side.name == EDGE_SIDE or not self._edge_speaks_of(entity)
        if await self.change(side, Change(entity.type, entity.id, body, action), *more):
            self.unsure.discard(label)
            self.bodies[entity].add(label)
            if side.name == EDGE_SIDE:
                self.kept.add(entity)
                if self.adopting:
                    self.removed.add(entity)
            if aware and known:
                self.superseded.add(known["label"])

    def _edge_speaks_of(self, entity: EntityId) -> bool:
        """Whether the edge is still to hear that what it said of an entity was taken, or would be
        once more if it died now."""
        edge = self.sides[EDGE_SIDE]
        said = [*edge.disk.lane(CLOUD, Lane.ENTITY).waiting.values()]
        said += edge.storage.forgettable if edge.storage else []
        return any(stored.event.entity == entity for stored in said)

    def _trouble(self, seconds: float) -> None:
        """Something is wrong for so long."""
        self.troubles += 1
        self.calm_s = max(self.calm_s, trio.current_time() + seconds)

    # --- quiet --------------------------------------------------------------------------------

    async def settle(self) -> None:
        """End all faults and wait until nothing is left to say."""
        for side in self.sides.values():
            side.life.fuse = None
        calm_s = max([self.calm_s, *(trio.current_time() + s.down_s for s in self.sides.values())])
        await trio.sleep_until(calm_s + RPC_S + 2 * BACK_S)
        self.connect_phones()
        await trio.sleep(1)
        with trio.fail_after(3600):
            while not self._idle():
                await trio.sleep(0.5)

    def _idle(self) -> bool:
        waiting = any(
            side.storage.depth(outbox, lane).pending
            for side, outbox in self.outboxes()
            if side.storage is not None
            for lane in Lane
        )
        return not waiting and not self.edge.link.status.syncing

    def outboxes(self) -> list[tuple[Side, str]]:
        """Both sides with the names of their outboxes."""
        edge, cloud = self.sides[EDGE_SIDE], self.sides[CLOUD_SIDE]
        return [(edge, CLOUD), (cloud, str(self.edge_id))]


async def _first(end: trio.Event, scope: trio.CancelScope) -> None:
    await end.wait()
    scope.cancel()
