"""What the two geofencing nodes share: where a message is, and whether that is inside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from appliance.model.message import Message
from appliance.rules.geo import Circle, circle_of, polygon_of
from appliance.rules.node import NodeConfig, NodeError
from appliance.rules.places import Point, Polygon
from appliance.rules.values import as_double


class GeofenceConfig(NodeConfig, frozen=True, kw_only=True):
    """Where coordinates and perimeter come from."""

    latitude_key_name: str = ""
    longitude_key_name: str = ""
    perimeter_type: Literal["POLYGON", "CIRCLE"] | None = None
    fetch_perimeter_info_from_message_metadata: bool = False
    perimeter_key_name: str = ""
    polygons_definition: str | None = None
    center_latitude: float | None = None
    center_longitude: float | None = None
    range: float | None = None
    range_unit: Literal["METER", "KILOMETER", "FOOT", "MILE", "NAUTICAL_MILE"] | None = None


class Geofence:
    """Judges messages; a perimeter that makes no sense fails each of them."""

    def __init__(self, config: GeofenceConfig) -> None:
        self._config = config
        self._fixed: Circle | Polygon | None = None

    def contains(self, message: Message) -> bool:
        """Whether the message's place is inside. Raises NodeError."""
        config = self._config
        if not isinstance(message.data, dict):
            raise NodeError("Incoming Message is not a valid JSON object")
        place: Point = (
            _coordinate(message, config.latitude_key_name),
            _coordinate(message, config.longitude_key_name),
        )
        return self._perimeter(message.metadata).contains(place)

    def _perimeter(self, metadata: Mapping[str, str]) -> Circle | Polygon:
        if self._config.fetch_perimeter_info_from_message_metadata:
            return _told(self._config, metadata)
        if self._fixed is None:
            self._fixed = _configured(self._config)
        return self._fixed


def _told(config: GeofenceConfig, metadata: Mapping[str, str]) -> Circle | Polygon:
    """The perimeter that metadata tell; configurations from before there was a key name take the
    names that were fixed then, whatever their type."""
    if config.perimeter_key_name:
        text = metadata.get(config.perimeter_key_name)
        if text:
            return polygon_of(text) if _is_polygon(config) else circle_of(text)
    elif polygon := metadata.get("perimeter"):
        return polygon_of(polygon)
    elif metadata.get("centerLatitude"):
        latitude, longitude, radius = (
            as_double(metadata.get(name)) for name in ("centerLatitude", "centerLongitude", "range")
        )
        return _circle(latitude, longitude, radius, metadata.get("rangeUnit"))
    raise NodeError("Missing perimeter definition!")


def _is_polygon(config: GeofenceConfig) -> bool:
    if config.perimeter_type is None:
        raise NodeError("Unsupported perimeter type: null!")
    return config.perimeter_type == "POLYGON"


def _configured(config: GeofenceConfig) -> Circle | Polygon:
    if _is_polygon(config):
        if not config.polygons_definition:
            raise NodeError("Missing perimeter definition!")
        return polygon_of(config.polygons_definition)
    return _circle(config.center_latitude, config.center_longitude, config.range, config.range_unit)


def _circle(
    latitude: float | None, longitude: float | None, radius: float | None, unit: str | None
) -> Circle:
    if latitude is None or longitude is None or radius is None or not unit:
        raise NodeError("Missing perimeter definition!")
    return Circle((latitude, longitude), radius, unit)


def _coordinate(message: Message, key: str) -> float:
    value = message.data.get(key)
    if value is None or isinstance(value, dict | list):
        value = message.metadata.get(key) or None
    if value is None:
        raise NodeError(f"Incoming Message has no {key} in data or metadata!")
    number = as_double(value)
    if number is None:
        raise NodeError(f'For input string: "{value}"')
    return number
