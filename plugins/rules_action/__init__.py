"""Rule nodes that save, push, call and log (spec/rule-engine.md §3.4, §8)."""

from __future__ import annotations

from appliance.extension.hookspecs import RuleNodesSpec, hookimpl
from appliance.rules.node import node_types
from plugins.rules_action.alarms import ALARM_NODES
from plugins.rules_action.device_state import DEVICE_STATE_NODES
from plugins.rules_action.geofencing import GEOFENCING_NODES
from plugins.rules_action.log import LOG_NODES
from plugins.rules_action.math_function import MATH_NODES
from plugins.rules_action.owners import OWNER_NODES
from plugins.rules_action.profile import PROFILE_NODES
from plugins.rules_action.push import PUSH_NODES
from plugins.rules_action.relations import RELATION_NODES
from plugins.rules_action.rpc import RPC_NODES
from plugins.rules_action.save_attributes import ATTRIBUTE_NODES
from plugins.rules_action.save_series import SERIES_NODES
from plugins.rules_action.views import VIEW_NODES


@hookimpl
def register_rule_nodes() -> RuleNodesSpec:
    """The family "action"."""
    return RuleNodesSpec(
        "action",
        node_types(
            *ALARM_NODES,
            *DEVICE_STATE_NODES,
            *GEOFENCING_NODES,
            *MATH_NODES,
            *OWNER_NODES,
            *RELATION_NODES,
            *VIEW_NODES,
            *ATTRIBUTE_NODES,
            *LOG_NODES,
            *PROFILE_NODES,
            *PUSH_NODES,
            *RPC_NODES,
            *SERIES_NODES,
        ),
    )
