"""Which of ThingsBoard's rule nodes run here: the source of docs/rule-nodes.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from appliance.rules.node import PACKAGE, NodeFactory

_ACCOUNT = "needs an account at an outside service"
UNSUPPORTED: dict[str, str] = {
    PACKAGE + name: reason
    for name, reason in {
        "action.TbSaveToCustomCassandraTableNode": "writes to Cassandra; server chains only",
        "ai.TbAiNode": _ACCOUNT,
        "aws.lambda.TbAwsLambdaNode": _ACCOUNT,
        "aws.sns.TbSnsNode": _ACCOUNT,
        "aws.sqs.TbSqsNode": _ACCOUNT,
        "gcp.pubsub.TbPubSubNode": _ACCOUNT,
        "mqtt.azure.TbAzureIotHubNode": _ACCOUNT,
        "notification.TbNotificationNode": "notifications are the server's",
        "notification.TbSlackNode": _ACCOUNT,
        "sms.TbSendSmsNode": _ACCOUNT,
    }.items()
}
"""Class name -> why not. Such a node stands in its chain and fails what reaches it, visibly."""


class NodeSupport(msgspec.Struct, frozen=True):
    """One row. version: newest configurationVersion known; older ones are taken too."""

    type: str
    name: str
    supported: bool
    version: int = 0
    note: str = ""


def support_table(factories: Mapping[str, NodeFactory[Any]]) -> list[NodeSupport]:
    """Every node, by class name."""
    rows = [
        NodeSupport(factory.type, factory.name, True, factory.version, factory.note)
        for factory in factories.values()
    ]
    rows += [
        NodeSupport(type, type.rpartition(".")[2], False, note=reason)
        for type, reason in UNSUPPORTED.items()
        if type not in factories
    ]
    return sorted(rows, key=lambda row: row.type)


def support_markdown(factories: Mapping[str, NodeFactory[Any]]) -> str:
    """The table of docs/rule-nodes.md."""
    lines = ["| node | UI name | configuration | here |", "| --- | --- | --- | --- |"]
    for row in support_table(factories):
        versions = f"0–{row.version}" if row.supported else "–"
        here = ("yes" if row.supported else "no") + (f": {row.note}" if row.note else "")
        short = row.type.removeprefix(PACKAGE)
        lines.append(f"| `{short}` | {row.name} | {versions} | {here} |")
    return "\n".join(lines) + "\n"
