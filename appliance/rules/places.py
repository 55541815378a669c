"""Places in degrees: distances on a sphere, and polygons as JSON lists (spec §9.6).

`[[lat, lon], …]` is one ring, two points are the corners of a rectangle, and lists of such lists,
however deep, are several rings. A point on a border is outside, unless what is beyond is inside,
too. On which side of an edge a point is, is decided exactly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, TypeVar

from appliance.rules import fdlibm

EARTH_RADIUS_KM = 6371.0087714
PER_KM = {
    "METER": 1000.0,
    "KILOMETER": 1.0,
    "FOOT": 3280.84,
    "MILE": 0.62137,
    "NAUTICAL_MILE": 0.539957,
}
Point = tuple[float, float]
Number = TypeVar("Number", float, Fraction)
Ring = list[Point]


def distance_km(a: Point, b: Point) -> float:
    """Great-circle distance of two (latitude, longitude) points in degrees."""
    lat_a, lon_a, lat_b, lon_b = map(math.radians, (*a, *b))
    half = (
        math.sin((lat_b - lat_a) / 2) ** 2
        + math.cos(lat_a) * math.cos(lat_b) * math.sin((lon_b - lon_a) / 2) ** 2
    )
    return 2 * EARTH_RADIUS_KM * fdlibm.asin(min(1.0, math.sqrt(half)))


class Polygon:
    """Several rings: one that lies within another is a hole, the others are joined.

    Inside: in what the rings that are no holes cover together, but not on its border, and neither
    in a hole nor on its border.
    """

    def __init__(self, nested: Any) -> None:
        """nested: parsed JSON. Raises ValueError for what is no polygon."""
        rings = list(_rings(nested))
        self._holes = [
            ring
            for ring in rings
            if any(_lies_within(ring, other) and not _lies_within(other, ring) for other in rings)
        ]
        self._areas = [ring for ring in rings if ring not in self._holes]

    def contains(self, point: Point) -> bool:
        """Whether the point is inside."""
        if any(_side(point, hole) >= 0 for hole in self._holes):
            return False
        sides = [_side(point, ring) for ring in self._areas]
        if any(side > 0 for side in sides):
            return True
        bordering = [ring for ring, side in zip(self._areas, sides, strict=True) if side == 0]
        return bool(bordering) and _surrounded(point, bordering)


def _side(point: Point, ring: Ring) -> int:
    """1 inside of the ring, 0 on it, -1 outside: what the ring does not wind around."""
    winding = 0
    for start, end in _edges(ring):
        if _on_edge(point, start, end):
            return 0
        upwards = end[1] > point[1]
        if upwards != (start[1] > point[1]) and (_turn(start, end, point) > 0) is upwards:
            winding += 1 if upwards else -1
    return 1 if winding else -1


STEP = 1e-7
"""Degrees: a centimetre."""


def _surrounded(point: Point, rings: list[Ring]) -> bool:
    """Whether rings that have a point on their borders cover all that is next to it: a step into
    each of the sectors that their edges make there leads into one of them."""
    angles = sorted(
        {
            math.atan2(end[1] - point[1], end[0] - point[0])
            for ring in rings
            for edge in _edges(ring)
            if _on_edge(point, *edge)
            for end in edge
            if end != point
        }
    )
    turns = zip(angles, [*angles[1:], *(angle + math.tau for angle in angles[:1])], strict=True)
    middles = [(first + second) / 2 for first, second in turns]
    steps = [
        (point[0] + STEP * math.cos(middle), point[1] + STEP * math.sin(middle))
        for middle in middles
    ]
    return bool(steps) and all(any(_side(step, ring) > 0 for ring in rings) for step in steps)


def _edges(ring: Ring) -> Iterator[tuple[Point, Point]]:
    return zip(ring, [*ring[1:], *ring[:1]], strict=True)


def _lies_within(ring: Ring, other: Ring) -> bool:
    """Whether all of a ring lies in another; borders may touch."""
    middles = [((a[0] + b[0]) / 2, (a[1] + b[1]) / 2) for a, b in _edges(ring)]
    return all(_side(point, other) >= 0 for point in (*ring, *middles)) and not any(
        _side(point, ring) > 0 for point in other
    )


def _rings(nested: Any) -> Iterator[Ring]:
    """The lists of points in a list of any depth."""
    if not isinstance(nested, list):
        raise ValueError("Not a JSON Array")
    if all(isinstance(one, list) and one and not isinstance(one[0], list) for one in nested):
        yield _ring([_point(pair) for pair in nested])
        return
    for inner in nested:
        yield from _rings(inner)


def _ring(points: Ring) -> Ring:
    if len(points) == 1:
        raise ValueError("a polygon has at least two points")
    if len(points) == 2:
        (lat_a, lon_a), (lat_b, lon_b) = points
        return [(lat_a, lon_a), (lat_a, lon_b), (lat_b, lon_b), (lat_b, lon_a)]
    return points


def _point(pair: Any) -> Point:
    if not isinstance(pair, list) or len(pair) < 2 or isinstance(pair[0], bool):
        raise ValueError("a point is [latitude, longitude]")
    return float(pair[0]), float(pair[1])


def _on_edge(point: Point, start: Point, end: Point) -> bool:
    return (
        min(start[0], end[0]) <= point[0] <= max(start[0], end[0])
        and min(start[1], end[1]) <= point[1] <= max(start[1], end[1])
        and _turn(start, end, point) == 0
    )


def _turn(start: Point, end: Point, point: Point) -> float:
    """Positive where the way from start over end to the point turns left, 0 on a straight line."""
    turn = _cross(*start, *end, *point)
    if abs(turn) < 1e-9 and math.isfinite(turn):  # within what rounding may do to it
        return float(_cross(*map(Fraction, (*start, *end, *point))))
    return turn


def _cross(ax: Number, ay: Number, bx: Number, by: Number, cx: Number, cy: Number) -> Number:
    return (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
