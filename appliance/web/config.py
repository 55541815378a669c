"""Settings of the HTTP port, section `[web]`."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from appliance.access.audit import ENTRIES_MAX

Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Bytes = Annotated[int, Meta(ge=1_024, le=1_073_741_824)]


class WebConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The one HTTP port for devices, API and pages.

    host: address to listen on; empty listens on all, IPv4 and IPv6.
    port: the port for devices, API and pages; 0 takes a free one.
    connections_max: beyond it a client is answered 503 and closed.
    idle_s_max: a kept-alive connection without a request is closed after it; devices that post
    once a minute keep theirs. head_s_max, body_s_max: time for a client to send its headers, and
    its body. stop_s_max: time for requests in flight when the appliance stops.
    head_bytes_max: largest request line and headers together.
    rpc_body_bytes_max: largest body of a device's RPC, as ThingsBoard sets it
    (spec/device-and-rest-api.md §1.3, §4.1). device_body_bytes_max: of other device routes.
    api_body_bytes_max: of everything else. bodies_bytes_max: all bodies being
    received or worked on together; beyond it a client is told to come back (503).
    audit_entries_max: entries that the audit log keeps; 0 keeps none.
    tls_certificate, tls_key: PEM files; both set turns the port into HTTPS.
    """

    host: str = ""
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8080
    connections_max: Annotated[int, Meta(ge=1, le=100_000)] = 4_096
    idle_s_max: Seconds = 120.0
    head_s_max: Seconds = 15.0
    body_s_max: Seconds = 60.0
    stop_s_max: Seconds = 5.0
    head_bytes_max: Bytes = 16_384
    rpc_body_bytes_max: Bytes = 65_536
    device_body_bytes_max: Bytes = 52_428_800
    api_body_bytes_max: Bytes = 16_777_216
    bodies_bytes_max: Bytes = 268_435_456
    audit_entries_max: Annotated[int, Meta(ge=0, le=1_000_000)] = ENTRIES_MAX
    tls_certificate: str = ""
    tls_key: str = ""

    def body_bytes_max(self, path: str) -> int:
        """The limit for a body sent to this path."""
        if not path.startswith("/api/v1/"):
            return self.api_body_bytes_max
        parts = path.split("/", 5)
        is_rpc = len(parts) > 4 and parts[4] == "rpc"
        return self.rpc_body_bytes_max if is_rpc else self.device_body_bytes_max
