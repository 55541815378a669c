"""Is a place inside a polygon or a circle. Distances on a sphere of 6371.0087714 km."""

from __future__ import annotations

import math
from typing import Any

from appliance.rules.tbel import java_math
from appliance.rules.tbel.errors import TbelError
from appliance.rules.tbel.json_text import parse_json
from appliance.rules.tbel.kinds import parse_double
from appliance.rules.tbel.signatures import helper
from appliance.rules.tbel.text import to_text

_RADIUS_KM = 6371.0087714
_UNITS_PER_KM = {
    "METER": 1000.0, "KILOMETER": 1.0, "FOOT": 3280.84, "MILE": 0.62137, "NAUTICAL_MILE": 0.539957,
}  # fmt: skip


@helper("boolean isInsidePolygon(double,double,String)")
def _inside_polygon(latitude: float, longitude: float, perimeter: str) -> bool:
    shape = parse_json(perimeter) if perimeter.strip()[:1] in ("[", '"') else None
    if not isinstance(shape, list) or not shape:
        raise TbelError(f"Not a JSON Array: {perimeter}")
    rings = shape if isinstance(shape[0][0], list) else [shape]
    inside = False
    for ring in rings:
        inside ^= _inside_ring(latitude, longitude, ring)
    return inside


def _inside_ring(x: float, y: float, ring: list[Any]) -> bool:
    inside = False
    for (x1, y1), (x2, y2) in zip(ring, ring[1:] + ring[:1], strict=True):
        cross = (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1)
        if cross == 0 and min(x1, x2) <= x <= max(x1, x2) and min(y1, y2) <= y <= max(y1, y2):
            return True
        if (y1 > y) != (y2 > y) and x < (x2 - x1) * (y - y1) / (y2 - y1) + x1:
            inside = not inside
    return inside


def distance_km(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """The distance of two places, by the haversine formula."""
    a1, a2 = math.radians(lat1), math.radians(lat2)
    h1 = math.sin((a2 - a1) / 2) ** 2
    h2 = math.sin(math.radians(lon2 - lon1) / 2) ** 2
    return 2 * _RADIUS_KM * java_math.asin(math.sqrt(h1 + math.cos(a1) * math.cos(a2) * h2))


@helper("boolean isInsideCircle(double,double,String)")
def _inside_circle(latitude: float, longitude: float, perimeter: str) -> bool:
    circle = parse_json(perimeter)
    if not isinstance(circle, dict) or not {"latitude", "longitude", "radius"} <= circle.keys():
        raise TbelError("the perimeter needs latitude, longitude and radius")
    center = [parse_double(to_text(circle[key])) for key in ("latitude", "longitude")]
    unit = circle.get("radiusUnit", "METER")
    if unit not in _UNITS_PER_KM:
        raise TbelError(f"unknown unit {unit!r}")
    distance = distance_km(latitude, longitude, *center) * _UNITS_PER_KM[unit]
    return parse_double(to_text(circle["radius"])) > distance
