"""Sets. Methods of java.util.Set are registered under the interface (see `signatures`)."""

from __future__ import annotations

from typing import Any

from appliance.rules.tbel.lib_collections import (
    check_writable,
    in_order,
    keep,
    keep_only,
    sort_key,
)
from appliance.rules.tbel.limits import Budget
from appliance.rules.tbel.signatures import java
from appliance.rules.tbel.values import (
    FrozenSet,
    TbList,
    TbSet,
    contains,
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
    index = index_of(values.items, value)
    if index >= 0:
        del values.items[index]
    return index >= 0


@java("Set", "boolean remove(Object)")
def _set_remove(values: TbSet, value: Any) -> bool:
    check_writable(values)
    return _remove_from(values, value)


@java("Set", "boolean removeAll(Collection)")
def _set_remove_all(values: TbSet, others: Any) -> bool:
    check_writable(values)
    return keep_only(values.items, lambda v: not contains(others, v))


@java("Set", "boolean retainAll(Collection)")
def _set_retain_all(values: TbSet, others: Any) -> bool:
    check_writable(values)
    return keep_only(values.items, lambda v: contains(others, v))


@java("Set", "void clear()")
def _set_clear(values: TbSet) -> None:
    check_writable(values)
    values.items.clear()


@java("TbSet", "void sort()", "void sort(boolean)")
def _set_sort(values: TbSet, ascending: bool = True) -> None:
    values.items = in_order(values.items, sort_key(values.items), ascending)


@java("TbSet", "TbSet toSorted()", "TbSet toSorted(boolean)")
def _set_to_sorted(values: TbSet, ascending: bool = True) -> TbSet:
    return TbSet(in_order(values.items, sort_key(values.items), ascending))


@java("TbSet", "TbList toList()")
def _to_list(values: TbSet) -> TbList:
    return TbList(values.items)


@java("TbSet", "Set toUnmodifiable()")
def _freeze_set(values: TbSet) -> FrozenSet:
    return FrozenSet(values.items)
