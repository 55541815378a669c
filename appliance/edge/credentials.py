"""Who a device is: tokens and MQTT_BASIC (spec/device-and-rest-api.md §2.2)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import msgspec

from appliance.extension.ports import DeviceSession
from appliance.model.ids import EntityId
from appliance.model.unit import Unit
from appliance.state.store import State


class Credentials:
    """Looks up sessions in the state; answers are cached until a device or credentials change."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._sessions: dict[UUID, DeviceSession] = {}
        state.watch(self._changed)

    def by_token(self, token: str) -> DeviceSession | None:
        """The device whose ACCESS_TOKEN it is."""
        found = self._find(token)
        if found is None or found["credentialsType"] != "ACCESS_TOKEN":
            return None
        return self._session(UUID(found["deviceId"]["id"]))

    def by_basic(
        self, client_id: str | None, username: str | None, password: str | None
    ) -> DeviceSession | None:
        """MQTT_BASIC by client id and user name, then by token or user name alone."""
        if not username:
            return self._basic(_sha3(client_id or ""), client_id, username, password)
        found = self._find(_sha3(f"{client_id or ''}|{username}"))
        if found is not None:
            return self._check(found, client_id, username, password)
        return self.by_token(username) or self._basic(username, client_id, username, password)

    def session(self, device: UUID) -> DeviceSession | None:
        """The session data of a device that is known by other means."""
        return self._session(device)

    def _basic(
        self,
        credentials_id: str,
        client_id: str | None,
        username: str | None,
        password: str | None,
    ) -> DeviceSession | None:
        found = self._find(credentials_id) or self._find(_sha3(credentials_id))
        return self._check(found, client_id, username, password) if found else None

    def _check(
        self,
        found: dict[str, Any],
        client_id: str | None,
        username: str | None,
        password: str | None,
    ) -> DeviceSession | None:
        if found["credentialsType"] != "MQTT_BASIC":
            return None
        wanted = msgspec.json.decode(found.get("credentialsValue") or "{}")
        given = {"clientId": client_id, "userName": username, "password": password}
        for key, value in given.items():
            if wanted.get(key) and not hmac.compare_digest(
                str(wanted[key]).encode(), (value or "").encode()
            ):
                return None
        return self._session(UUID(found["deviceId"]["id"]))

    def _find(self, credentials_id: str) -> dict[str, Any] | None:
        device = self._state.device_of_credentials(credentials_id)
        return None if device is None else self._state.entity("DEVICE_CREDENTIALS", device)

    def _session(self, device: UUID) -> DeviceSession | None:
        session = self._sessions.get(device)
        if session is None:
            session = session_of(device, self._state)
            if session is not None:
                self._sessions[device] = session
        return session

    def _changed(self, kind: str, id: UUID, body: dict[str, Any] | None) -> None:
        if kind in ("DEVICE", "DEVICE_CREDENTIALS"):
            self._sessions.pop(id, None)


def session_of(device: UUID, state: State) -> DeviceSession | None:
    """What a session of that device is told about it; None where it is not here."""
    body = state.entity("DEVICE", device)
    if body is None:
        return None
    info = body.get("additionalInfo")
    is_gateway = isinstance(info, dict) and info.get("gateway") is True
    entity = EntityId("DEVICE", device)
    return DeviceSession(entity, body["name"], body.get("type") or "", is_gateway)


def revoked(unit: Unit, state: State) -> Iterator[tuple[UUID, str]]:
    """Devices whose sessions a unit ends, before it is applied: (device, reason)."""
    for write in unit.entities:
        if write.kind == "DEVICE" and write.body is None:
            yield write.id, "deleted"
        elif write.kind == "DEVICE_CREDENTIALS" and write.body is not None:
            known = state.entity(write.kind, write.id)
            if known is not None and _proof(known) != _proof(msgspec.json.decode(write.body)):
                yield write.id, "credentials"


def _proof(credentials: dict[str, Any]) -> list[Any]:
    """What a device proves itself by; the rest may change without its noticing."""
    fields = ("credentialsType", "credentialsId", "credentialsValue")
    return [credentials.get(field) or None for field in fields]


def _sha3(text: str) -> str:
    return hashlib.sha3_256(text.encode()).hexdigest()
