"""Lists. Methods of java.util.List are registered under the interface (see `signatures`)."""

from __future__ import annotations

from typing import Any

from appliance.rules.tbel.errors import TbelError
from appliance.rules.tbel.kinds import check_storable
from appliance.rules.tbel.lib_collections import (
    bounds,
    check_index,
    check_writable,
    in_order,
    keep,
    keep_only,
    sort_key,
)
from appliance.rules.tbel.limits import Budget
from appliance.rules.tbel.signatures import java
from appliance.rules.tbel.text import to_text
from appliance.rules.tbel.values import (
    FrozenList,
    JavaArray,
    TbList,
    TbSet,
    contains,
    index_of,
    is_plain,
)

# java.util.List


@java("List", "int size()")
@java("TbList", "int length()")
@java("Set", "int size()")
@java("Map", "int size()")
def _size(values: Any) -> int:
    return len(values)


@java("List", "boolean isEmpty()")
@java("Set", "boolean isEmpty()")
@java("Map", "boolean isEmpty()")
def _is_empty(values: Any) -> bool:
    return len(values) == 0


@java("List", "Object get(int)")
def _get(values: list[Any], index: int) -> Any:
    check_index(index, len(values))
    return values[index]


@java("List", "boolean add(Object)", budget=True)
@java("TbList", "boolean push(Object)", budget=True)
def _add(budget: Budget, values: list[Any], value: Any) -> bool:
    check_writable(values)
    keep(budget, value)
    values.append(value)
    return True


@java("List", "void add(int,Object)", budget=True)
def _insert(budget: Budget, values: list[Any], index: int, value: Any) -> None:
    check_writable(values)
    if not 0 <= index <= len(values):
        raise TbelError(f"Index: {index}, Size: {len(values)}")
    keep(budget, value)
    values.insert(index, value)


@java("TbList", "Object clone()", budget=True)
def _clone(budget: Budget, values: list[Any]) -> TbList:
    budget.grow(8 * len(values))
    return TbList(values)


@java("List", "boolean addAll(Collection)", budget=True)
def _add_all(budget: Budget, values: list[Any], more: Any) -> bool:
    check_writable(values)
    for value in list(more):
        keep(budget, value)
        values.append(value)
    return len(more) > 0


@java("List", "boolean addAll(int,Collection)", budget=True)
def _insert_all(budget: Budget, values: list[Any], index: int, more: Any) -> bool:
    check_writable(values)
    if not 0 <= index <= len(values):
        raise TbelError(f"Index: {index}, Size: {len(values)}")
    for value in more:
        keep(budget, value)
    values[index:index] = list(more)
    return len(more) > 0


@java("List", "Object set(int,Object)", budget=True)
def _set(budget: Budget, values: list[Any], index: int, value: Any) -> Any:
    check_writable(values)
    check_index(index, len(values))
    keep(budget, value)
    old, values[index] = values[index], value
    return old


@java("List", "Object remove(int)")
def _remove_at(values: list[Any], index: int) -> Any:
    check_writable(values)
    check_index(index, len(values))
    return values.pop(index)


@java("List", "boolean remove(Object)")
def _remove(values: list[Any], value: Any) -> bool:
    check_writable(values)
    index = index_of(values, value)
    if index >= 0:
        del values[index]
    return index >= 0


@java("List", "boolean removeAll(Collection)")
def _remove_all(values: list[Any], others: Any) -> bool:
    gone = TbSet(others)
    return keep_only(values, lambda v: v not in gone)


@java("List", "boolean retainAll(Collection)")
def _retain_all(values: list[Any], others: Any) -> bool:
    kept = TbSet(others)
    return keep_only(values, lambda v: v in kept)


@java("List", "void clear()")
@java("Map", "void clear()")
def _clear(values: Any) -> None:
    check_writable(values)
    values.clear()


@java("List", "int indexOf(Object)", budget=True)
def _index_of(budget: Budget, values: list[Any], value: Any) -> int:
    budget.scan(len(values), plain=is_plain(value))
    return index_of(values, value)


@java("TbList", "int indexOf(Object,int)")
def _index_from(values: list[Any], value: Any, start: int) -> int:
    begin, _ = bounds(values, start, None)
    if begin > len(values):
        raise TbelError(f"fromIndex({begin}) > toIndex({len(values)})")
    found = index_of(values[begin:], value)
    return found if found == -1 else found + start


@java("List", "int lastIndexOf(Object)", budget=True)
def _last_index_of(budget: Budget, values: list[Any], value: Any) -> int:
    budget.scan(len(values), plain=is_plain(value))
    index = index_of(values[::-1], value)
    return index if index == -1 else len(values) - 1 - index


@java("List", "boolean contains(Object)", budget=True)
@java("Set", "boolean contains(Object)", budget=True)
def _contains(budget: Budget, values: Any, value: Any) -> bool:
    plain = is_plain(value)
    if not (plain and isinstance(values, TbSet)):
        budget.scan(len(values), plain=plain)
    return contains(values, value)


