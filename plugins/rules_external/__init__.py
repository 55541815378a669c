"""Rule nodes that talk to the outside: HTTP, MQTT, Kafka, AMQP, SMTP (spec/rule-engine.md §10)."""

from __future__ import annotations

from appliance.extension.hookspecs import RuleNodesSpec, hookimpl
from appliance.rules.node import node_types
from plugins.rules_external.email import EMAIL_NODES
from plugins.rules_external.kafka import KAFKA_NODES
from plugins.rules_external.mqtt import MQTT_NODES
from plugins.rules_external.rabbitmq import RABBITMQ_NODES
from plugins.rules_external.rest import REST_NODES


@hookimpl
def register_rule_nodes() -> RuleNodesSpec:
    """The family "external"."""
    nodes = node_types(*MQTT_NODES, *REST_NODES, *KAFKA_NODES, *RABBITMQ_NODES, *EMAIL_NODES)
    return RuleNodesSpec("external", nodes)
