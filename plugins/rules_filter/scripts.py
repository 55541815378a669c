"""script (filter) and switch: a script says where the message goes."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from appliance.model.message import Message
from appliance.rules.context import Context
from appliance.rules.node import FALSE, PACKAGE, TRUE, NodeError, NodeFactory, NodeHandle
from appliance.rules.scripts import ScriptConfig


class ScriptFilter:
    """script: must return a boolean."""

    def __init__(self, config: ScriptConfig, node: NodeHandle) -> None:
        self._script = config.compile()

    def process(self, message: Message, ctx: Context) -> Awaitable[None] | None:
        """True or False; anything else fails."""

        def tell(result: Any) -> None:
            if not isinstance(result, bool):
                raise NodeError("the script must return a boolean")
            ctx.tell(TRUE if result else FALSE, message)

        return self._script.then((message.data, message.metadata, message.type), tell)


class ScriptSwitch:
    """switch: returns a label or a list of labels."""

    def __init__(self, config: ScriptConfig, node: NodeHandle) -> None:
        self._script = config.compile()

    def process(self, message: Message, ctx: Context) -> Awaitable[None] | None:
        """Each label once; none at all ends the message."""

        def tell(result: Any) -> None:
            labels = [result] if isinstance(result, str) else result
            if not isinstance(labels, list) or not all(isinstance(one, str) for one in labels):
                raise NodeError("the script must return a text or a list of texts")
            for label in dict.fromkeys(labels):
                ctx.tell(label, message)

        return self._script.then((message.data, message.metadata, message.type), tell)


SCRIPT_NODES = (
    NodeFactory(PACKAGE + "filter.TbJsFilterNode", "script", ScriptConfig, ScriptFilter),
    NodeFactory(PACKAGE + "filter.TbJsSwitchNode", "switch", ScriptConfig, ScriptSwitch),
)
