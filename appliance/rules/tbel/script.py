"""A compiled script and how it is run."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from appliance.rules.tbel.compiler import StatementCompiler
from appliance.rules.tbel.context import Context
from appliance.rules.tbel.errors import LimitError, TbelError
from appliance.rules.tbel.families import Warning_
from appliance.rules.tbel.grouping import Run
from appliance.rules.tbel.kinds import from_json
from appliance.rules.tbel.lexer import Source
from appliance.rules.tbel.limits import DEFAULT, Budget, Limits
from appliance.rules.tbel.parser import parse
from appliance.rules.tbel.scope import Scope, State
from appliance.rules.tbel.text import to_text
from appliance.rules.tbel.values import Blank, Entry, JavaArray, TbSet


class Script:
    """A script that can be run any number of times; runs share nothing.

    warnings: where it works here and would fail on a server.
    """

    __slots__ = ("_arguments", "_limits", "_run", "warnings")

    def __init__(
        self,
        run: Run,
        arguments: tuple[str, ...],
        limits: Limits,
        warnings: tuple[Warning_, ...],
    ) -> None:
        self._run = run
        self._arguments = arguments
        self._limits = limits
        self.warnings = warnings

    def run(self, *arguments: Any) -> Any:
        """Run with plain JSON values; the result is plain too.

        Args:
            arguments: one for each name the script was compiled with; dicts and lists are copied.

        Raises:
            TbelError: the script failed.
        """
        try:
            return plain(self.run_raw(*[from_json(argument) for argument in arguments]))
        except RecursionError:
            raise LimitError("the value is nested too deeply") from None

    def run_raw(self, *arguments: Any) -> Any:
        """Run with TBEL values, which the script may change; the result is one too.

        Raises:
            TbelError: the script failed.
        """
        if len(arguments) != len(self._arguments):
            raise TbelError("Invalid number of argument values")
        variables = dict(zip(self._arguments, arguments, strict=True))
        try:
            return self._run(Scope(variables, None, State(Budget(self._limits))))
        except RecursionError:
            raise LimitError("Script timeout!") from None


def compile_script(
    text: str,
    arg_names: tuple[str, ...] = ("msg", "metadata", "msgType"),
    limits: Limits = DEFAULT,
) -> Script:
    """Compile a script.

    Args:
        text: the body, as the node's configuration has it.
        arg_names: the names of the arguments of `Script.run`.

    Raises:
        TbelSyntaxError: it is no script that we understand; with line and column.
    """
    source = Source(text)
    try:
        tree, warnings = parse(text, limits)
        found = list(warnings)
        run = StatementCompiler(Context(source, found), limits).block(tree)
    except RecursionError:
        raise source.error("the script is nested too deeply", 0) from None
    return Script(run, arg_names, limits, tuple(found))


@runtime_checkable
class Described(Protocol):
    """A value of a library's own that says what it is as JSON."""

    def as_json(self) -> Any:
        """Built of TBEL values."""
        ...


def plain(value: Any) -> Any:
    """A TBEL value as plain JSON: ints, floats, text, lists, dicts with text keys."""
    kind = type(value)
    if value is None or kind in (int, float, str, bool):
        return value
    if isinstance(value, dict):
        return {to_text(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | JavaArray | TbSet):
        return [plain(v) for v in value]
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(to_text(value)) if value == value else float(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Entry):
        return {to_text(value.key): plain(value.value)}
    if isinstance(value, Described):
        return plain(value.as_json())
    return {} if isinstance(value, Blank) else to_text(value)
