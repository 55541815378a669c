"""Sets. Methods of java.util.Set are registered under the interface (see `signatures`)."""

from __future__ import annotations

from typing import Any

from appliance.rules.tbel.lib_collections import (
    check_writable,
    in_order,
    keep,
    sort_key,
)
from appliance.rules.tbel.limits import Budget
from appliance.rules.tbel.signatures import java
from appliance.rules.tbel.values import (
    FrozenSet,
    TbList,
    TbSet,
    index_of,
)

# sets


@java("Set", "boolean add(Object)", budget=True)
def _set_add(budget: Budget, values: TbSet, value: Any) -> bool:
    check_writable(values)
    keep(budget, value)
    return values.add(value)


@java("Set", "boolean addAll(Collection)", budget=True)
def _set_add_all(budget: Budget, values: TbSet, more: Any) -> bool:
    added = [_set_add(budget, values, value) for value in more]
    return any(added)


def _remove_from(values: TbSet, value: Any) -> bool:
    if value not in values:
        return False
    index = index_of(values.items, value)
    values.keep(values.items[:index] + values.items[index + 1 :])
    return True


@java("Set", "boolean remove(Object)")
def _set_remove(values: TbSet, value: Any) -> bool:
    check_writable(values)
    return _remove_from(values, value)


@java("Set", "boolean removeAll(Collection)")
def _set_remove_all(values: TbSet, others: Any) -> bool:
    return _keep_only(values, TbSet(others), False)


@java("Set", "boolean retainAll(Collection)")
def _set_retain_all(values: TbSet, others: Any) -> bool:
    return _keep_only(values, TbSet(others), True)


def _keep_only(values: TbSet, others: TbSet, kept: bool) -> bool:
    check_writable(values)
    before = len(values)
    values.keep([value for value in values if (value in others) is kept])
    return len(values) != before


@java("Set", "void clear()")
def _set_clear(values: TbSet) -> None:
    check_writable(values)
    values.keep([])


@java("TbSet", "void sort()", "void sort(boolean)")
def _set_sort(values: TbSet, ascending: bool = True) -> None:
    values.keep(in_order(values.items, sort_key(values.items), ascending))


@java("TbSet", "TbSet toSorted()", "TbSet toSorted(boolean)")
def _set_to_sorted(values: TbSet, ascending: bool = True) -> TbSet:
    return TbSet(in_order(values.items, sort_key(values.items), ascending))


@java("TbSet", "TbList toList()")
def _to_list(values: TbSet) -> TbList:
    return TbList(values.items)


@java("TbSet", "Set toUnmodifiable()")
def _freeze_set(values: TbSet) -> FrozenSet:
    return FrozenSet(values.items)
