"""Values as devices send them.

A value's ThingsBoard type *is* its Python type: bool, int (LONG), float (DOUBLE), str (STRING),
dict or list (JSON). There is no wrapper and no null: a null never gets this far
(spec/device-and-rest-api.md §1.4, §1.5). An int always fits signed 64 bits.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from appliance.model.ids import EntityId

Value = bool | int | float | str | dict[str, Any] | list[Any]


class Scope(StrEnum):
    """Attribute scopes, by their wire names."""

    SERVER = "SERVER_SCOPE"
    SHARED = "SHARED_SCOPE"
    CLIENT = "CLIENT_SCOPE"


_TTL_S_MAX = 2**31 - 1


def lifetime_s(seconds: int) -> int:
    """Seconds as a series keeps them: one of no use is 0, one of lifetimes 68 years."""
    return max(0, min(seconds, _TTL_S_MAX))


class Series(msgspec.Struct, frozen=True):
    """Values of one entity at one moment: one row group of history.

    ts: epoch milliseconds. ttl_s: 0 keeps as long as retention says. entry: ts and values as one
    encoded `TsKvListProto`, where that is known already, else empty. An event that tells the very
    same values has the very same bytes as its body, and whoever stores both needs not compare.
    """

    entity: EntityId
    ts: int
    values: dict[str, Value]
    ttl_s: int = 0
    entry: bytes = b""


class AttributeWrite(msgspec.Struct, frozen=True):
    """Attributes of one entity in one scope, written at ts (newest ts wins, §8.2)."""

    entity: EntityId
    scope: Scope
    ts: int
    values: dict[str, Value]


class AttributeDelete(msgspec.Struct, frozen=True):
    """Keys to remove from one scope of one entity, if not newer than ts; 0 removes any.

    Like a write it may be committed behind a newer change that was decided before it.
    """

    entity: EntityId
    scope: Scope
    keys: tuple[str, ...]
    ts: int
