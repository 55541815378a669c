"""TBEL in calculated fields: the arguments of a script, and what becomes of its result (§7).

A script sees `ctx` (latestTs, args) and each argument by its name: a single value as it is, a
rolling argument as a `RollingArgument`. Of a value that has not come it sees null, of time -1.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from appliance.fields.arguments import Arguments
from appliance.fields.cell import FieldError
from appliance.fields.config import without_nulls
from appliance.fields.records import SingleArgument, context_of
from appliance.fields.rolling import RollingArgument
from appliance.rules.tbel import Script, TbelError, TbelSyntaxError, compile_script, plain
from appliance.rules.tbel.kinds import from_json
from appliance.rules.tbel.values import Long


class FieldScript:
    """A compiled script; one that does not compile fails each calculation, as on the reference."""

    def __init__(self, text: str, names: Iterable[str]) -> None:
        self._names = tuple(names)
        self._script: Script | str
        try:
            self._script = compile_script(text, ("ctx", *self._names))
        except TbelSyntaxError as error:
            self._script = f"the script does not compile: {error}"

    def run(self, arguments: Arguments, now_ms: int, latest_ts: int | None = None) -> Any:
        """The result as plain JSON, without null members. Raises FieldError.

        latest_ts: the newest time, where it is not that of the arguments.
        """
        values = script_values(arguments, now_ms)
        args = {name: _described(arguments, name, values.get(name)) for name in self._names}
        latest = arguments.latest_ts(now_ms) if latest_ts is None else latest_ts
        return self.call(context_of(latest, args), values)

    def call(self, ctx: Any, values: dict[str, Any]) -> Any:
        """The same with TBEL values given; absent ones are null."""
        if isinstance(self._script, str):
            raise FieldError(self._script)
        try:
            result = self._script.run_raw(ctx, *(values.get(name) for name in self._names))
            return without_nulls(plain(result))
        except TbelError as error:
            raise FieldError(str(error)) from None


def script_values(arguments: Arguments, now_ms: int) -> dict[str, Any]:
    """Each argument as a TBEL value."""
    values: dict[str, Any] = {
        name: from_json(single.value) for name, single in arguments.singles.items()
    }
    for name, window in arguments.windows.items():
        window.trim(now_ms)
        values[name] = RollingArgument(window.start_ms(now_ms), now_ms, list(window.points))
    return values


def _described(arguments: Arguments, name: str, value: Any) -> Any:
    if isinstance(value, RollingArgument):
        return value
    single = arguments.singles.get(name)
    return SingleArgument(ts=Long(-1 if single is None else single.ts), value=value)
