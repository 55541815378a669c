"""The core's own sections; a plugin brings its section with its spec."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from appliance.config.fields import Bytes, Count, Milliseconds, RemotePort, Seconds, Secret


class CloudConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The ThingsBoard server this edge belongs to.

    routing_key: the edge's key, as the server's edge page shows it.
    secret: the edge's secret, from the same page.
    host: name or address of the server's edge port.
    port: the server's edge port (its `edges.rpc.port`).
    timeout_ms: time to establish the connection, name lookup and TLS included.
    tls: speak TLS to the server.
    tls_certificate: PEM file to trust instead of the system's authorities.
    proxy: reach the server through an HTTP proxy (CONNECT).
    proxy_host: name or address of the proxy.
    proxy_port: port of the proxy.
    proxy_username: user for the proxy; empty sends none.
    proxy_password: password for the proxy.
    version: EdgeVersion to announce; 13 (4.3.0) suits 4.3 servers and later, 12 suits 4.2.
    reconnect_interval_ms: first wait after the link broke; each further wait doubles.
    reconnect_max_interval_ms: the longest wait between two tries.
    keepalive_time_s: a ping is sent when the link was silent for so long.
    keepalive_timeout_s: without an answer to the ping the link counts as broken.
    max_inbound_message_size: largest message we take, announced to the server.
    """

    routing_key: str = ""
    secret: Secret = Secret()
    host: str = "localhost"
    port: RemotePort = 7070
    timeout_ms: Milliseconds = 5_000
    tls: bool = False
    tls_certificate: str = ""
    proxy: bool = False
    proxy_host: str = ""
    proxy_port: Annotated[int, Meta(ge=0, le=65_535)] = 0
    proxy_username: str = ""
    proxy_password: Secret = Secret()
    version: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 13
    reconnect_interval_ms: Milliseconds = 3_000
    reconnect_max_interval_ms: Milliseconds = 60_000
    keepalive_time_s: Seconds = 30.0
    keepalive_timeout_s: Seconds = 5.0
    max_inbound_message_size: Bytes = 4_194_304

    def __post_init__(self) -> None:
        if self.reconnect_max_interval_ms < self.reconnect_interval_ms:
            raise ValueError("reconnect_max_interval_ms is below reconnect_interval_ms")
        if self.proxy and not (self.proxy_host and self.proxy_port):
            raise ValueError("proxy = true needs proxy_host and proxy_port")
        if bool(self.routing_key) != bool(self.secret):
            raise ValueError("routing_key and secret belong together; one of them is missing")


class UplinkConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How events travel from the outbox to the peer.

    batch_size: most events in one message.
    batch_timeout_ms: a message that is not full is sent after so long.
    window: most messages on the way without an acknowledgement.
    retry_interval_ms: wait before an unanswered or refused message is sent again.
    max_retries: after so many tries a refused event is put into quarantine.
    ack_timeout_ms: a message not answered within it is sent again.
    """

    batch_size: Count = 100
    batch_timeout_ms: Milliseconds = 1_000
    window: Annotated[int, Meta(ge=1, le=10_000)] = 50
    retry_interval_ms: Milliseconds = 3_000
    max_retries: Annotated[int, Meta(ge=0, le=1_000)] = 10
    ack_timeout_ms: Milliseconds = 60_000


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
    "uplink": UplinkConfig,
    "log": LogConfig,
    "plugins": PluginsConfig,
}
"""Name in the TOML file -> struct, in the order of the documentation."""
