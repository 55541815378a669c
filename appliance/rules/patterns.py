"""Patterns in configuration values: `${key}` from metadata, `$[a.b]` from data (§3).

Metadata goes first and what it puts in is scanned once more, as the reference does; what cannot be
resolved stays as typed. `${*}` is all metadata, `$[*]` all data, as JSON. A text without a
pattern costs nothing at run time.
"""

from __future__ import annotations

import re
from typing import Any

from appliance.model.message import Message
from appliance.rules.node import NodeError
from appliance.rules.values import java_text, json_text

_DATA = re.compile(r"\$\[(.*?)\]")


class Pattern:
    """A text with places to fill; None, where a configuration has none, fails each message."""

    __slots__ = ("_plain", "text")

    def __init__(self, text: str | None) -> None:
        self.text = text
        self._plain = None if text is None or "${" in text or "$[" in text else text

    def fill(self, message: Message) -> str:
        """The text for this message. Raises NodeError where there is no pattern."""
        return fill(self.text, message) if self._plain is None else self._plain


def fill(text: str | None, message: Message) -> str:
    """Resolve all patterns of a text. Raises NodeError where there is none."""
    if text is None:
        raise NodeError("Failed to process pattern!")
    if "${" in text:
        text = _from_metadata(text, message.metadata)
        if "${" in text:
            text = _from_metadata(text, message.metadata)
        if "${*}" in text:
            text = text.replace("${*}", json_text(message.metadata))
    if "$[" in text:
        for path in dict.fromkeys(_DATA.findall(text)):
            value = _from_data(path, message.data)
            if value is not None:
                text = text.replace(f"$[{path}]", value)
    return text


def _from_metadata(text: str, metadata: dict[str, str]) -> str:
    for key, value in metadata.items():
        text = text.replace("${" + key + "}", value)
    return text


def _from_data(path: str, data: Any) -> str | None:
    """What a path names, as text; None for nothing, an object or a list."""
    if path == "*":
        return json_text(data)
    for name in path.rstrip(".").split("."):
        if not isinstance(data, dict) or name not in data:
            return None
        data = data[name]
    return None if isinstance(data, dict | list) else java_text(data)
