"""Lists, maps and sets. Methods of java.util.List, Map, Set are registered under the interface."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from appliance.rules.tbel.access import size_of
from appliance.rules.tbel.errors import TbelError
from appliance.rules.tbel.kinds import check_storable, parse_double
from appliance.rules.tbel.lib_strings import by_java_order
from appliance.rules.tbel.limits import Budget
from appliance.rules.tbel.signatures import java
from appliance.rules.tbel.text import to_text
from appliance.rules.tbel.values import (
    Entry,
    FrozenList,
    FrozenMap,
    FrozenSet,
    JavaArray,
    TbList,
    TbMap,
    TbSet,
    contains,
    index_of,
    same,
)


def _writable(value: Any) -> None:
    if isinstance(value, FrozenList | FrozenMap | FrozenSet):
        raise TbelError("the collection is unmodifiable")


def _check_index(index: int, size: int) -> None:
    if not 0 <= index < size:
        raise TbelError(f"Index {index} out of bounds for length {size}")


def _keep(budget: Budget, value: Any) -> None:
    check_storable(value)
    budget.grow(size_of(value) + 8)


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
    _check_index(index, len(values))
    return values[index]


@java("List", "boolean add(Object)", budget=True)
@java("TbList", "boolean push(Object)", budget=True)
def _add(budget: Budget, values: list[Any], value: Any) -> bool:
    _writable(values)
    _keep(budget, value)
    values.append(value)
    return True


@java("List", "void add(int,Object)", budget=True)
def _insert(budget: Budget, values: list[Any], index: int, value: Any) -> None:
    _writable(values)
    if not 0 <= index <= len(values):
        raise TbelError(f"Index: {index}, Size: {len(values)}")
    _keep(budget, value)
    values.insert(index, value)


@java("List", "boolean addAll(Collection)", budget=True)
def _add_all(budget: Budget, values: list[Any], more: Any) -> bool:
    _writable(values)
    for value in list(more):
        _keep(budget, value)
        values.append(value)
    return len(more) > 0


@java("List", "boolean addAll(int,Collection)", budget=True)
def _insert_all(budget: Budget, values: list[Any], index: int, more: Any) -> bool:
    _writable(values)
    if not 0 <= index <= len(values):
        raise TbelError(f"Index: {index}, Size: {len(values)}")
    for value in more:
        _keep(budget, value)
    values[index:index] = list(more)
    return len(more) > 0


@java("List", "Object set(int,Object)", budget=True)
def _set(budget: Budget, values: list[Any], index: int, value: Any) -> Any:
    _writable(values)
    _check_index(index, len(values))
    _keep(budget, value)
    old, values[index] = values[index], value
    return old


@java("List", "Object remove(int)")
def _remove_at(values: list[Any], index: int) -> Any:
    _writable(values)
    _check_index(index, len(values))
    return values.pop(index)


@java("List", "boolean remove(Object)")
def _remove(values: list[Any], value: Any) -> bool:
    _writable(values)
    index = index_of(values, value)
    if index >= 0:
        del values[index]
    return index >= 0


@java("List", "boolean removeAll(Collection)")
def _remove_all(values: list[Any], others: Any) -> bool:
    return _filter(values, lambda v: not contains(others, v))


@java("List", "boolean retainAll(Collection)")
def _retain_all(values: list[Any], others: Any) -> bool:
    return _filter(values, lambda v: contains(others, v))


def _filter(values: list[Any], keep: Callable[[Any], bool]) -> bool:
    _writable(values)
    before = len(values)
    values[:] = [v for v in values if keep(v)]
    return len(values) != before


@java("List", "void clear()")
@java("Map", "void clear()")
def _clear(values: Any) -> None:
    _writable(values)
    values.clear()


@java("List", "int indexOf(Object)")
def _index_of(values: list[Any], value: Any) -> int:
    return index_of(values, value)


@java("TbList", "int indexOf(Object,int)")
def _index_from(values: list[Any], value: Any, start: int) -> int:
    begin, _ = _bounds(values, start, None)
    found = index_of(values[begin:], value)
    return found if found == -1 else found + start


@java("List", "int lastIndexOf(Object)")
def _last_index_of(values: list[Any], value: Any) -> int:
    for index in range(len(values) - 1, -1, -1):
        if same(values[index], value):
            return index
    return -1


@java("List", "boolean contains(Object)")
@java("Set", "boolean contains(Object)")
def _contains(values: Any, value: Any) -> bool:
    return contains(values, value)


@java("List", "boolean containsAll(Collection)")
@java("Set", "boolean containsAll(Collection)")
def _contains_all(values: Any, others: Any) -> bool:
    return all(contains(values, o) for o in others)


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
    _check_index(0, len(values))
    return values.pop(0)


@java("TbList", "void unshift(Object...)", budget=True)
def _unshift(budget: Budget, values: list[Any], *more: Any) -> None:
    for value in more:
        _keep(budget, value)
    values[0:0] = more


def _bounds(values: Any, start: int, end: int | None) -> tuple[int, int]:
    size = len(values)
    first = 0 if start < -size else start + size if start < 0 else start
    if end is None:
        return first, size
    return first, 0 if end < -size else end + size if end < 0 else min(end, size)


@java("TbList", "TbList slice()", "TbList slice(int)", "TbList slice(int,int)")
def slice_list(values: list[Any], start: int = 0, end: int | None = None) -> TbList:
    """Part of a list; negative places count from its end."""
    first, last = _bounds(values, start, end)
    if first > last:
        raise TbelError(f"fromIndex({first}) > toIndex({last})")
    return TbList(values[first:last])


@java("TbList", "List splice(int)", "List splice(int,int,Object...)", budget=True)
def _splice(
    budget: Budget, values: list[Any], start: int, count: int | None = None, *new: Any
) -> TbList:
    first, _ = _bounds(values, start, None)
    wanted = len(values) - start if count is None else count
    for value in new:
        _keep(budget, value)
    taken = max(0, min(wanted, len(values) - first))
    if new and first > len(values):
        raise TbelError(f"Index: {first}, Size: {len(values)}")
    removed = TbList(values[first : first + taken])
    if count is None and first > len(values):
        raise TbelError(f"Index {first} out of bounds for length {len(values)}")
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
    _keep(budget, value)
    return TbList([*values[:place], value, *values[place:]])


@java("TbList", "List fill(Object)", "List fill(Object,int)", "List fill(Object,int,int)")
def _fill(values: TbList, value: Any, start: int = 0, end: int | None = None) -> TbList:
    check_storable(value)
    first, last = _bounds(values, start, end)
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


def only_numbers(values: Any) -> bool:
    """Does every element print as a number?"""
    return all(_as_number(v) is not None for v in values)


def _as_number(value: Any) -> float | None:
    try:
        return parse_double(to_text(value))
    except TbelError:
        return None


def sort_key(values: Any) -> Callable[[Any], Any]:
    """Numbers by size where all are numbers, else by text."""
    if only_numbers(values):
        return lambda v: (lambda n: (n != n, n))(_as_number(v))
    return lambda v: by_java_order(to_text(v))


@java("TbList", "void sort()", "void sort(boolean)")
def _sort(values: list[Any], ascending: bool = True) -> None:
    values[:] = _sorted(values, sort_key(values), ascending)


def _sorted(values: Any, key: Callable[[Any], Any], ascending: bool) -> list[Any]:
    if ascending:
        return sorted(values, key=key)
    return sorted(reversed(list(values)), key=key)[::-1]


@java("TbList", "TbList toSorted()", "TbList toSorted(boolean)")
def _to_sorted(values: list[Any], ascending: bool = True) -> TbList:
    return TbList(_sorted(values, sort_key(values), ascending))


@java("TbList", "void reverse()")
def _reverse(values: list[Any]) -> None:
    values.reverse()


@java("TbList", "List toReversed()")
def _to_reversed(values: list[Any]) -> TbList:
    return TbList(values[::-1])


@java("TbList", "List toUnmodifiable()")
def _freeze_list(values: list[Any]) -> FrozenList:
    return FrozenList(values)


@java("TbList", "long memorySize()")
@java("TbMap", "long memorySize()")
@java("TbSet", "long memorySize()")
def memory_size(values: Any) -> Any:
    """What the reference counts for a collection: keys and values, by kind."""
    from appliance.rules.tbel.values import Long

    if isinstance(values, dict):
        return Long(sum(_memory(k) + _memory(v) for k, v in values.items()))
    extra = 4 * len(values) if isinstance(values, list) else 0
    return Long(extra + sum(_memory(v) for v in values))


def _memory(value: Any) -> int:
    from appliance.rules.tbel.values import Byte, Float, Long

    if value is None:
        return 0
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, bool | Byte):
        return 1
    if isinstance(value, Long):
        return 8
    if isinstance(value, float) and not isinstance(value, Float):
        return 8
    if isinstance(value, list | dict | TbSet):
        return int(memory_size(value))
    return 4


# java.util.Map


@java("Map", "Object get(Object)")
def _map_get(values: dict[Any, Any], key: Any) -> Any:
    return values.get(key)


@java("Map", "Object getOrDefault(Object,Object)")
def _get_or_default(values: dict[Any, Any], key: Any, default: Any) -> Any:
    return values.get(key, default)


@java("Map", "Object put(Object,Object)", budget=True)
def _put(budget: Budget, values: TbMap, key: Any, value: Any) -> Any:
    if isinstance(values, FrozenMap):
        raise TbelError("Map is unmodifiable")
    _keep(budget, value)
    return values.put(key, value)


@java("Map", "Object putIfAbsent(Object,Object)", budget=True)
def _put_if_absent(budget: Budget, values: TbMap, key: Any, value: Any) -> Any:
    if key in values:
        return values[key]
    _put(budget, values, key, value)
    return None


@java("Map", "void putAll(Map)", budget=True)
def _put_all(budget: Budget, values: TbMap, more: dict[Any, Any]) -> None:
    for key, value in more.items():
        _put(budget, values, key, value)


@java("Map", "Object replace(Object,Object)", budget=True)
def _replace(budget: Budget, values: TbMap, key: Any, value: Any) -> Any:
    return _put(budget, values, key, value) if key in values else None


@java("Map", "boolean replace(Object,Object,Object)", budget=True)
def _replace_old(budget: Budget, values: TbMap, key: Any, old: Any, value: Any) -> bool:
    if key not in values or not same(values[key], old):
        return False
    _put(budget, values, key, value)
    return True


@java("Map", "Object remove(Object)")
def _map_remove(values: TbMap, key: Any) -> Any:
    _writable(values)
    return values.pop(key, None)


@java("Map", "boolean remove(Object,Object)")
def _map_remove_pair(values: TbMap, key: Any, value: Any) -> bool:
    if key not in values or not same(values[key], value):
        return False
    _map_remove(values, key)
    return True


@java("Map", "boolean containsKey(Object)")
def _contains_key(values: dict[Any, Any], key: Any) -> bool:
    return key in values


@java("Map", "boolean containsValue(Object)")
def _contains_value(values: dict[Any, Any], value: Any) -> bool:
    return contains(values.values(), value)


@java("Map", "Set entrySet()")
def _entry_set(values: dict[Any, Any]) -> TbSet:
    found = TbSet()
    found.items = [Entry(k, v) for k, v in values.items()]
    return found


@java("Map", "Set keySet()")
def _key_set(values: dict[Any, Any]) -> TbSet:
    found = TbSet()
    found.items = list(values)
    return found


@java("Map", "Collection values()")
def _values(values: dict[Any, Any]) -> TbList:
    return TbList(values.values())


# what TBEL adds to maps


@java("TbMap", "TbList keys()")
def _keys(values: dict[Any, Any]) -> TbList:
    return TbList(values)


@java("TbMap", "TbMap clone()")
def _clone(values: dict[Any, Any]) -> TbMap:
    return TbMap(values)


@java("TbMap", "TbMap slice()", "TbMap slice(int)", "TbMap slice(int,int)")
def _slice_map(values: dict[Any, Any], start: int = 0, end: int | None = None) -> TbMap:
    first, last = _bounds(values, start, end)
    if last < first:
        raise TbelError(f"Illegal initial capacity: {last - first}")
    return TbMap(list(values.items())[first:last])


def _refill(values: TbMap, pairs: list[tuple[Any, Any]]) -> None:
    _writable(values)
    values.clear()
    values.update(pairs)


def _by_value(values: dict[Any, Any], ascending: bool) -> list[tuple[Any, Any]]:
    key = sort_key(values.values())
    if ascending:
        return sorted(values.items(), key=lambda pair: key(pair[1]))
    return sorted(reversed(list(values.items())), key=lambda pair: key(pair[1]))[::-1]


def _by_key(values: dict[Any, Any], ascending: bool) -> list[tuple[Any, Any]]:
    return [(k, values[k]) for k in _sorted(list(values), sort_key(list(values)), ascending)]


@java("TbMap", "void sortByValue()", "void sortByValue(boolean)")
def _sort_by_value(values: TbMap, ascending: bool = True) -> None:
    _refill(values, _by_value(values, ascending))


@java("TbMap", "void sortByKey()", "void sortByKey(boolean)")
def _sort_by_key(values: TbMap, ascending: bool = True) -> None:
    _refill(values, _by_key(values, ascending))


@java("TbMap", "TbMap toSortedByValue()", "TbMap toSortedByValue(boolean)")
def _to_sorted_by_value(values: TbMap, ascending: bool = True) -> TbMap:
    return TbMap(_by_value(values, ascending))


@java("TbMap", "TbMap toSortedByKey()", "TbMap toSortedByKey(boolean)", "TbMap toSorted()",
      "TbMap toSorted(boolean)")  # fmt: skip
def _to_sorted_by_key(values: TbMap, ascending: bool = True) -> TbMap:
    return TbMap(_by_key(values, ascending))


@java("TbMap", "void reverse()")
def _reverse_map(values: TbMap) -> None:
    _refill(values, list(values.items())[::-1])


@java("TbMap", "TbMap toReversed()")
def _to_reversed_map(values: TbMap) -> TbMap:
    return TbMap(list(values.items())[::-1])


@java("TbMap", "TbMap toInverted()")
def _to_inverted(values: TbMap) -> TbMap:
    groups: list[tuple[Any, list[Any]]] = []
    for key, value in values.items():
        for known, keys in groups:
            if same(known, value):
                keys.append(key)
                break
        else:
            groups.append((value, [key]))
    return TbMap(
        [(_map_key(value), keys[0] if len(keys) == 1 else TbList(keys)) for value, keys in groups]
    )


def _map_key(value: Any) -> Any:
    return to_text(value) if isinstance(value, list | dict) else value


@java("TbMap", "void invert()")
def _invert(values: TbMap) -> None:
    _refill(values, list(_to_inverted(values).items()))


@java("TbMap", "Map toUnmodifiable()")
def _freeze_map(values: TbMap) -> FrozenMap:
    return FrozenMap(values)


@java("TbMap", "Object iterator()")
def _map_iterator(values: TbMap) -> Any:
    return JavaArray("Object", [])


# sets


@java("Set", "boolean add(Object)", budget=True)
def _set_add(budget: Budget, values: TbSet, value: Any) -> bool:
    _writable(values)
    _keep(budget, value)
    return values.add(value)


@java("Set", "boolean addAll(Collection)", budget=True)
def _set_add_all(budget: Budget, values: TbSet, more: Any) -> bool:
    return any([_set_add(budget, values, value) for value in more])


@java("Set", "boolean remove(Object)")
def _set_remove(values: TbSet, value: Any) -> bool:
    _writable(values)
    return _remove(values.items, value)


@java("Set", "boolean removeAll(Collection)")
def _set_remove_all(values: TbSet, others: Any) -> bool:
    _writable(values)
    return _remove_all(values.items, others)


@java("Set", "boolean retainAll(Collection)")
def _set_retain_all(values: TbSet, others: Any) -> bool:
    _writable(values)
    return _retain_all(values.items, others)


@java("Set", "void clear()")
def _set_clear(values: TbSet) -> None:
    _writable(values)
    values.items.clear()


@java("TbSet", "void sort()", "void sort(boolean)")
def _set_sort(values: TbSet, ascending: bool = True) -> None:
    values.items = _sorted(values.items, sort_key(values.items), ascending)


@java("TbSet", "TbSet toSorted()", "TbSet toSorted(boolean)")
def _set_to_sorted(values: TbSet, ascending: bool = True) -> TbSet:
    return TbSet(_sorted(values.items, sort_key(values.items), ascending))


@java("TbSet", "TbList toList()")
def _to_list(values: TbSet) -> TbList:
    return TbList(values.items)


@java("TbSet", "Set toUnmodifiable()")
def _freeze_set(values: TbSet) -> FrozenSet:
    return FrozenSet(values.items)
