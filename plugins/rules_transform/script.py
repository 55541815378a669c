"""script: a script makes one message, or several, of one."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from appliance.model.message import Message
from appliance.rules.context import Context
from appliance.rules.messages import copied, transformed
from appliance.rules.node import PACKAGE, SUCCESS, NodeError, NodeFactory, NodeHandle
from appliance.rules.scripts import ScriptConfig
from appliance.rules.values import java_string, java_text


class ScriptTransform:
    """script: returns `{msg, metadata, msgType}`, each optional, or a list of those."""

    def __init__(self, config: ScriptConfig, node: NodeHandle) -> None:
        self._script = config.compile()

    def process(self, message: Message, ctx: Context) -> Awaitable[None] | None:
        """Success with the result; several are sent on one by one, each on its own."""

        def tell(result: Any) -> None:
            results = result if isinstance(result, list) else [result]
            made = [self._message(message, one) for one in results]
            if not made:
                raise NodeError("Message or messages list are empty!")
            if len(made) == 1:
                ctx.success(made[0])
                return
            for one in made:
                ctx.enqueue(SUCCESS, copied(one))
            ctx.ack(message)

        return self._script.then((message.data, message.metadata, message.type), tell)

    def _message(self, message: Message, result: Any) -> Message:
        if not isinstance(result, dict):
            raise NodeError("the script must return an object or a list of objects")
        data = message.data
        if "msg" in result and (self._script.is_js or result["msg"] is not None):
            data = result["msg"]
        metadata = message.metadata
        if result.get("metadata") is not None:
            metadata = self._metadata(result["metadata"])
        kind = result.get("msgType")
        return transformed(message, java_text(kind) if kind else message.type, data, metadata)

    def _metadata(self, result: Any) -> dict[str, str]:
        if not isinstance(result, dict):
            raise NodeError("metadata must be an object")
        if self._script.is_js and any(isinstance(v, dict | list) for v in result.values()):
            raise NodeError("metadata values must be texts")
        return {key: java_string(value) for key, value in result.items() if value is not None}


SCRIPT_NODES = (
    NodeFactory(PACKAGE + "transform.TbTransformMsgNode", "script", ScriptConfig, ScriptTransform),
)
