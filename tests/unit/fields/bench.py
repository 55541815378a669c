"""A bench with one device and fields on it, for tests of the engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from appliance.model.ids import EntityId, new_uuid
from appliance.model.telemetry import Scope
from tests.conformance.field_case import FieldBench


class Site:
    """A device, its fields, and what comes of its values."""

    def __init__(self) -> None:
        self.bench = FieldBench()
        self.device = self.bench.add_device("D1")

    async def start(self) -> None:
        """Load what there is."""
        await self.bench.fields.load()

    async def restart(self) -> None:
        """Another process over the same storage."""
        await self.bench.restart_fields()

    async def field(
        self, name: str, type: str, configuration: Mapping[str, Any], owner: EntityId | None = None
    ) -> EntityId:
        """Define a field."""
        id = EntityId("CALCULATED_FIELD", new_uuid())
        body = {
            "id": id.to_json(),
            "name": name,
            "type": type,
            "entityId": (owner or self.device).to_json(),
            "configuration": {"type": type, **configuration},
        }
        await self.bench.write("CALCULATED_FIELD", id.id, body)
        return id

    async def change(self, **configuration: Any) -> None:
        """Another configuration of the only field."""
        (body,) = self.bench.state.entities("CALCULATED_FIELD")
        body = {**body, "configuration": {**body["configuration"], **configuration}}
        await self.bench.write("CALCULATED_FIELD", UUID(body["id"]["id"]), body)

    async def send(
        self, values: dict[str, Any], device: EntityId | None = None, ts: int | None = None
    ) -> None:
        """Telemetry, of now unless ts says otherwise, through the chain."""
        metadata = {} if ts is None else {"ts": str(ts)}
        await self.bench.send("POST_TELEMETRY_REQUEST", device or self.device, values, metadata)
        await self.bench.calm()

    def values(self, key: str, device: EntityId | None = None) -> list[Any]:
        """A key's history, oldest first."""
        points = self.bench.history.points.get(device or self.device, {}).get(key, {})
        return [value for _, value in sorted(points.items())]

    def server_attributes(self) -> dict[str, Any]:
        """The device's server attributes."""
        stored = self.bench.state.attributes(self.device, Scope.SERVER)
        return {key: each.value for key, each in stored.items()}

    def alarms(self) -> list[str]:
        """The device's alarms: severity and status."""
        return [f"{a['severity']} {a['status']}" for a in self.bench.state.entities("ALARM")]


def argument(key: str, type: str = "TS_LATEST", **more: Any) -> dict[str, Any]:
    """An argument's JSON."""
    scope = {"scope": "SERVER_SCOPE"} if type == "ATTRIBUTE" else {}
    return {"refEntityKey": {"key": key, "type": type, **scope}, **more}


def simple(expression: str, output: str, *keys: str, **more: Any) -> dict[str, Any]:
    """A SIMPLE field over series of these keys."""
    return {
        "arguments": {key: argument(key) for key in keys},
        "expression": expression,
        "output": {"type": "TIME_SERIES", "name": output},
        **more,
    }


def numeric(name: str, operation: str, value: float) -> dict[str, Any]:
    """An alarm expression of one comparison of numbers."""
    return compared(name, "NUMERIC", operation, value)


def compared(name: str, type: str, operation: str, value: Any) -> dict[str, Any]:
    """An alarm expression of one comparison."""
    predicate = {"type": type, "operation": operation, "value": {"staticValue": value}}
    filters = [{"argument": name, "valueType": type, "predicates": [predicate]}]
    return {"type": "SIMPLE", "filters": filters}


def no_data(name: str, seconds: int) -> dict[str, Any]:
    """An alarm expression: nothing came for so long."""
    predicate = {"type": "NO_DATA", "unit": "SECONDS", "duration": {"staticValue": seconds}}
    filters = [{"argument": name, "valueType": "NUMERIC", "predicates": [predicate]}]
    return {"type": "SIMPLE", "filters": filters}


def alarm(expression: Mapping[str, Any], **condition: Any) -> dict[str, Any]:
    """An ALARM field with one MAJOR rule over the key `t`."""
    rule = {"condition": {"type": "SIMPLE", "expression": expression, **condition}}
    return {"arguments": {"t": argument("t")}, "createRules": {"MAJOR": rule}}
