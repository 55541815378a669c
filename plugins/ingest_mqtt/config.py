"""`[ingest.mqtt]`."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from appliance.config.fields import Port


class MqttConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of the MQTT listener; the defaults are those of ThingsBoard."""

    host: Annotated[str, Meta(description="address to bind; MQTT_BIND_ADDRESS")] = "0.0.0.0"
    port: Annotated[Port, Meta(description="plain MQTT; MQTT_BIND_PORT; 0 takes a free one")] = 1883
    tls_port: Annotated[Port, Meta(description="MQTT over TLS, if a certificate is given")] = 8883
    tls_cert_file: Annotated[str, Meta(description="PEM chain; empty: no TLS port")] = ""
    tls_key_file: Annotated[str, Meta(description="PEM key, if not in the certificate file")] = ""
    packet_bytes_max: Annotated[
        int, Meta(ge=256, le=268_435_455, description="largest packet a device may send")
    ] = 65536
    connections_max: Annotated[
        int, Meta(ge=1, description="open connections; further ones are closed at once")
    ] = 10_000
    connect_timeout_s: Annotated[
        float, Meta(gt=0, description="time to send CONNECT (and to finish TLS)")
    ] = 10.0
    inactivity_timeout_s: Annotated[
        float, Meta(gt=0, description="silence, pings included, after which a session ends")
    ] = 600.0
    hold_s_max: Annotated[
        float,
        Meta(ge=0, description="how long a device waits for its acknowledgement when the core "
        "cannot take messages, before it is disconnected to send again"),
    ] = 20.0  # fmt: skip
    send_timeout_s: Annotated[
        float, Meta(gt=0, description="a device that takes nothing for so long is disconnected")
    ] = 60.0
    rpc_timeout_s: Annotated[
        float, Meta(gt=0, description="time the server has to answer a device's request")
    ] = 60.0
    type_cast: Annotated[bool, Meta(description="quoted numbers become numbers (JSON)")] = True
