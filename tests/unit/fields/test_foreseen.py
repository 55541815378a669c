"""Which series fields are known to calculate before they do."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.fields.config import Field, read_field
from appliance.fields.limits import DEFAULTS
from appliance.fields.results import foreseen
from appliance.model.ids import EntityId, new_uuid
from tests.unit.fields.bench import alarm, numeric, simple
from tests.unit.fields.test_intervals import HOURLY, aggregation
from tests.unit.fields.test_results import script
from tests.unit.fields.test_zones import geofencing


def field(type: str, configuration: dict[str, Any]) -> Field:
    """A field of a device."""
    body = {
        "id": EntityId("CALCULATED_FIELD", new_uuid()).to_json(),
        "name": type,
        "type": type,
        "entityId": EntityId("DEVICE", new_uuid()).to_json(),
        "configuration": {"type": type, **configuration},
    }
    return read_field(body, DEFAULTS)


def arithmetic(key: str, result: str, **more: Any) -> Field:
    """A SIMPLE field."""
    return field("SIMPLE", simple(key, result, key) | more)


@pytest.mark.parametrize(
    ("fields", "keys"),
    [
        ([arithmetic("a", "b")], {"b"}),
        ([arithmetic("a", "a")], set()),
        ([arithmetic("a", "b"), arithmetic("b", "c")], {"b", "c"}),
        ([arithmetic("a", "b"), arithmetic("b", "a")], set()),
        ([arithmetic("a", "b"), field("SCRIPT", script("return {'?': b};", "b"))], set()),
        ([arithmetic("a", "b"), field("SCRIPT", script("return {'?': x};", "x"))], {"b"}),
        ([arithmetic("a", "b", output={"type": "ATTRIBUTES", "name": "b"})], set()),
        ([field("GEOFENCING", geofencing())], {"zEvent", "zStatus"}),
        ([field("ENTITY_AGGREGATION", aggregation(HOURLY, "SUM", "MAX"))], {"SUM", "MAX"}),
        ([field("ALARM", alarm(numeric("t", "GREATER", 5)))], set()),
    ],
)  # fmt: skip - a table
def test_results_are_foreseen_unless_they_may_lead_to_themselves(
    fields: list[Field], keys: set[str]
) -> None:
    assert foreseen(fields) == keys
