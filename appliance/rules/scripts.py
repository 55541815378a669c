"""Script bodies of nodes in either language (spec/rule-engine.md §5.1).

A node asks for its script once, when it is built, and runs it with `run` or, when `needs_thread`
says that it has turned out slow, with `await run_long`. Texts that the UI puts in by default and
that do nothing surprising can be recognised (`is_default_log`) and skipped.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Literal

import trio

from appliance.model.errors import ConfigError
from appliance.rules.js import JsScript, ScriptTooLong, compile_js
from appliance.rules.node import NodeConfig, require
from appliance.rules.tbel import Script as TbelScript
from appliance.rules.tbel import TbelSyntaxError, compile_script

MESSAGE_ARGUMENTS = ("msg", "metadata", "msgType")

DEFAULT_LOG = (
    "return '\\nIncoming message:\\n' + JSON.stringify(msg) + "
    "'\\nIncoming metadata:\\n' + JSON.stringify(metadata);"
)


class ScriptConfig(NodeConfig, frozen=True, kw_only=True):
    """The keys that script nodes share; a null language means JavaScript."""

    script_lang: Literal["JS", "TBEL"] = "JS"
    js_script: str = ""
    tbel_script: str = ""

    def compile(self, parameters: tuple[str, ...] = MESSAGE_ARGUMENTS) -> Script:
        """The script that the language names. Raises ConfigError."""
        text = self.tbel_script if self.script_lang == "TBEL" else self.js_script
        return Script(self.script_lang, text, parameters)


class Script:
    """One compiled body. is_js: results follow JavaScript's rules for the node to check."""

    def __init__(self, language: str, text: str, parameters: tuple[str, ...]) -> None:
        require(text.strip(), "the script is empty")
        self.is_js = language == "JS"
        self._script: JsScript | TbelScript
        if self.is_js:
            self._script = compile_js(text, parameters)
        else:
            self._script = _compile_tbel(text, parameters)

    def then(
        self, arguments: tuple[Any, ...], use: Callable[[Any], None]
    ) -> Awaitable[None] | None:
        """Run and hand the result to `use`: at once, or in a thread where the script is slow.

        Raises (now, or from the awaitable) the script's error when it fails.
        """
        script = self._script
        if isinstance(script, JsScript):
            if script.slow:
                return self._long(script, arguments, use)
            try:
                result = script.run(*arguments)
            except ScriptTooLong:
                return self._long(script, arguments, use)
        else:
            result = _without_nulls(script.run(*arguments))
        use(result)
        return None

    async def _long(
        self, script: JsScript, arguments: tuple[Any, ...], use: Callable[[Any], None]
    ) -> None:
        use(await trio.to_thread.run_sync(partial(script.run_long, *arguments)))


def _compile_tbel(text: str, parameters: tuple[str, ...]) -> TbelScript:
    try:
        return compile_script(text, parameters)
    except TbelSyntaxError as error:
        raise ConfigError(f"TBEL does not compile: {error}") from None


def _without_nulls(value: Any) -> Any:
    """Null entries of maps vanish on the way out of TBEL; those of lists stay (§5.3)."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def is_default_log(text: str) -> bool:
    """Whether a body is the log node's default, in either language."""
    return text.strip() == DEFAULT_LOG
