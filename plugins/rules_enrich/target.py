"""Where fetched values go: data or metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from appliance.model.message import Message
from appliance.rules.conditions import as_boolean
from appliance.rules.messages import with_data, with_metadata
from appliance.rules.node import NodeConfig, NodeError, require
from appliance.rules.values import java_text

FetchTo = Literal["DATA", "METADATA"]


class FetchConfig(NodeConfig, frozen=True, kw_only=True):
    """fetch_to: must be given."""

    fetch_to: FetchTo | None = None


class Target:
    """Puts values into messages. Raises ConfigError when there is no fetchTo."""

    def __init__(self, config: FetchConfig) -> None:
        require(config.fetch_to, "FetchTo option can't be null! Allowed values: [DATA, METADATA]")
        self._data = config.fetch_to == "DATA"

    def check(self, message: Message) -> None:
        """Raises NodeError when the message cannot take values."""
        if self._data and not isinstance(message.data, dict):
            raise NodeError("Message body is not an object!")

    def put(self, message: Message, values: Mapping[str, Any]) -> Message:
        """The message with the values; in metadata as text."""
        if self._data:
            return with_data(message, {**message.data, **values})
        texts = {key: java_text(value) for key, value in values.items()}
        return with_metadata(message, {**message.metadata, **texts})


def fetch_to_of_v0(key: str, data_when: bool) -> Any:
    """An upgrade from version 0, where a boolean key said where values go."""

    def upgrade(config: dict[str, Any], version: int) -> dict[str, Any]:
        flag = as_boolean(config.pop(key, False))
        config.setdefault("fetchTo", "DATA" if flag is data_when else "METADATA")
        return config

    return upgrade
