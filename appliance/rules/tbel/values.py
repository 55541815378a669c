"""The values of TBEL and how Java tells them apart.

Java kind            here
Integer              int
Long, Short, Byte    Long, Short, Byte (subclasses of int)
Double, Float        float, Float (a float rounded to 24 bits)
Boolean, null        bool, None
String, Character    str, Char (a str of one UTF-16 unit)
BigInteger/Decimal   BigInteger, BigDecimal (they can be returned, not stored)
ExecutionArrayList   TbList; ArrayList: PlainList (can be returned, not stored)
ExecutionHashMap     TbMap, keeps insertion order, never holds a null
LinkedHashSet        TbSet
arrays               JavaArray
Map.Entry            Entry
a class by its name  ClassRef
a host's objects     subclasses of Record
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any, ClassVar

INT_MIN, INT_MAX = -(2**31), 2**31 - 1
LONG_MIN, LONG_MAX = -(2**63), 2**63 - 1


class Long(int):
    """A 64-bit integer."""

    __slots__ = ()


class Short(int):
    """A 16-bit integer."""

    __slots__ = ()


class Byte(int):
    """A signed 8-bit integer."""

    __slots__ = ()


class BigInteger(int):
    """An integer of any size, as the suffix I makes it."""

    __slots__ = ()


class BigDecimal(Decimal):
    """A decimal of any size, as the suffix B makes it."""

    __slots__ = ()


class Float(float):
    """A 32-bit floating point number, held as the double of the same value."""

    __slots__ = ()


class Char(str):
    """One character."""

    __slots__ = ()


class TbList(list[Any]):
    """The list that scripts make and see. As a key of a map it counts by its content."""

    __slots__ = ()

    def __hash__(self) -> int:  # type: ignore[override]  # Java hashes lists, Python does not
        return len(self)


class FrozenList(TbList):
    """A list that refuses changes (toUnmodifiable)."""

    __slots__ = ()


class PlainList(list[Any]):
    """A list made by `list + x` or a projection: it may be returned, not stored."""

    __slots__ = ()


class TbMap(dict[Any, Any]):
    """The map that scripts make and see. As a key of a map it counts by its content."""

    __slots__ = ()

    def __hash__(self) -> int:  # type: ignore[override]  # Java hashes maps, Python does not
        return len(self)

    def put(self, key: Any, value: Any) -> Any:
        """Set a key; null takes the key away. Returns the old value."""
        old = self.get(key)
        if value is None:
            self.pop(key, None)
        else:
            self[key] = value
        return old


class FrozenMap(TbMap):
    """A map that refuses changes (toUnmodifiable)."""

    __slots__ = ()


class TbSet:
    """An ordered set. Plain elements are found by their keys, collections by comparing."""

    __slots__ = ("_keys", "items")

    def __init__(self, items: Iterable[Any] = ()) -> None:
        self.items: list[Any] = []
        self._keys: set[Any] | None = None
        for item in items:
            self.add(item)

    def add(self, item: Any) -> bool:
        """Add an element that is not in yet; tells whether it was added."""
        if item in self:
            return False
        self.items.append(item)
        if self._keys is not None:
            self._keys.add(plain_key(item))
        return True

    def keep(self, items: list[Any]) -> None:
        """Have these elements, all different, instead."""
        self.items = items
        self._keys = None

    def __contains__(self, wanted: Any) -> bool:
        if not is_plain(wanted):
            return any(same(item, wanted) for item in self.items)
        if self._keys is None:
            self._keys = {plain_key(item) for item in self.items}
        return plain_key(wanted) in self._keys

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


class KeySet(TbSet):
    """What keySet gives: it can be used and returned, not stored."""

    __slots__ = ()


class FrozenSet(TbSet):
    """A set that refuses changes (toUnmodifiable)."""

    __slots__ = ()


class JavaArray:
    """A Java array. component: the Java type of the elements, such as "int" or "String"."""

    __slots__ = ("component", "items")

    def __init__(self, component: str, items: list[Any]) -> None:
        self.component = component
        self.items = items

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


class Entry:
    """A key with its value, as iteration over a map gives them."""

    __slots__ = ("key", "value")

    def __init__(self, key: Any, value: Any) -> None:
        self.key = key
        self.value = value


class Record:
    """An object of a host's own: its fields are its properties, its getters are registered."""

    __slots__ = ("fields",)
    java_name: ClassVar[str]
    storable: ClassVar[bool] = True

    def __init__(self, **fields: Any) -> None:
        self.fields = fields

    def as_json(self) -> Any:
        """What is stored of it."""
        return TbMap(self.fields)


