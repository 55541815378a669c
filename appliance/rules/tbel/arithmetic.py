"""What the operators do with two values.

The reference picks the rule from a *code* of each side's type: a fixed code where the type is known
when the script is compiled, else the code of the value at hand. Codes of primitives and boxed types
differ, which is why `int x = 7; x / 2` is 3 but `msg.count / 2` is 3.5:

* equal codes: the rule of that kind; integers divide to a double, int results that are too big
  become long, long wraps around;
* different codes, both numeric: both sides as doubles, the result in the kind with the larger code;
* text that looks like a number takes part in everything but `+`;
* `+` of anything else joins text, comparing falls back to Java's equals and compareTo,
  and arithmetic that makes no sense gives null.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

from appliance.rules.java_math import divided, power
from appliance.rules.tbel.errors import TbelError
from appliance.rules.tbel.kinds import convert, parse_double, type_of
from appliance.rules.tbel.text import to_text
from appliance.rules.tbel.values import (
    INT_MAX,
    INT_MIN,
    LONG_MAX,
    LONG_MIN,
    BigDecimal,
    BigInteger,
    Blank,
    Byte,
    Char,
    Float,
    Long,
    PlainList,
    Short,
    TbList,
    TbSet,
    integer,
    same,
    saturate,
    to_float,
    wrap_int,
    wrap_long,
)

OBJECT, STRING, COLLECTION, BOOLEAN, CHAR, BYTE = 0, 1, 50, 7, 8, 9
W_BOOLEAN, W_BYTE, SHORT, INTEGER, LONG, DOUBLE, FLOAT = 15, 99, 100, 101, 102, 103, 104
W_SHORT, W_INTEGER, W_LONG, W_FLOAT, W_DOUBLE, BIG_DECIMAL, BIG_INTEGER, W_CHAR = (
    105, 106, 107, 108, 109, 110, 111, 112,
)  # fmt: skip
EMPTY_CODE = 200

_OF_VALUE: dict[type, int] = {
    int: W_INTEGER, float: W_DOUBLE, bool: W_BOOLEAN, str: STRING, Long: W_LONG, Short: W_SHORT,
    Float: W_FLOAT, Byte: W_BYTE, Char: W_CHAR, BigDecimal: BIG_DECIMAL, BigInteger: BIG_INTEGER,
    Blank: EMPTY_CODE, TbList: COLLECTION, PlainList: COLLECTION, TbSet: COLLECTION,
}  # fmt: skip
_OF_TYPE: dict[str, int] = {
    "Integer": W_INTEGER, "Double": W_DOUBLE, "Boolean": W_BOOLEAN, "String": STRING,
    "Long": W_LONG, "Short": W_SHORT, "Float": W_FLOAT, "Byte": W_BYTE, "Character": W_CHAR,
    "BigDecimal": BIG_DECIMAL, "BigInteger": BIG_INTEGER, "int": INTEGER, "double": DOUBLE,
    "boolean": BOOLEAN, "long": LONG, "short": SHORT, "float": FLOAT, "byte": BYTE, "char": CHAR,
    "List": COLLECTION, "TbList": COLLECTION, "Set": COLLECTION, "Collection": COLLECTION,
    "TbSet": COLLECTION, "ArrayList": COLLECTION, "BlankLiteral": EMPTY_CODE,
}  # fmt: skip
_BOXED = {
    INTEGER: W_INTEGER, DOUBLE: W_DOUBLE, LONG: W_LONG, SHORT: W_SHORT, BYTE: W_BYTE,
    FLOAT: W_FLOAT, CHAR: W_CHAR, BOOLEAN: W_BOOLEAN,
}  # fmt: skip
_INTEGRAL = frozenset((BYTE, W_BYTE, INTEGER, W_INTEGER, LONG, W_LONG, BOOLEAN, W_BOOLEAN))

COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
    "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
BITWISE = frozenset(("&", "|", "^", "<<", ">>", ">>>", "<<<"))


def code_of_type(name: str) -> int:
    """The code of a type known at compile time; 0 where it says nothing."""
    return _OF_TYPE.get(name, OBJECT)


def code_of(value: Any) -> int:
    """The code of a value."""
    code = _OF_VALUE.get(type(value))
    if code is None:
        code = COLLECTION if isinstance(value, list | TbSet) else OBJECT
    return code


def _number_text(text: str) -> bool:
    body = text
    if len(text) > 1 and text[0] == "-":
        body = text[1:]
    elif len(text) > 1 and text[0] == "~":
        body = text[2:] if text[1] == "-" else text[1:]
    return bool(text) and body.count(".") <= 1 and all(c in "0123456789." for c in body)


def is_number(value: Any) -> bool:
    """Does a value count as a number: numbers, characters, and text of digits with one point."""
    if type(value) is str:
        return _number_text(value)
    return isinstance(value, int | float | Char | BigDecimal) and not isinstance(value, Byte | bool)


def _as_double(value: Any, code: int) -> float:
    if value is None or isinstance(value, Blank):
        return 0.0
    if code in (CHAR, W_CHAR, STRING):
        return parse_double(to_text(value))
    if code in (BOOLEAN, W_BOOLEAN):
        if not isinstance(value, bool):
            raise TbelError(f"{type_of(value)} cannot be cast to Boolean")
        return 1.0 if value else 0.0
    if code == OBJECT and isinstance(value, str):
        return parse_double(value)
    if isinstance(value, bool | str) or not isinstance(value, int | float | BigDecimal):
        raise TbelError(f"{type_of(value)} cannot be cast to Number")
    return float(value)


def _remainder(left: float, right: float) -> float:
    if right == 0 or left != left or right != right or math.isinf(left):
        return math.nan
    return math.fmod(left, right)


_ON_DOUBLES: dict[str, Callable[[float, float], float]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": divided, "%": _remainder,
    "**": power,
}  # fmt: skip


def _in_kind(value: float, code: int) -> Any:
    if code in (W_DOUBLE, DOUBLE, STRING):
        return value
    if code in (W_FLOAT, FLOAT):
        return to_float(value)
    if code in (W_INTEGER, INTEGER):
        return saturate(value, INT_MIN, INT_MAX)
    if code in (W_LONG, LONG):
        return Long(saturate(value, LONG_MIN, LONG_MAX))
    if code in (W_SHORT, SHORT):
        return Short((saturate(value, INT_MIN, INT_MAX) + 2**15) % 2**16 - 2**15)
    if code in (W_BYTE, BYTE):
        return Byte((saturate(value, INT_MIN, INT_MAX) + 128) % 256 - 128)
    if code == BIG_DECIMAL:
        return BigDecimal(value)
    if code == BIG_INTEGER:
        return BigInteger(saturate(value, LONG_MIN, LONG_MAX))
    raise TbelError(f"internal error: {code}")


def _mixed(left: float, op: str, right: float, target: int) -> Any:
    compare = COMPARISONS.get(op)
    if compare is not None:
        return compare(left, right)
    rule = _ON_DOUBLES.get(op)
    return None if rule is None else _in_kind(rule(left, right), target)


def _integral(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        if value is None:
            raise TbelError("null pointer in a numeric operation")
        raise TbelError(f"{type_of(value)} cannot be cast to Number")
    return int(value) if not isinstance(value, float) else saturate(value, LONG_MIN, LONG_MAX)


def truncated_remainder(left: int, right: int) -> int:
    """Java's % on integers: the sign of the left side."""
    if right == 0:
        raise TbelError("/ by zero")
    return left - right * truncated_quotient(left, right)


