"""The core's own sections; a plugin brings its section with its spec."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from appliance.config.fields import Count, Milliseconds, Secret
from appliance.web.config import WebConfig


class CloudConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who this edge is at its ThingsBoard server; where the server is says `[transport]`.

    routing_key: the edge's key, as the server's edge page shows it; empty works without a server.
    secret: the edge's secret, from the same page.
    version: EdgeVersion to announce; 13 (4.3.0) suits 4.3 servers and later, 12 suits 4.2.
    reconnect_interval_ms: first wait after the link broke; each further wait doubles.
    reconnect_max_interval_ms: the longest wait between two tries.
    adopt: take over a data folder that belongs to another edge; what that one has not sent is put
    into quarantine, its entities go.
    unassigned: what a full sync does with devices, assets, views, dashboards and rule chains that
    the server does not assign to this edge any more: remove, mark (additionalInfo), or keep.
    full_sync_after_outage_s: ask for a full sync when the link was away so long, or data come
    about something that is not here; at most once a day; 0 = only when asked.
    """

    routing_key: str = ""
    secret: Secret = Secret()
    version: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 13
    reconnect_interval_ms: Milliseconds = 3_000
    reconnect_max_interval_ms: Milliseconds = 60_000
    adopt: bool = False
    unassigned: Literal["remove", "mark", "keep"] = "remove"
    full_sync_after_outage_s: Annotated[int, Meta(ge=0, le=31_536_000)] = 3_600

    def __post_init__(self) -> None:
        if self.reconnect_max_interval_ms < self.reconnect_interval_ms:
            raise ValueError("reconnect_max_interval_ms is below reconnect_interval_ms")
        if bool(self.routing_key) != bool(self.secret):
            raise ValueError("routing_key and secret belong together; one of them is missing")


class CloudRoleConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `appliance cloud` plays.

    type: the edition that edges are told. With PE, what an edge makes goes into the group
    `[Edge] <name of edge> All`, and there users who are no administrators may make devices too.
    """

    type: Literal["CE", "PE"] = "CE"


class UplinkConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How events travel from the outbox to the peer.

    batch_size: most events in one message.
    batch_timeout_ms: a message that is not full is sent after so long.
    window: most messages on the way without an acknowledgement.
    retry_interval_ms: wait before an unanswered or refused message is sent again.
    max_retries: after so many tries a refused event is put into quarantine.
    ack_timeout_ms: a message not answered within it counts as refused if later ones were answered;
    where none is, the link is made anew.
    """

    batch_size: Count = 100
    batch_timeout_ms: Milliseconds = 1_000
    window: Annotated[int, Meta(ge=1, le=10_000)] = 32
    retry_interval_ms: Milliseconds = 3_000
    max_retries: Annotated[int, Meta(ge=0, le=1_000)] = 10
    ack_timeout_ms: Milliseconds = 60_000


class FieldsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Calculated fields and alarm rules; the edge runs them, as the server does on the same values.

    off: types that are left to the server, for example ["ALARM", "GEOFENCING"].
    """

    off: list[
        Literal[
            "SIMPLE",
            "SCRIPT",
            "ALARM",
            "GEOFENCING",
            "PROPAGATION",
            "RELATED_ENTITIES_AGGREGATION",
            "ENTITY_AGGREGATION",
        ]
    ] = []


class LogConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The log, on standard error.

    format: console for people, json for machines: one object a line.
    level: the least severe level to write.
    """

    format: Literal["console", "json"] = "console"
    level: Literal["debug", "info", "warning", "error"] = "info"


class PluginsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Plugins from outside.

    dir: folder of wheels and package folders; a relative path is under the data folder.
    enabled: load them at all.
    """

    dir: Path = Path("plugins")
    enabled: bool = True


SECTIONS: dict[str, type[msgspec.Struct]] = {
    "cloud": CloudConfig,
    "cloud_role": CloudRoleConfig,
    "uplink": UplinkConfig,
    "fields": FieldsConfig,
    "web": WebConfig,
    "log": LogConfig,
    "plugins": PluginsConfig,
}
"""Name in the TOML file -> struct, in the order of the documentation."""
