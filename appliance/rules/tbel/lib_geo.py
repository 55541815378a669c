"""Is a place inside a polygon or a circle."""

from __future__ import annotations

from appliance.rules.places import PER_KM, Polygon, distance_km
from appliance.rules.tbel.errors import TbelError
from appliance.rules.tbel.json_text import parse_json
from appliance.rules.tbel.kinds import parse_double
from appliance.rules.tbel.signatures import helper
from appliance.rules.tbel.text import to_text


@helper("boolean isInsidePolygon(double,double,String)")
def _inside_polygon(latitude: float, longitude: float, perimeter: str) -> bool:
    shape = parse_json(perimeter) if perimeter.strip()[:1] in ("[", '"') else None
    if not isinstance(shape, list) or not shape:
        raise TbelError(f"Not a JSON Array: {perimeter}")
    try:
        return Polygon(shape).contains((latitude, longitude))
    except (ValueError, TypeError) as error:
        raise TbelError(str(error)) from None


@helper("boolean isInsideCircle(double,double,String)")
def _inside_circle(latitude: float, longitude: float, perimeter: str) -> bool:
    circle = parse_json(perimeter)
    if not isinstance(circle, dict) or not {"latitude", "longitude", "radius"} <= circle.keys():
        raise TbelError("the perimeter needs latitude, longitude and radius")
    center = (parse_double(to_text(circle["latitude"])), parse_double(to_text(circle["longitude"])))
    unit = circle.get("radiusUnit", "METER")
    if unit not in PER_KM:
        raise TbelError(f"unknown unit {unit!r}")
    distance = distance_km((latitude, longitude), center) * PER_KM[unit]
    return parse_double(to_text(circle["radius"])) > distance
