"""Our edge against the recorded server: it applies and acknowledges everything it is told.

Traces follow one another, so each test plays all traces up to its own and compares the edge's
state with what the reference edge's REST API answered at that moment.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import msgspec
import pytest

from appliance.edge.assembly import Edge
from appliance.model.ids import EntityId
from appliance.model.telemetry import Scope, Value
from appliance.sync.messages import Batch, Request, SyncRequest
from appliance.testing.memory_storage import MemoryStorage
from tests.kit.pair import running_edge, until
from tests.kit.recording import (
    PlayedServer,
    accepting,
    entity_updates,
    expected,
    frames,
    lines,
    names,
)

SESSION = [name for name in names() if name[:2] <= "14"]
"""The traces of the long session with one server, in order."""
PUMP_1 = UUID("4a6fd9f0-e598-11f1-9df8-51fc96047ddf")


def up_to(trace: str) -> list[str]:
    """This trace and all that came before it in the same session."""
    return SESSION[: SESSION.index(trace) + 1]


@asynccontextmanager
async def played(*traces: str) -> AsyncIterator[tuple[Edge, PlayedServer]]:
    """An edge to which the server's side of these traces was said, all of it acknowledged."""
    recorded = lines(*traces)
    connected = accepting(recorded)
    downlinks = [f for f in frames(recorded, "down") if isinstance(f, Batch)]
    server = PlayedServer(connected, downlinks)
    async with running_edge(MemoryStorage(), server) as edge:
        await until(lambda: server.answered, 30.0)
        yield edge, server


@pytest.mark.parametrize("trace", [n for n in SESSION if n != "11-full-sync-requested"])
async def test_everything_the_server_said_is_acknowledged_with_success(trace: str) -> None:
    async with played(*up_to(trace)) as (_, server):
        assert server.refused == []


@pytest.mark.parametrize(
    "trace", ["20-v13-against-4301-full-sync", "21-misc-entities-4301", "17-reconnect-partial-sync"]
)
async def test_later_servers_are_understood_too(trace: str) -> None:
    found = [name for name in names() if name[:2] == trace[:2]]
    traces = found if found[0].startswith(("20", "17")) else [_first("20"), *found]
    async with played(*traces) as (_, server):
        assert server.refused == []


def _first(number: str) -> str:
    return next(name for name in names() if name.startswith(number))


async def test_the_first_connection_asks_for_a_full_sync_and_then_for_what_it_lacks() -> None:
    async with played("01-connect-and-initial-sync") as (edge, server):
        await until(lambda: edge.link.status.last_sync_ms is not None)
        await until(lambda: len(_requests(server)) >= 10)

        assert [SyncRequest(True)] == [f for f in server.heard_frames if isinstance(f, SyncRequest)]
        ours = {(r.field, r.entity, r.scope) for r in _requests(server)}
        theirs = {
            (item.field, item.entity, item.scope)
            for frame in frames(lines("01-connect-and-initial-sync"), "up")
            if isinstance(frame, Batch)
            for item in frame.items
            if isinstance(item, Request)
        }
        assert theirs <= ours


def _requests(server: PlayedServer) -> list[Request]:
    batches = [f for f in server.heard_frames if isinstance(f, Batch)]
    return [item for batch in batches for item in batch.items if isinstance(item, Request)]


async def test_an_assigned_device_is_there_with_its_token_and_attributes() -> None:
    expect = expected("02-device-assigned")
    async with played(*up_to("02-device-assigned")) as (edge, _):
        device = edge.state.entity("DEVICE", PUMP_1)

        assert same(expect["edge_device"], device)
        session = edge.gate.authenticate_token(expect["edge_token"])
        assert session is not None
        assert session.device.id == PUMP_1
        compare_attributes(edge, expect["edge_attributes"])


def same(expected_entity: dict[str, Any], found: dict[str, Any] | None) -> bool:
    """Equal but for what only the reference's REST layer adds or leaves out (nulls)."""
    assert found is not None
    plain = {key: value for key, value in found.items() if value is not None}
    return {key: value for key, value in expected_entity.items() if value is not None} == plain


