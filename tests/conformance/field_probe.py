"""A calculated field and what is sent to it, said shortly: for neighbours of recorded cases."""

from __future__ import annotations

from typing import Any

from tests.conformance.field_case import NOW_MS, Case

T0 = NOW_MS - 60_000
SERIES = {"type": "TIME_SERIES"}


def latest(key: str, **more: Any) -> dict[str, Any]:
    """An argument: the newest value of a series."""
    return {"refEntityKey": {"key": key, "type": "TS_LATEST"}, **more}


def attribute(key: str, **more: Any) -> dict[str, Any]:
    """An argument: a server attribute."""
    scoped = {"key": key, "type": "ATTRIBUTE", "scope": "SERVER_SCOPE"}
    return {"refEntityKey": scoped, **more}


def window(key: str) -> dict[str, Any]:
    """An argument: the last hour of a series."""
    rolling = {"key": key, "type": "TS_ROLLING"}
    return {"refEntityKey": rolling, "limit": 1000, "timeWindow": 3_600_000}


async def came(
    type: str,
    configuration: dict[str, Any],
    *sends: dict[str, Any],
    setup: tuple[dict[str, Any], ...] = (),
    owner: str = "$device",
) -> Case:
    """A field at a device, and what was sent: values, or a step of a case."""
    named = {"name": "o"} if type == "SIMPLE" else {}
    output = {} if type == "ALARM" else {"output": {**SERIES, **named}}
    steps = [
        send
        if send.keys() & {"wait_s", "kind"}
        else {"to": "$device", "kind": "timeseries"} | {"body": send}
        for send in sends
    ]
    case = Case(
        {
            "type": type,
            "name": "f",
            "setup": [{"entity": "$device", "entityType": "DEVICE"}, *setup],
            "calculatedField": {
                "entityId": owner,
                "type": type,
                "name": "f",
                "configuration": {"type": type, **output, **configuration},
            },
            "sends": steps,
            "results": {},
        }
    )
    await case.run()
    return case


def points(case: Case, key: str, place: str = "$device") -> list[tuple[int, Any]]:
    """A series, oldest first."""
    return sorted(case.bench.history.points.get(case.known[place], {}).get(key, {}).items())


def newest(case: Case, key: str, place: str = "$device") -> Any:
    """A series' newest value; None where there is none."""
    return (points(case, key, place) or [(0, None)])[-1][1]


GREATER = {"type": "NUMERIC", "operation": "GREATER", "value": {"staticValue": 1}}
FILTER = {"argument": "a", "valueType": "NUMERIC", "predicates": [GREATER]}
CONDITION = {"type": "SIMPLE", "expression": {"type": "SIMPLE", "filters": [FILTER]}}
ZONE = {
    "refEntityId": "$asset",
    "perimeterKeyName": "p",
    "reportStrategy": "REPORT_PRESENCE_STATUS_ONLY",
    "createRelationsWithMatchedZones": False,
}
OVER_A = {"arguments": {"a": latest("a")}, "output": {**SERIES, "name": "o"}}
SUM_OF_A = {"m": {"function": "SUM", "input": {"type": "key", "key": "a"}}}
ALONG = {"direction": "TO", "relationType": "Contains"}
GOOD: dict[str, dict[str, Any]] = {
    "SIMPLE": {**OVER_A, "expression": "a"},
    "SCRIPT": {**OVER_A, "expression": "return {};"},
    "GEOFENCING": {
        "entityCoordinates": {"latitudeKeyName": "lat", "longitudeKeyName": "lon"},
        "zoneGroups": {"z": ZONE},
        "output": SERIES,
    },
    "PROPAGATION": {**OVER_A, "relation": ALONG, "applyExpressionToResolvedArguments": False},
    "RELATED_ENTITIES_AGGREGATION": {
        **OVER_A,
        "relation": ALONG,
        "metrics": SUM_OF_A,
        "deduplicationIntervalInSec": 10,
        "scheduledUpdateInterval": 10,
    },
    "ENTITY_AGGREGATION": {
        **OVER_A,
        "metrics": SUM_OF_A,
        "interval": {"type": "CUSTOM", "tz": "UTC", "durationSec": 60},
    },
    "ALARM": {"arguments": {"a": latest("a")}, "createRules": {"MAJOR": {"condition": CONDITION}}},
}
