"""What the two geofencing nodes share: where a message is, and whether that is inside."""

from __future__ import annotations

from typing import Literal

from appliance.model.message import Message
from appliance.rules.geo import Circle, Point, Polygon, circle_of, polygon_of
from appliance.rules.node import NodeConfig, NodeError, require
from appliance.rules.values import as_number


class GeofenceConfig(NodeConfig, frozen=True, kw_only=True):
    """Where coordinates and perimeter come from."""

    latitude_key_name: str = ""
    longitude_key_name: str = ""
    perimeter_type: Literal["POLYGON", "CIRCLE"] = "POLYGON"
    fetch_perimeter_info_from_message_metadata: bool = False
    perimeter_key_name: str = "perimeter"
    polygons_definition: str | None = None
    center_latitude: float | None = None
    center_longitude: float | None = None
    range: float | None = None
    range_unit: str | None = None


class Geofence:
    """Judges messages. Raises ConfigError when the configured perimeter makes no sense."""

    def __init__(self, config: GeofenceConfig) -> None:
        self._config = config
        self._fixed: Circle | Polygon | None = None
        if not config.fetch_perimeter_info_from_message_metadata:
            try:
                self._fixed = _configured(config)
            except NodeError as error:
                require(False, str(error))

    def contains(self, message: Message) -> bool:
        """Whether the message's place is inside. Raises NodeError."""
        config = self._config
        if not isinstance(message.data, dict):
            raise NodeError("Incoming Message is not a valid JSON object")
        place: Point = (
            _coordinate(message, config.latitude_key_name, "latitude"),
            _coordinate(message, config.longitude_key_name, "longitude"),
        )
        return (self._fixed or self._from_metadata(message)).contains(place)

    def _from_metadata(self, message: Message) -> Circle | Polygon:
        text = message.metadata.get(self._config.perimeter_key_name)
        if not text:
            raise NodeError("Missing perimeter definition!")
        return polygon_of(text) if self._config.perimeter_type == "POLYGON" else circle_of(text)


def _configured(config: GeofenceConfig) -> Circle | Polygon:
    if config.perimeter_type == "POLYGON":
        if not config.polygons_definition:
            raise NodeError("Missing perimeter definition!")
        return polygon_of(config.polygons_definition)
    latitude, longitude, radius = config.center_latitude, config.center_longitude, config.range
    if latitude is None or longitude is None or radius is None:
        raise NodeError("Missing perimeter definition!")
    return Circle((latitude, longitude), radius, config.range_unit or "METER")


def _coordinate(message: Message, key: str, name: str) -> float:
    value = message.data.get(key)
    if value is None:
        value = message.metadata.get(key) or None
    if value is None:
        raise NodeError(f"Incoming Message has no {name} in data or metadata!")
    number = as_number(value)
    if number is None:
        raise NodeError(f'For input string: "{value}"')
    return float(number)
