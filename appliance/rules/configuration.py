"""Reading a node's configuration with the reference's leniency.

Its reader takes a number or a truth where a text is wanted (the UI stores the constant of a math
function as a number), cuts a fraction off where a whole number is wanted, and counts null as not
given wherever it stands; an empty text is no number, no truth and no id. Texts that are numbers or
truths are msgspec's own leniency (`strict=False`).

A key that it does not know it refuses, and the node does not start. So do we, in configurations of
the version that we know: an older one is upgraded, a newer one may have keys that came since.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from appliance.model.errors import ConfigError
from appliance.rules.tbel.text import double_text

S = TypeVar("S", bound=msgspec.Struct)
_NEVER_EMPTY = (inspect.IntType, inspect.FloatType, inspect.BoolType, inspect.UUIDType)
_type_of = cache(inspect.type_info)


def read_configuration(raw: Mapping[str, Any], struct: type[S], *, whole: bool = False) -> S:
    """The struct that a raw object means. Raises ConfigError.

    whole: every key must be known, unless the struct `ignores_unknown` or has no fields at all.
    """
    wanted = _type_of(struct)
    if whole and (unknown := _unknown(raw, wanted)):
        raise ConfigError(f"bad configuration: unknown key {unknown}")
    try:
        return msgspec.convert(_read(raw, wanted), struct, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"bad configuration: {error}") from None


def _unknown(value: Any, wanted: inspect.Type) -> str:
    """The path of a key that its struct has not; empty if there is none."""
    match wanted:
        case inspect.UnionType(types=types):
            return next((path for kind in types if (path := _unknown(value, kind))), "")
        case inspect.StructType(fields=fields) if isinstance(value, Mapping) and fields:
            known = {field.encode_name: field.type for field in fields}
            for key, item in value.items():
                if key in known:
                    if inner := _unknown(item, known[key]):
                        return f"{key}.{inner}"
                elif not getattr(wanted.cls, "ignores_unknown", False):
                    return str(key)
        case inspect.ListType(item_type=kind) if isinstance(value, list):
            return next((path for item in value if (path := _unknown(item, kind))), "")
    return ""


def _read(value: Any, wanted: inspect.Type) -> Any:
    """The value as its type wants it; None where it counts as not given."""
    match wanted:
        case inspect.UnionType(types=types):
            kinds = [kind for kind in types if not isinstance(kind, inspect.NoneType)]
            return _read(value, kinds[0]) if len(kinds) == 1 else value
        case inspect.StructType(fields=fields) if isinstance(value, Mapping):
            known = {field.encode_name: field.type for field in fields}
            read = {key: _read(item, known[key]) for key, item in value.items() if key in known}
            return {key: item for key, item in read.items() if item is not None}
        case inspect.ListType(item_type=kind) if isinstance(value, list):
            return [_read(item, kind) for item in value]
        case inspect.DictType(value_type=kind) if isinstance(value, dict):
            read = {key: _read(item, kind) for key, item in value.items()}
            return {key: item for key, item in read.items() if item is not None}
    return _scalar(value, wanted)


def _scalar(value: Any, wanted: inspect.Type) -> Any:
    if isinstance(wanted, inspect.StrType) and isinstance(value, int | float):
        return double_text(value) if isinstance(value, float) else str(value).lower()
    if isinstance(wanted, inspect.IntType) and isinstance(value, float):
        return int(value)
    return None if value == "" and isinstance(wanted, _NEVER_EMPTY) else value