class ClassRef:
    """A class by its name. name: simple name, "int" and "int[]" included."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class Blank:
    """The literal `empty`."""

    __slots__ = ()


EMPTY = Blank()

PRIMITIVES = frozenset(("int", "long", "double", "float", "short", "byte", "boolean", "char"))


def wrap_int(value: int) -> int:
    """Keep the low 32 bits, signed."""
    return ((value + 2**31) & 0xFFFFFFFF) - 2**31


def wrap_long(value: int) -> Long:
    """Keep the low 64 bits, signed."""
    return Long(((value + 2**63) & 0xFFFFFFFFFFFFFFFF) - 2**63)


def wrap_byte(value: int) -> Byte:
    """Keep the low 8 bits, signed."""
    return Byte(((value + 128) & 0xFF) - 128)


def integer(value: int) -> int:
    """An Integer where the value fits in one, a Long otherwise."""
    return value if INT_MIN <= value <= INT_MAX else Long(value)


def to_float(value: float) -> Float:
    """Round to 32 bits."""
    try:
        return Float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return Float(float("inf") if value > 0 else float("-inf"))


def saturate(value: float, low: int, high: int) -> int:
    """A double as an integer the way Java casts: cut off, bounded, NaN is 0."""
    if value != value:
        return 0
    if value >= high:
        return high
    if value <= low:
        return low
    return int(value)


def same(left: Any, right: Any) -> bool:
    """Java's equals: kinds must agree, collections compare by content."""
    if left is right:
        return True
    if isinstance(left, list):
        return isinstance(right, list) and len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return (
            isinstance(right, dict)
            and len(left) == len(right)
            and all(k in right and same(v, right[k]) for k, v in left.items())
        )
    if isinstance(left, TbSet):
        return (
            isinstance(right, TbSet) and len(left) == len(right) and all(v in right for v in left)
        )
    if isinstance(left, Entry):
        return (
            isinstance(right, Entry) and same(left.key, right.key) and same(left.value, right.value)
        )
    if isinstance(left, float):
        return type(left) is type(right) and repr(left) == repr(right)
    return (
        type(left) is type(right) and isinstance(left, int | str | Decimal) and bool(left == right)
    )


_PLAIN = frozenset((int, Long, Short, Byte, bool, type(None), str, Char, float, Float))


def is_plain(value: Any) -> bool:
    """Whether it equals nothing that Python calls different from it."""
    return type(value) in _PLAIN and value == value


def plain_key(value: Any) -> Any:
    """What tells a plain value from others that Python calls equal: 1, 1L, 1.0, true, -0.0."""
    if not is_plain(value):
        return None, None
    return type(value), repr(value) if isinstance(value, float) else value


def contains(items: Iterable[Any], wanted: Any) -> bool:
    """Is an equal element among the items?"""
    if isinstance(items, TbSet):
        return wanted in items
    if is_plain(wanted) and wanted not in items:
        return False
    return any(same(item, wanted) for item in items)


def index_of(items: list[Any], wanted: Any) -> int:
    """Where the first equal element is, or -1."""
    at = 0
    while is_plain(wanted):
        try:
            at = items.index(wanted, at)
        except ValueError:
            return -1
        if same(items[at], wanted):
            return at
        at += 1
    return next((at for at, item in enumerate(items) if same(item, wanted)), -1)
