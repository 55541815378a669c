"""Objects of every kind for the rows of both directions, and the three steps of a life."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import trio.testing

from appliance.edge.devices import credentials_body
from appliance.model.ids import EntityId, new_uuid
from appliance.state.kinds import BY_NAME, relation_key
from appliance.state.store import State
from appliance.web.commands import Change
from tests.kit.sync_rows import Rows, Scene, body_of, gone, has

Make = Callable[[Scene, State, UUID], dict[str, Any]]
Write = Callable[[Scene, str, UUID, Any, str], Awaitable[None]]

FIELDS: dict[str, dict[str, Any]] = {
    "ADMIN_SETTINGS": {"key": "mail", "jsonValue": {"smtpHost": "localhost"}},
    "AI_MODEL": {"name": "Model", "configuration": {"provider": "OPENAI"}},
    "API_KEY": {"value": "tb_key", "description": "for tests", "enabled": True},
    "ASSET_PROFILE": {"name": "hall", "default": False},
    "DASHBOARD": {"title": "Overview", "assignedCustomers": [], "configuration": {}},
    "DEVICE_PROFILE": {
        "name": "meter",
        "type": "DEFAULT",
        "transportType": "DEFAULT",
        "default": False,
        "profileData": {"configuration": {"type": "DEFAULT"}},
    },
    "DOMAIN": {"name": "example.com", "oauth2Enabled": True, "propagateToEdge": True},
    "NOTIFICATION_RULE": {"name": "Rule", "triggerType": "ALARM"},
    "NOTIFICATION_TARGET": {"name": "Target", "configuration": {"type": "PLATFORM_USERS"}},
    "NOTIFICATION_TEMPLATE": {"name": "Template", "notificationType": "ALARM"},
    "OAUTH2_CLIENT": {"title": "Google", "clientId": "c"},
    "OTA_PACKAGE": {"title": "fw", "type": "FIRMWARE", "version": "1.0", "data": "AAEC"},
    "QUEUE": {"name": "Slow", "topic": "tb_rule_engine.slow", "partitions": 1},
    "RULE_CHAIN": {"name": "Chain", "type": "EDGE", "root": False},
    "TB_RESOURCE": {"title": "Model.xml", "resourceType": "LWM2M_MODEL", "resourceKey": "m"},
    "WIDGETS_BUNDLE": {"title": "Charts", "alias": "charts", "widgets": ["system.a", "b"]},
    "WIDGET_TYPE": {"name": "Gauge", "fqn": "gauge", "descriptor": {}},
}
"""Fields that make one of a kind, for the kinds that refer to nothing."""


def plain(kind: str) -> Make:
    """One of a kind that refers to nothing."""
    return lambda _scene, state, id: body_of(state, kind, id, **FIELDS[kind])


def asset(scene: Scene, state: State, id: UUID) -> dict[str, Any]:
    """An asset of the default profile."""
    profile = state.by_name("ASSET_PROFILE", "default")
    assert profile is not None
    return body_of(state, "ASSET", id, name="Hall", type="default", assetProfileId=profile["id"])


def view(scene: Scene, state: State, id: UUID) -> dict[str, Any]:
    """A view of the scene's device."""
    entity = scene.device.to_json()
    return body_of(state, "ENTITY_VIEW", id, name="Shown", type="default", entityId=entity)


def user(scene: Scene, state: State, id: UUID) -> dict[str, Any]:
    """A user of the tenant."""
    return body_of(state, "USER", id, email="ann@example.com", authority="TENANT_ADMIN")


def calculated_field(scene: Scene, state: State, id: UUID) -> dict[str, Any]:
    """A calculated field of the scene's device."""
    owner = scene.device.to_json()
    return body_of(state, "CALCULATED_FIELD", id, name="Sum", type="SIMPLE", entityId=owner)


def alarm(scene: Scene, state: State, id: UUID) -> dict[str, Any]:
    """An active alarm of the scene's device."""
    return body_of(
        state,
        "ALARM",
        id,
        type="Overheating",
        originator=scene.device.to_json(),
        severity="MAJOR",
        acknowledged=False,
        cleared=False,
        startTs=1_700_000_000_000,
        endTs=1_700_000_000_000,
    )


