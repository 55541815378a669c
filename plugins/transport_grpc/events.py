"""What happens on the wire."""

from __future__ import annotations

from typing import ClassVar

from appliance.kernel.events import Event


class LinkOpened(Event, frozen=True):
    """A stream to or from a peer is open; nobody has said who they are yet."""

    level: ClassVar[str] = "debug"
    text: ClassVar[str] = "stream open with {peer}"
    counters: ClassVar[dict[str, str]] = {"links_opened": ""}
    peer: str


class ConnectionRefused(Event, frozen=True):
    """A connection that came to nothing: too many, TLS failed, not our method."""

    level: ClassVar[str] = "warning"
    text: ClassVar[str] = "refused a connection from {peer}: {reason}"
    counters: ClassVar[dict[str, str]] = {"link_connections_refused": ""}
    peer: str
    reason: str


class ProtocolViolated(Event, frozen=True):
    """The peer sent what cannot be read or is too large; the stream was ended."""

    level: ClassVar[str] = "warning"
    text: ClassVar[str] = "ended the stream with {peer}: {status}: {reason}"
    counters: ClassVar[dict[str, str]] = {"link_violations": ""}
    labels: ClassVar[tuple[str, ...]] = ("status",)
    peer: str
    status: str
    reason: str


class PeerSilent(Event, frozen=True):
    """A ping stayed unanswered; the connection was dropped."""

    level: ClassVar[str] = "warning"
    text: ClassVar[str] = "dropped the connection with {peer}: silent for {silent_s:.1f} s"
    counters: ClassVar[dict[str, str]] = {"links_silent": ""}
    peer: str
    silent_s: float


class RoomFailed(Event, frozen=True):
    """An error inside the asyncio room that no call could report; its connection is closed."""

    level: ClassVar[str] = "error"
    text: ClassVar[str] = "transport error: {error}"
    counters: ClassVar[dict[str, str]] = {"transport_errors": ""}
    error: str
