"""One rule node in front of a device, for the tables of test_*_neighbours.py."""

from __future__ import annotations

from typing import Any

from appliance.rules.debug import DebugLog
from appliance.testing.rules import RuleBench
from plugins.rules_action import register_rule_nodes as action_nodes
from plugins.rules_enrich import register_rule_nodes as enrich_nodes
from plugins.rules_filter import register_rule_nodes as filter_nodes
from plugins.rules_flow import register_rule_nodes as flow_nodes
from plugins.rules_transform import register_rule_nodes as transform_nodes

ROOT = "0e5d5a10-0000-11f0-8000-000000000003"
PACKAGE = "org.thingsboard.rule.engine."
FACTORIES = {
    **action_nodes().nodes,
    **enrich_nodes().nodes,
    **filter_nodes().nodes,
    **flow_nodes().nodes,
    **transform_nodes().nodes,
}
TELEMETRY = "POST_TELEMETRY_REQUEST"
FAILURE, SUCCESS, TRUE, FALSE = "Failure", "Success", "True", "False"
REFUSED = "the node did not start"


class Site:
    """A device in a room in a house, and one node in front of it."""

    def __init__(
        self, node: str, configuration: dict[str, Any], version: int | None = None
    ) -> None:
        self.bench = RuleBench(FACTORIES)
        self.device = self.bench.add_device("D")
        room, house = (self.bench.add("ASSET", {"name": name}) for name in ("room", "house"))
        self.bench.relate(house, room)
        self.bench.relate(room, self.device)
        factory = FACTORIES[PACKAGE + node]
        self.node = self.bench.load_node(factory, configuration, version)
        root = {"id": {"entityType": "RULE_CHAIN", "id": ROOT}, "name": "root", "root": True}
        self.bench.load(root, {"nodes": [{"type": PACKAGE + "filter.TbMsgTypeSwitchNode"}]})

    async def outcome(self, data: Any, metadata: dict[str, str], type: str = TELEMETRY) -> Any:
        """(label, data, metadata that the node added) of the first message out, or REFUSED."""
        if self.node.refusal:
            return REFUSED
        message = self.bench.message(type, self.device, data, metadata)
        self.node.debug = DebugLog({"allEnabled": True})
        await self.bench.run_at(self.node.id, message)
        for event in self.node.debug.events():
            out = event.message
            if event.label and event.label not in ("ACK", "To Root Rule Chain"):
                added = {k: v for k, v in out.metadata.items() if metadata.get(k) != v}
                return event.label, out.data, added
        return None
