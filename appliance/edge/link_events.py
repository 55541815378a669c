"""What happens on the way to the cloud."""

from __future__ import annotations

from typing import ClassVar

from appliance.kernel.events import Event


class CloudConnected(Event, frozen=True):
    """The server accepted us."""

    text: ClassVar[str] = "connected to {peer} as edge {name!r}"
    counters: ClassVar[dict[str, str]] = {"connects": ""}
    peer: str
    name: str


class CloudDisconnected(Event, frozen=True):
    """The link ended or could not be made."""

    level: ClassVar[str] = "warning"
    text: ClassVar[str] = "not connected to the cloud: {reason}; next try in {wait_s:.1f} s"
    counters: ClassVar[dict[str, str]] = {"disconnects": ""}
    reason: str
    wait_s: float


class SyncFinished(Event, frozen=True):
    """The server has sent everything it had to."""

    text: ClassVar[str] = "sync completed after {seconds:.1f} s, {messages} messages"
    counters: ClassVar[dict[str, str]] = {"syncs": ""}
    seconds: float
    messages: int


class DownlinkApplied(Event, frozen=True):
    """Messages from the cloud were applied and acknowledged."""

    level: ClassVar[str] = "debug"
    text: ClassVar[str] = "{count} messages from the cloud applied"
    counters: ClassVar[dict[str, str]] = {"downlink_messages": "count", "kept_unused": "kept"}
    count: int
    kept: int


class DownlinkRefused(Event, frozen=True):
    """A message from the cloud could not be applied; the cloud was told why."""

    level: ClassVar[str] = "warning"
    text: ClassVar[str] = "a message from the cloud was refused: {reason}"
    counters: ClassVar[dict[str, str]] = {"downlink_refused": ""}
    reason: str


class DownlinkIgnored(Event, frozen=True):
    """Part of a message was acknowledged without effect."""

    level: ClassVar[str] = "warning"
    text: ClassVar[str] = "acknowledged without effect: {what}"
    counters: ClassVar[dict[str, str]] = {"downlink_ignored": ""}
    what: str


class VersionLowered(Event, frozen=True):
    """The server does not know the version that we announced."""

    text: ClassVar[str] = "the server does not know version {announced}; announcing {next}"
    announced: int
    next: int


class EntitiesUnassigned(Event, frozen=True):
    """A full sync showed that the server does not assign these to us any more."""

    level: ClassVar[str] = "warning"
    text: ClassVar[str] = "{count} entities are not assigned to this edge any more: {what}"
    counters: ClassVar[dict[str, str]] = {"entities_unassigned": "count"}
    count: int
    what: str


class FolderAdopted(Event, frozen=True):
    """The data folder was another edge's and is this one's now."""

    level: ClassVar[str] = "warning"
    text: ClassVar[str] = (
        "the data folder was edge {old}'s; its {entities} entities and {events} unsent events "
        "were put away, its history is kept"
    )
    old: str
    entities: int
    events: int
