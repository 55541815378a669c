"""Attributes: scopes by name, and what counts as a change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from appliance.extension.ports import AttributeValue
from appliance.model.ids import EntityId
from appliance.model.message import Message
from appliance.model.telemetry import AttributeDelete, Scope, Value
from appliance.rules.context import Context
from appliance.rules.node import NodeError
from appliance.rules.values import json_text
from appliance.state.deleted import delete_for_good

_SCOPES = {scope.value: scope for scope in Scope}


def scope_of(name: str) -> Scope:
    """The scope of that name. Raises NodeError for any other."""
    scope = _SCOPES.get(name)
    if scope is None:
        raise NodeError(f"No attribute scope {name!r}")
    return scope


def deleted_keys(message: Message) -> list[str]:
    """The keys of an ATTRIBUTES_DELETED message. Raises NodeError where it has none."""
    keys = message.data.get("attributes") if isinstance(message.data, dict) else None
    if not isinstance(keys, list):
        raise NodeError("the message names no attributes")
    return [key for key in keys if isinstance(key, str)]


def delete_attributes(ctx: Context, entity: EntityId, scope: Scope, keys: Sequence[str]) -> int:
    """Delete attributes for good; the moment, behind that of what was there (§8.2).

    Else a value of a peer whose clock is ahead would stay, and an older one would come back.
    """
    ts = ctx.state.next_ms(entity, scope, keys, ctx.now())
    delete_for_good(ctx.unit, AttributeDelete(entity, scope, tuple(keys), ts))
    return ts


def changed_values(
    stored: Mapping[str, AttributeValue], values: dict[str, Value]
) -> dict[str, Value]:
    """The values that are new or differ; 1 and 1.0 differ, so do JSON texts in other order."""
    return {
        key: value
        for key, value in values.items()
        if (old := stored.get(key)) is None or not _same(old.value, value)
    }


def _same(old: Value, new: Value) -> bool:
    if type(old) is not type(new):
        return False
    if isinstance(new, dict | list):
        return json_text(old) == json_text(new)
    return old == new