def truncated_quotient(left: int, right: int) -> int:
    """Java's / on integers: cut off towards zero."""
    if right == 0:
        raise TbelError("/ by zero")
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _bits(left: Any, op: str, right: Any) -> Any:
    for value in (left, right):
        if isinstance(value, bool) or not isinstance(value, int):
            raise TbelError(f"bitwise operation on {type_of(value)}")
    if isinstance(right, Byte | Short):
        raise TbelError(f"{type_of(right)} cannot be cast to Integer")
    wide = isinstance(left, Long)
    if op in ("&", "|", "^"):
        value = {"&": operator.and_, "|": operator.or_, "^": operator.xor}[op](
            int(left), int(right)
        )
        return Long(value) if wide or isinstance(right, Long) else value
    return _shift(int(left), op, int(right), wide)


def _shift(left: int, op: str, right: int, wide: bool) -> int:
    bits = 64 if wide else 32
    wrap: Callable[[int], int] = wrap_long if wide else wrap_int
    distance = right & (bits - 1)
    if op == "<<":
        return wrap(left << distance)
    if op == ">>":
        return wrap(left >> distance)
    if op == ">>>":
        return wrap((left & ((1 << bits) - 1)) >> distance)
    return wrap(abs(left) << distance)


def _same_int(left: Any, op: str, right: Any) -> Any:
    a, b = wrap_int(_integral(left)), wrap_int(_integral(right))
    if op == "/":
        return divided(float(left), float(b))
    if op == "**":
        value = power(a, b)
        return value if value > INT_MAX else saturate(value, INT_MIN, INT_MAX)
    if op == "%":
        return truncated_remainder(a, b)
    return integer({"+": operator.add, "-": operator.sub, "*": operator.mul}[op](a, b))


