"""Reading and writing properties and elements, and calling methods, on values at run time."""

from __future__ import annotations

from typing import Any

from appliance.rules.tbel.errors import TbelError
from appliance.rules.tbel.kinds import check_storable, convert, type_of
from appliance.rules.tbel.scope import Scope
from appliance.rules.tbel.signatures import (
    CONSTANTS,
    Method,
    choose,
    getter_of,
    methods_of,
    no_method,
)
from appliance.rules.tbel.text import text_at, text_length, to_text
from appliance.rules.tbel.values import (
    Char,
    ClassRef,
    FrozenList,
    FrozenMap,
    JavaArray,
    Record,
    TbMap,
    TbSet,
)


def get_property(value: Any, name: str, scope: Scope) -> Any:
    """`value.name`.

    Raises:
        TbelError: null, or no such property.
    """
    if value is None:
        raise TbelError(f"null pointer: {name}")
    if isinstance(value, Record) and name in value.fields:
        return value.fields[name]
    owner = type_of(value)
    if isinstance(value, ClassRef):
        return _static_property(value, name)
    method = getter_of(owner, name)
    if method is not None:
        return call_method(method, value, (), scope)
    if isinstance(value, dict):
        return value.get(name)
    if isinstance(value, JavaArray) and name == "length":
        return len(value)
    raise TbelError(f"could not access: {name}; in class: {owner}")


def _static_property(value: ClassRef, name: str) -> Any:
    constants = CONSTANTS.get(value.name, {})
    if name in constants:
        return constants[name]
    if methods_of(value.name, name):
        raise TbelError("Unsupported value type: class java.lang.reflect.Method")
    raise TbelError(f"could not access: {name}; in class: java.lang.Class")


def set_property(value: Any, name: str, new: Any, scope: Scope) -> None:
    """`value.name = new`."""
    if value is None:
        raise TbelError(f"null pointer: {name}")
    if isinstance(value, TbMap):
        put(value, name, new, scope)
        return
    setter = f"set{name[:1].upper()}{name[1:]}"
    method = choose(type_of(value), setter, (type_of(new),), False)
    if method is None:
        raise TbelError(f"could not access property ({name}) in: {type_of(value)}")
    call_method(method, value, (new,), scope)


def put(container: TbMap, key: Any, value: Any, scope: Scope) -> None:
    """Set a key of a map; null removes it."""
    if isinstance(container, FrozenMap):
        raise TbelError("Map is unmodifiable")
    if type(value) not in (int, float, str):
        check_storable(value)
    scope.state.budget.grow(size_of(value) + 16)
    container.put(key, value)


def size_of(value: Any) -> int:
    """Roughly how many bytes a value takes by itself."""
    return len(value) if type(value) is str else 8


def get_index(container: Any, index: Any) -> Any:
    """`container[index]`."""
    if isinstance(container, dict):
        return container.get(index)
    if container is None:
        raise TbelError("null pointer: [...]")
    if not isinstance(container, list | JavaArray | str):
        raise TbelError(f"illegal use of []: unknown type: {type_of(container)}")
    if type(index) is not int:
        raise TbelError(f"{type_of(index)} cannot be cast to class java.lang.Integer")
    size = text_length(container) if isinstance(container, str) else len(container)
    if not 0 <= index < size:
        raise TbelError(f"Index {index} out of bounds for length {size}")
    if isinstance(container, str):
        return Char(text_at(container, index))
    return container.items[index] if isinstance(container, JavaArray) else container[index]


def set_index(container: Any, index: Any, value: Any, scope: Scope) -> None:
    """`container[index] = value`."""
    if isinstance(container, TbMap):
        put(container, index, value, scope)
        return
    if not isinstance(container, list | JavaArray) or isinstance(container, FrozenList):
        raise TbelError(f"cannot bind to collection property of {type_of(container)}")
    position = convert(index, "Integer")
    if position is None or not 0 <= position < len(container):
        raise TbelError(f"Index {to_text(position)} out of bounds for length {len(container)}")
    if isinstance(container, JavaArray):
        container.items[position] = convert(value, container.component)
    else:
        check_storable(value)
        container[position] = value


def call_method(method: Method, receiver: Any, arguments: Any, scope: Scope) -> Any:
    """Call what was chosen, with converted arguments."""
    values = method.arguments(arguments)
    if not method.static:
        values.insert(0, receiver)
    if method.budget:
        values.insert(0, scope.state.budget)
    return method.function(*values)


def call(
    receiver: Any, name: str, arguments: list[Any], types: tuple[str, ...], scope: Scope
) -> Any:
    """`receiver.name(arguments)`.

    Args:
        types: compile-time types of the arguments, "Object" where unknown.

    Raises:
        TbelError: null, no such method, or the method failed.
    """
    if receiver is None:
        raise TbelError(f"null pointer: {name}()")
    static = isinstance(receiver, ClassRef)
    if name not in _QUICK:
        _count_work(receiver, name, arguments, scope)
    owner = receiver.name if static else type_of(receiver)
    method = choose(owner, name, runtime_types(arguments, types), static)
    if method is None:
        if name == "size" and not arguments and isinstance(receiver, JavaArray):
            return len(receiver)
        raise no_method(owner, name, arguments)
    return call_method(method, receiver, arguments, scope)


_QUICK = frozenset((
    "size", "length", "isEmpty", "get", "getOrDefault", "put", "putIfAbsent", "containsKey", "set",
    "add", "push", "pop", "shift", "unshift", "remove", "charAt", "substring", "slice", "subList",
    "getKey", "getValue", "contains", "indexOf", "lastIndexOf", "startsWith", "endsWith",
))  # fmt: skip
"""Methods that take no longer for a large collection, or next to nothing, or count themselves."""
_THOROUGH = frozenset(("toSet", "toFlatMap", "getBytes", "hashCode"))
"""Those of texts, and helpers, that make something of every element; the others copy at most."""


def _count_work(receiver: Any, name: str, arguments: list[Any], scope: Scope) -> None:
    """Count the time that going through a whole text or collection takes."""
    shift = 1 if name in _THOROUGH else 6
    if isinstance(receiver, list | dict | TbSet):
        scope.state.budget.work(len(receiver) >> 1)
    elif isinstance(receiver, str | JavaArray):
        scope.state.budget.work(len(receiver) >> shift)
    elif isinstance(receiver, ClassRef):
        for value in arguments:
            if isinstance(value, str | list | dict | JavaArray):
                scope.state.budget.work(len(value) >> shift)


def runtime_types(arguments: list[Any], types: tuple[str, ...]) -> tuple[str, ...]:
    """Types for choosing an overload: the compile-time type, else the value's."""
    if "Object" not in types:
        return types
    return tuple(
        [
            type_of(value) if known == "Object" else known
            for value, known in zip(arguments, types, strict=True)
        ]
    )
