"""Rule nodes that hand messages on: chains, queues, acknowledgement (spec/rule-engine.md §3.5)."""

from __future__ import annotations

from appliance.extension.hookspecs import RuleNodesSpec, hookimpl
from appliance.rules.node import node_types
from plugins.rules_flow.chains import CHAIN_NODES
from plugins.rules_flow.deduplication import DEDUPLICATION_NODES
from plugins.rules_flow.delay import DELAY_NODES
from plugins.rules_flow.sources import SOURCE_NODES


@hookimpl
def register_rule_nodes() -> RuleNodesSpec:
    """The family "flow"."""
    return RuleNodesSpec(
        "flow", node_types(*CHAIN_NODES, *DEDUPLICATION_NODES, *DELAY_NODES, *SOURCE_NODES)
    )
