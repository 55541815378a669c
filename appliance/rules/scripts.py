"""Script bodies of nodes in either language (spec/rule-engine.md §5.1).

A node asks for its script once, when it is built, and runs it with `run` or, when `needs_thread`
says that it has turned out slow, with `await run_long`. Texts that the UI puts in by default and
that do nothing surprising can be recognised (`is_default_log`) and skipped.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Literal, Protocol

import trio

from appliance.model.errors import ConfigError
from appliance.rules.js import JsScript, ScriptTooLong, compile_js
from appliance.rules.node import NodeConfig, require

MESSAGE_ARGUMENTS = ("msg", "metadata", "msgType")

DEFAULT_LOG = (
    "return '\\nIncoming message:\\n' + JSON.stringify(msg) + "
    "'\\nIncoming metadata:\\n' + JSON.stringify(metadata);"
)


class TbelScript(Protocol):
    """A compiled TBEL body."""

    def run(self, *arguments: Any) -> Any:
        """Call with parsed JSON; raises an error with its text."""
        ...


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

        Raises NodeError (now, or from the awaitable) when the script fails.
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
            result = script.run(*arguments)
        use(result)
        return None

    async def _long(
        self, script: JsScript, arguments: tuple[Any, ...], use: Callable[[Any], None]
    ) -> None:
        use(await trio.to_thread.run_sync(partial(script.run_long, *arguments)))


def _compile_tbel(text: str, parameters: tuple[str, ...]) -> TbelScript:
    try:
        compile_script = importlib.import_module("appliance.rules.tbel").compile_script
    except (ImportError, AttributeError):
        raise ConfigError("TBEL is not available") from None
    script: TbelScript = compile_script(text, parameters)
    return script


def is_default_log(text: str) -> bool:
    """Whether a body is the log node's default, in either language."""
    return text.strip() == DEFAULT_LOG
