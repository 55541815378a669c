"""What happens at the HTTP port."""

from __future__ import annotations

from typing import ClassVar

from appliance.kernel.events import Event


class WebStarted(Event, frozen=True):
    """The port is open."""

    text: ClassVar[str] = "listening for HTTP on {address}"
    address: str


class RequestFailed(Event, frozen=True):
    """A handler ended with an error of ours; the client was answered 500."""

    level: ClassVar[str] = "error"
    text: ClassVar[str] = "{method} {path} failed: {error}"
    counters: ClassVar[dict[str, str]] = {"http_requests_failed": ""}
    method: str
    path: str
    error: str


class ConnectionRefused(Event, frozen=True):
    """Too many connections; this one was answered 503 and closed."""

    level: ClassVar[str] = "warning"
    text: ClassVar[str] = "refused a connection from {peer}: {connections} are open"
    counters: ClassVar[dict[str, str]] = {"http_connections_refused": ""}
    peer: str
    connections: int


class RequestRefused(Event, frozen=True):
    """A request that is not HTTP, too large or too slow; the connection was closed."""

    level: ClassVar[str] = "debug"
    text: ClassVar[str] = "refused a request from {peer} with status {status}"
    counters: ClassVar[dict[str, str]] = {"http_requests_refused": ""}
    labels: ClassVar[tuple[str, ...]] = ("status",)
    peer: str
    status: int


class ConnectionFailed(Event, frozen=True):
    """A connection ended by an error of ours; the others go on."""

    level: ClassVar[str] = "error"
    text: ClassVar[str] = "the connection of {peer} ended by an internal error: {error}"
    counters: ClassVar[dict[str, str]] = {"http_connections_failed": ""}
    peer: str
    error: str
