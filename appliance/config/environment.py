"""Environment variables: the names an existing ThingsBoard Edge uses, and a rule for the rest.

The table lists names as they are written in a `tb-edge.yml` installation, so that its environment
can be kept. Every other field is reached by `APPLIANCE_<SECTION>__<FIELD>`, for example
`APPLIANCE_UPLINK__BATCH_SIZE`. A variable that is set but empty counts as not set.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

PREFIX = "APPLIANCE_"
DIVIDER = "__"
CONFIG_FILE = "APPLIANCE_CONFIG"

Path = tuple[str, ...]
Reader = Callable[[str], tuple[str, str]]
"""Text of the variable -> (text in the field's own unit, note for the operator or "")."""

SMALL_TIMEOUT = 1_000


def as_written(text: str) -> tuple[str, str]:
    """The variable has the field's unit."""
    return text, ""


def seconds_to_ms(text: str) -> tuple[str, str]:
    """The variable is in seconds, the field in milliseconds."""
    return _times_thousand(text), ""


def timeout_ms(text: str) -> tuple[str, str]:
    """Milliseconds; a small number is what an existing edge has there, seconds.

    A connection that may take less than a second to establish is not a wish anybody has, while
    5 is the value in every installation of the original (spec/edge-protocol.md §1.6).
    """
    if text.isdigit() and 0 < int(text) < SMALL_TIMEOUT:
        return _times_thousand(text), f"read {text} as seconds"
    return text, ""


def _times_thousand(text: str) -> str:
    return str(int(text) * 1000) if text.isdigit() else text


class Variable(msgspec.Struct, frozen=True):
    """One known name: where it goes and how it is read."""

    name: str
    path: Path
    read: Reader = as_written


KNOWN = (
    Variable("APPLIANCE_DATA_DIR", ("data_dir",)),
    Variable("CLOUD_ROUTING_KEY", ("cloud", "routing_key")),
    Variable("CLOUD_ROUTING_SECRET", ("cloud", "secret")),
    Variable("CLOUD_RPC_HOST", ("cloud", "host")),
    Variable("CLOUD_RPC_PORT", ("cloud", "port")),
    Variable("CLOUD_RPC_TIMEOUT", ("cloud", "timeout_ms"), timeout_ms),
    Variable("CLOUD_RPC_SSL_ENABLED", ("cloud", "tls")),
    Variable("CLOUD_RPC_SSL_CERT", ("cloud", "tls_certificate")),
    Variable("CLOUD_RPC_PROXY_ENABLED", ("cloud", "proxy")),
    Variable("CLOUD_RPC_PROXY_HOST", ("cloud", "proxy_host")),
    Variable("CLOUD_RPC_PROXY_PORT", ("cloud", "proxy_port")),
    Variable("CLOUD_RPC_PROXY_USERNAME", ("cloud", "proxy_username")),
    Variable("CLOUD_RPC_PROXY_PASSWORD", ("cloud", "proxy_password")),
    Variable("CLOUD_RPC_KEEP_ALIVE_TIME_SEC", ("cloud", "keepalive_time_s")),
    Variable("CLOUD_RPC_KEEP_ALIVE_TIMEOUT_SEC", ("cloud", "keepalive_timeout_s")),
    Variable("CLOUD_RPC_MAX_INBOUND_MESSAGE_SIZE", ("cloud", "max_inbound_message_size")),
    Variable("CLOUD_RECONNECT_TIMEOUT", ("cloud", "reconnect_interval_ms")),
    Variable("CLOUD_UPLINK_PACK_TIMEOUT_SEC", ("uplink", "ack_timeout_ms"), seconds_to_ms),
    Variable("HTTP_BIND_ADDRESS", ("web", "host")),
    Variable("HTTP_BIND_PORT", ("web", "port")),
    Variable("MQTT_BIND_ADDRESS", ("ingest", "mqtt", "host")),
    Variable("MQTT_BIND_PORT", ("ingest", "mqtt", "port")),
)


def general_path(name: str) -> Path | None:
    """The field that `APPLIANCE_<SECTION>__<FIELD>` means; None for any other name.

    A name without the double underscore is not ours: orchestrators set `APPLIANCE_PORT` and the
    like for a service that is called appliance.
    """
    if not name.startswith(PREFIX) or DIVIDER not in name:
        return None
    return tuple(part.lower() for part in name.removeprefix(PREFIX).split(DIVIDER))


def general_name(path: Path) -> str:
    """The variable that sets a field by the general rule."""
    return PREFIX + DIVIDER.join(part.upper() for part in path)