def compare_attributes(edge: Edge, by_scope: dict[str, Sequence[dict[str, Any]]]) -> None:
    """Values and timestamps of every attribute that the server gave; activity keys are local."""
    local = {"active", "lastConnectTime", "lastDisconnectTime", "lastActivityTime",
             "inactivityAlarmTime"}  # fmt: skip
    for scope, rows in by_scope.items():
        stored = edge.state.attributes(EntityId("DEVICE", PUMP_1), Scope(scope))
        found = {k: v.value for k, v in stored.items() if k not in local}
        wanted = {row["key"]: row["value"] for row in rows if row["key"] not in local}
        assert wanted == found


class Phone:
    """Remembers what the device would have been sent."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []

    def attributes(self, updated: dict[str, Value], deleted: Sequence[str]) -> None:
        self.heard.append(dict(updated) if updated else {"deleted": list(deleted)})

    def rpc(self, request_id: int, method: str, params: Any, *, oneway: bool) -> bool:
        return True

    def closed(self, reason: str) -> None:
        pass


async def test_attribute_changes_and_telemetry_of_the_server_arrive_here_and_at_the_device() -> (
    None
):
    trace = "04-downlink-attributes-and-telemetry"
    expect = expected(trace)
    before = up_to(trace)[:-1]
    recorded = lines(*before)
    first = [f for f in frames(recorded, "down") if isinstance(f, Batch)]
    then = [f for f in frames(lines(trace), "down") if isinstance(f, Batch)]
    server = PlayedServer(accepting(recorded), first)
    async with running_edge(MemoryStorage(), server) as edge:
        await until(lambda: server.answered, 30.0)
        session = edge.gate.authenticate_token("TRACE_T1")
        assert session is not None
        phone = Phone()
        edge.gate.subscribe(session, phone, attributes=True, rpc=True)
        server.say_more(then)
        await until(lambda: server.answered, 30.0)

        wanted = [msgspec.json.decode(text) for _, text in expect["device_received"]]
        assert wanted == phone.heard
        compare_attributes(edge, expect["edge_attributes"])
        latest = await edge.link._storage.latest(EntityId("DEVICE", PUMP_1))
        for key, points in expect["edge_latest"].items():
            assert points[0]["value"] is None  # the server's default chain does not push it down
            assert key not in latest


async def test_the_servers_new_name_for_a_device_is_accepted() -> None:
    trace = "06b-name-taken-on-the-server"
    async with played(*up_to(trace)) as (edge, _):
        for wanted in expected(trace)["edge"]:
            found = edge.state.entity("DEVICE", UUID(wanted["id"]["id"]))
            assert found is None or wanted["name"] == found["name"]


async def test_rule_chains_come_and_go_and_the_root_stays() -> None:
    trace = "09-rule-chain"
    async with played(*up_to(trace)) as (edge, _):
        chains = [[c["name"], c["root"]] for c in edge.state.entities("RULE_CHAIN")]

        assert expected(trace)["edge_chains"] == chains


async def test_dashboards_customers_and_users_arrive_with_their_password() -> None:
    trace = "10-dashboards-customers-users"
    expect = expected(trace)
    async with played(*up_to(trace)) as (edge, _):
        titles = [d["title"] for d in edge.state.entities("DASHBOARD")]
        emails = {u["email"] for u in edge.state.entities("USER")}

        assert expect["edge_dashboards"] == titles
        assert {u["email"] for u in expect["edge_users"]["data"]} == emails


async def test_after_an_unassignment_and_a_deletion_nothing_of_the_device_is_left() -> None:
    gone = UUID("2b594130-e59a-11f1-9df8-51fc96047ddf")
    async with played(*up_to(SESSION[-1])) as (edge, server):
        updates = entity_updates(server.all_batches)
        assert any(update.id == gone and update.body for update in updates)

        assert edge.state.entity("DEVICE", gone) is None
        assert edge.state.entity("DEVICE_CREDENTIALS", gone) is None
