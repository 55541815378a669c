"""Rule nodes that change messages (spec/rule-engine.md §3.3)."""

from __future__ import annotations

from appliance.extension.hookspecs import RuleNodesSpec, hookimpl
from appliance.rules.node import node_types
from plugins.rules_transform.email import EMAIL_NODES
from plugins.rules_transform.keys import KEY_NODES
from plugins.rules_transform.originator import ORIGINATOR_NODES
from plugins.rules_transform.parts import PART_NODES
from plugins.rules_transform.script import SCRIPT_NODES


@hookimpl
def register_rule_nodes() -> RuleNodesSpec:
    """The family "transform"."""
    return RuleNodesSpec(
        "transform",
        node_types(*EMAIL_NODES, *KEY_NODES, *ORIGINATOR_NODES, *PART_NODES, *SCRIPT_NODES),
    )
