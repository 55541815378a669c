"""Values as the telemetry API writes and reads them (spec §4.4)."""

from __future__ import annotations

from typing import Any

import msgspec

from appliance.model.telemetry import Value
from appliance.rules.tbel.text import double_text

_LONG_MIN, _LONG_MAX = -(2**63), 2**63 - 1


def shown(value: Value, *, strict: bool) -> Any:
    """The value itself where strict, else as text the way Java prints it."""
    if strict or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return double_text(value) if isinstance(value, float) else msgspec.json.encode(value).decode()


def attribute_values(body: Any) -> dict[str, Value]:
    """An attributes payload. Raises ValueError in the reference's words."""
    if not isinstance(body, dict):
        raise ValueError("Request is not a JSON object")
    for key, value in body.items():
        if value is None:
            raise ValueError("Can't parse value: null")
        if isinstance(value, int) and not _LONG_MIN <= value <= _LONG_MAX:
            raise ValueError(f"Can't parse value: {value}")
        if not key.strip() or len(key) > 255 or "\0" in key:
            raise ValueError(f"Not a key: {key[:80]!r}")
    return body
