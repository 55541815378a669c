"""What happens at the device HTTP API."""

from __future__ import annotations

from typing import ClassVar

from appliance.kernel.events import Event


class HttpPayloadRefused(Event, frozen=True):
    """A device sent what can never be taken; it was answered 400 with the reason."""

    level: ClassVar[str] = "warning"
    text: ClassVar[str] = "refused a payload of {device}: {reason}"
    counters: ClassVar[dict[str, str]] = {"http_payloads_refused": ""}
    device: str
    reason: str


class HttpDeviceDeferred(Event, frozen=True):
    """A device was told to come back later (503)."""

    level: ClassVar[str] = "warning"
    text: ClassVar[str] = "told {device} to wait: {reason}"
    counters: ClassVar[dict[str, str]] = {"http_devices_deferred": ""}
    device: str
    reason: str


class HttpTokenRefused(Event, frozen=True):
    """A request with an unknown token (401). The token itself is not shown."""

    level: ClassVar[str] = "debug"
    text: ClassVar[str] = "refused an unknown token from {peer}"
    counters: ClassVar[dict[str, str]] = {"http_tokens_refused": ""}
    peer: str
