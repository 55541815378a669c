"""The device HTTP API of ThingsBoard, `/api/v1/…`, on the appliance's one HTTP port."""

from __future__ import annotations

from appliance.extension.hookspecs import Context, IngestSpec, hookimpl
from appliance.extension.ports import Component, Gate
from plugins.ingest_http.config import HttpIngestConfig
from plugins.ingest_http.listener import HttpIngest


def build(config: HttpIngestConfig, context: Context, gate: Gate) -> Component:
    """The listener as a component."""
    return HttpIngest(config, context, gate)


@hookimpl
def register_ingest() -> IngestSpec:
    """Offer the listener as `[ingest.http]`."""
    return IngestSpec(name="http", config_type=HttpIngestConfig, build=build)
