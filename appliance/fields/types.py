"""The seven types: which cells each makes."""

from __future__ import annotations

from collections.abc import Callable

from appliance.fields.aggregation import interval_cells
from appliance.fields.alarm import alarm_cells
from appliance.fields.cell import Cells
from appliance.fields.config import Field
from appliance.fields.geofencing import geofencing_cells
from appliance.fields.propagation import propagation_cells
from appliance.fields.related import related_cells
from appliance.fields.script import script_cells
from appliance.fields.simple import simple_cells

TYPES: dict[str, Callable[[Field], Cells]] = {
    "SIMPLE": simple_cells,
    "SCRIPT": script_cells,
    "ALARM": alarm_cells,
    "GEOFENCING": geofencing_cells,
    "PROPAGATION": propagation_cells,
    "RELATED_ENTITIES_AGGREGATION": related_cells,
    "ENTITY_AGGREGATION": interval_cells,
}
