"""What is refused of a configuration, beyond the recorded saves."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.fields.check import check_shape
from appliance.fields.config import read_field
from appliance.fields.limits import DEFAULTS
from appliance.model.errors import ConfigError
from appliance.model.ids import EntityId, new_uuid
from tests.unit.fields.bench import alarm, argument, compared, simple

SERIES = {"type": "TIME_SERIES"}
CONTAINS = {"direction": "FROM", "relationType": "Contains"}
PATH = {"refDynamicSourceConfiguration": {"type": "RELATION_PATH_QUERY", "levels": [CONTAINS]}}
ELSEWHERE = {"refEntityId": {"entityType": "ASSET", "id": str(new_uuid())}}
ZONE = {"perimeterKeyName": "p", "reportStrategy": "REPORT_PRESENCE_STATUS_ONLY", **ELSEWHERE}


def refusal(type: str, configuration: dict[str, Any]) -> str | None:
    """Why a field can never run, or None."""
    owner = EntityId("DEVICE", new_uuid())
    body = {
        "id": EntityId("CALCULATED_FIELD", new_uuid()).to_json(),
        "name": "f",
        "type": type,
        "entityId": owner.to_json(),
        "configuration": {"type": type, "output": SERIES, **configuration},
    }
    try:
        check_shape(read_field(body, DEFAULTS))
    except ConfigError as error:
        return str(error)
    return None


def geofencing(**zone: Any) -> dict[str, Any]:
    """One zone group."""
    coordinates = {"latitudeKeyName": "lat", "longitudeKeyName": "lon"}
    return {"entityCoordinates": coordinates, "zoneGroups": {"z": {**ZONE, **zone}}}


def propagation(relation: dict[str, Any] = CONTAINS, **arguments: Any) -> dict[str, Any]:
    """Arguments only."""
    return {"relation": relation, "arguments": arguments}


def script(expression: str, **arguments: Any) -> dict[str, Any]:
    """A propagation of what a script returns."""
    more = {"applyExpressionToResolvedArguments": True, "expression": expression}
    return {**propagation(**arguments), **more}


def path(*levels: dict[str, Any]) -> dict[str, Any]:
    """A zone group's dynamic source."""
    source = {"type": "RELATION_PATH_QUERY", "levels": levels}
    return {"refEntityId": None, "refDynamicSourceConfiguration": source}


@pytest.mark.parametrize(
    ("type", "configuration", "reason"),
    [
        (
            "SIMPLE",
            {**simple("a", "o"), "arguments": {"a": argument("a", **PATH)}},
            "Calculated field with type: 'SIMPLE' doesn't support relation query configuration!",
        ),
        (
            "SCRIPT",
            {"arguments": {"a": argument("a", **PATH)}, "expression": ""},
            "Calculated field with type: 'SCRIPT' doesn't support relation query configuration!",
        ),
        ("GEOFENCING", geofencing(), None),
        ("GEOFENCING", geofencing(**path(CONTAINS)), None),
        ("GEOFENCING", geofencing(**path()), "At least one relation level must be specified!"),
        ("GEOFENCING", geofencing(**path({"relationType": "Has"})), "Direction must be specified!"),
        ("GEOFENCING", geofencing(**path({"direction": "TO"})), "Relation type must be specified!"),
        (
            "GEOFENCING",
            geofencing(createRelationsWithMatchedZones=True, relationType="In"),
            "Relation direction must be specified for 'z' zone group!",
        ),
        (
            "GEOFENCING",
            geofencing(perimeterKeyName=" "),
            "Validation error: perimeterKeyName must not be blank",
        ),
        (
            "GEOFENCING",
            {**geofencing(), "entityCoordinates": {"latitudeKeyName": "lat"}},
            "Validation error: longitudeKeyName must not be blank",
        ),
        ("PROPAGATION", propagation(a=argument("a")), None),
        (
            "PROPAGATION",
            propagation({"relationType": "Has"}, a=argument("a")),
            "Direction must be specified!",
        ),
        (
            "PROPAGATION",
            propagation({"direction": "TO"}, a=argument("a")),
            "Relation type must be specified!",
        ),
        (
            "PROPAGATION",
            propagation(propagationCtx=argument("a")),
            "Argument name 'propagationCtx' is reserved and cannot be used.",
        ),
        (
            "PROPAGATION",
            propagation(a=argument("a", "TS_ROLLING")),
            "Argument type: 'Time series rolling' detected for argument: 'a'. Only 'Attribute' or "
            "'Latest telemetry' arguments are allowed for 'Arguments only' propagation mode!",
        ),
        ("PROPAGATION", script("return {};", a=argument("a", "TS_ROLLING")), None),
        (
            "PROPAGATION",
            script("return {};", a=argument("a", **ELSEWHERE)),
            "At least one argument must be configured with the 'Current entity' source entity type "
            "for 'Expression result' propagation mode!",
        ),
        (
            "PROPAGATION",
            script(" ", a=argument("a")),
            "Expression must be specified for 'Expression result' propagation mode!",
        ),
        (
            "ALARM",
            alarm({"type": "SIMPLE", "filters": []}),
            "Validation error: filters must not be empty",
        ),
        (
            "ALARM",
            alarm({"type": "SIMPLE", "filters": [{"argument": "t", "predicates": []}]}),
            "Validation error: predicates must not be empty",
        ),
        (
            "ALARM",
            alarm(compared("", "NUMERIC", "EQUAL", 1)),
            "Validation error: argument must not be blank",
        ),
        (
            "ALARM",
            alarm(compared("t", "NUMERIC", "EQUAL", None)),
            "Validation error: Either staticValue or dynamicValueArgument must be set",
        ),
    ],
)  # fmt: skip - a table
def test_a_field_that_can_never_run_is_refused(
    type: str, configuration: dict[str, Any], reason: str | None
) -> None:
    assert refusal(type, configuration) == reason
