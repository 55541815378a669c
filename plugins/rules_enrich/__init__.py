"""Rule nodes that add what is known to a message (spec/rule-engine.md §3.2)."""

from __future__ import annotations

from appliance.extension.hookspecs import RuleNodesSpec, hookimpl
from appliance.rules.node import node_types
from plugins.rules_enrich.attributes import ATTRIBUTE_NODES
from plugins.rules_enrich.delta import DELTA_NODES
from plugins.rules_enrich.details import DETAIL_NODES
from plugins.rules_enrich.mapped import MAPPED_NODES
from plugins.rules_enrich.telemetry import TELEMETRY_NODES


@hookimpl
def register_rule_nodes() -> RuleNodesSpec:
    """The family "enrich"."""
    return RuleNodesSpec(
        "enrich",
        node_types(*ATTRIBUTE_NODES, *DELTA_NODES, *DETAIL_NODES, *MAPPED_NODES, *TELEMETRY_NODES),
    )
