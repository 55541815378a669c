"""log: a script makes the text."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from appliance.model.message import Message
from appliance.rules.context import Context
from appliance.rules.events import RuleNodeLogged
from appliance.rules.node import PACKAGE, NodeError, NodeFactory, NodeHandle
from appliance.rules.scripts import Script, ScriptConfig, is_default_log
from appliance.rules.values import json_text


class Log:
    """log. The default text is made without a script."""

    def __init__(self, config: ScriptConfig, node: NodeHandle) -> None:
        text = config.tbel_script if config.script_lang == "TBEL" else config.js_script
        self._node = node
        self._script: Script | None = None if is_default_log(text) else config.compile()

    def process(self, message: Message, ctx: Context) -> Awaitable[None] | None:
        """Log, go on with Success."""
        if self._script is None:
            self._say(
                f"\nIncoming message:\n{json_text(message.data)}"
                f"\nIncoming metadata:\n{json_text(message.metadata)}"
            )
            ctx.success(message)
            return None
        return self._script.then(
            (message.data, message.metadata, message.type),
            lambda result: self._result(result, message, ctx),
        )

    def _result(self, result: Any, message: Message, ctx: Context) -> None:
        if not isinstance(result, str):
            if self._script is not None and self._script.is_js:
                raise NodeError("the script must return a text")
            result = json_text(result)
        self._say(result)
        ctx.success(message)

    def _say(self, text: str) -> None:
        self._node.emit(RuleNodeLogged(node=self._node.name, message=text))


LOG_NODES = (NodeFactory(PACKAGE + "action.TbLogNode", "log", ScriptConfig, Log),)
