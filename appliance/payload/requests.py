"""What devices ask for: claims, calls, and the scalars in them (§1.6, §2.4, §2.6).

As lenient as the reference's parser: a number or a flag stands for its text, a text of digits for
its number.
"""

from __future__ import annotations

import re
from typing import Any

from appliance.payload.errors import PayloadError
from appliance.payload.values import LONG_MAX, LONG_MIN

_WHOLE = re.compile(r"[+-]?[0-9]{1,19}")


def read_claim(document: Any) -> tuple[str, int | None]:
    """(secret key, duration in ms or None) of a claim. Raises PayloadError."""
    if not isinstance(document, dict):
        raise PayloadError("a claim is an object", hint='{"secretKey": "…", "durationMs": 1}')
    duration_ms = document.get("durationMs")
    return (
        read_text(document, "secretKey", ""),
        None if duration_ms is None else read_whole(document, "durationMs"),
    )


def read_call(document: Any) -> tuple[str, Any]:
    """(method, params) of a request to the server. Raises PayloadError."""
    if not isinstance(document, dict) or document.get("method") is None:
        raise PayloadError("An RPC needs a 'method'", hint='{"method": "name", "params": {}}')
    return read_text(document, "method"), document.get("params")


def read_text(document: dict[str, Any], name: str, otherwise: str | None = None) -> str:
    """A member as text. Raises PayloadError where it is missing, or no scalar."""
    value = document.get(name)
    if value is None and otherwise is not None:
        return otherwise
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise PayloadError(f"'{name}' must be a text")
    return str(value)


def read_whole(document: dict[str, Any], name: str) -> int:
    """A member as a whole number of 64 bits. Raises PayloadError."""
    value = document.get(name)
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int or not LONG_MIN <= value <= LONG_MAX:
        raise PayloadError(f"'{name}' must be a whole number")
    return value
