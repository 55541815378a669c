"""split array msg, json path: parts of the data become the data."""

from __future__ import annotations

from appliance.model.message import Message
from appliance.rules.context import Context
from appliance.rules.messages import copied, with_data
from appliance.rules.node import PACKAGE, SUCCESS, NodeConfig, NodeError, NodeFactory, NodeHandle
from plugins.rules_transform.jsonpath import JsonPath


class SplitArray:
    """split array msg: each element is a message on its own."""

    def __init__(self, config: NodeConfig, node: NodeHandle) -> None:
        pass

    def process(self, message: Message, ctx: Context) -> None:
        """Success for each element; an empty array ends the message."""
        if not isinstance(message.data, list):
            raise NodeError("Msg data is not a JSON Array!")
        if len(message.data) == 1:
            ctx.success(with_data(message, message.data[0]))
            return
        for element in message.data:
            ctx.enqueue(SUCCESS, copied(with_data(message, element)))
        ctx.ack(message)


class JsonPathConfig(NodeConfig, frozen=True, kw_only=True):
    """json_path: see jsonpath.py for what is understood."""

    json_path: str = ""


class ExtractPath:
    """json path: what the path finds becomes the data."""

    def __init__(self, config: JsonPathConfig, node: NodeHandle) -> None:
        self._path = JsonPath(config.json_path)

    def process(self, message: Message, ctx: Context) -> None:
        """Success; a missing key fails, a missing array element is null."""
        ctx.success(with_data(message, self._path.find(message.data)))


PART_NODES = (
    NodeFactory(
        PACKAGE + "transform.TbSplitArrayMsgNode", "split array msg", NodeConfig, SplitArray
    ),
    NodeFactory(PACKAGE + "transform.TbJsonPathNode", "json path", JsonPathConfig, ExtractPath),
)
