"""The device MQTT API (spec/device-and-rest-api.md §2): MQTT 3.1, 3.1.1 and 5 for devices."""

from __future__ import annotations

from appliance.extension.hookspecs import Context, IngestSpec, hookimpl
from appliance.extension.ports import Gate
from plugins.ingest_mqtt.config import MqttConfig
from plugins.ingest_mqtt.listener import MqttListener

__all__ = ["MqttConfig", "MqttListener", "build", "register_ingest"]


def build(config: MqttConfig, context: Context, gate: Gate) -> MqttListener:
    """The listener, not yet open."""
    return MqttListener(config, context, gate)


@hookimpl
def register_ingest() -> IngestSpec:
    """Offer the listener as `[ingest.mqtt]`."""
    return IngestSpec("mqtt", MqttConfig, build)
