"""What devices send, as typed values: the payload rules shared by all device listeners.

Source: spec/device-and-rest-api.md §1.4 (forms), §1.5 (typing and leniency).
"""

from __future__ import annotations

from appliance.payload.errors import PayloadError
from appliance.payload.forms import (
    Post,
    parse_attributes,
    parse_attributes_by_device,
    parse_json,
    parse_telemetry,
    parse_telemetry_by_device,
)
from appliance.payload.requests import read_call, read_claim, read_text, read_whole

__all__ = [
    "PayloadError",
    "Post",
    "parse_attributes",
    "parse_attributes_by_device",
    "parse_json",
    "parse_telemetry",
    "parse_telemetry_by_device",
    "read_call",
    "read_claim",
    "read_text",
    "read_whole",
]
