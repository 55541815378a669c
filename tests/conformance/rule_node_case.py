"""How a recorded case is set up, run and compared; see test_rule_node_corpus.py."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

from appliance.model.ids import EntityId, new_uuid
from appliance.model.message import Message
from appliance.model.telemetry import Scope
from appliance.rules.alarms import changed
from appliance.rules.debug import DebugEvent, DebugLog
from appliance.rules.node import SERVICE_ID, NodeConfig, NodeFactory, node_types
from appliance.rules.ports import RpcOutcome, RpcToDevice
from appliance.testing.rules import RuleBench
from plugins.rules_action import register_rule_nodes as action_nodes
from plugins.rules_enrich import register_rule_nodes as enrich_nodes
from plugins.rules_filter import register_rule_nodes as filter_nodes
from plugins.rules_flow import register_rule_nodes as flow_nodes
from plugins.rules_transform import register_rule_nodes as transform_nodes
from tests.conformance.rule_node_world import GAPS_BY_NODE_MS, GAPS_MS, World, build_world

NODE = "0e5d5a10-0000-11f0-8000-000000000001"
CHAIN = "0e5d5a10-0000-11f0-8000-000000000002"
ROOT = "0e5d5a10-0000-11f0-8000-000000000003"
QUIET_MS = 3_000
"""How long a case runs on after its last recorded event."""
NOT_OURS = ("ACTIVITY_EVENT", "INACTIVITY_EVENT", "CONNECT_EVENT", "DISCONNECT_EVENT", "RPC_")
"""Side messages made by the device's own connection or the RPC service, not by the node."""


class Recorder:
    """First node of the root chain: keeps the messages that come to the device's chain."""

    seen: list[Message]

    def __init__(self, config: NodeConfig, node: Any) -> None:
        Recorder.seen = []

    def process(self, message: Message, ctx: Any) -> None:
        Recorder.seen.append(message)


FACTORIES = {
    **action_nodes().nodes,
    **enrich_nodes().nodes,
    **filter_nodes().nodes,
    **flow_nodes().nodes,
    **transform_nodes().nodes,
    **node_types(NodeFactory("test.Recorder", "recorder", NodeConfig, Recorder)),
}


