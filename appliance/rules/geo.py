"""Geofences (spec/rule-engine.md §9.6): circles by great-circle distance, and polygons.

A point on a border is outside, as is the centre of a circle of radius 0.
"""

from __future__ import annotations

from appliance.rules.node import NodeError
from appliance.rules.places import PER_KM, Point, Polygon, distance_km
from appliance.rules.values import decode_json


class Circle:
    """Inside: nearer to the centre than the radius."""

    def __init__(self, centre: Point, radius: float, unit: str) -> None:
        if unit not in PER_KM:
            raise NodeError(f"unknown unit {unit!r}")
        self._centre = centre
        self._radius = radius
        self._per_km = PER_KM[unit]

    def contains(self, point: Point) -> bool:
        """Whether the point is inside."""
        return self._radius > distance_km(self._centre, point) * self._per_km


def polygon_of(text: str) -> Polygon:
    """Parse a polygon definition. Raises NodeError."""
    try:
        nested = decode_json(text)
    except ValueError:
        raise NodeError(f'Not a JSON Array: "{text}"') from None
    try:
        return Polygon(nested)
    except (ValueError, TypeError) as error:
        raise NodeError(str(error)) from None


def circle_of(text: str, unit: str | None = None) -> Circle:
    """Parse `{latitude, longitude, radius, radiusUnit}`; metres where no unit is given.

    unit: that of the radius, whatever the text says.
    """
    try:
        definition = decode_json(text)
        centre = (float(definition["latitude"]), float(definition["longitude"]))
        radius = float(definition["radius"])
    except (ValueError, TypeError, KeyError):
        raise NodeError("the perimeter is not a circle") from None
    return Circle(centre, radius, unit or definition.get("radiusUnit") or "METER")
