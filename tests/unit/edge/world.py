"""A small edge's state for tests: a tenant, a default profile, devices with tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from appliance.edge.devices import make_device
from appliance.extension.ports import DeviceSession
from appliance.model.ids import EntityId, new_uuid
from appliance.model.telemetry import Value
from appliance.model.unit import EntityWrite, Unit
from appliance.state.store import State


def store(state: State, kind: str, own: UUID | None = None, /, **body: Any) -> UUID:
    """Put an entity into the state; its id."""
    own = own or new_uuid()
    whole = {"id": EntityId(kind, own).to_json(), **body}
    state.apply(Unit(entities=[EntityWrite(kind, own, msgspec.json.encode(whole))]))
    return own


def small_state() -> State:
    """A tenant and its default profile."""
    state = State()
    store(state, "TENANT", title="Tenant")
    store(state, "DEVICE_PROFILE", name="default", default=True, transportType="DEFAULT")
    return state


def add_device(state: State, name: str, token: str, profile: str | None = None) -> UUID:
    """A device with a token."""
    device, unit = make_device(state, name, profile, credentials={"credentialsId": token})
    state.apply(unit)
    return device


def session_of(device: UUID, name: str = "D") -> DeviceSession:
    return DeviceSession(EntityId("DEVICE", device), name, "default")


class Phone:
    """A Downlink that remembers. takes: whether it accepts requests."""

    def __init__(self, takes: bool = True) -> None:
        self.takes = takes
        self.attributes_seen: list[tuple[dict[str, Value], list[str]]] = []
        self.requests: list[tuple[int, str, Any]] = []
        self.ends: list[str] = []

    def attributes(self, updated: dict[str, Value], deleted: Sequence[str]) -> None:
        self.attributes_seen.append((updated, list(deleted)))

    def rpc(self, request_id: int, method: str, params: Any, *, oneway: bool) -> bool:
        if self.takes:
            self.requests.append((request_id, method, params))
        return self.takes

    def closed(self, reason: str) -> None:
        self.ends.append(reason)