@java("List", "boolean containsAll(Collection)")
@java("Set", "boolean containsAll(Collection)")
def _contains_all(values: Any, others: Any) -> bool:
    there = TbSet(values)
    return all(other in there for other in others)


@java("List", "List subList(int,int)")
def _sub_list(values: list[Any], begin: int, end: int) -> TbList:
    if begin < 0:
        raise TbelError(f"fromIndex = {begin}")
    if end > len(values):
        raise TbelError(f"toIndex = {end}")
    if begin > end:
        raise TbelError(f"fromIndex({begin}) > toIndex({end})")
    return TbList(values[begin:end])


@java("List", "Object[] toArray()")
@java("Set", "Object[] toArray()")
def _to_array(values: Any) -> JavaArray:
    return JavaArray("Object", list(values))


@java("List", "Object iterator()", "Object stream()", "Object listIterator()")
@java("Set", "Object iterator()", "Object stream()")
def _no_iterator(values: Any) -> Any:
    raise TbelError("Unsupported value type: class java.util.Iterator")


# what TBEL adds to lists


@java("TbList", "Object pop()")
def _pop(values: list[Any]) -> Any:
    return values.pop() if values else None


@java("TbList", "Object shift()")
def _shift(values: list[Any]) -> Any:
    check_index(0, len(values))
    return values.pop(0)


@java("TbList", "void unshift(Object...)", budget=True)
def _unshift(budget: Budget, values: list[Any], *more: Any) -> None:
    for value in more:
        keep(budget, value)
    values[0:0] = more


@java("TbList", "TbList slice()", "TbList slice(int)", "TbList slice(int,int)")
def slice_list(values: list[Any], start: int = 0, end: int | None = None) -> TbList:
    """Part of a list; negative places count from its end."""
    first, last = bounds(values, start, end)
    if first > last:
        raise TbelError(f"fromIndex({first}) > toIndex({last})")
    return TbList(values[first:last])


@java("TbList", "List splice(int)", "List splice(int,int,Object...)", budget=True)
def _splice(
    budget: Budget, values: list[Any], start: int, count: int | None = None, *new: Any
) -> TbList:
    first, _ = bounds(values, start, None)
    wanted = len(values) - start if count is None else count
    for value in new:
        keep(budget, value)
    taken = max(0, min(wanted, len(values) - first))
    if new and first > len(values):
        raise TbelError(f"Index: {first}, Size: {len(values)}")
    removed = TbList(values[first : first + taken])
    values[first : first + taken] = new
    return removed


@java("TbList", "List toSpliced(int)", "List toSpliced(int,int,Object...)", budget=True)
def _to_spliced(budget: Budget, values: list[Any], *arguments: Any) -> TbList:
    copy = TbList(values)
    _splice(budget, copy, *arguments)
    return copy


@java("TbList", "List with(int,Object)", budget=True)
def _with(budget: Budget, values: list[Any], index: int, value: Any) -> TbList:
    place = index + len(values) if index < 0 else index
    if not 0 <= place < len(values):
        raise TbelError(f"Index: {index}, Size: {len(values)}")
    keep(budget, value)
    return TbList([*values[:place], value, *values[place:]])


@java("TbList", "List fill(Object)", "List fill(Object,int)", "List fill(Object,int,int)")
def _fill(values: TbList, value: Any, start: int = 0, end: int | None = None) -> TbList:
    check_storable(value)
    first, last = bounds(values, start, end)
    for index in range(first, last):
        values[index] = value
    return values


@java("TbList", "List concat(Collection)", budget=True)
def _concat(budget: Budget, values: list[Any], more: Any) -> TbList:
    budget.grow(8 * (len(values) + len(more)))
    return TbList([*values, *more])


@java("TbList", "String join()", "String join(String)", budget=True)
def _join(budget: Budget, values: list[Any], separator: str = ",") -> str:
    if any(v is None for v in values):
        raise TbelError("null pointer")
    joined = to_text(separator).join(to_text(v) for v in values)
    budget.grow(len(joined))
    return joined.replace(", ", ",").replace("[", "").replace("]", "")


@java("TbList", "void sort()", "void sort(boolean)")
def _sort(values: list[Any], ascending: bool = True) -> None:
    values[:] = in_order(values, sort_key(values), ascending)


@java("TbList", "TbList toSorted()", "TbList toSorted(boolean)")
def _to_sorted(values: list[Any], ascending: bool = True) -> TbList:
    return TbList(in_order(values, sort_key(values), ascending))


@java("TbList", "void reverse()")
def _reverse(values: list[Any]) -> None:
    values.reverse()


@java("TbList", "List toReversed()")
def _to_reversed(values: list[Any]) -> TbList:
    return TbList(values[::-1])


@java("TbList", "List toUnmodifiable()")
def _freeze_list(values: list[Any]) -> FrozenList:
    return FrozenList(values)
