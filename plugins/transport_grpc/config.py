"""Settings of the gRPC transport, section `[transport]`."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from appliance.config.fields import Secret

Port = Annotated[int, Meta(ge=0, le=65_535)]
Seconds = Annotated[float, Meta(gt=0, le=3_600)]


class GrpcConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One stream to a server (edge role), or many from edges (cloud role).

    host, port: the server that an edge connects to; the port is also the one a cloud listens on.
    listen: address a cloud listens on; empty listens on all, IPv4 and IPv6.
    connect_s_max: time for name, connection, proxy and TLS together.
    inbound_bytes_max: largest message we take, announced to the peer (§1.4).
    keepalive_s: after so long without a byte from the peer we ask for one; a real server permits
    one ping a second. keepalive_wait_s: after so long without an answer the link is dead.
    compress: send gzip, as a real edge does; pays on slow lines only.
    connections_max: edges a cloud serves at once.
    tls: encrypt. tls_ca: PEM file an edge trusts; empty trusts what the system does.
    tls_certificate, tls_key: PEM files of a cloud; the key may stand in the certificate's file,
    and may be encrypted with tls_key_password.
    tls_key_password: for an encrypted tls_key.
    proxy_host, proxy_port: HTTP CONNECT proxy of an edge, used if both are set (§1.3).
    proxy_username, proxy_password: for the proxy, if it asks.
    """

    host: str = "localhost"
    port: Port = 7070
    listen: str = ""
    connect_s_max: Seconds = 5.0
    inbound_bytes_max: Annotated[int, Meta(ge=65_536, le=1_073_741_824)] = 4_194_304
    keepalive_s: Annotated[float, Meta(ge=2, le=3_600)] = 30.0
    keepalive_wait_s: Seconds = 5.0
    compress: bool = False
    connections_max: Annotated[int, Meta(ge=1, le=100_000)] = 1_000
    tls: bool = False
    tls_ca: str = ""
    tls_certificate: str = ""
    tls_key: str = ""
    tls_key_password: Secret = Secret()
    proxy_host: str = ""
    proxy_port: Port = 0
    proxy_username: str = ""
    proxy_password: Secret = Secret()
