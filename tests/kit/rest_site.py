"""A site for REST tests: state, storage, commands and the API over them, without sockets."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote
from uuid import UUID

import bcrypt
import msgspec

from appliance.access.audit import AuditLog
from appliance.access.users import Access
from appliance.kernel.events import ignore
from appliance.kernel.metrics_model import Sample
from appliance.model.ids import EntityId, new_uuid
from appliance.model.telemetry import Series
from appliance.model.unit import EntityWrite, Unit
from appliance.state.store import State
from appliance.testing.commands import MemoryCommands
from appliance.testing.memory_storage import MemoryStorage
from appliance.web.app import build_app
from appliance.web.rest.call import Services
from appliance.web.rest.cloud_events import CloudEvents
from appliance.web.status import Status

NOW = 1_795_260_700_000
TENANT = UUID("25b1d5b0-e597-11f1-aa1f-f1f52a346aed")
USER = UUID("268d68a0-e597-11f1-aa1f-f1f52a346aed")
PASSWORD_HASH = bcrypt.hashpw(b"tenant", bcrypt.gensalt(4, prefix=b"2a")).decode()


class Site:
    """Our side, filled with what the recorded one had."""

    def __init__(self, role: str, edition: str = "CE") -> None:
        self.state = State()
        self.state.tenant_id = TENANT
        self.storage = MemoryStorage(clock=lambda: NOW)
        self.commands = MemoryCommands(self.storage, self.state, lambda: NOW)
        self.access = Access(self.state, self.storage, lambda: NOW, b"k" * 64)
        self.services = Services(
            role,
            self.state,
            self.storage,
            self.commands,
            self.access,
            CloudEvents(self.storage),
            lambda: NOW,
            audit=AuditLog(self.storage, ignore),
            edition=edition,
        )
        self.app = build_app(self.services, NoStatus(), NoFigures())
        self.tokens: dict[str, str] = {}
        self._fill()

    def _fill(self) -> None:
        for name in ("default", "meter"):
            body = {"name": name, "default": name == "default", "type": "DEFAULT"}
            body |= {"transportType": "DEFAULT", "image": None, "defaultDashboardId": None}
            self.put("DEVICE_PROFILE", new_uuid(), body)
        profile = self.state.by_name("DEVICE_PROFILE", "default")
        assert profile is not None
        self.put("ASSET_PROFILE", new_uuid(), {"name": "default", "default": True})
        self.put("RULE_CHAIN", new_uuid(), RULE_CHAIN)
        user = {**USER_BODY, "id": EntityId("USER", USER).to_json()}
        self.put("USER", USER, user)
        credentials = {"userId": user["id"], "enabled": True, "password": PASSWORD_HASH}
        self.put("USER_CREDENTIALS", USER, credentials)
        for number in range(4):
            device = {**DEVICE, "name": f"Sync {number}", "deviceProfileId": profile["id"]}
            self.put("DEVICE", new_uuid(), device)

    def put(self, kind: str, id: UUID, body: dict[str, Any]) -> None:
        known = {
            "id": EntityId(kind, id).to_json(),
            "createdTime": NOW,
            "tenantId": EntityId("TENANT", TENANT).to_json(),
        }
        write = EntityWrite(kind, id, msgspec.json.encode({**known, **body}))
        self.state.apply(Unit(entities=[write]))

    def put_series(self, device: UUID) -> None:
        """What the recorder posted as the device, ten times, a second apart."""
        entity = EntityId("DEVICE", device)
        series = [
            Series(
                entity,
                1_700_000_000_000 + n * 1000,
                {"t": 20 + n, "s": f"v{n}", "b": n % 2 == 0, "j": {"i": n}, "x": n},
            )
            for n in range(10)
        ]
        self.storage.disk.units.append(Unit(series=series))
        for point in series:
            points = self.storage.disk.points.setdefault(entity, {})
            for key, value in point.values.items():
                points.setdefault(key, {})[point.ts] = value

    async def ask(
        self, method: str, path: str, body: bytes, token: str | None
    ) -> tuple[int, dict[str, str], bytes]:
        path, _, query = path.partition("?")
        headers = [(b"x-authorization", f"Bearer {token}".encode())] if token else []
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": quote(query, safe="=&,").encode(),
            "headers": headers,
        }
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": body}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        named = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], named, b"".join(m.get("body", b"") for m in sent[1:])


DEVICE = {
    "customerId": {"entityType": "CUSTOMER", "id": "13814000-1dd2-11b2-8080-808080808080"},
    "type": "default",
    "label": None,
    "firmwareId": None,
    "softwareId": None,
    "externalId": None,
    "version": None,
    "additionalInfo": None,
    "deviceData": {
        "configuration": {"type": "DEFAULT"},
        "transportConfiguration": {"type": "DEFAULT"},
    },
}
USER_BODY = {
    "customerId": DEVICE["customerId"],
    "email": "tenant@thingsboard.org",
    "authority": "TENANT_ADMIN",
    "firstName": None,
    "lastName": None,
    "phone": None,
    "version": None,
    "name": "tenant@thingsboard.org",
    "additionalInfo": None,
}
RULE_CHAIN = {
    "name": "Root Rule Chain",
    "type": "CORE",
    "firstRuleNodeId": {"entityType": "RULE_NODE", "id": str(new_uuid())},
    "root": True,
    "debugMode": False,
    "externalId": None,
    "version": None,
    "configuration": None,
    "additionalInfo": None,
}


class NoStatus:
    def status(self) -> Status:
        raise AssertionError


class NoFigures:
    def samples(self) -> list[Sample]:
        return []
