"""The tenant's own rule chains on the cloud, with a played edge below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
import pytest
import trio

from appliance.cloud.rules import CloudRuleFailed
from appliance.model.errors import Retryable
from appliance.model.ids import EntityId, new_uuid
from appliance.model.telemetry import Scope, Series
from appliance.model.unit import EntityWrite, Unit
from appliance.rules.debug import DebugLog
from appliance.sync.messages import Attributes, RpcCall, Telemetry
from appliance.sync.wire import decode_attributes, decode_entry, encode_entry
from appliance.testing.memory_storage import MemoryStorage
from appliance.web.commands import Change
from tests.kit.pair import commit, until
from tests.kit.sync_rows import ACTOR
from tests.unit.cloud.test_service import House, edge, house

pytestmark = pytest.mark.mock_clock

PACKAGE = "org.thingsboard.rule.engine."
PUSH = (PACKAGE + "edge.TbMsgPushToEdgeNode", {"scope": "SERVER_SCOPE"})
SAVE_SERIES = (PACKAGE + "telemetry.TbMsgTimeseriesNode", {"defaultTTL": 0})
ALARM = (
    PACKAGE + "action.TbCreateAlarmNode",
    {
        "alarmType": "Odd",
        "severity": "MAJOR",
        "scriptLang": "TBEL",
        "alarmDetailsBuildTbel": "return {};",
    },
)


def only(message_type: str) -> tuple[str, Any]:
    """A filter: what a rule makes runs through the chain, too, and must not make it again."""
    return PACKAGE + "filter.TbMsgTypeFilterNode", {"messageTypes": [message_type]}


async def give_chain(made: House, *nodes: tuple[str, Any], links: Sequence[str] = ()) -> None:
    """A root chain of these nodes in a row; links: "Success" where not said otherwise."""
    id = new_uuid()
    chain = {"id": EntityId("RULE_CHAIN", id).to_json(), "name": "Root", "type": "CORE"}
    metadata = {
        "ruleChainId": chain["id"],
        "firstNodeIndex": 0,
        "nodes": [
            {
                "id": EntityId("RULE_NODE", new_uuid()).to_json(),
                "type": type,
                "name": type.rpartition(".")[2],
                "configuration": configuration,
            }
            for type, configuration in nodes
        ],
        "connections": [
            {"fromIndex": n, "toIndex": n + 1, "type": (links or ["Success"] * len(nodes))[n]}
            for n in range(len(nodes) - 1)
        ],
        "ruleChainConnections": None,
    }
    unit = Unit(
        entities=[
            EntityWrite("RULE_CHAIN", id, msgspec.json.encode({**chain, "root": True})),
            EntityWrite("RULE_CHAIN_METADATA", id, msgspec.json.encode(metadata)),
        ]
    )
    await commit(made.cloud, made.store, unit)
    await until(lambda: made.cloud.rules.engine.root_id == id)


def rows(made: House, device: EntityId) -> list[Series]:
    """What history was given of a device."""
    units = made.store.disk.units
    return [series for unit in units for series in unit.series if series.entity == device]


async def test_a_new_cloud_runs_no_rules() -> None:
    async with house() as made:
        assert not made.cloud.rules.active


async def test_telemetry_of_the_cloud_goes_down_through_a_push_node_only() -> None:
    async with house() as made, edge(made) as played:
        device = await made.add_device("Valve")
        await made.cloud.commands.save_telemetry([Series(device, 1_000, {"t": 1})], ACTOR)
        await give_chain(made, PUSH)
        await made.cloud.commands.save_telemetry([Series(device, 2_000, {"t": 2})], ACTOR)
        await until(lambda: played.count(Telemetry) > 0)
        told = [item for item in played.down if isinstance(item, Telemetry)]
        assert [decode_entry(entry) for item in told for entry in item.entries] == [
            (2_000, {"t": 2})
        ]


async def test_attributes_go_down_once_with_a_push_node_and_without() -> None:
    async with house() as made, edge(made) as played:
        device = await made.add_device("Valve")
        await made.cloud.commands.save_attributes(device, Scope.SHARED, {"a": 1}, ACTOR)
        await give_chain(made, PUSH)
        await made.cloud.commands.save_attributes(device, Scope.SHARED, {"a": 2}, ACTOR)
        await made.cloud.commands.save_telemetry([Series(device, 1, {"t": 1})], ACTOR)
        await until(lambda: played.count(Telemetry) > 0)
        told = [item for item in played.down if isinstance(item, Attributes)]
        assert [decode_attributes(item.values) for item in told] == [{"a": 1}, {"a": 2}]


async def test_what_an_edge_sent_is_not_pushed_back_and_is_stored_once() -> None:
    async with house() as made, edge(made) as played:
        device = await made.add_device("Valve")
        await give_chain(made, SAVE_SERIES, PUSH)
        await played.say(Telemetry(device, (encode_entry(1_000, {"t": 1}),)))
        assert len(rows(made, device)) == 1
        await made.cloud.commands.save_attributes(device, Scope.SERVER, {"a": 1}, ACTOR)
        await until(lambda: played.count(Attributes) == 1)
        assert not played.count(Telemetry)


async def test_what_rules_make_of_uplinked_data_is_durable_before_the_ack_and_goes_down() -> None:
    async with house() as made, edge(made) as played:
        device = await made.add_device("Valve")
        await give_chain(made, only("POST_TELEMETRY_REQUEST"), ALARM, links=["True"])
        await played.say(Telemetry(device, (encode_entry(1_000, {"t": 7}),)))
        assert made.cloud.state.active_alarm(device, "Odd") is not None
        units = [unit for unit in made.store.disk.units if unit.series]
        kinds = [[write.kind for write in unit.entities] for unit in units]
        assert kinds == [["ALARM"]], "one unit holds the value and what the rules made of it"
        await until(lambda: "alarmUpdate" in played.fields())


@pytest.mark.parametrize("event", ["CONNECT_EVENT", "DISCONNECT_EVENT"])
async def test_rules_hear_of_edges_that_come_and_go(event: str) -> None:
    async with house() as made:
        await give_chain(made, only(event), ALARM, links=["True"])
        itself = EntityId("EDGE", made.edge)
        async with edge(made):
            await trio.sleep(1)
            heard = made.cloud.state.active_alarm(itself, "Odd") is not None
            assert heard == (event == "CONNECT_EVENT")
        await until(lambda: made.cloud.state.active_alarm(itself, "Odd") is not None)


async def test_what_a_push_node_cannot_send_is_a_failure() -> None:
    async with house() as made, edge(made):
        device = await made.add_device("Valve")
        body = made.cloud.state.entity("DEVICE", device.id)
        await give_chain(made, PUSH)
        await made.cloud.commands.change([Change("DEVICE", device.id, body, "UPDATED")], ACTOR)
        await until(lambda: bool(made.of(CloudRuleFailed)))
        (failed,) = made.of(CloudRuleFailed)
        assert "Unsupported msg type ENTITY_UPDATED" in failed.reason


async def test_a_failure_link_takes_what_a_push_node_cannot_send() -> None:
    async with house() as made, edge(made):
        device = await made.add_device("Valve")
        body = made.cloud.state.entity("DEVICE", device.id)
        await give_chain(made, only("ENTITY_UPDATED"), PUSH, ALARM, links=["True", "Failure"])
        await made.cloud.commands.change([Change("DEVICE", device.id, body, "UPDATED")], ACTOR)
        await until(lambda: made.cloud.state.active_alarm(device, "Odd") is not None)
        assert not made.of(CloudRuleFailed)


async def test_an_event_that_cannot_be_kept_now_is_kept_when_there_is_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with house() as made, edge(made) as played:
        device = await made.add_device("Valve")
        await give_chain(made, PUSH)
        commit_units, refusals = made.store.commit, [3]

        async def refuse(units: Sequence[Unit]) -> int:
            pushed = any(e.action == "TIMESERIES_UPDATED" for unit in units for e in unit.events)
            if pushed and refusals[0]:
                refusals[0] -= 1
                raise Retryable("the disk is full")
            return await commit_units(units)

        monkeypatch.setattr(made.store, "commit", refuse)
        await made.cloud.commands.save_telemetry([Series(device, 1, {"t": 1})], ACTOR)
        await until(lambda: played.count(Telemetry) == 1, 60.0)
        assert refusals == [0]


async def test_chains_of_edges_do_not_run_here() -> None:
    async with house() as made:
        assert made.cloud.state.count("RULE_CHAIN") == 1
        assert isinstance(made.store, MemoryStorage)
        assert made.cloud.rules.engine.chains() == []


REPLY = (PACKAGE + "rpc.TbSendRPCReplyNode", {})


def question(device: EntityId, session: UUID) -> RpcCall:
    """What a device asks its server."""
    return RpcCall(
        device.id,
        None,
        7,
        method="getTime",
        params='{"zone":1}',
        service_id="edge-1",
        session_id=str(session),
    )


async def test_a_devices_question_runs_through_the_root_chain_which_answers_it() -> None:
    async with house() as made, edge(made) as played:
        device, session = await made.add_device("Valve"), new_uuid()
        await give_chain(made, only("TO_SERVER_RPC_REQUEST"), REPLY, links=["True"])
        await played.say(question(device, session))
        await until(lambda: played.count(RpcCall) > 0)
        (answer,) = [item for item in played.down if isinstance(item, RpcCall)]
        assert (answer.device_id, answer.request_id) == (device.id, 7)
        assert (answer.service_id, answer.session_id) == ("edge-1", str(session))
        assert msgspec.json.decode(answer.response or "") == {
            "method": "getTime",
            "params": {"zone": 1},
        }


async def test_rules_know_who_asks_and_may_leave_a_question_unanswered() -> None:
    async with house() as made, edge(made) as played:
        device, session = await made.add_device("Valve"), new_uuid()
        await give_chain(made, only("TO_SERVER_RPC_REQUEST"))
        (node,) = made.cloud.rules.engine.nodes()
        node.debug = DebugLog({"allEnabled": True})
        await played.say(question(device, session))
        await trio.sleep(5)
        assert played.count(RpcCall) == 0
        (heard, *_) = node.debug.events()
        assert heard.message.metadata == {
            "requestId": "7",
            "serviceId": "edge-1",
            "sessionId": str(session),
            "edgeId": str(made.edge),
            "deviceName": "Valve",
            "deviceType": "default",
            "deviceId": str(device.id),
        }


async def test_without_rules_a_devices_question_is_answered_with_an_error_at_once() -> None:
    async with house() as made, edge(made) as played:
        device = await made.add_device("Valve")
        await played.say(question(device, new_uuid()))
        await until(lambda: played.count(RpcCall) > 0)
        (answer,) = [item for item in played.down if isinstance(item, RpcCall)]
        assert "nobody" in (answer.response or "")
