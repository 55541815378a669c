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

SECONDS_BELOW = 1_000


def as_written(text: str) -> tuple[str, str]:
    """The variable has the field's unit."""
    return text, ""


def seconds_to_ms(text: str) -> tuple[str, str]:
    """The variable is in seconds, the field in milliseconds."""
    return (str(int(text) * 1000) if text.isdigit() else text), ""


def timeout_to_s(text: str) -> tuple[str, str]:
    """The variable is in milliseconds, or, when small, in seconds; the field in seconds.

    A connection that may take less than a second to establish is not a wish anybody has, while
    5 is the value in every installation of the original (spec/edge-protocol.md §1.6).
    """
    if not text.isdigit():
        return text, ""
    if int(text) < SECONDS_BELOW:
        return text, f"read {text} as seconds"
    return str(int(text) / 1000), ""


class Variable(msgspec.Struct, frozen=True):
    """One known name: where it goes, how it is read.

    switch: it counts only where this other variable is "true".
    """

    name: str
    path: Path
    read: Reader = as_written
    switch: str = ""


PROXY = "CLOUD_RPC_PROXY_ENABLED"
KNOWN = (
    Variable("APPLIANCE_DATA_DIR", ("data_dir",)),
    Variable("CLOUD_ROUTING_KEY", ("cloud", "routing_key")),
    Variable("CLOUD_ROUTING_SECRET", ("cloud", "secret")),
    Variable("CLOUD_RPC_HOST", ("transport", "host")),
    Variable("CLOUD_RPC_PORT", ("transport", "port")),
    Variable("CLOUD_RPC_TIMEOUT", ("transport", "connect_s_max"), timeout_to_s),
    Variable("CLOUD_RPC_SSL_ENABLED", ("transport", "tls")),
    Variable("CLOUD_RPC_SSL_CERT", ("transport", "tls_ca")),
    Variable("CLOUD_RPC_PROXY_HOST", ("transport", "proxy_host"), switch=PROXY),
    Variable("CLOUD_RPC_PROXY_PORT", ("transport", "proxy_port"), switch=PROXY),
    Variable("CLOUD_RPC_PROXY_USERNAME", ("transport", "proxy_username"), switch=PROXY),
    Variable("CLOUD_RPC_PROXY_PASSWORD", ("transport", "proxy_password"), switch=PROXY),
    Variable("CLOUD_RPC_KEEP_ALIVE_TIME_SEC", ("transport", "keepalive_s")),
    Variable("CLOUD_RPC_KEEP_ALIVE_TIMEOUT_SEC", ("transport", "keepalive_wait_s")),
    Variable("CLOUD_RPC_MAX_INBOUND_MESSAGE_SIZE", ("transport", "inbound_bytes_max")),
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