def _same_long(left: Any, op: str, right: Any) -> Any:
    a, b = _integral(left), _integral(right)
    if op == "/":
        return divided(float(left), float(right))
    if op == "**":
        value = power(a, b)
        return value if value > LONG_MAX else Long(saturate(value, LONG_MIN, LONG_MAX))
    if op == "%":
        return Long(truncated_remainder(a, b))
    return wrap_long({"+": operator.add, "-": operator.sub, "*": operator.mul}[op](a, b))


def _same_small(left: Any, op: str, right: Any) -> Any:
    a, b = _integral(left), _integral(right)
    if op == "/":
        return divided(float(a), float(b))
    if op == "**":
        return saturate(power(a, b), INT_MIN, INT_MAX)
    if op == "%":
        return truncated_remainder(a, b)
    return wrap_int({"+": operator.add, "-": operator.sub, "*": operator.mul}[op](a, b))


def _same_double(left: Any, op: str, right: Any) -> Any:
    return _ON_DOUBLES[op](_as_double(left, W_DOUBLE), _as_double(right, W_DOUBLE))


def _same_float(left: Any, op: str, right: Any) -> Any:
    a, b = to_float(_as_double(left, W_FLOAT)), to_float(_as_double(right, W_FLOAT))
    if op == "/":
        return divided(float(left), float(right))
    value = _ON_DOUBLES[op](a, b)
    return float(value) if op == "**" else to_float(value)


def _same_big(left: Any, op: str, right: Any) -> Any:
    if op == "**" and not 0 <= right <= 1000:
        raise TbelError("the exponent is out of range")
    if op == "/":
        return BigInteger(truncated_quotient(int(left), int(right)))
    if op == "%":
        return BigInteger(truncated_remainder(int(left), int(right)))
    rule = {"+": operator.add, "-": operator.sub, "*": operator.mul, "**": operator.pow}[op]
    return BigInteger(rule(int(left), int(right)))


_SAME: dict[int, Callable[[Any, str, Any], Any]] = {
    W_INTEGER: _same_int, INTEGER: _same_int, W_LONG: _same_long, LONG: _same_long,
    W_BYTE: _same_small, BYTE: _same_small, W_SHORT: _same_small, SHORT: _same_small,
    W_DOUBLE: _same_double, DOUBLE: _same_double, W_FLOAT: _same_float, FLOAT: _same_float,
    BIG_INTEGER: _same_big,
}  # fmt: skip


def _compare_same(code: int, left: Any, op: str, right: Any) -> bool:
    if left is None or right is None:
        if code in (W_INTEGER, INTEGER) or (right is None and op in ("==", "!=")):
            raise TbelError("null pointer: a variable of a known type is null")
        if op == "==":
            return left is right
        return op == "!=" and left is not right
    if code in (W_DOUBLE, DOUBLE, W_FLOAT, FLOAT):
        return COMPARISONS[op](_as_double(left, code), _as_double(right, code))
    a, b = _integral(left), _integral(right)
    if code in (W_INTEGER, INTEGER):
        a, b = wrap_int(a), wrap_int(b)
    return COMPARISONS[op](a, b)


def _same_kind(code: int, left: Any, op: str, right: Any) -> Any:
    if op in BITWISE:
        if code in (W_DOUBLE, DOUBLE, W_FLOAT, FLOAT):
            raise TbelError("bitwise operation on a non-fixed-point number.")
        return _bits(left, op, right) if code in _SAME else None
    rule = _SAME.get(code)
    if rule is not None:
        if op in COMPARISONS:
            return _compare_same(code, left, op, right)
        if code == W_DOUBLE and (left is None or right is None):
            raise TbelError("null pointer: a variable of a known type is null")
        return rule(left, op, right)
    if code == COLLECTION and op == "+":
        return PlainList([*left, *right])
    if code == W_BOOLEAN and (left is None or right is None):
        raise TbelError("null pointer: a variable of a known type is null")
    if op == "==":
        return _equals(left, right)
    if op == "!=":
        return not _equals(left, right)
    if code == COLLECTION:
        raise TbelError("illegal operation on Collection type")
    return to_text(left) + to_text(right) if op == "+" else None


def _equals(left: Any, right: Any) -> bool:
    if isinstance(right, Blank):
        return _is_blank(left)
    return same(left, right)


def _is_blank(value: Any) -> bool:
    if value is None or value is False:
        return True
    if isinstance(value, str):
        return not value.strip()
    if isinstance(value, int | float):
        return value == 0
    return isinstance(value, list | dict | TbSet) and len(value) == 0


