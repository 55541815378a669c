"""Inline lists and maps as code."""

from __future__ import annotations

from typing import Any

from appliance.rules.tbel.errors import TbelError
from appliance.rules.tbel.grouping import Code
from appliance.rules.tbel.kinds import check_storable, instance_of
from appliance.rules.tbel.scope import Scope
from appliance.rules.tbel.values import TbList, TbMap


def list_code(items: list[Code], component: str) -> Code:
    """component: what the elements must be instances of, "Object" for anything."""
    runs = [item.run for item in items]

    def run(scope: Scope) -> Any:
        values = TbList([run(scope) for run in runs])
        for value in values:
            check_storable(value)
            if component != "Object" and value is not None and not instance_of(value, component):
                raise TbelError("array element type mismatch")
        scope.state.budget.grow(16 + 8 * len(values))
        return values

    return Code(run, "List")


def map_code(keys: list[Code], texts: tuple[str, ...], values: list[Code]) -> Code:
    """A key that is no literal stands for its own text, except where it is a longer expression."""
    pairs = [
        (_key(key, text), value.run) for key, text, value in zip(keys, texts, values, strict=True)
    ]

    def run(scope: Scope) -> Any:
        made = TbMap()
        for key, value_run in pairs:
            value = value_run(scope)
            check_storable(value)
            made.put(key, value)
        scope.state.budget.grow(16 + 32 * len(made))
        return made

    return Code(run, "Map")


def _key(key: Code, text: str) -> Any:
    if key.literal:
        return key.value
    return key.name if key.name is not None else text
