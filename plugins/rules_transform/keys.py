"""rename keys, delete key-value pairs, copy key-value pairs: on the top level.

Data that is no object goes through unchanged. Keys to delete or copy are regular expressions that
must match the whole key.
"""

from __future__ import annotations

from typing import Any, Literal

from appliance.model.message import Message
from appliance.rules.conditions import as_boolean
from appliance.rules.context import Context
from appliance.rules.messages import with_data, with_metadata
from appliance.rules.node import PACKAGE, NodeConfig, NodeFactory, NodeHandle, require
from appliance.rules.tbel import TbelError
from appliance.rules.tbel.regex import java_pattern
from appliance.rules.values import java_text

Place = Literal["DATA", "METADATA"]


class RenameConfig(NodeConfig, frozen=True, kw_only=True):
    """rename_keys_mapping: old name to new name, in the order given."""

    rename_in: Place | None = None
    rename_keys_mapping: dict[str, str] = {}


class RenameKeys:
    """rename keys. A new name goes to the end, an existing one is overwritten in place."""

    def __init__(self, config: RenameConfig, node: NodeHandle) -> None:
        require(config.rename_keys_mapping, "At least one mapping entry should be specified!")
        self._in_data = _is_data(config.rename_in, "RenameIn")
        self._mapping = config.rename_keys_mapping

    def process(self, message: Message, ctx: Context) -> None:
        """Success with the new names."""
        source = message.data if self._in_data else message.metadata
        if not isinstance(source, dict):
            ctx.success(message)
            return
        renamed = dict(source)
        for old, new in self._mapping.items():
            if old in renamed:
                renamed[new] = renamed[old]
                del renamed[old]
        ctx.success((with_data if self._in_data else with_metadata)(message, renamed))


class DeleteConfig(NodeConfig, frozen=True, kw_only=True):
    """keys: regular expressions."""

    delete_from: Place | None = None
    keys: list[str] | None = None


class DeleteKeys:
    """delete key-value pairs."""

    def __init__(self, config: DeleteConfig, node: NodeHandle) -> None:
        self._in_data = _is_data(config.delete_from, "DeleteFrom")
        self._keys = _Keys(config.keys)

    def process(self, message: Message, ctx: Context) -> None:
        """Success without the keys."""
        source = message.data if self._in_data else message.metadata
        if isinstance(source, dict):
            left = {key: value for key, value in source.items() if key not in self._keys}
            message = (with_data if self._in_data else with_metadata)(message, left)
        ctx.success(message)


class CopyConfig(NodeConfig, frozen=True, kw_only=True):
    """keys: regular expressions."""

    copy_from: Place | None = None
    keys: list[str] | None = None


class CopyKeys:
    """copy key-value pairs: from data to metadata or back."""

    def __init__(self, config: CopyConfig, node: NodeHandle) -> None:
        self._from_data = _is_data(config.copy_from, "CopyFrom")
        self._keys = _Keys(config.keys)

    def process(self, message: Message, ctx: Context) -> None:
        """Success with the copies."""
        if isinstance(message.data, dict):
            source: dict[str, Any] = message.data if self._from_data else message.metadata
            copies = {key: value for key, value in source.items() if key in self._keys}
            if self._from_data:
                texts = {key: java_text(value) for key, value in copies.items()}
                message = with_metadata(message, {**message.metadata, **texts})
            else:
                message = with_data(message, {**message.data, **copies})
        ctx.success(message)


class _Keys:
    """A set of keys, by regular expressions. Raises ConfigError for a bad one, or for none."""

    def __init__(self, expressions: list[str] | None) -> None:
        require(expressions is not None, "the keys are missing")
        try:
            self._expressions = [java_pattern(expression) for expression in expressions or ()]
        except TbelError as error:
            require(False, str(error))

    def __contains__(self, key: str) -> bool:
        return any(expression.fullmatch(key) for expression in self._expressions)


def _is_data(place: Place | None, name: str) -> bool:
    require(place, f"{name} can't be null! Allowed values: [DATA, METADATA]")
    return place == "DATA"


def _place(key: str) -> Any:
    def upgrade(config: dict[str, Any], version: int) -> dict[str, Any]:
        """Before version 2 a flag `fromMetadata` said which."""
        flag = as_boolean(config.pop("fromMetadata", False))
        config.setdefault(key, "METADATA" if flag else "DATA")
        return config

    return upgrade


KEY_NODES = (
    NodeFactory(
        PACKAGE + "transform.TbRenameKeysNode",
        "rename keys",
        RenameConfig,
        RenameKeys,
        version=2,
        upgrade=_place("renameIn"),
    ),
    NodeFactory(
        PACKAGE + "transform.TbDeleteKeysNode",
        "delete key-value pairs",
        DeleteConfig,
        DeleteKeys,
        version=2,
        upgrade=_place("deleteFrom"),
    ),
    NodeFactory(
        PACKAGE + "transform.TbCopyKeysNode",
        "copy key-value pairs",
        CopyConfig,
        CopyKeys,
        version=2,
        upgrade=_place("copyFrom"),
    ),
)
