"""TLS contexts for both roles (spec/edge-protocol.md §1.3): one-way, HTTP/2 by ALPN."""

from __future__ import annotations

import ssl

from appliance.model.errors import ConfigError
from plugins.transport_grpc.config import GrpcConfig


def client_context(config: GrpcConfig) -> ssl.SSLContext | None:
    """What an edge connects with; None without TLS. The host's name is always verified.

    Raises:
        ConfigError: the CA file is missing or is none.
    """
    if not config.tls:
        return None
    try:
        context = ssl.create_default_context(cafile=config.tls_ca or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"transport.tls_ca: {config.tls_ca}: {error}") from error
    return _http2(context)


def server_context(config: GrpcConfig) -> ssl.SSLContext | None:
    """What a cloud listens with; None without TLS.

    Raises:
        ConfigError: certificate or key are missing, do not fit or need another password.
    """
    if not config.tls:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(
            config.tls_certificate,
            config.tls_key or None,
            # Given always: without it OpenSSL would ask on the terminal.
            password=lambda: config.tls_key_password.reveal(),
        )
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"transport.tls_certificate: {config.tls_certificate}: {error}",
            hint="a PEM file with the chain, and the key there or in transport.tls_key",
        ) from error
    return _http2(context)


def _http2(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    return context