def _order(left: Any, op: str, right: Any) -> bool:
    if right is None or not isinstance(left, str | int | float | BigDecimal):
        return False
    if type_of(left) != type_of(right):
        raise TbelError(f"uncomparable values <<{to_text(left)}>> and <<{to_text(right)}>>")
    return COMPARISONS[op](left, right)


def _other(code: int, left: Any, op: str, right: Any) -> Any:
    if op == "+":
        if code == COLLECTION:
            if not isinstance(left, list | TbSet):
                raise TbelError(f"{type_of(left)} cannot be cast to Collection")
            return PlainList([*left, right])
        return to_text(left) + to_text(right)
    if op == "==":
        return _equals(left, right)
    if op == "!=":
        return not _equals(left, right)
    if op in ("-", "/", "*", "%"):
        return None
    if op in COMPARISONS:
        return _order(left, op, right)
    if op == "#":
        return to_text(left) + to_text(right)
    raise TbelError(
        f"could not perform numeric operation {op} on {type_of(left)} and {type_of(right)}"
    )


def _numeric(code1: int, left: Any, op: str, code2: int, right: Any) -> bool:
    if code1 >= W_BYTE and code2 >= W_BYTE:
        return True
    if op == "+" or not (is_number(left) and is_number(right)):
        return False
    return code1 >= W_BYTE or code2 >= W_BYTE or op not in (">", ">=", "<", "<=")


def operate(code1: int, left: Any, op: str, code2: int, right: Any) -> Any:
    """Apply an operator of arithmetic, comparison or bits, or `#`.

    Args:
        code1, code2: codes known when the script was compiled, 0 for "take the value's".

    Raises:
        TbelError: the operator does not fit the values.
    """
    known1, known2 = code1, code2
    if code1 < 1:
        code1 = code_of(left)
    if code2 < 1:
        code2 = code_of(right)
    if op == "#":
        return _other(code1, left, op, right)
    bits = op in BITWISE
    if bits and code1 in _INTEGRAL and code2 in _INTEGRAL:
        _check_bits(known1, left, known2, right)
    if code1 == code2 and (code1 > 49 or op in ("==", "!=")) and not (bits and code1 < 99):
        return _same_kind(code1, left, op, right)
    if bits and code1 in _INTEGRAL and code2 in _INTEGRAL:
        return _bits(_bit_of(left), op, _bit_of(right))
    if right is not None and _numeric(code1, left, op, code2, right):
        target = max(_BOXED.get(code2, code2), _BOXED.get(code1, code1))
        return _mixed(_as_double(left, code1), op, _as_double(right, code2), target)
    return _mismatched(code1, left, op, code2, right)


def _check_bits(code1: int, left: Any, code2: int, right: Any) -> None:
    """Operators of bits take the left side for what it was when the script was compiled.

    `long a = 6; a & 3` fails, and so does `(big & 255) | 1`, as `&` counts as an Integer.
    """
    known = _BOXED.get(code1, code1)
    if known in (W_INTEGER, W_LONG, W_BOOLEAN) and code_of(left) != known:
        raise TbelError(f"{type_of(left)} is not of the type that its place has")
    if _BOXED.get(code2, code2) == W_BOOLEAN and code_of(right) != W_BOOLEAN:
        raise TbelError(f"{type_of(right)} cannot be cast to Boolean")


def _bit_of(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else value


def _mismatched(code1: int, left: Any, op: str, code2: int, right: Any) -> Any:
    pair = (code1, code2)
    if op != "+" and W_BOOLEAN in pair and code1 != code2 and EMPTY_CODE not in pair:
        return _other(code1, convert(left, "Boolean"), op, convert(right, "Boolean"))
    if STRING in pair and not {CHAR, W_CHAR}.isdisjoint(pair):
        if code1 == STRING:
            return _other(code1, left, op, to_text(right))
        return _other(code1, to_text(left), op, right)
    return _other(code1, left, op, right)


def int_operation(op: str, left: Any, right: Any) -> Any:
    """The rule for two sides that are both Integer by their compile-time type.

    Sums and differences widen to long, products wrap around, quotients are cut off.

    Raises:
        TbelError: a side is no Integer after all.
    """
    if type(left) is not int or type(right) is not int:
        wrong = right if type(left) is int else left
        if wrong is None:
            raise TbelError("null where an Integer was expected")
        raise TbelError(f"{type_of(wrong)} cannot be cast to class java.lang.Integer")
    if op == "+":
        return integer(left + right)
    if op == "-":
        return integer(left - right)
    if op == "*":
        return wrap_int(left * right)
    return wrap_int(truncated_quotient(left, right))
