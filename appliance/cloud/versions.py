"""Edges older than this cloud: what they are called, and what they must not be shown (§3.3).

An edge says the newest version it knows. What it does not know it refuses, and what waits behind
that waits too, so it is left out here: kinds of calculated fields, rule nodes, settings of nodes.
A number that is not in the table is taken for a newer edge, which knows everything.

Unlike the reference, which leaves connections pointing at wrong nodes, a chain stays whole: what
led to a node that is left out leads nowhere.
"""

from __future__ import annotations

from typing import Any

from appliance.rules.node import PACKAGE

UNRECOGNIZED = "UNRECOGNIZED"
EDGE_VERSIONS = {
    0: "V_3_3_0",
    1: "V_3_3_3",
    2: "V_3_4_0",
    3: "V_3_6_0",
    4: "V_3_6_1",
    5: "V_3_6_2",
    6: "V_3_6_4",
    7: "V_3_7_0",
    8: "V_3_8_0",
    9: "V_3_9_0",
    10: "V_4_0_0",
    11: "V_4_1_0",
    12: "V_4_2_0",
    13: "V_4_3_0",
    14: "V_4_2_1_2",
    15: "V_4_3_0_1",
    999: "V_LATEST",
    4220: "V_4_2_2",
    4221: "V_4_2_2_1",
    4222: "V_4_2_2_2",
    4223: "V_4_2_2_3",
    4310: "V_4_3_1",
    4311: "V_4_3_1_1",
    4312: "V_4_3_1_2",
    4313: "V_4_3_1_3",
    4400: "V_4_4_0",
    99999: "V_LATEST",
}
"""The names of EdgeVersion (§2.2), as an edge's attribute `edgeVersion` shows them."""

NEWEST = (1_000_000,)
_SAVING = frozenset(
    {PACKAGE + "telemetry.TbMsgTimeseriesNode", PACKAGE + "telemetry.TbMsgAttributesNode"}
)
_CASSANDRA = PACKAGE + "action.TbSaveToCustomCassandraTableNode"
_SINCE = {
    PACKAGE + "rest.TbSendRestApiCallReplyNode": (3, 8),
    PACKAGE + "aws.lambda.TbAwsLambdaNode": (3, 8),
    PACKAGE + "telemetry.TbCalculatedFieldsNode": (4, 0),
    PACKAGE + "ai.TbAiNode": (4, 2),
}
"""Nodes that an edge from this version on can run."""
_OLD_FIELDS = frozenset({"SIMPLE", "SCRIPT"})


def version_of(name: Any) -> tuple[int, ...]:
    """The numbers in a version's name, to compare; `NEWEST` for a name without any."""
    if not isinstance(name, str) or name == UNRECOGNIZED:
        return NEWEST
    numbers = tuple(int(part) for part in name.split("_")[1:] if part.isdecimal())
    return numbers or NEWEST


def fitting(kind: str, body: dict[str, Any], version: tuple[int, ...]) -> dict[str, Any] | None:
    """An entity as an edge of that version can take it; None where it cannot at all."""
    match kind:
        case "OAUTH2_CLIENT" | "DOMAIN" if version < (3, 8):
            return None
        case "CALCULATED_FIELD" if version < (4, 3) and body.get("type") not in _OLD_FIELDS:
            return None
        case "RULE_CHAIN_METADATA" if version < (4, 2):
            return _older_chain(body, version)
    return body


def _older_chain(body: dict[str, Any], version: tuple[int, ...]) -> dict[str, Any]:
    nodes = body.get("nodes") or []
    left = [n for n, node in enumerate(nodes) if version >= _SINCE.get(node.get("type"), ())]
    places = {old: new for new, old in enumerate(left)}
    connections = [
        {**link, "fromIndex": places[link["fromIndex"]], "toIndex": places[link["toIndex"]]}
        for link in body.get("connections") or ()
        if link["fromIndex"] in places and link["toIndex"] in places
    ]
    first = body.get("firstNodeIndex")
    return {
        **body,
        "nodes": [_older_node(nodes[n], version) for n in left],
        "connections": connections,
        "firstNodeIndex": None if first is None else places.get(first),
    }


def _older_node(node: dict[str, Any], version: tuple[int, ...]) -> dict[str, Any]:
    unknown = ""
    if version < (4, 0) and node.get("type") in _SAVING:
        unknown = "processingSettings"
    elif version < (3, 9) and node.get("type") == _CASSANDRA:
        unknown = "defaultTtl"
    configuration = node.get("configuration") or {}
    if unknown not in configuration:
        return node
    return {**node, "configuration": {k: v for k, v in configuration.items() if k != unknown}}
