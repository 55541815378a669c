"""What happens on the way to an edge."""

from __future__ import annotations

from typing import ClassVar

from appliance.kernel.events import Event


class EdgeConnected(Event, frozen=True):
    """An edge was accepted."""

    text: ClassVar[str] = "edge {name!r} connected from {peer}"
    counters: ClassVar[dict[str, str]] = {"edge_connects": ""}
    name: str
    peer: str


class EdgeRefused(Event, frozen=True):
    """A connection was not accepted."""

    level: ClassVar[str] = "warning"
    text: ClassVar[str] = "connection from {peer} refused: {reason}"
    counters: ClassVar[dict[str, str]] = {"edge_refusals": ""}
    peer: str
    reason: str


class EdgeDisconnected(Event, frozen=True):
    """An edge's link ended."""

    text: ClassVar[str] = "edge {name!r} disconnected: {reason}"
    counters: ClassVar[dict[str, str]] = {"edge_disconnects": ""}
    name: str
    reason: str


class UplinkApplied(Event, frozen=True):
    """Messages of an edge are durable and acknowledged."""

    level: ClassVar[str] = "debug"
    text: ClassVar[str] = "{messages} messages with {entries} telemetry entries from {name!r}"
    counters: ClassVar[dict[str, str]] = {
        "uplink_messages": "messages",
        "uplink_entries": "entries",
        "uplink_ignored": "ignored",
        "uplink_kept": "kept",
    }
    name: str
    messages: int
    entries: int
    ignored: int
    kept: int = 0
