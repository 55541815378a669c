"""Java types by name: what a value is, what may be assigned to what, how values are converted.

A type is its simple Java name: "int" (primitive), "Integer" (boxed), "Object" (unknown), "List",
"TbList" (the implementation), "byte[]" and so on; "null" is the type of a null argument.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from appliance.rules.tbel.errors import TbelError
from appliance.rules.tbel.text import to_text
from appliance.rules.tbel.values import (
    INT_MAX,
    BigDecimal,
    BigInteger,
    Blank,
    Byte,
    Char,
    ClassRef,
    Entry,
    Float,
    FrozenList,
    FrozenMap,
    FrozenSet,
    JavaArray,
    KeySet,
    Long,
    PlainList,
    Short,
    TbList,
    TbMap,
    TbSet,
    integer,
    saturate,
    to_float,
    wrap_byte,
    wrap_int,
    wrap_long,
)

BOXES = {
    "int": "Integer", "long": "Long", "double": "Double", "float": "Float",
    "short": "Short", "byte": "Byte", "boolean": "Boolean", "char": "Character",
}  # fmt: skip
UNBOXED = {box: primitive for primitive, box in BOXES.items()}
NUMBERS = frozenset(
    ("Integer", "Long", "Double", "Float", "Short", "Byte", "BigInteger", "BigDecimal", "Number")
)

_OF_PYTHON = {
    int: "Integer", Long: "Long", Short: "Short", Byte: "Byte", float: "Double", Float: "Float",
    bool: "Boolean", str: "String", Char: "Character", BigInteger: "BigInteger",
    BigDecimal: "BigDecimal", TbList: "TbList", FrozenList: "FrozenList", PlainList: "ArrayList",
    TbMap: "TbMap", FrozenMap: "FrozenMap", TbSet: "TbSet", KeySet: "Set", FrozenSet: "FrozenSet",
    Entry: "Entry", ClassRef: "Class", Blank: "BlankLiteral", type(None): "null",
}  # fmt: skip

_PARENTS: dict[str, tuple[str, ...]] = {
    "TbList": ("ArrayList",), "FrozenList": ("List",), "ArrayList": ("List",),
    "List": ("Collection",), "TbSet": ("Set",), "FrozenSet": ("Set",), "Set": ("Collection",),
    "Collection": ("Iterable",), "TbMap": ("LinkedHashMap", "Iterable"),
    "LinkedHashMap": ("Map",), "FrozenMap": ("Map",),
    "String": ("CharSequence", "Comparable"), "Entry": ("MapEntry",),
    **{n: ("Number",) for n in NUMBERS if n != "Number"},
}  # fmt: skip


def type_of(value: Any) -> str:
    """The runtime type of a value."""
    name = _OF_PYTHON.get(type(value))
    if name is not None:
        return name
    if isinstance(value, JavaArray):
        return f"{value.component}[]"
    return str(getattr(type(value), "java_name", "Object"))


def box(name: str) -> str:
    """The boxed form of a primitive; other types as they are."""
    return BOXES.get(name, name)


def assignable(target: str, source: str) -> bool:
    """Class.isAssignableFrom."""
    if target == source:
        return True
    if target in BOXES or source in BOXES:
        return False
    if target == "Object":
        return True
    if source.endswith("[]"):
        return target == "Object[]" and source[:-2] not in BOXES
    return any(assignable(target, parent) for parent in _PARENTS.get(source, ()))


def instance_of(value: Any, name: str) -> bool:
    """The operator instanceof."""
    return value is not None and assignable(name, type_of(value))


_FROM_ANY = frozenset(
    ("Object", "String", "Integer", "Long", "Double", "Float", "Short", "Boolean", "BigDecimal")
)
_CONVERTIBLE: dict[str, frozenset[str]] = {
    "Integer": _FROM_ANY | {"Character", "BigInteger", "Byte"},
    "Long": _FROM_ANY | {"BigInteger"},
    "Short": _FROM_ANY,
    "Byte": _FROM_ANY | {"Byte"},
    "Double": _FROM_ANY | {"BigInteger"},
    "Float": _FROM_ANY | {"BigInteger"},
    "Boolean": _FROM_ANY,
    "Character": frozenset(("String", "Object", "Integer", "Character", "BigDecimal")),
    "List": frozenset(("Object[]", "String[]", "Collection", "Iterable", "TbSet", "Set")),
    "Set": frozenset(("Object[]", "String[]", "Collection", "Iterable", "TbList", "List")),
}


def convertible(target: str, source: str) -> bool:
    """Whether a value of one type can be turned into the other."""
    if assignable(target, source):
        return True
    if target == "String":
        return True
    if target.endswith("[]"):
        return source.endswith("[]") or source in ("TbList", "List", "ArrayList", "Collection")
    return box(source) in _CONVERTIBLE.get(box(target), frozenset())


def parse_int(text: str, radix: int = 10, bits: int = 32) -> int:
    """Integer.parseInt / Long.parseLong: digits with an optional sign, within the range."""
    body = text[1:] if text[:1] in ("+", "-") else text
    if not body or not body.isalnum() or not body.isascii():
        raise TbelError(f'For input string: "{text}"')
    try:
        value = int(text, radix)
    except ValueError:
        raise TbelError(f'For input string: "{text}"') from None
    if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
        raise TbelError(f'For input string: "{text}"')
    return value


def parse_double(text: str) -> float:
    """Double.parseDouble: decimal text, trimmed, with an optional suffix d or f."""
    body = text.strip()
    if body[-1:] in "dDfF" and body[-2:-1].isdigit():
        body = body[:-1]
    plain = body.lstrip("+-")
    if not plain or "_" in plain or not (plain[0].isdigit() or plain[0] == "."):
        if plain in ("NaN", "Infinity"):
            return float(body)
        raise TbelError(f'For input string: "{text}"')
    try:
        return float(body)
    except ValueError:
        raise TbelError(f'For input string: "{text}"') from None


def _refuse(value: Any, target: str) -> TbelError:
    return TbelError(f"cannot convert type: {type_of(value)} to: {target}")


def _to_int(value: Any) -> int:
    if isinstance(value, bool):
        return 1 if value else 0
    if isinstance(value, float):
        if value > INT_MAX:
            raise TbelError(f"cannot coerce to Integer: {to_text(value)} exceeds its range")
        return saturate(value, -(2**31), INT_MAX)
    if isinstance(value, Char):
        return ord(value)
    if isinstance(value, int):
        if value > INT_MAX and isinstance(value, Long):
            raise TbelError(f"cannot coerce Long to Integer: {value} exceeds its range")
        return wrap_int(int(value))
    if isinstance(value, str):
        return parse_int(value)
    if isinstance(value, Decimal):
        return wrap_int(int(value))
    raise _refuse(value, "Integer")


def _to_long(value: Any) -> Long:
    if isinstance(value, float):
        return Long(saturate(value, -(2**63), 2**63 - 1))
    if isinstance(value, int) and not isinstance(value, Byte):
        return wrap_long(int(value))
    if isinstance(value, Decimal):
        return wrap_long(int(value))
    if type(value) is str:
        return Long(parse_int(value, bits=64)) if value else Long(0)
    raise _refuse(value, "Long")


def _to_short(value: Any) -> Short:
    number = _to_int(value) if not isinstance(value, str) else parse_int(value, bits=16)
    if not -(2**15) <= number < 2**15:
        raise TbelError(f"cannot coerce to Short: {number} exceeds its range")
    return Short(number)


def _to_byte(value: Any) -> Byte:
    if isinstance(value, str):
        return Byte(parse_int(value, bits=8))
    if isinstance(value, float):
        return wrap_byte(saturate(value, -(2**31), INT_MAX))
    if isinstance(value, int | Decimal):
        return wrap_byte(int(value))
    raise _refuse(value, "Byte")


def _to_double(value: Any) -> float:
    if type(value) is str:
        return parse_double(value) if value else 0.0
    if isinstance(value, int | float | Decimal) and not isinstance(value, Byte):
        return float(value)
    raise _refuse(value, "Double")


def _to_boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if type(value) is str:
        return value.lower() not in ("false", "no", "off") and value not in ("0", "")
    if isinstance(value, int | float | Decimal) and not isinstance(value, Byte):
        return value > 0
    raise _refuse(value, "Boolean")


def _to_char(value: Any) -> Char:
    if isinstance(value, str):
        if len(value) != 1:
            raise TbelError(f"cannot convert a string with a length of {len(value)} to Character")
        return Char(value)
    if type(value) is int:
        return Char(chr(value & 0xFFFF))
    raise _refuse(value, "Character")


def _to_list(value: Any) -> TbList:
    if isinstance(value, JavaArray | TbSet | list):
        return TbList(value)
    raise _refuse(value, "List")


_CONVERTERS = {
    "int": _to_int, "Integer": _to_int, "long": _to_long, "Long": _to_long,
    "short": _to_short, "Short": _to_short, "byte": _to_byte, "Byte": _to_byte,
    "double": _to_double, "Double": _to_double,
    "float": lambda v: to_float(_to_double(v)), "Float": lambda v: to_float(_to_double(v)),
    "boolean": _to_boolean, "Boolean": _to_boolean, "char": _to_char, "Character": _to_char,
    "String": to_text, "List": _to_list, "Collection": _to_list,
}  # fmt: skip


_EXACT: dict[str, type] = {
    "int": int, "Integer": int, "double": float, "Double": float, "String": str, "boolean": bool,
    "Boolean": bool, "long": Long, "Long": Long, "List": TbList, "Map": TbMap,
}  # fmt: skip


def convert(value: Any, target: str) -> Any:
    """Turn a value into the type a method or a cast wants.

    Raises:
        TbelError: the value cannot be converted.
    """
    if value is None or target == "Object" or _EXACT.get(target) is type(value):
        return value
    source = type_of(value)
    if source == target or BOXES.get(target) == source or assignable(target, source):
        return value
    if target.endswith("[]"):
        return _to_array(value, target[:-2])
    converter = _CONVERTERS.get(target)
    if converter is None:
        raise _refuse(value, target)
    return converter(value)


def _to_array(value: Any, component: str) -> JavaArray:
    if not isinstance(value, list | JavaArray | TbSet):
        raise _refuse(value, f"{component}[]")
    return JavaArray(component, [convert(item, component) for item in value])


def from_json(value: Any) -> Any:
    """Plain JSON values as a script sees them: nulls in objects are gone, big integers are Long."""
    kind = type(value)
    if kind is int:
        return value if -0x80000000 <= value <= 0x7FFFFFFF else _big(value)
    if kind is dict:
        return _map_from_json(value)
    if kind is list:
        return TbList([from_json(v) for v in value])
    return value


def _map_from_json(values: dict[Any, Any]) -> TbMap:
    """A copy at C speed, then a second look at what cannot stay as it is."""
    made = TbMap(values)
    for key, value in values.items():
        kind = type(value)
        if kind is float or kind is str or kind is bool:
            continue
        if value is None:
            del made[key]
        elif kind is not int or not -0x80000000 <= value <= 0x7FFFFFFF:
            made[key] = from_json(value)
    return made


def _big(value: int) -> Any:
    return integer(value) if -(2**63) <= value < 2**63 else BigInteger(value)


PLAIN_TYPES = frozenset((int, float, str, bool, type(None), TbList, TbMap, Long))
_STORABLE = (str, int, float, list, dict, TbSet, Entry, type(None))


def check_storable(value: Any) -> None:
    """Refuse what the reference cannot count: it may be returned, not kept.

    Raises:
        TbelError: the value cannot be put in a variable or collection.
    """
    if type(value) in PLAIN_TYPES:
        return
    if isinstance(value, _STORABLE) and not isinstance(value, PlainList | BigInteger | KeySet):
        return
    if isinstance(value, JavaArray):
        if value.component in BOXES:
            return
        raise TbelError(f"Unsupported value type: class [Ljava.lang.{value.component};")
    if not getattr(type(value), "storable", False):
        raise TbelError(f"Unsupported value type: class {type_of(value)}")
