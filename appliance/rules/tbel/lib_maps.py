"""Maps. Methods of java.util.Map are registered under the interface (see `signatures`)."""

from __future__ import annotations

from typing import Any

from appliance.rules.tbel.errors import TbelError
from appliance.rules.tbel.lib_collections import (
    bounds,
    check_writable,
    in_order,
    keep,
    sort_key,
)
from appliance.rules.tbel.limits import Budget
from appliance.rules.tbel.signatures import java
from appliance.rules.tbel.text import to_text
from appliance.rules.tbel.values import (
    Entry,
    FrozenMap,
    JavaArray,
    KeySet,
    TbList,
    TbMap,
    TbSet,
    contains,
    is_plain,
    plain_key,
    same,
)

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
    keep(budget, value)
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
    check_writable(values)
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


@java("Map", "boolean containsValue(Object)", budget=True)
def _contains_value(budget: Budget, values: dict[Any, Any], value: Any) -> bool:
    budget.scan(len(values), plain=is_plain(value))
    return contains(values.values(), value)


@java("Map", "Set entrySet()")
def _entry_set(values: dict[Any, Any]) -> TbSet:
    found = TbSet()
    found.keep([Entry(k, v) for k, v in values.items()])
    return found


@java("Map", "Set keySet()")
def _key_set(values: dict[Any, Any]) -> KeySet:
    found = KeySet()
    found.keep(list(values))
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
    first, last = bounds(values, start, end)
    if last < first:
        raise TbelError(f"Illegal initial capacity: {last - first}")
    return TbMap(list(values.items())[first:last])


def _refill(values: TbMap, pairs: list[tuple[Any, Any]]) -> None:
    check_writable(values)
    values.clear()
    values.update(pairs)


def _by_value(values: dict[Any, Any], ascending: bool) -> list[tuple[Any, Any]]:
    key = sort_key(values.values())
    return sorted(values.items(), key=lambda pair: key(pair[1]), reverse=not ascending)


def _by_key(values: dict[Any, Any], ascending: bool) -> list[tuple[Any, Any]]:
    return [(k, values[k]) for k in in_order(list(values), sort_key(list(values)), ascending)]


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
    groups: dict[Any, tuple[Any, list[Any]]] = {}
    for key, value in values.items():
        mark = plain_key(value) if is_plain(value) else _mark_of(value, groups)
        groups.setdefault(mark, (value, []))[1].append(key)
    return TbMap(
        (_map_key(value), keys[0] if len(keys) == 1 else TbList(keys))
        for value, keys in groups.values()
    )


def _mark_of(value: Any, groups: dict[Any, tuple[Any, list[Any]]]) -> Any:
    """The mark of the group of an equal collection; a new one if there is none."""
    return next((mark for mark, (known, _) in groups.items() if same(known, value)), object())


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
