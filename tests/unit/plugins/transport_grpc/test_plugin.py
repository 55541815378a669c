"""What the plugin declares."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

import plugins.transport_grpc as plugin
from appliance.extension.hookspecs import Context
from appliance.kernel.clock import wall_clock_ms
from appliance.kernel.events import ignore
from plugins.transport_grpc.config import GrpcConfig
from plugins.transport_grpc.transport import GrpcTransport


def test_it_offers_one_transport_by_the_name_of_grpc() -> None:
    spec = plugin.register_transport()
    assert spec.name == "grpc"
    context = Context(role="edge", data_dir=Path(), clock=wall_clock_ms, emit=ignore)
    assert isinstance(spec.build(spec.config_type(), context), GrpcTransport)


def test_the_defaults_are_those_of_a_real_edge_but_a_quieter_keepalive() -> None:
    """A ping every 30 s instead of 10: lines are paid by the byte."""
    config = GrpcConfig()
    assert (config.host, config.port, config.tls) == ("localhost", 7070, False)
    assert (config.keepalive_s, config.keepalive_wait_s) == (30.0, 5.0)
    assert config.inbound_bytes_max == 4_194_304


@pytest.mark.parametrize(
    "wrong", [{"port": 70_000}, {"keepalive_s": 0.5}, {"inbound_bytes_max": 5}, {"hots": "x"}]
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, GrpcConfig)
