"""A bench for rule chains: a real engine over real state, with the outside recorded.

    bench = RuleBench(factories)
    device = bench.add_device("D1")
    bench.load(chain, metadata)
    work = await bench.send("POST_TELEMETRY_REQUEST", device, {"temperature": 21})

`send` does what a role does: it runs the message, applies the unit to the state, keeps history,
makes the after-calls and runs what was submitted. Time stands still until `advance`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from appliance.extension.ports import SeriesQuery
from appliance.kernel.events import Event
from appliance.model.ids import EntityId, new_uuid
from appliance.model.message import Message
from appliance.model.telemetry import AttributeWrite, Scope, Series, Value
from appliance.model.unit import EntityWrite, Unit
from appliance.rules.compile import CompiledNode
from appliance.rules.debug import DebugLog
from appliance.rules.node import NodeFactory
from appliance.rules.ports import CalculationInput, RpcOutcome, RpcToDevice, Task
from appliance.rules.stage import Stage
from appliance.rules.work import Work
from appliance.state.kinds import BY_NAME
from appliance.state.store import State
from appliance.testing.aggregation import select_points

START_MS = 1_700_000_000_000
CHAIN = "0e5d5a10-0000-11f0-8000-00000000000a"
NODE = "0e5d5a10-0000-11f0-8000-00000000000c"
"""Ids in `load_node`."""


class BenchHistory:
    """Series in memory; the `History` port as simply as it can be."""

    def __init__(self) -> None:
        self.points: dict[EntityId, dict[str, dict[int, Value]]] = {}
        self.states: dict[str, dict[str, bytes]] = {}

    def commit(self, unit: Unit) -> None:
        """Take over a unit's series and states."""
        for series in unit.series:
            keys = self.points.setdefault(series.entity, {})
            for key, value in series.values.items():
                keys.setdefault(key, {})[series.ts] = value
        for state in unit.states:
            owned = self.states.setdefault(state.owner, {})
            if state.body is None:
                owned.pop(state.key, None)
            else:
                owned[state.key] = state.body

    async def load_states(self, owner: str) -> dict[str, bytes]:
        """See History."""
        return dict(self.states.get(owner, {}))

    async def latest(
        self, entity: EntityId, keys: Sequence[str] | None = None
    ) -> dict[str, tuple[int, Value]]:
        """See History."""
        points = self.points.get(entity, {})
        wanted = points if keys is None else [key for key in keys if key in points]
        return {key: max(points[key].items()) for key in wanted if points[key]}

    async def query_series(self, query: SeriesQuery) -> dict[str, list[tuple[int, Value]]]:
        """See History."""
        points = self.points.get(query.entity, {})
        found = {key: select_points(query, points.get(key, {})) for key in query.keys}
        return {key: chosen for key, chosen in found.items() if chosen}