class Case:
    """One recorded case. short: class name without the package."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self.raw = raw
        self.name: str = raw["name"]
        self.short: str = raw["node"].rpartition(".")[2]
        self.refused = bool(raw.get("initError") or raw.get("saveRefused"))
        self.expected: list[dict[str, Any]] = raw.get("out43") or raw["out"]
        self.effects: dict[str, Any] = raw.get("effects") or {}
        self.side: list[dict[str, Any]] = [
            side
            for side in raw.get("sideMessages43") or raw.get("sideMessages") or ()
            if not side["msgType"].startswith(NOT_OURS)
            and "calculatedFieldName" not in side["metadata"]
            and not ("over REST" in self.name and side["msgType"] in ("ALARM_ACK", "ALARM_CLEAR"))
        ]


async def run_case(case: Case) -> list[str]:
    """What did not agree, as sentences; empty when all did."""
    bench = RuleBench(FACTORIES)
    world = build_world(case.raw, bench, CHAIN, NODE)
    _load(case, bench, world)
    node = next(node for node in bench.engine.nodes() if str(node.id) == NODE)
    if case.refused:
        return [] if node.refusal else ["the server refuses this configuration, we run it"]
    if node.refusal:
        return [f"did not start: {node.refusal}"]
    await _play(case, bench, world)
    outs = [e for e in bench.engine.debug_events(UUID(NODE)) if e.direction == "OUT"]
    expected = case.expected
    if case.short == "TbMsgTypeSwitchNode":
        expected = [one for one in expected if one["msgId"] != "$self"]
    problems = _compare(expected, [(e.label, e.message) for e in outs], world, "out", labelled=True)
    device = world.entity("DEVICE:$device")
    seen = [(None, message) for message in Recorder.seen if message.originator == device]
    problems += _compare(case.side, seen, world, "side message")
    return problems + await check_effects(case, bench, world)


def _load(case: Case, bench: RuleBench, world: World) -> None:
    raw = case.raw
    bench.load(
        {"id": {"entityType": "RULE_CHAIN", "id": ROOT}, "name": "root", "root": True},
        {"firstNodeIndex": 0, "nodes": [{"type": "test.Recorder", "name": "recorder"}]},
    )
    configuration = json.loads(world.fill(json.dumps(raw.get("configuration") or {})))
    node = {
        "id": {"entityType": "RULE_NODE", "id": NODE},
        "type": raw["node"],
        "name": "node",
        "queueName": raw.get("queueName"),
        "configurationVersion": raw.get("configurationVersion", 0),
        "configuration": configuration,
        "debugSettings": {"allEnabled": True},
    }
    bench.load(
        {"id": {"entityType": "RULE_CHAIN", "id": CHAIN}, "name": "case"},
        {"firstNodeIndex": 0, "nodes": [node]},
    )
    for compiled in bench.engine.nodes():
        if compiled.debug is not None:
            compiled.debug = Everything({})
    _load_sub_chain(case, bench, world)


class Everything(DebugLog[DebugEvent]):
    """A debug log without a bound."""

    __slots__ = ("all",)

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self.all: list[DebugEvent] = []

    def record(self, event: DebugEvent) -> None:
        self.all.append(event)

    def events(self) -> list[DebugEvent]:
        return self.all


def _load_sub_chain(case: Case, bench: RuleBench, world: World) -> None:
    """The chain that rule chain nodes call: a filter with one output node for each side."""
    if case.short != "TbRuleChainInputNode":
        return
    high, low = ("Out A", "Out B") if "tenant" in case.name else ("High out", "Low out")
    script = (
        "if (isNaN(msg.temperature)) { throw new Error('no number'); } return msg.temperature > 20;"
    )
    filter_type = "org.thingsboard.rule.engine.filter.TbJsFilterNode"
    output = "org.thingsboard.rule.engine.flow.TbRuleChainOutputNode"
    bench.load(
        {"id": {"entityType": "RULE_CHAIN", "id": world.fill("$chainSub")}, "name": "sub"},
        {
            "firstNodeIndex": 0,
            "nodes": [
                {"type": filter_type, "name": "f", "configuration": {"jsScript": script}},
                {"type": output, "name": high},
                {"type": output, "name": low},
            ],
            "connections": [
                {"fromIndex": 0, "toIndex": 1, "type": "True"},
                {"fromIndex": 0, "toIndex": 2, "type": "False"},
            ],
        },
    )


def _touch_alarm(bench: RuleBench, *, acknowledge: bool) -> None:
    """Somebody acknowledges or clears the alarm."""
    (alarm,) = bench.state.entities("ALARM")
    fields = {"acknowledged": True} if acknowledge else {"cleared": True}
    bench.add("ALARM", changed(alarm, **fields))


def _answer(case: Case, bench: RuleBench) -> None:
    """Let the device answer as the recorded one did."""
    told = [one for one in case.expected if one["relationType"] in ("Success", "Failure")]

    def answer(request: RpcToDevice, done: Callable[[RpcOutcome], None]) -> None:
        data = json.loads(told[0]["data"])
        if told[0]["relationType"] == "Failure":
            done(RpcOutcome(error=data["error"]))
        elif isinstance(data, dict) and "rpcId" in data:
            done(RpcOutcome({"rpcId": str(new_uuid())}))
        else:
            done(RpcOutcome(data))

    bench.services.answer = answer


async def _play(case: Case, bench: RuleBench, world: World) -> None:
    start = bench.now_ms
    _answer(case, bench)
    for number, given in enumerate(case.raw["in"], start=1):
        if "originator" not in given:
            continue
        at = start + given.get("atMs", 0)
        gap = GAPS_MS.get((case.short, case.name), GAPS_BY_NODE_MS.get(case.short, 5))
        await bench.advance(max(at - bench.now_ms, 0) if "atMs" in given else gap)
        message = Message(
            new_uuid(),
            bench.now_ms,
            given["msgType"],
            world.entity(given["originator"]),
            json.loads(world.fill(given["data"])),
            {key: world.fill(text) for key, text in given["metadata"].items()},
        )
        world.inputs[given["msgId"] or f"$in{number}"] = message.id
        if number == 2 and "over REST between" in case.name:
            _touch_alarm(bench, acknowledge=case.name.startswith("ack"))
        await bench.run_at(UUID(NODE), message)
    last = max((one.get("atMs", 0) for one in case.expected), default=0)
    await bench.advance(max(start + last - bench.now_ms, 0) + QUIET_MS)


def _compare(
    expected: list[dict[str, Any]],
    actual: list[tuple[str | None, Message]],
    world: World,
    what: str,
    labelled: bool = False,
) -> list[str]:
    left = list(actual)
    problems = []
    for one in expected:
        index = next((i for i, found in enumerate(left) if _agrees(one, found, world)), None)
        if index is None:
            shown = one.get("relationType"), one["msgType"], one["data"], one["metadata"]
            problems.append(f"expected {what} {shown} {one.get('msgId', '')}")
        else:
            del left[index]
    problems += [f"unexpected {what} {label} {m.type} {m.data} {m.metadata}" for label, m in left]
    return problems


def _agrees(one: dict[str, Any], found: tuple[str | None, Message], world: World) -> bool:
    label, message = found
    message_id = one.get("msgId", "")
    if message_id.startswith("$in") and world.inputs.get(message_id) != message.id:
        return False
    if message_id.startswith("$new") and message.id in world.inputs.values():
        return False
    if one["msgType"] != message.type:
        return False
    if label is not None and world.fill(one["relationType"]) != label:
        return False
    if not world.same(one["originator"], str(message.originator)):
        return False
    data = one["data"]
    same_data = world.same(json.loads(data) if data else data, message.data)
    return same_data and world.same(one["metadata"], message.metadata)


# --- effects -----------------------------------------------------------------------------------


async def check_effects(case: Case, bench: RuleBench, world: World) -> list[str]:
    """Compare what is stored afterwards."""
    device = world.entity("DEVICE:$device")
    actual: dict[str, Any] = {}
    for name in case.effects:
        if name == "attributes" and case.short != "TbDeviceStateNode":
            actual[name] = _attributes(bench, device)
        elif name == "attributes":
            continue  # the device service writes them; see the node's unit test
        elif name == "deviceReceived":
            sent = [{"method": r.method, "params": r.params} for r in bench.services.rpc]
            wanted = [json.loads(one["body"]) for one in case.effects[name] or ()]
            for one in wanted:
                del one["id"]
            if wanted and wanted != sent:
                return [f"the device was sent {sent}, not {wanted}"]
        elif name == "viewAttributes":
            view = _attributes(bench, world.entity("ENTITY_VIEW:$ev"))
            actual[name] = {k: v for k, v in view.items() if not k.endswith("lastUpdate")}
        elif name == "telemetryHistory":
            actual[name] = _history(bench, device)
        elif name == "latestTelemetry":
            actual[name] = {key: points[:1] for key, points in _history(bench, device).items()}
        elif name == "alarms":
            actual[name] = _alarms(case.effects[name], bench)
        elif name in ("relationsFrom", "relationsTo"):
            actual[name] = _relations(bench, device, name == "relationsFrom")
        elif name == "device":
            body = bench.state.entity("DEVICE", device.id) or {}
            actual[name] = {key: body.get(key) for key in case.effects[name]}
    return [
        f"{name}: expected {case.effects[name]}, is {found}"
        for name, found in actual.items()
        if not world.same(case.effects[name], found)
    ]


def _attributes(bench: RuleBench, entity: EntityId) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for scope in Scope:
        stored = bench.state.attributes(entity, scope)
        names = {key: key.replace(SERVICE_ID, "tb-core") for key in stored}
        found[scope] = {names[key]: stored[key].value for key in stored}
        found[f"{scope}_lastUpdate"] = {names[key]: stored[key].ts for key in stored}
    return found


def _history(bench: RuleBench, entity: EntityId) -> dict[str, Any]:
    return {
        key: [{"ts": ts, "value": points[ts]} for ts in sorted(points, reverse=True) if ts >= 0]
        for key, points in bench.history.points.get(entity, {}).items()
    }


def _alarms(expected: list[dict[str, Any]], bench: RuleBench) -> list[dict[str, Any]]:
    alarms = [dict(alarm) for alarm in bench.state.entities("ALARM")]
    for alarm in alarms:
        alarm["id"] = alarm["id"]["id"]
    keys = expected[0].keys() if expected else ("id",)
    return [{key: alarm.get(key) for key in keys} for alarm in alarms]


def _relations(bench: RuleBench, device: EntityId, outward: bool) -> list[Any]:
    state = bench.state
    found = state.relations_from(device) if outward else state.relations_to(device)
    ends = [(r.type, r.target if outward else r.source) for r in found]
    return [[kind, end.to_json()] for kind, end in ends]
