"""Every built-in rule node keeps the rules of the kit, with the configuration a server offers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from appliance.rules.node import NodeFactory
from appliance.rules.support import UNSUPPORTED, support_table
from appliance.testing.rule_nodes import check_rule_node
from plugins import BUILT_IN
from tests.conftest import FIXTURES

FACTORIES: dict[str, NodeFactory[Any]] = {
    type: factory
    for plugin in BUILT_IN
    if hasattr(plugin, "register_rule_nodes")
    for type, factory in plugin.register_rule_nodes().nodes.items()
}
OFFERED: dict[str, dict[str, Any]] = {
    one["type"]: one["defaultConfiguration"]
    for one in json.loads((FIXTURES / "corpus" / "node-defaults.json").read_text())
}
NEEDS: dict[str, dict[str, Any]] = {
    "TbCheckRelationNode": {"checkForSingleEntity": False},
    "TbGetCustomerDetailsNode": {"detailsList": ["ID", "TITLE"]},
    "TbGetTenantDetailsNode": {"detailsList": ["ID", "TITLE"]},
    "TbGetTelemetryNode": {"latestTsKeyNames": ["temperature"], "fetchMode": "ALL"},
    "TbRuleChainInputNode": {"ruleChainId": "0e5d5a10-0000-11f0-8000-00000000000f"},
    "TbCreateRelationNode": {"entityType": "ASSET", "entityNamePattern": "a"},
    # a name too long for a topic: refused at once, where an absent broker would be waited for
    "TbKafkaNode": {"topicPattern": "t" * 600},
    "TbRabbitMqNode": {"port": 9},
    "TbSendEmailNode": {"useSystemSmtpSettings": False, "smtpPort": 9},
    "TbMqttNode": {"host": "localhost", "port": 9},
    "TbRestApiCallNode": {"restEndpointUrlPattern": "http://localhost:9/"},
}
"""What a user must fill in, because the configuration that is offered does not start."""


@pytest.mark.parametrize("type", FACTORIES)
async def test_a_built_in_node_keeps_the_rules(type: str) -> None:
    configuration = {**OFFERED.get(type, {}), **NEEDS.get(type.rpartition(".")[2], {})}
    await check_rule_node(FACTORIES[type], configuration)


def test_every_node_that_a_server_offers_is_known_or_named_as_unsupported() -> None:
    unknown = OFFERED.keys() - FACTORIES.keys() - UNSUPPORTED.keys()
    assert not unknown
    assert not FACTORIES.keys() & UNSUPPORTED.keys()


def test_the_table_of_support_has_every_node_once() -> None:
    table = support_table(FACTORIES)
    types = [row.type for row in table]
    assert len(types) == len(set(types)) == len(FACTORIES) + len(UNSUPPORTED)