class BenchServices:
    """RuleServices that records. answer: what a device replies to each request."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []
        self.rpc: list[RpcToDevice] = []
        self.replies: list[tuple[Any, ...]] = []
        self.notified: list[tuple[EntityId, Scope, Mapping[str, Value], Sequence[str]]] = []
        self.device_events: list[tuple[EntityId, str, int]] = []
        self.calculated: list[CalculationInput] = []
        self.answer: Callable[[RpcToDevice, Callable[[RpcOutcome], None]], None] | None = None

    def submit(self, task: Task) -> None:
        """See RuleServices."""
        self.tasks.append(task)

    def rpc_to_device(self, request: RpcToDevice, done: Callable[[RpcOutcome], None]) -> None:
        """See RuleServices."""
        self.rpc.append(request)
        if self.answer is not None:
            self.answer(request, done)

    def reply_to_device(
        self, device: EntityId, service_id: str, session_id: str, request_id: int, body: str
    ) -> None:
        """See RuleServices."""
        self.replies.append((device, service_id, session_id, request_id, body))

    def reply_to_rest(self, service_id: str, request_uuid: UUID, message: Message) -> None:
        """See RuleServices."""
        self.replies.append((service_id, request_uuid, message))

    def notify_attributes(
        self,
        entity: EntityId,
        scope: Scope,
        updated: Mapping[str, Value],
        deleted: Sequence[str],
    ) -> None:
        """See RuleServices."""
        self.notified.append((entity, scope, updated, deleted))

    def device_event(self, device: EntityId, event: str, ts: int) -> None:
        """See RuleServices."""
        self.device_events.append((device, event, ts))

    def calculate(self, values: CalculationInput, work: Work) -> None:
        """See RuleServices."""
        self.calculated.append(values)


class RuleBench(Stage):
    """Engine, state, history, services and time, in one hand."""

    def __init__(self, factories: Mapping[str, NodeFactory[Any]]) -> None:
        self.history = BenchHistory()
        self.services = BenchServices()
        self.events: list[Event] = []
        super().__init__(
            factories, State(), self.history, self.services, START_MS, self.events.append
        )
        self.tenant = self.add("TENANT", {"title": "Tenant"})

    def committed(self, unit: Unit) -> None:
        """See Stage; series and states are history."""
        super().committed(unit)
        self.history.commit(unit)

    async def restart(self) -> None:
        """A new engine over what is durable; chains are to be loaded again."""
        self.services.tasks.clear()
        self.engine = self.new_engine()
        await self.engine.restore()

    # what is there -------------------------------------------------------------------------------
    def add(self, kind: str, body: dict[str, Any]) -> EntityId:
        """Store an entity; makes an id unless the body has one."""
        if "id" not in body and kind != "RELATION":
            body = {"id": {"entityType": kind, "id": str(new_uuid())}, **body}
        key = BY_NAME[kind].key(body)
        self.state.apply(Unit(entities=[EntityWrite(kind, key, msgspec.json.encode(body))]))
        return EntityId(kind, key)

    def add_device(self, name: str, profile: str = "default", **more: Any) -> EntityId:
        """A device and, if there is none of that name, its profile."""
        known = self.state.by_name("DEVICE_PROFILE", profile)
        reference = (
            known["id"] if known else self.add("DEVICE_PROFILE", {"name": profile}).to_json()
        )
        body = {"name": name, "type": profile, "deviceProfileId": reference, **more}
        return self.add("DEVICE", body)

    def relate(self, source: EntityId, target: EntityId, type: str = "Contains") -> None:
        """Add a relation."""
        ends = {"from": source.to_json(), "to": target.to_json()}
        self.add("RELATION", {**ends, "type": type, "typeGroup": "COMMON"})

    def put_attributes(self, entity: EntityId, scope: Scope, values: dict[str, Value]) -> None:
        """Attributes as they were before."""
        write = AttributeWrite(entity, scope, self.now_ms, values)
        self.state.apply(Unit(attributes=[write]))

    def put_series(self, entity: EntityId, ts: int, values: dict[str, Value]) -> None:
        """History as it was before."""
        self.history.commit(Unit(series=[Series(entity, ts, values)]))

    def load(self, chain: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        """Load a chain."""
        self.engine.load_chain(chain, metadata)

    def load_node(
        self,
        factory: NodeFactory[Any],
        configuration: Mapping[str, Any] | None = None,
        version: int | None = None,
    ) -> CompiledNode:
        """Load a chain of this one node, in debug; see `outputs`.

        version: of the configuration; None = today's.
        """
        node = {
            "id": {"entityType": "RULE_NODE", "id": NODE},
            "type": factory.type,
            "name": "node",
            "configurationVersion": factory.version if version is None else version,
            "configuration": dict(configuration or {}),
            "debugSettings": {"allEnabled": True},
        }
        chain = {"id": {"entityType": "RULE_CHAIN", "id": CHAIN}, "name": "chain", "root": True}
        self.load(chain, {"firstNodeIndex": 0, "nodes": [node]})
        return self.engine.nodes()[0]

    async def outputs(self, message: Message) -> list[tuple[str, Message]]:
        """Run a message through the one node: (label, message) of each that left it."""
        (node,) = self.engine.nodes()
        node.debug = DebugLog({"allEnabled": True})
        await self.run(message)
        return [(event.label or "", event.message) for event in node.debug.events()[1:]]

    # what happens --------------------------------------------------------------------------------
    def message(
        self,
        type: str,
        originator: EntityId,
        data: Any,
        metadata: dict[str, str] | None = None,
        ts: int | None = None,
    ) -> Message:
        """A message of now."""
        at = self.now_ms if ts is None else ts
        return Message(new_uuid(), at, type, originator, data, metadata or {})

    async def send(
        self,
        type: str,
        originator: EntityId,
        data: Any,
        metadata: dict[str, str] | None = None,
        ts: int | None = None,
    ) -> Work:
        """Run a new message and everything that follows at this moment."""
        return await self.run(self.message(type, originator, data, metadata, ts))

    async def run(self, message: Message) -> Work:
        """Run a message and everything that follows at this moment."""
        return (await self.play(message))[0]

    async def run_at(self, node_id: UUID, message: Message) -> Work:
        """Run a message from a node on, as if it had come to it on a link."""
        node = next(node for node in self.engine.nodes() if node.id == node_id)
        return (await self.play(message, node))[0]

    async def advance(self, ms: int) -> list[Work]:
        """Let time pass, timer by timer; returns the works that came of it."""
        return await self.pass_to(self.now_ms + ms)
