"""Where the variables of a running script live.

An assignment sets the variable that is visible under that name, wherever it is; only where there is
none does it make one in the scope at hand. So `var x` in a block changes an outer `x`, and a new
name in a block ends with the block.
"""

from __future__ import annotations

from typing import Any

from appliance.rules.tbel.errors import TbelError
from appliance.rules.tbel.kinds import BOXES, PLAIN_TYPES, check_storable
from appliance.rules.tbel.limits import Budget
from appliance.rules.tbel.values import JavaArray, TbList

RUNNING, BREAKING, RETURNING = 0, 1, 2


class State:
    """What one run shares. flow: RUNNING, or how statements are being left."""

    __slots__ = ("budget", "flow")

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.flow = RUNNING


class Scope:
    """Variables of one block, with the scopes around it.

    home: the scope of the function (or script) that runs; its locals live there.
    """

    __slots__ = ("home", "parent", "state", "vars")

    def __init__(self, variables: dict[str, Any], parent: Scope | None, state: State) -> None:
        self.vars = variables
        self.parent = parent
        self.state = state
        self.home: Scope = parent.home if parent is not None else self

    def owner(self, name: str) -> Scope | None:
        """The scope that has the variable."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.vars:
                return scope
            scope = scope.parent
        return None

    def load(self, name: str) -> Any:
        """The value of a variable.

        Raises:
            TbelError: there is none.
        """
        scope = self.owner(name)
        if scope is None:
            raise TbelError(f"unresolvable property or identifier: {name}")
        return scope.vars[name]

    def store(self, name: str, value: Any) -> Any:
        """Set the visible variable or make one here; returns what was stored."""
        if type(value) not in PLAIN_TYPES:
            value = storable(value)
        if name in self.vars:
            self.vars[name] = value
        else:
            (self.owner(name) or self).vars[name] = value
        return value


def storable(value: Any) -> Any:
    """The value as a variable or element keeps it: arrays of objects become lists.

    Raises:
        TbelError: it cannot be kept.
    """
    if isinstance(value, JavaArray) and value.component not in BOXES:
        return TbList(value)
    check_storable(value)
    return value
