"""The edge protocol over gRPC, for both roles."""

from __future__ import annotations

from typing import Any

from appliance.extension.hookspecs import Context, TransportSpec, hookimpl
from plugins.transport_grpc.config import GrpcConfig
from plugins.transport_grpc.transport import GrpcTransport


def _build(config: Any, context: Context) -> GrpcTransport:
    return GrpcTransport(config, context.emit)


@hookimpl
def register_transport() -> TransportSpec:
    """Offer gRPC, the one transport that a ThingsBoard server speaks."""
    return TransportSpec(name="grpc", config_type=GrpcConfig, build=_build)
