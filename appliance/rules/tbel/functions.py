"""Functions that scripts define."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from appliance.rules.tbel.errors import TbelError
from appliance.rules.tbel.scope import RUNNING, Scope


class FunctionValue:
    """A function: its parameters, its code, and the scope it was defined in."""

    __slots__ = ("body", "name", "outer", "parameters")
    java_name = "org.mvel2.ast.PrototypalFunctionInstance"

    def __init__(
        self,
        name: str,
        parameters: tuple[str, ...],
        body: Callable[[Scope], Any],
        outer: Scope,
    ) -> None:
        self.name, self.parameters, self.body, self.outer = name, parameters, body, outer

    def call(self, arguments: list[Any]) -> Any:
        """Run it; a missing argument is an error only when it is read.

        Raises:
            TbelError: too many arguments, too deep, or the body failed.
        """
        if len(arguments) > len(self.parameters):
            raise TbelError(
                f"Index {len(self.parameters)} out of bounds for length {len(self.parameters)}"
            )
        state = self.outer.state
        scope = Scope(dict(zip(self.parameters, arguments, strict=False)), self.outer, state)
        scope.home = scope
        state.budget.enter()
        try:
            return self.body(scope)
        finally:
            state.budget.leave()
            state.flow = RUNNING
