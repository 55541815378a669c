"""Geofences (spec/rule-engine.md §9.6): circles by great-circle distance, polygons in degrees.

A polygon is `[[lat, lon], …]`, two points are the corners of a rectangle, and nested lists are
several rings: what lies inside an odd number of them is inside, so a ring within a ring is a hole.
A point on a border is outside, as is the centre of a circle of radius 0.
"""

from __future__ import annotations

import math
from typing import Any

from appliance.rules.node import NodeError
from appliance.rules.values import as_number, decode_json

EARTH_RADIUS_KM = 6371.0087714
PER_KM = {
    "METER": 1000.0,
    "KILOMETER": 1.0,
    "FOOT": 3280.84,
    "MILE": 0.62137,
    "NAUTICAL_MILE": 0.539957,
}
Point = tuple[float, float]


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


class Polygon:
    """Inside: in an odd number of rings, on no border."""

    def __init__(self, rings: list[list[Point]]) -> None:
        self._rings = rings

    def contains(self, point: Point) -> bool:
        """Whether the point is inside."""
        inside = False
        for ring in self._rings:
            for start, end in zip(ring, [*ring[1:], ring[0]], strict=True):
                if _on_edge(point, start, end):
                    return False
                if (start[1] > point[1]) != (end[1] > point[1]):
                    share = (point[1] - start[1]) / (end[1] - start[1])
                    if point[0] < start[0] + share * (end[0] - start[0]):
                        inside = not inside
        return inside


def distance_km(a: Point, b: Point) -> float:
    """Great-circle distance of two (latitude, longitude) points in degrees."""
    lat_a, lon_a, lat_b, lon_b = map(math.radians, (*a, *b))
    half = (
        math.sin((lat_b - lat_a) / 2) ** 2
        + math.cos(lat_a) * math.cos(lat_b) * math.sin((lon_b - lon_a) / 2) ** 2
    )
    return 2 * EARTH_RADIUS_KM * math.asin(min(1.0, math.sqrt(half)))


def polygon_of(text: str) -> Polygon:
    """Parse a polygon definition. Raises NodeError."""
    try:
        nested = decode_json(text)
    except ValueError:
        raise NodeError(f'Not a JSON Array: "{text}"') from None
    rings: list[list[Point]] = []
    _collect(nested, rings)
    if not rings:
        raise NodeError("the perimeter has no polygon")
    return Polygon(rings)


def circle_of(text: str) -> Circle:
    """Parse `{latitude, longitude, radius, radiusUnit}`; metres where no unit is given."""
    try:
        definition = decode_json(text)
        centre = (float(definition["latitude"]), float(definition["longitude"]))
        radius = float(definition["radius"])
    except (ValueError, TypeError, KeyError):
        raise NodeError("the perimeter is not a circle") from None
    return Circle(centre, radius, definition.get("radiusUnit") or "METER")


def _collect(nested: Any, rings: list[list[Point]]) -> None:
    if not isinstance(nested, list) or not nested:
        raise NodeError("Not a JSON Array")
    if isinstance(nested[0], list) and nested[0] and not isinstance(nested[0][0], list):
        rings.append(_ring([_point(pair) for pair in nested]))
        return
    for inner in nested:
        _collect(inner, rings)


def _ring(points: list[Point]) -> list[Point]:
    if len(points) == 2:
        (lat_a, lon_a), (lat_b, lon_b) = points
        return [(lat_a, lon_a), (lat_a, lon_b), (lat_b, lon_b), (lat_b, lon_a)]
    return points


def _point(pair: Any) -> Point:
    if isinstance(pair, list) and len(pair) == 2:
        lat, lon = as_number(pair[0]), as_number(pair[1])
        if lat is not None and lon is not None:
            return (float(lat), float(lon))
    raise NodeError("a point is [latitude, longitude]")


def _on_edge(point: Point, start: Point, end: Point) -> bool:
    across = (end[0] - start[0]) * (point[1] - start[1]) - (end[1] - start[1]) * (
        point[0] - start[0]
    )
    if abs(across) > 1e-12:
        return False
    return all(
        min(start[axis], end[axis]) <= point[axis] <= max(start[axis], end[axis]) for axis in (0, 1)
    )
