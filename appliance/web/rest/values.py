"""Values as the telemetry API writes and reads them (spec §4.4)."""

from __future__ import annotations

from typing import Any

import msgspec

from appliance.model.telemetry import Value
from appliance.payload import PayloadError, parse_attributes, parse_json
from appliance.rules.tbel.text import double_text


def shown(value: Value, *, strict: bool) -> Any:
    """The value itself where strict, else as text the way Java prints it."""
    if strict or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return double_text(value) if isinstance(value, float) else msgspec.json.encode(value).decode()


def attribute_values(body: bytes) -> dict[str, Value]:
    """An attributes payload, typed as a device's. Raises PayloadError in the reference's words."""
    document = parse_json(body)
    if not isinstance(document, dict):
        raise PayloadError("Request is not a JSON object")
    if any(not key.strip() for key in document):
        raise PayloadError("Key cannot be blank")
    refuse_nulls(body)
    return parse_attributes(body)


def refuse_nulls(body: bytes) -> None:
    """A device's null is left out, a person's is a mistake. In strict JSON only.

    Raises PayloadError.
    """
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return
    for element in document if isinstance(document, list) else [document]:
        timed = "ts" in element and "values" in element
        values = element["values"] if timed else element
        if isinstance(values, dict) and None in values.values():
            raise PayloadError("Can't parse value: null")
