"""The engine runs what the state has, as soon as it has it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import msgspec
import pytest
import trio

from appliance.edge.chains import Chains, ChainUnreadable
from appliance.kernel.events import Event
from appliance.model.ids import EntityId, new_uuid
from appliance.model.unit import EntityWrite, Unit
from appliance.rules.default_chain import default_root_chain
from appliance.state.store import State
from tests.unit.edge.world import store

pytestmark = pytest.mark.mock_clock


class Engine:
    """What Chains uses of the rule engine; reads as much of a chain as the real one."""

    def __init__(self) -> None:
        self.chains: dict[UUID, list[str]] = {}
        self.root_id: UUID | None = None

    async def restore(self) -> None:
        pass

    def load_chain(self, chain: dict[str, Any], metadata: dict[str, Any]) -> None:
        id = UUID(chain["id"]["id"])
        self.chains[id] = [node["name"] for node in metadata["nodes"]]
        if chain.get("root"):
            self.root_id = id

    def remove_chain(self, id: UUID) -> None:
        self.chains.pop(id, None)


class Bench:
    def __init__(self) -> None:
        self.state, self.engine, self.events = State(), Engine(), list[Event]()
        self.chains = Chains(self.state, self.engine, self.events.append)  # type: ignore[arg-type] - its stand-in

    def come(self, chain: UUID, nodes: Any, *, root: bool = False) -> None:
        store(self.state, "RULE_CHAIN", chain, name="x", root=root)
        self.come_metadata(chain, nodes)

    def come_metadata(self, chain: UUID, nodes: Any) -> None:
        own = EntityId("RULE_CHAIN", chain).to_json()
        body = msgspec.json.encode({"ruleChainId": own, "nodes": nodes})
        self.state.apply(Unit(entities=[EntityWrite("RULE_CHAIN_METADATA", chain, body)]))

    def go(self, chain: UUID) -> None:
        gone = [EntityWrite(kind, chain, None) for kind in ("RULE_CHAIN", "RULE_CHAIN_METADATA")]
        self.state.apply(Unit(entities=gone))


@asynccontextmanager
async def running(made: Bench) -> AsyncIterator[Bench]:
    async with trio.open_nursery() as nursery:
        await nursery.start(made.chains.run)
        yield made
        nursery.cancel_scope.cancel()


async def settled() -> None:
    await trio.testing.wait_all_tasks_blocked()


async def test_without_a_chain_from_the_server_the_default_one_runs() -> None:
    async with running(Bench()) as made:
        default, _ = default_root_chain()
        assert made.engine.root_id == UUID(default["id"]["id"])


async def test_chains_that_are_there_at_the_start_run_and_their_root_is_root() -> None:
    made, chain = Bench(), new_uuid()
    made.come(chain, [{"name": "save"}], root=True)
    async with running(made):
        assert made.engine.chains[chain] == ["save"]
        assert made.engine.root_id == chain


async def test_a_chain_runs_once_both_its_halves_have_come_and_follows_changes() -> None:
    async with running(Bench()) as made:
        chain = new_uuid()
        store(made.state, "RULE_CHAIN", chain, name="x")
        await settled()
        assert chain not in made.engine.chains
        for name in ("one", "two"):
            made.come_metadata(chain, [{"name": name}])
            await settled()
            assert made.engine.chains[chain] == [name]


async def test_a_deleted_chain_is_removed_but_never_the_root() -> None:
    async with running(Bench()) as made:
        root, other = new_uuid(), new_uuid()
        made.come(root, [], root=True)
        made.come(other, [])
        await settled()
        made.go(root)
        made.go(other)
        await settled()
        assert root in made.engine.chains
        assert other not in made.engine.chains


@pytest.mark.parametrize("nodes", [[{}], [5], "x"])
async def test_what_is_no_chain_is_told_and_what_runs_goes_on(nodes: Any) -> None:
    async with running(Bench()) as made:
        chain = new_uuid()
        made.come(chain, [{"name": "good"}])
        await settled()
        made.come_metadata(chain, nodes)
        await settled()
        assert made.engine.chains[chain] == ["good"]
        assert [type(event) for event in made.events] == [ChainUnreadable]