def device(state: State, id: UUID, name: str) -> dict[str, Any]:
    """A device of the default profile."""
    profile = state.by_name("DEVICE_PROFILE", "default")
    assert profile is not None
    return body_of(state, "DEVICE", id, name=name, type="default", deviceProfileId=profile["id"])


def token(id: UUID, text: str) -> dict[str, Any]:
    """Credentials of a device."""
    return credentials_body(id, {"credentialsId": text})


def relation(scene: Scene, other: EntityId) -> tuple[UUID, dict[str, Any]]:
    """(key, body) of a relation from the scene's device."""
    body = {
        "from": scene.device.to_json(),
        "to": other.to_json(),
        "type": "Uses",
        "typeGroup": "COMMON",
        "additionalInfo": None,
    }
    return relation_key(body), body


class Life:
    """The rows of a kind that is created, updated and deleted like most."""

    def __init__(self, kind: str, make: Make, write: Write, *, from_edge: bool) -> None:
        self.kind = kind
        self._make = make
        self._write = write
        self._from_edge = from_edge

    def _sides(self, scene: Scene) -> tuple[State, State]:
        edge, cloud = scene.edge.state, scene.cloud.state
        return (edge, cloud) if self._from_edge else (cloud, edge)

    async def create(self, scene: Scene) -> tuple[UUID, dict[str, Any]]:
        """Make one and see it arrive."""
        here, there = self._sides(scene)
        id = new_uuid()
        body = self._make(scene, here, id)
        await self._write(scene, self.kind, id, body, "ADDED")
        title = BY_NAME[self.kind].title
        await has(there, self.kind, id, {title: body[title]} if title else {})
        return id, body

    async def created(self, scene: Scene) -> None:
        """The first step of a life."""
        await self.create(scene)

    async def updated(self, scene: Scene) -> None:
        """Its change arrives."""
        id, body = await self.create(scene)
        changed = {**body, "additionalInfo": {"description": "changed"}}
        await self._write(scene, self.kind, id, changed, "UPDATED")
        await has(
            self._sides(scene)[1], self.kind, id, {"additionalInfo": changed["additionalInfo"]}
        )

    async def deleted(self, scene: Scene) -> None:
        """Its end arrives."""
        id, _ = await self.create(scene)
        await self._write(scene, self.kind, id, None, "DELETED")
        await gone(self._sides(scene)[1], self.kind, id)

    def enter(self, rows: Rows, made: dict[str, str], effect: dict[str, str]) -> None:
        """Enter the rows; `made` and `effect` by step, an absent step does not exist."""
        plays = {"created": self.created, "updated": self.updated, "deleted": self.deleted}
        for step, play in plays.items():
            if step in made:
                rows.on(BY_NAME[self.kind].field, step, made[step], effect[step])(play)


def change(kind: str, id: UUID, body: Any, action: str) -> Change:
    """A change as the REST API makes it."""
    return Change(kind, id, body, action)


async def ask_server(scene: Scene) -> Any:
    """A device asks its server, in a chain that pushes such requests up; the answer it gets."""
    (chain,) = scene.cloud.edges.assigned(scene.pair.edge_id, "RULE_CHAIN")
    state = scene.cloud.state
    body, metadata = state.entity("RULE_CHAIN", chain), state.entity("RULE_CHAIN_METADATA", chain)
    assert body is not None
    assert metadata is not None
    names = [node["name"] for node in metadata["nodes"]]
    asked = {
        "fromIndex": names.index("Message Type Switch"),
        "toIndex": names.index("Push to cloud"),
        "type": "RPC Request from Device",
    }
    others = [each for each in metadata["connections"] if each["type"] != asked["type"]]
    metadata = {**metadata, "connections": [*others, asked]}
    await scene.on_cloud("RULE_CHAIN_METADATA", chain, metadata, "UPDATED")
    await scene.on_cloud("RULE_CHAIN", chain, body, "UPDATED")
    await has(scene.edge.state, "RULE_CHAIN_METADATA", chain, metadata)
    await trio.testing.wait_all_tasks_blocked()  # what is stored runs a moment later
    session = scene.edge.gate.authenticate_token("PUMP")
    assert session is not None
    return await scene.edge.gate.rpc_to_server(session, "time", {}, 10.0)
