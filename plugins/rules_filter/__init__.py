"""Rule nodes that decide where a message goes (spec/rule-engine.md §3.1)."""

from __future__ import annotations

from appliance.extension.hookspecs import RuleNodesSpec, hookimpl
from appliance.rules.node import node_types
from plugins.rules_filter.checks import CHECK_NODES
from plugins.rules_filter.geofencing import GEO_NODES
from plugins.rules_filter.scripts import SCRIPT_NODES
from plugins.rules_filter.types import TYPE_NODES


@hookimpl
def register_rule_nodes() -> RuleNodesSpec:
    """The family "filter"."""
    return RuleNodesSpec("filter", node_types(*CHECK_NODES, *GEO_NODES, *SCRIPT_NODES, *TYPE_NODES))
