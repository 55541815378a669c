"""gps geofencing filter."""

from __future__ import annotations

from appliance.model.message import Message
from appliance.rules.context import Context
from appliance.rules.geofence import Geofence, GeofenceConfig
from appliance.rules.node import FALSE, PACKAGE, TRUE, NodeFactory, NodeHandle


class GeofencingFilter:
    """gps geofencing filter: True inside, False outside."""

    def __init__(self, config: GeofenceConfig, node: NodeHandle) -> None:
        self._fence = Geofence(config)

    def process(self, message: Message, ctx: Context) -> None:
        """True or False; no place or no perimeter fails."""
        ctx.tell(TRUE if self._fence.contains(message) else FALSE, message)


GEO_NODES = (
    NodeFactory(
        PACKAGE + "geo.TbGpsGeofencingFilterNode",
        "gps geofencing filter",
        GeofenceConfig,
        GeofencingFilter,
    ),
)
