"""A device's own request, from its edge through the rules of the cloud's tenant and back."""

from __future__ import annotations

from appliance.model.ids import EntityId, new_uuid
from tests.kit.pair import until
from tests.kit.sync_common import ask_server
from tests.kit.sync_rows import Scene, scene

PACKAGE = "org.thingsboard.rule.engine."
NODES = (
    ("filter.TbMsgTypeFilterNode", {"messageTypes": ["TO_SERVER_RPC_REQUEST"]}),
    ("rpc.TbSendRPCReplyNode", {}),
)


async def give_rules(played: Scene) -> None:
    """A root chain on the cloud that answers a device with its own question."""
    id = new_uuid()
    reference = EntityId("RULE_CHAIN", id).to_json()
    nodes = [
        {
            "id": EntityId("RULE_NODE", new_uuid()).to_json(),
            "type": PACKAGE + type,
            "name": type,
            "configuration": configuration,
        }
        for type, configuration in NODES
    ]
    metadata = {
        "ruleChainId": reference,
        "firstNodeIndex": 0,
        "nodes": nodes,
        "connections": [{"fromIndex": 0, "toIndex": 1, "type": "True"}],
    }
    chain = {"id": reference, "name": "Root", "type": "CORE", "root": True}
    await played.on_cloud("RULE_CHAIN", id, chain, "ADDED")
    await played.on_cloud("RULE_CHAIN_METADATA", id, metadata, "UPDATED")
    await until(lambda: played.cloud.rules.engine.root_id == id)


async def test_the_rules_of_the_cloud_answer_a_device_behind_an_edge() -> None:
    async with scene() as played:
        await give_rules(played)
        assert await ask_server(played) == {"method": "time", "params": {}}
