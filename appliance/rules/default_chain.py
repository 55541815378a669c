"""The "Edge Root Rule Chain" as a 4.3 server ships it (spec/rule-engine.md §4.1).

What an edge runs until its server has sent a root chain, and what `demo` and a cloud without
chains of its own use.
"""

from __future__ import annotations

from typing import Any

from appliance.rules.node import PACKAGE
from appliance.rules.scripts import DEFAULT_LOG

CHAIN_ID = "00000001-5c3a-11f0-8000-65646765726f"

_LOG = {"scriptLang": "TBEL", "jsScript": DEFAULT_LOG, "tbelScript": DEFAULT_LOG}
_EVERY = {"type": "ON_EVERY_MESSAGE"}
_NODES: tuple[tuple[str, str, int, dict[str, Any]], ...] = (
    (
        "telemetry.TbMsgTimeseriesNode",
        "Save Timeseries",
        1,
        {"defaultTTL": 0, "useServerTs": False, "processingSettings": _EVERY},
    ),
    (
        "telemetry.TbMsgAttributesNode",
        "Save Client Attributes",
        3,
        {
            "processingSettings": _EVERY,
            "scope": "CLIENT_SCOPE",
            "notifyDevice": False,
            "sendAttributesUpdatedNotification": False,
            "updateAttributesOnlyOnValueChange": True,
        },
    ),
    ("filter.TbMsgTypeSwitchNode", "Message Type Switch", 0, {"version": 0}),
    ("action.TbLogNode", "Log RPC from Device", 0, _LOG),
    ("action.TbLogNode", "Log Other", 0, _LOG),
    ("rpc.TbSendRPCRequestNode", "RPC Call Request", 0, {"timeoutInSeconds": 60}),
    ("edge.TbMsgPushToCloudNode", "Push to cloud", 0, {"scope": "CLIENT_SCOPE"}),
    ("edge.TbMsgPushToCloudNode", "Push to cloud", 0, {"scope": "SERVER_SCOPE"}),
)
_LINKS = (
    (0, 6, "Success"),
    (1, 6, "Success"),
    (2, 0, "Post telemetry"),
    (2, 1, "Post attributes"),
    (2, 3, "RPC Request from Device"),
    (2, 4, "Other"),
    (2, 5, "RPC Request to Device"),
    (2, 7, "Attributes Deleted"),
    (2, 7, "Attributes Updated"),
)


def default_root_chain() -> tuple[dict[str, Any], dict[str, Any]]:
    """(RuleChain JSON, RuleChainMetaData JSON), fresh objects."""
    reference = {"entityType": "RULE_CHAIN", "id": CHAIN_ID}
    chain = {"id": reference, "name": "Edge Root Rule Chain", "type": "EDGE", "root": True}
    nodes = [
        {
            "id": {"entityType": "RULE_NODE", "id": f"{index:08x}-5c3a-11f0-8000-6e6f64650000"},
            "type": PACKAGE + type,
            "name": name,
            "configurationVersion": version,
            "configuration": configuration,
        }
        for index, (type, name, version, configuration) in enumerate(_NODES, start=1)
    ]
    links = [{"fromIndex": a, "toIndex": b, "type": label} for a, b, label in _LINKS]
    metadata = {
        "ruleChainId": reference,
        "firstNodeIndex": 2,
        "nodes": nodes,
        "connections": links,
        "ruleChainConnections": None,
    }
    return chain, metadata
